//! Blobs that come in one request: nothing is left of one that does not become a blob.

use std::sync::mpsc;

use super::faults::{EIO, ENOSPC, ONCE, open_failing};
use super::*;
use crate::store::disk::{Act, Effect, Seam, Step, lock};

async fn push(
    store: &Store,
    bytes: &'static [u8],
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
) -> Result<(), UploadError> {
    let (name, digest) = (repository("a"), digest_of(bytes));
    store.upload_whole(&name, &digest, Chunk::default(), body).await
}

fn files_of_uploads(volume: &Volume) -> usize {
    std::fs::read_dir(volume.keys().uploads()).unwrap().count()
}

/// Some batches, and then nothing.
fn endless() -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin {
    let pieces = stream::iter((0..3).map(|_| Ok(Bytes::from(vec![7; 300 << 10]))));
    pieces.chain(stream::pending())
}

/// P62.
#[tokio::test]
async fn blob_that_comes_in_one_request_has_no_record_and_leaves_no_file() {
    let volume = Volume::new();
    let store = volume.open().await;
    let record_seen = body(&[b"on", b"e"]).inspect(|_| {
        let records = std::fs::read_dir(volume.keys().uploads()).unwrap();
        let is_record = |path: &Path| path.extension().is_some_and(|it| it == "json");
        assert!(records.into_iter().all(|it| !is_record(&it.unwrap().path())));
    });
    push(&store, b"one", record_seen).await.unwrap();
    assert_eq!(
        read_blob(&store, &repository("a"), &digest_of(b"one")).await,
        b"one"
    );
    assert_eq!(files_of_uploads(&volume), 0);
    // somebody has tidied up
    std::fs::remove_dir(volume.keys().uploads()).unwrap();
    push(&store, b"two", body(&[b"two"])).await.unwrap();
}

#[tokio::test]
async fn blob_in_one_request_that_is_refused_leaves_no_file() {
    let volume = Volume::new();
    let store = volume.open().await;
    let other = push(&store, b"one", body(&[b"two"])).await;
    assert!(
        matches!(other, Err(UploadError::DigestMismatch { .. })),
        "{other:?}"
    );
    let broken = push(&store, b"one", broken_body(b"on")).await;
    assert!(
        matches!(broken, Err(UploadError::Interrupted { offset: 2, .. })),
        "{broken:?}"
    );
    let late = Chunk {
        at: Some(1),
        length: None,
    };
    let (name, digest) = (repository("a"), digest_of(b"one"));
    let late = store.upload_whole(&name, &digest, late, body(&[b"ne"])).await;
    assert!(
        matches!(late, Err(UploadError::OutOfOrder { offset: 0 })),
        "{late:?}"
    );
    assert_eq!(files_of_uploads(&volume), 0);
    assert!(!volume.keys().repository(&name).exists());
}

#[tokio::test]
async fn blob_in_one_request_that_the_volume_refuses_leaves_no_file() {
    for (step, errno) in [
        (Step::Write, ENOSPC),
        (Step::SyncFile, ENOSPC),
        (Step::SyncFile, EIO),
    ] {
        let volume = Volume::new();
        let (store, armed) = open_failing(&volume, step, ".data", errno).await;
        armed.store(ONCE, Ordering::SeqCst);
        let refused = push(&store, b"one", body(&[b"one"])).await;
        assert!(matches!(refused, Err(UploadError::Fault(_))), "{refused:?}");
        assert_eq!(files_of_uploads(&volume), 0, "{step:?} {errno}");
    }
}

#[tokio::test]
async fn blob_in_one_request_whose_client_goes_leaves_no_file() {
    let volume = Volume::new();
    let store = volume.open().await;
    let mut pushing = Box::pin(push(&store, b"one", endless()));
    while files_of_uploads(&volume) == 0 {
        assert!(futures::poll!(&mut pushing).is_pending());
        tokio::task::yield_now().await;
    }
    drop(pushing);
    while files_of_uploads(&volume) != 0 || !store.inner.sessions.all().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_kill_has_left_of_one_request_goes_at_once_and_what_can_go_on_stays() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let kept = store.upload_start(&name, None).await.unwrap();
    let append = async |id| {
        store
            .upload_append(&name, id, Chunk::default(), body(&[b"x"]))
            .await
    };
    append(&kept).await.unwrap();
    let left = store.upload_start(&name, None).await.unwrap();
    append(&left).await.unwrap();
    store.close().await;
    drop(store);
    std::fs::remove_file(volume.keys().upload_record(&left)).unwrap();
    let options = StoreOptions {
        upload_idle_timeout: Duration::MAX, // as a repair does, which removes nothing
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    assert_eq!(store.expire_uploads().await.unwrap(), 0);
    store.close().await;
    let store = volume.open().await;
    let mut pushing = Box::pin(push(&store, b"one", endless()));
    while files_of_uploads(&volume) < 4 {
        assert!(futures::poll!(&mut pushing).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert!(!volume.keys().upload_data(&left).exists());
    assert_eq!(offset(&store, &name, &kept).await, 1);
    assert_eq!(
        files_of_uploads(&volume),
        3,
        "one that comes in right now has gone"
    );
}

#[tokio::test]
async fn blob_in_one_request_is_not_waited_for_where_it_cannot_be_kept() {
    let volume = Volume::new();
    let store = volume.open().await;
    let reason = ReadOnlyReason::Failed("the disk".into());
    store.inner.disk.set_read_only(reason);
    let refused = push(&store, b"one", body(&[b"on"]).chain(stream::pending())).await;
    let is_told = matches!(refused, Err(UploadError::Fault(Fault::ReadOnly { .. })));
    assert!(is_told, "{refused:?}");
}

/// Lets the only thread wait once the bytes of an upload are written.
struct BusyBehindData(Mutex<Option<mpsc::Receiver<()>>>);

impl Seam for BusyBehindData {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        act()?;
        if matches!(effect, Effect::Write { path, .. } if path.extension().is_some_and(|it| it == "data"))
            && let Some(told) = lock(&self.0).take()
        {
            tokio::task::spawn_blocking(move || told.recv().unwrap());
        }
        Ok(())
    }
}

#[test]
fn blob_in_one_request_whose_client_goes_while_it_is_tidied_up_leaves_no_file() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let volume = Volume::new();
        let (go_on, told) = mpsc::channel();
        let seam = BusyBehindData(Mutex::new(Some(told)));
        let store = Store::open_through(volume.options(), Box::new(seam))
            .await
            .unwrap();
        let mut pushing = Box::pin(push(&store, b"one", broken_body(b"on")));
        while files_of_uploads(&volume) == 0 {
            assert!(futures::poll!(&mut pushing).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..1_000 {
            assert!(futures::poll!(&mut pushing).is_pending());
            tokio::task::yield_now().await;
        }
        drop(pushing);
        go_on.send(()).unwrap();
        while files_of_uploads(&volume) != 0 || !store.inner.sessions.all().is_empty() {
            tokio::task::yield_now().await;
        }
    });
}
