//! Services of other types than the usual: what the API server chooses for them stays.

use serde_json::json;

use crate::scene::Scene;
use crate::wait::until;

#[tokio::test]
async fn node_port_that_was_allocated_stays_and_nothing_is_written_again() {
    for (test, kind) in [("node-port", "NodePort"), ("load-balancer", "LoadBalancer")] {
        let scene = Scene::new(test).await;
        let spec =
            json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}, "expose": {"service": {"type": kind}}});
        scene.registry("depot", spec).await;
        scene.all_children("depot").await;
        scene.one_more_pass("depot").await;
        let before = scene.read("Service", "depot").await;
        assert_eq!(before.data["spec"]["type"], kind);
        assert!(before.data["spec"]["ports"][0]["nodePort"].is_number(), "{kind}");
        scene.one_more_pass("depot").await;
        scene.one_more_pass("depot").await;
        assert_eq!(scene.read("Service", "depot").await, before, "{kind}");
        let wrong = json!({"spec": {"selector": {"portolan.dev/role": "other"}}});
        scene.edit("Service", "depot", &wrong).await;
        let repaired = until("the selector is repaired", async || {
            let service = scene.read("Service", "depot").await;
            (service.data["spec"]["selector"]["portolan.dev/role"] == "registry").then_some(service)
        })
        .await;
        assert_eq!(
            repaired.data["spec"]["ports"], before.data["spec"]["ports"],
            "{kind}"
        );
    }
}

#[tokio::test]
async fn service_follows_a_change_of_its_type() {
    let scene = Scene::new("service-type").await;
    scene
        .registry("depot", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    let address = scene.read("Service", "depot").await.data["spec"]["clusterIP"].clone();
    for (kind, has_node_port) in [("NodePort", true), ("ClusterIP", false)] {
        scene
            .change("depot", json!({"expose": {"service": {"type": kind}}}))
            .await;
        let service = until(&format!("the Service is of type {kind}"), async || {
            let service = scene.read("Service", "depot").await;
            (service.data["spec"]["type"] == kind).then_some(service)
        })
        .await;
        assert_eq!(service.data["spec"]["clusterIP"], address, "{kind}");
        let port = &service.data["spec"]["ports"][0]["nodePort"];
        assert_eq!(port.is_number(), has_node_port, "{kind}: {port}");
    }
}
