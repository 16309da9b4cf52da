//! What comes after the index that names it, and goes again. As the other operations, doing it again is no error.

use futures::future::BoxFuture;

use super::super::*;
use super::operations::{
    LAYER, a, b, digest, manifest, push_layer, push_layer_to_b, push_what_is_missing, told,
    with_all_but_the_layer, with_blobs, with_parent_alone,
};

/// An index of the layer alone.
pub(super) const INDEX_OF_LAYER: &str = "index of layer";

pub(super) fn push_index_of_layer(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let bytes = Bytes::from(manifest(INDEX_OF_LAYER).to_string());
        told(
            store
                .manifest_put(&a(), &"v2".parse().unwrap(), &[], None, bytes)
                .await,
        )
    })
}

pub(super) fn mount_from_b(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let from = MountSource::Repository(b());
        match store.blob_mount(from, &a(), &digest_of(LAYER)).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

/// The other repository has the layer.
pub(super) async fn with_layer_in_b(store: &Store) {
    with_all_but_the_layer(store).await;
    push_layer_to_b(store.clone()).await.unwrap();
}

/// The same, and an index is there that lacks the layer.
pub(super) async fn with_index_of_layer(store: &Store) {
    with_layer_in_b(store).await;
    push_index_of_layer(store.clone()).await.unwrap();
}

/// The layer has come, and what an index waits for is something else.
pub(super) async fn with_marked_layer(store: &Store) {
    with_parent_alone(store).await;
    push_layer(store.clone()).await.unwrap();
}

/// The layer and an image have come, and the index names the layer.
pub(super) async fn with_marked_image(store: &Store) {
    push_index_of_layer(store.clone()).await.unwrap();
    push_what_is_missing(store.clone()).await.unwrap();
}

/// All has come late, nothing names it any more, and some is in a record that a push has left which failed.
pub(super) async fn with_marked_garbage(store: &Store) {
    push_index_of_layer(store.clone()).await.unwrap();
    with_blobs(store).await;
    push_what_is_missing(store.clone()).await.unwrap();
    for name in ["v1", "v2"] {
        store.tag_delete(&a(), &tag(name)).await.unwrap();
    }
    let recorded = json!([digest_of(LAYER), digest("first")]).to_string();
    std::fs::write(store.inner.keys.absent(&a(), &digest("second")), recorded).unwrap();
}
