//! The reserve: who may use it, and when it comes back.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::AtomicU8;

use super::disk::{Seam, Step};
use super::*;

const BYTES: u64 = 1 << 20;

/// Finds no space for some renames to temporary places.
struct Full {
    times: Arc<AtomicU8>,
}

impl Seam for Full {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let is_aside = step == Step::Rename && path.parent().is_some_and(|parent| parent.ends_with("tmp"));
        let left = |times: u8| times.checked_sub(1);
        if is_aside
            && self
                .times
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_ok()
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// Finds no space for some records of deletes, and counts the writes of those that it has space for.
#[derive(Clone, Default)]
struct FullForRecords {
    times: Arc<AtomicU8>,
    written: Arc<AtomicU8>,
}

impl Seam for FullForRecords {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step != Step::Write || !disk::is_record(path) {
            return Ok(());
        }
        let left = |times: u8| times.checked_sub(1);
        let full = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        if full.is_ok() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn record_of_a_delete_on_a_full_volume_uses_the_reserve() {
    let volume = Volume::new();
    let seam = FullForRecords::default();
    let mut options = volume.options();
    options.volume.reserve = ReserveSize::Bytes(BYTES);
    let store = Store::open_through(options, Box::new(seam.clone()))
        .await
        .unwrap();
    let name = repository("a");
    let first = push_image(&store, &name, "v1", "x").await;
    let second = push_image(&store, &name, "v2", "y").await;
    seam.times.store(1, Ordering::SeqCst);
    store.manifest_delete(&name, &first).await.unwrap();
    assert_eq!(kept(&volume), (0, 0));
    // the file, and its bytes
    assert_eq!(seam.written.load(Ordering::SeqCst), 2);
    store.manifest_delete(&name, &second).await.unwrap();
    assert_eq!(seam.written.load(Ordering::SeqCst), 4, "without the reserve");
}

/// The number says how often the volume is full from now on.
async fn open_with(volume: &Volume, reserve: ReserveSize) -> (Store, Arc<AtomicU8>) {
    let options = StoreOptions {
        volume: VolumeOptions {
            reserve,
            ..VolumeOptions::default()
        },
        ..volume.options()
    };
    let times = Arc::new(AtomicU8::new(0));
    let seam = Full {
        times: Arc::clone(&times),
    };
    (Store::open_through(options, Box::new(seam)).await.unwrap(), times)
}

fn kept(volume: &Volume) -> (u64, usize) {
    let directory = volume.keys().reserve();
    let bytes = std::fs::metadata(directory.join("bytes")).unwrap().blocks() * 512;
    (bytes, std::fs::read_dir(directory).unwrap().count() - 1)
}

#[tokio::test]
async fn delete_on_a_full_volume_uses_the_reserve_and_the_next_push_makes_it_again() {
    let volume = Volume::new();
    let (store, times) = open_with(&volume, ReserveSize::Bytes(BYTES)).await;
    let name = repository("a");
    push_image(&store, &name, "v1", "x").await;
    let before = kept(&volume);
    times.store(1, Ordering::SeqCst);
    assert!(before.0 >= BYTES && before.1 > 0, "{before:?}");
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    assert_eq!(kept(&volume), (0, 0));
    let status = store.stats().await.unwrap().reserve;
    assert_eq!((status.bytes, status.is_held), (BYTES, false));
    push_image(&store, &name, "v1", "y").await;
    assert_eq!(kept(&volume), before);
    assert!(store.stats().await.unwrap().reserve.is_held);
}

#[tokio::test]
async fn delete_that_the_reserve_does_not_help_is_told_that_the_volume_is_full() {
    for reserve in [ReserveSize::Bytes(BYTES), ReserveSize::Bytes(0)] {
        let volume = Volume::new();
        let (store, times) = open_with(&volume, reserve).await;
        let name = repository("a");
        push_image(&store, &name, "v1", "x").await;
        times.store(2, Ordering::SeqCst);
        let refused = store.tag_delete(&name, &tag("v1")).await;
        assert!(
            matches!(refused, Err(ManifestError::Fault(Fault::Full { .. }))),
            "{refused:?}"
        );
        assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
    }
}

#[tokio::test]
async fn nobody_grows_into_a_reserve_that_cannot_be_had_again() {
    let volume = Volume::new();
    // more than any volume has
    let (store, _) = open_with(&volume, ReserveSize::Bytes(1 << 60)).await;
    let name = repository("a");
    let refused = try_push_blob(&store, &name, b"x").await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Full { .. }))),
        "{refused:?}"
    );
    assert_eq!(store.read_only(), None);
    assert!(!store.stats().await.unwrap().reserve.is_held);
}

#[tokio::test]
async fn reserve_follows_its_configuration_at_the_next_start() {
    let volume = Volume::new();
    for (reserve, bytes) in [(BYTES, BYTES), (2 * BYTES, 2 * BYTES), (BYTES, BYTES)] {
        open_with(&volume, ReserveSize::Bytes(reserve))
            .await
            .0
            .close()
            .await;
        let length = std::fs::metadata(volume.keys().reserve().join("bytes"))
            .unwrap()
            .len();
        assert_eq!((length, kept(&volume).0 >= bytes), (bytes, true));
    }
    open_with(&volume, ReserveSize::Untouched).await.0.close().await;
    assert!(kept(&volume).0 >= BYTES);
    open_with(&volume, ReserveSize::Bytes(0)).await.0.close().await;
    assert!(!volume.keys().reserve().exists());
}

/// A file system that cannot unlink without room, and has room once the reserve is given up, or never.
struct NoRoomToUnlink {
    reserve: PathBuf,
    helps: bool,
}

impl Seam for NoRoomToUnlink {
    fn before(&self, step: Step, _: &Path) -> io::Result<()> {
        let is_given_up = std::fs::metadata(&self.reserve).is_ok_and(|bytes| bytes.len() == 0);
        if step == Step::Remove && !(self.helps && is_given_up) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[tokio::test]
async fn volume_on_which_even_removing_needs_room_opens_serves_and_deletes() {
    for helps in [true, false] {
        let volume = Volume::new();
        let name = repository("a");
        let (store, _) = open_with(&volume, ReserveSize::Bytes(BYTES)).await;
        push_image(&store, &name, "v1", "x").await;
        store.close().await;
        let keys = volume.keys();
        std::fs::create_dir_all(keys.temporary().join("0/current")).unwrap();
        std::fs::create_dir_all(keys.temporary().join("1.aside/current")).unwrap();
        let seam = NoRoomToUnlink {
            reserve: keys.reserve().join("bytes"),
            helps,
        };
        let options = StoreOptions {
            volume: VolumeOptions {
                reserve: ReserveSize::Bytes(BYTES),
                ..VolumeOptions::default()
            },
            ..volume.options()
        };
        let store = Store::open_through(options, Box::new(seam)).await.unwrap();
        assert_eq!(store.read_only(), None);
        assert_eq!(keys.temporary().join("0").exists(), !helps);
        assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
        store.tag_delete(&name, &tag("v1")).await.unwrap();
    }
}
