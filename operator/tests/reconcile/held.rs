//! A child that is deleted but does not go, because somebody's finalizer holds it.

use serde_json::json;

use crate::scene::{Child, Scene, condition, message};
use crate::wait::until;

async fn made_anew(scene: &Scene, kind: &'static str, name: &str) {
    let child = Child {
        kind,
        name: name.to_owned(),
    };
    let before = scene.read(kind, name).await.metadata.uid;
    scene.delete(kind, name).await;
    until(&format!("{kind} {name} is there again"), async || {
        let now = scene.find(&child).await?;
        (now.metadata.uid != before && now.metadata.deletion_timestamp.is_none()).then_some(())
    })
    .await;
}

async fn held(scene: &Scene, kind: &'static str, name: &str) {
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    let hold = json!({"metadata": {"finalizers": ["example.com/held"]}});
    scene.edit(kind, name, &hold).await;
    scene.delete(kind, name).await;
    scene
        .status("depot", "it is said what holds the child", |status| {
            message(status, "Reconciling").contains(&format!("{kind} {name} is being deleted"))
        })
        .await;
}

async fn let_go(scene: &Scene, kind: &'static str, name: &str) {
    let free = json!({"metadata": {"finalizers": null}});
    scene.edit(kind, name, &free).await;
    scene
        .status("depot", "nothing is held any more", |status| {
            condition(status, "Reconciling").0 == "True"
                && !message(status, "Reconciling").contains("being deleted")
        })
        .await;
    scene.all_children("depot").await;
}

#[tokio::test]
async fn service_that_does_not_go_keeps_no_other_child_back() {
    let scene = Scene::new("held-service").await;
    held(&scene, "Service", "depot").await;
    for (kind, name) in [
        ("Service", "depot-pods"),
        ("ConfigMap", "depot-ca"),
        ("Secret", "depot-push"),
        ("StatefulSet", "depot"),
    ] {
        made_anew(&scene, kind, name).await;
    }
    let_go(&scene, "Service", "depot").await;
}

#[tokio::test]
async fn credentials_that_do_not_go_keep_back_only_what_is_rendered_from_them() {
    let scene = Scene::new("held-credentials").await;
    held(&scene, "Secret", "depot-credentials").await;
    let push = Child {
        kind: "Secret",
        name: "depot-push".to_owned(),
    };
    scene.delete(push.kind, &push.name).await;
    // A later event of the same watch, and a later turn of the same pass.
    let config = scene
        .children("depot")
        .await
        .into_iter()
        .find(|child| child.name.starts_with("depot-config-"));
    made_anew(&scene, "Secret", &config.unwrap().name).await;
    assert_eq!(scene.find(&push).await, None);
    made_anew(&scene, "ConfigMap", "depot-ca").await;
    let_go(&scene, "Secret", "depot-credentials").await;
}
