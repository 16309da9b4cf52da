//! What a suspended Registry shows, and that it comes to rest whatever waits for the end of the suspension.

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use portolan_crds::conditions::{READY, TLS_READY};
use portolan_crds::v1alpha1::{Registry, RegistryStatus};
use serde_json::json;

use super::*;
use crate::conditions::{find, is_true};
use crate::registry_controller::material::DUE;
use crate::registry_controller::probing::{Answer, Answers, Expectation};
use crate::registry_controller::schedule::{Waits, next_visit};
use crate::registry_controller::status::{Outcome, Progress, status};
use crate::registry_controller::test_support::{
    CLUSTER_IP, dereferenced, first_pass, minimal, now, object, observed, registry, renew, validated,
};

const RENAMED: &str =
    "{suspend: true, storage: {volume: {size: 20Gi}}, expose: {hostnames: [hub.example.com]}}";

fn settled() -> Children {
    let (services, resources, _) = first_pass(&minimal());
    observed(&services, &resources)
}

fn suspended() -> Registry {
    registry("{suspend: true, storage: {volume: {size: 20Gi}}}")
}

fn at(registry: &Registry, children: &Children, hours: i64) -> Existing {
    let validated = validated(registry, &dereferenced(children.clone())).unwrap();
    existing(&validated, children, now() + SignedDuration::from_hours(hours))
}

/// Status and next visit after a pass in which the pod showed everything that exists.
fn pass(registry: &Registry, children: &Children, at: Timestamp) -> (RegistryStatus, Duration) {
    let mut seen = dereferenced(children.clone());
    let pod: Pod = object(json!({"metadata": {"name": "depot-0", "uid": "pod-uid"},
        "status": {"podIP": "198.18.0.7", "conditions": [{"type": "Ready", "status": "True"}]}}));
    seen.pods = vec![Arc::new(pod)];
    let validated = validated(registry, &seen).unwrap();
    let existing = existing(&validated, children, at);
    let expected = Expectation::of_existing(&existing);
    let answer = |expected: &Expectation| Answer {
        pod: "depot-0".to_owned(),
        certificate_serial: Ok(expected.certificate_serial.clone()),
        report: Ok(object(json!({
            "version": "0.1.0", "readOnly": false, "usersSha256": expected.users_sha256,
            "certificateSerial": expected.certificate_serial, "tokenKeys": [expected.active_token_key],
            "activeTokenKey": expected.active_token_key,
        }))),
    };
    let answers = Answers {
        pods: expected.iter().map(answer).collect(),
        service: None,
    };
    let progress = Progress::suspended(validated, existing, &seen, (expected, answers));
    let outcome = Outcome::Suspended(Box::new(progress));
    let next = next_visit(&outcome, Waits::default(), at).unwrap();
    (status(registry, Some(&seen), &outcome, at), next)
}

/// What two passes, one second apart, say; they must not differ, or each would be written and cause the next one.
fn rest(registry: &Registry, children: &Children, hours: i64) -> RegistryStatus {
    let instant = now() + SignedDuration::from_hours(hours);
    let (first, next) = pass(registry, children, instant);
    assert!(next >= Duration::from_mins(1), "{next:?}");
    let mut known = registry.clone();
    known.status = Some(first.clone());
    let (second, _) = pass(&known, children, instant + SignedDuration::from_secs(1));
    assert_eq!(second, first);
    first
}

fn message(status: &RegistryStatus, kind: &str) -> String {
    find(&status.conditions, kind).unwrap().message.clone()
}

#[test]
fn what_exists_is_what_pods_are_asked_for_however_due_it_is() {
    let children = settled();
    let validated = validated(&suspended(), &dereferenced(children.clone())).unwrap();
    let made = Expectation::new(&renew(&validated, &children, CLUSTER_IP, now()));
    for hours in [0, 1_500, 3_000] {
        let existing = at(&suspended(), &children, hours);
        assert_eq!(Expectation::of_existing(&existing), made, "after {hours} h");
        assert_eq!(existing.missing, Vec::<String>::new());
    }
    assert_eq!(at(&suspended(), &children, 1_500).objection, Some(DUE));
    assert_eq!(at(&suspended(), &children, 1_400).objection, None);
}

#[test]
fn due_renewal_waits_and_the_registry_stays_ready() {
    let status = rest(&suspended(), &settled(), 1_500);
    assert!(is_true(&status.conditions, READY) && is_true(&status.conditions, TLS_READY));
    let said = message(&status, TLS_READY);
    assert!(
        said.ends_with("its renewal is due and waits until spec.suspend is false"),
        "{said}"
    );
    let due = now() + SignedDuration::from_hours(1_440);
    assert_eq!(status.tls.unwrap().renewal_time.unwrap().0, due);
}

#[test]
fn certificate_that_ends_under_suspension_is_told() {
    let status = rest(&suspended(), &settled(), 2_161);
    assert!(!is_true(&status.conditions, READY) && !is_true(&status.conditions, TLS_READY));
    let said = message(&status, TLS_READY);
    assert!(
        said.contains("ended at") && said.contains("spec.suspend"),
        "{said}"
    );
}

#[test]
fn names_that_changed_wait_and_are_told() {
    let status = rest(&registry(RENAMED), &settled(), 1);
    assert!(!is_true(&status.conditions, TLS_READY));
    let said = message(&status, TLS_READY);
    assert!(
        said.contains("names or addresses") && said.contains("spec.suspend"),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_not_made_but_named() {
    let without = |change: &dyn Fn(&mut Children)| {
        let mut children = settled();
        change(&mut children);
        children
    };
    let mut damaged = (**settled().token_keys.as_ref().unwrap()).clone();
    let garbage = ByteString(b"garbage".to_vec());
    damaged
        .data
        .as_mut()
        .unwrap()
        .insert("active".to_owned(), garbage);
    let cases = [
        ("Service depot", without(&|all| all.service = None)),
        ("Service depot-pods", without(&|all| all.headless_service = None)),
        ("ServiceAccount depot", without(&|all| all.service_account = None)),
        ("ConfigMap depot-ca", without(&|all| all.ca_config_map = None)),
        ("Secret depot-users", without(&|all| all.users = None)),
        ("Secret depot-push", without(&|all| all.push = None)),
        ("Secret depot-pull", without(&|all| all.pull = None)),
        ("Secret depot-tls", without(&|all| all.tls = None)),
        ("Secret depot-ca-key", without(&|all| all.ca_key = None)),
        ("Secret depot-admin", without(&|all| all.admin = None)),
        ("Secret depot-credentials", without(&|all| all.credentials = None)),
        ("Secret depot-token-keys", without(&|all| all.token_keys = None)),
        (
            "Secret depot-token-keys",
            without(&|all| all.token_keys = Some(Arc::new(damaged.clone()))),
        ),
    ];
    for (name, children) in cases {
        assert_eq!(at(&suspended(), &children, 1).missing, [name]);
        let status = rest(&suspended(), &children, 1);
        assert!(!is_true(&status.conditions, READY), "{name}");
        let said = message(&status, READY);
        assert!(
            said.ends_with(&format!("until spec.suspend is false: {name}")),
            "{said}"
        );
    }
}

#[test]
fn registry_that_was_created_suspended_has_no_certificate() {
    let status = rest(&suspended(), &Children::default(), 1);
    assert_eq!(status.tls, None);
    assert_eq!(status.endpoints.unwrap().ca_config_map_name, None);
}
