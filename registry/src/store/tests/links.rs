//! A link that holds another digest of its own algorithm is damaged: nothing is served, lost or refused for good by it.

use std::fs;

use super::*;

fn is_damaged<T>(result: Result<T, impl std::fmt::Display>) -> bool {
    result.is_err_and(|error| error.to_string().contains("is damaged: it holds"))
}

/// A tagged image, one of whose links holds what that of another image holds.
struct Damaged {
    volume: Volume,
    store: Store,
    name: RepositoryName,
    image: Digest,
    layer: Digest,
}

impl Damaged {
    /// `links` are that which is to be damaged, and that whose text it gets.
    async fn new(links: impl FnOnce(&Keys, &RepositoryName, &Digest, &Digest) -> (PathBuf, PathBuf)) -> Self {
        let (volume, name) = (Volume::new(), repository("a"));
        let store = volume.open().await;
        let image = push_image(&store, &name, "v1", "x").await;
        push_image(&store, &name, "v2", "other").await;
        let layer = digest_of(b"layer of x");
        let (damaged, other) = links(&volume.keys(), &name, &image, &layer);
        fs::copy(other, damaged).unwrap();
        Self {
            volume,
            store,
            name,
            image,
            layer,
        }
    }

    async fn with_layer() -> Self {
        let other = digest_of(b"layer of other");
        Self::new(|keys, name, _, layer| (keys.layer_link(name, layer), keys.layer_link(name, &other))).await
    }

    async fn with_manifest() -> Self {
        let other = tag("v2");
        Self::new(|keys, name, image, _| (keys.revision_link(name, image), keys.tag_link(name, &other))).await
    }

    async fn is_not_collected(&self) {
        let refused = self.store.collect(without_grace(), |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains("is damaged: it holds"), "{refused}");
        for content in [&self.image, &self.layer] {
            assert!(self.volume.keys().blob(content).exists());
        }
    }

    fn found(&self) -> Vec<FindingKind> {
        kinds(&checked(&self.volume, false))
    }

    async fn is_whole_when_pushed_again(&self) {
        push_image(&self.store, &self.name, "v1", "x").await;
        assert_eq!(
            read_blob(&self.store, &self.name, &self.layer).await,
            b"layer of x"
        );
        let read = self.store.manifest_read(&self.name, &by("v1")).await.unwrap();
        assert_eq!(digest_of(&read.bytes), self.image);
        self.store.close().await;
        assert_eq!(checked(&self.volume, true).findings, []);
    }
}

#[tokio::test]
async fn blob_is_a_fault_until_it_is_pushed_again() {
    let it = Damaged::with_layer().await;
    assert!(is_damaged(it.store.blob_open(&it.name, &it.layer).await));
    let names_it = image(&it.layer, &[]);
    assert!(is_damaged(put(&it.store, &it.name, "v3", &names_it).await));
    assert_eq!(it.found(), [FindingKind::ReferenceLost, FindingKind::LinkDamaged]);
    it.is_not_collected().await;
    it.is_whole_when_pushed_again().await;
}

#[tokio::test]
async fn manifest_is_a_fault_until_it_is_pushed_again() {
    let it = Damaged::with_manifest().await;
    for reference in [by("v1"), Reference::Digest(it.image.clone())] {
        assert!(is_damaged(it.store.manifest_read(&it.name, &reference).await));
        assert!(is_damaged(it.store.manifest_head(&it.name, &reference).await));
    }
    assert_eq!(it.found(), [FindingKind::TagDangling, FindingKind::LinkDamaged]);
    it.is_not_collected().await;
    it.is_whole_when_pushed_again().await;
}

#[tokio::test]
async fn repair_writes_what_it_held_where_the_content_is_still_there() {
    for it in [Damaged::with_layer().await, Damaged::with_manifest().await] {
        let report = it.store.repair(false, |_| None).await.unwrap();
        assert_eq!((report.changes.len(), report.findings), (1, vec![]));
        it.is_whole_when_pushed_again().await;
    }
}

#[tokio::test]
async fn blob_is_not_mounted_from_where_its_link_is_damaged() {
    let it = Damaged::with_layer().await;
    let target = repository("b");
    for source in [
        MountSource::Repository(it.name.clone()),
        MountSource::Any(Arc::new(|_| true)),
    ] {
        assert!(!it.store.blob_mount(source, &target, &it.layer).await.unwrap());
    }
    push_blob(&it.store, &target, b"layer of x").await;
    let source = MountSource::Repository(target);
    assert!(it.store.blob_mount(source, &it.name, &it.layer).await.unwrap());
    it.is_whole_when_pushed_again().await;
}

#[tokio::test]
async fn deletes_of_it_work() {
    let it = Damaged::with_manifest().await;
    it.store.manifest_delete(&it.name, &it.image).await.unwrap();
    let read = it.store.manifest_read(&it.name, &by("v1")).await;
    assert!(matches!(read, Err(ManifestError::Unknown { .. })), "{read:?}");
    it.store.close().await;
    let it = Damaged::with_layer().await;
    it.store.manifest_delete(&it.name, &it.image).await.unwrap();
    it.store.blob_delete(&it.name, &it.layer).await.unwrap();
    let opened = it.store.blob_open(&it.name, &it.layer).await;
    assert!(matches!(opened, Err(BlobError::Unknown { .. })), "{opened:?}");
}
