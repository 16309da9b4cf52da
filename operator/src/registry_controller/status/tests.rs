//! What people read in each situation; every status keeps kstatus' rules.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use portolan_crds::conditions::{
    AVAILABLE, CREDENTIALS_READY, READY, RECONCILING, STALLED, STORAGE_READY, SUSPENDED, TLS_READY, reasons,
};
use serde_json::{Value, json};

use super::*;
use crate::conditions::{find, is_true, violations};
use crate::probe::RegistryReport;
use crate::registry_controller::material;
use crate::registry_controller::observed::Children;
use crate::registry_controller::test_support::{
    CLUSTER_IP, UID, claim, dereferenced, first_pass, minimal, now, object, observed, registry, renew,
    validated,
};
use crate::registry_controller::validate::{Concern, NEWEST_REVISION};

pub(super) fn pod(extra: &Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": "depot-0", "namespace": "team-a", "uid": "pod-uid", "creationTimestamp": "2027-01-01T00:00:00Z"},
        "status": {"phase": "Running", "podIP": "198.18.0.7", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    for (key, value) in extra.as_object().unwrap() {
        pod["status"][key] = value.clone();
    }
    Arc::new(object(pod))
}

/// A pass over a registry that runs: all is well unless `change` says otherwise.
pub(in crate::registry_controller) fn pass(
    registry: &Registry,
    change: impl FnOnce(&mut Dereferenced, &mut Progress),
) -> (Dereferenced, Outcome) {
    let (services, mut resources, material) = first_pass(registry);
    let set = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1});
    let observed_set = resources.stateful_set.as_mut().unwrap();
    observed_set.metadata.generation = Some(1);
    observed_set.status = object(set);
    let mut seen = dereferenced(observed(&services, &resources));
    seen.pods = vec![pod(&json!({}))];
    let validated = validated(registry, &seen).unwrap();
    let expected = Expectation::new(&material).unwrap();
    let answer = Answer {
        pod: "depot-0".to_owned(),
        certificate_serial: Ok(expected.certificate_serial.clone()),
        report: Ok(report(&expected)),
    };
    let answers = Answers {
        pods: vec![answer],
        service: None,
    };
    let existing = material::existing(&validated, &seen.children, now());
    let mut progress = Progress::suspended(validated, existing, &seen, (Some(expected), answers));
    change(&mut seen, &mut progress);
    (seen, Outcome::Applied(Box::new(progress)))
}

fn report(expected: &Expectation) -> RegistryReport {
    object(json!({
        "version": "0.1.0",
        "readOnly": false,
        "usersSha256": expected.users_sha256,
        "certificateSerial": expected.certificate_serial,
        "tokenKeys": [expected.active_token_key],
        "activeTokenKey": expected.active_token_key,
    }))
}

pub(super) fn status_of(
    registry: &Registry,
    seen: &Dereferenced,
    outcome: &Outcome,
    at: Timestamp,
) -> RegistryStatus {
    let status = status(registry, Some(seen), outcome, at);
    assert_eq!(
        violations(&status.conditions, status.observed_generation.unwrap(), 3),
        Vec::<String>::new()
    );
    status
}

pub(super) fn reason_and_message(status: &RegistryStatus, kind: &str) -> (String, String) {
    let condition =
        find(&status.conditions, kind).unwrap_or_else(|| panic!("no {kind}: {:?}", status.conditions));
    (condition.reason.clone(), condition.message.clone())
}

#[test]
fn registry_that_serves_everything_is_ready_and_says_how_to_use_it() {
    let registry = minimal();
    let (seen, outcome) = pass(&registry, |_, _| {});
    let status = status_of(&registry, &seen, &outcome, now());
    let all = [READY, AVAILABLE, STORAGE_READY, TLS_READY, CREDENTIALS_READY];
    assert!(all.iter().all(|kind| is_true(&status.conditions, kind)));
    assert_eq!(status.conditions.len(), 5);
    assert_eq!(status.endpoint.as_deref(), Some("depot.team-a.svc"));
    assert_eq!(status.template_revision, Some(NEWEST_REVISION));
    assert_eq!(status.storage.unwrap().capacity.as_deref(), Some("20Gi"));
    assert_eq!(status.version.unwrap().running.as_deref(), Some("0.1.0"));
    assert!(status.tls.unwrap().served_serial.is_some());
    let message = &find(&status.conditions, READY).unwrap().message;
    assert!(
        message.contains("depot.team-a.svc")
            && message.contains("depot-push")
            && message.contains("depot-ca")
    );
}

#[test]
fn status_of_a_settled_registry_does_not_change() {
    let mut registry = minimal();
    let (seen, outcome) = pass(&registry, |_, _| {});
    let first = status_of(&registry, &seen, &outcome, now());
    registry.status = Some(first.clone());
    let later = status_of(&registry, &seen, &outcome, now() + SignedDuration::from_hours(5));
    assert_eq!(later, first);
}

#[test]
fn first_visit_says_what_is_waited_for() {
    let registry = minimal();
    let (seen, outcome) = pass(&registry, |seen, progress| {
        seen.pods.clear();
        progress.answers.clear();
        progress.stateful_set.as_mut().unwrap().status = None;
        let mut pending = claim("depot-data", UID, "20Gi", "20Gi", "fast");
        pending.status = None;
        progress.claim = Some(pending);
    });
    let status = status_of(&registry, &seen, &outcome, now());
    let (reason, message) = reason_and_message(&status, RECONCILING);
    assert_eq!(reason, reasons::PROGRESSING);
    assert!(
        message.contains("StatefulSet depot") && message.contains("claim depot-data is not bound"),
        "{message}"
    );
    assert_eq!(reason_and_message(&status, AVAILABLE).0, reasons::NO_READY_PODS);
    assert_eq!(status.storage.unwrap().capacity, None);
}

#[test]
fn absent_is_reconciling_and_unusable_is_stalled() {
    let registry = minimal();
    let absent = Problem::absent(Concern::Tls, "Secret cert does not exist");
    let unusable = Problem::unusable(
        Concern::Children,
        reasons::FOREIGN_OBJECT_CONFLICT,
        "Service depot exists",
    );
    let status = status_of(
        &registry,
        &Dereferenced::default(),
        &Outcome::Problems(vec![absent.clone()]),
        now(),
    );
    assert_eq!(
        reason_and_message(&status, RECONCILING).0,
        reasons::DEPENDENCY_NOT_READY
    );
    assert_eq!(
        reason_and_message(&status, TLS_READY).1,
        "Secret cert does not exist"
    );
    let both = Outcome::Problems(vec![absent, unusable]);
    let status = status_of(&registry, &Dereferenced::default(), &both, now());
    let (reason, message) = reason_and_message(&status, STALLED);
    assert_eq!(reason, reasons::FOREIGN_OBJECT_CONFLICT);
    assert_eq!(message, "Service depot exists; Secret cert does not exist");
}

#[test]
fn problem_with_the_spec_does_not_hide_that_pods_serve() {
    let mut registry = minimal();
    let (seen, outcome) = pass(&registry, |_, _| {});
    registry.status = Some(status_of(&registry, &seen, &outcome, now()));
    let problem = Problem::unusable(Concern::Tls, reasons::CERTIFICATE_UNUSABLE, "garbage");
    let status = status_of(&registry, &seen, &Outcome::Problems(vec![problem]), now());
    assert!(is_true(&status.conditions, STALLED) && is_true(&status.conditions, AVAILABLE));
    assert!(is_true(&status.conditions, CREDENTIALS_READY) && !is_true(&status.conditions, TLS_READY));
    assert_eq!(status.endpoint.as_deref(), Some("depot.team-a.svc"));
}

#[test]
fn claim_that_is_gone_stays_in_the_status() {
    let mut registry = minimal();
    let (seen, outcome) = pass(&registry, |_, _| {});
    registry.status = Some(status_of(&registry, &seen, &outcome, now()));
    let lost = Outcome::Problems(vec![Problem::unusable(
        Concern::Storage,
        reasons::CLAIM_LOST,
        "gone",
    )]);
    let gone = Dereferenced {
        pods: seen.pods.clone(),
        ..dereferenced(Children {
            claim: None,
            ..seen.children
        })
    };
    let status = status_of(&registry, &gone, &lost, now());
    assert!(is_true(&status.conditions, TLS_READY));
    let storage = status.storage.unwrap();
    assert_eq!(
        (storage.claim_name.as_deref(), storage.capacity.as_deref()),
        (Some("depot-data"), Some("20Gi"))
    );
}

#[test]
fn registry_without_ready_pods_serves_neither_certificate_nor_credentials() {
    let mut registry = minimal();
    let (mut seen, outcome) = pass(&registry, |_, _| {});
    registry.status = Some(status_of(&registry, &seen, &outcome, now()));
    let lost = Outcome::Problems(vec![Problem::unusable(
        Concern::Storage,
        reasons::CLAIM_LOST,
        "gone",
    )]);
    seen.pods.clear();
    let status = status_of(&registry, &seen, &lost, now());
    for kind in [AVAILABLE, TLS_READY, CREDENTIALS_READY] {
        assert!(!is_true(&status.conditions, kind), "{kind}");
    }
}

#[test]
fn failed_step_is_named() {
    let registry = minimal();
    let failure = Failure {
        step: "apply",
        message: "cannot create".to_owned(),
        stalled_reason: None,
        is_stale: false,
    };
    let status = status_of(
        &registry,
        &Dereferenced::default(),
        &Outcome::Failed(failure.clone()),
        now(),
    );
    let (reason, message) = reason_and_message(&status, READY);
    assert_eq!(reason, reasons::PROGRESSING_WITH_RETRY);
    assert_eq!(message, "apply failed and is tried again: cannot create");
    let denied = Failure {
        stalled_reason: Some(reasons::PERMISSION_DENIED),
        ..failure
    };
    let status = status_of(
        &registry,
        &Dereferenced::default(),
        &Outcome::Failed(denied),
        now(),
    );
    assert_eq!(reason_and_message(&status, STALLED).0, reasons::PERMISSION_DENIED);
}

#[test]
fn pod_that_serves_an_older_certificate_keeps_tls_from_being_ready() {
    let registry = minimal();
    let (seen, outcome) = pass(&registry, |_, progress| {
        progress.answers[0].certificate_serial = Ok("0ld".to_owned());
    });
    let status = status_of(&registry, &seen, &outcome, now());
    assert_eq!(reason_and_message(&status, TLS_READY).0, reasons::NOT_YET_LOADED);
    assert!(is_true(&status.conditions, AVAILABLE) && is_true(&status.conditions, RECONCILING));
    assert_eq!(status.tls.unwrap().served_serial, None);
}

#[test]
fn pod_that_does_not_know_the_credentials_keeps_them_from_being_ready() {
    let registry = minimal();
    let (seen, outcome) = pass(&registry, |_, progress| {
        progress.answers[0].report.as_mut().unwrap().users_sha256 = Some("old".to_owned());
    });
    let status = status_of(&registry, &seen, &outcome, now());
    assert_eq!(
        reason_and_message(&status, CREDENTIALS_READY).0,
        reasons::NOT_YET_ACCEPTED
    );
    assert!(!is_true(&status.conditions, READY) && is_true(&status.conditions, TLS_READY));
}

#[test]
fn volume_that_grows_is_named() {
    let registry = registry("{storage: {volume: {size: 30Gi}}}");
    let (seen, outcome) = pass(&registry, |_, progress| {
        progress.claim = Some(claim("depot-data", UID, "30Gi", "20Gi", "fast"));
    });
    let status = status_of(&registry, &seen, &outcome, now());
    assert_eq!(
        reason_and_message(&status, RECONCILING).0,
        reasons::VOLUME_RESIZING
    );
    assert_eq!(
        reason_and_message(&status, STORAGE_READY).1,
        "claim depot-data grows from 20Gi to 30Gi"
    );
}

#[test]
fn suspended_registry_that_serves_is_ready_and_suspended() {
    let mut registry = minimal();
    registry.spec.suspend = true;
    let (seen, outcome) = pass(&registry, |_, _| {});
    let Outcome::Applied(progress) = outcome else {
        panic!("not applied")
    };
    let status = status_of(&registry, &seen, &Outcome::Suspended(progress), now());
    assert!(is_true(&status.conditions, SUSPENDED));
    assert_eq!(reason_and_message(&status, READY).0, reasons::SUSPENDED);
    assert!(is_true(&status.conditions, READY));
}

#[test]
fn change_that_waits_for_the_end_of_suspension_is_not_ready() {
    let mut registry = minimal();
    registry.spec.suspend = true;
    let (seen, outcome) = pass(&registry, |_, progress| {
        progress.registry.template.inputs = "changed".to_owned();
    });
    let Outcome::Applied(progress) = outcome else {
        panic!("not applied")
    };
    let status = status_of(&registry, &seen, &Outcome::Suspended(progress), now());
    assert!(!is_true(&status.conditions, READY) && is_true(&status.conditions, SUSPENDED));
    assert_eq!(find(&status.conditions, RECONCILING), None);
}

#[test]
fn endpoint_is_the_first_hostname_with_the_port_where_it_is_not_443() {
    let spec = "{storage: {volume: {size: 20Gi}}, expose: {service: {port: 5000}, hostnames: [registry.example.com]}}";
    let registry = registry(spec);
    let (seen, outcome) = pass(&registry, |_, _| {});
    let status = status_of(&registry, &seen, &outcome, now());
    assert_eq!(status.endpoint.as_deref(), Some("registry.example.com:5000"));
    let endpoints = status.endpoints.unwrap();
    assert_eq!(endpoints.internal.as_deref(), Some("depot.team-a.svc:5000"));
    assert_eq!(endpoints.external.as_deref(), Some("registry.example.com:5000"));
}

#[test]
fn version_of_an_image_is_its_tag_or_digest() {
    assert_eq!(tag("localhost:5000/portolan-registry:0.1.0"), "0.1.0");
    assert_eq!(tag("localhost:5000/portolan-registry"), "latest");
    assert_eq!(tag("portolan-registry@sha256:abc"), "sha256:abc");
}

#[test]
fn renewed_material_is_what_pods_are_asked_for() {
    let registry = minimal();
    let (services, resources, first) = first_pass(&registry);
    let children = observed(&services, &resources);
    let validated = validated(&registry, &dereferenced(children.clone())).unwrap();
    let late = renew(
        &validated,
        &children,
        CLUSTER_IP,
        now() + SignedDuration::from_hours(1500),
    );
    assert_ne!(
        Expectation::new(&late).unwrap().certificate_serial,
        Expectation::new(&first).unwrap().certificate_serial
    );
    assert_eq!(
        Expectation::new(&late).unwrap().users_sha256,
        Expectation::new(&first).unwrap().users_sha256
    );
}

#[test]
fn problem_stays_the_verdict_whatever_could_be_done_nevertheless() {
    let registry = minimal();
    let reason = reasons::CLAIM_LOST;
    let problem = Problem::unusable(Concern::Storage, reason, "it cannot grow");
    let (seen, outcome) = pass(&registry, |_, progress| progress.problems = vec![problem.clone()]);
    let status = status_of(&registry, &seen, &outcome, now());
    let said = (reason.to_owned(), "it cannot grow".to_owned());
    assert_eq!(reason_and_message(&status, STALLED), said);
    assert!(!is_true(&status.conditions, READY) && is_true(&status.conditions, TLS_READY));
    let mut failure = Failure {
        step: "apply",
        message: "no answer".to_owned(),
        stalled_reason: None,
        is_stale: true,
    };
    for ending in ["", "; apply failed and is tried again: no answer"] {
        let outcome = Outcome::Hindered(vec![problem.clone()], failure.clone());
        let status = status_of(&registry, &seen, &outcome, now());
        let said = (reason.to_owned(), format!("it cannot grow{ending}"));
        assert_eq!(reason_and_message(&status, STALLED), said);
        failure.is_stale = false;
    }
}
