//! The requests that begin and end an upload, when they fail or are made again.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::disk::{Act, Disk, Effect, Seam, lock};
use super::*;

#[tokio::test]
async fn finish_that_is_repeated_gets_the_same_answer_and_one_of_nothing_is_unknown() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let finish = |digest: Digest| {
        let (store, name, id) = (store.clone(), name.clone(), id.clone());
        async move {
            store
                .upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"x"]))
                .await
        }
    };
    finish(digest_of(b"x")).await.unwrap();
    finish(digest_of(b"x")).await.unwrap();
    let other = finish(digest_of(b"y")).await;
    assert!(matches!(other, Err(UploadError::Unknown)), "{other:?}");
    store.close().await;
    let refused = finish(digest_of(b"x")).await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Closed))),
        "{refused:?}"
    );
}

/// An upload that has become a blob, whose record a kill has left.
struct Left {
    volume: Volume,
    store: Store,
    name: RepositoryName,
    id: UploadId,
    digest: Digest,
}

impl Left {
    async fn new() -> Self {
        let (volume, name, digest) = (Volume::new(), repository("a"), digest_of(b"x"));
        let store = volume.open().await;
        let id = store.upload_start(&name, None).await.unwrap();
        let record = volume.keys().upload_record(&id);
        let left = std::fs::read(&record).unwrap();
        let chunk = Chunk::default();
        let finished = store.upload_finish(&name, &id, &digest, chunk, body(&[b"x"]));
        finished.await.unwrap();
        store.close().await;
        std::fs::write(&record, left).unwrap();
        Self {
            store: volume.open().await,
            volume,
            name,
            id,
            digest,
        }
    }

    async fn finish(&self, digest: &Digest) -> Result<(), UploadError> {
        let (chunk, empty) = (Chunk::default(), body(&[]));
        self.store
            .upload_finish(&self.name, &self.id, digest, chunk, empty)
            .await
    }
}

/// P77.
#[tokio::test]
async fn finish_that_is_repeated_after_a_kill_gets_the_same_answer_though_the_record_was_left() {
    let it = Left::new().await;
    it.finish(&it.digest).await.unwrap();
    assert!(!it.volume.keys().upload_record(&it.id).exists());
    assert_eq!(read_blob(&it.store, &it.name, &it.digest).await, b"x");
    let other = it.finish(&digest_of(b"y")).await;
    assert!(matches!(other, Err(UploadError::Unknown)), "{other:?}");
}

/// P77.
#[tokio::test]
async fn finish_that_is_repeated_hears_of_a_fault_and_may_be_repeated_again() {
    let it = Left::new().await;
    let link = it.volume.keys().layer_link(&it.name, &it.digest);
    let aside = link.with_extension("aside");
    std::fs::rename(&link, &aside).unwrap();
    std::os::unix::fs::symlink(&link, &link).unwrap(); // nobody can read it
    let refused = it.finish(&it.digest).await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Io { .. }))),
        "{refused:?}"
    );
    std::fs::rename(&aside, &link).unwrap();
    it.finish(&it.digest).await.unwrap();
}

/// Has room for files and none for bytes.
struct NoBytes;

impl Seam for NoBytes {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        match effect {
            Effect::Write { path, .. } if path.extension().is_some_and(|it| it == "json") => {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            _ => act(),
        }
    }
}

#[tokio::test]
async fn upload_that_a_full_volume_refuses_leaves_no_file() {
    let volume = Volume::new();
    let store = Store::open_through(volume.options(), Box::new(NoBytes))
        .await
        .unwrap();
    let refused = store.upload_start(&repository("a"), None).await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Full { .. }))),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
}

/// Holds the first fsync of one directory until somebody lets it go on.
struct Held {
    directory: PathBuf,
    reached: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
    syncs: Arc<AtomicUsize>,
}

impl Seam for Held {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        let is_it = matches!(effect, Effect::SyncDirectory { path } if *path == self.directory);
        if is_it && self.syncs.fetch_add(1, Ordering::SeqCst) == 0 {
            self.reached.send(()).unwrap();
            lock(&self.go_on).recv().unwrap();
        }
        act()
    }
}

#[test]
fn directory_that_was_taken_away_while_it_was_made_durable_is_not_believed_to_be_so() {
    let volume = Volume::in_memory();
    let directory = volume.path().join("blobs");
    std::fs::create_dir(&directory).unwrap();
    let (reached, at_fsync) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    let syncs = Arc::new(AtomicUsize::new(0));
    let seam = Held {
        directory: volume.path().to_owned(),
        reached,
        go_on: Mutex::new(gate),
        syncs: Arc::clone(&syncs),
    };
    let disk = Disk::new(volume.path(), volume.path().join("tmp"), Box::new(seam));
    std::thread::scope(|scope| {
        let making = scope.spawn(|| disk.create_directories(&directory));
        at_fsync.recv().unwrap();
        disk.remove_if_empty(&directory);
        std::fs::create_dir(&directory).unwrap(); // another push, which has not fsynced yet
        go_on.send(()).unwrap();
        making.join().unwrap().unwrap();
    });
    disk.create_directories(&directory).unwrap();
    assert_eq!(
        syncs.load(Ordering::SeqCst),
        2,
        "who relies on it has not fsynced it"
    );
    disk.create_directories(&directory).unwrap();
    assert_eq!(syncs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn link_of_a_pushed_blob_is_as_young_as_its_acknowledgement() {
    let volume = Volume::new();
    let acknowledged = now() + Duration::from_hours(2); // so long did the fsync take
    let options = StoreOptions {
        clock: Arc::new(move || acknowledged),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let name = repository("a");
    let digest = push_blob(&store, &name, b"x").await;
    let link = volume.keys().layer_link(&name, &digest);
    let written = std::fs::metadata(link).unwrap().modified().unwrap();
    assert_eq!(written, acknowledged);
}

/// Counts writes to uploads.
struct CountsWrites(Arc<AtomicUsize>);

impl Seam for CountsWrites {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        if matches!(effect, Effect::Write { path, .. } if path.extension().is_some_and(|it| it == "data")) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        act()
    }
}

/// P84.
#[tokio::test]
async fn body_that_comes_byte_by_byte_is_kept_and_written_in_one_piece() {
    let volume = Volume::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let seam = CountsWrites(Arc::clone(&writes));
    let store = Store::open_through(volume.options(), Box::new(seam))
        .await
        .unwrap();
    let (name, all) = (repository("a"), vec![7; 5_000]);
    let bytes = stream::iter(
        all.chunks(1)
            .map(Bytes::copy_from_slice)
            .map(Ok)
            .collect::<Vec<_>>(),
    );
    let id = store.upload_start(&name, None).await.unwrap();
    let digest = digest_of(&all);
    store
        .upload_finish(&name, &id, &digest, Chunk::default(), bytes)
        .await
        .unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, all);
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn empty_piece_of_a_body_is_nothing_to_write() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let appended = store
        .upload_append(&name, &id, Chunk::default(), body(&[b""]))
        .await;
    assert_eq!(appended.unwrap().offset, 0);
    assert!(!volume.keys().upload_data(&id).exists());
}
