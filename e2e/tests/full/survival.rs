//! What outlives a Pod.

use anyhow::ensure;
use portolan_e2e::crane::Crane;
use portolan_e2e::registry::Registry;
use portolan_e2e::scene;
use serde_json::json;

use crate::hello;

#[tokio::test]
async fn a_killed_pod_loses_neither_data_nor_credentials() {
    scene::play("pod-killed", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "survival").await?;
        let (push, pull) = (registry.login("push").await?, registry.login("pull").await?);
        Crane::with(&registry, &push)
            .await?
            .push(&image, "team/hello:v1")
            .await?;

        registry.kill_pod().await?;

        let client = Crane::with(&registry, &pull).await?;
        client.validate("team/hello:v1").await?;
        ensure!(
            client.digest("team/hello:v1").await? == image.digest,
            "another image"
        );
        Crane::with(&registry, &push)
            .await?
            .push(&image, "team/hello:v2")
            .await?;
        ensure!(registry.login("push").await? == push, "the push Secret changed");
        ensure!(registry.login("pull").await? == pull, "the pull Secret changed");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn ephemeral_storage_goes_with_the_pod_and_credentials_stay() {
    scene::play("ephemeral", async |scene| {
        let registry = Registry::apply(
            scene,
            "registry",
            json!({"storage": {"ephemeral": {"sizeLimit": "64Mi"}}}),
        )
        .await?;
        registry.until_ready().await?;
        let image = hello(scene, "nothing that lasts").await?;
        let client = Crane::login(&registry, "push").await?;
        client.push(&image, "team/hello:v1").await?;
        client.validate("team/hello:v1").await?;

        registry.kill_pod().await?;

        let answer = client.refusal(&["digest", &client.name("team/hello:v1")]).await?;
        ensure!(answer.contains("404") || answer.contains("UNKNOWN"), "{answer}");
        client.push(&image, "team/hello:v1").await?;
        Ok(())
    })
    .await;
}
