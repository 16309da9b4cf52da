//! What is refused, what is waited for, and what a person reads.

use portolan_crds::conditions::reasons;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::registry_controller::observed::{Children, Reference};
use crate::registry_controller::test_support::{
    UID, claim, dereferenced, first_pass, minimal, now, object, observed, registry, validated,
};

fn only_problem(registry: &Registry, dereferenced: &Dereferenced) -> Problem {
    let mut problems = validated(registry, dereferenced).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn with_claim(claim: k8s_openapi::api::core::v1::PersistentVolumeClaim) -> Dereferenced {
    dereferenced(Children {
        claim: Some(claim.into()),
        ..Children::default()
    })
}

fn claim_of(validated: &ValidatedRegistry) -> &Claim {
    match &validated.storage {
        Storage::Claim(claim) => claim,
        Storage::Ephemeral { .. } => panic!("no claim"),
    }
}

#[test]
fn new_registry_gets_a_claim_of_its_own() {
    let validated = validated(&minimal(), &Dereferenced::default()).unwrap();
    let claim = claim_of(&validated);
    assert_eq!(claim.name, "depot-data");
    assert_eq!(
        claim.plan,
        ClaimPlan::Create {
            size: "20Gi".to_owned(),
            class: None
        }
    );
    assert!(!claim.owned && claim.memory.is_none());
}

#[test]
fn claim_is_owned_under_delete_unless_the_user_brought_it() {
    let owned = |spec: &str| {
        let dereferenced = with_claim(claim("any", UID, "20Gi", "20Gi", "fast"));
        claim_of(&validated(&registry(spec), &dereferenced).unwrap()).owned
    };
    assert!(owned("{deletionPolicy: Delete, storage: {volume: {size: 20Gi}}}"));
    assert!(!owned(
        "{deletionPolicy: Retain, storage: {volume: {size: 20Gi}}}"
    ));
    assert!(!owned(
        "{deletionPolicy: Delete, storage: {volume: {existingClaimName: old}}}"
    ));
}

#[test]
fn claim_of_a_deleted_registry_is_not_taken_silently() {
    let problem = only_problem(
        &minimal(),
        &with_claim(claim("depot-data", "other", "20Gi", "20Gi", "fast")),
    );
    assert_eq!(
        (problem.gravity, problem.reason),
        (Gravity::Unusable, reasons::CLAIM_OF_ANOTHER_REGISTRY)
    );
    assert_eq!(
        problem.message,
        "claim depot-data holds the images of a deleted Registry: write existingClaimName: depot-data to use it, or \
         delete the claim"
    );
}

#[test]
fn claim_of_a_deleted_registry_is_adopted_when_it_is_named() {
    let spec = "{storage: {volume: {existingClaimName: depot-data}}}";
    let dereferenced = with_claim(claim("depot-data", "other", "20Gi", "20Gi", "fast"));
    let validated = validated(&registry(spec), &dereferenced).unwrap();
    let plan = ClaimPlan::Keep {
        uid: "claim-uid".to_owned(),
        request: Some("20Gi".to_owned()),
    };
    assert_eq!(claim_of(&validated).plan, plan);
}

#[test]
fn claim_of_a_living_registry_is_never_adopted() {
    let spec = "{storage: {volume: {existingClaimName: depot-data}}}";
    let mut dereferenced = with_claim(claim("depot-data", "other", "20Gi", "20Gi", "fast"));
    dereferenced.claim_user = Some("neighbour".to_owned());
    let problem = only_problem(&registry(spec), &dereferenced);
    assert_eq!(problem.reason, reasons::FOREIGN_OBJECT_CONFLICT);
    assert!(problem.message.contains("neighbour"));
}

#[test]
fn claim_that_nobody_marked_is_foreign() {
    let mut unmarked = claim("depot-data", "", "20Gi", "20Gi", "fast");
    unmarked.metadata.labels = None;
    assert_eq!(
        only_problem(&minimal(), &with_claim(unmarked)).reason,
        reasons::FOREIGN_OBJECT_CONFLICT
    );
}

#[test]
fn named_claim_that_does_not_exist_is_waited_for() {
    let spec = "{storage: {volume: {existingClaimName: old}}}";
    let problem = only_problem(&registry(spec), &Dereferenced::default());
    assert_eq!(
        (problem.gravity, problem.reason),
        (Gravity::Absent, reasons::DEPENDENCY_NOT_READY)
    );
}

/// The children after a pass that saw the claim, without the claim.
fn children_that_remember() -> Children {
    let registry = minimal();
    let (services, resources, _) = first_pass(&registry);
    let seen = observed(&services, &resources);
    let again = validated(&registry, &dereferenced(seen.clone())).unwrap();
    let material = crate::registry_controller::test_support::renew(&again, &seen, "198.19.0.9", now());
    let resources = crate::registry_controller::build::build(&again, &material);
    Children {
        claim: None,
        ..observed(&services, &resources)
    }
}

#[test]
fn claim_that_vanished_is_not_replaced_by_an_empty_one() {
    let problem = only_problem(&minimal(), &dereferenced(children_that_remember()));
    assert_eq!(
        (problem.gravity, problem.reason),
        (Gravity::Unusable, reasons::CLAIM_LOST)
    );
    assert!(problem.message.contains("depot-data") && problem.message.contains(UID));
}

#[test]
fn claim_is_remembered_before_it_is_bound() {
    let mut pending = claim("depot-data", UID, "20Gi", "20Gi", "fast");
    pending.status = None;
    let validated = validated(&minimal(), &with_claim(pending)).unwrap();
    assert_eq!(
        claim_of(&validated).memory.as_deref(),
        Some("depot-data/claim-uid")
    );
}

#[test]
fn another_claim_of_the_name_is_taken_only_when_a_person_has_labelled_it() {
    let named = registry("{storage: {volume: {existingClaimName: depot-data}}}");
    let other = |of: &str| {
        let mut other = claim("depot-data", of, "20Gi", "20Gi", "fast");
        other.metadata.uid = Some("other-uid".to_owned());
        let children = Children {
            claim: Some(other.into()),
            ..children_that_remember()
        };
        dereferenced(children)
    };
    for stranger in ["", "of-a-deleted-one"] {
        let problem = only_problem(&named, &other(stranger));
        assert_eq!(
            (problem.gravity, problem.reason),
            (Gravity::Unusable, reasons::CLAIM_LOST)
        );
        assert!(problem.message.contains("depot-data of UID claim-uid") && problem.message.contains(UID));
    }
    let restored = validated(&named, &other(UID)).unwrap();
    assert_eq!(
        claim_of(&restored).memory.as_deref(),
        Some("depot-data/other-uid")
    );
}

#[test]
fn memory_of_a_deleted_namesake_is_not_ours() {
    let namesake = Dereferenced {
        children: children_that_remember(),
        ..Dereferenced::default()
    };
    let mut next = minimal();
    next.metadata.uid = Some("next".to_owned());
    let problems = validated(&next, &namesake).unwrap_err();
    assert!(
        problems.iter().all(|problem| problem.gravity == Gravity::Absent),
        "{problems:?}"
    );
}

#[test]
fn lost_claim_is_noticed_whichever_witness_is_lost_with_it() {
    let without_set = Children {
        stateful_set: None,
        ..children_that_remember()
    };
    let without_secret = Children {
        credentials: None,
        ..children_that_remember()
    };
    for children in [without_set, without_secret] {
        assert_eq!(
            only_problem(&minimal(), &dereferenced(children)).reason,
            reasons::CLAIM_LOST
        );
    }
    let mut registry = minimal();
    registry.status = object(json!({"storage": {"claimName": "depot-data"}}));
    assert_eq!(
        only_problem(&registry, &Dereferenced::default()).reason,
        reasons::CLAIM_LOST
    );
}

#[test]
fn claim_that_never_was_may_be_made_again() {
    let (services, resources, _) = first_pass(&minimal());
    let children = Children {
        claim: None,
        ..observed(&services, &resources)
    };
    let validated = validated(&minimal(), &dereferenced(children)).unwrap();
    assert!(matches!(claim_of(&validated).plan, ClaimPlan::Create { .. }));
}

#[test]
fn claim_that_is_being_deleted_is_a_matter_for_a_person() {
    let mut going = claim("depot-data", UID, "20Gi", "20Gi", "fast");
    going.metadata.deletion_timestamp = object(json!("2027-01-01T00:00:00Z"));
    assert_eq!(
        only_problem(&minimal(), &with_claim(going)).reason,
        reasons::CLAIM_LOST
    );
}

#[test]
fn growth_needs_a_class_that_allows_it() {
    let spec = registry("{storage: {volume: {size: 30Gi}}}");
    let grow = |class: serde_json::Value| {
        let mut dereferenced = with_claim(claim("depot-data", UID, "20Gi", "20Gi", "fixed"));
        dereferenced.storage_class = Reference::Found(object(class));
        validated(&spec, &dereferenced)
    };
    let grown = grow(json!({"provisioner": "p", "allowVolumeExpansion": true})).unwrap();
    let plan = ClaimPlan::Keep {
        uid: "claim-uid".to_owned(),
        request: Some("30Gi".to_owned()),
    };
    assert_eq!(claim_of(&grown).plan, plan);
    let problems = grow(json!({"provisioner": "p"})).unwrap_err();
    assert_eq!(problems[0].reason, reasons::STORAGE_CLASS_NOT_EXPANDABLE);
    assert!(problems[0].message.contains("StorageClass fixed") && problems[0].message.contains("size: 20Gi"));
}

#[test]
fn refused_growth_can_be_taken_back() {
    let taken_back = with_claim(claim("depot-data", UID, "20Gi", "20Gi", "fixed"));
    assert!(validated(&minimal(), &taken_back).is_ok());
    // Kubernetes has accepted a request that the class then could not fulfil: it stays, the size is what there is.
    let half_way = with_claim(claim("depot-data", UID, "30Gi", "20Gi", "fixed"));
    let validated = validated(&minimal(), &half_way).unwrap();
    let plan = ClaimPlan::Keep {
        uid: "claim-uid".to_owned(),
        request: Some("30Gi".to_owned()),
    };
    assert_eq!(claim_of(&validated).plan, plan);
}

#[test]
fn missing_storage_class_is_waited_for() {
    let spec = registry("{storage: {volume: {size: 20Gi, storageClassName: fast}}}");
    let dereferenced = Dereferenced {
        storage_class: Reference::Absent,
        ..Dereferenced::default()
    };
    let problem = only_problem(&spec, &dereferenced);
    assert_eq!(problem.gravity, Gravity::Absent);
    assert!(problem.message.starts_with("StorageClass fast does not exist"));
}

#[test]
fn every_foreign_child_is_named() {
    let (services, resources, _) = first_pass(&minimal());
    let mut children = Children {
        claim: None,
        ..observed(&services, &resources)
    };
    let service = json!({"metadata": {"name": "depot", "namespace": "team-a"}});
    children.service = Some(std::sync::Arc::new(object(service)));
    let push = json!({"metadata": {"name": "depot-push", "namespace": "team-a"}});
    children.push = Some(std::sync::Arc::new(object(push)));
    let problems = validated(&minimal(), &dereferenced(children)).unwrap_err();
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(problems.len(), 2, "{messages:?}");
    assert!(
        messages[0].starts_with("Service depot exists")
            && messages[1].starts_with("Secret depot-push exists")
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.reason == reasons::FOREIGN_OBJECT_CONFLICT)
    );
}

#[test]
fn children_of_a_deleted_namesake_are_waited_for() {
    let service = object(
        json!({"metadata": {"name": "depot", "namespace": "team-a", "ownerReferences": [
            {"apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": "old", "controller": true},
        ]}}),
    );
    let children = Children {
        service: Some(std::sync::Arc::new(service)),
        ..Children::default()
    };
    assert_eq!(
        only_problem(&minimal(), &dereferenced(children)).gravity,
        Gravity::Absent
    );
}

#[test]
fn newer_operator_keeps_image_and_revision_until_the_spec_changes() {
    let (services, resources, _) = first_pass(&minimal());
    let seen = dereferenced(observed(&services, &resources));
    let newer = Settings {
        registry_image: "localhost/portolan-registry:9.9.9".to_owned(),
        ..crate::registry_controller::test_support::settings()
    };
    let kept = validate(&minimal(), &seen, &newer, now()).registry.unwrap();
    assert_eq!(kept.template.image, "localhost/portolan-registry:0.1.0");
    let mut changed = minimal();
    changed.spec.pod.priority_class_name = Some("important".to_owned());
    let moved = validate(&changed, &seen, &newer, now()).registry.unwrap();
    assert_eq!(moved.template.image, "localhost/portolan-registry:9.9.9");
}

#[test]
fn image_that_no_node_can_have_is_not_kept() {
    let (services, resources, _) = first_pass(&minimal());
    let mut seen = dereferenced(observed(&services, &resources));
    let pod = json!({"status": {"containerStatuses": [{"name": "registry", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}});
    seen.pods = vec![std::sync::Arc::new(object(pod))];
    let newer = Settings {
        registry_image: "better".to_owned(),
        ..crate::registry_controller::test_support::settings()
    };
    assert_eq!(
        validate(&minimal(), &seen, &newer, now())
            .registry
            .unwrap()
            .template
            .image,
        "better"
    );
}

#[test]
fn what_users_choose_about_the_template_hashes_as_ever() {
    // Another value here means that upgrading the operator moves every registry to a new template.
    let validated = validated(&minimal(), &Dereferenced::default()).unwrap();
    insta::assert_snapshot!(validated.template.inputs, @"c20bc35a2d8c4ea1");
}

proptest! {
    #[test]
    fn no_spec_makes_validate_panic(
        size in ".{0,12}", class in ".{0,8}", existing in proptest::option::of(".{0,8}"),
        hostname in ".{0,20}", duration in ".{0,8}", renew in ".{0,8}", replicas in any::<i32>(), port in any::<i32>(),
        name in ".{0,50}",
    ) {
        let mut registry = minimal();
        registry.metadata.name = Some(name);
        registry.spec.replicas = replicas;
        let volume = registry.spec.storage.volume.as_mut().unwrap();
        volume.size = Some(size);
        volume.storage_class_name = Some(class);
        volume.existing_claim_name = existing;
        registry.spec.expose.hostnames = vec![hostname];
        registry.spec.expose.service.port = Some(port);
        registry.spec.tls = object(json!({"managed": {"duration": duration, "renewBefore": renew}}));
        let _ = validated(&registry, &Dereferenced::default());
    }
}
