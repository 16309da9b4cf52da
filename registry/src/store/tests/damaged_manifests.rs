//! Deletes in a repository that has a damaged manifest: nobody knows what that needs, until it is pushed again or goes.

use std::fs;
use std::num::NonZeroU64;

use super::*;

const DAMAGES: [Damage; 4] = [Damage::Bytes, Damage::Size, Damage::Link, Damage::Quarantine];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Others than its digest says.
    Bytes,
    /// More than a manifest can be.
    Size,
    Link,
    /// Scrubbing has moved its bytes aside.
    Quarantine,
}

impl Damage {
    async fn done(self, store: &Store, name: &RepositoryName, manifest: &Digest) {
        let keys = &store.inner.keys;
        let data = keys.blob(manifest);
        match self {
            Self::Bytes | Self::Quarantine => fs::write(data, "rotten").unwrap(),
            Self::Size => fs::File::create(data).unwrap().set_len(33 << 20).unwrap(),
            Self::Link => fs::write(keys.revision_link(name, manifest), "nonsense").unwrap(),
        }
        if self == Self::Quarantine {
            assert_ne!(store.scrub(NonZeroU64::MAX).await.unwrap().damaged, 0);
            assert!(!keys.blob(manifest).exists());
        }
    }
}

/// A repository of some images, and one more thing that nothing names.
struct Fixture {
    _volume: Volume,
    store: Store,
    name: RepositoryName,
    loose: Digest,
}

impl Fixture {
    async fn new() -> Self {
        let (volume, name) = (Volume::new(), repository("a"));
        let store = volume.open().await;
        let loose = push_blob(&store, &name, b"loose").await;
        Self {
            _volume: volume,
            store,
            name,
            loose,
        }
    }

    async fn push(&self, seed: &str) -> Digest {
        push_image(&self.store, &self.name, seed, seed).await
    }

    async fn put_index(&self, reference: &str, children: &[&Digest]) -> Digest {
        put(&self.store, &self.name, reference, &index(children))
            .await
            .unwrap()
    }

    async fn delete(&self, manifest: &Digest) -> Result<(), ManifestError> {
        self.store.manifest_delete(&self.name, manifest).await
    }

    /// What a refused delete of a blob names.
    async fn blob_is_kept_for(&self, blob: &Digest) -> Option<Digest> {
        match self.store.blob_delete(&self.name, blob).await {
            Err(BlobError::PerhapsReferenced { by, .. }) => Some(by),
            _ => None,
        }
    }

    async fn manifest_is_kept_for(&self, manifest: &Digest) -> Option<Digest> {
        match self.delete(manifest).await {
            Err(ManifestError::PerhapsReferenced { by, .. }) => Some(by),
            _ => None,
        }
    }
}

/// P129, P130.
#[tokio::test]
async fn nothing_that_a_damaged_manifest_may_need_is_deleted_until_it_is_healed() {
    for damage in DAMAGES {
        let it = Fixture::new().await;
        let child = it.push("child").await;
        let damaged = it.put_index("multi", &[&child, &it.loose]).await;
        damage.done(&it.store, &it.name, &damaged).await;
        assert_eq!(
            it.blob_is_kept_for(&it.loose).await.as_ref(),
            Some(&damaged),
            "{damage:?}"
        );
        assert_eq!(
            it.manifest_is_kept_for(&child).await.as_ref(),
            Some(&damaged),
            "{damage:?}"
        );
        it.put_index("multi", &[&child, &it.loose]).await;
        assert!(
            matches!(it.delete(&child).await, Err(ManifestError::Referenced { .. })),
            "{damage:?}"
        );
        it.delete(&damaged).await.unwrap();
        it.delete(&child).await.unwrap();
    }
}

#[tokio::test]
async fn manifest_that_needs_it_is_named_before_a_damaged_one() {
    let it = Fixture::new().await;
    for number in 0..4 {
        let damaged = it.push(&format!("damaged-{number}")).await;
        Damage::Bytes.done(&it.store, &it.name, &damaged).await;
    }
    let whole = it.put_index("whole", &[&it.loose]).await;
    let refused = it.store.blob_delete(&it.name, &it.loose).await;
    assert!(
        matches!(&refused, Err(BlobError::Referenced { by, .. }) if *by == whole),
        "{refused:?}"
    );
}

#[tokio::test]
async fn damaged_manifests_are_deleted_whatever_else_is_damaged() {
    for damage in DAMAGES {
        let it = Fixture::new().await;
        let one = it.push("one").await;
        let other = it.push("other").await;
        Damage::Bytes.done(&it.store, &it.name, &other).await;
        damage.done(&it.store, &it.name, &one).await;
        for manifest in [&one, &other] {
            it.delete(manifest).await.unwrap();
        }
        it.store.blob_delete(&it.name, &it.loose).await.unwrap();
    }
}

#[tokio::test]
async fn index_that_leads_to_a_damaged_manifest_is_deleted_before_it() {
    let it = Fixture::new().await;
    let damaged = it.push("child").await;
    let inner = it.put_index("inner", &[&damaged]).await;
    let outer = it.put_index("outer", &[&inner]).await;
    Damage::Bytes.done(&it.store, &it.name, &damaged).await;
    for manifest in [&outer, &inner, &damaged] {
        it.delete(manifest).await.unwrap();
    }
}

#[tokio::test]
async fn indexes_of_damaged_images_are_deleted_and_each_before_its_image() {
    let it = Fixture::new().await;
    let images = [it.push("one").await, it.push("other").await];
    let indexes = [
        it.put_index("first", &[&images[0]]).await,
        it.put_index("second", &[&images[1]]).await,
    ];
    for image in &images {
        Damage::Bytes.done(&it.store, &it.name, image).await;
    }
    for (index, image) in indexes.iter().zip(&images) {
        it.delete(index).await.unwrap();
        it.delete(image).await.unwrap();
    }
}

#[tokio::test]
async fn link_whose_content_is_gone_keeps_nothing() {
    let it = Fixture::new().await;
    let gone = it.push("gone").await;
    let other = it.push("other").await;
    fs::remove_file(it.store.inner.keys.blob(&gone)).unwrap();
    it.store.blob_delete(&it.name, &it.loose).await.unwrap();
    it.delete(&other).await.unwrap();
}

/// What a delete is refused for keeps the same from a collection.
#[tokio::test]
async fn collection_keeps_what_is_not_deleted() {
    for damage in DAMAGES {
        let it = Fixture::new().await;
        let damaged = it.push("damaged").await;
        damage.done(&it.store, &it.name, &damaged).await;
        match it.store.collect(without_grace(), |_| {}).await {
            Ok(report) => assert!(report.warnings[0].contains(damaged.as_str()), "{damage:?}"),
            Err(refused) => assert!(refused.to_string().contains("is damaged"), "{refused}"),
        }
        assert_eq!(read_blob(&it.store, &it.name, &it.loose).await, b"loose");
    }
}
