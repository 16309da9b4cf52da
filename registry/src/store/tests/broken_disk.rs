//! A disk that fails, or whose file system takes no writes since: what requests hear, and that it stays so.

use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::Weak;

use super::disk::{Act, Disk, Effect, Seam, Step};
use super::faults::{EIO, ONCE, open_failing};
use super::*;

const EROFS: i32 = 30;

fn is_failed<T>(outcome: &Result<T, Fault>) -> bool {
    matches!(
        outcome,
        Err(Fault::ReadOnly {
            reason: ReadOnlyReason::Failed(_)
        })
    )
}

fn has_failed(store: &Store) -> bool {
    let Some(ReadOnlyReason::Failed(sentence)) = store.read_only() else {
        return false;
    };
    sentence.contains("then restart the registry")
}

fn fault_of(outcome: Result<impl Sized, ManifestError>) -> Result<(), Fault> {
    match outcome {
        Ok(_) => Ok(()),
        Err(ManifestError::Fault(fault)) => Err(fault),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn write_that_the_disk_fails_makes_the_store_read_only_until_it_is_opened_again() {
    let steps = [
        Step::Write,
        Step::CreateDirectory,
        Step::OpenDirectory,
        Step::Rename,
    ];
    for (step, errno) in steps.iter().flat_map(|step| [(*step, EIO), (*step, EROFS)]) {
        let volume = Volume::new();
        let name = repository("a");
        let (store, armed) = open_failing(&volume, step, "", errno).await;
        push_image(&store, &name, "v1", "x").await;
        armed.store(ONCE, Ordering::SeqCst);
        let refused = fault_of(put(&store, &name, "v2", &index(&[])).await);
        assert!(is_failed(&refused), "{step:?} {errno}");
        assert!(has_failed(&store), "{step:?} {errno}: {:?}", store.read_only());
        let refused = fault_of(store.tag_delete(&name, &tag("v1")).await);
        assert!(
            is_failed(&refused),
            "{step:?} {errno}: the disk takes writes again"
        );
        assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
        drop(store);
        put(&volume.open().await, &name, "v2", &index(&[])).await.unwrap();
    }
}

/// Fails every fsync of a file.
struct NoSync;

impl Seam for NoSync {
    fn before(&self, step: Step, _: &Path) -> io::Result<()> {
        if step == Step::SyncFile {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

#[test]
fn failure_that_ends_all_writes_is_logged_once_with_its_reason() {
    let volume = Volume::new();
    let open = || Disk::new(volume.path(), volume.path().to_owned(), Box::new(NoSync));
    let written = volume.path().join("log");
    let file = Arc::new(File::create(&written).unwrap());
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(file)
        .finish();
    tracing::subscriber::with_default(log, || {
        let disk = open();
        for name in ["first", "second"] {
            assert!(is_failed(&disk.probe(&volume.path().join(name))));
        }
        let configured = open();
        configured.set_read_only(ReadOnlyReason::Configured);
        assert!(is_failed(&configured.probe(&volume.path().join("third"))));
    });
    let log = std::fs::read_to_string(written).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["ERROR", "first\" failed", "os error 5", "restart the registry"] {
        assert!(lines[0].contains(part), "{log}");
    }
}

/// Fails to remove directories, or all else.
struct NoRemoval {
    of_directories: bool,
}

impl Seam for NoRemoval {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        let is_directory = matches!(effect, Effect::RemoveDirectory { .. });
        if effect.step() == Step::Remove && is_directory == self.of_directories {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        act()
    }
}

#[tokio::test]
async fn removal_that_the_disk_fails_makes_the_store_read_only_also_where_nobody_waits_for_it() {
    for of_directories in [false, true] {
        let volume = Volume::new();
        let name = repository("a");
        let digest = push_blob(&volume.open().await, &name, b"x").await;
        let seam = NoRemoval { of_directories };
        let store = Store::open_through(volume.options(), Box::new(seam))
            .await
            .unwrap();
        if !of_directories {
            // the probe of the one before cannot be removed
            assert!(has_failed(&store));
            continue;
        }
        store.blob_delete(&name, &digest).await.unwrap();
        assert!(has_failed(&store));
    }
}

/// Lets another change fail while a link is being made durable.
#[derive(Clone, Default)]
struct OthersFail(Arc<OnceLock<Weak<Inner>>>);

impl Seam for OthersFail {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        let is_link = matches!(effect, Effect::SyncDirectory { path } if path.parent().is_some_and(|it| it.ends_with("_layers/sha256")));
        if let (true, Some(inner)) = (is_link, self.0.get().and_then(Weak::upgrade)) {
            let reason = ReadOnlyReason::Failed("another fsync".to_owned());
            inner.disk.set_read_only(reason);
        }
        act()
    }
}

#[tokio::test]
async fn change_in_flight_is_not_acknowledged_once_an_fsync_of_another_has_failed() {
    let volume = Volume::new();
    let seam = OthersFail::default();
    let store = Store::open_through(volume.options(), Box::new(seam.clone()))
        .await
        .unwrap();
    seam.0.set(Arc::downgrade(&store.inner)).unwrap();
    let refused = try_push_blob(&store, &repository("a"), b"x").await;
    let is_told = matches!(refused, Err(UploadError::Fault(Fault::ReadOnly { .. })));
    assert!(is_told, "{refused:?}");
}
