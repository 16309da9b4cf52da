//! A Registry as its user has it: apply and change the spec, wait for what status says, read the generated Secrets.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::conditions::{Condition, conditions};
use crate::objects::{self, Kind, text, uid};
use crate::scene::Scene;
use crate::wait::{REACTION, READY, until};

/// A Registry of a scene, by name.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a> {
    pub scene: &'a Scene,
    pub name: &'a str,
}

/// What a client needs: the generated Secret's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub endpoint: String,
    pub username: String,
    pub password: String,
    pub certificate_authority: String,
    pub docker_config: String,
}

impl<'a> Registry<'a> {
    /// Applies a Registry with this spec.
    pub async fn apply(scene: &'a Scene, name: &'a str, spec: Value) -> Result<Registry<'a>> {
        objects::apply(
            &scene.api(Kind::Registry),
            Kind::Registry,
            name,
            json!({"spec": spec}),
        )
        .await?;
        Ok(Registry { scene, name })
    }

    /// Applies a Registry on a small volume of the default class and waits until it is Ready.
    pub async fn ready(scene: &'a Scene, name: &'a str) -> Result<Registry<'a>> {
        let registry = Registry::apply(scene, name, volume("64Mi")).await?;
        registry.until_ready().await?;
        Ok(registry)
    }

    /// Merges into the spec, as `kubectl patch --type=merge` does; null removes.
    pub async fn patch(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.scene
            .api(Kind::Registry)
            .patch(self.name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    pub async fn delete(&self) -> Result<()> {
        self.scene
            .api(Kind::Registry)
            .delete(self.name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    pub async fn object(&self) -> Result<DynamicObject> {
        Ok(self.scene.api(Kind::Registry).get(self.name).await?)
    }

    /// Waits until Ready is True for the newest generation.
    pub async fn until_ready(&self) -> Result<DynamicObject> {
        let fact = format!("Registry {} is Ready", self.name);
        until(&fact, READY, async || {
            let object = self.object().await?;
            is_current(&object)?;
            demand(&object, "Ready", "True", "")?;
            Ok(object)
        })
        .await
    }

    /// Waits until a condition of the newest generation has this status and reason (an empty reason is any).
    pub async fn until_condition(&self, kind: &str, status: &str, reason: &str) -> Result<Condition> {
        let fact = format!("Registry {}: {kind}={status} {reason}", self.name);
        until(&fact, REACTION, async || {
            let object = self.object().await?;
            is_current(&object)?;
            demand(&object, kind, status, reason)
        })
        .await
    }

    /// The content of the generated Secret `<registry>-<purpose>` (`push` or `pull`).
    pub async fn login(&self, purpose: &str) -> Result<Login> {
        let name = format!("{}-{purpose}", self.name);
        let secret = self
            .scene
            .api(Kind::Secret)
            .get(&name)
            .await
            .with_context(|| format!("no Secret {name}"))?;
        let key = |key: &str| -> Result<String> {
            let data = secret.data["data"][key]
                .as_str()
                .with_context(|| format!("Secret {name} has no key {key}"))?;
            Ok(String::from_utf8(STANDARD.decode(data)?)?)
        };
        Ok(Login {
            endpoint: key("registry")?,
            username: key("username")?,
            password: key("password")?,
            certificate_authority: key("ca.crt").unwrap_or_default(), // unknown for a certificate of one's own without it
            docker_config: key(".dockerconfigjson")?,
        })
    }

    /// The `ClusterIP` of its Service.
    pub async fn cluster_ip(&self) -> Result<String> {
        let service = self.scene.api(Kind::Service).get(self.name).await?;
        let address = text(&service, "/spec/clusterIP").to_owned();
        ensure!(
            !address.is_empty() && address != "None",
            "Service {} has no ClusterIP",
            self.name
        );
        Ok(address)
    }

    /// Its one Pod, when it is Ready and not going away.
    pub async fn ready_pod(&self) -> Result<DynamicObject> {
        let name = format!("{}-0", self.name);
        let pod = self.scene.api(Kind::Pod).get(&name).await?;
        ensure!(
            pod.metadata.deletion_timestamp.is_none(),
            "Pod {name} is terminating"
        );
        ensure!(
            conditions(&pod)
                .iter()
                .any(|c| c.kind == "Ready" && c.status == "True"),
            "Pod {name} is not ready"
        );
        Ok(pod)
    }

    /// Kills its Pod without grace and waits until another one is Ready.
    pub async fn kill_pod(&self) -> Result<()> {
        let pods = self.scene.api(Kind::Pod);
        let name = format!("{}-0", self.name);
        let before = uid(&pods.get(&name).await?);
        pods.delete(&name, &DeleteParams::default().grace_period(0))
            .await?;
        until("another Pod is Ready", READY, async || {
            let pod = self.ready_pod().await?;
            ensure!(uid(&pod) != before, "the old Pod is still there");
            Ok(())
        })
        .await?;
        self.until_ready().await.map(drop)
    }
}

/// The spec of a Registry on a volume of the default class.
pub fn volume(size: &str) -> Value {
    json!({"storage": {"volume": {"size": size}}})
}

/// Fails unless the status speaks about the spec as it is now.
pub fn is_current(object: &DynamicObject) -> Result<()> {
    let observed = object
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64);
    ensure!(
        observed == object.metadata.generation,
        "status is about generation {observed:?}, not {:?}",
        object.metadata.generation
    );
    Ok(())
}

/// The condition, when it has this status and reason (an empty reason is any).
pub fn demand(object: &DynamicObject, kind: &str, status: &str, reason: &str) -> Result<Condition> {
    let conditions = conditions(object);
    match conditions.iter().find(|condition| condition.kind == kind) {
        Some(found) if found.status == status && (reason.is_empty() || found.reason == reason) => {
            Ok(found.clone())
        }
        _ => {
            let seen: Vec<_> = conditions
                .iter()
                .map(|c| format!("{}={} {}: {}", c.kind, c.status, c.reason, c.message))
                .collect();
            bail!("conditions are [{}]", seen.join("; "))
        }
    }
}
