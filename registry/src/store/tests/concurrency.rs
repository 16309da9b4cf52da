//! Many requests at once on the same things.

use futures::future::join_all;
use futures::poll;

use super::*;

#[test]
fn what_nobody_waits_for_any_more_is_not_begun() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(blocking(move || held.recv().unwrap()));
        assert!(poll!(&mut first).is_pending());
        let was_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&was_begun);
        let mut abandoned = Box::pin(blocking(move || begun.store(true, Ordering::SeqCst)));
        assert!(poll!(&mut abandoned).is_pending());
        drop(abandoned);
        go_on.send(()).unwrap();
        first.await;
        blocking(|| ()).await;
        assert!(!was_begun.load(Ordering::SeqCst));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blob_pushed_by_many_at_once_is_there_once_for_all() {
    let volume = Volume::new();
    let store = volume.open().await;
    let bytes = vec![3_u8; 700_000];
    let pushes = (0..16).map(|n| {
        let (store, bytes) = (store.clone(), bytes.clone());
        tokio::spawn(async move { push_blob(&store, &repository(&format!("r{}", n % 4)), &bytes).await })
    });
    join_all(pushes)
        .await
        .into_iter()
        .for_each(|pushed| drop(pushed.unwrap()));
    for n in 0..4 {
        assert!(read_blob(&store, &repository(&format!("r{n}")), &digest_of(&bytes)).await == bytes);
    }
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
}

/// P103, P106.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tag_that_moves_names_a_complete_manifest_at_every_moment() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    push_image(&store, &name, "latest", "start").await;
    let writers = (0..4).map(|n| {
        let (store, name) = (store.clone(), name.clone());
        tokio::spawn(async move {
            let mut last = None;
            for round in 0..10 {
                let digest = push_image(&store, &name, "latest", &format!("{n} {round}")).await;
                let by_digest = Reference::Digest(digest.clone());
                assert!(store.manifest_read(&name, &by_digest).await.is_ok());
                last = Some(digest);
            }
            last.unwrap()
        })
    });
    let writers: Vec<_> = writers.collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let manifest = store
            .manifest_read(&name, &"latest".parse().unwrap())
            .await
            .unwrap();
        let document: Value = serde_json::from_slice(&manifest.bytes).unwrap();
        let layer: Digest = serde_json::from_value(document["layers"][0]["digest"].clone()).unwrap();
        assert_eq!(digest_of(&read_blob(&store, &name, &layer).await), layer);
    }
    // whoever pushed last, it was the last push of somebody
    let lasts: Vec<Digest> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    let manifest = store.manifest_read(&name, &"latest".parse().unwrap()).await;
    assert!(lasts.contains(&manifest.unwrap().digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn signers_at_once_all_end_up_among_the_referrers() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let subject = push_image(&store, &name, "v1", "x").await;
    let signers = (0..12).map(|n| {
        let (store, name, config, subject) = (store.clone(), name.clone(), config.clone(), subject.clone());
        tokio::spawn(async move {
            let mut document = image(&config, &[]);
            document["subject"] = descriptor(&subject, MediaType::OCI_MANIFEST);
            document["annotations"] = json!({"signer": n.to_string()});
            put(&store, &name, &format!("sig-{n}"), &document).await.unwrap()
        })
    });
    let mut signatures: Vec<_> = join_all(signers).await.into_iter().map(Result::unwrap).collect();
    signatures.sort_unstable();
    let listed = store
        .referrers(&name, &subject, &[], None, 4 << 20)
        .await
        .unwrap();
    assert_eq!(
        listed
            .descriptors
            .into_iter()
            .map(|it| it.digest)
            .collect::<Vec<_>>(),
        signatures
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn manifest_is_stored_with_its_layer_or_the_layer_is_deleted_but_never_both() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    for round in 0..30 {
        let layer = push_blob(&store, &name, format!("layer {round}").as_bytes()).await;
        let document = image(&config, &[&layer]);
        let reference = format!("t{round}");
        let (pushed, deleted) = tokio::join!(
            put(&store, &name, &reference, &document),
            store.blob_delete(&name, &layer)
        );
        let is_there = store.blob_open(&name, &layer).await.is_ok();
        match (pushed, deleted) {
            (Ok(_), Err(BlobError::Referenced { .. })) => assert!(is_there),
            (Err(ManifestError::ContentMissing { .. }), Ok(())) => assert!(!is_there),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_pushed_while_their_manifest_is_deleted_are_there_with_it_or_gone_with_it() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let document = image(&config, &[]);
    let digest = put(&store, &name, "t0", &document).await.unwrap();
    let pushers = (0..4).map(|n| {
        let (store, name, document) = (store.clone(), name.clone(), document.clone());
        tokio::spawn(async move {
            for _ in 0..60 {
                put(&store, &name, &format!("t{n}"), &document).await.unwrap();
            }
        })
    });
    let pushers: Vec<_> = pushers.collect();
    let mut deleted = 0;
    while pushers.iter().any(|pusher| !pusher.is_finished()) {
        match store.manifest_delete(&name, &digest).await {
            Ok(()) => deleted += 1,
            Err(ManifestError::Unknown { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        for n in 0..4 {
            // A tag that names what is not there would be a fault.
            match store
                .manifest_read(&name, &format!("t{n}").parse().unwrap())
                .await
            {
                Ok(_) | Err(ManifestError::Unknown { .. }) => {}
                Err(error) => panic!("t{n}: {error}"),
            }
        }
    }
    join_all(pushers).await.into_iter().for_each(Result::unwrap);
    assert!(deleted > 0);
}
