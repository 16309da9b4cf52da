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
use crate::context::Context;
use crate::registry_controller::validate::owns_claim;

/// Removes the reference where the spec wants the claim kept. Never adds one.
pub async fn release_claim(
    context: &Context,
    registry: &Registry,
    observed: Option<&PersistentVolumeClaim>,
) -> Result<Option<PersistentVolumeClaim>, ApplyError> {
    let uid = registry.metadata.uid.as_deref().unwrap_or_default();
    let Some((observed, body)) =
        observed.and_then(|claim| Some((claim, release(registry, &claim.metadata)?)))
    else {
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

/// The other references and nothing else, for exactly the object that was observed; nothing where the claim may stay owned
/// or is not.
fn release(registry: &Registry, metadata: &ObjectMeta) -> Option<Value> {
    let uid = registry.metadata.uid.as_deref()?;
    if owns_claim(registry) || !is_owned_by(metadata, uid) {
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

    const RETAIN: &str = "{deletionPolicy: Retain, storage: {volume: {size: 20Gi}}}";

    #[test]
    fn retained_claim_loses_our_reference_and_no_other() {
        for controller in [true, false] {
            let metadata = owned_by(&[(UID, controller), ("other", false)]);
            let body = release(&registry(RETAIN), &metadata).unwrap();
            assert_eq!(body["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
            assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "other");
            assert_eq!(
                (&body["metadata"]["uid"], &body["metadata"]["resourceVersion"]),
                (&json!("claim-uid"), &json!("7"))
            );
        }
    }

    #[test]
    fn claim_that_the_user_brought_is_released_whatever_the_policy() {
        let adopted = "{deletionPolicy: Delete, storage: {volume: {existingClaimName: depot-data}}}";
        let body = release(&registry(adopted), &owned_by(&[(UID, true)])).unwrap();
        assert_eq!(body["metadata"]["ownerReferences"], json!([]));
    }

    #[test]
    fn claim_that_is_free_or_goes_with_the_registry_is_not_written() {
        assert_eq!(release(&registry(RETAIN), &owned_by(&[("other", true)])), None);
        let delete = "{deletionPolicy: Delete, storage: {volume: {size: 20Gi}}}";
        assert_eq!(release(&registry(delete), &owned_by(&[(UID, true)])), None);
    }
}
