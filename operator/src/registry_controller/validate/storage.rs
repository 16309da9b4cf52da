//! Where the images are kept. In: spec, the claim that exists, its class. Out: what to do about the claim. Pure.
//!
//! The one rule above all others: a claim that held images is never replaced by an empty one, and never taken from
//! another Registry.

mod memory;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use portolan_crds::conditions::reasons::{
    CLAIM_LOST, CLAIM_OF_ANOTHER_REGISTRY, CLAIM_UNUSABLE, FOREIGN_OBJECT_CONFLICT, INVALID_SPEC,
    STORAGE_CLASS_NOT_EXPANDABLE,
};
use portolan_crds::v1alpha1::{DeletionPolicy, Registry, VolumeStorage};

use super::{Concern, Hitch, Problem};
use crate::labels::REGISTRY_UID;
use crate::names::Names;
use crate::quantity;
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::observed::{Reference, capacity, is_bound, requested};

#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    Claim(Claim),
    Ephemeral { size_limit: Option<String> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub name: String,
    pub plan: ClaimPlan,
    /// Whether the Registry owns it, so that it goes with the Registry. Never for one that the user brought.
    pub owned: bool,
    /// Name and UID of the claim that exists, to be written down on several children.
    pub memory: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ClaimPlan {
    Create {
        size: String,
        class: Option<String>,
    },
    /// `request` is what the claim is to ask for; the same as now, unless it grows or a growth is taken back.
    Keep {
        uid: String,
        request: Option<String>,
    },
    /// Something is wrong about it, so nothing is done to it, and no pod is started on it that does not run already.
    Leave,
}

/// How much was asked for, whether or not the claim has it already.
pub fn desired_size(volume: &VolumeStorage, claim: Option<&PersistentVolumeClaim>) -> Option<String> {
    volume
        .size
        .clone()
        .or_else(|| claim.and_then(requested).map(str::to_owned))
}

/// Whether the claim has to change its request, for which its class must allow growth.
pub fn wants_growth(volume: &VolumeStorage, claim: &PersistentVolumeClaim) -> bool {
    let (Some(size), Some(request)) = (volume.size.as_deref(), requested(claim)) else {
        return false;
    };
    is_bound(claim)
        && quantity::parse(size) > capacity(claim).and_then(quantity::parse)
        && !quantity::are_equal(size, request)
}

pub(super) fn validate(
    registry: &Registry,
    names: &Names,
    uid: &str,
    dereferenced: &Dereferenced,
) -> Result<Storage, Hitch<Storage>> {
    let storage = &registry.spec.storage;
    match (&storage.volume, &storage.ephemeral) {
        (None, Some(ephemeral)) => {
            check_size(
                "spec.storage.ephemeral.sizeLimit",
                ephemeral.size_limit.as_deref(),
            )?;
            Ok(Storage::Ephemeral {
                size_limit: ephemeral.size_limit.clone(),
            })
        }
        (Some(volume), None) => {
            check_size("spec.storage.volume.size", volume.size.as_deref())?;
            claim(registry, volume, names, uid, dereferenced)
                .map(Storage::Claim)
                .map_err(|hitch| Hitch {
                    instead: hitch.instead.map(|claim| Box::new(Storage::Claim(*claim))),
                    problem: hitch.problem,
                })
        }
        _ => Err(unusable(
            INVALID_SPEC,
            "spec.storage must hold exactly one of volume and ephemeral, for example volume: {size: 20Gi}",
        )
        .into()),
    }
}

fn claim(
    registry: &Registry,
    volume: &VolumeStorage,
    names: &Names,
    uid: &str,
    dereferenced: &Dereferenced,
) -> Result<Claim, Hitch<Claim>> {
    let remembered = memory::remembered(registry, uid, dereferenced);
    let name = volume
        .existing_claim_name
        .clone()
        .unwrap_or_else(|| names.claim());
    let planned = |plan, memory| Claim {
        name: name.clone(),
        plan,
        owned: owns_claim(registry),
        memory,
    };
    let leave = |problem| Hitch {
        problem,
        instead: Some(Box::new(planned(
            ClaimPlan::Leave,
            memory::with_uid(remembered.clone()),
        ))),
    };
    let Some(claim) = dereferenced.children.claim.as_deref() else {
        let plan = absent(volume, &name, uid, remembered.is_some(), dereferenced).map_err(leave)?;
        return Ok(planned(plan, None));
    };
    check(claim, volume, &name, uid, remembered.as_deref(), dereferenced).map_err(leave)?;
    let keep = |request| {
        let plan = ClaimPlan::Keep {
            uid: claim.metadata.uid.clone().unwrap_or_default(),
            request,
        };
        planned(plan, Some(memory::of(&name, claim)))
    };
    match request(volume, claim, &dereferenced.storage_class) {
        Ok(request) => Ok(keep(request)),
        Err(problem) => Err(Hitch {
            problem,
            instead: Some(Box::new(keep(requested(claim).map(str::to_owned)))),
        }),
    }
}

/// Whether the claim may be used, and can be.
fn check(
    claim: &PersistentVolumeClaim,
    volume: &VolumeStorage,
    name: &str,
    uid: &str,
    remembered: Option<&str>,
    dereferenced: &Dereferenced,
) -> Result<(), Problem> {
    let adopted = volume.existing_claim_name.is_some();
    // What we wrote down with a UID says more than a label, which gets lost; only another user of the claim says more.
    if dereferenced.claim_user.is_some() || !remembered.is_some_and(memory::has_uid) {
        check_ownership(claim, name, uid, (adopted, remembered.is_some()), dereferenced)?;
    }
    if let Some(remembered) = remembered {
        memory::check_same(claim, name, uid, remembered)?;
    }
    check_usable(claim, name, remembered.is_some())
}

/// Whether the claim goes with the Registry: only one that was made for it, and only where the spec says so.
pub fn owns_claim(registry: &Registry) -> bool {
    let volume = registry.spec.storage.volume.as_ref();
    let is_adopted = volume.is_some_and(|volume| volume.existing_claim_name.is_some());
    !is_adopted && registry.spec.deletion_policy == DeletionPolicy::Delete
}

fn absent(
    volume: &VolumeStorage,
    name: &str,
    uid: &str,
    was_there: bool,
    dereferenced: &Dereferenced,
) -> Result<ClaimPlan, Problem> {
    if was_there {
        return Err(unusable(
            CLAIM_LOST,
            format!(
                "claim {name}, which held the images, is gone and is not replaced by an empty one: restore it under \
                 this name with the label {REGISTRY_UID}={uid}, or delete this Registry and create it again to start \
                 empty"
            ),
        ));
    }
    if volume.existing_claim_name.is_some() {
        return Err(Problem::absent(
            Concern::Storage,
            format!("claim {name} of existingClaimName does not exist: create it in this namespace"),
        ));
    }
    let Some(size) = volume.size.clone() else {
        return Err(unusable(
            INVALID_SPEC,
            "spec.storage.volume needs size or existingClaimName, for example size: 100Gi",
        ));
    };
    if let (Some(class), Reference::Absent) = (&volume.storage_class_name, &dereferenced.storage_class) {
        return Err(Problem::absent(
            Concern::Storage,
            format!(
                "StorageClass {class} does not exist: create it, or delete this Registry and create it again with \
                 another storageClassName"
            ),
        ));
    }
    Ok(ClaimPlan::Create {
        size,
        class: volume.storage_class_name.clone(),
    })
}

fn check_ownership(
    claim: &PersistentVolumeClaim,
    name: &str,
    uid: &str,
    (adopted, was_there): (bool, bool),
    dereferenced: &Dereferenced,
) -> Result<(), Problem> {
    let of = claim
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(REGISTRY_UID))
        .map(String::as_str);
    match (of, &dereferenced.claim_user) {
        (Some(of), _) if of == uid => Ok(()),
        (_, Some(other)) => Err(unusable(
            FOREIGN_OBJECT_CONFLICT,
            format!(
                "claim {name} is in use by Registry {other}: name another claim, or delete that Registry first"
            ),
        )),
        _ if adopted => Ok(()),
        // The status says that there was a claim, and so forbids to name another one.
        _ if was_there => Err(unusable(
            FOREIGN_OBJECT_CONFLICT,
            format!(
                "claim {name} does not carry the label of this Registry, which has used a claim of that name: label it \
                 {REGISTRY_UID}={uid} if it holds the images"
            ),
        )),
        (Some(_), None) => Err(unusable(
            CLAIM_OF_ANOTHER_REGISTRY,
            format!(
                "claim {name} holds the images of a deleted Registry: write existingClaimName: {name} to use it, or \
                 delete the claim"
            ),
        )),
        (None, None) => Err(unusable(
            FOREIGN_OBJECT_CONFLICT,
            format!(
                "claim {name} exists and was not made for this Registry: write existingClaimName: {name} to use it, or \
                 delete or rename the claim"
            ),
        )),
    }
}

fn check_usable(claim: &PersistentVolumeClaim, name: &str, was_there: bool) -> Result<(), Problem> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(if was_there || is_bound(claim) {
            unusable(
                CLAIM_LOST,
                format!(
                    "claim {name} is being deleted and goes with its images as soon as no pod uses it: copy them now; \
                     afterwards restore the claim, or delete this Registry and create it again to start empty"
                ),
            )
        } else {
            Problem::absent(Concern::Storage, format!("claim {name} is being deleted"))
        });
    }
    let spec = claim.spec.as_ref();
    if spec.and_then(|spec| spec.volume_mode.as_deref()) == Some("Block") {
        return Err(unusable(
            CLAIM_UNUSABLE,
            format!("claim {name} is a block device: name a claim with volumeMode: Filesystem"),
        ));
    }
    let modes = spec
        .and_then(|spec| spec.access_modes.as_deref())
        .unwrap_or_default();
    if !modes.is_empty() && modes.iter().all(|mode| mode == "ReadOnlyMany") {
        return Err(unusable(
            CLAIM_UNUSABLE,
            format!("claim {name} can only be read: name one with the access mode ReadWriteOnce"),
        ));
    }
    Ok(())
}

fn request(
    volume: &VolumeStorage,
    claim: &PersistentVolumeClaim,
    class: &Reference<k8s_openapi::api::storage::v1::StorageClass>,
) -> Result<Option<String>, Problem> {
    let now = requested(claim).map(str::to_owned);
    if !wants_growth(volume, claim) {
        return Ok(now);
    }
    let size = volume.size.clone().unwrap_or_default();
    let name = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref())
        .unwrap_or_default();
    let has = capacity(claim).unwrap_or_default();
    let expandable = match class {
        // Without the right to read classes only the API server can tell.
        Reference::Forbidden | Reference::NotAsked => true,
        Reference::Absent => false,
        Reference::Found(class) => class.allow_volume_expansion == Some(true),
    };
    if expandable {
        return Ok(Some(size));
    }
    let which = if name.is_empty() {
        "a claim without a StorageClass".to_owned()
    } else {
        format!("StorageClass {name}")
    };
    Err(unusable(
        STORAGE_CLASS_NOT_EXPANDABLE,
        format!(
            "{which} does not let volumes grow to {size}: write size: {has} again, or copy the images to a new Registry"
        ),
    ))
}

fn check_size(field: &str, size: Option<&str>) -> Result<(), Problem> {
    match size {
        Some(size) if quantity::parse(size).is_none_or(|value| value <= 0) => Err(unusable(
            INVALID_SPEC,
            format!("{field} is {size:?}: write a quantity such as 20Gi"),
        )),
        _ => Ok(()),
    }
}

fn unusable(reason: &'static str, message: impl Into<String>) -> Problem {
    Problem::unusable(Concern::Storage, reason, message)
}

#[cfg(test)]
mod tests;
