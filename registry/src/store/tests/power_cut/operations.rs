//! What clients do in these tests, so that doing it again is no error; and the little world in which they do it.

use futures::future::BoxFuture;

use super::super::*;
use super::late::INDEX_OF_LAYER;

/// Something that a client does until it is acknowledged. A fault of the volume is never right.
pub(super) type Operation = fn(Store) -> BoxFuture<'static, Result<(), String>>;

pub(super) const LAYER: &[u8] = b"one";
pub(super) const TAGS: [&str; 2] = ["v1", "v2"];

pub(super) fn a() -> RepositoryName {
    repository("a")
}

pub(super) fn b() -> RepositoryName {
    repository("b")
}

pub(super) fn sha512_of(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha512, bytes)
}

/// Blobs that tests look for, with what they are called.
pub(super) fn blobs() -> Vec<(&'static str, &'static [u8])> {
    vec![("config", b"{}"), ("one", LAYER), ("two", b"two")]
}

pub(super) fn manifests() -> Vec<(&'static str, Value)> {
    let digest = |bytes: &[u8]| digest_of(bytes);
    let first = image(&digest(b"{}"), &[&digest(LAYER)]);
    let second = image(&digest(b"{}"), &[&digest(b"two")]);
    let named = digest(first.to_string().as_bytes());
    let parent = index(&[&named]);
    let mut signature = image(&digest(b"{}"), &[&digest(b"two")]);
    signature["subject"] = descriptor(&named, MediaType::OCI_MANIFEST);
    let mut other_parent = parent.clone();
    other_parent["annotations"] = json!({"name": "other"});
    let mut attestation = signature.clone();
    attestation["annotations"] = json!({"name": "attestation"});
    vec![
        ("first", first),
        ("second", second),
        ("parent", parent),
        ("other parent", other_parent),
        (INDEX_OF_LAYER, index(&[&digest(LAYER)])),
        ("signature", signature),
        ("attestation", attestation),
    ]
}

pub(super) fn manifest(wanted: &str) -> Value {
    let found = manifests().into_iter().find(|(name, _)| *name == wanted);
    found.unwrap().1
}

pub(super) fn digest(wanted: &str) -> Digest {
    digest_of(manifest(wanted).to_string().as_bytes())
}

/// The volume before most operations: everything that a manifest here could need, and nothing that names it.
pub(super) async fn with_blobs(store: &Store) {
    for (_, bytes) in blobs() {
        push_blob(store, &a(), bytes).await;
    }
}

/// What a manifest here could need, but for the layer.
pub(super) async fn with_all_but_the_layer(store: &Store) {
    push_blob(store, &a(), b"{}").await;
    push_blob(store, &a(), b"two").await;
}

/// All blobs, and two tags for the first image.
pub(super) async fn with_first(store: &Store) {
    with_blobs(store).await;
    store
        .manifest_put(
            &a(),
            &"v1".parse().unwrap(),
            &[tag("v2")],
            None,
            Bytes::from(manifest("first").to_string()),
        )
        .await
        .unwrap();
}

/// The same as registry:2 would have left it: what `v1` names is in a history too.
pub(super) async fn with_history(store: &Store) {
    with_first(store).await;
    let (keys, named) = (&store.inner.keys, digest("first"));
    let entry = keys
        .tag_history(&a(), &tag("v1"))
        .join("sha256")
        .join(named.hex());
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("link"), named.as_str()).unwrap();
}

/// The same, and the history is all that a power cut has left of `v1`.
pub(super) async fn with_history_alone(store: &Store) {
    with_history(store).await;
    std::fs::write(store.inner.keys.tag_link(&a(), &tag("v1")), b"").unwrap();
}

pub(super) async fn with_signature(store: &Store) {
    with_first(store).await;
    push_signature(store.clone()).await.unwrap();
}

pub(super) fn told<T>(outcome: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| error.to_string())
}

async fn put_as(store: &Store, reference: &str, extra: &[Tag], name: &str) -> Result<(), String> {
    let bytes = Bytes::from(manifest(name).to_string());
    let put = store
        .manifest_put(&a(), &reference.parse().unwrap(), extra, None, bytes)
        .await;
    match put {
        Err(ManifestError::ContentMissing { .. }) => Ok(()), // an answer, and what is seen tells whether it is right
        outcome => told(outcome),
    }
}

pub(super) fn push_layer(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { told(try_push_blob(&store, &a(), LAYER).await) })
}

pub(super) fn push_layer_to_b(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { told(try_push_blob(&store, &b(), LAYER).await) })
}

pub(super) fn push_layer_as_sha512(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let id = store.upload_start(&a(), Some(Algorithm::Sha512)).await;
        let id = id.map_err(|error| error.to_string())?;
        let (digest, whole) = (sha512_of(LAYER), Chunk::default());
        told(
            store
                .upload_finish(&a(), &id, &digest, whole, body(&[LAYER]))
                .await,
        )
    })
}

/// As any client: what cannot be mounted is pushed.
pub(super) fn mount(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let mounted = store
            .blob_mount(MountSource::Repository(a()), &b(), &digest_of(LAYER))
            .await;
        match mounted {
            Ok(true) => Ok(()),
            Ok(false) => told(try_push_blob(&store, &b(), LAYER).await),
            Err(error) => Err(error.to_string()),
        }
    })
}

pub(super) fn push_first(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, "v1", &[], "first").await })
}

pub(super) fn push_first_with_two_tags(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, "v1", &[tag("v2")], "first").await })
}

/// Makes `v1` name something else.
pub(super) fn push_second(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, "v1", &[], "second").await })
}

pub(super) fn push_second_as_v2(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, "v2", &[], "second").await })
}

pub(super) fn push_parent(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, "v2", &[], "parent").await })
}

pub(super) fn push_first_as_sha512(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let digest = sha512_of(manifest("first").to_string().as_bytes());
        put_as(&store, digest.as_str(), &[tag("v1")], "first").await
    })
}

pub(super) fn push_signature(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { put_as(&store, digest("signature").as_str(), &[], "signature").await })
}

pub(super) fn delete_tag(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { gone(store.tag_delete(&a(), &tag("v1")).await) })
}

pub(super) fn delete_first(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { gone(store.manifest_delete(&a(), &digest("first")).await) })
}

pub(super) fn delete_parent(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { gone(store.manifest_delete(&a(), &digest("parent")).await) })
}

pub(super) fn delete_signature(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { gone(store.manifest_delete(&a(), &digest("signature")).await) })
}

fn gone(outcome: Result<(), ManifestError>) -> Result<(), String> {
    match outcome {
        Err(
            ManifestError::Unknown { .. }
            | ManifestError::RepositoryUnknown
            | ManifestError::Referenced { .. },
        ) => Ok(()),
        outcome => told(outcome),
    }
}

pub(super) fn delete_layer(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        match store.blob_delete(&a(), &digest_of(LAYER)).await {
            Err(BlobError::Unknown { .. } | BlobError::Referenced { .. }) => Ok(()),
            outcome => told(outcome),
        }
    })
}

/// Pushes an image the way clients do: what is there already is not pushed again.
pub(super) fn push_what_is_missing(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        for bytes in [b"{}", LAYER] {
            match store.blob_open(&a(), &digest_of(bytes)).await {
                Ok(_) => {}
                Err(BlobError::Unknown { .. }) => told(try_push_blob(&store, &a(), bytes).await)?,
                Err(error) => return Err(error.to_string()),
            }
        }
        put_as(&store, "v1", &[], "first").await
    })
}

/// All of a signed image, into a volume that may be new.
pub(super) fn push_everything(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        for (_, bytes) in blobs() {
            told(try_push_blob(&store, &a(), bytes).await)?;
        }
        put_as(&store, "v1", &[], "first").await?;
        push_signature(store).await
    })
}

async fn collect_after(store: &Store, untagged_after: Duration) -> Result<(), String> {
    let options = CollectOptions {
        grace: Duration::ZERO,
        untagged_after: Some(untagged_after),
        ..CollectOptions::default()
    };
    told(store.collect(options, |_| {}).await)
}

/// Removes everything that nobody can reach.
pub(super) fn collect_garbage(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { collect_after(&store, Duration::ZERO).await })
}

/// Looks how long nothing has named what is untagged.
pub(super) fn see_what_ages(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { collect_after(&store, Duration::from_hours(1)).await })
}

pub(super) fn hold(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { told(store.hold("backup").await) })
}

pub(super) fn release(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { told(store.release("backup").await) })
}

pub(super) async fn with_hold(store: &Store) {
    store.hold("backup").await.unwrap();
}

/// An index came before what it names.
pub(super) async fn with_parent_alone(store: &Store) {
    with_blobs(store).await;
    push_parent(store.clone()).await.unwrap();
}

/// What the index named has come since.
pub(super) async fn with_parent_complete(store: &Store) {
    with_parent_alone(store).await;
    push_first(store.clone()).await.unwrap();
}

/// A signed image that nothing names, beside one that a tag names.
pub(super) async fn with_untagged(store: &Store) {
    with_signature(store).await;
    store.tag_delete(&a(), &tag("v2")).await.unwrap();
    push_second(store.clone()).await.unwrap();
}

/// An image that nothing names, beside a layer that no image names.
pub(super) async fn with_untagged_second(store: &Store) {
    with_blobs(store).await;
    let reference = digest("second");
    put_as(store, reference.as_str(), &[], "second").await.unwrap();
}

/// An index that nothing names, with the image in it, beside one that a tag names.
pub(super) async fn with_untagged_index(store: &Store) {
    with_first(store).await;
    push_parent(store.clone()).await.unwrap();
    store.tag_delete(&a(), &tag("v2")).await.unwrap();
    push_second(store.clone()).await.unwrap();
}

pub(super) async fn with_aging(store: &Store) {
    with_first(store).await;
    for tag_name in TAGS {
        store.tag_delete(&a(), &tag(tag_name)).await.unwrap();
    }
    see_what_ages(store.clone()).await.unwrap();
}

/// What has aged is in a tagged index by now.
pub(super) async fn with_stale_age(store: &Store) {
    with_aging(store).await;
    push_parent(store.clone()).await.unwrap();
}
