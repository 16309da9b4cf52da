//! Makes the kubelet remount Secrets at once, where it would otherwise take a minute: it does so whenever an annotation
//! of the pod changes. In: what was applied, pods. IO, one patch per pod and change.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::ApplyError;
use crate::apply::is_replaced;
use crate::digest;
use crate::labels::{FIELD_MANAGER_REGISTRY, MOUNTED_SECRETS};
use crate::registry_controller::Context;
use crate::registry_controller::build::{Applied, Resources};

/// Annotates each pod with the versions of the Secrets that it mounts. `attempt` goes up while a pod still does not
/// serve them: the kubelet may have remounted before its own watch showed it the new version.
pub async fn nudge_pods(
    context: &Context,
    resources: &Resources<Applied>,
    users_certificate: Option<&Secret>,
    pods: &[Arc<Pod>],
    attempt: u32,
) -> Result<bool, ApplyError> {
    let wanted = versions(resources, users_certificate);
    let mut nudged = false;
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let now = pod.annotations().get(MOUNTED_SECRETS).map(String::as_str);
        let Some(value) = next_value(&wanted, now, attempt) else {
            continue;
        };
        let body = json!({"metadata": {"uid": pod.metadata.uid, "annotations": {MOUNTED_SECRETS: value}}});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER_REGISTRY.to_owned()),
            ..PatchParams::default()
        };
        let api = Api::<Pod>::namespaced(context.client.clone(), &pod.namespace().unwrap_or_default());
        match api.patch(&pod.name_any(), &params, &Patch::Merge(&body)).await {
            Ok(_) => nudged = true,
            // Gone or replaced: the new pod mounts the new Secrets anyway.
            Err(kube::Error::Api(status)) if status.is_not_found() || is_replaced(&status) => {}
            Err(source) => {
                return Err(ApplyError::Nudge {
                    name: pod.name_any(),
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(nudged)
}

/// What to write, unless the pod was told already.
fn next_value(wanted: &str, now: Option<&str>, attempt: u32) -> Option<String> {
    let (told, told_attempt) = match now.map(|now| now.split_once('.').unwrap_or((now, "0"))) {
        Some((told, attempt)) => (told, attempt.parse().unwrap_or(0)),
        None => ("", 0),
    };
    if told != wanted {
        return Some(wanted.to_owned());
    }
    (attempt > told_attempt).then(|| format!("{wanted}.{attempt}"))
}

fn versions(resources: &Resources<Applied>, users_certificate: Option<&Secret>) -> String {
    let tls = resources.tls.as_ref().or(users_certificate);
    let mounted = [
        tls,
        resources.users.as_ref(),
        resources.token_keys.as_ref(),
        resources.admin.as_ref(),
    ];
    let mut versions = String::new();
    for secret in mounted.into_iter().flatten() {
        let part = |text: Option<&String>| text.map_or("", String::as_str).to_owned();
        versions.push_str(&part(secret.metadata.uid.as_ref()));
        versions.push('/');
        versions.push_str(&part(secret.metadata.resource_version.as_ref()));
        versions.push('\n');
    }
    digest::short_sha256(versions, 8)
}

#[cfg(test)]
mod tests {
    use super::next_value;

    #[test]
    fn pod_is_told_once_per_version_and_again_only_when_it_does_not_follow() {
        assert_eq!(next_value("v1", None, 0).as_deref(), Some("v1"));
        assert_eq!(next_value("v1", Some("v1"), 0), None);
        assert_eq!(next_value("v1", Some("v1"), 1).as_deref(), Some("v1.1"));
        assert_eq!(next_value("v1", Some("v1.1"), 1), None);
        assert_eq!(next_value("v2", Some("v1.1"), 0).as_deref(), Some("v2"));
    }
}
