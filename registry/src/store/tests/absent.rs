//! What a manifest names and was not there when it came: remembered before the manifest is there, forgotten in time.

use super::*;

fn recorded(volume: &Volume, name: &RepositoryName, manifest: &Digest) -> Option<Vec<Digest>> {
    let path = volume.keys().absent(name, manifest);
    let text = std::fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// P97.
#[tokio::test]
async fn children_that_were_absent_are_recorded_until_a_push_finds_them() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let there = push_image(&store, &name, "there", "there").await;
    let blob = push_blob(&store, &name, b"cache").await;
    let to_come = push_image(&store, &repository("b"), "x", "to come").await;
    let document = index(&[&there, &to_come, &blob]);
    let digest = put(&store, &name, "multi", &document).await.unwrap();
    assert_eq!(recorded(&volume, &name, &digest), Some(vec![to_come]));
    push_image(&store, &name, "x", "to come").await;
    put(&store, &name, "multi", &document).await.unwrap();
    assert_eq!(recorded(&volume, &name, &digest), None);
}

/// P97.
#[tokio::test]
async fn layers_that_may_be_absent_are_recorded_and_a_deleted_manifest_takes_the_record_along() {
    let volume = Volume::new();
    let store = Store::open(accepting(&volume)).await.unwrap();
    let name = repository("a");
    let (config, layer) = (push_blob(&store, &name, b"{}").await, digest_of(b"layer"));
    let digest = put(&store, &name, "v1", &image(&config, &[&layer]))
        .await
        .unwrap();
    assert_eq!(recorded(&volume, &name, &digest), Some(vec![layer]));
    store.manifest_delete(&name, &digest).await.unwrap();
    assert_eq!(recorded(&volume, &name, &digest), None);
}

#[tokio::test]
async fn what_came_late_and_is_gone_is_lost_once_a_collection_has_seen_it() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let never = digest_of(b"never");
    let elsewhere = repository("b");
    let children = [
        push_image(&store, &elsewhere, "one", "one").await,
        push_image(&store, &elsewhere, "two", "two").await,
        push_blob(&store, &elsewhere, b"cache").await,
    ];
    let [one, two, cache] = &children;
    let parent = put(&store, &name, "multi", &index(&[one, &never, two, cache]))
        .await
        .unwrap();
    assert_eq!(recorded(&volume, &name, &parent).unwrap().len(), 4);
    push_image(&store, &name, "one", "one").await;
    push_blob(&store, &name, b"cache").await;
    let dry = CollectOptions {
        dry_run: true,
        ..CollectOptions::default()
    };
    store.collect(dry, |_| {}).await.unwrap();
    assert_eq!(recorded(&volume, &name, &parent).unwrap().len(), 4);
    store.collect(CollectOptions::default(), |_| {}).await.unwrap();
    let mut left = vec![two.clone(), never];
    left.sort_unstable();
    assert_eq!(recorded(&volume, &name, &parent), Some(left));
    assert_eq!(kinds(&checked(&volume, false)), []);
    std::fs::remove_file(volume.keys().layer_link(&name, cache)).unwrap();
    assert_eq!(kinds(&checked(&volume, false)), [FindingKind::ReferenceLost]);
}

#[tokio::test]
async fn record_of_what_was_absent_goes_when_all_of_it_has_come() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let child = push_image(&store, &repository("b"), "x", "to come").await;
    let parent = put(&store, &name, "multi", &index(&[&child])).await.unwrap();
    push_image(&store, &name, "x", "to come").await;
    store.hold("backup").await.unwrap();
    store.collect(CollectOptions::default(), |_| {}).await.unwrap();
    assert_eq!(recorded(&volume, &name, &parent), Some(vec![child]));
    store.release("backup").await.unwrap();
    store.collect(CollectOptions::default(), |_| {}).await.unwrap();
    assert_eq!(recorded(&volume, &name, &parent), None);
}

#[tokio::test]
async fn record_of_a_manifest_that_never_came_goes_at_a_collection() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let parent = put(&store, &name, "multi", &index(&[&digest_of(b"never")]))
        .await
        .unwrap();
    // what a push leaves that is cut off before its content is there, and before its link is
    let records = [
        digest_of(b"cut off"),
        push_image(&store, &repository("b"), "v1", "x").await,
    ];
    for record in &records {
        std::fs::copy(
            volume.keys().absent(&name, &parent),
            volume.keys().absent(&name, record),
        )
        .unwrap();
    }
    store.collect(CollectOptions::default(), |_| {}).await.unwrap();
    assert_eq!(recorded(&volume, &name, &records[0]), None);
    assert!(recorded(&volume, &name, &records[1]).is_some() && recorded(&volume, &name, &parent).is_some());
}

/// P96.
#[tokio::test]
async fn foreign_layers_are_recorded_and_subjects_are_not() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let foreign = digest_of(b"elsewhere");
    let mut document = image(&config, &[]);
    document["layers"] = json!([{
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": foreign, "size": 1, "urls": ["https://example.com/layer"],
    }]);
    document["subject"] = descriptor(&digest_of(b"subject"), MediaType::OCI_MANIFEST);
    let digest = put(&store, &name, "v1", &document).await.unwrap();
    assert_eq!(recorded(&volume, &name, &digest), Some(vec![foreign]));
}

/// P97.
#[tokio::test]
async fn children_may_be_required() {
    let volume = Volume::new();
    let strict = StoreOptions {
        requirements: Requirements {
            layers: true,
            children: true,
        },
        ..volume.options()
    };
    let store = Store::open(strict).await.unwrap();
    let name = repository("a");
    let child = digest_of(b"to come");
    match put(&store, &name, "multi", &index(&[&child])).await {
        Err(ManifestError::ContentMissing { missing }) => assert_eq!(missing, [child]),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.repositories(None, 1, |_| true).await.unwrap().items, []);
}
