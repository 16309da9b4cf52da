//! A delete of a manifest with its tags takes all of them or none: where a step fails, where the process ends, and when the
//! next one starts.

use std::fs;
use std::io;
use std::sync::atomic::AtomicUsize;

use super::disk::{Seam, Step, is_record};
use super::*;

const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// Fails one step, the last of so many, and all behind it if the process ends there; 0: none.
#[derive(Clone, Default)]
struct Fails {
    left: Arc<AtomicUsize>,
    errno: i32,
    ends: bool,
}

impl Seam for Fails {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        let next = |left: usize| match left {
            0 => None,
            1 if self.ends => Some(1),
            left => Some(left - 1),
        };
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
            Ok(1) => Err(io::Error::from_raw_os_error(self.errno)),
            _ => Ok(()),
        }
    }
}

/// How much of the manifest and its two tags is there.
async fn count(store: &Store, digest: &Digest) -> usize {
    let mut there = 0;
    for reference in ["v1", "v2", digest.as_str()] {
        match store
            .manifest_read(&repository("a"), &reference.parse().unwrap())
            .await
        {
            Ok(_) => there += 1,
            Err(ManifestError::Unknown { .. }) => {}
            Err(error) => panic!("{reference}: {error}"),
        }
    }
    there
}

/// The subject of the manifest.
async fn push_subject(store: &Store) -> Digest {
    push_image(store, &repository("a"), "subject", "x").await
}

async fn push_with_two_tags(store: &Store) -> Digest {
    let mut document = index(&[]);
    document["subject"] = descriptor(&push_subject(store).await, MediaType::OCI_MANIFEST);
    let bytes = Bytes::from(document.to_string());
    let v1 = "v1".parse().unwrap();
    let pushed = store
        .manifest_put(&repository("a"), &v1, &[tag("v2")], None, bytes)
        .await;
    pushed.unwrap().digest
}

async fn open_through(volume: &Volume, seam: impl Seam + 'static) -> Store {
    let options = StoreOptions {
        lock_timeout: Duration::from_secs(10),
        ..volume.options()
    };
    Store::open_through(options, Box::new(seam)).await.unwrap()
}

/// The records of deletes that are on a volume.
fn records(volume: &Volume) -> Vec<PathBuf> {
    let entries = fs::read_dir(volume.keys().temporary()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| is_record(path)).collect()
}

/// A volume with the manifest, and with what a predecessor has left that was to delete it.
async fn with_record(text: impl FnOnce(&Digest, &Digest) -> String) -> (Volume, Digest) {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let digest = push_with_two_tags(&store).await;
    let text = text(&push_subject(&store).await, &digest);
    store.close().await;
    fs::write(volume.keys().temporary().join("7.deleting"), text).unwrap();
    (volume, digest)
}

fn whole_record(subject: &Digest, digest: &Digest) -> String {
    json!({"repository": "a", "digest": digest, "subject": subject, "tags": ["v1", "v2", "subject", "never"]})
        .to_string()
}

#[tokio::test]
async fn manifest_with_two_tags_is_deleted_whole_or_not_at_all() {
    for errno in [EMFILE, ENOSPC] {
        let mut kept = 0;
        for step in 1.. {
            let (volume, name) = (Volume::in_memory(), repository("a"));
            let seam = Fails {
                errno,
                ..Fails::default()
            };
            let left = Arc::clone(&seam.left);
            let store = open_through(&volume, seam).await;
            let digest = push_with_two_tags(&store).await;
            left.store(step, Ordering::SeqCst);
            let deleted = store.manifest_delete(&name, &digest).await;
            let is_over = left.swap(0, Ordering::SeqCst) > 0;
            let there = count(&store, &digest).await;
            match deleted {
                Ok(()) => assert_eq!(there, 0, "step {step}"),
                // what an fsync that failed has kept nobody knows
                Err(_) if store.read_only().is_some() => {
                    assert!([0, 3].contains(&there), "step {step}: {there}");
                }
                Err(_) => {
                    assert_eq!(there, 3, "step {step}");
                    kept += 1;
                    drop(store);
                    let store = volume.open().await;
                    assert_eq!(count(&store, &digest).await, 3, "step {step}");
                    store.manifest_delete(&name, &digest).await.unwrap();
                    assert_eq!(count(&store, &digest).await, 0, "step {step}");
                }
            }
            if is_over {
                break;
            }
        }
        assert!(kept > 4, "it failed and took nothing at only {kept} steps");
    }
}

#[tokio::test]
async fn manifest_with_two_tags_is_whole_or_gone_after_a_restart_wherever_the_process_ends() {
    let (mut whole, mut gone) = (0, 0);
    for step in 1.. {
        let volume = Volume::in_memory();
        let seam = Fails {
            errno: EMFILE,
            ends: true,
            ..Fails::default()
        };
        let left = Arc::clone(&seam.left);
        let store = open_through(&volume, seam).await;
        let digest = push_with_two_tags(&store).await;
        left.store(step, Ordering::SeqCst);
        let deleted = store.manifest_delete(&repository("a"), &digest).await;
        drop(store);
        let store = volume.open().await;
        assert_eq!(store.read_only(), None);
        let there = count(&store, &digest).await;
        assert!([0, 3].contains(&there), "step {step}: {there}");
        assert_eq!(records(&volume).len(), 0, "step {step}");
        whole += usize::from(there == 3);
        gone += usize::from(there == 0);
        if deleted.is_ok() {
            assert_eq!(there, 0, "step {step}");
            break;
        }
    }
    assert!(whole > 4 && gone > 5, "{whole} times whole, {gone} times gone");
}

#[tokio::test]
async fn delete_that_was_cut_off_is_completed_by_the_next_start_and_no_later_one() {
    let (volume, digest) = with_record(whole_record).await;
    let store = volume.open().await;
    assert_eq!(count(&store, &digest).await, 0);
    assert_eq!(records(&volume).len(), 0);
    let name = repository("a");
    let other = store.manifest_read(&name, &"subject".parse().unwrap()).await;
    let subject = other.unwrap().digest;
    assert!(!volume.keys().referrer(&name, &subject, &digest).exists());
    push_with_two_tags(&store).await;
    drop(store);
    assert_eq!(count(&volume.open().await, &digest).await, 3);
}

#[tokio::test]
async fn record_that_is_not_whole_takes_nothing() {
    for part in [0, 1, 40, usize::MAX] {
        let (volume, digest) = with_record(|subject, digest| {
            let whole = whole_record(subject, digest);
            whole[..part.min(whole.len() - 1)].to_owned()
        })
        .await;
        let store = volume.open().await;
        assert_eq!(store.read_only(), None);
        assert_eq!(count(&store, &digest).await, 3, "{part}");
        assert_eq!(records(&volume).len(), 0, "{part}");
    }
}

#[tokio::test]
async fn volume_that_is_not_to_be_changed_keeps_the_record_for_the_next_start() {
    let (volume, digest) = with_record(whole_record).await;
    let mut options = volume.options();
    options.volume.read_only = true;
    let store = Store::open(options).await.unwrap();
    assert_eq!(count(&store, &digest).await, 3);
    assert_eq!(records(&volume).len(), 1);
    assert_eq!(count(&volume.open().await, &digest).await, 0);
}

/// Fails whatever it is told to while it is armed.
struct FailsAt {
    armed: Arc<AtomicUsize>,
    at: fn(Step, &str) -> bool,
}

impl Seam for FailsAt {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let fails = self.armed.load(Ordering::SeqCst) > 0 && (self.at)(step, &path.to_string_lossy());
        if fails {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Ok(())
    }
}

fn of_link(step: Step, path: &str) -> bool {
    step == Step::Remove && path.contains("/revisions/")
}

/// The link stays, and its tags cannot come back.
fn of_link_and_tags(step: Step, path: &str) -> bool {
    of_link(step, path) || (step == Step::Rename && path.contains("/tags/"))
}

fn of_record(step: Step, path: &str) -> bool {
    step == Step::Remove && path.ends_with(".deleting")
}

fn is_told_to_restart(store: &Store) -> bool {
    let Some(ReadOnlyReason::Failed(sentence)) = store.read_only() else {
        return false;
    };
    sentence.contains("then restart the registry")
}

#[tokio::test]
async fn delete_that_cannot_be_completed_lets_nothing_be_written_until_it_is() {
    for at in [of_link, of_record] {
        let (volume, digest) = with_record(whole_record).await;
        let armed = Arc::new(AtomicUsize::new(1));
        let store = open_through(&volume, FailsAt { armed, at }).await;
        assert!(is_told_to_restart(&store), "{:?}", store.read_only());
        assert_eq!(records(&volume).len(), 1);
        drop(store);
        let store = volume.open().await;
        assert_eq!(count(&store, &digest).await, 0);
        assert_eq!((store.read_only(), records(&volume).len()), (None, 0));
    }
}

#[tokio::test]
async fn delete_that_can_neither_be_ended_nor_taken_back_is_completed_by_the_next_start() {
    for at in [of_link_and_tags, of_record] {
        let volume = Volume::in_memory();
        let armed = Arc::new(AtomicUsize::new(0));
        let seam = FailsAt {
            armed: Arc::clone(&armed),
            at,
        };
        let store = open_through(&volume, seam).await;
        let digest = push_with_two_tags(&store).await;
        armed.store(1, Ordering::SeqCst);
        let refused = store.manifest_delete(&repository("a"), &digest).await;
        assert!(matches!(refused, Err(ManifestError::Fault(_))), "{refused:?}");
        assert!(is_told_to_restart(&store), "{:?}", store.read_only());
        drop(store);
        let store = volume.open().await;
        assert_eq!(count(&store, &digest).await, 0);
        assert_eq!((store.read_only(), records(&volume).len()), (None, 0));
    }
}
