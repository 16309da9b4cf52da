//! Volumes that grow, and those that cannot.

use anyhow::ensure;
use kube::api::DeleteParams;
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::{Kind, text, uid};
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::scene;
use portolan_e2e::wait::{REACTION, until};
use serde_json::json;

use crate::hello;

#[tokio::test]
async fn a_volume_grows_under_the_running_pod() {
    scene::play("growth", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let pod = uid(&registry.ready_pod().await?);
        registry.patch(volume("128Mi")).await?;
        until("the status tells the new capacity", REACTION, async || {
            let status = registry.object().await?;
            let capacity = text(&status, "/status/storage/capacity");
            ensure!(capacity == "128Mi", "it tells {capacity:?}");
            Ok(())
        })
        .await?;
        registry.until_ready().await?;
        let claim = scene
            .api(Kind::PersistentVolumeClaim)
            .get("registry-data")
            .await?;
        ensure!(
            text(&claim, "/spec/resources/requests/storage") == "128Mi",
            "the claim asks for another size"
        );
        ensure!(uid(&registry.ready_pod().await?) == pod, "the Pod was replaced");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_class_that_cannot_expand_is_told_and_the_growth_can_be_taken_back() {
    scene::play("fixed-size", async |scene| {
        let class =
            |size: &str| json!({"storage": {"volume": {"size": size, "storageClassName": "local-fixed"}}});
        let registry = Registry::apply(scene, "registry", class("32Mi")).await?;
        registry.until_ready().await?;
        let pod = uid(&registry.ready_pod().await?);
        registry.patch(class("64Mi")).await?;
        let stalled = registry
            .until_condition("Stalled", "True", "StorageClassNotExpandable")
            .await?;
        ensure!(
            stalled.message.contains("local-fixed"),
            "the class is not named: {}",
            stalled.message
        );
        registry.until_condition("Available", "True", "").await?;
        ensure!(uid(&registry.ready_pod().await?) == pod, "the Pod was replaced");
        registry.patch(class("32Mi")).await?;
        registry.until_ready().await?;
        ensure!(uid(&registry.ready_pod().await?) == pod, "the Pod was replaced");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_cannot_grow_is_still_repaired_and_serves() {
    scene::play("stalled-repair", async |scene| {
        let class =
            |size: &str| json!({"storage": {"volume": {"size": size, "storageClassName": "local-fixed"}}});
        let registry = Registry::apply(scene, "registry", class("64Mi")).await?;
        registry.until_ready().await?;
        let image = hello(scene, "a refused growth").await?;
        Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let pod = uid(&registry.ready_pod().await?);
        registry.patch(class("128Mi")).await?;
        let reason = "StorageClassNotExpandable";
        registry.until_condition("Stalled", "True", reason).await?;

        let deleted = [(Kind::Service, "registry"), (Kind::Secret, "registry-push")];
        for (kind, name) in deleted {
            let api = scene.api(kind);
            let old = uid(&api.get(name).await?);
            api.delete(name, &DeleteParams::default()).await?;
            until(&format!("{kind:?} {name} is there again"), REACTION, async || {
                ensure!(uid(&api.get(name).await?) != old, "the old one is still there");
                Ok(())
            })
            .await?;
        }
        // The new Service has another address, which the certificate must name before a node pulls by it.
        registry.until_condition("TLSReady", "True", "").await?;
        registry.until_condition("Stalled", "True", reason).await?;
        let client = Crane::login(&registry, "push").await?;
        until("pushes go on", REACTION, async || {
            client.push(&image, "team/hello:v2").await.map(drop)
        })
        .await?;
        Crane::login(&registry, "pull")
            .await?
            .validate("team/hello:v1")
            .await?;
        registry.until_condition("Stalled", "True", reason).await?;
        ensure!(uid(&registry.ready_pod().await?) == pod, "the Pod was replaced");
        registry.patch(class("64Mi")).await?;
        registry.until_ready().await.map(drop)
    })
    .await;
}
