//! Whether clients are served, and what keeps pods from starting. In: pods, `StatefulSet`, clock. Out: findings. Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use portolan_crds::conditions::AVAILABLE;
use portolan_crds::conditions::reasons::{MINIMUM_REPLICAS_AVAILABLE, NO_READY_PODS, SERVICE_NOT_ANSWERING};
use portolan_crds::v1alpha1::RegistryStatus;

use super::Progress;
use crate::conditions::{self, Finding, Truth};
use crate::registry_controller::observed::is_ready;
use crate::registry_controller::probing::Answer;

/// How long a pod may fail to start before a person is asked to look.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Why a pod does not start, in a sentence that names it and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub message: String,
    /// Waiting will not help, or has not helped long enough.
    pub is_permanent: bool,
    /// When it counts as permanent, if it does not yet.
    pub permanent_at: Timestamp,
}

pub(super) fn has_ready(pods: &[Arc<Pod>]) -> bool {
    pods.iter().any(|pod| is_ready(pod))
}

/// Clients come through the Service, so that has to answer too. What is not known of it now is as it was.
pub(super) fn available(
    pods: &[Arc<Pod>],
    progress: Option<&Progress>,
    previous: &RegistryStatus,
) -> Finding {
    if !has_ready(pods) {
        let message = match pods.first() {
            None => "there is no pod yet".to_owned(),
            Some(pod) => format!("pod {} is not ready", pod.name_any()),
        };
        return Finding::new(AVAILABLE, Truth::False, NO_READY_PODS, message);
    }
    let before = conditions::find(&previous.conditions, AVAILABLE);
    let objection = match progress {
        Some(progress) => service_objection(progress),
        None => before
            .filter(|before| before.reason == SERVICE_NOT_ANSWERING)
            .map(|before| before.message.clone()),
    };
    if let Some(message) = objection {
        return Finding::new(AVAILABLE, Truth::False, SERVICE_NOT_ANSWERING, message);
    }
    let message = "clients can push and pull";
    Finding::new(AVAILABLE, Truth::True, MINIMUM_REPLICAS_AVAILABLE, message)
}

/// Why clients do not reach the ready pods, if they do not.
fn service_objection(progress: &Progress) -> Option<String> {
    let named = format!("Service {}", progress.registry.names.service());
    if progress.missing.contains(&named) {
        return Some(format!(
            "a pod is ready, but {named}, which leads to it, is not there"
        ));
    }
    let service = progress.service.as_ref()?;
    let (name, address) = (&service.name, service.address);
    let serial = match &service.certificate_serial {
        Ok(serial) => serial,
        Err(error) => {
            return Some(format!(
                "a pod is ready, but Service {name} does not lead to it yet, as a node needs a moment to learn: {error}"
            ));
        }
    };
    // A pod may be about to load the certificate that is expected.
    let is_a_pods = |answer: &Answer| match &answer.certificate_serial {
        Ok(served) => served == serial,
        Err(_) => true,
    };
    let expected = progress.expected.as_ref();
    let is_expected = expected.is_some_and(|expected| expected.certificate_serial == *serial);
    let is_known = is_expected || progress.answers.iter().any(is_a_pods);
    (!is_known).then(|| {
        format!(
            "Service {name} leads to something that is no pod of this Registry: {address} serves another certificate; \
             look for pods that carry the labels of its selector"
        )
    })
}

/// What keeps the first pod that is not ready from starting, if its status says so.
pub fn obstacle(pods: &[Arc<Pod>], now: Timestamp) -> Option<Obstacle> {
    let waiting = |pod: &&Arc<Pod>| !is_ready(pod) && pod.metadata.deletion_timestamp.is_none();
    pods.iter().filter(waiting).find_map(|pod| obstacle_of(pod, now))
}

fn obstacle_of(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
    let (problem, is_hopeless) = container_problem(pod).or_else(|| unschedulable(pod))?;
    let since = pod
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |created| created.0);
    let permanent_at = since + PATIENCE;
    Some(Obstacle {
        message: format!("pod {} does not start: {problem}", pod.name_any()),
        is_permanent: is_hopeless || now >= permanent_at,
        permanent_at,
    })
}

fn container_problem(pod: &Pod) -> Option<(String, bool)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find_map(problem_of)
}

fn problem_of(status: &ContainerStatus) -> Option<(String, bool)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    let image = &status.image;
    Some(match waiting.reason.as_deref().unwrap_or_default() {
        "ErrImagePull" | "ImagePullBackOff" => (
            format!(
                "its image {image} cannot be pulled; check spec.pod.image and spec.pod.imagePullSecrets ({said})"
            ),
            false,
        ),
        "InvalidImageName" => (format!("{image} is no image name; correct spec.pod.image"), true),
        "ErrImageNeverPull" => (
            format!("its image {image} is not on the node, and spec.pod.imagePullPolicy is Never"),
            true,
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            (said.to_owned(), false)
        }
        "CrashLoopBackOff" => {
            let log = last_words(status);
            (format!("it ended {} times{log}", status.restart_count), false)
        }
        _ => return None,
    })
}

fn last_words(status: &ContainerStatus) -> String {
    let terminated = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    terminated.map_or_else(
        || ", see its log".to_owned(),
        |ended| {
            let reason = ended.reason.as_deref().unwrap_or("Error");
            let said = ended
                .message
                .as_deref()
                .map(str::trim)
                .filter(|said| !said.is_empty());
            let said = said.map_or_else(|| ", see its log".to_owned(), |said| format!(": {said}"));
            format!(", last with exit code {} ({reason}){said}", ended.exit_code)
        },
    )
}

fn unschedulable(pod: &Pod) -> Option<(String, bool)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False").then(|| {
        let said = scheduled.message.as_deref().unwrap_or("no node fits");
        (format!("no node takes it: {said}"), false)
    })
}

/// Why the newest template does not run everywhere yet; nothing when it does.
pub(super) fn rollout(set: Option<&StatefulSet>, pods: &[Arc<Pod>]) -> Option<String> {
    let Some(set) = set else {
        return Some("the StatefulSet is not there".to_owned());
    };
    let name = set.name_any();
    let wanted = set.spec.replicas.unwrap_or(1);
    let seen = set
        .status
        .as_ref()
        .filter(|status| status.observed_generation >= set.metadata.generation);
    let Some(status) = seen else {
        return Some(format!("StatefulSet {name} starts to roll out"));
    };
    if status.updated_replicas.unwrap_or_default() < wanted {
        return Some(format!("StatefulSet {name} replaces its pod"));
    }
    if status.ready_replicas.unwrap_or_default() < wanted || !pods.iter().any(|pod| is_ready(pod)) {
        return Some(format!("StatefulSet {name} waits for its pod to become ready"));
    }
    None
}

#[cfg(test)]
mod tests;
