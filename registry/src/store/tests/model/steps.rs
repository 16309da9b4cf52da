//! Does one action to the store and to the reference, and compares what they answer.

use super::*;

fn answer_of<T>(result: Result<T, ManifestError>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(ManifestError::Unknown { .. }) => Answer::Unknown,
        Err(ManifestError::RepositoryUnknown) => Answer::RepositoryUnknown,
        Err(ManifestError::ContentMissing { .. }) => Answer::Missing,
        Err(ManifestError::Referenced { .. }) => Answer::Referenced,
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn step(store: &Store, model: &mut Model, action: Action) {
    match action {
        Action::PushBlob {
            repository,
            blob,
            cut_at,
            hint,
        } => {
            push_in_two(store, model, REPOSITORIES[repository], blob, (cut_at, hint)).await;
        }
        Action::MountBlob { from, to, blob } => mount(store, model, from, REPOSITORIES[to], blob).await,
        Action::DeleteBlob { repository, blob } => {
            delete_blob(store, model, REPOSITORIES[repository], blob).await;
        }
        Action::PutImage {
            repository,
            is_whole,
            config,
            layers,
            subject,
            naming,
        } => {
            for blob in layers.iter().chain([&config]).filter(|_| is_whole) {
                push_in_two(store, model, REPOSITORIES[repository], *blob, (3, None)).await;
            }
            let layers: Vec<Digest> = layers.into_iter().map(blob_digest).collect();
            let mut document = image(&blob_digest(config), &layers.iter().collect::<Vec<_>>());
            if let Some(subject) = subject {
                document["subject"] = descriptor(&model.manifest(subject), MediaType::OCI_MANIFEST);
            }
            put_both(store, model, REPOSITORIES[repository], &document, &naming).await;
        }
        Action::PutIndex {
            repository,
            children,
            blobs,
            naming,
        } => {
            let children = children.into_iter().map(|number| model.manifest(number));
            let entries: Vec<Digest> = children.chain(blobs.into_iter().map(blob_digest)).collect();
            let document = index(&entries.iter().collect::<Vec<_>>());
            put_both(store, model, REPOSITORIES[repository], &document, &naming).await;
        }
        Action::DeleteManifest {
            repository: name,
            manifest,
        } => {
            let digest = model.manifest(manifest);
            let answer = answer_of(
                store
                    .manifest_delete(&repository(REPOSITORIES[name]), &digest)
                    .await,
            );
            assert_eq!(answer, model.delete_manifest(REPOSITORIES[name], &digest));
        }
        Action::DeleteTag {
            repository: name,
            tag: number,
        } => {
            delete_tag(store, model, REPOSITORIES[name], TAGS[number]).await;
        }
        Action::Collect { .. } | Action::Restart { .. } => unreachable!("the caller does that"),
    }
}

async fn push_in_two(
    store: &Store,
    model: &mut Model,
    name: &'static str,
    blob: usize,
    (cut_at, hint): (usize, Option<Algorithm>),
) {
    let entry = model.repositories.entry(name).or_default();
    entry.blobs.insert(blob_digest(blob));
    let (name, bytes) = (repository(name), content(blob));
    let (before, after) = bytes.split_at(cut_at.min(bytes.len()));
    let id = store.upload_start(&name, hint).await.unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[before]))
        .await
        .unwrap();
    let rest = Chunk {
        at: Some(before.len() as u64),
        length: Some(after.len() as u64),
    };
    store
        .upload_finish(&name, &id, &blob_digest(blob), rest, body(&[after]))
        .await
        .unwrap();
}

async fn mount(store: &Store, model: &mut Model, from: Option<usize>, to: &'static str, blob: usize) {
    let digest = blob_digest(blob);
    let has = |it: &Repository| it.blobs.contains(&digest);
    let (source, expected) = match from.map(|from| REPOSITORIES[from]) {
        Some(name) => (
            MountSource::Repository(repository(name)),
            model.repositories.get(name).is_some_and(has),
        ),
        None => (
            MountSource::Any(Arc::new(|_| true)),
            model.repositories.values().any(has),
        ),
    };
    let mounted = store.blob_mount(source, &repository(to), &digest).await.unwrap();
    assert_eq!(mounted, expected);
    if mounted {
        model.repositories.entry(to).or_default().blobs.insert(digest);
    }
}

async fn delete_blob(store: &Store, model: &mut Model, name: &str, blob: usize) {
    let digest = blob_digest(blob);
    let expected = match model.repositories.get_mut(name) {
        Some(it) if it.blobs.contains(&digest) && it.is_needed(&digest) => Answer::Referenced,
        Some(it) => {
            if it.blobs.remove(&digest) {
                Answer::Done
            } else {
                Answer::Unknown
            }
        }
        None => Answer::Unknown,
    };
    let answer = match store.blob_delete(&repository(name), &digest).await {
        Ok(()) => Answer::Done,
        Err(BlobError::Unknown { .. }) => Answer::Unknown,
        Err(BlobError::Referenced { .. }) => Answer::Referenced,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(answer, expected);
}

async fn delete_tag(store: &Store, model: &mut Model, name: &str, name_of_tag: &str) {
    let entry = model.repositories.get_mut(name);
    let expected = match entry.map(|it| it.tags.remove(name_of_tag)) {
        None => Answer::RepositoryUnknown,
        Some(None) => Answer::Unknown,
        Some(Some(_)) => Answer::Done,
    };
    assert_eq!(
        answer_of(store.tag_delete(&repository(name), &tag(name_of_tag)).await),
        expected
    );
}

async fn put_both(store: &Store, model: &mut Model, name: &'static str, document: &Value, naming: &Naming) {
    let bytes = Bytes::from(document.to_string());
    let mut tags: Vec<Tag> = naming.tags.iter().map(|number| tag(TAGS[*number])).collect();
    let digest = Digest::of(naming.by.unwrap_or(Algorithm::Sha256), &bytes);
    let reference = if naming.by.is_some() || tags.is_empty() {
        Reference::Digest(digest.clone())
    } else {
        Reference::Tag(tags.remove(0))
    };
    let put = store
        .manifest_put(&repository(name), &reference, &tags, None, bytes)
        .await;
    let tags = naming.tags.iter().map(|number| TAGS[*number].to_owned());
    assert_eq!(answer_of(put), model.put(name, &digest, document, tags));
}
