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
            sha512,
        } => {
            push_in_two(store, REPOSITORIES[repository], &content(blob), cut_at, sha512).await;
            model
                .repositories
                .entry(REPOSITORIES[repository])
                .or_default()
                .blobs
                .insert(digest_of(&content(blob)));
        }
        Action::MountBlob { from, to, blob } => mount(store, model, from, REPOSITORIES[to], blob).await,
        Action::DeleteBlob { repository, blob } => {
            delete_blob(store, model, REPOSITORIES[repository], blob).await;
        }
        Action::PutImage {
            repository,
            config,
            layers,
            subject,
            tag,
        } => {
            let blob = |number: usize| digest_of(&content(number));
            let layers: Vec<Digest> = layers.into_iter().map(blob).collect();
            let mut document = image(&blob(config), &layers.iter().collect::<Vec<_>>());
            if let Some(subject) = subject {
                document["subject"] = descriptor(&model.manifest(subject), MediaType::OCI_MANIFEST);
            }
            put_both(
                store,
                model,
                REPOSITORIES[repository],
                &document,
                tag.map(|tag| TAGS[tag]),
            )
            .await;
        }
        Action::PutIndex {
            repository,
            children,
            tag,
        } => {
            let children: Vec<Digest> = children
                .into_iter()
                .map(|number| model.manifest(number))
                .collect();
            let document = index(&children.iter().collect::<Vec<_>>());
            put_both(store, model, REPOSITORIES[repository], &document, Some(TAGS[tag])).await;
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
        Action::Restart { .. } => unreachable!("the caller restarts"),
    }
}

async fn push_in_two(store: &Store, name: &str, bytes: &[u8], cut_at: usize, sha512: bool) {
    let name = repository(name);
    let (before, after) = bytes.split_at(cut_at.min(bytes.len()));
    let id = store
        .upload_start(&name, sha512.then_some(Algorithm::Sha512))
        .await
        .unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[before]))
        .await
        .unwrap();
    let rest = Chunk {
        at: Some(before.len() as u64),
        length: Some(after.len() as u64),
    };
    store
        .upload_finish(&name, &id, &digest_of(bytes), rest, body(&[after]))
        .await
        .unwrap();
}

async fn mount(store: &Store, model: &mut Model, from: Option<usize>, to: &'static str, blob: usize) {
    let digest = digest_of(&content(blob));
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
    let digest = digest_of(&content(blob));
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

async fn put_both(store: &Store, model: &mut Model, name: &'static str, document: &Value, tag: Option<&str>) {
    let digest = digest_of(document.to_string().as_bytes());
    let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
    let answer = answer_of(put(store, &repository(name), &reference, document).await);
    assert_eq!(answer, model.put(name, document, tag));
}
