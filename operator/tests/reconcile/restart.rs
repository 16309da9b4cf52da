//! A fresh operator finds everything as it left it and writes nothing.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use serde_json::json;

use crate::operator::Operator;
use crate::scene::Scene;
use crate::wait::until;

async fn versions(scene: &Scene) -> BTreeMap<String, Option<String>> {
    let mut versions = BTreeMap::new();
    for child in scene.children("depot").await {
        let object = scene.find(&child).await.unwrap();
        versions.insert(
            format!("{} {}", child.kind, child.name),
            object.resource_version(),
        );
    }
    let claim = scene.read("PersistentVolumeClaim", "depot-data").await;
    versions.insert("claim".to_owned(), claim.resource_version());
    let registry = scene.registries().get("depot").await.unwrap();
    versions.insert("registry".to_owned(), registry.resource_version());
    versions
}

/// Waits until two looks, with passes of the shared operator between them, show the same.
async fn settled(scene: &Scene) -> BTreeMap<String, Option<String>> {
    let mut last = BTreeMap::new();
    let mut same = 0;
    until("nothing changes any more", async || {
        let now = versions(scene).await;
        same = if now == last { same + 1 } else { 0 };
        last.clone_from(&now);
        (same == 20).then_some(now)
    })
    .await
}

#[tokio::test]
async fn fresh_operator_changes_nothing() {
    let scene = Scene::new("restart").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    let before = settled(&scene).await;
    let flags = ["--watch-namespaces", &scene.namespace, "--leader-election=false"];
    let operator = Operator::start("restart", &flags);
    operator.ready().await;
    let mut passes = 0.0;
    until("the fresh operator made a pass of its own", async || {
        passes = operator
            .metric("portolan_operator_reconcile_duration_seconds_count")
            .await?;
        (passes >= 1.0).then_some(())
    })
    .await;
    assert_eq!(versions(&scene).await, before);
    for verb in ["create", "update", "patch", "delete"] {
        let series = format!("portolan_operator_kube_requests_total{{verb=\"{verb}\"");
        assert_eq!(operator.metric(&series).await, None, "{verb}");
    }
}

#[tokio::test]
async fn operator_of_one_namespace_leaves_others_alone() {
    let scene = Scene::new("listed").await;
    let flags = ["--watch-namespaces", &scene.namespace, "--leader-election=false"];
    let operator = Operator::start("listed", &flags);
    operator.ready().await;
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    until("its Registry is counted", async || {
        operator
            .metric(&format!(
                "portolan_operator_registry_suspended{{namespace=\"{}\"",
                scene.namespace
            ))
            .await
    })
    .await;
    let elsewhere = Scene::new("unlisted").await;
    elsewhere
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    elsewhere.all_children("depot").await;
    let series = format!(
        "portolan_operator_registry_suspended{{namespace=\"{}\"",
        elsewhere.namespace
    );
    assert_eq!(operator.metric(&series).await, None);
}
