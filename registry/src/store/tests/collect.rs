//! Garbage collection through the store's API, on real files: what stays, what goes, and when.

mod candidates;
mod during;
mod interposed;
mod keeps;
mod kills;
mod lost;
mod order;
mod races;
mod renewed;
mod two_links;
mod untagged;

use std::collections::BTreeMap;

use super::*;

/// Everything that nobody can reach goes at once.
fn at_once() -> CollectOptions {
    CollectOptions {
        untagged_after: Some(Duration::ZERO),
        ..without_grace()
    }
}

async fn collect_at_once(store: &Store) -> CollectReport {
    store.collect(at_once(), |_| {}).await.unwrap()
}

async fn has_manifest(store: &Store, name: &RepositoryName, digest: &Digest) -> bool {
    match store
        .manifest_read(name, &Reference::Digest(digest.clone()))
        .await
    {
        Ok(_) => true,
        Err(ManifestError::Unknown { .. } | ManifestError::RepositoryUnknown) => false,
        Err(error) => panic!("{digest}: {error}"),
    }
}

async fn has_blob(store: &Store, name: &RepositoryName, digest: &Digest) -> bool {
    match store.blob_open(name, digest).await {
        Ok(_) => true,
        Err(BlobError::Unknown { .. }) => false,
        Err(error) => panic!("{digest}: {error}"),
    }
}

/// An image of one config and one layer, which are pushed with it.
struct Image {
    digest: Digest,
    config: Digest,
    layer: Digest,
    document: Value,
}

impl Image {
    async fn push(store: &Store, name: &RepositoryName, reference: Option<&str>, seed: &str) -> Self {
        Self::push_about(store, name, reference, seed, None).await
    }

    async fn push_about(
        store: &Store,
        name: &RepositoryName,
        reference: Option<&str>,
        seed: &str,
        subject: Option<&Digest>,
    ) -> Self {
        let config = push_blob(store, name, format!("config of {seed}").as_bytes()).await;
        let layer = push_blob(store, name, format!("layer of {seed}").as_bytes()).await;
        let mut document = image(&config, &[&layer]);
        if let Some(subject) = subject {
            document["subject"] = descriptor(subject, MediaType::OCI_MANIFEST);
        }
        let digest = put_as(store, name, reference, &document).await;
        Self {
            digest,
            config,
            layer,
            document,
        }
    }

    /// Whether all of it can be pulled; not if some of it can.
    async fn is_whole(&self, store: &Store, name: &RepositoryName) -> bool {
        let manifest = has_manifest(store, name, &self.digest).await;
        let blobs = has_blob(store, name, &self.config).await && has_blob(store, name, &self.layer).await;
        assert!(!manifest || blobs, "{} is there without its blobs", self.digest);
        manifest && blobs
    }
}

/// Puts a document under a tag, or under its digest only.
async fn put_as(store: &Store, name: &RepositoryName, tag: Option<&str>, document: &Value) -> Digest {
    let digest = digest_of(document.to_string().as_bytes());
    let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
    put(store, name, &reference, document).await.unwrap()
}

/// The content that is on the volume, wherever it is linked from.
pub(super) fn contents(volume: &Volume) -> Vec<String> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        for part in list(&volume.keys().blobs().join(algorithm.as_str())) {
            for content in list(&part) {
                assert!(content.join("data").exists(), "{content:?} is empty");
                found.push(content.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

fn list(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).map_or_else(
        |_| Vec::new(),
        |entries| entries.map(|entry| entry.unwrap().path()).collect(),
    )
}

fn hexes(digests: &[&Digest]) -> Vec<String> {
    let mut hexes: Vec<String> = digests.iter().map(|digest| digest.hex().to_owned()).collect();
    hexes.sort_unstable();
    hexes
}
