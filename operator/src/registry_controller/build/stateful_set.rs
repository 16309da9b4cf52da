//! The `StatefulSet` and its pod template, revision 1. In: `ValidatedRegistry`, the configuration Secret. Out: the object.
//! Pure. The golden file pins every field: a change restarts every registry and needs a new revision.

mod container;
mod volumes;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Secret,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::ResourceExt as _;

use super::{config, metadata, secret};
use crate::labels::{self, Labels, TEMPLATE_IMAGE, TEMPLATE_INPUTS, TEMPLATE_REVISION};
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) const REGISTRY_PORT: i32 = 5000;
pub(super) const ADMIN_PORT: i32 = 5001;
pub(super) const HEALTH_PORT: i32 = 5002;
/// User and group of the image; it owns the volume, too.
const NOBODY: i64 = 65_532;
/// More than the server's own drain time, so that it is never killed while it drains.
const GRACE_SECONDS: i64 = config::DRAIN_SECONDS as i64 + 25;

pub(super) fn stateful_set(registry: &ValidatedRegistry, config: &Secret) -> StatefulSet {
    let mut meta = metadata::child(registry, registry.names.stateful_set());
    let template = &registry.template;
    let mut annotations = Labels::from([
        (TEMPLATE_REVISION.to_owned(), template.revision.to_string()),
        (TEMPLATE_INPUTS.to_owned(), template.inputs.clone()),
        (TEMPLATE_IMAGE.to_owned(), template.image.clone()),
    ]);
    annotations.extend(secret::claim_memory(registry));
    meta.annotations = Some(annotations);
    StatefulSet {
        metadata: meta,
        spec: StatefulSetSpec {
            // Immutable, hence the same whatever the storage: several replicas on buckets start side by side.
            service_name: Some(registry.names.headless_service()),
            pod_management_policy: Some("Parallel".to_owned()),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&registry.names)),
                ..LabelSelector::default()
            },
            replicas: Some(1),
            revision_history_limit: Some(3),
            template: pod_template(registry, &config.name_any()),
            ..StatefulSetSpec::default()
        },
        status: None,
    }
}

fn pod_template(registry: &ValidatedRegistry, config_secret: &str) -> PodTemplateSpec {
    let pod = &registry.pod;
    let pull_secrets: Vec<_> = pod
        .image_pull_secrets
        .iter()
        .map(|secret| LocalObjectReference {
            name: secret.name.clone(),
        })
        .collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::pod_labels(&registry.names, &pod.labels)),
            annotations: metadata::some(pod.annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(registry.names.service_account()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            security_context: Some(security_context()),
            containers: vec![container::registry(registry)],
            volumes: Some(volumes::volumes(registry, config_secret)),
            image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
            node_selector: metadata::some(pod.node_selector.clone()),
            tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
            affinity: pod.affinity.clone(),
            topology_spread_constraints: (!pod.topology_spread_constraints.is_empty())
                .then(|| pod.topology_spread_constraints.clone()),
            priority_class_name: pod.priority_class_name.clone(),
            ..PodSpec::default()
        }),
    }
}

/// What `pod-security.kubernetes.io/enforce: restricted` asks for. The group owns the volume; changing it file by file
/// only where the root does not match keeps starts fast on large volumes.
fn security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}
