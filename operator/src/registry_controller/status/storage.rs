//! The claim as people see it. In: the claim, problems about it, the previous status. Out: `StorageReady` and the storage
//! part of the status, which also remembers that a claim was there. Pure.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use portolan_crds::conditions::STORAGE_READY;
use portolan_crds::conditions::reasons::{BOUND, CLAIM_PENDING, EPHEMERAL, VOLUME_RESIZING};
use portolan_crds::v1alpha1::{Registry, RegistryStatus, StorageStatus};

use super::{Outcome, Progress, summary};
use crate::conditions::{Finding, Truth};
use crate::labels::REGISTRY_UID;
use crate::quantity;
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::observed::{capacity, is_bound};
use crate::registry_controller::validate::{Concern, Problem, desired_size};

pub(super) fn finding(
    registry: &Registry,
    dereferenced: Option<&Dereferenced>,
    progress: Option<&Progress>,
    problems: &[Problem],
    previous: &RegistryStatus,
) -> Finding {
    if let Some(problem) = problems
        .iter()
        .find(|problem| problem.concern == Concern::Storage)
    {
        return Finding::new(STORAGE_READY, Truth::False, problem.reason, &problem.message);
    }
    if registry.spec.storage.ephemeral.is_some() {
        let message = "images are kept for the life of the pod only";
        return Finding::new(STORAGE_READY, Truth::True, EPHEMERAL, message);
    }
    let observed = dereferenced.and_then(|seen| seen.children.claim.as_deref());
    match progress.and_then(|progress| progress.claim.as_ref()).or(observed) {
        Some(claim) => of_claim(registry, claim),
        None => summary::kept(STORAGE_READY, previous),
    }
}

fn of_claim(registry: &Registry, claim: &PersistentVolumeClaim) -> Finding {
    let name = claim.name_any();
    if !is_bound(claim) {
        let class = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.as_deref());
        let whose = class.map_or_else(
            || "the cluster has no default StorageClass: name one in a new Registry".to_owned(),
            |class| format!("StorageClass {class} provides its volume when a pod is scheduled"),
        );
        let message = format!("claim {name} is not bound yet; {whose}");
        return Finding::new(STORAGE_READY, Truth::False, CLAIM_PENDING, message);
    }
    let has = capacity(claim).unwrap_or_default();
    let size = registry
        .spec
        .storage
        .volume
        .as_ref()
        .and_then(|volume| volume.size.as_deref());
    if let Some(size) = size.filter(|size| quantity::parse(size) > quantity::parse(has)) {
        let message = format!("claim {name} grows from {has} to {size}");
        return Finding::new(STORAGE_READY, Truth::False, VOLUME_RESIZING, message);
    }
    Finding::new(
        STORAGE_READY,
        Truth::True,
        BOUND,
        format!("claim {name} is bound and has {has}"),
    )
}

/// What was known stays when the claim is gone: it is one of the places that remember it.
pub(super) fn status(
    registry: &Registry,
    dereferenced: Option<&Dereferenced>,
    outcome: &Outcome,
    previous: Option<StorageStatus>,
) -> Option<StorageStatus> {
    let volume = registry.spec.storage.volume.as_ref()?;
    let applied = match outcome {
        Outcome::Applied(progress) => progress.claim.as_ref(),
        _ => None,
    };
    let observed = dereferenced.and_then(|seen| seen.children.claim.as_deref());
    let is_ours =
        |claim: &&PersistentVolumeClaim| claim.labels().get(REGISTRY_UID) == registry.metadata.uid.as_ref();
    let Some(claim) = applied.or(observed).filter(is_ours) else {
        return previous;
    };
    Some(StorageStatus {
        claim_name: Some(claim.name_any()),
        requested: desired_size(volume, Some(claim)),
        capacity: capacity(claim)
            .map(str::to_owned)
            .or(previous.and_then(|before| before.capacity)),
    })
}
