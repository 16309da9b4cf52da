//! The objects that belong to a Registry, as a snapshot that can be compared with a later one.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use crate::objects::{Kind, uid};
use crate::registry::Registry;

/// Children by kind and name.
pub type Children = BTreeMap<(Kind, String), DynamicObject>;

/// Every object in the namespace that carries the Registry's label (Pods excepted: the `StatefulSet` makes them).
pub async fn children(registry: &Registry<'_>) -> Result<Children> {
    let labelled = ListParams::default().labels(&format!("portolan.dev/registry={}", registry.name));
    let mut children = Children::new();
    for kind in Kind::CHILDREN {
        for object in registry.scene.api(kind).list(&labelled).await? {
            children.insert((kind, object.name_any()), object);
        }
    }
    Ok(children)
}

/// `Kind/name uid resourceVersion` of each: equal lists mean that nobody wrote anything in between.
pub fn versions(children: &Children) -> Vec<String> {
    let version = |((kind, name), object): (&(Kind, String), &DynamicObject)| {
        format!(
            "{kind:?}/{name} {} {}",
            uid(object),
            object.resource_version().unwrap_or_default()
        )
    };
    children.iter().map(version).collect()
}

/// What the operator decides about a child: everything but identity, bookkeeping (its own `portolan.dev/applied` too) and
/// status.
pub fn content(object: &DynamicObject) -> Value {
    let mut content = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = content.as_object_mut() {
        for key in ["status", "apiVersion", "kind"] {
            fields.remove(key); // items of a list carry no type
        }
    }
    if let Some(metadata) = content["metadata"].as_object_mut() {
        for key in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
            "deletionTimestamp",
        ] {
            metadata.remove(key);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("portolan.dev/applied");
        }
        if metadata
            .get("annotations")
            .and_then(Value::as_object)
            .is_some_and(serde_json::Map::is_empty)
        {
            metadata.remove("annotations");
        }
    }
    content
}

/// Fails unless exactly the names of the API exist for a managed Registry on a volume.
pub fn demand_names(registry: &Registry<'_>, children: &Children) -> Result<()> {
    let name = registry.name;
    let mut expected = vec![
        (Kind::Service, name.to_owned()),
        (Kind::Service, format!("{name}-pods")),
        (Kind::StatefulSet, name.to_owned()),
        (Kind::ServiceAccount, name.to_owned()),
        (Kind::PersistentVolumeClaim, format!("{name}-data")),
        (Kind::ConfigMap, format!("{name}-ca")),
    ];
    for purpose in [
        "tls",
        "ca-key",
        "token-keys",
        "admin",
        "users",
        "credentials",
        "push",
        "pull",
    ] {
        expected.push((Kind::Secret, format!("{name}-{purpose}")));
    }
    for child in &expected {
        ensure!(
            children.contains_key(child),
            "{:?} {} is missing",
            child.0,
            child.1
        );
    }
    let hashed = format!("{name}-config-");
    let others: Vec<_> = children
        .keys()
        .filter(|child| !expected.contains(child))
        .collect();
    ensure!(
        matches!(others[..], [(Kind::Secret, config)] if config.starts_with(&hashed)),
        "beside the named children there should be one Secret {hashed}<hash>, but there are {others:?}"
    );
    Ok(())
}
