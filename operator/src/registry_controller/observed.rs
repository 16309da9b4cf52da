//! What exists around one Registry. In: objects as the API server returned them. Out: whose they are, and typed access
//! to the parts that later steps read. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, PodCondition, Secret, Service, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

/// The children by name, whoever made them: also objects of others that only have our names.
#[derive(Clone, Debug, Default)]
pub struct Children {
    pub service: Option<Arc<Service>>,
    pub headless_service: Option<Arc<Service>>,
    pub service_account: Option<Arc<ServiceAccount>>,
    pub stateful_set: Option<Arc<StatefulSet>>,
    pub ca_config_map: Option<Arc<ConfigMap>>,
    pub ca_key: Option<Arc<Secret>>,
    pub tls: Option<Arc<Secret>>,
    pub token_keys: Option<Arc<Secret>>,
    pub admin: Option<Arc<Secret>>,
    pub users: Option<Arc<Secret>>,
    pub credentials: Option<Arc<Secret>>,
    pub push: Option<Arc<Secret>>,
    pub pull: Option<Arc<Secret>>,
    /// All that are named R-config-…, also older ones.
    pub configs: Vec<Arc<Secret>>,
    /// The claim that the spec names, or R-data.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
}

impl Children {
    /// Kind, name and metadata of every child but the claim, for the rules that hold for all of them.
    pub fn metadata(&self) -> Vec<(&'static str, &ObjectMeta)> {
        fn one<'a, K>(
            found: &mut Vec<(&'static str, &'a ObjectMeta)>,
            kind: &'static str,
            object: Option<&'a Arc<K>>,
        ) where
            K: k8s_openapi::Metadata<Ty = ObjectMeta>,
        {
            found.extend(object.map(|object| (kind, object.metadata())));
        }
        let mut found = Vec::new();
        one(&mut found, "Service", self.service.as_ref());
        one(&mut found, "Service", self.headless_service.as_ref());
        one(&mut found, "ServiceAccount", self.service_account.as_ref());
        one(&mut found, "StatefulSet", self.stateful_set.as_ref());
        one(&mut found, "ConfigMap", self.ca_config_map.as_ref());
        for secret in self.secrets() {
            found.push(("Secret", &secret.metadata));
        }
        found
    }

    /// Without what the Registry of that UID does not control. The claim follows rules of its own and stays.
    #[must_use]
    pub fn controlled_by(&self, uid: &str) -> Self {
        fn own<K: k8s_openapi::Metadata<Ty = ObjectMeta>>(
            object: Option<&Arc<K>>,
            uid: &str,
        ) -> Option<Arc<K>> {
            object
                .filter(|object| is_controlled_by(object.metadata(), uid))
                .cloned()
        }
        Self {
            service: own(self.service.as_ref(), uid),
            headless_service: own(self.headless_service.as_ref(), uid),
            service_account: own(self.service_account.as_ref(), uid),
            stateful_set: own(self.stateful_set.as_ref(), uid),
            ca_config_map: own(self.ca_config_map.as_ref(), uid),
            ca_key: own(self.ca_key.as_ref(), uid),
            tls: own(self.tls.as_ref(), uid),
            token_keys: own(self.token_keys.as_ref(), uid),
            admin: own(self.admin.as_ref(), uid),
            users: own(self.users.as_ref(), uid),
            credentials: own(self.credentials.as_ref(), uid),
            push: own(self.push.as_ref(), uid),
            pull: own(self.pull.as_ref(), uid),
            configs: self
                .configs
                .iter()
                .filter_map(|config| own(Some(config), uid))
                .collect(),
            claim: self.claim.clone(),
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &Arc<Secret>> {
        [
            &self.ca_key,
            &self.tls,
            &self.token_keys,
            &self.admin,
            &self.users,
            &self.credentials,
            &self.push,
            &self.pull,
        ]
        .into_iter()
        .flatten()
        .chain(&self.configs)
    }

    /// What clients were told to trust, from the first place that says it.
    pub fn published_ca(&self) -> Option<String> {
        let logins = [&self.push, &self.pull].into_iter().flatten();
        let in_logins = logins
            .filter_map(|secret| secret_value(secret, "ca.crt"))
            .map(|pem| String::from_utf8_lossy(pem).into_owned())
            .next();
        let map = self.ca_config_map.as_deref();
        in_logins.or_else(|| map?.data.as_ref()?.get("ca.crt").cloned())
    }

    /// Whether clients were last told to trust the registry's own authority: then its certificate is in use.
    pub fn publish_own_authority(&self) -> bool {
        let authority = self
            .ca_key
            .as_deref()
            .and_then(|secret| secret_value(secret, "ca.crt"))
            .filter(|pem| !pem.is_empty());
        let published = self.published_ca().unwrap_or_default();
        authority.is_some_and(|pem| published.contains(String::from_utf8_lossy(pem).trim()))
    }

    /// The `ClusterIPs` of Service R, none before it has any.
    pub fn cluster_ips(&self) -> Vec<String> {
        self.service.as_deref().map(cluster_ips).unwrap_or_default()
    }
}

/// An object that the spec refers to and that is not a child.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reference<T> {
    /// The spec does not refer to one, or nothing needs to be known about it now.
    #[default]
    NotAsked,
    Absent,
    /// We may not read it.
    Forbidden,
    Found(T),
}

impl<T> Reference<T> {
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(object) => Some(object),
            Self::NotAsked | Self::Absent | Self::Forbidden => None,
        }
    }
}

/// Whether the object has a controller reference to the Registry of that UID.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The Registry for which an operator made the object. Labels and names say nothing: both are copied.
pub fn made_for(metadata: &ObjectMeta) -> Option<&str> {
    let mut owners = metadata.owner_references.iter().flatten();
    let is_registry = |owner: &&OwnerReference| {
        owner.controller == Some(true)
            && owner.kind == "Registry"
            && owner.api_version.starts_with("portolan.dev/")
    };
    owners.find(is_registry).map(|owner| owner.name.as_str())
}

/// Addresses of a Service; none for a headless one or before the API server gave one.
pub fn cluster_ips(service: &Service) -> Vec<String> {
    let spec = service.spec.as_ref();
    let mut addresses = spec.and_then(|spec| spec.cluster_ips.clone()).unwrap_or_default();
    if addresses.is_empty() {
        addresses.extend(spec.and_then(|spec| spec.cluster_ip.clone()));
    }
    addresses.retain(|address| !address.is_empty() && address != "None");
    addresses
}

/// One key of a Secret as bytes.
pub fn secret_value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|value| value.0.as_slice())
}

pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && ready_condition(pod).is_some()
}

/// Since when the pod is ready, if it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    ready_condition(pod)?
        .last_transition_time
        .as_ref()
        .map(|time| time.0)
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// What the claim asks for.
pub fn requested(claim: &PersistentVolumeClaim) -> Option<&str> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources
        .requests
        .as_ref()?
        .get("storage")
        .map(|quantity| quantity.0.as_str())
}

/// What the volume has.
pub fn capacity(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim
        .status
        .as_ref()?
        .capacity
        .as_ref()?
        .get("storage")
        .map(|quantity| quantity.0.as_str())
}

pub fn annotation<'a>(object: &'a impl ResourceExt, key: &str) -> Option<&'a str> {
    object.annotations().get(key).map(String::as_str)
}
