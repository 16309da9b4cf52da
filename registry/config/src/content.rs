//! What content is taken: `manifests` and `uploads` of config.yaml. Pure data.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::yaml;

/// What becomes of a manifest that names content which is not in its repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Manifests {
    /// Config and layers of an image.
    pub missing_layers: Missing,
    /// Entries of an index.
    pub missing_children: Missing,
}

/// Whether something may be named before it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The manifest is refused.
    Refuse,
    /// The manifest is taken; what it names may come later, or never.
    Accept,
}

impl Default for Manifests {
    fn default() -> Self {
        Self {
            missing_layers: Missing::Refuse,
            missing_children: Missing::Accept,
        }
    }
}

impl Manifests {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How blobs may be uploaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Uploads {
    /// The most bytes that one blob may have. Absent = as many as the volume holds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub max_blob_bytes: Option<NonZeroU64>,
}

impl Uploads {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
