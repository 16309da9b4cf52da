//! What every pass of a controller may use: settings, connections, what the watches have seen. `Settings` is pure data.

mod referenced_secrets;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::WriterDropped;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource as _};
use portolan_crds::v1alpha1::Registry;
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use crate::apply::Applier;
use crate::backoff::Backoff;
use crate::events::Publisher;
use crate::labels;
use crate::metrics::Metrics;
use crate::streams::{Monitor, Streams};

pub use referenced_secrets::ReferencedSecrets;

/// How long one pass may take before it is given up and tried again.
pub const PASS_DEADLINE: Duration = Duration::from_secs(30);
/// How long a pass waits for the first lists: so that it can still say which are missing.
const LISTS_DEADLINE: Duration = Duration::from_secs(25);
/// How often it looks whether one of them is refused.
const LOOK: Duration = Duration::from_millis(250);

/// Why a pass cannot know which children exist.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum NotFilled {
    #[error("a watch has ended")]
    WatchEnded,
    #[error("not allowed to list and watch {}; grant both to the operator's ServiceAccount", .0.join(", "))]
    Refused(Vec<String>),
    #[error("the API server has not listed {} yet", .0.join(", "))]
    Late(Vec<String>),
}

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
    monitor: Monitor,
    filled: Arc<OnceCell<()>>,
}

impl Stores {
    pub fn of(streams: &Streams, monitor: &Monitor) -> Self {
        Self {
            registries: streams.registries.store.clone(),
            stateful_sets: streams.stateful_sets.store.clone(),
            services: streams.services.store.clone(),
            service_accounts: streams.service_accounts.store.clone(),
            config_maps: streams.config_maps.store.clone(),
            secrets: streams.secrets.store.clone(),
            claims: streams.claims.store.clone(),
            pods: streams.pods.store.clone(),
            monitor: monitor.clone(),
            filled: Arc::default(),
        }
    }

    /// Returns once every store of children was filled: a half-filled one looks like missing children. The controller
    /// itself waits for the Registries.
    pub async fn filled(&self) -> Result<(), NotFilled> {
        // A store wakes only the last task that waits for it, so one waits for all.
        let mut filled = std::pin::pin!(self.filled.get_or_try_init(|| self.wait()));
        let deadline = Instant::now() + LISTS_DEADLINE;
        loop {
            if let Ok(ended) = timeout(LOOK, &mut filled).await {
                return ended.copied().map_err(|_| NotFilled::WatchEnded);
            }
            let refused = of_children(self.monitor.refused_first_lists());
            if !refused.is_empty() {
                return Err(NotFilled::Refused(refused));
            }
            if Instant::now() >= deadline {
                return Err(NotFilled::Late(of_children(self.monitor.missing_first_lists())));
            }
        }
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

/// Other watches keep no pass waiting.
fn of_children(resources: Vec<String>) -> Vec<String> {
    let waited_for = [
        StatefulSet::plural(&()),
        Service::plural(&()),
        ServiceAccount::plural(&()),
        ConfigMap::plural(&()),
        Secret::plural(&()),
        PersistentVolumeClaim::plural(&()),
        Pod::plural(&()),
    ];
    let is_waited_for = |resource: &String| waited_for.iter().any(|known| known == resource);
    resources.into_iter().filter(is_waited_for).collect()
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
        (streams, monitor): (&Streams, &Monitor),
        publisher: Publisher,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            applier: Applier::new(client.clone(), labels::FIELD_MANAGER_REGISTRY),
            client,
            settings,
            stores: Stores::of(streams, monitor),
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
    use futures::{StreamExt as _, stream};
    use kube::runtime::watcher::Event;
    use kube::runtime::{reflector, watcher};

    use super::*;

    type Fill = Vec<Box<dyn FnOnce() + Send>>;

    fn empty<K>(fill: &mut Fill) -> Store<K>
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

    fn stores(fill: &mut Fill) -> Stores {
        Stores {
            registries: empty(fill),
            stateful_sets: empty(fill),
            services: empty(fill),
            service_accounts: empty(fill),
            config_maps: empty(fill),
            secrets: empty(fill),
            claims: empty(fill),
            pods: empty(fill),
            monitor: Monitor::new(Arc::new(Metrics::new("0.1.0")), || jiff::Timestamp::UNIX_EPOCH),
            filled: Arc::default(),
        }
    }

    #[tokio::test]
    async fn pass_does_not_wait_for_a_list_that_is_refused() {
        let mut unfilled = Vec::new();
        let stores = stores(&mut unfilled);
        let refuse = |resource: &str| {
            let status = kube::core::Status::failure("no", "Forbidden")
                .with_code(403)
                .boxed();
            let error = watcher::Error::InitialListFailed(kube::Error::Api(status));
            let events = stream::iter([watcher::Result::<Event<u8>>::Err(error)]);
            stores.monitor.observe(resource.to_owned(), events)
        };
        let (mut optional, mut needed) = (refuse("storageclasses"), refuse("configmaps"));
        let (_, _) = tokio::join!(optional.next(), needed.next());
        let filled = timeout(LISTS_DEADLINE / 5, stores.filled()).await;
        assert_eq!(filled, Ok(Err(NotFilled::Refused(vec!["configmaps".to_owned()]))));
    }

    #[tokio::test]
    async fn every_pass_that_waits_for_the_stores_goes_on() {
        let mut fill = Vec::new();
        let stores = stores(&mut fill);
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
