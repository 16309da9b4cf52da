//! Holds keep garbage collection from removing anything.

use super::*;

#[tokio::test]
async fn a_hold_waits_for_the_batch_in_flight_and_outlives_the_process() {
    let volume = Volume::new();
    let store = volume.open().await;
    let batch = store.inner.holds.batch().await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.hold("backup").await }
    });
    // the next batch has to queue once the hold waits for this one
    while futures::poll!(Box::pin(store.inner.holds.batch())).is_ready() {
        assert!(!waiting.is_finished(), "it was set while a batch was under way");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(store.inner.first_hold().unwrap().as_deref(), Some("backup"));
    drop(batch);
    waiting.await.unwrap().unwrap();
    store.close().await;
    let store = volume.open().await;
    assert_eq!(store.holds().await.unwrap(), ["backup"]);
    assert!(store.release("backup").await.unwrap());
    assert!(!store.release("backup").await.unwrap());
}

#[tokio::test]
async fn a_name_that_could_be_a_path_is_refused() {
    let volume = Volume::new();
    let store = volume.open().await;
    for name in ["", "..", "a/b", ".hidden", "a b", &"x".repeat(65)] {
        assert!(
            matches!(store.hold(name).await, Err(HoldError::Name { .. })),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_hold_makes_its_directory_again_that_somebody_has_removed() {
    let volume = Volume::new();
    let store = volume.open().await;
    store.hold("backup").await.unwrap();
    std::fs::remove_dir_all(volume.keys().holds()).unwrap();
    store.hold("backup").await.unwrap();
    assert_eq!(store.holds().await.unwrap(), ["backup"]);
}
