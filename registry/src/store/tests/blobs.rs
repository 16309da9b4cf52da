//! Blobs: content, links, mounts, deletes.

use super::*;

#[tokio::test]
async fn pushed_blob_is_read_back_whole_and_in_parts() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("team/app");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let digest = push_blob(&store, &name, &bytes).await;
    let content = store.blob_open(&name, &digest).await.unwrap();
    assert_eq!((content.size(), content.digest()), (1_000_000, &digest));
    assert!(read_blob(&store, &name, &digest).await == bytes);
    assert!(collect(content.stream(300_000..600_001)).await == bytes[300_000..600_001]);
    assert!(collect(content.stream(5..5)).await.is_empty());
}

#[tokio::test]
async fn empty_blob_is_a_blob() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_blob(&store, &name, b"").await;
    assert_eq!(store.blob_open(&name, &digest).await.unwrap().size(), 0);
}

/// P55.
#[tokio::test]
async fn blob_of_another_repository_is_unknown_without_a_link() {
    let volume = Volume::new();
    let store = volume.open().await;
    let digest = push_blob(&store, &repository("a"), b"secret").await;
    let refused = store.blob_open(&repository("b"), &digest).await;
    assert!(matches!(refused, Err(BlobError::Unknown { .. })));
}

#[tokio::test]
async fn truncated_content_ends_the_stream_with_an_error() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_blob(&store, &name, &[7; 1000]).await;
    let content = store.blob_open(&name, &digest).await.unwrap();
    File::options()
        .write(true)
        .open(volume.keys().blob(&digest))
        .unwrap()
        .set_len(10)
        .unwrap();
    let pieces: Vec<_> = content.stream(0..1000).collect().await;
    assert!(matches!(pieces.as_slice(), [Err(_)]));
}

/// P81.
#[tokio::test]
async fn pushing_again_heals_damaged_content() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_blob(&store, &name, b"content").await;
    std::fs::write(volume.keys().blob(&digest), b"rotten!").unwrap();
    push_blob(&store, &name, b"content").await;
    assert_eq!(read_blob(&store, &name, &digest).await, b"content");
}

/// P89.
#[tokio::test]
async fn mounted_blob_is_read_and_outlives_its_source() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (source, target) = (repository("a"), repository("b/c"));
    let digest = push_blob(&store, &source, b"shared").await;
    assert!(
        store
            .blob_mount(MountSource::Repository(source.clone()), &target, &digest)
            .await
            .unwrap()
    );
    store.blob_delete(&source, &digest).await.unwrap();
    assert!(matches!(
        store.blob_open(&source, &digest).await,
        Err(BlobError::Unknown { .. })
    ));
    assert_eq!(read_blob(&store, &target, &digest).await, b"shared");
}

/// P89.
#[tokio::test]
async fn mount_from_where_the_blob_is_not_changes_nothing() {
    let volume = Volume::new();
    let store = volume.open().await;
    let digest = push_blob(&store, &repository("a"), b"x").await;
    let from_unknown = MountSource::Repository(repository("nowhere"));
    assert!(
        !store
            .blob_mount(from_unknown, &repository("b"), &digest)
            .await
            .unwrap()
    );
    assert!(matches!(
        store.blob_open(&repository("b"), &digest).await,
        Err(BlobError::Unknown { .. })
    ));
}

/// P86.
#[tokio::test]
async fn anonymous_mount_takes_only_repositories_that_may_be_read() {
    let volume = Volume::new();
    let store = volume.open().await;
    let digest = push_blob(&store, &repository("private/x"), b"x").await;
    let public_only = || MountSource::Any(Arc::new(|name| name.as_str().starts_with("public/")));
    assert!(
        !store
            .blob_mount(public_only(), &repository("b"), &digest)
            .await
            .unwrap()
    );
    push_blob(&store, &repository("public/x"), b"x").await;
    assert!(
        store
            .blob_mount(public_only(), &repository("b"), &digest)
            .await
            .unwrap()
    );
}

/// P131.
#[tokio::test]
async fn deleted_blob_can_be_pushed_again_at_once() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_blob(&store, &name, b"x").await;
    for _ in 0..3 {
        store.blob_delete(&name, &digest).await.unwrap();
        assert!(matches!(
            store.blob_delete(&name, &digest).await,
            Err(BlobError::Unknown { .. })
        ));
        push_blob(&store, &name, b"x").await;
    }
    assert_eq!(read_blob(&store, &name, &digest).await, b"x");
}

/// P129.
#[tokio::test]
async fn blob_that_a_manifest_needs_is_not_deleted_before_the_manifest() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let layer = push_blob(&store, &name, b"layer").await;
    let config = push_blob(&store, &name, b"config").await;
    let manifest = put(&store, &name, "v1", &image(&config, &[&layer]))
        .await
        .unwrap();
    match store.blob_delete(&name, &layer).await {
        Err(BlobError::Referenced { digest, by }) => {
            assert_eq!((digest, by), (layer.clone(), manifest.clone()));
        }
        other => panic!("{other:?}"),
    }
    store.manifest_delete(&name, &manifest).await.unwrap();
    store.blob_delete(&name, &layer).await.unwrap();
}
