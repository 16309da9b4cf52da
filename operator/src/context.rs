//! What every pass of a controller may use: settings, connections, what the watches have seen. `Settings` is pure data.

mod referenced_secrets;

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::WriterDropped;
use kube::runtime::reflector::{ObjectRef, Store};
use portolan_crds::v1alpha1::Registry;

use crate::apply::Applier;
use crate::backoff::Backoff;
use crate::events::Publisher;
use crate::labels;
use crate::metrics::Metrics;
use crate::registry_controller::probing::Probes;
use crate::registry_controller::update_status::Written;
use crate::streams::Streams;

pub use referenced_secrets::ReferencedSecrets;

/// How long one pass may take before it is given up and tried again.
pub const PASS_DEADLINE: Duration = Duration::from_secs(30);

/// What the operator was started with, as far as it shapes registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The registry program for Registries that name none.
    pub registry_image: String,
    /// What the cluster's DNS answers for, usually `cluster.local`.
    pub cluster_domain: String,
}

/// What the watches of one scope have seen. Children are watched by label only.
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

impl Stores {
    pub fn of(streams: &Streams) -> Self {
        Self {
            registries: streams.registries.store.clone(),
            stateful_sets: streams.stateful_sets.store.clone(),
            services: streams.services.store.clone(),
            service_accounts: streams.service_accounts.store.clone(),
            config_maps: streams.config_maps.store.clone(),
            secrets: streams.secrets.store.clone(),
            claims: streams.claims.store.clone(),
            pods: streams.pods.store.clone(),
        }
    }

    /// Returns once every store was filled: a half-filled one looks like missing children.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        self.registries.wait_until_ready().await?;
        self.stateful_sets.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.service_accounts.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.secrets.wait_until_ready().await?;
        self.claims.wait_until_ready().await?;
        self.pods.wait_until_ready().await
    }
}

/// Everything with a connection. One per scope; cheap to share behind an `Arc`.
pub struct Context {
    pub client: Client,
    pub settings: Settings,
    pub stores: Stores,
    pub applier: Applier,
    pub publisher: Publisher,
    pub metrics: std::sync::Arc<Metrics>,
    pub backoff: Backoff<ObjectRef<DeserializeGuard<Registry>>>,
    pub referenced_secrets: ReferencedSecrets,
    pub probes: Probes,
    pub written: Written,
}

impl Context {
    /// For the scope that `streams` watch. Share publisher and metrics between scopes.
    pub fn new(
        client: Client,
        settings: Settings,
        streams: &Streams,
        publisher: Publisher,
        metrics: std::sync::Arc<Metrics>,
    ) -> Self {
        Self {
            applier: Applier::new(client.clone(), labels::FIELD_MANAGER_REGISTRY),
            client,
            settings,
            stores: Stores::of(streams),
            publisher,
            metrics,
            backoff: Backoff::default(),
            referenced_secrets: ReferencedSecrets::default(),
            probes: Probes::default(),
            written: Written::default(),
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
