//! Reads what a Registry's pass needs: its children and pods from the watches' stores, live what no watch shows.
//! In: Registry, Context. Out: `Dereferenced`. IO, reads only; a settled Registry costs no request.
//!
//! What a store does not have is asked of the API server: the object may be somebody else's and lack our label, or be
//! so new that its watch has not shown it yet.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt as _};
use portolan_crds::v1alpha1::Registry;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::observed::{Children, Reference, is_controlled_by};
use super::validate;
use crate::context::NotFilled;
use crate::labels::{REGISTRY, REGISTRY_UID};
use crate::names::Names;
use crate::registry_controller::Context;

/// Everything that the later, pure steps may look at.
#[derive(Clone, Debug, Default)]
pub struct Dereferenced {
    pub children: Children,
    /// Pods that the `StatefulSet` made: anybody may copy a pod with its labels.
    pub pods: Vec<Arc<Pod>>,
    /// The other living Registry whose UID the claim carries.
    pub claim_user: Option<String>,
    /// Asked only before the claim exists and when it is to grow.
    pub storage_class: Reference<StorageClass>,
    /// `tls.secretRef`.
    pub tls_secret: Reference<Secret>,
}

#[derive(Debug, Error)]
pub enum DereferenceError {
    #[error("cannot read {kind} {name:?}")]
    Read {
        kind: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(transparent)]
    NotFilled(#[from] NotFilled),
}

/// Reads all of it. A Registry whose name cannot carry children has none.
pub async fn dereference(registry: &Registry, context: &Context) -> Result<Dereferenced, DereferenceError> {
    context.stores.filled().await?;
    let namespace = registry.namespace().unwrap_or_default();
    let Ok(names) = Names::new(&namespace, &registry.name_any(), &context.settings.cluster_domain) else {
        return Ok(Dereferenced::default());
    };
    let children = children(registry, &names, context).await?;
    Ok(Dereferenced {
        pods: pods(registry, children.stateful_set.as_deref(), &context.stores.pods),
        claim_user: claim_user(registry, &children, context),
        storage_class: storage_class(registry, &children, &context.client).await?,
        tls_secret: tls_secret(registry, &namespace, context).await?,
        children,
    })
}

async fn children(
    registry: &Registry,
    names: &Names,
    context: &Context,
) -> Result<Children, DereferenceError> {
    let (client, stores) = (&context.client, &context.stores);
    let namespace = names.namespace();
    let secret = |name: String| find(client, &stores.secrets, namespace, name);
    let service = |name: String| find(client, &stores.services, namespace, name);
    let (service, headless_service, service_account, stateful_set, ca_config_map) = tokio::try_join!(
        service(names.service()),
        service(names.headless_service()),
        find(
            client,
            &stores.service_accounts,
            namespace,
            names.service_account()
        ),
        find(client, &stores.stateful_sets, namespace, names.stateful_set()),
        find(client, &stores.config_maps, namespace, names.ca_config_map()),
    )?;
    let needed = |name: String| async {
        match registry.spec.tls.secret_ref {
            None => secret(name).await,
            Some(_) => Ok(left_over(registry, &stores.secrets, namespace, &name)),
        }
    };
    let (ca_key, tls, token_keys, admin) = tokio::try_join!(
        needed(names.ca_key_secret()),
        needed(names.tls_secret()),
        secret(names.token_keys_secret()),
        secret(names.admin_secret()),
    )?;
    let (users, credentials, push, pull) = tokio::try_join!(
        secret(names.users_secret()),
        secret(names.credentials_secret()),
        secret(names.push_secret()),
        secret(names.pull_secret()),
    )?;
    let claim = named_claim(registry, names, context).await?;
    let configs = configs(names, &stores.secrets);
    Ok(Children {
        service,
        headless_service,
        service_account,
        stateful_set,
        ca_config_map,
        ca_key,
        tls,
        token_keys,
        admin,
        users,
        credentials,
        push,
        pull,
        configs,
        claim,
    })
}

/// The claim alone, for a Registry that is on its way out.
pub async fn claim(
    registry: &Registry,
    context: &Context,
) -> Result<Option<Arc<PersistentVolumeClaim>>, DereferenceError> {
    let namespace = registry.namespace().unwrap_or_default();
    match Names::new(&namespace, &registry.name_any(), &context.settings.cluster_domain) {
        Ok(names) => named_claim(registry, &names, context).await,
        Err(_) => Ok(None),
    }
}

async fn named_claim(
    registry: &Registry,
    names: &Names,
    context: &Context,
) -> Result<Option<Arc<PersistentVolumeClaim>>, DereferenceError> {
    let Some(volume) = &registry.spec.storage.volume else {
        return Ok(None);
    };
    let given = volume.existing_claim_name.clone();
    let name = given.unwrap_or_else(|| names.claim());
    find(&context.client, &context.stores.claims, names.namespace(), name).await
}

async fn find<K>(
    client: &Client,
    store: &Store<K>,
    namespace: &str,
    name: String,
) -> Result<Option<Arc<K>>, DereferenceError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    if let Some(seen) = store.get(&ObjectRef::new(&name).within(namespace)) {
        return Ok(Some(seen));
    }
    let found = Api::<K>::namespaced(client.clone(), namespace)
        .get_opt(&name)
        .await;
    found
        .map(|object| object.map(Arc::new))
        .map_err(|source| read_error::<K>(name, source))
}

/// Where the user brings the certificate, nothing needs ours: a Secret of such a name may be the user's, labels and all.
fn left_over(registry: &Registry, store: &Store<Secret>, namespace: &str, name: &str) -> Option<Arc<Secret>> {
    let owner = registry.metadata.uid.as_deref().unwrap_or_default();
    store
        .get(&ObjectRef::new(name).within(namespace))
        .filter(|secret| is_controlled_by(&secret.metadata, owner))
}

fn configs(names: &Names, store: &Store<Secret>) -> Vec<Arc<Secret>> {
    let prefix = names.config_secret_prefix();
    let is_config = |secret: &Secret| {
        secret.metadata.namespace.as_deref() == Some(names.namespace())
            && secret.labels().get(REGISTRY).map(String::as_str) == Some(names.registry())
            && secret.name_any().starts_with(&prefix)
    };
    let mut found: Vec<_> = store
        .state()
        .into_iter()
        .filter(|secret| is_config(secret))
        .collect();
    found.sort_by_key(|secret| secret.name_any());
    found
}

fn pods(registry: &Registry, set: Option<&StatefulSet>, store: &Store<Pod>) -> Vec<Arc<Pod>> {
    let owner = registry.metadata.uid.as_deref().unwrap_or_default();
    let ours = set.filter(|set| is_controlled_by(&set.metadata, owner));
    let Some(uid) = ours.and_then(|set| set.metadata.uid.as_deref()) else {
        return Vec::new();
    };
    let is_ours = |pod: &Arc<Pod>| is_controlled_by(&pod.metadata, uid);
    let mut found: Vec<_> = store.state().into_iter().filter(is_ours).collect();
    found.sort_by_key(|pod| pod.name_any());
    found
}

fn claim_user(registry: &Registry, children: &Children, context: &Context) -> Option<String> {
    let claim = children.claim.as_deref()?;
    let uid = claim.labels().get(REGISTRY_UID)?;
    if Some(uid) == registry.metadata.uid.as_ref() {
        return None;
    }
    let is_user = |other: &&Arc<_>| {
        let other: &kube::core::DeserializeGuard<Registry> = other;
        other.meta().uid.as_ref() == Some(uid)
    };
    context
        .stores
        .registries
        .state()
        .iter()
        .find(is_user)
        .map(|other| other.name_any())
}

async fn storage_class(
    registry: &Registry,
    children: &Children,
    client: &Client,
) -> Result<Reference<StorageClass>, DereferenceError> {
    let Some(volume) = &registry.spec.storage.volume else {
        return Ok(Reference::NotAsked);
    };
    let name = match children.claim.as_deref() {
        None if volume.existing_claim_name.is_none() => volume.storage_class_name.clone(),
        Some(claim) if validate::wants_growth(volume, claim) => {
            let class = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.storage_class_name.clone());
            match class.filter(|class| !class.is_empty()) {
                Some(class) => Some(class),
                None => return Ok(Reference::Absent),
            }
        }
        _ => None,
    };
    let Some(name) = name else {
        return Ok(Reference::NotAsked);
    };
    reference(Api::all(client.clone()), name).await
}

async fn tls_secret(
    registry: &Registry,
    namespace: &str,
    context: &Context,
) -> Result<Reference<Secret>, DereferenceError> {
    let Some(secret_ref) = &registry.spec.tls.secret_ref else {
        return Ok(Reference::NotAsked);
    };
    let name = secret_ref.name.clone();
    let secrets = &context.referenced_secrets;
    if let Some(current) = secrets.current(namespace, &name) {
        return Ok(Reference::Found((*current).clone()));
    }
    let found = reference(
        Api::<Secret>::namespaced(context.client.clone(), namespace),
        name.clone(),
    )
    .await?;
    match &found {
        Reference::Found(secret) => secrets.remember(namespace, &name, Arc::new(secret.clone())),
        _ => secrets.forget(namespace, &name),
    }
    Ok(found)
}

async fn reference<K>(api: Api<K>, name: String) -> Result<Reference<K>, DereferenceError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match api.get_opt(&name).await {
        Ok(Some(object)) => Ok(Reference::Found(object)),
        Ok(None) => Ok(Reference::Absent),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(Reference::Forbidden),
        Err(source) => Err(read_error::<K>(name, source)),
    }
}

fn read_error<K: Resource<DynamicType = ()>>(name: String, source: kube::Error) -> DereferenceError {
    DereferenceError::Read {
        kind: K::kind(&()).into_owned(),
        name,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::registry_controller::test_support::{UID, minimal, object};

    #[test]
    fn pod_that_only_carries_the_labels_is_not_the_registrys() {
        let (store, mut writer) = reflector::store();
        let mut add = |name: &str, owners: serde_json::Value| {
            let pod: Pod = object(json!({"metadata": {
                "name": name, "namespace": "team-a", "ownerReferences": owners,
                "labels": {"portolan.dev/registry": "depot", "portolan.dev/role": "registry"},
            }}));
            writer.apply_watcher_event(&Event::Apply(pod));
        };
        let owner = |uid: &str| json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "depot", "uid": uid, "controller": true}]);
        add("depot-0", owner("set-uid"));
        add("depot-1", owner("uid-of-a-former-set"));
        add("depot-0-copy", json!([]));
        let set = |owner: &str| -> StatefulSet {
            object(
                json!({"metadata": {"name": "depot", "uid": "set-uid", "ownerReferences": [
                {"apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": owner, "controller": true}]},
                "spec": {"selector": {}, "template": {}, "serviceName": "depot-pods"}}),
            )
        };
        let found = |set: Option<&StatefulSet>| -> Vec<String> {
            pods(&minimal(), set, &store)
                .iter()
                .map(|pod| pod.name_any())
                .collect()
        };
        assert_eq!(found(Some(&set(UID))), ["depot-0"]);
        assert!(found(Some(&set("somebody-else"))).is_empty());
        assert!(found(None).is_empty());
    }
}
