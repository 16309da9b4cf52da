//! The record of an upload session, which becomes that of a later one.

use std::os::unix::fs::MetadataExt as _;

use super::disk::is_spare;
use super::*;

fn inode(volume: &Volume, id: &UploadId) -> u64 {
    let record = std::fs::metadata(volume.keys().upload_record(id)).unwrap();
    record.ino()
}

#[tokio::test]
async fn session_that_ends_leaves_its_file_to_the_next_one() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (long, short) = (repository("library/of/long/names"), repository("a"));
    let first = store.upload_start(&long, None).await.unwrap();
    let used = inode(&volume, &first);
    store.upload_cancel(&long, &first).await.unwrap();
    let second = store.upload_start(&short, Some(Algorithm::Sha512)).await.unwrap();
    assert_eq!(inode(&volume, &second), used);
    // all of the first one's record is gone from it
    drop(store);
    let store = volume.open().await;
    assert_eq!(offset(&store, &short, &second).await, 0);
    assert!(matches!(
        store.upload_status(&long, &first).await,
        Err(UploadError::Unknown)
    ));
}

#[tokio::test]
async fn session_begins_though_the_file_that_was_left_to_it_is_gone() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    push_blob(&store, &name, b"first").await;
    let left = std::fs::read_dir(volume.keys().temporary()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    let spares = left.iter().filter(|path| is_spare(path));
    assert_eq!(spares.clone().count(), 1);
    for spare in spares {
        std::fs::remove_file(spare).unwrap();
    }
    push_blob(&store, &name, b"second").await;
}

#[tokio::test]
async fn few_files_are_left_to_later_sessions_and_none_over_a_start() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let count = || std::fs::read_dir(volume.keys().temporary()).unwrap().count();
    let before = count();
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(store.upload_start(&name, None).await.unwrap());
    }
    for id in &ids {
        store.upload_cancel(&name, id).await.unwrap();
    }
    assert_eq!(count() - before, 16);
    drop(store);
    let _store = volume.open().await;
    assert_eq!(count(), before);
}
