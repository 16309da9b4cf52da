//! The only place that deletes anything, one object per pass, each with UID and version as preconditions. In: what was
//! applied, observed children and pods. Out: what was deleted. The choice is pure, the deletion is IO.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::PropagationPolicy;

use super::ApplyError;
use crate::apply::Deletion;
use crate::registry_controller::Context;
use crate::registry_controller::build::{Applied, Resources};
use crate::registry_controller::observed::{Children, is_controlled_by, is_ready};
use crate::registry_controller::validate::mounted_secret;

/// Something to delete, and why.
#[derive(Clone, Debug, PartialEq)]
pub enum Destruction {
    /// A pod that is not ready, of a template that is no longer wanted. The `StatefulSet` waits for it for ever.
    StuckPod(Arc<Pod>),
    /// A Secret that no pod mounts any more.
    UnusedSecret(Arc<Secret>),
}

/// Deletes the first object that has to go, if there is one. While something is wrong with the Registry (`is_whole` is
/// false), what nothing seems to use may be what it comes back to.
pub async fn destroy_one(
    context: &Context,
    (uid, is_whole): (&str, bool),
    resources: &Resources<Applied>,
    children: &Children,
    pods: &[Arc<Pod>],
) -> Result<Option<Destruction>, ApplyError> {
    let Some(destruction) = choose((uid, is_whole), resources, children, pods) else {
        return Ok(None);
    };
    let deletion = match &destruction {
        Destruction::StuckPod(pod) => {
            context
                .applier
                .delete(&**pod, PropagationPolicy::Background)
                .await?
        }
        Destruction::UnusedSecret(secret) => {
            context
                .applier
                .delete(&**secret, PropagationPolicy::Background)
                .await?
        }
    };
    Ok((deletion == Deletion::Accepted).then_some(destruction))
}

fn choose(
    (uid, is_whole): (&str, bool),
    resources: &Resources<Applied>,
    children: &Children,
    pods: &[Arc<Pod>],
) -> Option<Destruction> {
    let set = resources.stateful_set.as_ref()?;
    let rollout = Rollout::of(set)?;
    if let Some(pod) = pods.iter().find(|pod| rollout.is_stuck(pod)) {
        return Some(Destruction::StuckPod(Arc::clone(pod)));
    }
    if !is_whole || !rollout.is_complete || pods.iter().any(|pod| !rollout.is_current(pod)) {
        return None;
    }
    let wanted = resources.config.as_ref()?.name_any();
    let unused_config = children.configs.iter().find(|config| config.name_any() != wanted);
    let is_mounted = |secret: &Secret| mounted_secret(set) == secret.metadata.name.as_deref();
    let unused_tls = children
        .tls
        .as_ref()
        .filter(|secret| resources.tls.is_none() && !is_mounted(secret));
    unused_config
        .or(unused_tls)
        .filter(|secret| {
            is_controlled_by(&secret.metadata, uid) && secret.metadata.deletion_timestamp.is_none()
        })
        .map(|secret| Destruction::UnusedSecret(Arc::clone(secret)))
}

/// Which revision the `StatefulSet`'s controller wants; nothing before it has seen the newest template.
struct Rollout<'a> {
    wanted_revision: &'a str,
    is_complete: bool,
}

impl<'a> Rollout<'a> {
    fn of(set: &'a StatefulSet) -> Option<Self> {
        let status = set.status.as_ref()?;
        if status.observed_generation < set.metadata.generation {
            return None;
        }
        let wanted_revision = status.update_revision.as_deref()?;
        let replicas = set.spec.replicas.unwrap_or(1);
        let is_complete =
            status.ready_replicas == Some(replicas) && status.updated_replicas == Some(replicas);
        Some(Self {
            wanted_revision,
            is_complete,
        })
    }

    fn is_current(&self, pod: &Pod) -> bool {
        pod.labels().get("controller-revision-hash").map(String::as_str) == Some(self.wanted_revision)
    }

    fn is_stuck(&self, pod: &Pod) -> bool {
        !self.is_current(pod) && !is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
    }
}

#[cfg(test)]
mod tests;
