//! Holds keep garbage collection from removing anything.

use super::*;

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
