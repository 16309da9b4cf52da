//! What came after the manifest that names it: from then on it is known to have come, and its loss is found.

mod mounts;

use super::withdrawal::Delayed;
use super::*;
use crate::store::links::digests_in;
use crate::store::locks::stripe;

/// An index and its child, or what else comes late, in a repository of a store that takes manifests without their layers.
struct Late {
    volume: Volume,
    store: Store,
    name: RepositoryName,
}

impl Late {
    async fn new() -> Self {
        let volume = Volume::new();
        let store = Store::open(accepting(&volume)).await.unwrap();
        let name = repository("a");
        Self { volume, store, name }
    }

    fn keys(&self) -> Keys {
        self.volume.keys()
    }

    fn is_marked(&self, digest: &Digest) -> bool {
        self.keys().came(&self.name, digest).exists()
    }

    async fn put(&self, tag: &str, document: &Value) -> Digest {
        put(&self.store, &self.name, tag, document).await.unwrap()
    }

    async fn collect(&self) -> CollectReport {
        let options = CollectOptions {
            grace: Duration::ZERO,
            ..CollectOptions::default()
        };
        self.store.collect(options, |_| {}).await.unwrap()
    }

    /// Loses a link and expects that a check tells so, and a collection, which keeps the content of what is lost, and that
    /// both still do after that.
    async fn is_found_when_lost(&self, lost: &Digest, link: &Path) {
        assert_eq!(kinds(&checked(&self.volume, false)), []);
        std::fs::remove_file(link).unwrap();
        for _ in 0..2 {
            assert_eq!(kinds(&checked(&self.volume, false)), [FindingKind::ReferenceLost]);
            let report = self.collect().await;
            let [warning] = report.warnings.as_slice() else {
                panic!("{:?}", report.warnings)
            };
            assert!(warning.contains(lost.as_str()), "{warning}");
            assert!(self.keys().blob(lost).exists());
        }
        assert_eq!(digests_in(&self.keys().absent_in(&self.name)).unwrap(), []);
    }
}

#[tokio::test]
async fn child_that_came_late_and_lost_its_link_is_lost() {
    let late = Late::new().await;
    let child = image(&push_blob(&late.store, &late.name, b"{}").await, &[]);
    let digest = digest_of(child.to_string().as_bytes());
    late.put("multi", &index(&[&digest])).await;
    put(&late.store, &late.name, digest.as_str(), &child)
        .await
        .unwrap();
    let link = late.keys().revision_link(&late.name, &digest);
    late.is_found_when_lost(&digest, &link).await;
}

#[tokio::test]
async fn blob_of_an_index_that_came_late_and_lost_its_link_is_lost() {
    let late = Late::new().await;
    late.put("multi", &index(&[&digest_of(b"cache")])).await;
    let blob = push_blob(&late.store, &late.name, b"cache").await;
    let link = late.keys().layer_link(&late.name, &blob);
    late.is_found_when_lost(&blob, &link).await;
}

#[tokio::test]
async fn layer_that_came_late_and_lost_its_link_is_lost() {
    let late = Late::new().await;
    let config = push_blob(&late.store, &late.name, b"{}").await;
    late.put("v1", &image(&config, &[&digest_of(b"layer")])).await;
    let layer = push_blob(&late.store, &late.name, b"layer").await;
    let link = late.keys().layer_link(&late.name, &layer);
    late.is_found_when_lost(&layer, &link).await;
}

#[tokio::test]
async fn layer_that_was_mounted_late_and_lost_its_link_is_lost() {
    let late = Late::new().await;
    let config = push_blob(&late.store, &late.name, b"{}").await;
    late.put("v1", &image(&config, &[&digest_of(b"layer")])).await;
    let source = repository("b");
    let layer = push_blob(&late.store, &source, b"layer").await;
    let from = MountSource::Repository(source);
    assert!(late.store.blob_mount(from, &late.name, &layer).await.unwrap());
    let link = late.keys().layer_link(&late.name, &layer);
    late.is_found_when_lost(&layer, &link).await;
}

/// A process that is killed after it has written the link has marked nothing.
#[tokio::test]
async fn repeated_end_of_an_upload_marks_what_the_first_has_not() {
    let late = Late::new().await;
    late.put("multi", &index(&[&digest_of(b"cache")])).await;
    let blob = push_blob(&late.store, &late.name, b"cache").await;
    std::fs::remove_file(late.keys().came(&late.name, &blob)).unwrap();
    let id = UploadId::from_random([7; 16]);
    let whole = Chunk::default();
    late.store
        .upload_finish(&late.name, &id, &blob, whole, body(&[]))
        .await
        .unwrap();
    assert!(late.is_marked(&blob));
}

#[tokio::test]
async fn where_nothing_is_absent_nothing_is_marked() {
    let late = Late::new().await;
    let child = push_image(&late.store, &late.name, "v1", "child").await;
    let document = index(&[&child, &digest_of(b"late")]);
    let parent = late.put("multi", &index(&[&child])).await;
    assert!(!late.is_marked(&child) && !late.is_marked(&parent));
    let parent = late.put("multi", &document).await;
    push_blob(&late.store, &late.name, b"late").await;
    late.put("multi", &document).await;
    assert!(!late.keys().absent(&late.name, &parent).exists());
    let after = push_blob(&late.store, &late.name, b"after").await;
    assert!(!late.is_marked(&after));
}

#[tokio::test]
async fn marks_go_at_a_collection_once_no_record_names_them() {
    let late = Late::new().await;
    let never = digest_of(b"never");
    let parent = late.put("multi", &index(&[&digest_of(b"late"), &never])).await;
    let blob = push_blob(&late.store, &late.name, b"late").await;
    let dry = CollectOptions {
        dry_run: true,
        ..CollectOptions::default()
    };
    late.store.collect(dry, |_| {}).await.unwrap();
    assert!(late.is_marked(&blob));
    late.store.hold("backup").await.unwrap();
    late.collect().await;
    assert!(late.is_marked(&blob));
    late.store.release("backup").await.unwrap();
    late.collect().await;
    assert!(!late.is_marked(&blob) && late.keys().absent(&late.name, &parent).exists());
    // what another record names stays
    let image = push_image(&late.store, &late.name, "v1", "image").await;
    std::fs::write(late.keys().absent(&late.name, &image), json!([blob]).to_string()).unwrap();
    push_blob(&late.store, &late.name, b"late").await;
    late.collect().await;
    assert!(late.is_marked(&blob));
}

#[tokio::test]
async fn mark_stays_when_it_is_named_after_a_collection_has_read_the_records() {
    let mut delayed = Delayed::new().await;
    let (store, keys, name) = (delayed.store.clone(), delayed.volume.keys(), repository("a"));
    let never = digest_of(b"never");
    put(&store, &name, "multi", &index(&[&never])).await.unwrap();
    let mut blobs = Vec::new();
    for n in 0..100_u8 {
        blobs.push(push_blob(&store, &name, &[n]).await);
    }
    blobs.sort_unstable();
    let (first, rest) = blobs.split_at(64);
    let is_held = |digest: &&Digest| first.iter().any(|it| stripe(it) == stripe(*digest));
    let named = rest.iter().rfind(|digest| !is_held(digest)).unwrap();
    std::fs::remove_file(keys.layer_link(&name, named)).unwrap();
    let marks = keys.came(&name, named).parent().unwrap().to_owned();
    let collecting = store.clone();
    let collecting = async move { collecting.collect(CollectOptions::default(), |_| {}).await };
    let run = delayed.held_at(&marks, collecting).await;
    put(&store, &name, "later", &index(&[named])).await.unwrap();
    delayed.let_go();
    run.await.unwrap().unwrap();
    assert!(!keys.came(&name, &first[0]).exists() && keys.came(&name, named).exists());
    assert_eq!(
        kinds(&checked(&delayed.volume, false)),
        [FindingKind::ReferenceLost]
    );
}

#[tokio::test]
async fn what_came_after_a_manifest_of_any_algorithm_is_marked() {
    for algorithm in Algorithm::ALL {
        let late = Late::new().await;
        let document = index(&[&digest_of(b"never")]).to_string();
        let reference = Reference::Digest(Digest::of(algorithm, document.as_bytes()));
        let put = late
            .store
            .manifest_put(&late.name, &reference, &[], None, document.into());
        put.await.unwrap();
        let blob = push_blob(&late.store, &late.name, b"late").await;
        assert!(late.is_marked(&blob), "{algorithm}");
    }
}

#[tokio::test]
async fn what_was_deleted_and_is_named_again_never_came() {
    let late = Late::new().await;
    late.put("multi", &index(&[&digest_of(b"never")])).await;
    let image = push_image(&late.store, &late.name, "v1", "image").await;
    let blob = push_blob(&late.store, &late.name, b"blob").await;
    assert!(late.is_marked(&image) && late.is_marked(&blob));
    late.store.manifest_delete(&late.name, &image).await.unwrap();
    late.store.blob_delete(&late.name, &blob).await.unwrap();
    assert!(!late.is_marked(&image) && !late.is_marked(&blob));
    late.put("other", &index(&[&image, &blob])).await;
    assert_eq!(kinds(&checked(&late.volume, false)), []);
}

#[tokio::test]
async fn what_was_collected_and_is_named_again_never_came() {
    let late = Late::new().await;
    let child = image(&push_blob(&late.store, &late.name, b"{}").await, &[]);
    let (child, blob) = (child.to_string(), digest_of(b"blob"));
    let named = digest_of(child.as_bytes());
    let document = index(&[&named, &blob, &digest_of(b"never")]);
    late.put("multi", &document).await;
    let reference = Reference::Digest(named.clone());
    let put = |bytes: String| {
        late.store
            .manifest_put(&late.name, &reference, &[], None, bytes.into())
    };
    put(child).await.unwrap();
    push_blob(&late.store, &late.name, b"blob").await;
    late.store.tag_delete(&late.name, &tag("multi")).await.unwrap();
    // what is still recorded keeps its mark until it goes itself
    let image = push_image(&late.store, &late.name, "v1", "image").await;
    let stray = late.keys().absent(&late.name, &image);
    std::fs::write(stray, json!([named, blob]).to_string()).unwrap();
    let at_once = CollectOptions {
        grace: Duration::ZERO,
        untagged_after: Some(Duration::ZERO),
        ..CollectOptions::default()
    };
    let report = late.store.collect(at_once, |_| {}).await.unwrap();
    assert_eq!((report.freed.manifests, report.freed.links), (2, 2));
    assert!(!late.is_marked(&named) && !late.is_marked(&blob));
    let Late { volume, store, name } = late;
    drop(store); // which remembers what it has collected
    let store = volume.open().await;
    super::put(&store, &name, "multi", &document).await.unwrap();
    assert_eq!(kinds(&checked(&volume, false)), []);
}
