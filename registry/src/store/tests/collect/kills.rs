//! The process ends at any step of a collection: what was acknowledged is there after a restart, and a further run
//! removes the rest.

use std::io;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::store::disk::{Seam, Step};

/// Lets a number of steps through and none after them, once it is told to count.
struct StopAfter {
    counts: AtomicBool,
    left: AtomicUsize,
}

impl Seam for Arc<StopAfter> {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        if !self.counts.load(Ordering::SeqCst) {
            return Ok(());
        }
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken
            .map(drop)
            .map_err(|_| io::Error::other("the process has ended"))
    }
}

#[tokio::test]
async fn wherever_a_run_is_killed_nothing_reachable_is_lost_and_the_next_run_frees_the_rest() {
    let name = repository("a");
    let mut cuts = 0;
    loop {
        let volume = Volume::in_memory();
        let seam = Arc::new(StopAfter {
            counts: false.into(),
            left: cuts.into(),
        });
        let store = Store::open_through(volume.options(), Box::new(Arc::clone(&seam)))
            .await
            .unwrap();
        let kept = Image::push(&store, &name, None, "kept").await;
        let signature = Image::push_about(&store, &name, None, "signature", Some(&kept.digest)).await;
        let parent = put_as(&store, &name, Some("v1"), &index(&[&kept.digest])).await;
        let gone = Image::push(&store, &name, None, "gone").await;
        Image::push_about(&store, &name, None, "signature of gone", Some(&gone.digest)).await;
        put_as(&store, &name, None, &index(&[&gone.digest, &kept.digest])).await;
        let source = MountSource::Repository(name.clone());
        assert!(
            store
                .blob_mount(source, &repository("b"), &gone.layer)
                .await
                .unwrap()
        );
        seam.counts.store(true, Ordering::SeqCst);
        let is_done = store.collect(at_once(), |_| {}).await.is_ok();
        drop(store);
        let store = volume.open().await;
        let whole = async |store: &Store| {
            has_manifest(store, &name, &parent).await
                && kept.is_whole(store, &name).await
                && signature.is_whole(store, &name).await
        };
        assert!(whole(&store).await, "cut {cuts}");
        gone.is_whole(&store, &name).await;
        collect_at_once(&store).await;
        assert!(whole(&store).await, "cut {cuts}");
        let rest = [
            &parent,
            &kept.digest,
            &kept.config,
            &kept.layer,
            &signature.digest,
            &signature.config,
            &signature.layer,
        ];
        assert_eq!(contents(&volume), hexes(&rest), "cut {cuts}");
        if is_done {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 25, "only {cuts} places to end at were found");
}

#[tokio::test]
async fn failed_fsync_ends_the_run_before_content_goes() {
    struct FailingFsync;
    impl Seam for FailingFsync {
        fn before(&self, step: Step, path: &Path) -> io::Result<()> {
            let is_link = path.parent().is_some_and(|it| it.ends_with("_layers"));
            if step == Step::SyncDirectory && is_link && path.with_file_name("armed").exists() {
                return Err(io::Error::other("EIO"));
            }
            Ok(())
        }
    }
    let volume = Volume::in_memory();
    let store = Store::open_through(volume.options(), Box::new(FailingFsync))
        .await
        .unwrap();
    let name = repository("a");
    push_blob(&store, &name, b"x").await;
    std::fs::write(volume.keys().layers(&name).join("armed"), b"").unwrap();
    let error = store.collect(at_once(), |_| {}).await.unwrap_err();
    assert!(
        matches!(error, CollectError::Fault(Fault::ReadOnly { .. })),
        "{error}"
    );
    assert_eq!(contents(&volume), hexes(&[&digest_of(b"x")]));
    assert!(store.read_only().is_some());
}

#[tokio::test]
async fn closing_ends_a_run_between_two_batches() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    Image::push(&store, &repository("a"), None, "x").await;
    let closer = store.clone();
    let close = move |progress: CollectProgress| {
        if progress.phase == CollectPhase::Links {
            let closer = closer.clone();
            let ending = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(closer.close());
            });
            ending.join().unwrap();
        }
    };
    let error = store.collect(at_once(), close).await.unwrap_err();
    assert!(matches!(error, CollectError::Fault(Fault::Closed)), "{error}");
    let store = volume.open().await;
    assert_eq!(collect_at_once(&store).await.freed.blobs, 3);
}

/// Panics once, when a file is removed that it was told.
#[derive(Default)]
struct PanicAt(Mutex<Option<PathBuf>>);

impl Seam for Arc<PanicAt> {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let mut at = self.0.lock().unwrap();
        let is_here = at.take_if(|at| step == Step::Remove && path == at).is_some();
        drop(at);
        assert!(!is_here, "so that the run ends here");
        Ok(())
    }
}

#[tokio::test]
async fn after_a_run_that_panicked_half_way_the_next_one_frees_the_rest() {
    let volume = Volume::in_memory();
    let seam = Arc::new(PanicAt::default());
    let store = Store::open_through(volume.options(), Box::new(Arc::clone(&seam)))
        .await
        .unwrap();
    let name = repository("a");
    let blob = push_blob(&store, &name, b"x").await;
    *seam.0.lock().unwrap() = Some(volume.keys().layer_link(&name, &blob));
    let run = store.clone();
    let ended = tokio::spawn(async move { run.collect(at_once(), |_| {}).await }).await;
    assert!(ended.unwrap_err().is_panic());
    assert!(has_blob(&store, &name, &blob).await);
    assert_eq!(collect_at_once(&store).await.freed.blobs, 1);
}
