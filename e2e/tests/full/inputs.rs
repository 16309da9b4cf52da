//! Specs that name something that is not there (yet): said in one sentence, healed by supplying it.

use anyhow::ensure;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use portolan_e2e::certificate::Authority;
use portolan_e2e::objects::{Kind, apply, uid};
use portolan_e2e::registry::{Registry, volume};
use portolan_e2e::scene;
use serde_json::json;

#[tokio::test]
async fn a_storage_class_that_comes_later_is_waited_for() {
    scene::play("class-later", async |scene| {
        let classes: Api<StorageClass> = Api::all(scene.client().clone());
        let local = classes.get("local").await?;
        let name = format!("later-{}", scene.namespace);
        let spec = json!({"storage": {"volume": {"size": "16Mi", "storageClassName": name}}});
        let registry = Registry::apply(scene, "registry", spec).await?;
        let ready = registry
            .until_condition("Ready", "False", "DependencyNotReady")
            .await?;
        ensure!(
            ready.message.contains(&name),
            "the class is not named: {}",
            ready.message
        );
        registry.until_condition("Reconciling", "True", "").await?;

        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": local.provisioner, "volumeBindingMode": local.volume_binding_mode,
            "reclaimPolicy": local.reclaim_policy,
        });
        classes
            .patch(&name, &PatchParams::apply("e2e"), &Patch::Apply(&class))
            .await?;
        let healed = registry.until_ready().await;
        classes.delete(&name, &DeleteParams::default()).await?;
        healed.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_comes_later_is_waited_for() {
    scene::play("secret-later", async |scene| {
        let spec = json!({"storage": {"volume": {"size": "16Mi"}}, "tls": {"secretRef": {"name": "later"}}});
        let registry = Registry::apply(scene, "registry", spec).await?;
        let ready = registry.until_condition("Ready", "False", "DependencyNotReady").await?;
        ensure!(ready.message.contains("later"), "the Secret is not named: {}", ready.message);
        registry.until_condition("Reconciling", "True", "").await?;

        let host = format!("registry.{}.svc", scene.namespace);
        let leaf = Authority::new("ours")?.issue(&[host])?;
        let body = json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": leaf.certificate, "tls.key": leaf.key}});
        apply(&scene.api(Kind::Secret), Kind::Secret, "later", body).await?;
        registry.until_ready().await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_healed_by_naming_a_good_one() {
    scene::play("bad-image", async |scene| {
        let spec =
            json!({"storage": {"volume": {"size": "16Mi"}}, "pod": {"image": "localhost/no-such-image:1"}});
        let registry = Registry::apply(scene, "registry", spec).await?;
        registry.until_condition("Ready", "False", "").await?;
        registry.until_condition("Available", "False", "").await?;
        registry.patch(json!({"pod": {"image": null}})).await?;
        registry.until_ready().await?;
        registry.ready_pod().await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn one_bad_registry_does_not_hold_up_another() {
    scene::play("neighbours", async |scene| {
        let good = Registry::ready(scene, "good").await?;
        let pod = uid(&good.ready_pod().await?);
        let spec = json!({"storage": {"volume": {"existingClaimName": "nowhere"}}});
        let bad = Registry::apply(scene, "bad", spec).await?;
        let ready = bad
            .until_condition("Ready", "False", "DependencyNotReady")
            .await?;
        ensure!(
            ready.message.contains("nowhere"),
            "the claim is not named: {}",
            ready.message
        );
        let third = Registry::apply(scene, "third", volume("16Mi")).await?;
        third.until_ready().await?;
        good.until_ready().await?;
        ensure!(uid(&good.ready_pod().await?) == pod, "the Pod was replaced");
        Ok(())
    })
    .await;
}
