//! Facts about the store, on real directories. Each file of `tests/` holds one subject; the helpers below open volumes
//! and push through the same operations that handlers use.

mod absent;
mod blobs;
mod broken_disk;
mod came;
mod collect;
mod compatibility;
mod concurrency;
mod crash;
mod damaged_manifests;
mod deletion;
mod faults;
mod finishing;
mod fsck;
mod full_uploads;
mod holds;
mod idle_uploads;
mod links;
mod manifests;
mod model;
mod open;
mod power_cut;
mod referrers;
mod refused;
mod renewal;
mod reserve;
mod scrub;
mod session_records;
mod several_tags;
mod uploads;
mod whole;
mod whole_deletion;
mod wide;
mod withdrawal;
mod writeback;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use portolan_oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag, UploadId};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::store::fsck::{FindingKind, FsckOptions, FsckReport, check};

/// As clients ask that expect nothing of what is there.
impl Store {
    async fn manifest_put(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        extra_tags: &[Tag],
        content_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<PutOutcome, ManifestError> {
        let manner = Manner {
            extra_tags,
            content_type,
            precondition: Precondition::default(),
        };
        self.manifest_put_if(repository, reference, manner, bytes).await
    }

    async fn manifest_delete(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), ManifestError> {
        self.manifest_delete_if(repository, digest, Precondition::default())
            .await
    }

    async fn tag_delete(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), ManifestError> {
        self.tag_delete_if(repository, tag, Precondition::default()).await
    }
}

const OPEN_UPLOADS: usize = 8;

/// A volume that goes away with the test.
struct Volume {
    directory: TempDir,
}

impl Volume {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Where fsync costs nothing, if there is such a place: for tests that open hundreds of volumes.
    fn in_memory() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            path: self.path().to_owned(),
            volume: VolumeOptions::default(),
            // A child that another test begins holds our lock too, until it is a program of its own.
            lock_timeout: Duration::from_secs(10),
            upload_idle_timeout: Duration::from_hours(24),
            open_uploads: OPEN_UPLOADS,
            requirements: Requirements::default(),
            clock: Arc::new(now),
            random: Arc::new(rand::random),
        }
    }

    async fn open(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    /// As another process opens it that does not wait for this one.
    async fn open_now(&self) -> Result<Store, OpenError> {
        let options = StoreOptions {
            lock_timeout: Duration::ZERO,
            ..self.options()
        };
        Store::open(options).await
    }

    fn keys(&self) -> Keys {
        Keys::new(self.path())
    }
}

#[expect(clippy::disallowed_methods, reason = "tests pass the real clock in")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

fn by(reference: &str) -> Reference {
    reference.parse().unwrap()
}

/// A collection of what nothing names, however young it is.
fn without_grace() -> CollectOptions {
    CollectOptions {
        grace: Duration::ZERO,
        ..CollectOptions::default()
    }
}

/// A body that arrives in pieces.
fn body(pieces: &[&[u8]]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + use<> {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces)
}

/// A body that arrives in part before the connection breaks.
fn broken_body(piece: &[u8]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + Unpin + use<> {
    stream::iter(vec![
        Ok(Bytes::copy_from_slice(piece)),
        Err(BodyError::from("connection reset")),
    ])
}

/// Lets manifests come without what they name.
fn accepting(volume: &Volume) -> StoreOptions {
    StoreOptions {
        requirements: Requirements {
            layers: false,
            children: false,
        },
        ..volume.options()
    }
}

/// What a check of the volume finds; `deep`: in the content, too.
fn checked(volume: &Volume, deep: bool) -> FsckReport {
    let options = FsckOptions {
        deep,
        pause: Duration::ZERO,
    };
    check(volume.path(), options, &|_| {}).unwrap()
}

fn kinds(report: &FsckReport) -> Vec<FindingKind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

async fn push_blob(store: &Store, repository: &RepositoryName, bytes: &[u8]) -> Digest {
    let digest = digest_of(bytes);
    try_push_blob(store, repository, bytes).await.unwrap();
    digest
}

async fn try_push_blob(store: &Store, repository: &RepositoryName, bytes: &[u8]) -> Result<(), UploadError> {
    let id = store.upload_start(repository, None).await?;
    store
        .upload_finish(
            repository,
            &id,
            &digest_of(bytes),
            Chunk::default(),
            body(&[bytes]),
        )
        .await
}

async fn offset(store: &Store, name: &RepositoryName, id: &UploadId) -> u64 {
    store.upload_status(name, id).await.unwrap().offset
}

async fn read_blob(store: &Store, repository: &RepositoryName, digest: &Digest) -> Vec<u8> {
    let content = store.blob_open(repository, digest).await.unwrap();
    let size = content.size();
    collect(content.stream(0..size)).await
}

async fn collect(stream: impl Stream<Item = std::io::Result<Bytes>>) -> Vec<u8> {
    let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
    pieces.concat()
}

fn descriptor(digest: &Digest, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": 1})
}

fn image(config: &Digest, layers: &[&Digest]) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip"))
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    })
}

fn index(children: &[&Digest]) -> Value {
    let children: Vec<Value> = children
        .iter()
        .map(|child| descriptor(child, MediaType::OCI_MANIFEST))
        .collect();
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children})
}

async fn put(
    store: &Store,
    repository: &RepositoryName,
    reference: &str,
    document: &Value,
) -> Result<Digest, ManifestError> {
    let bytes = Bytes::from(document.to_string());
    let reference: Reference = reference.parse().unwrap();
    Ok(store
        .manifest_put(repository, &reference, &[], None, bytes)
        .await?
        .digest)
}

/// Pushes an image of one layer and lets `reference` name it.
async fn push_image(store: &Store, repository: &RepositoryName, reference: &str, seed: &str) -> Digest {
    let config = push_blob(store, repository, format!("config of {seed}").as_bytes()).await;
    let layer = push_blob(store, repository, format!("layer of {seed}").as_bytes()).await;
    put(store, repository, reference, &image(&config, &[&layer]))
        .await
        .unwrap()
}
