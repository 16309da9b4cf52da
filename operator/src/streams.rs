//! The watches of a controller: a client and a scope come in, one stream and one store per kind go out. IO, once the
//! streams are polled.
//!
//! Every stream recovers with a back-off of its own. (A `Controller` that opens its watches itself pauses all of them
//! whenever one fails, and an outage then lasts minutes longer than the network's.) Lists are paged and not streamed:
//! Kubernetes 1.33 has streamed lists switched off.

mod monitor;
mod progress;
mod vanished;

use std::fmt::Debug;

use futures::{StreamExt as _, stream::BoxStream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use portolan_crds::v1alpha1::Registry;
use serde::de::DeserializeOwned;

pub use monitor::Monitor;
use progress::only_progress;
use vanished::touched_or_vanished;

use crate::labels;

/// What a `Controller` takes: each object that appeared, changed or vanished.
pub type Triggers<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// Objects per page of a list of Secrets or `ConfigMaps`: each may have a megabyte.
const LARGE_PAGE: u32 = 20;

/// Where a controller looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace.
    Cluster,
    /// One namespace; a list of namespaces is one controller each, because a re-list of one namespace would empty a
    /// shared store of the others.
    Namespace(String),
}

/// One kind's store and the stream that fills it. The store stays empty unless the stream is polled.
pub struct Watched<K>
where
    K: Lookup + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    /// What the watch has seen.
    pub store: Store<K>,
    /// What it sees next.
    pub stream: Triggers<K>,
}

/// All watches of the Registry controller in one scope.
pub struct Streams {
    /// The Registries; one that cannot be decoded comes as an error of its own and does not stop the others.
    pub registries: Watched<DeserializeGuard<Registry>>,
    /// Children, by our label.
    pub stateful_sets: Watched<StatefulSet>,
    /// Children, by our label.
    pub services: Watched<Service>,
    /// Children, by our label.
    pub service_accounts: Watched<ServiceAccount>,
    /// Children, by our label.
    pub config_maps: Watched<ConfigMap>,
    /// Children, by our label.
    pub secrets: Watched<Secret>,
    /// Claims that we made, by our label.
    pub claims: Watched<PersistentVolumeClaim>,
    /// Pods of our `StatefulSets`, by our label.
    pub pods: Watched<Pod>,
    /// Users' certificates: Secrets of type `kubernetes.io/tls`, metadata only; also labelled ones, which may be copies.
    pub users_certificates: Triggers<PartialObjectMeta<Secret>>,
    /// `StorageClasses`, metadata only. Ends when we may not see them, which a Role cannot grant.
    pub storage_classes: Triggers<PartialObjectMeta<StorageClass>>,
}

impl Scope {
    /// One scope per namespace of the list, the whole cluster for an empty one.
    pub fn all(namespaces: &[String]) -> Vec<Self> {
        if namespaces.is_empty() {
            return vec![Self::Cluster];
        }
        namespaces.iter().cloned().map(Self::Namespace).collect()
    }

    /// The API of a kind within the scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// Opens nothing yet: each watch starts when its stream is first polled.
pub fn open(client: &Client, scope: &Scope, monitor: &Monitor) -> Streams {
    let ours = watcher::Config::default().labels(labels::REGISTRY);
    let with_data = ours.clone().page_size(LARGE_PAGE);
    let certificates = watcher::Config::default().fields("type=kubernetes.io/tls");
    Streams {
        registries: watched(
            scope.api(client),
            watcher::Config::default(),
            monitor,
            without_managed_fields,
        ),
        stateful_sets: watched(scope.api(client), ours.clone(), monitor, as_it_is),
        services: watched(scope.api(client), ours.clone(), monitor, as_it_is),
        service_accounts: watched(scope.api(client), ours.clone(), monitor, as_it_is),
        config_maps: watched(scope.api(client), with_data.clone(), monitor, only_our_map),
        secrets: watched(scope.api(client), with_data, monitor, only_our_secret),
        claims: watched(scope.api(client), ours.clone(), monitor, as_it_is),
        pods: watched(scope.api(client), ours, monitor, without_managed_fields),
        users_certificates: triggers(scope.api(client), certificates, monitor, "tls-secrets"),
        storage_classes: until_forbidden(triggers(
            Api::all(client.clone()),
            watcher::Config::default(),
            monitor,
            "storageclasses",
        )),
    }
}

fn watched<K>(api: Api<K>, config: watcher::Config, monitor: &Monitor, prune: fn(&mut K)) -> Watched<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = only_progress(watcher(api, config)).default_backoff();
    let events = monitor.observe(K::plural(&()).into_owned(), events).modify(prune);
    Watched {
        store,
        stream: events.reflect(writer).touched_objects().boxed(),
    }
}

fn triggers<K>(
    api: Api<PartialObjectMeta<K>>,
    config: watcher::Config,
    monitor: &Monitor,
    name: &str,
) -> Triggers<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Default + Send + Sync + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()> + DeserializeOwned,
{
    let events = only_progress(watcher(api, config)).default_backoff();
    let events = monitor.observe(name.to_owned(), events);
    touched_or_vanished(events.modify(without_managed_fields)).boxed()
}

/// Ends the stream at the first refusal: without the permission, trying again is only noise.
fn until_forbidden<K: Send + 'static>(stream: Triggers<K>) -> Triggers<K> {
    stream
        .take_while(|item| {
            let is_forbidden = matches!(item, Err(error) if is_forbidden(error));
            if is_forbidden {
                tracing::info!("storage classes cannot be watched: the permission is missing");
            }
            std::future::ready(!is_forbidden)
        })
        .boxed()
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}

fn without_managed_fields<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

/// Children keep their managedFields: applying them needs to know which fields are ours.
fn as_it_is<K>(_object: &mut K) {}

/// Anybody may put our label on objects that are as large as Kubernetes allows, and all of them are kept in memory. Of one
/// that no Registry controls, nothing is read but whose it is.
fn only_our_map(map: &mut ConfigMap) {
    if !is_a_registrys(&map.metadata) {
        (map.data, map.binary_data) = (None, None);
        shrink(&mut map.metadata);
    }
}

fn only_our_secret(secret: &mut Secret) {
    if !is_a_registrys(&secret.metadata) {
        (secret.data, secret.string_data) = (None, None);
        shrink(&mut secret.metadata);
    }
}

fn shrink(metadata: &mut ObjectMeta) {
    (metadata.annotations, metadata.managed_fields) = (None, None);
}

fn is_a_registrys(metadata: &ObjectMeta) -> bool {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.kind == <Registry as Resource>::kind(&()))
}

impl<K> Debug for Watched<K>
where
    K: Lookup + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched(..)")
    }
}

impl Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams(..)")
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn refused() -> watcher::Error {
        let status = kube::core::Status::failure("no", "Forbidden")
            .with_code(403)
            .boxed();
        watcher::Error::InitialListFailed(kube::Error::Api(status))
    }

    #[test]
    fn list_of_namespaces_becomes_one_scope_each() {
        assert_eq!(Scope::all(&[]), [Scope::Cluster]);
        let listed = Scope::all(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            listed,
            [Scope::Namespace("a".to_owned()), Scope::Namespace("b".to_owned())]
        );
    }

    #[test]
    fn data_of_what_no_registry_controls_is_not_kept() {
        let metadata = |kind: &str| {
            serde_json::json!({"name": "big", "labels": {"portolan.dev/registry": "x"}, "annotations": {"a": "b"},
                "managedFields": [{"manager": "m"}],
                "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": "x", "uid": "u", "controller": true}]})
        };
        for (kind, is_kept) in [("Registry", true), ("Job", false)] {
            let object = serde_json::json!({"metadata": metadata(kind), "data": {"a": "YQ=="}, "binaryData": {"b": "YQ=="}});
            let mut map: ConfigMap = serde_json::from_value(object.clone()).unwrap();
            let mut secret: Secret = serde_json::from_value(object).unwrap();
            only_our_map(&mut map);
            only_our_secret(&mut secret);
            let kept = [
                map.data.is_some(),
                map.binary_data.is_some(),
                secret.data.is_some(),
            ];
            assert_eq!(kept, [is_kept; 3], "{kind}");
            for metadata in [map.metadata, secret.metadata] {
                let kept = [metadata.annotations.is_some(), metadata.managed_fields.is_some()];
                assert_eq!(kept, [is_kept; 2], "{kind}");
                assert!(metadata.labels.is_some() && metadata.owner_references.is_some());
            }
        }
    }

    #[tokio::test]
    async fn refused_watch_ends_quietly() {
        let items: Triggers<u8> = stream::iter([Ok(1), Err(refused()), Ok(2)]).boxed();
        let seen: Vec<_> = until_forbidden(items).collect().await;
        assert!(matches!(seen.as_slice(), [Ok(1)]), "{seen:?}");
    }

    #[tokio::test]
    async fn broken_watch_goes_on() {
        let items: Triggers<u8> = stream::iter([Err(watcher::Error::NoResourceVersion), Ok(2)]).boxed();
        assert_eq!(until_forbidden(items).collect::<Vec<_>>().await.len(), 2);
    }
}
