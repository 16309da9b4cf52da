//! The short way through a cluster that may be somebody's own (`PORTOLAN_CLUSTER=current`): create, Ready, push, read
//! back; a Pod runs the image where the node can be prepared, else its administrator is told how.

use std::path::Path;

use anyhow::ensure;
use portolan_e2e::cluster::Place;
use portolan_e2e::crane::Crane;
use portolan_e2e::registry::Registry;
use portolan_e2e::{image, node, pod, scene};

#[tokio::test]
async fn a_registry_on_any_cluster_takes_a_push_and_gives_it_back() {
    scene::play("smoke", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let message = format!("hello from {}", scene.namespace);
        let image = image::build(
            &scene.directory()?,
            Path::new(env!("CARGO_BIN_EXE_hello")),
            &message,
        )
        .await?;
        let name = Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let pull = registry.login("pull").await?;
        let client = Crane::with(&registry, &pull).await?;
        client.validate("team/hello:v1").await?;
        ensure!(
            client.digest("team/hello:v1").await? == image.digest,
            "another image"
        );
        match &scene.cluster.place {
            Place::Current { .. } => node::tell_administrator(&registry, &pull).await,
            Place::Inside { .. } => {
                node::trust(&registry, &pull).await?;
                let log = pod::run(scene, "hello", &name, "registry-pull").await?;
                ensure!(log == message, "the Pod printed {log:?}");
                Ok(())
            }
        }
    })
    .await;
}
