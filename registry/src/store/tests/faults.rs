//! A volume that fails: what the request hears, and what the store does from then on.

use std::io;
use std::sync::atomic::AtomicU8;

use super::disk::{Seam, Step};
use super::*;

pub(super) const NOTHING: u8 = 0;
pub(super) const ONCE: u8 = 2;

/// Fails one kind of step, below one path, with one error, as long as it is armed; or once, as the kernel tells of a
/// failed writeback.
struct Failing {
    step: Step,
    below: &'static str,
    errno: i32,
    armed: Arc<AtomicU8>,
}

impl Seam for Failing {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let fails = self.armed.load(Ordering::SeqCst) != NOTHING && step == self.step;
        let fails = fails && path.to_string_lossy().contains(self.below);
        if fails {
            if self.armed.load(Ordering::SeqCst) == ONCE {
                self.armed.store(NOTHING, Ordering::SeqCst);
            }
            Err(io::Error::from_raw_os_error(self.errno))
        } else {
            Ok(())
        }
    }
}

pub(super) const EIO: i32 = 5;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

pub(super) async fn open_failing(
    volume: &Volume,
    step: Step,
    below: &'static str,
    errno: i32,
) -> (Store, Arc<AtomicU8>) {
    let armed = Arc::new(AtomicU8::new(NOTHING));
    let seam = Failing {
        step,
        below,
        errno,
        armed: Arc::clone(&armed),
    };
    (
        Store::open_through(volume.options(), Box::new(seam))
            .await
            .unwrap(),
        armed,
    )
}

#[tokio::test]
async fn full_volume_fails_that_write_only() {
    for errno in [ENOSPC, EDQUOT] {
        for step in [Step::Write, Step::CreateDirectory, Step::Rename, Step::SyncFile] {
            let volume = Volume::new();
            let (store, armed) = open_failing(&volume, step, "", errno).await;
            let name = repository("a");
            let digest = push_blob(&store, &name, b"before").await;
            armed.store(1, Ordering::SeqCst);
            let refused = try_push_blob(&store, &name, b"full").await;
            assert!(
                matches!(refused, Err(UploadError::Fault(Fault::Full { .. }))),
                "{step:?}: {refused:?}"
            );
            assert_eq!(read_blob(&store, &name, &digest).await, b"before");
            armed.store(NOTHING, Ordering::SeqCst);
            assert_eq!(store.read_only(), None);
            push_blob(&store, &name, b"full").await;
        }
    }
}

#[tokio::test]
async fn manifest_that_a_full_volume_refuses_makes_no_repository_known() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Rename, "/blobs/", ENOSPC).await;
    let name = repository("new");
    let document = Bytes::from(index(&[]).to_string());
    let reference = Reference::Digest(digest_of(&document));
    let push = || store.manifest_put(&name, &reference, &[], None, document.clone());
    armed.store(1, Ordering::SeqCst);
    let refused = push().await;
    assert!(
        matches!(refused, Err(ManifestError::Fault(Fault::Full { .. }))),
        "{refused:?}"
    );
    assert!(!volume.keys().repository(&name).exists());
    armed.store(NOTHING, Ordering::SeqCst);
    push().await.unwrap();
}

#[tokio::test]
async fn failed_fsync_makes_the_store_read_only_until_it_is_opened_again() {
    for (step, errno) in [
        (Step::SyncFile, EIO),
        (Step::SyncDirectory, EIO),
        (Step::SyncDirectory, ENOSPC),
    ] {
        let volume = Volume::new();
        let (store, armed) = open_failing(&volume, step, "", errno).await;
        let name = repository("a");
        push_image(&store, &name, "v1", "x").await;
        armed.store(1, Ordering::SeqCst);
        let refused = put(&store, &name, "v1", &index(&[])).await;
        let is_told = matches!(&refused, Err(ManifestError::Fault(Fault::ReadOnly { .. })));
        assert!(is_told, "{refused:?}");
        armed.store(NOTHING, Ordering::SeqCst);
        let refused = store.tag_delete(&name, &tag("v1")).await;
        let Err(ManifestError::Fault(Fault::ReadOnly {
            reason: ReadOnlyReason::Failed(sentence),
        })) = refused
        else {
            panic!("{refused:?}")
        };
        assert!(sentence.contains("restart the registry"), "{sentence}");
        assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
        store.health().await.unwrap();
        drop(store);
        volume.open().await.tag_delete(&name, &tag("v1")).await.unwrap();
    }
}

#[tokio::test]
async fn too_many_open_files_fail_that_write_only_and_change_nothing() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::OpenDirectory, "", EMFILE).await;
    let name = repository("a");
    let before = push_image(&store, &name, "v1", "x").await;
    let document = index(&[]);
    armed.store(1, Ordering::SeqCst);
    assert!(matches!(
        put(&store, &name, "v1", &document).await,
        Err(ManifestError::Fault(Fault::Io { .. }))
    ));
    assert!(store.tag_delete(&name, &tag("v1")).await.is_err());
    assert!(store.manifest_delete(&name, &before).await.is_err());
    assert_eq!(store.read_only(), None);
    let found = store.manifest_read(&name, &"v1".parse().unwrap()).await;
    assert_eq!(found.unwrap().digest, before);
    armed.store(NOTHING, Ordering::SeqCst);
    put(&store, &name, "v1", &document).await.unwrap();
}

#[tokio::test]
async fn upload_whose_fsync_failed_is_gone_whatever_the_error() {
    for errno in [ENOSPC, EDQUOT, EIO] {
        let volume = Volume::new();
        let (store, armed) = open_failing(&volume, Step::SyncFile, ".data", errno).await;
        let name = repository("a");
        let id = store.upload_start(&name, None).await.unwrap();
        let digest = digest_of(b"lost");
        store
            .upload_append(&name, &id, Chunk::default(), body(&[b"lost"]))
            .await
            .unwrap();
        armed.store(ONCE, Ordering::SeqCst);
        let finish = || store.upload_finish(&name, &id, &digest, Chunk::default(), body(&[]));
        let refused = finish().await;
        assert!(matches!(refused, Err(UploadError::Fault(_))), "{refused:?}");
        let again = finish().await;
        let is_right = match again {
            Err(UploadError::Fault(Fault::ReadOnly { .. })) => errno == EIO,
            Err(UploadError::Unknown) => errno != EIO,
            _ => false,
        };
        assert!(is_right, "{errno}: {again:?}");
        assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
        assert_eq!(store.read_only().is_some(), errno == EIO);
    }
}

#[tokio::test]
async fn repeated_finish_is_not_told_that_a_blob_is_there_whose_link_may_be_lost() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::SyncDirectory, "/_layers/sha256/", EIO).await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let digest = digest_of(b"lost");
    armed.store(ONCE, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = store
            .upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"lost"]))
            .await;
        let is_told = matches!(refused, Err(UploadError::Fault(Fault::ReadOnly { .. })));
        assert!(is_told, "{refused:?}");
    }
    assert!(volume.keys().layer_link(&name, &digest).exists());
}

#[tokio::test]
async fn early_writeback_that_failed_is_heard_of_at_the_end_and_ends_that_upload_only() {
    let volume = Volume::in_memory();
    let (store, armed) = open_failing(&volume, Step::SyncFile, ".data", ENOSPC).await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let early = usize::try_from(receive::WRITEBACK_BYTES).unwrap();
    let digest = digest_of(&[vec![0; early], b"rest".to_vec()].concat());
    let (mut sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, BodyError>>(0);
    let (finished_store, finished_name, finished_id) = (store.clone(), name.clone(), id.clone());
    armed.store(ONCE, Ordering::SeqCst);
    let request = tokio::spawn(async move {
        finished_store
            .upload_finish(&finished_name, &finished_id, &digest, Chunk::default(), receiver)
            .await
    });
    let piece = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..early / piece.len() {
        futures::SinkExt::send(&mut sender, Ok(piece.clone()))
            .await
            .unwrap();
    }
    while armed.load(Ordering::SeqCst) != NOTHING {
        tokio::task::yield_now().await;
    }
    // The request may have been refused already: then nobody takes the rest.
    drop(futures::SinkExt::send(&mut sender, Ok(Bytes::from_static(b"rest"))).await);
    drop(sender);
    let refused = request.await.unwrap();
    let is_full = matches!(refused, Err(UploadError::Fault(Fault::Full { .. })));
    assert!(is_full, "{refused:?}");
    let gone = store.upload_status(&name, &id).await;
    assert!(matches!(gone, Err(UploadError::Unknown)), "{gone:?}");
    assert_eq!(store.read_only(), None);
    push_blob(&store, &name, b"another").await;
}

#[tokio::test]
async fn permission_lost_while_running_fails_that_write_only_and_names_user_and_remedy() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::CreateDirectory, "_layers", EACCES).await;
    armed.store(1, Ordering::SeqCst);
    let refused = try_push_blob(&store, &repository("a"), b"x").await;
    let Err(UploadError::Fault(Fault::NotAllowed { sentence, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        sentence.contains("cannot be written by user") && sentence.contains("`chmod -R u+rwX"),
        "{sentence}"
    );
    assert!(!sentence.contains("only serves pulls"), "{sentence}");
    assert_eq!(store.read_only(), None);
    armed.store(NOTHING, Ordering::SeqCst);
    push_blob(&store, &repository("a"), b"x").await;
}

#[tokio::test]
async fn permission_that_is_missing_at_start_leaves_pulls_only() {
    let volume = Volume::new();
    push_image(&volume.open().await, &repository("a"), "v1", "x").await;
    let seam = Failing {
        step: Step::Write,
        below: "",
        errno: EACCES,
        armed: Arc::new(AtomicU8::new(1)),
    };
    let store = Store::open_through(volume.options(), Box::new(seam))
        .await
        .unwrap();
    let Some(ReadOnlyReason::NotWritable(sentence)) = store.read_only() else {
        panic!("{:?}", store.read_only())
    };
    assert!(
        sentence.contains(", so the registry only serves pulls: run `chmod -R u+rwX"),
        "{sentence}"
    );
    let refused = try_push_blob(&store, &repository("a"), b"y").await;
    let is_told = matches!(refused, Err(UploadError::Fault(Fault::ReadOnly { .. })));
    assert!(is_told, "{refused:?}");
    let read = store
        .manifest_read(&repository("a"), &"v1".parse().unwrap())
        .await;
    assert!(read.is_ok());
}

#[tokio::test]
async fn full_volume_opens_and_serves_pulls() {
    let volume = Volume::new();
    push_image(&volume.open().await, &repository("a"), "v1", "x").await;
    let armed = Arc::new(AtomicU8::new(1));
    let seam = Failing {
        step: Step::Write,
        below: "",
        errno: ENOSPC,
        armed,
    };
    let store = Store::open_through(volume.options(), Box::new(seam))
        .await
        .unwrap();
    assert_eq!(store.read_only(), None);
    assert!(
        store
            .manifest_read(&repository("a"), &"v1".parse().unwrap())
            .await
            .is_ok()
    );
    store.tag_delete(&repository("a"), &tag("v1")).await.unwrap();
}

#[tokio::test]
async fn directories_removed_by_hand_are_made_again() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    push_image(&store, &name, "v1", "x").await;
    std::fs::remove_dir_all(volume.keys().repository(&name)).unwrap();
    push_image(&store, &name, "v1", "x").await;
    assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn volume_that_cannot_be_synced_after_a_start_takes_no_writes() {
    for (step, errno) in [(Step::SyncVolume, EIO), (Step::OpenDirectory, EMFILE)] {
        let volume = Volume::new();
        push_image(&volume.open().await, &repository("a"), "v1", "x").await;
        let seam = Unsettled {
            step,
            errno,
            root: volume.path().to_owned(),
            is_open: AtomicU8::new(NOTHING),
        };
        let store = Store::open_through(volume.options(), Box::new(seam))
            .await
            .unwrap();
        let refused = try_push_blob(&store, &repository("a"), b"y").await;
        let Err(UploadError::Fault(Fault::ReadOnly {
            reason: ReadOnlyReason::Failed(sentence),
        })) = refused
        else {
            panic!("{refused:?}")
        };
        assert!(
            sentence.starts_with("sync of") && sentence.contains("then restart"),
            "{sentence}"
        );
        let read = store
            .manifest_read(&repository("a"), &"v1".parse().unwrap())
            .await;
        assert!(read.is_ok());
    }
}

/// Fails a step on the root once the volume was probed.
struct Unsettled {
    step: Step,
    errno: i32,
    root: PathBuf,
    is_open: AtomicU8,
}

impl Seam for Unsettled {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step == Step::SyncFile && path.ends_with("tmp/probe") {
            self.is_open.store(1, Ordering::SeqCst);
        }
        let fails = self.is_open.load(Ordering::SeqCst) != NOTHING && step == self.step && path == self.root;
        if fails {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }
}
