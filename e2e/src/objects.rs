//! The kinds these tests read and write, as the API server serves them: JSON objects, no types of ours.

use anyhow::{Context as _, Result};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// A namespaced kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Registry,
    Service,
    StatefulSet,
    ServiceAccount,
    PersistentVolumeClaim,
    ConfigMap,
    Secret,
    Pod,
}

impl Kind {
    /// Every kind of which a Registry has children (Pods are the `StatefulSet`'s).
    pub const CHILDREN: [Kind; 6] = [
        Kind::Service,
        Kind::StatefulSet,
        Kind::ServiceAccount,
        Kind::PersistentVolumeClaim,
        Kind::ConfigMap,
        Kind::Secret,
    ];

    pub fn resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Kind::Registry => ("portolan.dev", "v1alpha1", "registries"),
            Kind::Service => ("", "v1", "services"),
            Kind::StatefulSet => ("apps", "v1", "statefulsets"),
            Kind::ServiceAccount => ("", "v1", "serviceaccounts"),
            Kind::PersistentVolumeClaim => ("", "v1", "persistentvolumeclaims"),
            Kind::ConfigMap => ("", "v1", "configmaps"),
            Kind::Secret => ("", "v1", "secrets"),
            Kind::Pod => ("", "v1", "pods"),
        };
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(group, version, &format!("{self:?}")),
            plural,
        )
    }
}

/// The objects of one kind in one namespace.
pub fn api(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

/// Writes an object as a user would: server-side apply by a field manager that is not the operator's.
pub async fn apply(api: &Api<DynamicObject>, kind: Kind, name: &str, body: Value) -> Result<DynamicObject> {
    let resource = kind.resource();
    let mut object =
        json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}});
    merge(&mut object, body);
    api.patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(&object))
        .await
        .with_context(|| format!("cannot apply {kind:?} {name}"))
}

/// `metadata.uid`, which every object that the API server returned has.
pub fn uid(object: &DynamicObject) -> String {
    object.uid().unwrap_or_default()
}

/// The text at a JSON pointer of the object's body (`/status/endpoint`), empty when there is none.
pub fn text<'a>(object: &'a DynamicObject, pointer: &str) -> &'a str {
    object
        .data
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// JSON merge: objects are merged, everything else is replaced.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
