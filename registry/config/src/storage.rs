//! Where the images are: `storage` of config.yaml. Pure data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::yaml;

/// Where the images are, and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// Whether tags, manifests and blobs can be deleted by who has the right to; otherwise deletes are refused.
    pub delete_enabled: bool,
    /// Nothing is changed, whoever asks: for maintenance of the volume by other programs.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// A directory, in the layout that `registry:2` uses.
    pub volume: Volume,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            delete_enabled: true,
            read_only: false,
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
    /// Takes NFS, SMB, FUSE and file systems that do not tell upper from lower case, which are refused otherwise.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_unsafe_filesystem: bool,
    /// How many bytes are kept free for deletes and garbage collection; 0 = none. Absent = a hundredth of the volume,
    /// at most 64 MiB.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub reserve_bytes: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            path: PathBuf::from("/var/lib/registry"),
            allow_unsafe_filesystem: false,
            reserve_bytes: None,
        }
    }
}
