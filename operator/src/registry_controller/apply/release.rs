//! Takes the Registry's owner reference off a claim that must outlive it. In: Registry, the claim as observed. Out: the
//! claim as it is now, if it was written. What to write is pure, the write is IO.
//!
//! It is the first write of a pass and waits for nothing that may be wrong elsewhere. It removes what is there, whoever
//! wrote it: server-side apply would keep a reference for as long as anybody else claims it.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use portolan_crds::v1alpha1::Registry;
use serde_json::{Value, json};

use super::{ApplyError, claim};
use crate::apply::is_replaced;
use crate::registry_controller::Context;
use crate::registry_controller::validate::owns_claim;

/// Removes the reference where the spec wants the claim kept. Never adds one.
pub async fn release_claim(
    context: &Context,
    registry: &Registry,
    observed: Option<&PersistentVolumeClaim>,
) -> Result<Option<PersistentVolumeClaim>, ApplyError> {
    let uid = registry.metadata.uid.as_deref().unwrap_or_default();
    match observed.filter(|_| !owns_claim(registry)) {
        Some(claim) => release(context, claim, uid).await,
        None => Ok(None),
    }
}

/// The same for every claim that the watch shows as owned by a Registry which cannot be read: by its metadata alone.
pub async fn release_claims_of(context: &Context, registry: &ObjectMeta) -> Result<(), ApplyError> {
    let uid = registry.uid.as_deref().unwrap_or_default();
    for claim in context.stores.claims.state() {
        if claim.metadata.namespace == registry.namespace {
            release(context, &claim, uid).await?;
        }
    }
    Ok(())
}

async fn release(
    context: &Context,
    observed: &PersistentVolumeClaim,
    uid: &str,
) -> Result<Option<PersistentVolumeClaim>, ApplyError> {
    let Some(body) = without_owner(&observed.metadata, uid) else {
        return Ok(None);
    };
    let (name, namespace) = (observed.name_any(), observed.namespace().unwrap_or_default());
    let params = PatchParams {
        field_manager: Some(claim::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = Api::<PersistentVolumeClaim>::namespaced(context.client.clone(), &namespace);
    match api.patch(&name, &params, &Patch::Merge(&body)).await {
        Ok(answer) if is_owned_by(&answer.metadata, uid) => Err(ApplyError::StillOwned { name }),
        Ok(answer) => Ok(Some(answer)),
        Err(kube::Error::Api(status)) if is_replaced(&status) || status.is_not_found() => {
            Err(ApplyError::Stale {
                kind: "claim".to_owned(),
                name,
            })
        }
        Err(source) => Err(ApplyError::Claim {
            verb: "release",
            name,
            source: Box::new(source),
        }),
    }
}

/// The other references and nothing else, for exactly the object that was observed; nothing where ours is not among them.
fn without_owner(metadata: &ObjectMeta, uid: &str) -> Option<Value> {
    if !is_owned_by(metadata, uid) {
        return None;
    }
    let others: Vec<_> = metadata
        .owner_references
        .iter()
        .flatten()
        .filter(|owner| owner.uid != uid)
        .collect();
    Some(json!({"metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "ownerReferences": others,
    }}))
}

/// Kubernetes deletes what any reference binds, not only the controller's.
fn is_owned_by(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_controller::test_support::{UID, object, registry};

    fn owned_by(owners: &[(&str, bool)]) -> ObjectMeta {
        let owners: Vec<_> = owners
            .iter()
            .map(|(uid, controller)| {
                json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": uid,
                    "controller": controller})
            })
            .collect();
        object(
            json!({"name": "depot-data", "uid": "claim-uid", "resourceVersion": "7", "ownerReferences": owners}),
        )
    }

    #[test]
    fn released_claim_loses_our_reference_and_no_other() {
        for controller in [true, false] {
            let metadata = owned_by(&[(UID, controller), ("other", false)]);
            let body = without_owner(&metadata, UID).unwrap();
            assert_eq!(body["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
            assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "other");
            assert_eq!(
                (&body["metadata"]["uid"], &body["metadata"]["resourceVersion"]),
                (&json!("claim-uid"), &json!("7"))
            );
        }
    }

    #[test]
    fn claim_that_is_not_owned_is_not_written() {
        assert_eq!(without_owner(&owned_by(&[("other", true)]), UID), None);
        assert_eq!(without_owner(&owned_by(&[]), UID), None);
    }

    #[test]
    fn only_a_claim_of_our_own_goes_with_its_registry() {
        let owns = |spec: &str| owns_claim(&registry(spec));
        assert!(owns("{deletionPolicy: Delete, storage: {volume: {size: 20Gi}}}"));
        assert!(!owns("{deletionPolicy: Retain, storage: {volume: {size: 20Gi}}}"));
        assert!(!owns(
            "{deletionPolicy: Delete, storage: {volume: {existingClaimName: depot-data}}}"
        ));
    }
}
