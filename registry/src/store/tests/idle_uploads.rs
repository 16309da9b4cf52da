//! Upload sessions that nobody continues: they expire, and give way.

use futures::channel::mpsc;

use super::*;
use crate::store::session::MOST_SESSIONS;

/// P79.
#[tokio::test]
async fn idle_sessions_expire_and_busy_ones_do_not() {
    let volume = Volume::new();
    let later = Arc::new(AtomicBool::new(false));
    let is_later = Arc::clone(&later);
    let clock = move || now() + Duration::from_hours(if is_later.load(Ordering::SeqCst) { 25 } else { 0 });
    let options = StoreOptions {
        clock: Arc::new(clock),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let name = repository("a");
    let idle = store.upload_start(&name, None).await.unwrap();
    let busy = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &idle, Chunk::default(), body(&[b"x"]))
        .await
        .unwrap();
    assert_eq!(store.expire_uploads().await.unwrap(), 0);

    let (mut sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(0);
    let (busy_store, busy_name, busy_id) = (store.clone(), name.clone(), busy.clone());
    let request = tokio::spawn(async move {
        busy_store
            .upload_append(&busy_name, &busy_id, Chunk::default(), receiver)
            .await
    });
    for _ in 0..3 {
        futures::SinkExt::send(&mut sender, Ok(Bytes::from_static(b"y")))
            .await
            .unwrap();
    }
    later.store(true, Ordering::SeqCst);
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert!(matches!(
        store.upload_status(&name, &idle).await,
        Err(UploadError::Unknown)
    ));
    drop(sender);
    assert_eq!(request.await.unwrap().unwrap(), UploadStatus { offset: 3 });
}

/// P79.
#[tokio::test]
async fn expired_sessions_of_a_predecessor_go_too() {
    let volume = Volume::new();
    let name = repository("a");
    let store = volume.open().await;
    let id = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[b"x"]))
        .await
        .unwrap();
    drop(store);
    let options = StoreOptions {
        clock: Arc::new(|| now() + Duration::from_hours(25)),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
}

/// P84.
#[tokio::test]
async fn of_too_many_sessions_the_one_that_rests_longest_gives_way_and_none_that_is_written_to() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let written = store.upload_start(&name, None).await.unwrap();
    let piece = vec![1_u8; 300 << 10];
    let endless = body(&[&piece]).chain(stream::pending());
    let (its_store, its_name, its_id) = (store.clone(), name.clone(), written.clone());
    let request = tokio::spawn(async move {
        its_store
            .upload_append(&its_name, &its_id, Chunk::default(), endless)
            .await
    });
    while offset(&store, &name, &written).await == 0 {
        tokio::task::yield_now().await;
    }
    let asked = store.upload_start(&name, None).await.unwrap();
    let resting = store.upload_start(&name, None).await.unwrap();
    for _ in 3..MOST_SESSIONS {
        store.upload_start(&name, None).await.unwrap();
    }
    assert_eq!(offset(&store, &name, &asked).await, 0);
    let newest = store.upload_start(&name, None).await.unwrap();
    let gone = store.upload_status(&name, &resting).await;
    assert!(matches!(gone, Err(UploadError::Unknown)), "{gone:?}");
    for id in [&written, &asked, &newest] {
        store.upload_status(&name, id).await.unwrap();
    }
    let open = store.stats().await.unwrap().open_uploads;
    assert_eq!(open, MOST_SESSIONS as u64);
    request.abort();
}

#[tokio::test]
async fn session_of_a_predecessor_that_is_asked_for_takes_no_place_of_another() {
    let volume = Volume::new();
    let (predecessor, name) = (volume.open().await, repository("a"));
    let old = predecessor.upload_start(&name, None).await.unwrap();
    predecessor.close().await;
    let store = volume.open().await;
    let longest = store.upload_start(&name, None).await.unwrap();
    for _ in 1..MOST_SESSIONS {
        store.upload_start(&name, None).await.unwrap();
    }
    for id in [&old, &longest] {
        store.upload_status(&name, id).await.unwrap();
    }
    let open = store.stats().await.unwrap().open_uploads;
    assert_eq!(open, MOST_SESSIONS as u64 + 1);
}

#[tokio::test]
async fn record_that_cannot_be_read_keeps_no_other_session_from_expiring() {
    let volume = Volume::new();
    let options = StoreOptions {
        clock: Arc::new(|| now() + Duration::from_hours(25)),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let unreadable = volume
        .keys()
        .upload_record(&portolan_oci::UploadId::from_random([0; 16]));
    std::fs::create_dir(&unreadable).unwrap();
    store.upload_start(&repository("a"), None).await.unwrap();
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert!(unreadable.exists());
}
