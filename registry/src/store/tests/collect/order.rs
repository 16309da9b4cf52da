//! What a collection removes is durable before what depends on it goes.

use std::io;

use super::*;
use crate::store::disk::{Seam, Step};

/// Notes which of its steps a collection takes, in order.
struct Order {
    named: fn(Step, &Path) -> Option<&'static str>,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl Seam for Order {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        self.seen.lock().unwrap().extend((self.named)(step, path));
        Ok(())
    }
}

async fn open_noting(
    volume: &Volume,
    named: fn(Step, &Path) -> Option<&'static str>,
) -> (Store, Arc<Mutex<Vec<&'static str>>>) {
    let seen = Arc::default();
    let order = Order {
        named,
        seen: Arc::clone(&seen),
    };
    let store = Store::open_through(volume.options(), Box::new(order)).await;
    (store.unwrap(), seen)
}

fn has(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

/// Else a power cut may bring the age back when the manifest has been pushed again.
#[tokio::test]
async fn age_of_a_manifest_is_durably_gone_before_the_manifest_is() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let image = Image::push(&store, &name, None, "x").await;
    let later = CollectOptions {
        untagged_after: Some(Duration::from_hours(1)),
        ..at_once()
    };
    store.collect(later, |_| {}).await.unwrap();
    assert!(volume.keys().untagged(&name, &image.digest).exists());
    store.close().await;
    let (store, seen) = open_noting(&volume, |step, path| match step {
        Step::Remove if has(path, "/untagged/") => Some("age unlinked"),
        Step::SyncDirectory if has(path, "/untagged/") => Some("age durable"),
        Step::Remove if has(path, "/revisions/") => Some("manifest unlinked"),
        _ => None,
    })
    .await;
    collect_at_once(&store).await;
    let seen = seen.lock().unwrap();
    let first: Vec<&str> = seen.iter().copied().take(3).collect();
    assert_eq!(first, ["age unlinked", "age durable", "manifest unlinked"]);
}

#[tokio::test]
async fn links_that_an_ended_run_has_removed_are_durably_gone_before_the_next_removes_content() {
    let volume = Volume::in_memory();
    let (store, seen) = open_noting(&volume, |step, path| match step {
        Step::Remove if has(path, "/_layers/") => Some("link unlinked"),
        Step::SyncDirectory if has(path, "/_layers/") => Some("links durable"),
        Step::Remove if has(path, "/blobs/") => Some("content unlinked"),
        _ => None,
    })
    .await;
    let name = repository("a");
    for number in 0..70 {
        push_blob(&store, &name, format!("blob {number}").as_bytes()).await;
    }
    seen.lock().unwrap().clear();
    let hold = volume.keys().hold("backup");
    let put_here = hold.clone();
    let report = store
        .collect(at_once(), move |progress| {
            if progress.phase == CollectPhase::Links && progress.done > 0 {
                std::fs::create_dir_all(put_here.parent().unwrap()).unwrap();
                std::fs::write(&put_here, "").unwrap();
            }
        })
        .await
        .unwrap();
    assert_eq!(report.suspended_by.as_deref(), Some("backup"));
    assert_eq!((report.freed.links, report.freed.blobs), (64, 0));
    std::fs::remove_file(hold).unwrap();
    assert_eq!(collect_at_once(&store).await.freed.blobs, 70);
    let mut seen = seen.lock().unwrap().clone();
    seen.dedup();
    let order = ["link unlinked", "links durable", "content unlinked"];
    assert!(seen.starts_with(&order), "{seen:?}");
}
