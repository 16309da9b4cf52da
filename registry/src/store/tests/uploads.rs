//! Upload sessions: offsets, races, restarts, expiry.

use futures::channel::mpsc;

use super::disk::is_spare;
use super::*;
use crate::store::open::PROBE;

fn at(offset: u64) -> Chunk {
    Chunk {
        at: Some(offset),
        length: None,
    }
}

/// P80.
#[tokio::test]
async fn chunks_in_order_become_the_blob() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    assert_eq!(offset(&store, &name, &id).await, 0);
    store
        .upload_append(&name, &id, at(0), body(&[b"one ", b"two "]))
        .await
        .unwrap();
    assert_eq!(offset(&store, &name, &id).await, 8);
    let digest = digest_of(b"one two three");
    store
        .upload_finish(&name, &id, &digest, at(8), body(&[b"three"]))
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"one two three");
    assert!(matches!(
        store.upload_status(&name, &id).await,
        Err(UploadError::Unknown)
    ));
}

#[tokio::test]
async fn chunk_out_of_order_is_refused_with_the_true_offset_and_the_session_lives() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &id, at(0), body(&[b"abc"]))
        .await
        .unwrap();
    let refused = store.upload_append(&name, &id, at(5), body(&[b"x"])).await;
    assert!(matches!(refused, Err(UploadError::OutOfOrder { offset: 3 })));
    let digest = digest_of(b"abcd");
    let refused = store
        .upload_finish(&name, &id, &digest, at(2), body(&[b"d"]))
        .await;
    assert!(matches!(refused, Err(UploadError::OutOfOrder { offset: 3 })));
    store
        .upload_finish(&name, &id, &digest, at(3), body(&[b"d"]))
        .await
        .unwrap();
}

/// P67.
#[tokio::test]
async fn body_of_another_length_than_announced_is_taken_back_whole() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[b"abc"]))
        .await
        .unwrap();
    for announced in [2, 4] {
        let chunk = Chunk {
            at: Some(3),
            length: Some(announced),
        };
        let refused = store.upload_append(&name, &id, chunk, body(&[b"de", b"f"])).await;
        assert!(
            matches!(refused, Err(UploadError::Length { offset: 3, .. })),
            "{refused:?}"
        );
        assert_eq!(offset(&store, &name, &id).await, 3);
    }
    assert_eq!(
        std::fs::metadata(volume.keys().upload_data(&id)).unwrap().len(),
        3
    );
    let digest = digest_of(b"abcxyz");
    store
        .upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"xyz"]))
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"abcxyz");
}

#[tokio::test]
async fn what_came_before_the_connection_broke_is_kept() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let broken = store
        .upload_append(&name, &id, Chunk::default(), broken_body(b"half"))
        .await;
    assert!(matches!(broken, Err(UploadError::Interrupted { offset: 4, .. })));
    let digest = digest_of(b"half and half");
    store
        .upload_finish(&name, &id, &digest, at(4), body(&[b" and half"]))
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"half and half");
}

/// P76.
#[tokio::test]
async fn wrong_digest_discards_the_session_and_stores_nothing() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let announced = digest_of(b"expected");
    let refused = store
        .upload_finish(&name, &id, &announced, Chunk::default(), body(&[b"other"]))
        .await;
    match refused {
        Err(UploadError::DigestMismatch { actual, .. }) => assert_eq!(actual, digest_of(b"other")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        store.upload_status(&name, &id).await,
        Err(UploadError::Unknown)
    ));
    assert!(matches!(
        store.blob_open(&name, &announced).await,
        Err(BlobError::Unknown { .. })
    ));
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
    let link = volume.keys().layer_link(&name, &announced);
    assert!(!link.parent().unwrap().exists(), "it makes the repository known");
    let temporary = std::fs::read_dir(volume.keys().temporary()).unwrap();
    let mut left = temporary.map(|entry| entry.unwrap().path());
    assert!(left.all(|path| is_spare(&path) || path.ends_with(PROBE)));
}

/// P63, P64.
#[tokio::test]
async fn every_algorithm_is_taken_with_and_without_a_hint() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let hints = Algorithm::ALL.map(Some).into_iter().chain([None]);
    let pairs = hints.flat_map(|hint| Algorithm::ALL.map(|algorithm| (hint, algorithm)));
    for (hint, algorithm) in pairs {
        let bytes = format!("{algorithm} after {hint:?}");
        let digest = Digest::of(algorithm, bytes.as_bytes());
        let id = store.upload_start(&name, hint).await.unwrap();
        store
            .upload_append(&name, &id, Chunk::default(), body(&[&bytes.as_bytes()[..3]]))
            .await
            .unwrap();
        store
            .upload_finish(
                &name,
                &id,
                &digest,
                Chunk::default(),
                body(&[&bytes.as_bytes()[3..]]),
            )
            .await
            .unwrap();
        assert_eq!(read_blob(&store, &name, &digest).await, bytes.as_bytes());
    }
}

#[tokio::test]
async fn session_of_another_repository_is_unknown() {
    let volume = Volume::new();
    let store = volume.open().await;
    let id = store.upload_start(&repository("a"), None).await.unwrap();
    let other = repository("b");
    assert!(matches!(
        store.upload_status(&other, &id).await,
        Err(UploadError::Unknown)
    ));
    let refused = store
        .upload_append(&other, &id, Chunk::default(), body(&[b"x"]))
        .await;
    assert!(matches!(refused, Err(UploadError::Unknown)));
}

/// P78.
#[tokio::test]
async fn cancelled_session_is_gone_with_its_bytes() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[b"x"]))
        .await
        .unwrap();
    store.upload_cancel(&name, &id).await.unwrap();
    assert!(matches!(
        store.upload_cancel(&name, &id).await,
        Err(UploadError::Unknown)
    ));
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
    assert_eq!(store.stats().await.unwrap().open_uploads, 0);
}

/// P73.
#[tokio::test]
async fn of_two_writers_at_once_one_is_refused_before_its_bytes_count() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(0);
    let (slow_store, slow_name, slow_id) = (store.clone(), name.clone(), id.clone());
    let slow = tokio::spawn(async move {
        slow_store
            .upload_append(&slow_name, &slow_id, Chunk::default(), receiver)
            .await
    });
    // The channel holds one piece and the writer another: the third send returns once the writer took the first.
    for _ in 0..3 {
        futures::SinkExt::send(&mut sender, Ok(Bytes::from_static(b"slow ")))
            .await
            .unwrap();
    }
    let refused = store
        .upload_append(&name, &id, Chunk::default(), body(&[b"fast"]))
        .await;
    assert!(matches!(refused, Err(UploadError::Busy { .. })));
    assert!(matches!(
        store.upload_cancel(&name, &id).await,
        Err(UploadError::Busy { .. })
    ));
    drop(sender);
    slow.await.unwrap().unwrap();
    let digest = digest_of(b"slow slow slow ");
    store
        .upload_finish(&name, &id, &digest, Chunk::default(), body(&[]))
        .await
        .unwrap();
}

/// P74.
#[tokio::test]
async fn request_dropped_half_way_leaves_a_session_that_goes_on() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let piece = vec![1_u8; 300 << 10];
    let endless = body(&[&piece, &piece]).chain(stream::pending());
    let (dropped_store, dropped_name, dropped_id) = (store.clone(), name.clone(), id.clone());
    let request = tokio::spawn(async move {
        dropped_store
            .upload_append(&dropped_name, &dropped_id, Chunk::default(), endless)
            .await
    });
    while offset(&store, &name, &id).await < 600 << 10 {
        tokio::task::yield_now().await;
    }
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    let mut all = [piece.clone(), piece].concat();
    all.extend_from_slice(b"end");
    store
        .upload_finish(&name, &id, &digest_of(&all), at(600 << 10), body(&[b"end"]))
        .await
        .unwrap();
}

/// P69, P146.
#[tokio::test]
async fn session_survives_a_restart_with_its_offset_and_is_hashed_again() {
    let volume = Volume::new();
    let name = repository("a");
    let store = volume.open().await;
    let plain = store.upload_start(&name, None).await.unwrap();
    let sha512 = store.upload_start(&name, Some(Algorithm::Sha512)).await.unwrap();
    for id in [&plain, &sha512] {
        store
            .upload_append(&name, id, Chunk::default(), body(&[b"before "]))
            .await
            .unwrap();
    }
    drop(store);
    let store = volume.open().await;
    assert_eq!(offset(&store, &name, &plain).await, 7);
    store
        .upload_append(&name, &plain, at(7), body(&[b"and "]))
        .await
        .unwrap();
    let digest = digest_of(b"before and after");
    store
        .upload_finish(&name, &plain, &digest, at(11), body(&[b"after"]))
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"before and after");
    let digest = Digest::of(Algorithm::Sha512, b"before ");
    store
        .upload_finish(&name, &sha512, &digest, at(7), body(&[]))
        .await
        .unwrap();
}

/// P73.
#[tokio::test]
async fn request_that_waits_for_another_is_refused_when_that_has_written() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let append = || Box::pin(store.upload_append(&name, &id, Chunk::default(), body(&[b"same"])));
    let (mut first, mut second) = (append(), append());
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    let (first, second) = futures::join!(first, second);
    assert_eq!(first.unwrap().offset, 4);
    assert!(matches!(second, Err(UploadError::Busy { .. })), "{second:?}");
    assert_eq!(offset(&store, &name, &id).await, 4);
}
