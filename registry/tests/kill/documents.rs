//! What actors push: contents that all of them share, images, indexes and signatures. Numbers come in, documents go
//! out; pure.

use std::sync::LazyLock;

use bytes::Bytes;
use portolan_oci::{Algorithm, Digest};
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// How many different blobs there are: few, so that actors meet on the same digests.
pub(crate) const CONTENTS: u32 = 24;

/// Bytes and digests of all of them; hashing is slow without optimisation.
static ALL: LazyLock<Vec<(Bytes, Digest)>> = LazyLock::new(|| {
    let make = |number: u32| {
        let length = if number.is_multiple_of(8) { 70_000 } else { 100 };
        let bytes: Bytes = number
            .to_le_bytes()
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect();
        let algorithm = if number % 3 == 2 {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        let digest = Digest::of(algorithm, &bytes);
        (bytes, digest)
    };
    (0..CONTENTS).map(make).collect()
});

/// The bytes of a blob, and their digest.
pub(crate) fn content(number: u32) -> (Bytes, Digest) {
    ALL[number as usize].clone()
}

/// By which digest a document is pushed: about every third by sha512, the same one always alike.
fn digest_of(text: &str) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
    if digest.hex() < "5" {
        Digest::of(Algorithm::Sha512, text.as_bytes())
    } else {
        digest
    }
}

/// A manifest, and what it names.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) digest: Digest,
    pub(crate) text: String,
    pub(crate) media_type: &'static str,
    /// Numbers of contents.
    pub(crate) blobs: Vec<u32>,
    pub(crate) children: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
}

impl Document {
    fn new(media_type: &'static str, document: &serde_json::Value) -> Self {
        let text = document.to_string();
        Self {
            digest: digest_of(&text),
            text,
            media_type,
            blobs: Vec::new(),
            children: Vec::new(),
            subject: None,
        }
    }

    /// An image of these contents, the first one being its config.
    pub(crate) fn image(blobs: &[u32], subject: Option<&Self>) -> Self {
        let descriptor = |number: &u32| {
            let (bytes, digest) = content(*number);
            json!({"mediaType": "application/octet-stream", "digest": digest, "size": bytes.len()})
        };
        let mut document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(&blobs[0]),
            "layers": blobs[1..].iter().map(descriptor).collect::<Vec<_>>(),
        });
        if let Some(subject) = subject {
            document["artifactType"] = json!("application/x-signature");
            document["subject"] = json!({"mediaType": subject.media_type, "digest": subject.digest, "size": subject.text.len()});
        }
        Self {
            blobs: blobs.to_vec(),
            subject: subject.map(|subject| subject.digest.clone()),
            ..Self::new(MANIFEST, &document)
        }
    }

    /// An index of these images.
    pub(crate) fn index(children: &[&Self]) -> Self {
        let entries: Vec<_> = children
            .iter()
            .map(|it| json!({"mediaType": it.media_type, "digest": it.digest, "size": it.text.len()}))
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        Self {
            children: children.iter().map(|it| it.digest.clone()).collect(),
            ..Self::new(INDEX, &document)
        }
    }
}
