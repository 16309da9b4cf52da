//! A volume that fails: what the request hears, and what the store does from then on.

use std::io;
use std::sync::atomic::AtomicU8;

use super::disk::{Seam, Step};
use super::*;

const NOTHING: u8 = 0;

/// Fails one kind of step, below one path, with one error, as long as it is armed.
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
            Err(io::Error::from_raw_os_error(self.errno))
        } else {
            Ok(())
        }
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

async fn open_failing(
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
async fn upload_that_met_a_full_volume_goes_on_where_it_was() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Write, ".data", ENOSPC).await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    store
        .upload_append(&name, &id, Chunk::default(), body(&[b"one "]))
        .await
        .unwrap();
    armed.store(1, Ordering::SeqCst);
    let refused = store
        .upload_append(&name, &id, Chunk::default(), body(&[b"two"]))
        .await;
    assert!(matches!(refused, Err(UploadError::Fault(Fault::Full { .. }))));
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
async fn permission_lost_while_running_names_owner_and_remedies() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::CreateDirectory, "_layers", 13).await;
    armed.store(1, Ordering::SeqCst);
    let refused = try_push_blob(&store, &repository("a"), b"x").await;
    let Err(UploadError::Fault(Fault::ReadOnly {
        reason: ReadOnlyReason::NotWritable(sentence),
    })) = refused
    else {
        panic!("{refused:?}")
    };
    assert!(
        sentence.contains("belongs to user") && sentence.contains("chown -R"),
        "{sentence}"
    );
    armed.store(NOTHING, Ordering::SeqCst);
    push_blob(&store, &repository("a"), b"x").await;
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
