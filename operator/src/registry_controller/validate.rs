//! Turns a Registry and what it refers to into something that can be built. In: Registry, `Dereferenced`, settings,
//! clock. Out: `Decision`: what can be built now, and every problem found. Pure; nothing after this can be refused for its
//! shape.

mod children;
mod image;
mod spec;
mod storage;
mod tls;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use portolan_crds::v1alpha1::{PodSpec, Registry};

use super::dereference::Dereferenced;
use crate::context::Settings;
use crate::labels::Labels;
use crate::names::Names;

pub use children::{Withheld, conflict};
pub use image::{NEWEST_REVISION, Template};
pub use storage::{Claim, ClaimPlan, Storage, desired_size, owns_claim, wants_growth};
pub use tls::{ManagedTls, TLS_VOLUME, Tls, UsersCertificate, mounted_secret};

/// A Registry that can be built, but for what is withheld.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedRegistry {
    pub names: Names,
    pub uid: String,
    /// The controller reference that every child but a retained claim carries.
    pub owner: OwnerReference,
    pub storage: Storage,
    pub tls: Tls,
    pub expose: Expose,
    pub pod: PodSpec,
    pub template: Template,
    /// Whether the `StatefulSet` or R-credentials existed when the pass began: then private material that is missing
    /// was lost, rather than never made.
    pub has_run_before: bool,
    pub withheld: Withheld,
    /// Whether pods mount something that is not ours, or whose content is not known: then nothing can be expected of
    /// what they serve.
    pub mounts_unknown: bool,
}

/// Names and Service through which clients come.
#[derive(Clone, Debug, PartialEq)]
pub struct Expose {
    pub service_type: &'static str,
    pub port: i32,
    pub annotations: Labels,
    pub hostnames: Vec<String>,
}

impl Expose {
    /// The host as image references spell it.
    pub fn with_port(&self, host: &str) -> String {
        if self.port == 443 {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl ValidatedRegistry {
    /// The host to use: the first hostname, else the Service's name.
    pub fn endpoint(&self) -> String {
        let internal = self.names.internal_host();
        self.expose
            .with_port(self.expose.hostnames.first().unwrap_or(&internal))
    }

    /// Every host under which clients may name the registry, the preferred one first, without ports.
    pub fn hosts(&self) -> Vec<String> {
        self.expose
            .hostnames
            .iter()
            .cloned()
            .chain(self.names.service_hosts())
            .collect()
    }

    /// Names that a managed certificate carries besides the addresses of the Service.
    pub fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.service_hosts();
        names.push(self.names.pod_hosts_wildcard());
        names.extend(self.expose.hostnames.iter().cloned());
        names
    }
}

/// Whether waiting can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Something that may still come: Ready=False with Reconciling.
    Absent,
    /// Something that a person must change: Stalled.
    Unusable,
}

/// The part of a Registry that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    Spec,
    Children,
    Storage,
    Tls,
}

/// Why a Registry cannot be built now: one sentence that names the object and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub gravity: Gravity,
    pub concern: Concern,
    pub reason: &'static str,
    pub message: String,
}

impl Problem {
    pub fn absent(concern: Concern, message: impl Into<String>) -> Self {
        let reason = portolan_crds::conditions::reasons::DEPENDENCY_NOT_READY;
        Self {
            gravity: Gravity::Absent,
            concern,
            reason,
            message: message.into(),
        }
    }

    pub fn unusable(concern: Concern, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            gravity: Gravity::Unusable,
            concern,
            reason,
            message: message.into(),
        }
    }
}

/// A problem, and what can be gone on with while it lasts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hitch<T> {
    problem: Problem,
    instead: Option<Box<T>>,
}

impl<T> From<Problem> for Hitch<T> {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            instead: None,
        }
    }
}

/// What comes of a Registry. Both where something is wrong with a registry that runs: it is maintained as far as it can
/// be, and the problems give the verdict. One that has not begun to run does not begin until there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub registry: Option<ValidatedRegistry>,
    pub problems: Vec<Problem>,
}

/// Everything about the Registry is checked, also after the first problem, so that a person sees all of them at once.
pub fn validate(
    registry: &Registry,
    dereferenced: &Dereferenced,
    settings: &Settings,
    now: Timestamp,
) -> Decision {
    let mut problems = Vec::new();
    let registry = decide(&mut problems, registry, dereferenced, settings, now);
    Decision {
        registry: registry.filter(|registry| problems.is_empty() || registry.has_run_before),
        problems,
    }
}

/// What can be built now, if anything can.
fn decide(
    problems: &mut Vec<Problem>,
    registry: &Registry,
    dereferenced: &Dereferenced,
    settings: &Settings,
    now: Timestamp,
) -> Option<ValidatedRegistry> {
    let identity = spec::identity(registry, settings).map_err(Hitch::from);
    let (names, uid) = collect(problems, identity)?;
    let children = &dereferenced.children;
    let own = children.controlled_by(&uid);
    problems.extend(children::foreign(&names, &uid, children));
    let expose = collect(problems, spec::expose(&registry.spec.expose).map_err(Hitch::from));
    let storage = collect(problems, storage::validate(registry, &names, &uid, dereferenced));
    let expose = expose?;
    let tls = collect(
        problems,
        tls::validate(&registry.spec.tls, &names, &expose, (dereferenced, &own), now),
    );
    let (storage, tls, owner) = (storage?, tls?, registry.controller_owner_ref(&())?);
    let chosen = (&expose, &tls, &storage);
    let template = image::template(
        &registry.spec,
        &names,
        chosen,
        (&own, &dereferenced.pods),
        settings,
    );
    let mut withheld = Withheld::because_of(&names, &uid, children);
    let mounts_unknown = withheld.holds_what_pods_mount(&names) || matches!(tls, Tls::Mounted { .. });
    let waits_for_storage = matches!(&storage, Storage::Claim(claim) if claim.plan == ClaimPlan::Leave);
    // What serves goes on as it is; a pod of another template would start on what is not there or not right.
    if (mounts_unknown || waits_for_storage || has_brought_problem(problems))
        && !template.is_that_of(own.stateful_set.as_deref())
    {
        withheld.add_what_clients_use(&names, &own);
    }
    Some(ValidatedRegistry {
        has_run_before: own.stateful_set.is_some() || own.credentials.is_some(),
        pod: registry.spec.pod.clone(),
        names,
        uid,
        owner,
        storage,
        tls,
        expose,
        template,
        withheld,
        mounts_unknown,
    })
}

/// Whether the certificate that the spec names is not the one in use.
fn has_brought_problem(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.concern == Concern::Tls)
}

fn collect<T>(problems: &mut Vec<Problem>, outcome: Result<T, Hitch<T>>) -> Option<T> {
    outcome
        .or_else(|hitch| {
            problems.push(hitch.problem);
            hitch.instead.map(|instead| *instead).ok_or(())
        })
        .ok()
}

#[cfg(test)]
mod tests;
