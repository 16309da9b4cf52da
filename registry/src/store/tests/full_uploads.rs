//! Uploads that find no room: what a session is afterwards.

use std::sync::mpsc;

use super::disk::{Act, Effect, Seam, Step, lock};
use super::faults::{ENOSPC, NOTHING, ONCE, open_failing};
use super::*;

/// An upload that has four bytes.
async fn begun(store: &Store, name: &RepositoryName) -> UploadId {
    let id = store.upload_start(name, None).await.unwrap();
    store
        .upload_append(name, &id, Chunk::default(), body(&[b"one "]))
        .await
        .unwrap();
    id
}

fn is_full<T>(refused: &Result<T, UploadError>) -> bool {
    matches!(refused, Err(UploadError::Fault(Fault::Full { .. })))
}

#[tokio::test]
async fn upload_that_met_a_full_volume_goes_on_where_it_was() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Write, ".data", ENOSPC).await;
    let name = repository("a");
    let id = begun(&store, &name).await;
    armed.store(1, Ordering::SeqCst);
    let refused = store
        .upload_append(&name, &id, Chunk::default(), body(&[b"two"]))
        .await;
    assert!(is_full(&refused), "{refused:?}");
    armed.store(NOTHING, Ordering::SeqCst);
    assert_eq!(store.upload_status(&name, &id).await.unwrap().offset, 4);
    let digest = digest_of(b"one two");
    let rest = Chunk {
        at: Some(4),
        length: Some(3),
    };
    store
        .upload_finish(&name, &id, &digest, rest, body(&[b"two"]))
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"one two");
}

#[tokio::test]
async fn request_that_a_full_volume_refuses_gives_its_bytes_back() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Write, ".data", ENOSPC).await;
    let name = repository("a");
    let id = begun(&store, &name).await;
    // the third piece comes when the first is written, and the last is less than a batch
    for last in [2, 3] {
        let arming = Arc::clone(&armed);
        let pieces = stream::iter(0..=last).map(move |number| {
            let bytes = if number == 3 { 1 << 10 } else { 300 << 10 };
            arming.store(if number == last { ONCE } else { NOTHING }, Ordering::SeqCst);
            Ok(Bytes::from(vec![1; bytes]))
        });
        let refused = store.upload_append(&name, &id, Chunk::default(), pieces).await;
        assert!(is_full(&refused), "{refused:?}");
        let kept = std::fs::metadata(volume.keys().upload_data(&id)).unwrap();
        assert_eq!(kept.len(), 4);
    }
    let digest = digest_of(b"one two");
    store
        .upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"two"]))
        .await
        .unwrap();
}

/// Refuses the first write to an upload once it is told to go on.
struct FullWhenTold(Mutex<Option<mpsc::Receiver<()>>>);

impl Seam for FullWhenTold {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        if matches!(effect, Effect::Write { path, .. } if path.extension().is_some_and(|it| it == "data"))
            && let Some(told) = lock(&self.0).take()
        {
            told.recv().unwrap();
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        act()
    }
}

#[tokio::test]
async fn bytes_that_came_after_a_refused_request_are_not_given_back_with_its_own() {
    let volume = Volume::new();
    let (go_on, told) = mpsc::channel();
    let seam = Box::new(FullWhenTold(Mutex::new(Some(told))));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let append = async || {
        let piece = body(&[b"two"]);
        store.upload_append(&name, &id, Chunk::default(), piece).await
    };
    let mut first = Box::pin(append());
    assert!(futures::poll!(&mut first).is_pending()); // its thread meets the full volume; nobody hears of it yet
    go_on.send(()).unwrap();
    while let Err(error) = append().await {
        assert!(matches!(error, UploadError::Busy { .. }), "{error}");
        tokio::task::yield_now().await;
    }
    let refused = first.await;
    assert!(is_full(&refused), "{refused:?}");
    assert_eq!(offset(&store, &name, &id).await, 3);
}

#[tokio::test]
async fn last_request_that_finds_no_room_for_its_link_can_be_made_again() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Write, "/tmp/", ENOSPC).await;
    let (name, digest) = (repository("a"), digest_of(b"one two"));
    let id = begun(&store, &name).await;
    let finish = async || {
        let last = body(&[b"two"]);
        store
            .upload_finish(&name, &id, &digest, Chunk::default(), last)
            .await
    };
    armed.store(1, Ordering::SeqCst);
    let refused = finish().await;
    assert!(is_full(&refused), "{refused:?}");
    armed.store(NOTHING, Ordering::SeqCst);
    assert_eq!(offset(&store, &name, &id).await, 4);
    finish().await.unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"one two");
}
