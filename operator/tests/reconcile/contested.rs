//! Another program that puts its change of a child back after each repair, without end.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::added::writes;
use crate::scene::Scene;
use crate::wait::until;

const PAUSE: Duration = Duration::from_millis(50);

fn of_pod(change: &Value) -> Value {
    json!({"spec": {"template": {"spec": change}}})
}

async fn pod(scene: &Scene) -> Value {
    scene.read("StatefulSet", "depot").await.data["spec"]["template"]["spec"].clone()
}

/// The other program: it never ends.
async fn tolerate(scene: &Scene) {
    let wanted = of_pod(&json!({"tolerations": [{"key": "theirs", "operator": "Exists"}]}));
    loop {
        if pod(scene).await["tolerations"].is_null() {
            scene.edit("StatefulSet", "depot", &wanted).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the operator says of it, once it does.
async fn warning(scene: &Scene) -> Event {
    let events: Api<Event> = Api::namespaced(scene.client.clone(), &scene.namespace);
    until("an event tells that repairs are undone", async || {
        let all = events.list(&ListParams::default()).await.unwrap();
        let is_it = |event: &Event| event.reason.as_deref() == Some("RepairsUndone");
        all.items.into_iter().find(is_it)
    })
    .await
}

async fn fight(scene: &Scene) {
    let event = warning(scene).await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let note = event.note.unwrap_or_default();
    for part in [
        "StatefulSet depot",
        "spec.template.spec.tolerations",
        "\"somebody\"",
    ] {
        assert!(note.contains(part), "{note}");
    }
    let until_told = writes(&scene.namespace);
    assert!(until_told < 40, "{until_told} writes until it was told");

    for _ in 0..5 {
        scene.one_more_pass("depot").await;
    }
    let since = writes(&scene.namespace) - until_told;
    // Two are one repair: a slow machine may take the minute after which the next one is due.
    assert!(since <= 2, "{since} writes in five passes");

    // What somebody else edits does not wait for it.
    let edit = of_pod(&json!({"hostPID": true}));
    scene.edit("StatefulSet", "depot", &edit).await;
    until("the pods are in a namespace of their own", async || {
        pod(scene).await["hostPID"].is_null().then_some(())
    })
    .await;

    // Nor does a change of the spec, for this child and for another one.
    let spec = json!({
        "pod": {"resources": {"limits": {"memory": "321Mi"}}},
        "expose": {"service": {"annotations": {"example.com/ours": "1"}}},
    });
    scene.change("depot", spec).await;
    until("the pods have the new limit", async || {
        let limit = pod(scene).await["containers"][0]["resources"]["limits"]["memory"].clone();
        (limit == "321Mi").then_some(())
    })
    .await;
    until("the Service has the new annotation", async || {
        let annotations = scene.read("Service", "depot").await.metadata.annotations?;
        annotations.contains_key("example.com/ours").then_some(())
    })
    .await;
}

#[tokio::test]
async fn program_that_undoes_each_repair_is_named_and_repairs_wait_while_changes_do_not() {
    let scene = Scene::new("contested").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    tokio::select! {
        () = tolerate(&scene) => {}
        () = fight(&scene) => {}
    }
}
