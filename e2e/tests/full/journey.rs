//! The main job: apply, wait, push, run.

use std::time::Duration;

use anyhow::ensure;
use portolan_e2e::children::{children, demand_names};
use portolan_e2e::command::{command, output};
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::text;
use portolan_e2e::registry::Registry;
use portolan_e2e::{node, pod, scene, wait};

use crate::hello;

#[tokio::test]
async fn a_pod_runs_an_image_that_was_pushed_to_a_new_registry() {
    scene::play("journey", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let status = registry.object().await?;
        let endpoint = format!("registry.{}.svc", scene.namespace);
        ensure!(
            text(&status, "/status/endpoint") == endpoint,
            "status.endpoint is {:?}",
            text(&status, "/status/endpoint")
        );
        demand_names(&registry, &children(&registry).await?)?;

        let image = hello(scene, "the journey").await?;
        let name = Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let pull = registry.login("pull").await?;
        node::trust(&registry, &pull).await?;
        let log = pod::run(scene, "hello", &name, "registry-pull").await?;
        ensure!(log == image.message, "the Pod printed {log:?}");

        let refusal = pod::refused(scene, "stranger", &name, None).await?;
        ensure!(
            refusal.contains("401") || refusal.contains("nauthorized"),
            "the kubelet says {refusal}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kubectl_shows_what_a_user_needs_to_know() {
    scene::play("kubectl", async |scene| {
        Registry::ready(scene, "registry").await?;
        let namespace = format!("--namespace={}", scene.namespace);
        let table = output(command("kubectl", ["get", "reg", &namespace])).await?;
        let (header, row) = table.trim().split_once('\n').unwrap_or_default();
        for column in ["NAME", "READY", "ENDPOINT", "STORAGE", "CERT-EXPIRES", "AGE"] {
            ensure!(header.contains(column), "no column {column}: {table}");
        }
        let endpoint = format!("registry.{}.svc", scene.namespace);
        for cell in ["registry", "True", &endpoint, "64Mi"] {
            ensure!(row.contains(cell), "no cell {cell}: {table}");
        }
        let description = output(command(
            "kubectl",
            ["describe", "registry", "registry", &namespace],
        ))
        .await?;
        for fact in [
            endpoint.as_str(),
            "registry-push",
            "registry-pull",
            "registry-ca",
            "registry-data",
        ] {
            ensure!(
                description.contains(fact),
                "{fact} is not in the description:\n{description}"
            );
        }
        // events are published beside the status, so they may come a moment later
        wait::until(
            "describe tells what happened",
            Duration::from_secs(20),
            async || {
                let description = output(command(
                    "kubectl",
                    ["describe", "registry", "registry", &namespace],
                ))
                .await?;
                let (_, events) = description.split_once("Events:").unwrap_or_default();
                for reason in ["Created", "CertificateIssued", "Ready"] {
                    ensure!(events.contains(reason), "no event {reason}:\n{description}");
                }
                Ok(())
            },
        )
        .await
    })
    .await;
}
