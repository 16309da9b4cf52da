//! What the operator reports about a Registry. Every field is a function of what was observed, so that writing the
//! status of a settled registry changes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schemas;

/// The observed state, in the form that kstatus (Flux, Argo CD, `kubectl wait`) understands. A Registry that no
/// operator has seen yet has `observedGeneration: -1`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStatus {
    /// The metadata.generation that this status is about; -1 before the operator's first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Available, StorageReady, TLSReady and CredentialsReady always; Reconciling, Stalled and Suspended only
    /// while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::conditions")]
    pub conditions: Vec<Condition>,

    /// The host to use in image references: the first hostname, else the Service's name; with the port when it is
    /// not 443. For example `registry.team-a.svc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,

    /// Every way to reach the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<EndpointsStatus>,

    /// The volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,

    /// The certificate that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,

    /// Where the credentials are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,

    /// Which registry program runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionStatus>,

    /// The revision of Portolan's Pod template that runs. A newer operator keeps it until something else changes the
    /// Pod, so that upgrading the operator restarts no registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_revision: Option<i32>,
}

/// Every way to reach the registry.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct EndpointsStatus {
    /// The host inside the cluster, for example `registry.team-a.svc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub internal: Option<String>,

    /// The host for clients outside, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub external: Option<String>,

    /// The ConfigMap whose `ca.crt` clients must trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ca_config_map_name: Option<String>,
}

/// The volume that holds the images.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// The claim in use; set once it belongs to this Registry, and then never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub claim_name: Option<String>,

    /// What was asked for, for example `20Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub requested: Option<String>,

    /// What the volume really has, for example `20Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub capacity: Option<String>,
}

/// The certificate that every registry Pod serves.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,

    /// When it will be renewed; only for managed certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_time: Option<Time>,

    /// Its serial number in hex, as the Pods serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub served_serial: Option<String>,
}

/// Where the generated credentials are.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsStatus {
    /// Which of the two numbered passwords the Secrets hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_slot: Option<i32>,

    /// The Secret with which to push; as `kubernetes.io/dockerconfigjson`, with `username`, `password` and `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub push_secret_name: Option<String>,

    /// The Secret to name in the imagePullSecrets of a Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pull_secret_name: Option<String>,
}

/// Versions of the registry program.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// What the Pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub running: Option<String>,

    /// What they will run when the rollout is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub desired: Option<String>,
}
