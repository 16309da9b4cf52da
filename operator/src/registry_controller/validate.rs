//! Turns a Registry and what it refers to into something that can be built. In: Registry, `Dereferenced`, settings,
//! clock. Out: `ValidatedRegistry`, or every problem found. Pure; nothing after this can be refused for its shape.

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

pub use children::conflict;
pub use image::{NEWEST_REVISION, Template};
pub use storage::{Claim, ClaimPlan, Storage, desired_size, owns_claim, wants_growth};
pub use tls::{ManagedTls, Tls, UsersCertificate};

/// A Registry that can be built as it is.
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
        names.dedup();
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

/// Everything about the Registry is checked, also after the first problem, so that a person sees all of them at once.
pub fn validate(
    registry: &Registry,
    dereferenced: &Dereferenced,
    settings: &Settings,
    now: Timestamp,
) -> Result<ValidatedRegistry, Vec<Problem>> {
    let mut problems = Vec::new();
    let identity = collect(&mut problems, spec::identity(registry, settings));
    let Some((names, uid)) = identity else {
        return Err(problems);
    };
    problems.extend(children::foreign(&names, &uid, &dereferenced.children));
    let expose = collect(&mut problems, spec::expose(&registry.spec.expose));
    let storage = collect(
        &mut problems,
        storage::validate(registry, &names, &uid, dereferenced),
    );
    let tls = expose.as_ref().and_then(|expose| {
        collect(
            &mut problems,
            tls::validate(&registry.spec.tls, &names, expose, dereferenced, now),
        )
    });
    let owner = registry.controller_owner_ref(&());
    match (expose, storage, tls, owner) {
        (Some(expose), Some(storage), Some(tls), Some(owner)) if problems.is_empty() => {
            let template = image::template(
                &registry.spec,
                &names,
                (&expose, &tls, &storage),
                dereferenced,
                settings,
            );
            let children = &dereferenced.children;
            let has_run_before = children.stateful_set.is_some() || children.credentials.is_some();
            let pod = registry.spec.pod.clone();
            Ok(ValidatedRegistry {
                names,
                uid,
                owner,
                storage,
                tls,
                expose,
                pod,
                template,
                has_run_before,
            })
        }
        _ => Err(problems),
    }
}

fn collect<T>(problems: &mut Vec<Problem>, outcome: Result<T, Problem>) -> Option<T> {
    outcome.map_err(|problem| problems.push(problem)).ok()
}

#[cfg(test)]
mod tests;
