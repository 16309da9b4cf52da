//! Where the images are: `storage` of config.yaml. Pure data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the images are, and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// Whether tags, manifests and blobs can be deleted by who has the right to; otherwise deletes are refused.
    pub delete_enabled: bool,
    /// A directory, in the layout that `registry:2` uses.
    pub volume: Volume,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            delete_enabled: true,
            volume: Volume::default(),
        }
    }
}

/// A directory on a local file system; one process at a time may use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Volume {
    /// The directory that holds (or will hold) `docker/registry/v2`.
    pub path: PathBuf,
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/registry"),
        }
    }
}
