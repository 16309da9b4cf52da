//! A registry with which something is wrong is still repaired and renewed, and stays stalled meanwhile.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::certificate::{leaf, tls_secret};
use crate::scene::{Child, Scene, condition};
use crate::wait::until;

/// Deletes the children and waits until each is there again, while the verdict stays what it was.
async fn come_back(scene: &Scene, reason: &str, children: &[(&'static str, &str)]) {
    for (kind, name) in children {
        let before = scene.read(kind, name).await;
        scene.delete(kind, name).await;
        let child = Child {
            kind,
            name: (*name).to_owned(),
        };
        until(&format!("{kind} {name} is there again"), async || {
            let now = scene.find(&child).await?;
            (now.metadata.uid != before.metadata.uid).then_some(())
        })
        .await;
        let status = scene.registries().get("depot").await.unwrap().status.unwrap();
        assert_eq!(condition(&status, "Stalled"), ("True", reason), "{kind} {name}");
    }
}

async fn stalled(scene: &Scene, reason: &str) {
    scene
        .status("depot", &format!("it is stalled with {reason}"), |status| {
            condition(status, "Stalled") == ("True", reason)
        })
        .await;
}

#[tokio::test]
async fn children_come_back_while_a_growth_is_refused() {
    let scene = Scene::new("refused").await;
    let class = scene.namespace.clone();
    let classes = Api::<StorageClass>::all(scene.client.clone());
    let fixed = json!({"metadata": {"name": class}, "provisioner": "example.com/none"});
    let fixed = serde_json::from_value(fixed).unwrap();
    classes.create(&PostParams::default(), &fixed).await.unwrap();
    let size = |size: &str| json!({"storage": {"volume": {"size": size, "storageClassName": class}}});
    scene.registry("depot", size("1Gi")).await;
    scene.all_children("depot").await;
    let volume = json!({
        "metadata": {"name": class},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": class,
            "claimRef": {"namespace": scene.namespace, "name": "depot-data"}, "hostPath": {"path": "/nonexistent"},
        },
    });
    let volumes = Api::<PersistentVolume>::all(scene.client.clone());
    let volume = serde_json::from_value(volume).unwrap();
    volumes.create(&PostParams::default(), &volume).await.unwrap();
    until("the claim is bound", async || {
        let claim = scene.read("PersistentVolumeClaim", "depot-data").await;
        (claim.data["status"]["phase"] == "Bound").then_some(())
    })
    .await;
    scene.change("depot", size("2Gi")).await;
    stalled(&scene, "StorageClassNotExpandable").await;
    let all = [
        ("Service", "depot"),
        ("Secret", "depot-push"),
        ("Secret", "depot-tls"),
        ("StatefulSet", "depot"),
    ];
    come_back(&scene, "StorageClassNotExpandable", &all).await;
    let claim = scene.read("PersistentVolumeClaim", "depot-data").await;
    assert_eq!(claim.data["spec"]["resources"]["requests"]["storage"], "1Gi");
    classes.delete(&class, &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn children_come_back_while_the_certificate_is_garbage() {
    let scene = Scene::new("garbage").await;
    let leaf = leaf(&format!("depot.{}.svc", scene.namespace));
    let good = tls_secret(&leaf.certificate_pem, &leaf.key_pem);
    scene.create("Secret", "theirs", good).await;
    let spec = json!({"storage": {"volume": {"size": "1Gi"}}, "tls": {"secretRef": {"name": "theirs"}}});
    scene.registry("depot", spec).await;
    let set = Child {
        kind: "StatefulSet",
        name: "depot".to_owned(),
    };
    let before = until("the StatefulSet exists", async || scene.find(&set).await).await;
    let garbage = tls_secret("garbage", "garbage");
    scene.edit("Secret", "theirs", &garbage).await;
    stalled(&scene, "CertificateUnusable").await;
    let all = [
        ("Service", "depot"),
        ("Secret", "depot-push"),
        ("Secret", "depot-users"),
    ];
    come_back(&scene, "CertificateUnusable", &all).await;
    let template = |object: &kube::api::DynamicObject| object.data["spec"]["template"].clone();
    let after = scene.read("StatefulSet", "depot").await;
    assert_eq!(template(&after), template(&before));
}

#[tokio::test]
async fn children_come_back_beside_a_foreign_object() {
    let scene = Scene::new("beside").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    let disown = json!({"metadata": {"ownerReferences": null}, "data": {"ca.crt": "theirs"}});
    let theirs = scene.edit("ConfigMap", "depot-ca", &disown).await;
    stalled(&scene, "ForeignObjectConflict").await;
    let all = [
        ("Service", "depot"),
        ("Secret", "depot-push"),
        ("Secret", "depot-tls"),
    ];
    come_back(&scene, "ForeignObjectConflict", &all).await;
    assert_eq!(scene.read("ConfigMap", "depot-ca").await, theirs);
}

#[tokio::test]
async fn children_come_back_while_the_claim_is_lost() {
    let scene = Scene::new("lost-maintained").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    let memory = async || {
        let set = scene.read("StatefulSet", "depot").await;
        set.metadata.annotations?.get("portolan.dev/used-claim").cloned()
    };
    let remembered = until("the claim is remembered", memory).await;
    let free: Value = json!({"metadata": {"finalizers": null}});
    scene.edit("PersistentVolumeClaim", "depot-data", &free).await;
    scene.delete("PersistentVolumeClaim", "depot-data").await;
    stalled(&scene, "ClaimLost").await;
    come_back(
        &scene,
        "ClaimLost",
        &[("Service", "depot"), ("Secret", "depot-push")],
    )
    .await;
    assert_eq!(memory().await, Some(remembered));
}
