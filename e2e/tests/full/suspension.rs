//! `suspend`: children are left as they are, status goes on, changes wait.

use std::time::Duration;

use anyhow::ensure;
use kube::api::{Patch, PatchParams};
use portolan_e2e::children::{children, content, versions};
use portolan_e2e::objects::Kind;
use portolan_e2e::registry::Registry;
use portolan_e2e::scene;
use portolan_e2e::wait::{REACTION, throughout, until};
use serde_json::json;

#[tokio::test]
async fn a_suspended_registry_is_left_alone_until_it_is_resumed() {
    scene::play("suspension", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let before = children(&registry).await?;
        registry.patch(json!({"suspend": true})).await?;
        registry.until_condition("Suspended", "True", "").await?;

        let maps = scene.api(Kind::ConfigMap);
        let edit = Patch::Merge(json!({"data": {"ca.crt": "edited while suspended"}}));
        maps.patch("registry-ca", &PatchParams::default(), &edit).await?;
        registry
            .patch(json!({"expose": {"service": {"annotations": {"example.com/waits": "yes"}}}}))
            .await?;
        registry.until_condition("Suspended", "True", "").await?;
        let edited = versions(&children(&registry).await?);
        throughout(
            "children are left as they are",
            Duration::from_secs(5),
            async || {
                let now = versions(&children(&registry).await?);
                ensure!(now == edited, "{now:?}");
                Ok(())
            },
        )
        .await?;
        // Status goes on being reported: a Pod that is gone is seen.
        registry.ready_pod().await?;
        registry.until_condition("Available", "True", "").await?;

        registry.patch(json!({"suspend": false})).await?;
        registry.until_ready().await?;
        until(
            "the edit is undone and the waiting change is made",
            REACTION,
            async || {
                let map = maps.get("registry-ca").await?;
                let wanted = &before[&(Kind::ConfigMap, "registry-ca".to_owned())];
                ensure!(
                    content(&map) == content(wanted),
                    "the ConfigMap still has the edit"
                );
                let service = scene.api(Kind::Service).get("registry").await?;
                let annotations = service.metadata.annotations.unwrap_or_default();
                ensure!(
                    annotations
                        .get("example.com/waits")
                        .is_some_and(|value| value == "yes"),
                    "{annotations:?}"
                );
                Ok(())
            },
        )
        .await?;
        let conditions = registry.object().await?.data["status"]["conditions"].to_string();
        ensure!(!conditions.contains("Suspended"), "still Suspended: {conditions}");
        Ok(())
    })
    .await;
}
