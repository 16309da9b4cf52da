//! Pushes that a full volume refuses, wherever it gets full: nothing of them can be found, and they can be made again.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::disk::{Disk, Seam, Step, lock};
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

/// Holds one kind of step below a path, once, until somebody lets it go on; and has no room for directories when told so.
struct HoldsOne {
    step: Step,
    below: String,
    ends: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
    is_full: Arc<AtomicBool>,
}

impl Seam for HoldsOne {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step == self.step && path.to_string_lossy().contains(&self.below) {
            let ends = lock(&self.ends).take();
            if let Some((reached, go_on)) = ends {
                reached.send(()).unwrap();
                go_on.recv().unwrap();
            }
        }
        if step == Step::CreateDirectory && self.is_full.load(Ordering::SeqCst) && !path.exists() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// A push of one blob to a repository, held at that step. With what lets it go on, and what fills the volume.
async fn held_push(
    volume: &Volume,
    step: Step,
    below: String,
) -> (
    Store,
    tokio::task::JoinHandle<Result<(), UploadError>>,
    mpsc::Sender<()>,
    Arc<AtomicBool>,
) {
    let (reached, is_reached) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    let is_full = Arc::new(AtomicBool::new(false));
    let seam = HoldsOne {
        step,
        below,
        ends: Mutex::new(Some((reached, gate))),
        is_full: Arc::clone(&is_full),
    };
    let store = Store::open_through(volume.options(), Box::new(seam))
        .await
        .unwrap();
    let pushing = store.clone();
    let held = tokio::spawn(async move { try_push_blob(&pushing, &new(), b"one").await });
    let waiting = move || is_reached.recv_timeout(Duration::from_mins(1)).unwrap();
    tokio::task::spawn_blocking(waiting).await.unwrap();
    (store, held, go_on, is_full)
}

#[tokio::test]
async fn directory_for_what_is_ready_stays_when_another_push_of_that_is_refused() {
    let volume = Volume::in_memory();
    let digest = digest_of(b"one");
    // its bytes are where they belong by then, and cannot be given back
    let blob = volume.keys().blob(&digest);
    let place = blob.parent().unwrap().to_string_lossy().into_owned();
    let (store, held, go_on, is_full) = held_push(&volume, Step::SyncDirectory, place).await;
    let name = new();
    let wrong = store.upload_whole(&name, &digest, Chunk::default(), body(&[b"two"]));
    assert!(wrong.await.is_err());
    is_full.store(true, Ordering::SeqCst);
    go_on.send(()).unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(read_blob(&store, &new(), &digest).await, b"one");
}

#[tokio::test]
async fn push_with_a_wrong_digest_waits_for_nobody_who_makes_directories() {
    let volume = Volume::in_memory();
    let (store, held, go_on, _) = held_push(&volume, Step::Rename, "/blobs/".into()).await;
    let (other, digest) = (repository("other"), digest_of(b"x"));
    let wrong = store.upload_whole(&other, &digest, Chunk::default(), body(&[b"y"]));
    let refused = tokio::time::timeout(Duration::from_mins(1), wrong).await;
    go_on.send(()).unwrap();
    let refused = refused.expect("it waits");
    assert!(
        matches!(refused, Err(UploadError::DigestMismatch { .. })),
        "{refused:?}"
    );
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn push_that_waits_for_another_of_its_digest_leaves_no_directory() {
    for is_full in [true, false] {
        let it = Trial::new().await;
        let (name, digest) = (new(), digest_of(b"x"));
        let before = directories_below(&it.volume.path().join("docker"));
        let stripe = it.store.inner.locks.hold(&[&digest], &[]).await;
        let mut pushing = Box::pin(
            it.store
                .upload_whole(&name, &digest, Chunk::default(), body(&[b"x"])),
        );
        let data = || std::fs::read_dir(it.volume.keys().uploads()).unwrap().next();
        while data().is_none_or(|it| it.unwrap().metadata().unwrap().len() == 0) {
            assert!(futures::poll!(&mut pushing).is_pending());
            tokio::task::yield_now().await;
        }
        while directories_below(&it.volume.path().join("docker")) != before {
            assert!(futures::poll!(&mut pushing).is_pending());
            tokio::task::yield_now().await;
        }
        if is_full {
            it.room.store(0, Ordering::SeqCst);
            drop(stripe);
            assert!(pushing.await.is_err());
        } else {
            drop(pushing);
            drop(stripe);
        }
        assert_eq!(directories_below(&it.volume.path().join("docker")), before);
    }
}

#[tokio::test]
async fn manifest_that_a_full_volume_refuses_leaves_no_record() {
    let it = Trial::new().await;
    let mut document = image(&digest_of(b"absent"), &[]);
    document["subject"] = descriptor(&digest_of(b"subject"), MediaType::OCI_MANIFEST);
    let records = || {
        let own = it.volume.keys().own().to_owned();
        let known = ["absent", "referrers"].map(|name| files_below(&own.join(name)));
        known.concat()
    };
    let push = async |it: &Trial| {
        let pushed = put(&it.store, &new(), "v1", &document).await;
        let is_known = it.volume.keys().revisions(&new()).exists();
        assert!(is_known || records().is_empty(), "{:?}", records());
        pushed.is_ok() || is_known
    };
    it.expect_nothing_of_refusals(push).await;
    assert_eq!(records().len(), 2);
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    let directories = directories_below(path).into_iter().chain([path.to_owned()]);
    let entries = directories.flat_map(|it| std::fs::read_dir(it).into_iter().flatten());
    let paths = entries.map(|it| it.unwrap().path());
    paths.filter(|it| it.is_file()).collect()
}
