//! Decisions of the applier that need no API server; what the server makes of the writes is tested against a real one.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::*;

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

fn intent() -> Service {
    service(json!({
        "metadata": {"name": "depot", "namespace": "team-a"},
        "spec": {"ports": [{"name": "registry", "port": 443, "targetPort": "registry"}]},
    }))
}

fn applier() -> Applier {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    Applier::new(client, "portolan-operator/registry")
}

fn owned_by(uid: &str, body: &Value) -> Service {
    let mut observed = body.clone();
    observed["metadata"]["uid"] = "child".into();
    observed["metadata"]["resourceVersion"] = "1".into();
    observed["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": uid, "controller": true},
    ]);
    service(observed)
}

#[tokio::test]
async fn object_that_says_what_we_intend_is_left_alone() {
    let observed = owned_by("registry-uid", &intent::body(&intent()).unwrap());
    let outcome = applier()
        .apply(&intent(), Some(&observed), "registry-uid")
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Unchanged(observed));
}

#[tokio::test]
async fn object_without_our_reference_is_foreign_even_when_it_agrees() {
    let observed = owned_by("another-uid", &intent::body(&intent()).unwrap());
    let outcome = applier()
        .apply(&intent(), Some(&observed), "registry-uid")
        .await
        .unwrap();
    let Outcome::Foreign(foreign) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (foreign.kind.as_str(), foreign.name.as_str()),
        ("Service", "depot")
    );
    assert_eq!(foreign.controller.as_deref(), Some("Registry/depot"));
}

#[tokio::test]
async fn object_that_is_being_deleted_waits_for_the_next_pass() {
    let mut observed = owned_by("registry-uid", &intent::body(&intent()).unwrap());
    observed.spec = None;
    observed.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let outcome = applier()
        .apply(&intent(), Some(&observed), "registry-uid")
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Stale);
}

#[tokio::test]
async fn failed_write_names_verb_kind_and_object() {
    let mut observed = owned_by("registry-uid", &intent::body(&intent()).unwrap());
    observed.spec = None;
    let error = applier()
        .apply(&intent(), Some(&observed), "registry-uid")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot update Service \"depot\"");
}

#[test]
fn field_that_is_no_longer_sent_makes_a_difference() {
    let mut with_annotation = intent();
    with_annotation.metadata.annotations = Some([("team".to_owned(), "a".to_owned())].into());
    let observed = intent::body(&with_annotation).unwrap();
    assert!(!compare::holds(&intent::body(&intent()).unwrap(), &observed));
}

#[tokio::test]
async fn field_that_the_server_rewrites_is_sent_once() {
    let applier = applier();
    let body = json!({"spec": {"host": "EXAMPLE"}});
    let answer = json!({"spec": {"host": "example"}});
    assert!(!applier.agrees("child", &body, &answer));
    applier.remember("child", &body, &answer, None);
    assert!(applier.agrees("child", &body, &answer));
    assert!(!applier.agrees("child", &body, &json!({"spec": {"host": "edited"}})));
    assert!(!applier.agrees("child", &json!({"spec": {"host": "OTHER"}}), &answer));
    assert!(!applier.agrees("another", &body, &answer));
}

#[tokio::test]
async fn key_that_somebody_added_to_our_data_makes_a_difference() {
    let body = json!({"data": {"active": "YQ=="}});
    assert!(applier().agrees("child", &body, &body));
    assert!(!applier().agrees(
        "child",
        &body,
        &json!({"data": {"active": "YQ==", "old.pem": "eA=="}})
    ));
}

#[tokio::test]
async fn addition_that_the_server_keeps_is_taken_away_once_and_another_one_again() {
    let applier = applier();
    let body = json!({"kind": "Service", "spec": {"selector": {"a": "1"}}});
    let with = |key: &str| json!({"spec": {"selector": {"a": "1", key: "x"}}});
    let kept = surplus::find(&body, &with("webhook"));
    assert!(!applier.agrees("child", &body, &with("webhook")));
    applier.remember("child", &body, &with("webhook"), kept.as_ref());
    assert!(applier.agrees("child", &body, &with("webhook")));
    assert!(!applier.agrees("child", &body, &with("person")));
    // Somebody was faster than the second write: it is not what the server made of the first.
    applier.remember("child", &body, &with("person"), None);
    assert!(!applier.agrees("child", &body, &with("person")));
}

#[test]
fn hash_does_not_depend_on_the_order_of_keys() {
    let (one, two) = (json!({"a": 1, "b": [1, 2]}), json!({"b": [1, 2], "a": 1}));
    assert_eq!(intent::hash(&one), intent::hash(&two));
    assert_ne!(intent::hash(&one), intent::hash(&json!({"a": 1, "b": [2, 1]})));
    assert_eq!(intent::hash(&json!({"a": 1})), "21253e1da967975c010b9323a8eb9490");
}

#[test]
fn body_carries_neither_status_nor_what_the_server_owns() {
    let mut intent = intent();
    intent.status = Some(k8s_openapi::api::core::v1::ServiceStatus::default());
    intent.metadata.resource_version = Some("9".to_owned());
    let body = intent::body(&intent).unwrap();
    assert!(body.get("status").is_none() && body["metadata"].get("resourceVersion").is_none());
    assert_eq!(
        (body["apiVersion"].as_str(), body["kind"].as_str()),
        (Some("v1"), Some("Service"))
    );
}
