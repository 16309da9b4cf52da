//! Objects of others that happen to have a name we would use: never touched, always named in the status.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, DynamicObject};
use portolan_e2e::children::children;
use portolan_e2e::objects::{Kind, apply};
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::scene::{self, Scene};
use serde_json::{Value, json};

/// Each name of a child, with something of somebody else's under it.
fn foreign() -> Vec<(Kind, &'static str, Value)> {
    let secret = json!({"stringData": {"somebody": "else"}});
    let service = json!({"spec": {"ports": [{"port": 80}], "selector": {"app": "somebody-else"}}});
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    let mut all = vec![
        (Kind::Service, "", service.clone()),
        (Kind::Service, "-pods", service),
        (
            Kind::ServiceAccount,
            "",
            json!({"automountServiceAccountToken": true}),
        ),
        (Kind::ConfigMap, "-ca", json!({"data": {"somebody": "else"}})),
        (Kind::PersistentVolumeClaim, "-data", claim),
        (Kind::StatefulSet, "", stateful_set()),
    ];
    let purposes = [
        "-tls",
        "-ca-key",
        "-token-keys",
        "-admin",
        "-users",
        "-credentials",
        "-push",
        "-pull",
    ];
    all.extend(purposes.map(|purpose| (Kind::Secret, purpose, secret.clone())));
    all
}

fn stateful_set() -> Value {
    let labels = json!({"app": "somebody-else"});
    let container = json!({"name": "main", "image": "localhost/nothing:1"});
    json!({"spec": {
        "replicas": 0, "serviceName": "nothing", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }})
}

/// Everything about the object that somebody could have changed; only controllers of Kubernetes write status.
fn bytes(object: &DynamicObject) -> String {
    let mut object = object.clone();
    object.metadata.resource_version = None;
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
    // Entries about status are Kubernetes' own controllers'; the time of an entry is not content.
    let entries = object.metadata.managed_fields.get_or_insert_default();
    entries.retain(|entry| entry.subresource.is_none());
    for entry in entries {
        entry.time = None;
    }
    serde_json::to_string(&object).unwrap_or_default()
}

async fn put(scene: &Scene, kind: Kind, name: &str, body: Value) -> Result<DynamicObject> {
    apply(&scene.api(kind), kind, name, body).await
}

#[tokio::test]
async fn a_foreign_object_of_any_name_we_use_stays_as_it_is_and_is_named() {
    scene::play("foreign", async |scene| {
        let mut placed = BTreeMap::new();
        for (index, (kind, suffix, body)) in foreign().into_iter().enumerate() {
            let registry = format!("r{index}");
            let object = put(scene, kind, &format!("{registry}{suffix}"), body).await?;
            placed.insert(registry, (kind, object));
        }
        for registry in placed.keys() {
            Registry::apply(scene, registry, volume("16Mi")).await?;
        }
        for (name, (kind, object)) in &placed {
            let foreign = object.metadata.name.as_deref().context("a name")?;
            let registry = Registry { scene, name };
            let stalled = registry.until_condition("Stalled", "True", "").await?;
            ensure!(
                stalled.message.contains(foreign),
                "{kind:?} {foreign} is in the way, but the status says: {} {}",
                stalled.reason,
                stalled.message
            );
            if *kind != Kind::PersistentVolumeClaim {
                ensure!(
                    stalled.reason == "ForeignObjectConflict",
                    "{kind:?} {foreign}: {}",
                    stalled.reason
                );
            }
        }
        for (kind, object) in placed.values() {
            let foreign = object.metadata.name.as_deref().context("a name")?;
            let now = scene.api(*kind).get(foreign).await?;
            ensure!(
                bytes(&now) == bytes(object),
                "{kind:?} {foreign} was touched:\n{}\n{}",
                bytes(object),
                bytes(&now)
            );
        }
        // Its owner moves one away, and the Registry comes up without being touched.
        scene
            .api(Kind::Service)
            .delete("r0", &DeleteParams::default())
            .await?;
        Registry { scene, name: "r0" }.until_ready().await?;
        for index in 1..placed.len() {
            Registry {
                scene,
                name: &format!("r{index}"),
            }
            .delete()
            .await?;
        }
        for (kind, object) in placed.values().skip(1) {
            let foreign = object.metadata.name.as_deref().context("a name")?;
            if foreign == "r0" {
                continue;
            }
            let now = scene.api(*kind).get(foreign).await?;
            ensure!(
                now.metadata.deletion_timestamp.is_none(),
                "{kind:?} {foreign} went with the Registry"
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_object_that_takes_the_place_of_a_child_is_not_touched_either() {
    scene::play("usurped", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let config = children(&registry)
            .await?
            .into_keys()
            .find(|(_, name)| name.starts_with("registry-config-"));
        let (_, config) = config.context("no Secret registry-config-<hash>")?;
        for (kind, name) in [(Kind::ConfigMap, "registry-ca"), (Kind::Secret, &config)] {
            let api = scene.api(kind);
            registry.patch(json!({"suspend": true})).await?;
            registry.until_condition("Suspended", "True", "").await?;
            api.delete(name, &DeleteParams::default()).await?;
            let foreign = put(
                scene,
                kind,
                name,
                json!({"metadata": {"labels": {"somebody": "else"}}}),
            )
            .await?;
            registry.patch(json!({"suspend": false})).await?;
            let stalled = registry
                .until_condition("Stalled", "True", "ForeignObjectConflict")
                .await?;
            ensure!(stalled.message.contains(name), "{}", stalled.message);
            ensure!(
                bytes(&api.get(name).await?) == bytes(&foreign),
                "{kind:?} {name} was touched"
            );
            // What served goes on serving.
            registry.until_condition("Available", "True", "").await?;
            registry.ready_pod().await?;
            api.delete(name, &DeleteParams::default()).await?;
            registry.until_ready().await?;
        }
        Ok(())
    })
    .await;
}
