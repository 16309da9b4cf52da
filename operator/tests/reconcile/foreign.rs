//! Objects of others that have a name which a Registry needs: never touched, and named in the status.

use serde_json::{Value, json};

use crate::scene::{Scene, condition, message};
use crate::wait::until;

fn body(kind: &str) -> Value {
    match kind {
        "Service" => json!({"spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}}}),
        "StatefulSet" => json!({"spec": {
            "serviceName": "theirs",
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {
                "metadata": {"labels": {"app": "theirs"}},
                "spec": {"containers": [{"name": "theirs", "image": "theirs"}]},
            },
        }}),
        "PersistentVolumeClaim" => json!({"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}),
        "ServiceAccount" => json!({}),
        _ => json!({"data": {"theirs": "MQ=="}}),
    }
}

#[tokio::test]
async fn foreign_object_of_every_name_stays_as_it_is_and_is_named() {
    let scene = Scene::new("foreign").await;
    let cases = [
        ("a", "Service", "a"),
        ("b", "Service", "b-pods"),
        ("c", "StatefulSet", "c"),
        ("d", "ServiceAccount", "d"),
        ("e", "ConfigMap", "e-ca"),
        ("f", "Secret", "f-tls"),
        ("g", "Secret", "g-ca-key"),
        ("h", "Secret", "h-token-keys"),
        ("i", "Secret", "i-admin"),
        ("j", "Secret", "j-users"),
        ("k", "Secret", "k-credentials"),
        ("l", "Secret", "l-push"),
        ("m", "Secret", "m-pull"),
        ("n", "PersistentVolumeClaim", "n-data"),
    ];
    for (registry, kind, name) in cases {
        scene.create(kind, name, body(kind)).await;
        scene
            .registry(registry, json!({"storage": {"volume": {"size": "1Gi"}}}))
            .await;
    }
    for (registry, kind, name) in cases {
        let before = scene.read(kind, name).await;
        let is_stalled = |status: &_| condition(status, "Stalled").0 == "True";
        let status = scene
            .status(
                registry,
                &format!("{registry} is stalled by {kind} {name}"),
                is_stalled,
            )
            .await;
        assert!(
            message(&status, "Stalled").contains(name),
            "{kind} {name}: {}",
            message(&status, "Stalled")
        );
        assert_eq!(condition(&status, "Ready").0, "False");
        assert_eq!(scene.read(kind, name).await, before, "{kind} {name} was touched");
    }
}

#[tokio::test]
async fn foreign_object_with_our_labels_is_still_foreign() {
    let scene = Scene::new("masked").await;
    let labels = json!({"labels": {"portolan.dev/registry": "depot"}});
    let before = scene
        .create(
            "ConfigMap",
            "depot-ca",
            json!({"metadata": labels, "data": {"ca.crt": "theirs"}}),
        )
        .await;
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    let status = scene
        .status("depot", "it is stalled", |status| {
            condition(status, "Stalled").0 == "True"
        })
        .await;
    assert_eq!(condition(&status, "Stalled").1, "ForeignObjectConflict");
    assert_eq!(scene.read("ConfigMap", "depot-ca").await, before);
}

#[tokio::test]
async fn conflict_heals_when_the_foreign_object_goes() {
    let scene = Scene::new("healed").await;
    scene.create("Service", "depot", body("Service")).await;
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    scene
        .status("depot", "it is stalled", |status| {
            condition(status, "Stalled").0 == "True"
        })
        .await;
    scene.delete("Service", "depot").await;
    scene.all_children("depot").await;
    until("nothing is stalled any more", async || {
        let status = scene.registries().get("depot").await.unwrap().status?;
        (condition(&status, "Stalled").0 != "True").then_some(())
    })
    .await;
}
