//! What is read for a delete, and when: most of it before anybody has to wait.

use std::collections::HashSet;
use std::fs;

use super::*;
use crate::store::deletion::Users;

async fn strangers_to(store: &Store, name: &RepositoryName, blob: &Digest) -> HashSet<Digest> {
    let link = store.inner.keys.layer_link(name, blob);
    store.inner.strangers_to(link, name, blob).await.unwrap()
}

#[tokio::test]
async fn what_was_read_before_the_locks_is_not_read_under_them() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let image = push_image(&store, &name, "v1", "layer").await;
    let loose = push_blob(&store, &name, b"loose").await;
    let strangers = strangers_to(&store, &name, &loose).await;
    let data = store.inner.keys.blob(&image);
    fs::remove_file(&data).unwrap();
    fs::create_dir(&data).unwrap(); // reading it is a fault from now on
    let found = store.inner.users_of(&name, &loose, &strangers);
    assert!(
        found.as_ref().is_ok_and(|it| *it == Users::default()),
        "{found:?}"
    );
    let found = store.inner.users_of(&name, &loose, &HashSet::new());
    assert!(matches!(found, Err(Fault::Io { .. })), "{found:?}");
}

#[tokio::test]
async fn manifest_that_comes_or_is_healed_behind_the_first_look_is_seen_under_the_locks() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let layer = push_blob(&store, &name, b"layer").await;
    let document = image(&config, &[&layer]);
    let healed = put(&store, &name, "healed", &document).await.unwrap();
    fs::write(store.inner.keys.blob(&healed), "damaged").unwrap();
    let strangers = strangers_to(&store, &name, &layer).await;
    assert_eq!(strangers.len(), 0);
    put(&store, &name, "healed", &document).await.unwrap();
    let found = store.inner.users_of(&name, &layer, &strangers);
    assert_eq!(found.unwrap().known, Some(healed.clone()));
    store.manifest_delete(&name, &healed).await.unwrap();

    let strangers = strangers_to(&store, &name, &layer).await;
    let come = put(&store, &name, "come", &document).await.unwrap();
    let found = store.inner.users_of(&name, &layer, &strangers);
    assert_eq!(found.unwrap().known, Some(come));
}
