//! Children that somebody edits or deletes come back as they were.

use base64::Engine as _;
use portolan_operator::certificates;
use serde_json::{Value, json};

use crate::scene::{Child, Scene, content, message};
use crate::wait::until;

const SPEC: &str = r#"{"storage": {"volume": {"size": "1Gi"}}}"#;

fn spec() -> Value {
    serde_json::from_str(SPEC).unwrap()
}

/// What a person may get wrong in each child; sources of private material only lose a label here.
fn edit(child: &Child) -> Value {
    let rendered = ["-users", "-push", "-pull"]
        .iter()
        .any(|suffix| child.name.ends_with(suffix));
    match (child.kind, child.name.as_str()) {
        ("Service", name) if name.ends_with("-pods") => json!({"spec": {"publishNotReadyAddresses": false}}),
        ("Service", _) => json!({"spec": {"selector": {"portolan.dev/role": "other"}}}),
        ("StatefulSet", _) => json!({"spec": {"replicas": 0}}),
        ("ServiceAccount", _) => json!({"automountServiceAccountToken": true}),
        ("ConfigMap", _) => json!({"data": {"ca.crt": "garbage"}}),
        (_, name) if rendered || name.contains("-config-") => {
            json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "x"}}})
        }
        _ => json!({"metadata": {"labels": {"app.kubernetes.io/part-of": null}}}),
    }
}

#[tokio::test]
async fn every_edited_child_is_repaired() {
    let scene = Scene::new("edited").await;
    scene.registry("depot", spec()).await;
    for child in scene.all_children("depot").await {
        let before = content(&scene.find(&child).await.unwrap());
        let edited = scene.edit(child.kind, &child.name, &edit(&child)).await;
        assert_ne!(content(&edited), before, "{child:?}");
        until(&format!("{child:?} is as before"), async || {
            let now = content(&scene.find(&child).await?);
            (now == before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn rendered_secrets_come_back_with_the_same_content() {
    let scene = Scene::new("rendered").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    for suffix in ["push", "pull", "users"] {
        let child = Child {
            kind: "Secret",
            name: format!("depot-{suffix}"),
        };
        let before = content(&scene.find(&child).await.unwrap());
        // The API server refuses a login file that is no JSON: an empty object there, garbage everywhere else.
        let wrong = |key: &str| {
            if key == ".dockerconfigjson" {
                "e30="
            } else {
                "Z2FyYmFnZQ=="
            }
        };
        let keys = before["data"].as_object().unwrap().keys();
        let garbage: Value = keys.map(|key| (key.clone(), json!(wrong(key)))).collect();
        scene.edit("Secret", &child.name, &json!({"data": garbage})).await;
        until(&format!("{child:?} is as before the edit"), async || {
            (content(&scene.find(&child).await?) == before).then_some(())
        })
        .await;
        scene.delete("Secret", &child.name).await;
        until(&format!("{child:?} is as before the deletion"), async || {
            (content(&scene.find(&child).await?) == before).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn every_deleted_child_is_made_again() {
    let scene = Scene::new("deleted").await;
    scene.registry("depot", spec()).await;
    for child in scene.all_children("depot").await {
        let before = scene.find(&child).await.unwrap();
        scene.delete(child.kind, &child.name).await;
        until(&format!("{child:?} is there again"), async || {
            let now = scene.find(&child).await?;
            (now.metadata.uid != before.metadata.uid).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn child_whose_label_was_taken_away_is_labelled_again() {
    let scene = Scene::new("unlabelled").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    let before = scene.read("Secret", "depot-credentials").await;
    scene
        .edit(
            "Secret",
            "depot-credentials",
            &json!({"metadata": {"labels": {"portolan.dev/registry": null}}}),
        )
        .await;
    let after = until("the label is back", async || {
        let now = scene.read("Secret", "depot-credentials").await;
        now.metadata
            .labels
            .as_ref()?
            .contains_key("portolan.dev/registry")
            .then_some(now)
    })
    .await;
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.data["data"], before.data["data"]);
}

#[tokio::test]
async fn certificate_follows_the_address_of_a_new_service() {
    let scene = Scene::new("new-service").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    scene.delete("Service", "depot").await;
    until("the certificate covers the new Service", async || {
        let service = scene
            .find(&Child {
                kind: "Service",
                name: "depot".to_owned(),
            })
            .await?;
        let address = service.data["spec"]["clusterIP"].as_str()?.to_owned();
        let secret = scene.read("Secret", "depot-tls").await;
        let pem = base64::engine::general_purpose::STANDARD
            .decode(secret.data["data"]["tls.crt"].as_str()?)
            .ok()?;
        let facts = certificates::inspect("tls.crt", &pem).ok()?;
        certificates::covers(&facts, &address).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fields_and_labels_of_others_survive() {
    let scene = Scene::new("others").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    scene
        .edit(
            "Service",
            "depot",
            &json!({"metadata": {"annotations": {"example.com/theirs": "1"}}}),
        )
        .await;
    // A repair happens after the edit of theirs, so what is left then was left on purpose.
    scene
        .edit(
            "Service",
            "depot",
            &json!({"spec": {"selector": {"portolan.dev/role": "other"}}}),
        )
        .await;
    let repaired = until("the selector is repaired", async || {
        let service = scene.read("Service", "depot").await;
        (service.data["spec"]["selector"]["portolan.dev/role"] == "registry").then_some(service)
    })
    .await;
    assert_eq!(repaired.metadata.annotations.unwrap()["example.com/theirs"], "1");
}

#[tokio::test]
async fn annotation_that_the_spec_no_longer_asks_for_is_removed() {
    let scene = Scene::new("removed-field").await;
    let with = json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}, "expose": {"service": {"annotations": {"a": "1"}}}});
    scene.registry("depot", with).await;
    scene.all_children("depot").await;
    assert_eq!(
        scene.read("Service", "depot").await.metadata.annotations.unwrap()["a"],
        "1"
    );
    scene
        .change(
            "depot",
            json!({"expose": {"service": {"annotations": {"a": null, "b": "2"}}}}),
        )
        .await;
    until("the annotation is gone and the new one there", async || {
        let annotations = scene.read("Service", "depot").await.metadata.annotations?;
        (!annotations.contains_key("a") && annotations.get("b")? == "2").then_some(())
    })
    .await;
}

#[tokio::test]
async fn child_that_does_not_go_is_said_in_the_status_and_made_anew_afterwards() {
    let scene = Scene::new("held").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
    let held = scene
        .edit(
            "Service",
            "depot",
            &finalizers(json!(["example.com/load-balancer"])),
        )
        .await;
    scene.delete("Service", "depot").await;
    let says = |status: &_| {
        let said = message(status, "Reconciling");
        said.contains("Service depot is being deleted") && said.contains("example.com/load-balancer")
    };
    scene.status("depot", "it says what it waits for", says).await;
    scene.edit("Service", "depot", &finalizers(Value::Null)).await;
    until("the Service is another one", async || {
        let child = Child {
            kind: "Service",
            name: "depot".to_owned(),
        };
        let now = scene.find(&child).await?;
        (now.metadata.uid != held.metadata.uid).then_some(())
    })
    .await;
}
