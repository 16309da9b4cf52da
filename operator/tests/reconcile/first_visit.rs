//! What a new Registry has after the operator saw it for the first time.

use serde_json::json;

use crate::scene::{Scene, condition};

#[tokio::test]
async fn new_registry_has_every_condition_and_is_reconciling() {
    let scene = Scene::new("first-visit").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    let status = scene
        .status("depot", "it reconciles", |status| {
            condition(status, "Reconciling").0 == "True"
        })
        .await;
    for kind in [
        "Ready",
        "Available",
        "StorageReady",
        "TLSReady",
        "CredentialsReady",
    ] {
        assert_ne!(condition(&status, kind).0, "", "{kind} is missing");
    }
    assert_eq!(condition(&status, "Ready").0, "False");
    assert_eq!(condition(&status, "Stalled").0, "");
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| !condition.reason.is_empty())
    );
}

#[tokio::test]
async fn every_child_is_made_controlled_and_labelled() {
    let scene = Scene::new("children").await;
    let registry = scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    for child in scene.all_children("depot").await {
        let object = scene.find(&child).await.unwrap();
        let owners = object.metadata.owner_references.clone().unwrap_or_default();
        let is_controlled = owners.iter().any(|owner| {
            owner.controller == Some(true) && Some(&owner.uid) == registry.metadata.uid.as_ref()
        });
        assert!(is_controlled, "{child:?}");
        let labels = object.metadata.labels.clone().unwrap_or_default();
        assert_eq!(
            labels.get("portolan.dev/registry").map(String::as_str),
            Some("depot"),
            "{child:?}"
        );
        assert!(!labels.contains_key("app.kubernetes.io/instance"), "{child:?}");
    }
}

#[tokio::test]
async fn status_tells_where_to_push_and_where_the_credentials_are() {
    let scene = Scene::new("endpoint").await;
    let spec = json!({
        "storage": {"ephemeral": {"sizeLimit": "1Gi"}},
        "expose": {"hostnames": ["registry.example.com"], "service": {"port": 8443}},
    });
    scene.registry("depot", spec).await;
    scene.all_children("depot").await;
    let status = scene
        .status("depot", "it has an endpoint", |status| status.endpoint.is_some())
        .await;
    assert_eq!(status.endpoint.as_deref(), Some("registry.example.com:8443"));
    let credentials = status.credentials.unwrap();
    assert_eq!(credentials.push_secret_name.as_deref(), Some("depot-push"));
    assert_eq!(credentials.pull_secret_name.as_deref(), Some("depot-pull"));
}
