//! Pushes that a full volume refuses, wherever it gets full: nothing of them can be found, and they can be made again.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use super::disk::{Disk, Seam, Step};
use super::*;

/// Gets full behind so many steps that need room.
struct FullBehind(Arc<AtomicUsize>);

/// More steps than anything takes.
const ROOM: usize = usize::MAX / 2;

impl Seam for FullBehind {
    fn before(&self, step: Step, _: &Path) -> io::Result<()> {
        let needs_room = matches!(step, Step::CreateDirectory | Step::Write | Step::Rename);
        let take = |left: usize| left.checked_sub(1);
        if needs_room
            && self
                .0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_err()
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn keeps_order(&self) -> bool {
        true
    }
}

/// Where something can be pushed to, and what can be mounted from.
struct Trial {
    volume: Volume,
    store: Store,
    room: Arc<AtomicUsize>,
    mountable: Digest,
}

impl Trial {
    async fn new() -> Self {
        let volume = Volume::in_memory();
        let room = Arc::new(AtomicUsize::new(ROOM));
        let seam = Box::new(FullBehind(Arc::clone(&room)));
        let store = Store::open_through(accepting(&volume), seam).await.unwrap();
        let mountable = push_blob(&store, &repository("other"), b"base").await;
        Self {
            volume,
            store,
            room,
            mountable,
        }
    }

    /// Pushes with ever more room until that is enough; whoever is refused must leave nothing.
    async fn expect_nothing_of_refusals(&self, push: impl AsyncFn(&Self) -> bool) {
        let before = directories_below(&self.volume.keys().repositories());
        for steps in 0.. {
            self.room.store(steps, Ordering::SeqCst);
            let is_pushed = push(self).await;
            self.room.store(ROOM, Ordering::SeqCst);
            if is_pushed {
                assert!(steps > 3, "it was not refused");
                return;
            }
            let left = directories_below(&self.volume.keys().repositories());
            assert_eq!(left, before, "room for {steps} steps");
            assert_eq!(self.store.read_only(), None);
        }
    }
}

fn directories_below(path: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(directories_below(&path));
            all.push(path);
        }
    }
    all.sort_unstable();
    all
}

fn new() -> RepositoryName {
    repository("team/new")
}

#[tokio::test]
async fn blob_that_a_full_volume_refuses_makes_no_repository_known() {
    let it = Trial::new().await;
    let push = async |it: &Trial| try_push_blob(&it.store, &new(), b"x").await.is_ok();
    it.expect_nothing_of_refusals(push).await;
    assert_eq!(read_blob(&it.store, &new(), &digest_of(b"x")).await, b"x");
}

#[tokio::test]
async fn blob_in_one_request_that_a_full_volume_refuses_leaves_nothing() {
    let it = Trial::new().await;
    let (name, digest) = (new(), digest_of(b"x"));
    let push = async |it: &Trial| {
        let whole = it
            .store
            .upload_whole(&name, &digest, Chunk::default(), body(&[b"x"]));
        let is_pushed = whole.await.is_ok();
        let uploads = std::fs::read_dir(it.volume.keys().uploads()).unwrap();
        assert_eq!(uploads.count(), 0);
        is_pushed
    };
    it.expect_nothing_of_refusals(push).await;
    assert_eq!(read_blob(&it.store, &name, &digest).await, b"x");
}

#[tokio::test]
async fn last_request_of_a_session_that_a_full_volume_refuses_makes_no_repository_known() {
    let it = Trial::new().await;
    let name = new();
    let id = it.store.upload_start(&name, None).await.unwrap();
    let first = it
        .store
        .upload_append(&name, &id, Chunk::default(), body(&[b"one "]));
    first.await.unwrap();
    let digest = digest_of(b"one two");
    let finish = async |it: &Trial| {
        let (chunk, last) = (Chunk::default(), body(&[b"two"]));
        let finish = it.store.upload_finish(&name, &id, &digest, chunk, last);
        finish.await.is_ok()
    };
    it.expect_nothing_of_refusals(finish).await;
    assert_eq!(read_blob(&it.store, &name, &digest).await, b"one two");
}

#[tokio::test]
async fn mount_that_a_full_volume_refuses_makes_no_repository_known() {
    let it = Trial::new().await;
    let mount = async |it: &Trial| {
        let from = MountSource::Repository(repository("other"));
        it.store.blob_mount(from, &new(), &it.mountable).await.is_ok()
    };
    it.expect_nothing_of_refusals(mount).await;
    assert_eq!(read_blob(&it.store, &new(), &it.mountable).await, b"base");
}

#[tokio::test]
async fn tagged_manifest_that_a_full_volume_refuses_makes_no_repository_known() {
    let it = Trial::new().await;
    let push = async |it: &Trial| {
        let pushed = put(&it.store, &new(), "v1", &index(&[])).await;
        let is_known = it.volume.keys().revisions(&new()).exists();
        pushed.is_ok() || is_known // with the manifest there, only the tag is missing
    };
    it.expect_nothing_of_refusals(push).await;
    put(&it.store, &new(), "v1", &index(&[])).await.unwrap();
}

/// Each layer of an image is pushed at the same time as the others.
#[test]
fn directories_of_what_is_refused_at_once_go_with_the_last_and_stay_with_what_came() {
    let volume = Volume::in_memory();
    let room = Arc::new(AtomicUsize::new(ROOM));
    let seam = Box::new(FullBehind(Arc::clone(&room)));
    std::fs::create_dir(volume.path().join("tmp")).unwrap();
    let disk = Disk::new(volume.path(), volume.path().join("tmp"), seam);
    let above = volume.path().join("repositories");
    let place = |name: &str| above.join("a/_layers").join(name).join("link");
    let prepare = |name| disk.prepare_small(&place(name), b"x").unwrap();

    let (first, second) = (prepare("1"), prepare("2"));
    disk.abandon(&first);
    assert_eq!(directories_below(&above).len(), 3, "a, _layers, 2");
    disk.abandon(&second);
    assert!(!above.exists());

    let (first, second) = (prepare("1"), prepare("2"));
    disk.publish_small(&first).unwrap();
    disk.abandon(&second);
    assert_eq!(directories_below(&above).len(), 3, "a, _layers, 1");
    disk.remove_files(&[place("1")]).unwrap();
    disk.abandon(&prepare("3"));
    assert_eq!(
        directories_below(&above).len(),
        2,
        "something was pushed there once"
    );
    disk.write_small(&place("3"), b"x").unwrap();
}
