//! Children that somebody deletes or edits by hand come back as they were.

use anyhow::{Result, bail, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use portolan_e2e::children::{Children, children, content};
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::{Kind, text, uid};
use portolan_e2e::registry::Registry;
use portolan_e2e::wait::{REACTION, until};
use portolan_e2e::{node, pod, scene};
use serde_json::{Value, json};

use crate::hello;

/// Children whose content is random: what somebody overwrote cannot come back, so something new and usable does.
const RENEWED: [&str; 5] = ["-tls", "-ca-key", "-token-keys", "-admin", "-credentials"];

/// "garbage" as Secrets carry it.
const GARBAGE: &str = "Z2FyYmFnZQ==";

/// Every child but the claim.
async fn repairable(registry: &Registry<'_>) -> Result<Children> {
    let mut found = children(registry).await?;
    found.retain(|(kind, _), _| *kind != Kind::PersistentVolumeClaim);
    Ok(found)
}

#[tokio::test]
async fn children_deleted_by_hand_come_back_one_by_one() {
    scene::play("deleted-children", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "deleted children").await?;
        Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;

        for ((kind, name), child) in repairable(&registry).await? {
            let api = scene.api(kind);
            if api
                .get_opt(&name)
                .await?
                .is_none_or(|now| uid(&now) != uid(&child))
            {
                continue; // replaced because of one that was deleted before
            }
            let login = registry.login("push").await?;
            api.delete(&name, &DeleteParams::default()).await?;
            until(&format!("{kind:?} {name} is back"), REACTION, async || {
                ensure!(
                    uid(&api.get(&name).await?) != uid(&child),
                    "the old one is still there"
                );
                Ok(())
            })
            .await?;
            registry.until_ready().await?;
            let kept = registry.login("push").await?;
            if !name.ends_with("-credentials") {
                ensure!(
                    kept.password == login.password,
                    "deleting {kind:?} {name} changed the password"
                );
            }
            until(
                &format!("the image is served after {kind:?} {name} was deleted"),
                REACTION,
                async || {
                    let found = Crane::login(&registry, "pull")
                        .await?
                        .digest("team/hello:v1")
                        .await?;
                    ensure!(found == image.digest, "another image");
                    Ok(())
                },
            )
            .await?;
        }
        Ok(())
    })
    .await;
}

fn is_renewed(kind: Kind, name: &str) -> bool {
    kind == Kind::Secret && RENEWED.iter().any(|suffix| name.ends_with(suffix))
}

#[tokio::test]
async fn children_edited_by_hand_are_put_right() {
    scene::play("edited-children", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let before = repairable(&registry).await?;
        for ((kind, name), child) in before.iter().filter(|((kind, name), _)| !is_renewed(*kind, name)) {
            let api = scene.api(*kind);
            if child.data["immutable"] == json!(true) {
                continue; // the API server refuses the edit
            }
            let edited = api
                .patch(
                    name,
                    &PatchParams::default(),
                    &Patch::Merge(edit_of(*kind, child)?),
                )
                .await?;
            let wanted = content(child);
            ensure!(
                content(&edited) != wanted,
                "the edit of {kind:?} {name} changes nothing"
            );
            until(&format!("{kind:?} {name} is put right"), REACTION, async || {
                let now = api.get(name).await?;
                ensure!(uid(&now) == uid(child), "it was replaced");
                ensure!(
                    content(&now) == wanted,
                    "it is {}",
                    redacted(*kind, &content(&now))
                );
                Ok(())
            })
            .await?;
        }
        registry.until_ready().await?;
        let image = hello(scene, "edited children").await?;
        Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn garbage_in_generated_secrets_is_replaced_by_something_usable() {
    scene::play("edited-secrets", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "edited Secrets").await?;
        Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let secrets = scene.api(Kind::Secret);
        for suffix in RENEWED {
            let name = format!("registry{suffix}");
            let edit = edit_of(Kind::Secret, &secrets.get(&name).await?)?;
            secrets
                .patch(&name, &PatchParams::default(), &Patch::Merge(edit))
                .await?;
            until(&format!("Secret {name} is usable again"), REACTION, async || {
                let data = secrets.get(&name).await?.data["data"].to_string();
                ensure!(!data.contains(GARBAGE), "it still holds garbage");
                let found = Crane::login(&registry, "pull")
                    .await?
                    .digest("team/hello:v1")
                    .await?;
                ensure!(found == image.digest, "another image");
                Ok(())
            })
            .await?;
            registry.until_ready().await?;
        }
        Ok(())
    })
    .await;
}

/// Something that a well-meaning person might change.
fn edit_of(kind: Kind, child: &kube::api::DynamicObject) -> Result<Value> {
    Ok(match kind {
        Kind::Service => json!({"spec": {"selector": {"portolan.dev/registry": "somebody-else"}}}),
        Kind::StatefulSet => json!({"spec": {"replicas": 0}}),
        Kind::ServiceAccount => json!({"automountServiceAccountToken": true}),
        Kind::ConfigMap => json!({"data": {"ca.crt": "not a certificate"}}),
        Kind::Secret => {
            // What hurts most: the private key, where there is one.
            let keys: Vec<_> = child.data["data"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key)
                .collect();
            let private = keys
                .iter()
                .find(|key| matches!(key.rsplit_once('.'), Some((_, "pem" | "key"))));
            let Some(key) = private.or(keys.last()) else {
                bail!("a Secret without data");
            };
            json!({"data": {*key: GARBAGE}})
        }
        other => bail!("no edit for {other:?}"),
    })
}

fn redacted(kind: Kind, content: &Value) -> String {
    if kind == Kind::Secret {
        "a Secret with other content".into()
    } else {
        content.to_string()
    }
}

#[tokio::test]
async fn a_deleted_service_gets_an_address_that_the_next_pull_uses() {
    scene::play("new-address", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "a new address").await?;
        let name = Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let login = registry.login("pull").await?;
        node::trust(&registry, &login).await?;
        pod::run(scene, "before", &name, "registry-pull").await?;

        let pod = uid(&registry.ready_pod().await?);
        let serial = text(&registry.object().await?, "/status/tls/servedSerial").to_owned();
        ensure!(!serial.is_empty(), "status tells no served serial");
        let before = registry.cluster_ip().await?;
        let services = scene.api(Kind::Service);
        let old = uid(&services.get("registry").await?);
        services.delete("registry", &DeleteParams::default()).await?;
        // Holds the old address, so that the new Service cannot get it by chance.
        let squatter = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "squatter"},
            "spec": {"clusterIP": before, "ports": [{"port": 443}]},
        });
        let second = services
            .patch("squatter", &PatchParams::apply("e2e"), &Patch::Apply(&squatter))
            .await;
        until("another Service is there", REACTION, async || {
            ensure!(
                uid(&services.get("registry").await?) != old,
                "the old one is still there"
            );
            Ok(())
        })
        .await?;
        // Ready may still be the word about the old Service: the generation has not changed.
        until(
            "the certificate for the new address is served",
            REACTION,
            async || {
                let served = text(&registry.object().await?, "/status/tls/servedSerial").to_owned();
                ensure!(!served.is_empty() && served != serial, "{served:?} is served");
                Ok(())
            },
        )
        .await?;
        registry.until_ready().await?;
        let after = registry.cluster_ip().await?;
        ensure!(
            second.is_err() || after != before,
            "two Services have the address {before}"
        );

        node::trust(&registry, &registry.login("pull").await?).await?;
        // The node connects to https://<new address>: the certificate must name it.
        let newer = hello(scene, "a newer image").await?;
        let name = Crane::login(&registry, "push")
            .await?
            .push(&newer, "team/hello:v2")
            .await?;
        let log = pod::run(scene, "after", &name, "registry-pull").await?;
        ensure!(log == newer.message, "the Pod printed {log:?}");
        ensure!(uid(&registry.ready_pod().await?) == pod, "the Pod was replaced");
        Ok(())
    })
    .await;
}
