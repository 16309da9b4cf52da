//! Metadata that every child has: name, labels, the controller reference to its Registry. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

use crate::labels::{Labels, child_labels};
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) fn child(registry: &ValidatedRegistry, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(registry.names.namespace().to_owned()),
        labels: Some(child_labels(&registry.names)),
        owner_references: Some(vec![registry.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// `None` rather than an empty map, which server-side apply would own.
pub(super) fn some(map: Labels) -> Option<Labels> {
    (!map.is_empty()).then_some(map)
}

pub(super) fn secret(
    registry: &ValidatedRegistry,
    name: String,
    type_: &str,
    data: BTreeMap<String, ByteString>,
) -> Secret {
    Secret {
        metadata: child(registry, name),
        type_: Some(type_.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
