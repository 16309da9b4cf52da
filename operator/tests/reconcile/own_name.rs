//! A Secret of the name that a managed certificate has: whose it is decides, not what it is called.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::certificate::{leaf, tls_secret};
use crate::scene::{Child, Scene, condition, content, message};
use crate::wait::until;

fn managed() -> Value {
    json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}})
}

fn naming(secret: &str) -> Value {
    json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}, "tls": {"secretRef": {"name": secret}}})
}

/// A certificate as cert-manager leaves it, in Secret depot-tls, and a Registry that names it.
async fn brought(scene: &Scene) {
    let leaf = leaf(&format!("depot.{}.svc", scene.namespace));
    let mut secret = tls_secret(&leaf.certificate_pem, &leaf.key_pem);
    secret["stringData"]["ca.crt"] = json!("their ca");
    scene.create("Secret", "depot-tls", secret).await;
    scene.registry("depot", naming("depot-tls")).await;
    until("clients are told the user's authority", async || {
        (published(scene).await? == "their ca").then_some(())
    })
    .await;
    let set = Child {
        kind: "StatefulSet",
        name: "depot".to_owned(),
    };
    until("the StatefulSet exists", async || scene.find(&set).await).await;
}

async fn published(scene: &Scene) -> Option<String> {
    let map = Child {
        kind: "ConfigMap",
        name: "depot-ca".to_owned(),
    };
    let found = scene.find(&map).await?;
    found.data["data"]["ca.crt"].as_str().map(str::to_owned)
}

/// The sentence of the condition.
async fn stalled(scene: &Scene, name: &str, reason: &str) -> String {
    let is_stalled = |status: &_| condition(status, "Stalled") == ("True", reason);
    let what = format!("{name} is stalled with {reason}");
    let status = scene.status(name, &what, is_stalled).await;
    message(&status, "Stalled").to_owned()
}

#[tokio::test]
async fn certificate_of_the_operator_is_refused_as_a_users_one_and_stays() {
    let scene = Scene::new("own-tls").await;
    scene.registry("depot", managed()).await;
    scene.all_children("depot").await;
    let before = scene.read("Secret", "depot-tls").await;
    // As after a rollout: what no pod mounts any more may go.
    let set = scene.read("StatefulSet", "depot").await;
    let rolled = json!({"status": {
        "observedGeneration": set.metadata.generation, "updateRevision": "r", "currentRevision": "r",
        "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
    }});
    scene
        .api("StatefulSet")
        .patch_status("depot", &PatchParams::default(), &Patch::Merge(rolled))
        .await
        .unwrap();
    scene.change("depot", naming("depot-tls")).await;
    let sentence = stalled(&scene, "depot", "CertificateUnusable").await;
    assert!(
        sentence.contains("made for Registry depot; take tls.managed"),
        "{sentence}"
    );
    scene.registry("neighbour", naming("depot-tls")).await;
    let sentence = stalled(&scene, "neighbour", "CertificateUnusable").await;
    assert!(sentence.contains("made for Registry depot"), "{sentence}");
    for _ in 0..2 {
        scene.one_more_pass("depot").await;
    }
    assert_eq!(
        content(&scene.read("Secret", "depot-tls").await),
        content(&before)
    );
    assert_eq!(
        scene.read("Secret", "depot-tls").await.metadata.uid,
        before.metadata.uid
    );
    scene.change("depot", json!({"tls": {"secretRef": null}})).await;
    scene
        .status("depot", "it is healed", |status| {
            condition(status, "Stalled").0 != "True"
        })
        .await;
}

#[tokio::test]
async fn users_secret_takes_the_place_of_the_operators_once_that_is_deleted() {
    let scene = Scene::new("own-tls-left").await;
    scene.registry("depot", managed()).await;
    scene.all_children("depot").await;
    scene.change("depot", naming("depot-tls")).await;
    stalled(&scene, "depot", "CertificateUnusable").await;
    scene.delete("Secret", "depot-tls").await;
    let waits = |status: &_| condition(status, "TLSReady").1 == "DependencyNotReady";
    scene
        .status("depot", "it waits for the user's Secret", waits)
        .await;
    scene.one_more_pass("depot").await;
    let leaf = leaf(&format!("depot.{}.svc", scene.namespace));
    let theirs = tls_secret(&leaf.certificate_pem, &leaf.key_pem);
    let theirs = scene.create("Secret", "depot-tls", theirs).await;
    let uses = |status: &_| !matches!(condition(status, "TLSReady").1, "DependencyNotReady" | "Unknown");
    let status = scene.status("depot", "it uses the user's Secret", uses).await;
    assert_eq!(condition(&status, "Stalled").0, "");
    assert_eq!(scene.read("Secret", "depot-tls").await, theirs);
}

#[tokio::test]
async fn garbage_in_a_users_secret_of_our_name_keeps_what_clients_trust() {
    let scene = Scene::new("own-name-bad").await;
    brought(&scene).await;
    let map = content(&scene.read("ConfigMap", "depot-ca").await);
    let garbage = tls_secret("garbage", "garbage");
    let theirs = scene.edit("Secret", "depot-tls", &garbage).await;
    let sentence = stalled(&scene, "depot", "CertificateUnusable").await;
    assert!(sentence.contains("Secret depot-tls"), "{sentence}");
    scene.one_more_pass("depot").await;
    assert_eq!(content(&scene.read("ConfigMap", "depot-ca").await), map);
    let authority = Child {
        kind: "Secret",
        name: "depot-ca-key".to_owned(),
    };
    assert_eq!(scene.find(&authority).await, None);
    assert_eq!(scene.read("Secret", "depot-tls").await, theirs);
}

#[tokio::test]
async fn users_secret_of_our_name_is_never_touched_by_the_way_back_to_managed() {
    let scene = Scene::new("own-name-back").await;
    brought(&scene).await;
    let theirs = scene.read("Secret", "depot-tls").await;
    let template = scene.read("StatefulSet", "depot").await.data["spec"]["template"].clone();
    scene.change("depot", json!({"tls": {"secretRef": null}})).await;
    let sentence = stalled(&scene, "depot", "ForeignObjectConflict").await;
    assert!(sentence.contains("Secret depot-tls"), "{sentence}");
    scene.one_more_pass("depot").await;
    assert_eq!(scene.read("Secret", "depot-tls").await, theirs);
    assert_eq!(published(&scene).await.as_deref(), Some("their ca"));
    let set = scene.read("StatefulSet", "depot").await;
    assert_eq!(set.data["spec"]["template"], template);
    scene.delete("Secret", "depot-tls").await;
    scene.all_children("depot").await;
    scene
        .status("depot", "it is healed", |status| {
            condition(status, "Stalled").0 != "True"
        })
        .await;
}
