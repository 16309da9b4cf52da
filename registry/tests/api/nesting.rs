//! Manifests that name manifests.

use crate::fixture::{Manifest, OCI_INDEX, OCI_MANIFEST, open};

/// P96: what is embedded in a descriptor is carried along, and an index may list indexes.
#[tokio::test]
async fn embedded_data_and_nested_indexes_are_taken_and_come_back() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let with_data = |text: &str, pointer: &str| {
        let mut document: serde_json::Value = serde_json::from_str(text).unwrap();
        document.pointer_mut(pointer).unwrap()["data"] = serde_json::json!("e30=");
        document.to_string()
    };
    let image = Manifest::new(OCI_MANIFEST, with_data(&image.text, "/config"));
    let inner = Manifest::index(&[&image]);
    let outer = Manifest::index(&[&inner, &image]);
    let outer = Manifest::new(OCI_INDEX, with_data(&outer.text, "/manifests/1"));
    for manifest in [&image, &inner, &outer] {
        let reference = manifest.digest.as_str();
        registry.put_manifest("a", reference, manifest).await.expect(201);
        let path = format!("/v2/a/manifests/{reference}");
        assert_eq!(registry.get(&path).await.expect(200).text(), manifest.text);
    }
}

/// P130.
#[tokio::test]
async fn a_child_of_an_index_is_kept_and_the_index_named() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let index = Manifest::index(&[&image]);
    registry.put_manifest("a", "multi", &index).await.expect(201);
    let child = format!("/v2/a/manifests/{}", image.digest);
    let refused = registry.delete(&child).await.expect(405);
    assert_eq!(refused.code(), "UNSUPPORTED");
    assert!(refused.text().contains(index.digest.as_str()), "{refused:?}");
    for reference in ["v1", image.digest.as_str()] {
        registry
            .get(&format!("/v2/a/manifests/{reference}"))
            .await
            .expect(200);
    }
    registry
        .delete(&format!("/v2/a/manifests/{}", index.digest))
        .await
        .expect(202);
    registry.delete(&child).await.expect(202);
}

/// P11, P129, P130.
#[tokio::test]
async fn what_a_damaged_manifest_may_need_is_kept_and_that_manifest_named() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let layer = registry.push_blob("a", b"layer").await;
    let index = Manifest::index(&[&image]);
    registry.put_manifest("a", "multi", &index).await.expect(201);
    let hex = index.digest.hex();
    let data = format!("volume/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    std::fs::write(registry.directory.path().join(data), "rotten").unwrap();
    let of_index = format!("/v2/a/manifests/{}", index.digest);
    let of_image = format!("/v2/a/manifests/{}", image.digest);
    let loose = registry.push_blob("a", b"loose").await;
    for (path, allow) in [
        (&of_image, "GET, HEAD, PUT"),
        (&format!("/v2/a/blobs/{loose}"), "GET, HEAD"),
    ] {
        let refused = registry.delete(path).await.expect(405);
        assert_eq!(refused.code(), "UNSUPPORTED");
        assert_eq!(refused.header("allow"), allow);
        let remedy = format!("push {} again, or delete it first", index.digest);
        assert!(refused.text().contains(&remedy), "{refused:?}");
        registry.get(path).await.expect(200);
    }
    registry.delete(&of_index).await.expect(202);
    registry.delete(&of_image).await.expect(202);
    registry.delete(&format!("/v2/a/blobs/{layer}")).await.expect(202);
}
