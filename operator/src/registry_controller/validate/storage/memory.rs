//! Which claim a Registry has used. In: status and children of a former pass, the claim that exists. Out: what is remembered
//! of the former one, and a problem where another one has taken its place. Pure.
//!
//! A claim counts from the moment that it exists: whether a pod has written to it is not always to be seen.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use portolan_crds::conditions::reasons::CLAIM_LOST;
use portolan_crds::v1alpha1::Registry;

use super::unusable;
use crate::labels::{REGISTRY_UID, USED_CLAIM};
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::observed::is_controlled_by;
use crate::registry_controller::validate::Problem;

/// As it is written down.
pub(super) fn of(name: &str, claim: &PersistentVolumeClaim) -> String {
    format!("{name}/{}", claim.metadata.uid.as_deref().unwrap_or_default())
}

/// What any of three places remembers: two children, and the status, which knows no UID and can be lost. Children of a
/// deleted Registry of this name remember its claim, not ours.
pub(super) fn remembered(registry: &Registry, uid: &str, dereferenced: &Dereferenced) -> Option<String> {
    let written_on = |metadata: &ObjectMeta| {
        let annotations = metadata.annotations.as_ref()?;
        annotations
            .get(USED_CLAIM)
            .filter(|_| is_controlled_by(metadata, uid))
            .cloned()
    };
    let children = &dereferenced.children;
    let on_set = || written_on(&children.stateful_set.as_deref()?.metadata);
    let on_secret = || written_on(&children.credentials.as_deref()?.metadata);
    let in_status = || registry.status.as_ref()?.storage.as_ref()?.claim_name.clone();
    on_set().or_else(on_secret).or_else(in_status)
}

/// As it is written on children: what only the status remembers has no UID.
pub(super) fn with_uid(remembered: Option<String>) -> Option<String> {
    remembered.filter(|text| has_uid(text))
}

pub(super) fn has_uid(remembered: &str) -> bool {
    remembered.contains('/')
}

/// Another claim in the place of the remembered one may be empty. The label says that a person has restored the images.
pub(super) fn check_same(
    claim: &PersistentVolumeClaim,
    name: &str,
    uid: &str,
    remembered: &str,
) -> Result<(), Problem> {
    let Some((former_name, former_uid)) = remembered.split_once('/') else {
        return Ok(());
    };
    let is_same = claim.metadata.uid.as_deref() == Some(former_uid);
    let is_confirmed = claim.labels().get(REGISTRY_UID).map(String::as_str) == Some(uid);
    if is_same || is_confirmed {
        return Ok(());
    }
    Err(unusable(
        CLAIM_LOST,
        format!(
            "claim {name} is not the claim {former_name} of UID {former_uid} that held the images: restore them into it and \
             label it {REGISTRY_UID}={uid}; the label alone accepts it with what it holds"
        ),
    ))
}
