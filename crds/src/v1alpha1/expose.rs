//! Under which names, and through which Service, a Registry is reached.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, schemas};

/// How clients reach the registry.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExposeSpec {
    /// The Service of the registry, which has the Registry's name.
    #[serde(default, skip_serializing_if = "ServiceSpec::is_empty")]
    pub service: ServiceSpec,

    /// Further DNS names under which clients reach the registry, for example `registry.example.com`, without port or
    /// scheme. They get into the certificate and are accepted as hosts; the first becomes status.endpoint. Pointing
    /// their DNS at the Service is up to you.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::hostnames")]
    pub hostnames: Vec<String>,
}

impl ExposeSpec {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The Service in front of the registry.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// ClusterIP (the default) for clients inside the cluster, NodePort or LoadBalancer for clients outside.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::words::<ServiceType>")]
    pub type_: Option<ServiceType>,

    /// The port that clients use, 1 to 65535. Default 443; any other one becomes part of every image reference, as
    /// in `registry.team-a.svc:5000/app:v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::is_port())]
    pub port: Option<i32>,

    /// Annotations of the Service, for example
    /// `service.beta.kubernetes.io/aws-load-balancer-scheme: internal`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl ServiceSpec {
    /// The port when none is written: image references then need none either.
    pub const DEFAULT_PORT: i32 = 443;

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// From where a Service can be reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every node.
    NodePort,
    /// Through the cluster's load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// The word that Kubernetes uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}
