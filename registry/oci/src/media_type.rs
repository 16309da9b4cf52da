//! Media types: the ones that mean something to a registry, and how a `Content-Type` value becomes one. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type without parameters. Any text is allowed: artifacts bring their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// OCI artifact manifest: withdrawn from the image specification, still held by registries.
    pub const OCI_ARTIFACT: &'static str = "application/vnd.oci.artifact.manifest.v1+json";
    /// Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest, schema 1, unsigned; not accepted.
    pub const DOCKER_SCHEMA1: &'static str = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker image manifest, schema 1, signed; not accepted.
    pub const DOCKER_SCHEMA1_SIGNED: &'static str =
        "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// Takes what stands before the first `;` of a `Content-Type` value, without blanks, in lower case.
    pub fn from_content_type(value: &str) -> Self {
        let name = value.split(';').next().unwrap_or_default();
        Self(name.trim().to_ascii_lowercase())
    }

    /// Wraps a media type as written in a document, unchanged.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether layers of this type are allowed to stay outside the registry (`nondistributable`, Docker's `foreign`).
    pub fn is_non_distributable(&self) -> bool {
        self.0.contains(".image.layer.nondistributable.") || self.0.contains(".image.rootfs.foreign.diff.")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_of_a_content_type_are_dropped() {
        let media_type =
            MediaType::from_content_type(" Application/vnd.OCI.image.index.v1+json ; charset=utf-8");
        assert_eq!(media_type.as_str(), MediaType::OCI_INDEX);
    }

    #[test]
    fn foreign_layers_of_both_vocabularies_are_non_distributable() {
        for text in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        ] {
            assert!(MediaType::new(text).is_non_distributable());
        }
        assert!(!MediaType::new("application/vnd.oci.image.layer.v1.tar+gzip").is_non_distributable());
    }
}
