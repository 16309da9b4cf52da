//! What clients do while a collection runs, at every point of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::interposed::{Moment, opened_within};
use super::*;

/// A nested index that nothing names, whose image is signed.
struct Nested {
    outer: Digest,
    inner: Digest,
    child: Image,
    signature: Image,
    document: Value,
}

impl Nested {
    async fn push(store: &Store, name: &RepositoryName) -> Self {
        let child = Image::push(store, name, None, "child").await;
        let signature = Image::push_about(store, name, None, "signature", Some(&child.digest)).await;
        let inner = put_as(store, name, None, &index(&[&child.digest])).await;
        let document = index(&[&inner]);
        let outer = put_as(store, name, None, &document).await;
        Self {
            outer,
            inner,
            child,
            signature,
            document,
        }
    }

    async fn is_whole(&self, store: &Store, name: &RepositoryName) -> bool {
        has_manifest(store, name, &self.outer).await
            && has_manifest(store, name, &self.inner).await
            && self.child.is_whole(store, name).await
            && self.signature.is_whole(store, name).await
    }
}

/// Lets a tag name a manifest that the repository has, as `crane tag` does. False: it does not have it any more, or not
/// all of it.
async fn tag_again(store: &Store, name: &RepositoryName, digest: &Digest) -> bool {
    let reference = Reference::Digest(digest.clone());
    match store.manifest_read(name, &reference).await {
        Ok(found) => {
            let tag: Reference = "again".parse().unwrap();
            match store.manifest_put(name, &tag, &[], None, found.bytes).await {
                Ok(_) => true,
                Err(ManifestError::ContentMissing { .. }) => false,
                Err(error) => panic!("{error}"),
            }
        }
        Err(ManifestError::Unknown { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nested_index_that_is_tagged_again_between_any_two_readings_or_batches_stays_whole() {
    let name = repository("a");
    let (mut tagged, mut late) = (0, 0);
    for point in 0.. {
        let volume = Volume::in_memory();
        let store = volume.open().await;
        let nested = Arc::new(Nested::push(&store, &name).await);
        let moment = Arc::new(Moment::default());
        let answer: Arc<Mutex<Option<bool>>> = Arc::default();
        let (client, of, to) = (store.clone(), Arc::clone(&nested), Arc::clone(&answer));
        moment.after(point, move || async move {
            let name = repository("a");
            let is_tagged = tag_again(&client, &name, &of.outer).await;
            assert!(!is_tagged || of.is_whole(&client, &name).await);
            *to.lock().unwrap() = Some(is_tagged);
        });
        let seen = Arc::clone(&moment);
        store.collect(at_once(), move |_| seen.between()).await.unwrap();
        if !moment.join() {
            break;
        }
        let is_tagged = answer.lock().unwrap().unwrap();
        assert_eq!(nested.is_whole(&store, &name).await, is_tagged, "point {point}");
        collect_at_once(&store).await;
        assert_eq!(nested.is_whole(&store, &name).await, is_tagged, "point {point}");
        assert!(is_tagged || contents(&volume).is_empty(), "point {point}");
        *if is_tagged { &mut tagged } else { &mut late } += 1;
    }
    // Before the run, at each reading of it, and before the batch of the outer index.
    assert!(tagged >= 8 && late >= 4, "{tagged} in time, {late} too late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_image_that_is_tagged_again_between_any_two_readings_or_batches_keeps_its_signature() {
    let name = repository("a");
    let mut tagged = 0;
    for point in 0.. {
        let volume = Volume::in_memory();
        let store = volume.open().await;
        let nested = Arc::new(Nested::push(&store, &name).await);
        let moment = Arc::new(Moment::default());
        let answer: Arc<Mutex<Option<bool>>> = Arc::default();
        let (client, of, to) = (store.clone(), Arc::clone(&nested), Arc::clone(&answer));
        moment.after(point, move || async move {
            let is_tagged = tag_again(&client, &repository("a"), &of.child.digest).await;
            *to.lock().unwrap() = Some(is_tagged);
        });
        let seen = Arc::clone(&moment);
        store.collect(at_once(), move |_| seen.between()).await.unwrap();
        if !moment.join() {
            break;
        }
        let is_tagged = answer.lock().unwrap().unwrap();
        tagged += usize::from(is_tagged);
        collect_at_once(&store).await;
        assert_eq!(
            nested.child.is_whole(&store, &name).await,
            is_tagged,
            "point {point}"
        );
        assert_eq!(nested.signature.is_whole(&store, &name).await, is_tagged);
        assert!(!has_manifest(&store, &name, &nested.outer).await);
    }
    assert!(tagged >= 10, "{tagged} in time");
}

/// What can be reached at the moment.
async fn reachable(store: &Store, name: &RepositoryName, root: &Digest) -> Vec<Digest> {
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(digest) = waiting.pop() {
        let Ok(manifest) = store
            .manifest_read(name, &Reference::Digest(digest.clone()))
            .await
        else {
            continue;
        };
        let document: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let children = document["manifests"].as_array().into_iter().flatten();
        waiting.extend(children.map(|it| it["digest"].as_str().unwrap().parse::<Digest>().unwrap()));
        let referrers = store.referrers(name, &digest, &[], None, 4 << 20).await.unwrap();
        waiting.extend(referrers.descriptors.into_iter().map(|it| it.digest));
        found.push(digest);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_image_that_is_tagged_again_in_the_middle_of_a_batch_stays_as_it_was_acknowledged() {
    let name = repository("a");
    let (mut points, mut done) = (0, 0);
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let nested = Arc::new(Nested::push(&store, &name).await);
        let found: Arc<Mutex<Vec<Digest>>> = Arc::default();
        let (client, of, to) = (store.clone(), Arc::clone(&nested), Arc::clone(&found));
        moment.after(points, move || async move {
            let (name, digest) = (repository("a"), &of.child.digest);
            if tag_again(&client, &name, digest).await {
                *to.lock().unwrap() = reachable(&client, &name, digest).await;
            }
        });
        store.collect(at_once(), |_| {}).await.unwrap();
        if !moment.join() {
            break;
        }
        let found = found.lock().unwrap().clone();
        collect_at_once(&store).await;
        let images = [&nested.child, &nested.signature];
        for image in images {
            let is_whole = image.is_whole(&store, &name).await;
            assert_eq!(is_whole, found.contains(&image.digest), "point {points}");
        }
        if moment.was_done() && !found.is_empty() {
            assert_eq!(
                found.len(),
                images.len(),
                "the signature had not gone at point {points}"
            );
            done += 1;
        }
        points += 1;
    }
    assert!(points > 20 && done >= 2, "of {points} points {done} in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_reached_when_a_tag_is_acknowledged_in_the_middle_of_a_batch_stays() {
    let name = repository("a");
    let (mut points, mut done) = (0, 0);
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let nested = Arc::new(Nested::push(&store, &name).await);
        let found: Arc<Mutex<Vec<Digest>>> = Arc::default();
        let (client, of, to) = (store.clone(), Arc::clone(&nested), Arc::clone(&found));
        moment.after(points, move || async move {
            let name = repository("a");
            // A client that has the image pushes all of it: what it has pushed before may go until the tag is there.
            Image::push(&client, &name, None, "child").await;
            let inner = index(&[&of.child.digest]).to_string();
            for (document, tag) in [(inner, None), (of.document.to_string(), Some("again"))] {
                let digest = digest_of(document.as_bytes());
                let reference = tag.map_or(digest.to_string(), str::to_owned);
                let reference: Reference = reference.parse().unwrap();
                let bytes = Bytes::from(document);
                client
                    .manifest_put(&name, &reference, &[], None, bytes)
                    .await
                    .unwrap();
            }
            *to.lock().unwrap() = reachable(&client, &name, &of.outer).await;
        });
        store.collect(at_once(), |_| {}).await.unwrap();
        if !moment.join() {
            break;
        }
        let found = found.lock().unwrap().clone();
        assert!(found.len() >= 3, "{found:?} at point {points}");
        for _ in 0..2 {
            for digest in &found {
                assert!(
                    has_manifest(&store, &name, digest).await,
                    "{digest} at point {points}"
                );
            }
            assert!(nested.child.is_whole(&store, &name).await, "point {points}");
            if found.contains(&nested.signature.digest) {
                assert!(nested.signature.is_whole(&store, &name).await, "point {points}");
            }
            collect_at_once(&store).await;
        }
        done += usize::from(moment.was_done());
        points += 1;
    }
    assert!(
        points > 20 && done >= 2,
        "of {points} points {done} in the middle"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_signers_at_once_in_the_middle_of_any_batch_lose_nothing() {
    let name = repository("a");
    let (mut points, mut done) = (0, 0);
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let subject = Image::push(&store, &name, Some("v1"), "subject").await;
        Nested::push(&store, &name).await;
        let (client, of) = (store.clone(), subject.digest.clone());
        moment.after(points, move || async move {
            let name = repository("a");
            let sign = async |seed: &str| {
                // Without grace a blob may go before the manifest that names it comes; then the client pushes it again.
                let config = digest_of(b"{}");
                let mut document = image(&config, &[]);
                document["subject"] = descriptor(&of, MediaType::OCI_MANIFEST);
                document["annotations"] = json!({"signer": seed});
                loop {
                    push_blob(&client, &name, b"{}").await;
                    let reference = digest_of(document.to_string().as_bytes()).to_string();
                    match put(&client, &name, &reference, &document).await {
                        Ok(_) => break,
                        Err(ManifestError::ContentMissing { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            };
            tokio::join!(sign("one"), sign("two"));
        });
        store.collect(at_once(), |_| {}).await.unwrap();
        if !moment.join() {
            break;
        }
        collect_at_once(&store).await;
        let listed = reachable(&store, &name, &subject.digest).await;
        assert_eq!(listed.len(), 3, "point {points}");
        assert!(has_blob(&store, &name, &digest_of(b"{}")).await);
        done += usize::from(moment.was_done());
        points += 1;
    }
    assert!(
        points > 20 && done >= 10,
        "of {points} points {done} in the middle"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_pushed_and_mounted_in_the_middle_of_any_batch_are_there_afterwards() {
    let name = repository("a");
    let (mut points, mut done) = (0, 0);
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let old = Image::push(&store, &name, None, "old").await;
        let mounted: Arc<Mutex<bool>> = Arc::default();
        let (client, layer, to) = (store.clone(), old.layer.clone(), Arc::clone(&mounted));
        moment.after(points, move || async move {
            let source = MountSource::Repository(repository("a"));
            *to.lock().unwrap() = client.blob_mount(source, &repository("b"), &layer).await.unwrap();
            push_blob(&client, &repository("c"), b"config of old").await;
        });
        store.collect(at_once(), |_| {}).await.unwrap();
        if !moment.join() {
            break;
        }
        let is_mounted = *mounted.lock().unwrap();
        assert_eq!(has_blob(&store, &repository("b"), &old.layer).await, is_mounted);
        let pushed = read_blob(&store, &repository("c"), &old.config).await;
        assert_eq!(pushed, b"config of old", "point {points}");
        done += usize::from(moment.was_done());
        points += 1;
    }
    assert!(
        points > 15 && done >= 2,
        "of {points} points {done} in the middle"
    );
}

#[tokio::test]
async fn what_was_collected_a_moment_ago_is_not_something_that_never_came() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let child = Image::push(&store, &name, None, "child").await;
    collect_at_once(&store).await;
    // The client has seen the child before, so it pushes the index alone.
    let refused = put(&store, &name, "v1", &index(&[&child.digest])).await;
    assert!(
        matches!(&refused, Err(ManifestError::ContentMissing { missing }) if *missing == [child.digest.clone()]),
        "{refused:?}"
    );
    let again = Image::push(&store, &name, None, "child").await;
    assert_eq!(again.digest, child.digest);
    put(&store, &name, "v1", &index(&[&child.digest])).await.unwrap();
    assert!(again.is_whole(&store, &name).await);
}

#[tokio::test]
async fn a_step_of_the_wall_clock_forgets_nothing_of_what_was_collected() {
    let volume = Volume::new();
    let hours = Arc::new(AtomicU64::new(10));
    let of = Arc::clone(&hours);
    let start = now();
    let options = StoreOptions {
        clock: Arc::new(move || start + Duration::from_hours(of.load(Ordering::SeqCst))),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let name = repository("a");
    let child = Image::push(&store, &name, None, "child").await;
    collect_at_once(&store).await;
    for hour in [12, 0, 10] {
        hours.store(hour, Ordering::SeqCst);
        let refused = put(&store, &name, "v1", &index(&[&child.digest])).await;
        assert!(
            matches!(refused, Err(ManifestError::ContentMissing { .. })),
            "hour {hour}: {refused:?}"
        );
    }
}
