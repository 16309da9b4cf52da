//! Claims that lost their label, or have a wrong one.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use portolan_crds::conditions::reasons;
use serde_json::json;

use super::*;
use crate::labels::USED_CLAIM;
use crate::registry_controller::observed::Children;
use crate::registry_controller::test_support::{
    UID, claim, dereferenced, first_pass, minimal, object, observed, validated,
};

/// A registry that runs and has written down the claim of that name and UID.
fn that_remembers(written: &str, claim: PersistentVolumeClaim) -> Dereferenced {
    let (services, resources, _) = first_pass(&minimal());
    let mut children = observed(&services, &resources);
    let mut credentials = (**children.credentials.as_ref().unwrap()).clone();
    let annotations = credentials.annotations_mut();
    annotations.insert(USED_CLAIM.to_owned(), written.to_owned());
    children.credentials = Some(Arc::new(credentials));
    children.claim = Some(Arc::new(claim));
    dereferenced(children)
}

fn labelled(of: Option<&str>) -> PersistentVolumeClaim {
    let mut labelled = claim("depot-data", of.unwrap_or_default(), "20Gi", "20Gi", "fast");
    if of.is_none() {
        labelled.metadata.labels = None;
    }
    labelled
}

#[test]
fn claim_that_is_remembered_by_its_uid_needs_no_label() {
    for of in [None, Some(""), Some("of-a-deleted-one"), Some(UID)] {
        let seen = that_remembers("depot-data/claim-uid", labelled(of));
        let Storage::Claim(kept) = validated(&minimal(), &seen).unwrap().storage else {
            panic!("no claim")
        };
        let plan = ClaimPlan::Keep {
            uid: "claim-uid".to_owned(),
            request: Some("20Gi".to_owned()),
        };
        assert_eq!((kept.plan, of), (plan, of));
    }
}

#[test]
fn claim_that_another_registry_uses_is_not_taken_back() {
    let mut seen = that_remembers("depot-data/claim-uid", labelled(Some("other")));
    seen.claim_user = Some("neighbour".to_owned());
    let problems = validated(&minimal(), &seen).unwrap_err();
    assert_eq!(problems[0].reason, reasons::FOREIGN_OBJECT_CONFLICT);
    assert!(problems[0].message.contains("neighbour"));
}

#[test]
fn remedy_for_a_claim_of_a_registry_that_ran_is_never_one_that_is_refused() {
    let label = format!("label it {REGISTRY_UID}={UID}");
    let mut in_status = minimal();
    in_status.status = object(json!({"storage": {"claimName": "depot-data"}}));
    for of in [None, Some("of-a-deleted-one")] {
        let without_memory = dereferenced(Children {
            claim: Some(Arc::new(labelled(of))),
            ..Children::default()
        });
        let another = that_remembers("depot-data/former-uid", labelled(of));
        for seen in [without_memory, another] {
            let problems = validated(&in_status, &seen).unwrap_err();
            let said = &problems[0].message;
            assert!(
                said.contains(&label) && !said.contains("existingClaimName"),
                "{said}"
            );
        }
    }
}
