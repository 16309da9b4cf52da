//! The volume with the images: what happens to its claim under both policies, and that nothing empty ever takes its
//! place.

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, DynamicObject};
use portolan_e2e::crane::Crane;
use portolan_e2e::image::Image;
use portolan_e2e::objects::{Kind, uid};
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::scene::{self, Scene};
use portolan_e2e::wait::{REACTION, throughout, until};
use serde_json::json;
use std::time::Duration;

use crate::hello;

const CLAIM: &str = "registry-data";

async fn claim(scene: &Scene) -> Result<DynamicObject> {
    Ok(scene.api(Kind::PersistentVolumeClaim).get(CLAIM).await?)
}

async fn gone(scene: &Scene, kind: Kind, name: &str) -> Result<()> {
    until(&format!("{kind:?} {name} is gone"), REACTION, async || {
        ensure!(
            scene.api(kind).get_opt(name).await?.is_none(),
            "it is still there"
        );
        Ok(())
    })
    .await
}

/// A Ready Registry under this policy that holds one image.
async fn filled<'a>(scene: &'a Scene, policy: &str) -> Result<(Registry<'a>, Image)> {
    let spec = json!({"deletionPolicy": policy, "storage": {"volume": {"size": "64Mi"}}});
    let registry = Registry::apply(scene, "registry", spec).await?;
    registry.until_ready().await?;
    let image = hello(scene, policy).await?;
    Crane::login(&registry, "push")
        .await?
        .push(&image, "team/hello:v1")
        .await?;
    Ok((registry, image))
}

async fn demand_image(registry: &Registry<'_>, image: &Image) -> Result<()> {
    let client = Crane::login(registry, "pull").await?;
    client.validate("team/hello:v1").await?;
    ensure!(
        client.digest("team/hello:v1").await? == image.digest,
        "another image"
    );
    Ok(())
}

async fn statefulset_deleted_under(scene: &Scene, policy: &str) -> Result<()> {
    let (registry, image) = filled(scene, policy).await?;
    let (sets, before) = (scene.api(Kind::StatefulSet), uid(&claim(scene).await?));
    let old = uid(&sets.get("registry").await?);
    sets.delete("registry", &DeleteParams::foreground()).await?;
    until("another StatefulSet is there", REACTION, async || {
        ensure!(
            uid(&sets.get("registry").await?) != old,
            "the old one is still there"
        );
        Ok(())
    })
    .await?;
    until("a Pod is Ready again", REACTION, async || {
        registry.ready_pod().await.map(drop)
    })
    .await?;
    registry.until_ready().await?;
    ensure!(uid(&claim(scene).await?) == before, "the claim was replaced");
    demand_image(&registry, &image).await
}

#[tokio::test]
async fn a_statefulset_deleted_under_retain_comes_back_with_the_same_claim() {
    scene::play("set-retain", async |scene| {
        statefulset_deleted_under(scene, "Retain").await
    })
    .await;
}

#[tokio::test]
async fn a_statefulset_deleted_under_delete_comes_back_with_the_same_claim() {
    scene::play("set-delete", async |scene| {
        statefulset_deleted_under(scene, "Delete").await
    })
    .await;
}

#[tokio::test]
async fn a_claim_deleted_by_hand_stalls_and_nothing_empty_replaces_it() {
    scene::play("claim-deleted", async |scene| {
        let (registry, _) = filled(scene, "Retain").await?;
        let before = uid(&claim(scene).await?);
        scene
            .api(Kind::PersistentVolumeClaim)
            .delete(CLAIM, &DeleteParams::default())
            .await?;
        // The claim stays until the Pod that uses it is gone.
        scene
            .api(Kind::Pod)
            .delete("registry-0", &DeleteParams::default().grace_period(0))
            .await?;
        let stalled = registry.until_condition("Stalled", "True", "").await?;
        ensure!(
            stalled.message.contains(CLAIM),
            "the message does not name the claim: {}",
            stalled.message
        );
        throughout("no empty claim appears", Duration::from_secs(10), async || {
            let now = scene.api(Kind::PersistentVolumeClaim).get_opt(CLAIM).await?;
            ensure!(
                now.is_none_or(|claim| uid(&claim) == before),
                "a new claim was made"
            );
            Ok(())
        })
        .await?;
        registry.until_condition("Ready", "False", "").await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_registry_deleted_under_retain_leaves_a_claim_that_another_adopts() {
    scene::play("retain", async |scene| {
        let (registry, image) = filled(scene, "Retain").await?;
        let before = uid(&claim(scene).await?);
        registry.delete().await?;
        gone(scene, Kind::Registry, "registry").await?;
        gone(scene, Kind::StatefulSet, "registry").await?;
        gone(scene, Kind::Secret, "registry-push").await?;
        gone(scene, Kind::Service, "registry").await?;

        let again = Registry::apply(scene, "registry", volume("64Mi")).await?;
        let stalled = again.until_condition("Stalled", "True", "").await?;
        let remedy = format!("existingClaimName: {CLAIM}");
        ensure!(
            stalled.message.contains(&remedy),
            "the message does not tell the remedy: {}",
            stalled.message
        );
        ensure!(uid(&claim(scene).await?) == before, "the claim was replaced");

        again
            .patch(json!({"storage": {"volume": {"existingClaimName": CLAIM}}}))
            .await?;
        again.until_ready().await?;
        ensure!(uid(&claim(scene).await?) == before, "the claim was replaced");
        demand_image(&again, &image).await?;

        // What was adopted is never deleted with the Registry, whatever the policy.
        again.patch(json!({"deletionPolicy": "Delete"})).await?;
        again.until_ready().await?;
        again.delete().await?;
        gone(scene, Kind::StatefulSet, "registry").await?;
        ensure!(
            claim(scene).await?.metadata.deletion_timestamp.is_none(),
            "the adopted claim was deleted"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_registry_deleted_under_delete_takes_its_claim_along() {
    scene::play("delete", async |scene| {
        let (registry, _) = filled(scene, "Delete").await?;
        registry.delete().await?;
        gone(scene, Kind::Registry, "registry").await?;
        gone(scene, Kind::PersistentVolumeClaim, CLAIM).await?;
        gone(scene, Kind::StatefulSet, "registry").await
    })
    .await;
}

#[tokio::test]
async fn the_policy_can_be_changed_until_the_end() {
    scene::play("policy-change", async |scene| {
        let (registry, _) = filled(scene, "Delete").await?;
        registry.patch(json!({"deletionPolicy": "Retain"})).await?;
        until("the claim has no owner", REACTION, async || {
            let owners = claim(scene).await?.metadata.owner_references.unwrap_or_default();
            ensure!(owners.is_empty(), "it has {owners:?}");
            Ok(())
        })
        .await?;
        registry.delete().await?;
        gone(scene, Kind::StatefulSet, "registry").await?;
        ensure!(
            claim(scene).await?.metadata.deletion_timestamp.is_none(),
            "the claim was deleted"
        );
        Ok(())
    })
    .await;
}
