//! What every pass of a controller may use: settings, connections, what the watches have seen. `Settings` is pure data.

mod referenced_secrets;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::WriterDropped;
use kube::runtime::reflector::{ObjectRef, Store};
use portolan_crds::v1alpha1::Registry;
use tokio::sync::OnceCell;

use crate::apply::Applier;
use crate::backoff::Backoff;
use crate::events::Publisher;
use crate::labels;
use crate::metrics::Metrics;
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
    filled: Arc<OnceCell<()>>,
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
            filled: Arc::default(),
        }
    }

    /// Returns once every store of children was filled: a half-filled one looks like missing children. The controller
    /// itself waits for the Registries.
    pub async fn filled(&self) -> Result<(), WriterDropped> {
        // A store wakes only the last task that waits for it, so one waits for all.
        self.filled.get_or_try_init(|| self.wait()).await.copied()
    }

    async fn wait(&self) -> Result<(), WriterDropped> {
        self.stateful_sets.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.service_accounts.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.secrets.wait_until_ready().await?;
        self.claims.wait_until_ready().await?;
        self.pods.wait_until_ready().await
    }
}

/// Everything with a connection. One per scope; cheap to share behind an `Arc`. `Memory` is what the passes of one
/// controller remember for each other.
pub struct Context<Memory> {
    pub client: Client,
    pub settings: Settings,
    pub stores: Stores,
    pub applier: Applier,
    pub publisher: Publisher,
    pub metrics: Arc<Metrics>,
    pub backoff: Backoff<ObjectRef<DeserializeGuard<Registry>>>,
    pub referenced_secrets: ReferencedSecrets,
    pub memory: Memory,
}

impl<Memory: Default> Context<Memory> {
    /// For the scope that `streams` watch. Share publisher and metrics between scopes.
    pub fn new(
        client: Client,
        settings: Settings,
        streams: &Streams,
        publisher: Publisher,
        metrics: Arc<Metrics>,
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
            memory: Memory::default(),
        }
    }
}

impl<Memory> std::fmt::Debug for Context<Memory> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    use super::*;

    #[tokio::test]
    async fn every_pass_that_waits_for_the_stores_goes_on() {
        fn empty<K>(fill: &mut Vec<Box<dyn FnOnce() + Send>>) -> Store<K>
        where
            K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
        {
            let (store, mut writer) = reflector::store();
            fill.push(Box::new(move || {
                writer.apply_watcher_event(&Event::Init);
                writer.apply_watcher_event(&Event::InitDone);
            }));
            store
        }
        let mut fill = Vec::new();
        let stores = Stores {
            registries: empty(&mut fill),
            stateful_sets: empty(&mut fill),
            services: empty(&mut fill),
            service_accounts: empty(&mut fill),
            config_maps: empty(&mut fill),
            secrets: empty(&mut fill),
            claims: empty(&mut fill),
            pods: empty(&mut fill),
            filled: Arc::default(),
        };
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let stores = stores.clone();
                tokio::spawn(async move { stores.filled().await.is_ok() })
            })
            .collect();
        for fill in fill {
            tokio::task::yield_now().await;
            fill();
        }
        let all = futures::future::join_all(waiting);
        let all = tokio::time::timeout(Duration::from_secs(5), all).await.unwrap();
        assert!(all.into_iter().all(Result::unwrap));
    }
}
