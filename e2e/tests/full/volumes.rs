//! Volumes that grow, and those that cannot.

use anyhow::ensure;
use portolan_e2e::objects::{Kind, text, uid};
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::scene;
use portolan_e2e::wait::{REACTION, until};
use serde_json::json;

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
