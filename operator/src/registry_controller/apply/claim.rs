//! The claim, which follows rules of its own. In: `Claim`, the claim as observed. Out: the claim as it is now. IO.
//!
//! It is created by POST with its whole spec, which can never change afterwards, and with its owner. Later patches come from
//! a field manager of their own that owns nothing but the label, the size and, under Delete, the owner reference; so a
//! Registry that takes over the claim of another one never touches the rest. It is never deleted here, and was released before.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{ApplyError, Writer};
use crate::labels::{self, FIELD_MANAGER_REGISTRY, Labels, REGISTRY_UID};
use crate::quantity;
use crate::registry_controller::observed::{is_controlled_by, requested};
use crate::registry_controller::validate::{Claim, ClaimPlan, ValidatedRegistry};

pub(super) const FIELD_MANAGER: &str = "portolan-operator/claim";

impl Writer<'_> {
    pub(super) async fn claim(&mut self, claim: &Claim) -> Result<PersistentVolumeClaim, ApplyError> {
        let observed = match (&claim.plan, self.children.claim.as_deref()) {
            (ClaimPlan::Create { size, class }, _) => {
                self.create_claim(claim, size, class.as_deref()).await?
            }
            (ClaimPlan::Keep { .. }, Some(observed)) => observed.clone(),
            (ClaimPlan::Keep { .. }, None) | (ClaimPlan::Leave, _) => return Err(stale(claim)),
        };
        let request = match &claim.plan {
            ClaimPlan::Create { size, .. } => Some(size.clone()),
            ClaimPlan::Keep { request, .. } => request.clone(),
            ClaimPlan::Leave => None,
        };
        if self.agrees(claim, &observed, request.as_deref()) {
            return Ok(observed);
        }
        let was_requested = requested(&observed).unwrap_or_default();
        let grows = request
            .as_deref()
            .filter(|request| !quantity::are_equal(request, was_requested));
        let patched = self.patch_claim(claim, &observed, request.as_deref()).await?;
        self.changes.resized_to = grows.map(str::to_owned);
        Ok(patched)
    }

    fn agrees(&self, claim: &Claim, observed: &PersistentVolumeClaim, request: Option<&str>) -> bool {
        let has_labels = claim_labels(self.registry)
            .iter()
            .all(|(key, value)| observed.labels().get(key) == Some(value));
        let same_size = match (request, requested(observed)) {
            (Some(wanted), Some(now)) => quantity::are_equal(wanted, now),
            (None, _) => true,
            (Some(_), None) => false,
        };
        let has_owner = is_controlled_by(&observed.metadata, &self.registry.uid);
        has_labels && same_size && (has_owner || !claim.owned)
    }

    async fn create_claim(
        &mut self,
        claim: &Claim,
        size: &str,
        class: Option<&str>,
    ) -> Result<PersistentVolumeClaim, ApplyError> {
        let body = new_claim(self.registry, claim, (size, class));
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER_REGISTRY.to_owned()),
            dry_run: false,
        };
        match self.claims().create(&params, &body).await {
            Ok(created) => {
                self.changes
                    .created
                    .push(format!("PersistentVolumeClaim {}", claim.name));
                Ok(created)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Err(stale(claim)),
            Err(source) => Err(failed("create", claim, source)),
        }
    }

    async fn patch_claim(
        &self,
        claim: &Claim,
        observed: &PersistentVolumeClaim,
        request: Option<&str>,
    ) -> Result<PersistentVolumeClaim, ApplyError> {
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim.name, "uid": observed.metadata.uid, "labels": claim_labels(self.registry)},
        });
        if claim.owned {
            body["metadata"]["ownerReferences"] = json!([self.registry.owner]);
        }
        if let Some(request) = request {
            body["spec"] = json!({"resources": {"requests": {"storage": request}}});
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self
            .claims()
            .patch(&claim.name, &params, &Patch::Apply(&body))
            .await
        {
            Ok(patched) => Ok(patched),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                Err(stale(claim))
            }
            Err(source) => Err(failed("update", claim, source)),
        }
    }

    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.context.client.clone(), self.registry.names.namespace())
    }
}

fn claim_labels(registry: &ValidatedRegistry) -> Labels {
    let mut all = labels::child_labels(&registry.names);
    all.insert(REGISTRY_UID.to_owned(), registry.uid.clone());
    all
}

/// With its owner from the start: a Registry may be deleted before there is a second write.
fn new_claim(
    registry: &ValidatedRegistry,
    claim: &Claim,
    (size, class): (&str, Option<&str>),
) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim.name.clone()),
            namespace: Some(registry.names.namespace().to_owned()),
            labels: Some(claim_labels(registry)),
            owner_references: claim.owned.then(|| vec![registry.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: class.map(str::to_owned),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(size.to_owned()))].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn stale(claim: &Claim) -> ApplyError {
    ApplyError::Stale {
        kind: "claim".to_owned(),
        name: claim.name.clone(),
    }
}

fn failed(verb: &'static str, claim: &Claim, source: kube::Error) -> ApplyError {
    ApplyError::Claim {
        verb,
        name: claim.name.clone(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_controller::dereference::Dereferenced;
    use crate::registry_controller::test_support::{UID, registry, validated};
    use crate::registry_controller::validate::Storage;

    #[test]
    fn new_claim_has_its_owner_from_the_first_write_exactly_where_it_goes_with_the_registry() {
        let owners = |policy: &str| {
            let spec = format!("{{deletionPolicy: {policy}, storage: {{volume: {{size: 20Gi}}}}}}");
            let registry = validated(&registry(&spec), &Dereferenced::default()).unwrap();
            let Storage::Claim(claim) = &registry.storage else {
                panic!("no claim")
            };
            let made = new_claim(&registry, claim, ("20Gi", None));
            let owners = made.metadata.owner_references.unwrap_or_default();
            owners.into_iter().map(|owner| owner.uid).collect::<Vec<_>>()
        };
        assert_eq!(owners("Delete"), [UID]);
        assert_eq!(owners("Retain"), Vec::<String>::new());
    }
}
