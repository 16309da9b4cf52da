//! Parsed manifests: what a document claims to be and which content it names. Bytes come in, values go out; pure.
//!
//! The store asks three things of a manifest: may it be stored ([`Manifest::parse`], [`Manifest::check_new`]), what does it name
//! ([`Manifest::edges`]), and how does it appear among the referrers of its subject
//! ([`Manifest::referrer_descriptor`]).

mod document;
mod invalid;
mod parse;
mod references;
mod spelling;
mod typed;

use std::collections::{BTreeMap, BTreeSet};

use portolan_oci::{Descriptor, Digest, MediaType};

pub use invalid::InvalidManifest;
pub use parse::{stored_images, stored_media_type, stored_names};
pub use references::References;

/// A manifest or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the document is; served as `Content-Type`.
    pub media_type: MediaType,
    /// Each thing that it names, once.
    pub edges: Vec<Edge>,
    /// The manifest that it refers to.
    pub subject: Option<Digest>,
    /// Its own artifact type, else the type of its config.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// One thing that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub digest: Digest,
    pub kind: EdgeKind,
}

/// What a manifest wants of something that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// Config or layer: must be in the repository.
    Blob,
    /// Layer of a type that clients fetch elsewhere: need not be in the repository.
    ForeignBlob,
    /// Entry of an index, a manifest or (build caches) a blob: may be pushed later, or never.
    Child,
}

impl Manifest {
    /// Whether it names `digest` as config, layer or child. A subject is not named in this sense: it may go.
    pub fn names(&self, digest: &Digest) -> bool {
        self.edges.iter().any(|edge| edge.digest == *digest)
    }

    /// How a manifest of `digest` and `size` is listed among the referrers of its subject.
    pub fn referrer_descriptor(&self, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// Keeps the first edge of each digest, in the strictest kind that any of them has.
fn unique_edges(edges: Vec<Edge>) -> Vec<Edge> {
    let required: BTreeSet<Digest> = edges
        .iter()
        .filter(|edge| edge.kind == EdgeKind::Blob)
        .map(|edge| edge.digest.clone())
        .collect();
    let mut seen = BTreeSet::new();
    let mut unique = Vec::new();
    for mut edge in edges {
        if seen.insert(edge.digest.clone()) {
            if required.contains(&edge.digest) {
                edge.kind = EdgeKind::Blob;
            }
            unique.push(edge);
        }
    }
    unique
}
