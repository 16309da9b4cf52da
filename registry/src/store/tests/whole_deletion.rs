//! A delete of a manifest that fails at any step has taken none of its tags, or has taken everything.

use std::io;
use std::sync::atomic::AtomicUsize;

use super::disk::{Seam, Step};
use super::*;

const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// Fails one step, the last of so many; 0: none.
#[derive(Clone, Default)]
struct FailsOnce {
    left: Arc<AtomicUsize>,
    errno: i32,
}

impl Seam for FailsOnce {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
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

#[tokio::test]
async fn manifest_with_two_tags_is_deleted_whole_or_not_at_all() {
    for errno in [EMFILE, ENOSPC] {
        let mut kept = 0;
        for step in 1.. {
            let (volume, name) = (Volume::in_memory(), repository("a"));
            let seam = FailsOnce {
                errno,
                ..FailsOnce::default()
            };
            let left = Arc::clone(&seam.left);
            let store = Store::open_through(volume.options(), Box::new(seam))
                .await
                .unwrap();
            let subject = push_image(&store, &name, "subject", "x").await;
            let mut document = index(&[]);
            document["subject"] = descriptor(&subject, MediaType::OCI_MANIFEST);
            let bytes = Bytes::from(document.to_string());
            let v1 = "v1".parse().unwrap();
            let pushed = store.manifest_put(&name, &v1, &[tag("v2")], None, bytes).await;
            let digest = pushed.unwrap().digest;
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
