//! The operator goes and comes back: nobody notices.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use portolan_e2e::children::{children, versions};
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::uid;
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::wait::{REACTION, READY, throughout, until};
use portolan_e2e::{install, scene};
use serde_json::json;

use crate::{hello, operator_pod};

#[tokio::test]
async fn a_killed_operator_comes_back_and_changes_nothing() {
    scene::play("operator-killed", async |scene| {
        let registry = Registry::apply(scene, "registry", volume("64Mi")).await?;
        registry.until_ready().await?;
        let image = hello(scene, "a killed operator").await?;
        let client = Crane::login(&registry, "push").await?;
        client.push(&image, "team/hello:v1").await?;
        // Its own last writes (status follows the Pod) are over when nothing changes any more.
        let before = until("the children rest", REACTION, async || {
            let before = versions(&children(&registry).await?);
            throughout("rest", Duration::from_secs(5), async || {
                ensure!(versions(&children(&registry).await?) == before, "a child changed");
                Ok(())
            })
            .await?;
            Ok(before)
        })
        .await?;
        let pod = uid(&registry.ready_pod().await?);
        let status = registry.object().await?.metadata.resource_version;

        let pods: Api<Pod> = Api::namespaced(scene.client().clone(), install::NAMESPACE);
        let old = operator_pod(scene).await?;
        pods.delete(&old.name_any(), &DeleteParams::default().grace_period(0))
            .await?;
        // Without an operator everything goes on.
        client.validate("team/hello:v1").await?;
        until("another operator is ready", READY, async || {
            ensure!(
                operator_pod(scene).await?.uid() != old.uid(),
                "the old Pod is still there"
            );
            Ok(())
        })
        .await?;
        // The new one works: it takes over the Lease and answers a change of another Registry.
        Registry::apply(
            scene,
            "second",
            json!({"storage": {"ephemeral": {"sizeLimit": "16Mi"}}}),
        )
        .await?;
        Registry {
            scene,
            name: "second",
        }
        .until_ready()
        .await?;

        let after = versions(&children(&registry).await?);
        ensure!(
            after == before,
            "children changed:\nbefore {before:#?}\nafter {after:#?}"
        );
        ensure!(
            uid(&registry.ready_pod().await?) == pod,
            "the registry's Pod was replaced"
        );
        ensure!(
            registry.object().await?.metadata.resource_version == status,
            "the status was rewritten"
        );
        client.validate("team/hello:v1").await?;
        Ok(())
    })
    .await;
}
