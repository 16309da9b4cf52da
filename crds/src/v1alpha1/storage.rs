//! Where a Registry keeps its images. One-of is a rule over optional fields, never a Rust enum: the `oneOf` of an enum
//! prints a second, unreadable error.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Exactly one of these is written.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_storage_kind(), validation = rules::storage_kind_is_fixed())]
pub struct StorageSpec {
    /// A PersistentVolumeClaim: `volume: {size: 20Gi}` creates one named `<name>-data`,
    /// `volume: {existingClaimName: old-registry}` uses one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeStorage>,

    /// Storage that is lost when the Pod moves or is recreated: for trials and caches. Write `ephemeral: {}` or
    /// `ephemeral: {sizeLimit: 5Gi}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralStorage>,
}

impl StorageSpec {
    /// Whether neither kind is written, which admission refuses.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Images on a PersistentVolumeClaim. At least one of `size` and `existingClaimName` is written.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::size_or_claim(),
    validation = rules::storage_class_is_fixed(),
    validation = rules::storage_class_is_for_a_new_claim()
)]
pub struct VolumeStorage {
    /// How much room the images get, for example `20Gi`. Raise it to grow the volume while the registry runs, where
    /// the StorageClass allows that; it can never go below what the volume has (status.storage.capacity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::is_quantity(), validation = rules::is_at_least_one_mebibyte())]
    pub size: Option<String>,

    /// The StorageClass of the new claim, for example `fast`; without it the cluster's default class. Cannot be
    /// changed later, and is not written together with `existingClaimName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::is_object_name("StorageClass", "fast"))]
    pub storage_class_name: Option<String>,

    /// A claim of this namespace that exists already, for example `registry-data` of a deleted Registry, or the
    /// volume of a `registry:2`. Portolan never deletes it. Fixed once status.storage.claimName is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::is_object_name("PersistentVolumeClaim", "registry-data"))]
    pub existing_claim_name: Option<String>,
}

/// Images on the node's disk, for the life of the Pod only.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EphemeralStorage {
    /// The Pod is evicted, and its images are lost, when it holds more than this, for example `5Gi`. Without it only
    /// the node's disk is the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::is_quantity(), validation = rules::is_at_least_one_mebibyte())]
    pub size_limit: Option<String>,
}
