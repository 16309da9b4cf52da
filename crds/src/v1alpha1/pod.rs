//! How the Pod of a Registry runs. The types of Kubernetes are used as they are; their schemas come without the
//! descriptions, which are Kubernetes' own and would make the CRD four times as large.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, schemas};

/// What may be said about the registry's Pod. Portolan keeps the rest, so that the Pod fits namespaces with
/// `pod-security.kubernetes.io/enforce: restricted`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// The registry program's image, for example `registry.example.com/portolan-registry:0.1.0`. Default: the one
    /// that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::is_image_reference())]
    pub image: Option<String>,

    /// When the node pulls the image: Always, IfNotPresent or Never. Default as in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::words::<ImagePullPolicy>")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of this namespace with which the node pulls the registry program's own image, for example
    /// `[{name: company-pull}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<LocalSecretReference>,

    /// CPU and memory of the registry container, for example
    /// `{requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 256Mi}}`. Default: requests of
    /// `{cpu: 50m, memory: 64Mi}` and no limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::resources")]
    pub resources: Option<ResourceRequirements>,

    /// Labels that a node must have, for example `{disk: ssd}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::node_selector")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the Pod tolerates, as in a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::tolerations")]
    pub tolerations: Vec<Toleration>,

    /// Rules about nodes and neighbours, as in a Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::affinity")]
    pub affinity: Option<Affinity>,

    /// How Pods spread over zones and nodes, as in a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::topology_spread_constraints")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,

    /// A PriorityClass of the cluster, for example `important`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::is_object_name("PriorityClass", "important"))]
    pub priority_class_name: Option<String>,

    /// Further labels of the Pod, for example `{team: a}`. Keys under portolan.dev/ and app.kubernetes.io/ are refused:
    /// Portolan sets those.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::labels")]
    pub labels: BTreeMap<String, String>,

    /// Further annotations of the Pod, for example `{sidecar.istio.io/inject: "false"}`. Keys under portolan.dev/ are
    /// refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::annotations")]
    pub annotations: BTreeMap<String, String>,

    /// Annotations of the Pod's ServiceAccount, for example
    /// `{eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/registry"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::annotations")]
    pub service_account_annotations: BTreeMap<String, String>,

    /// How much the registry writes to its log: error, warn, info (the default), debug or trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::words::<LogLevel>")]
    pub log_level: Option<LogLevel>,
}

impl PodSpec {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A Secret of the same namespace. There is no namespace field: whoever may write a Registry must not read the
/// Secrets of others through it.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LocalSecretReference {
    /// The Secret's name.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::is_object_name("Secret", "my-secret"))]
    pub name: String,
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// The word that Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How much the server logs. Lower case, as the server's configuration file and its log lines spell it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// Also what may soon fail.
    Warn,
    /// Also each request.
    #[default]
    Info,
    /// Also the steps of a request.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word in the server's configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
