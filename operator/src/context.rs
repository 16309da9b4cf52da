//! What every pass of a controller may use. `Settings` is pure data; `Context` holds the connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use portolan_crds::v1alpha1::Registry;

/// What the operator was started with, as far as it shapes registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The registry program for Registries that name none.
    pub registry_image: String,
    /// What the cluster's DNS answers for, usually `cluster.local`.
    pub cluster_domain: String,
}

/// How long one pass may take before it is given up and tried again.
pub const PASS_DEADLINE: Duration = Duration::from_secs(30);
/// Passes that run at the same time.
pub const CONCURRENCY: u16 = 16;

/// What the watches have seen. Children are watched by label only.
#[derive(Clone, Debug)]
pub struct Stores {
    pub registries: Store<DeserializeGuard<Registry>>,
    pub stateful_sets: Store<StatefulSet>,
    pub services: Store<Service>,
    pub service_accounts: Store<ServiceAccount>,
    pub config_maps: Store<ConfigMap>,
    pub secrets: Store<Secret>,
    pub claims: Store<PersistentVolumeClaim>,
    pub pods: Store<Pod>,
}

/// Secrets of `tls.secretRef`: read when needed, remembered until their watch shows a newer version.
#[derive(Debug, Default)]
pub struct ReferencedSecrets {
    entries: Mutex<BTreeMap<(String, String), ReferencedSecret>>,
}

#[derive(Debug, Default)]
struct ReferencedSecret {
    seen_version: Option<String>,
    read: Option<Arc<Secret>>,
}
