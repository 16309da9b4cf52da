//! The identity of the pods: it has no rights and no token; cloud providers attach theirs by annotation. Pure.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) fn service_account(registry: &ValidatedRegistry) -> ServiceAccount {
    let mut meta = metadata::child(registry, registry.names.service_account());
    meta.annotations = metadata::some(registry.pod.service_account_annotations.clone());
    ServiceAccount {
        metadata: meta,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
