//! A suspended Registry is reported and left alone.

use serde_json::json;

use crate::scene::{Scene, condition};
use crate::wait::until;

#[tokio::test]
async fn suspended_registry_is_reported_and_its_children_are_left() {
    let scene = Scene::new("suspend").await;
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    scene.change("depot", json!({"suspend": true})).await;
    scene
        .status("depot", "it is suspended", |status| {
            condition(status, "Suspended").0 == "True"
        })
        .await;

    let edited = scene
        .edit(
            "Service",
            "depot",
            &json!({"spec": {"selector": {"portolan.dev/role": "other"}}}),
        )
        .await;
    // A change of the spec is seen too, which proves that a pass went by after the edit.
    scene
        .change(
            "depot",
            json!({"expose": {"hostnames": ["registry.example.com"]}}),
        )
        .await;
    scene
        .status("depot", "the change was seen", |status| {
            condition(status, "Suspended").0 == "True"
        })
        .await;
    let now = scene.read("Service", "depot").await;
    assert_eq!(now.metadata.resource_version, edited.metadata.resource_version);

    scene.change("depot", json!({"suspend": false})).await;
    let status = scene
        .status("depot", "it is resumed", |status| {
            condition(status, "Suspended").0 != "True"
        })
        .await;
    assert_eq!(status.endpoint.as_deref(), Some("registry.example.com"));
    until("the selector is repaired", async || {
        let service = scene.read("Service", "depot").await;
        (service.data["spec"]["selector"]["portolan.dev/role"] == "registry").then_some(())
    })
    .await;
}
