//! What people and programs read about a Registry. In: what a pass saw and did, the previous status, clock. Out:
//! `RegistryStatus`. Pure: the same observations always give the same status, so a settled one is never written.

mod pods;
mod serving;
mod storage;
mod summary;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::conditions::reasons::{NOT_YET_ACCEPTED, NOT_YET_LOADED};
use portolan_crds::conditions::{CREDENTIALS_READY, TLS_READY};
use portolan_crds::v1alpha1::{
    CredentialsStatus, EndpointsStatus, Registry, RegistryStatus, TlsStatus, VersionStatus,
};

use super::build::{Applied, Resources};
use super::dereference::Dereferenced;
use super::material::{Existing, Material};
use super::observed::annotation;
use super::probing::{Answer, Answers, Expectation, ServiceAnswer};
use super::validate::{Problem, Tls, ValidatedRegistry};
use crate::conditions::{self, Finding, Truth};
use crate::labels::{TEMPLATE_INPUTS, TEMPLATE_REVISION};

pub use pods::{Obstacle, PATIENCE, obstacle};

/// How far the pass came.
#[derive(Debug)]
pub enum Outcome {
    /// The spec, or what it refers to, cannot be followed now.
    Problems(Vec<Problem>),
    /// A step failed.
    Failed(Failure),
    /// The same, and a step of what could be done nevertheless failed.
    Hindered(Vec<Problem>, Failure),
    /// The objects are as the spec says, as far as its problems allow.
    Applied(Box<Progress>),
    /// Nothing was written because the spec asks for it.
    Suspended(Box<Progress>),
}

impl Outcome {
    fn problems(&self) -> &[Problem] {
        match self {
            Self::Problems(problems) | Self::Hindered(problems, _) => problems,
            Self::Applied(progress) => &progress.problems,
            Self::Failed(_) | Self::Suspended(_) => &[],
        }
    }

    /// What asks for another try.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Hindered(_, failure) => Some(failure),
            Self::Problems(_) | Self::Applied(_) | Self::Suspended(_) => None,
        }
    }
}

/// A step that failed, in words for the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step's name.
    pub step: &'static str,
    pub message: String,
    /// Set where a person must act; otherwise the step is tried again.
    pub stalled_reason: Option<&'static str>,
    /// Whether nothing is wrong: the watches lag behind, or something is still on its way out.
    pub is_stale: bool,
}

/// What is there after the pass.
#[derive(Clone, Debug)]
pub struct Progress {
    pub registry: ValidatedRegistry,
    /// What is wrong although the rest is as it should be.
    pub problems: Vec<Problem>,
    /// Absent only under suspension, where something that it takes is missing.
    pub expected: Option<Expectation>,
    pub renewal_at: Option<Timestamp>,
    /// Why the certificate would be replaced, if suspension did not keep it.
    pub objection: Option<&'static str>,
    /// What is not there, and not made because of suspension.
    pub missing: Vec<String>,
    pub knows_ca: bool,
    pub active_slot: Option<i32>,
    pub stateful_set: Option<StatefulSet>,
    pub claim: Option<PersistentVolumeClaim>,
    pub answers: Vec<Answer>,
    pub service: Option<ServiceAnswer>,
    /// Whose repairs somebody undoes, each in a sentence.
    pub contested: Vec<String>,
}

impl Progress {
    /// After apply: only objects that the API server returned count.
    pub fn applied(
        (registry, problems): (ValidatedRegistry, Vec<Problem>),
        material: &Material,
        resources: &Resources<Applied>,
        claim: Option<PersistentVolumeClaim>,
        (expected, answers): (Expectation, Answers),
    ) -> Self {
        Self {
            registry,
            problems,
            expected: Some(expected),
            renewal_at: material.renewal_at,
            objection: None,
            missing: Vec::new(),
            knows_ca: material.ca_bundle.is_some(),
            active_slot: Some(material.credentials.active_slot().number()),
            stateful_set: resources.stateful_set.clone(),
            claim,
            answers: answers.pods,
            service: answers.service,
            contested: Vec::new(),
        }
    }

    /// Without apply: what the watches show.
    pub fn suspended(
        registry: ValidatedRegistry,
        existing: Existing,
        dereferenced: &Dereferenced,
        (expected, answers): (Option<Expectation>, Answers),
    ) -> Self {
        let children = &dereferenced.children;
        Self {
            registry,
            problems: Vec::new(),
            expected,
            renewal_at: existing.renewal_at,
            objection: existing.objection,
            missing: existing.missing,
            knows_ca: existing.knows_ca,
            active_slot: existing.credentials.map(|known| known.active_slot().number()),
            stateful_set: children.stateful_set.as_deref().cloned(),
            claim: children.claim.as_deref().cloned(),
            answers: answers.pods,
            service: answers.service,
            contested: Vec::new(),
        }
    }

    /// Whether the pods are asked for as the spec says; only suspension can make this false.
    fn has_wanted_template(&self) -> bool {
        let inputs = self
            .stateful_set
            .as_ref()
            .and_then(|set| annotation(set, TEMPLATE_INPUTS));
        inputs == Some(self.registry.template.inputs.as_str())
    }
}

/// The whole status. `dereferenced` is absent where reading failed; then what was known stays.
pub fn status(
    registry: &Registry,
    dereferenced: Option<&Dereferenced>,
    outcome: &Outcome,
    now: Timestamp,
) -> RegistryStatus {
    let generation = registry.metadata.generation.unwrap_or_default();
    let previous = registry.status.clone().unwrap_or_default();
    let parts = parts(registry, dereferenced, outcome, &previous, now);
    let mut findings = summary::findings(registry, outcome, &parts);
    findings.extend(parts.into_findings());
    let conditions = conditions::merge(&previous.conditions, findings, generation, now);
    debug_assert_eq!(
        conditions::violations(&conditions, generation, generation),
        Vec::<String>::new()
    );
    let mut status = RegistryStatus {
        storage: storage::status(registry, dereferenced, outcome, previous.storage.clone()),
        observed_generation: Some(generation),
        conditions,
        ..previous
    };
    if let Outcome::Applied(progress) | Outcome::Suspended(progress) = outcome {
        describe(&mut status, progress);
    }
    status
}

/// The conditions about parts of the registry, before they are summed up.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    available: Finding,
    storage: Finding,
    tls: Finding,
    credentials: Finding,
    /// What keeps pods from starting.
    obstacle: Option<Obstacle>,
    /// Why the newest template is not in force everywhere yet.
    rollout: Option<String>,
}

impl Parts {
    fn into_findings(self) -> [Finding; 4] {
        [self.available, self.storage, self.tls, self.credentials]
    }
}

fn parts(
    registry: &Registry,
    dereferenced: Option<&Dereferenced>,
    outcome: &Outcome,
    previous: &RegistryStatus,
    now: Timestamp,
) -> Parts {
    let pods = dereferenced.map_or(&[][..], |seen| &seen.pods);
    let progress = match outcome {
        Outcome::Applied(progress) | Outcome::Suspended(progress) => Some(&**progress),
        Outcome::Problems(_) | Outcome::Failed(_) | Outcome::Hindered(..) => None,
    };
    let problems = outcome.problems();
    let available = match dereferenced {
        Some(_) => pods::available(pods, progress, previous),
        None => summary::kept(portolan_crds::conditions::AVAILABLE, previous),
    };
    let serves_nobody = dereferenced.is_some() && !pods::has_ready(pods);
    let kept = |kind, reason| {
        if serves_nobody {
            Finding::new(kind, Truth::False, reason, "no pod is ready")
        } else {
            summary::kept(kind, previous)
        }
    };
    Parts {
        storage: storage::finding(registry, dereferenced, progress, problems, previous),
        tls: serving::tls(progress, problems, &kept(TLS_READY, NOT_YET_LOADED), now),
        credentials: serving::credentials(progress, &kept(CREDENTIALS_READY, NOT_YET_ACCEPTED)),
        obstacle: pods::obstacle(pods, now),
        rollout: progress.and_then(|progress| pods::rollout(progress.stateful_set.as_ref(), pods)),
        available,
    }
}

/// Facts that only a pass which came to its end knows.
fn describe(status: &mut RegistryStatus, progress: &Progress) {
    let (registry, names) = (&progress.registry, &progress.registry.names);
    let expose = &registry.expose;
    status.endpoint = Some(registry.endpoint());
    status.endpoints = Some(EndpointsStatus {
        internal: Some(expose.with_port(&names.internal_host())),
        external: expose.hostnames.first().map(|host| expose.with_port(host)),
        ca_config_map_name: progress.knows_ca.then(|| names.ca_config_map()),
    });
    let known_slot = status.credentials.take().and_then(|before| before.active_slot);
    status.credentials = Some(CredentialsStatus {
        active_slot: progress.active_slot.or(known_slot),
        push_secret_name: Some(names.push_secret()),
        pull_secret_name: Some(names.pull_secret()),
    });
    let served = serving::served(progress);
    let before = status.tls.take().unwrap_or_default();
    let tls = TlsStatus {
        not_after: served.map(|served| Time(served.not_after)).or(before.not_after),
        renewal_time: match registry.tls {
            Tls::Managed(_) => progress.renewal_at.map(Time),
            Tls::Users(_) | Tls::Mounted { .. } => None,
        },
        served_serial: served
            .map(|served| served.certificate_serial.clone())
            .or(before.served_serial),
    };
    // The API server makes null of an object whose last field goes, and then refuses it.
    status.tls = (tls != TlsStatus::default()).then_some(tls);
    let running = progress
        .answers
        .iter()
        .find_map(|answer| answer.report.as_ref().ok());
    let before = status.version.take().unwrap_or_default();
    status.version = Some(VersionStatus {
        running: running
            .map(|report| shortened(&report.version))
            .or(before.running),
        desired: Some(shortened(tag(&registry.template.image))),
    });
    let revision = progress
        .stateful_set
        .as_ref()
        .and_then(|set| annotation(set, TEMPLATE_REVISION));
    status.template_revision = revision.and_then(|revision| revision.parse().ok());
}

/// `0.1.0` of `localhost:5000/portolan-registry:0.1.0`; the digest where one is pinned.
fn tag(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// The CRD's limit for versions.
fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
pub(super) mod tests;
