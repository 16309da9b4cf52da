//! Scrubbing finds what has rotted, moves it aside, and goes on where it was.

use std::fs;
use std::io;
use std::num::NonZeroU64;

use super::*;
use crate::store::disk::{Seam, Step};
use crate::store::scrub::Seen;

const FAST: NonZeroU64 = NonZeroU64::MAX;

#[tokio::test]
async fn rotten_bytes_are_moved_aside_and_the_next_push_heals_them() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    push_image(&store, &name, "v1", "one").await;
    let layer = digest_of(b"layer of one");
    assert_eq!(store.scrub(FAST).await.unwrap().damaged, 0);
    fs::write(volume.keys().blob(&layer), "layer of 0ne").unwrap();
    let done = store.scrub(FAST).await.unwrap();
    assert_eq!((done.blobs, done.damaged, done.unreadable), (3, 1, 0));
    assert_eq!(done.damaged_digests, std::slice::from_ref(&layer));
    assert!(matches!(
        store.blob_open(&name, &layer).await,
        Err(BlobError::Unknown { .. })
    ));
    let hex = layer.hex();
    let aside = volume.keys().quarantine().join(format!("sha256-{hex}"));
    assert_eq!(fs::read_to_string(aside).unwrap(), "layer of 0ne");
    push_blob(&store, &name, b"layer of one").await;
    assert_eq!(read_blob(&store, &name, &layer).await, b"layer of one");
    assert_eq!(store.scrub(FAST).await.unwrap().damaged, 0);
}

#[tokio::test]
async fn rotten_bytes_are_found_by_whatever_algorithm_they_are_named() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    for algorithm in Algorithm::ALL {
        let digest = Digest::of(algorithm, b"x");
        let id = store.upload_start(&name, Some(algorithm)).await.unwrap();
        let finished = store.upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"x"]));
        finished.await.unwrap();
        fs::write(volume.keys().blob(&digest), "y").unwrap();
    }
    assert_eq!(
        kinds(&checked(&volume, true)),
        [FindingKind::ContentDamaged; Algorithm::ALL.len()]
    );
    let done = store.scrub(FAST).await.unwrap();
    let found: Vec<Algorithm> = done.damaged_digests.iter().map(Digest::algorithm).collect();
    assert!(found.iter().rev().eq(&Algorithm::ALL), "{found:?}");
}

#[tokio::test]
async fn rotten_manifest_is_healed_by_clients_that_ask_first_and_is_never_pulled() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    let digest = push_image(&store, &name, "v1", "one").await;
    let (by_tag, by_digest) = ("v1".parse().unwrap(), Reference::Digest(digest.clone()));
    fs::write(volume.keys().blob(&digest), "rotten").unwrap();
    assert!(matches!(
        store.manifest_head(&name, &by_tag).await,
        Err(ManifestError::Fault(Fault::Damaged { .. }))
    ));
    assert_eq!(store.scrub(FAST).await.unwrap().damaged, 1);
    let is_gone = async || {
        for reference in [&by_tag, &by_digest] {
            let head = store.manifest_head(&name, reference).await;
            assert!(matches!(head, Err(ManifestError::Unknown { .. })), "{head:?}");
        }
        let read = store.manifest_read(&name, &by_tag).await;
        assert!(
            matches!(read, Err(ManifestError::Fault(Fault::Damaged { .. }))),
            "{read:?}"
        );
    };
    is_gone().await;
    push_image(&store, &name, "v1", "one").await;
    for reference in [&by_tag, &by_digest] {
        assert_eq!(
            store.manifest_head(&name, reference).await.unwrap().digest,
            digest
        );
        assert_eq!(
            store.manifest_read(&name, reference).await.unwrap().digest,
            digest
        );
    }
    fs::remove_file(volume.keys().revision_link(&name, &digest)).unwrap();
    is_gone().await;
}

#[tokio::test]
async fn a_pass_goes_on_after_a_restart_where_it_was() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    let mut digests = Vec::new();
    for number in 0..20 {
        digests.push(push_blob(&store, &name, format!("{number}").as_bytes()).await);
    }
    digests.sort_unstable();
    let note = json!({"passStartedAt": "2026-01-01T00:00:00Z", "position": digests[14], "blobs": 15});
    fs::write(volume.keys().scrub(), note.to_string()).unwrap();
    store.close().await;
    let store = volume.open().await;
    assert_eq!(
        store.load_scrub_status().await.position.as_ref(),
        Some(&digests[14])
    );
    let done = store.scrub(FAST).await.unwrap();
    assert_eq!(done.blobs, 20);
    assert_eq!((done.position, done.pass_started_at), (None, None));
    assert!(done.last_finished_at.is_some());
    let written: Value = serde_json::from_slice(&fs::read(volume.keys().scrub()).unwrap()).unwrap();
    assert_eq!(written["blobs"], 20, "{written}");
    fs::write(volume.keys().scrub(), "nonsense").unwrap();
    assert_eq!(store.load_scrub_status().await.position, None);
    assert_eq!(store.scrub(FAST).await.unwrap().blobs, 20);
}

#[tokio::test]
async fn scrubbing_is_as_slow_as_it_is_told_to_be() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    push_blob(&store, &name, &vec![7; 96 << 10]).await;
    let began = std::time::Instant::now();
    store.scrub(NonZeroU64::new(200 << 10).unwrap()).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn what_was_pushed_again_meanwhile_is_not_moved_aside() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = volume.open().await;
    let blob = push_blob(&store, &name, b"good").await;
    fs::write(volume.keys().blob(&blob), "g00d").unwrap();
    let Ok(Seen::Damaged(4, identity)) = store.look(&blob, FAST).await else {
        panic!("it is damaged");
    };
    push_blob(&store, &name, b"good").await;
    assert!(!store.move_aside(&blob, identity).await.unwrap());
    assert_eq!(store.look(&blob, FAST).await.unwrap(), Seen::Good(4));
    assert!(!volume.keys().quarantine().exists());
}

/// Finds no space for what is moved aside, nor for notes.
struct Full;

impl Seam for Full {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let is_grown =
            path.ends_with("scrub.json") || path.components().any(|it| it.as_os_str() == "quarantine");
        if is_grown && matches!(step, Step::Rename | Step::CreateDirectory) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_pass_over_a_full_volume_comes_to_its_end_and_leaves_damage_in_its_place() {
    let (volume, name) = (Volume::new(), repository("a"));
    let store = Store::open_through(volume.options(), Box::new(Full))
        .await
        .unwrap();
    let blob = push_blob(&store, &name, b"good").await;
    push_blob(&store, &name, b"other").await;
    fs::write(volume.keys().blob(&blob), "g00d").unwrap();
    let done = store.scrub(FAST).await.unwrap();
    assert_eq!((done.blobs, done.damaged), (2, 1));
    assert!(done.last_finished_at.is_some());
    assert!(volume.keys().blob(&blob).exists());
}
