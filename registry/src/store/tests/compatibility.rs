//! Volumes that registry:2 has written: what it keeps elsewhere, half-way or damaged.

use std::fs;

use super::*;

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes an image the way registry:2 lays it out, history included.
fn adopt(keys: &Keys, name: &RepositoryName, tag: &Tag) -> (Digest, Digest) {
    let config = digest_of(b"{}");
    let manifest = image(&config, &[]).to_string();
    let digest = digest_of(manifest.as_bytes());
    write(&keys.blob(&config), b"{}");
    write(&keys.layer_link(name, &config), config.as_str().as_bytes());
    write(&keys.blob(&digest), manifest.as_bytes());
    write(&keys.revision_link(name, &digest), digest.as_str().as_bytes());
    write(&keys.tag_link(name, tag), digest.as_str().as_bytes());
    write(&history(keys, name, tag, &digest), digest.as_str().as_bytes());
    (config, digest)
}

fn history(keys: &Keys, name: &RepositoryName, tag: &Tag, digest: &Digest) -> PathBuf {
    keys.tag(name, tag)
        .join("index/sha256")
        .join(digest.hex())
        .join("link")
}

#[tokio::test]
async fn adopted_volume_is_served_extended_and_cleaned() {
    let volume = Volume::new();
    let (name, latest) = (repository("team/app"), tag("latest"));
    let (config, digest) = adopt(&volume.keys(), &name, &latest);
    let store = volume.open().await;
    assert_eq!(
        store
            .manifest_read(&name, &Reference::Tag(latest.clone()))
            .await
            .unwrap()
            .digest,
        digest
    );
    assert_eq!(read_blob(&store, &name, &config).await, b"{}");
    assert_eq!(
        store.repositories(None, 10, |_| true).await.unwrap().items,
        std::slice::from_ref(&name)
    );
    assert_eq!(
        store.tags(&name, None, 10).await.unwrap().items,
        std::slice::from_ref(&latest)
    );
    let moved = push_image(&store, &name, "latest", "new").await;
    assert_eq!(
        store
            .manifest_read(&name, &Reference::Tag(latest.clone()))
            .await
            .unwrap()
            .digest,
        moved
    );
    store.manifest_delete(&name, &digest).await.unwrap();
    store.tag_delete(&name, &latest).await.unwrap();
    assert!(!volume.keys().tag(&name, &latest).exists());
}

#[tokio::test]
async fn links_are_followed_to_the_content_that_they_hold() {
    let volume = Volume::new();
    let name = repository("a");
    let (config, _) = adopt(&volume.keys(), &name, &tag("v1"));
    let store = volume.open().await;
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let pushed = Digest::of(algorithm, b"{}");
        let link = volume.keys().layer_link(&name, &pushed);
        write(&link, config.as_str().as_bytes());
        assert_eq!(read_blob(&store, &name, &pushed).await, b"{}");
        let (source, target) = (MountSource::Repository(name.clone()), repository("b"));
        assert!(store.blob_mount(source, &target, &pushed).await.unwrap());
        put(&store, &target, "v1", &image(&pushed, &[])).await.unwrap();
        assert_eq!(read_blob(&store, &target, &pushed).await, b"{}");
    }
    store.close().await;
    assert_eq!(checked(&volume, true).findings, []);
}

#[tokio::test]
async fn link_without_bytes_is_an_unknown_blob_that_can_be_pushed() {
    let volume = Volume::new();
    let name = repository("a");
    let (config, _) = adopt(&volume.keys(), &name, &tag("v1"));
    fs::remove_file(volume.keys().blob(&config)).unwrap(); // as its garbage collection leaves it
    let store = volume.open().await;
    assert!(matches!(
        store.blob_open(&name, &config).await,
        Err(BlobError::Unknown { .. })
    ));
    let refused = put(&store, &name, "v2", &image(&config, &[])).await;
    assert!(matches!(refused, Err(ManifestError::ContentMissing { .. })));
    push_blob(&store, &name, b"{}").await;
    put(&store, &name, "v2", &image(&config, &[])).await.unwrap();
}

#[tokio::test]
async fn empty_layer_and_revision_links_stand_for_their_names() {
    let volume = Volume::new();
    let name = repository("a");
    let (config, digest) = adopt(&volume.keys(), &name, &tag("v1"));
    write(&volume.keys().layer_link(&name, &config), b"");
    write(&volume.keys().revision_link(&name, &digest), b"");
    let store = volume.open().await;
    assert_eq!(read_blob(&store, &name, &config).await, b"{}");
    assert!(
        store
            .manifest_read(&name, &Reference::Digest(digest))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn empty_tag_link_takes_its_only_history_entry_or_is_a_fault() {
    let volume = Volume::new();
    let (name, v1) = (repository("a"), tag("v1"));
    let (_, digest) = adopt(&volume.keys(), &name, &v1);
    write(&volume.keys().tag_link(&name, &v1), b"");
    let store = volume.open().await;
    assert_eq!(
        store
            .manifest_read(&name, &Reference::Tag(v1.clone()))
            .await
            .unwrap()
            .digest,
        digest
    );
    let other = digest_of(b"older");
    write(
        &history(&volume.keys(), &name, &v1, &other),
        other.as_str().as_bytes(),
    );
    let read = store.manifest_read(&name, &Reference::Tag(v1.clone())).await;
    assert!(
        matches!(read, Err(ManifestError::Fault(Fault::Damaged { .. }))),
        "{read:?}"
    );
    store.tag_delete(&name, &v1).await.unwrap();
    assert!(store.tags(&name, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn history_of_a_tag_that_we_have_moved_does_not_speak_for_it() {
    let volume = Volume::new();
    let (name, v1) = (repository("a"), tag("v1"));
    let (_, before) = adopt(&volume.keys(), &name, &v1);
    let store = volume.open().await;
    push_image(&store, &name, "v1", "new").await;
    assert!(!history(&volume.keys(), &name, &v1, &before).exists());
    write(&volume.keys().tag_link(&name, &v1), b""); // as a check of a damaged file system leaves it
    let read = store.manifest_read(&name, &Reference::Tag(v1.clone())).await;
    assert!(
        matches!(read, Err(ManifestError::Fault(Fault::Damaged { .. }))),
        "{read:?}"
    );
    store.close().await;
    assert_eq!(kinds(&checked(&volume, false)), [FindingKind::TagUnreadable]);
}

#[tokio::test]
async fn schema_1_manifests_are_served_as_what_they_are() {
    let volume = Volume::new();
    let name = repository("a");
    let bytes = br#"{"schemaVersion": 1, "fsLayers": [], "signatures": []}"#;
    let digest = digest_of(bytes);
    write(&volume.keys().blob(&digest), bytes);
    write(
        &volume.keys().revision_link(&name, &digest),
        digest.as_str().as_bytes(),
    );
    let store = volume.open().await;
    let read = store
        .manifest_read(&name, &Reference::Digest(digest))
        .await
        .unwrap();
    assert_eq!(
        (read.media_type.as_str(), &read.bytes[..]),
        (MediaType::DOCKER_SCHEMA1_SIGNED, &bytes[..])
    );
}

#[tokio::test]
async fn its_upload_directories_are_neither_repositories_nor_ours() {
    let volume = Volume::new();
    let upload = volume
        .keys()
        .repository(&repository("half"))
        .join("_uploads/x/data");
    write(&upload, b"bytes");
    let store = volume.open().await;
    assert!(
        store
            .repositories(None, 10, |_| true)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    store.upload_start(&repository("half"), None).await.unwrap();
    store.expire_uploads().await.unwrap();
    assert!(upload.exists());
    assert_eq!(
        fs::read_dir(volume.keys().repository(&repository("half")))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn what_is_written_is_the_same_layout() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_image(&store, &name, "v1", "x").await;
    let base = volume.path().join("docker/registry/v2/repositories/a");
    let hex = digest.hex();
    for link in [
        format!("_manifests/revisions/sha256/{hex}/link"),
        "_manifests/tags/v1/current/link".into(),
    ] {
        assert_eq!(fs::read_to_string(base.join(link)).unwrap(), digest.as_str());
    }
    let layer = digest_of(b"layer of x");
    let link = base.join(format!("_layers/sha256/{}/link", layer.hex()));
    assert_eq!(fs::read_to_string(link).unwrap(), layer.as_str());
}
