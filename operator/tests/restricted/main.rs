//! The operator with a list of namespaces, as a user who has the chart's Roles and nothing else, on a real
//! kube-apiserver. A test program of its own: no operator of another test may do its work.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "what a failed test printed tells how it got there"
)]

#[expect(dead_code, reason = "the reconcile tests use the rest of it")]
#[path = "../reconcile/operator.rs"]
mod operator;
mod release;
#[expect(dead_code, reason = "the reconcile tests use the rest of it")]
#[path = "../reconcile/scene.rs"]
mod scene;
#[path = "../reconcile/wait.rs"]
mod wait;

use std::collections::BTreeSet;

use serde_json::json;

use crate::operator::Operator;
use crate::release::Release;
use crate::scene::{Child, Scene, condition};
use crate::wait::until;

#[tokio::test]
async fn roles_of_the_listed_namespaces_are_all_that_the_operator_needs() {
    scene::install_crds().await;
    let scene = Scene::alone("restricted").await;
    let release = Release::install(&scene).await;
    let flags = [
        "--watch-namespaces",
        &scene.namespace,
        "--leader-election-namespace",
        &release.namespace,
    ];
    let operator = Operator::start_as("restricted", &flags, Some(&release.kubeconfig));
    operator.ready().await;

    let spec = json!({"deletionPolicy": "Delete",
        "storage": {"volume": {"size": "1Gi", "storageClassName": "local"}}});
    scene.registry("depot", spec).await;
    scene.all_children("depot").await;
    // Every kind once more by another verb: what was edited is patched, what was deleted is created.
    let wrong = json!({"spec": {"selector": {"portolan.dev/role": "other"}}});
    scene.edit("Service", "depot", &wrong).await;
    until("the selector is repaired", async || {
        let service = scene.read("Service", "depot").await;
        (service.data["spec"]["selector"]["portolan.dev/role"] == "registry").then_some(())
    })
    .await;
    let push = Child {
        kind: "Secret",
        name: "depot-push".to_owned(),
    };
    scene.delete(push.kind, &push.name).await;
    until("the push Secret is there again", async || scene.find(&push).await).await;
    let status = scene
        .status("depot", "only its pod is missing", |status| {
            condition(status, "Reconciling").0 == "True" && status.endpoint.is_some()
        })
        .await;
    assert_ne!(condition(&status, "Stalled").0, "True");

    let requests = release.requests();
    let done: BTreeSet<&str> = requests
        .iter()
        .filter(|request| !request.is_forbidden)
        .map(|request| request.what.as_str())
        .collect();
    for needed in [
        "create events",
        "create leases",
        "patch registries",
        "create secrets",
    ] {
        assert!(done.contains(needed), "never {needed}: {done:?}");
    }
    let refused: BTreeSet<&str> = requests
        .iter()
        .filter(|request| request.is_forbidden)
        .map(|request| request.what.as_str())
        .collect();
    // Cluster-scoped, hence beyond any Role: asked for once, and done without.
    assert_eq!(
        refused,
        BTreeSet::from(["get storageclasses", "list storageclasses"])
    );
}
