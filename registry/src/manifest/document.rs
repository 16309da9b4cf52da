//! The JSON of manifests and indexes, as permissive as clients need: unknown fields are ignored. Pure.

use std::collections::BTreeMap;

use portolan_oci::{Digest, MediaType};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) schema_version: Option<serde_json::Value>,
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Target>,
    pub(super) layers: Option<Vec<Target>>,
    pub(super) manifests: Option<Vec<Target>>,
    /// The content of a withdrawn OCI artifact manifest.
    pub(super) blobs: Option<Vec<Target>>,
    pub(super) subject: Option<Target>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
    /// Only in schema 1.
    pub(super) fs_layers: Option<serde::de::IgnoredAny>,
}

/// A descriptor inside a document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    #[serde(default)]
    pub(super) media_type: Option<MediaType>,
    pub(super) digest: Digest,
}

impl Target {
    /// Whether it may be elsewhere. Only its type says so: `urls` name further places, which few clients look at.
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type
            .as_ref()
            .is_some_and(MediaType::is_non_distributable)
    }
}
