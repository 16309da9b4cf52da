//! Whose claim a Registry may use, and who owns it.

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::scene::{Child, Scene, condition, message};
use crate::wait::until;

fn claim_of(uid: &str) -> Value {
    json!({
        "metadata": {"labels": {"portolan.dev/registry": "depot", "portolan.dev/registry-uid": uid}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

async fn claim(scene: &Scene, name: &str) -> kube::api::DynamicObject {
    until(&format!("claim {name} exists"), async || {
        scene
            .find(&Child {
                kind: "PersistentVolumeClaim",
                name: name.to_owned(),
            })
            .await
    })
    .await
}

/// Gives the claim a volume of its own, as an administrator without a provisioner does; the cluster's own controller
/// binds both.
async fn bind(scene: &Scene, name: &str) {
    claim(scene, name).await;
    let volumes = Api::<PersistentVolume>::all(scene.client.clone());
    let volume = json!({
        "metadata": {"name": format!("{}-{name}", scene.namespace)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": scene.namespace, "name": name},
            "hostPath": {"path": "/nonexistent"},
        },
    });
    volumes
        .create(&PostParams::default(), &serde_json::from_value(volume).unwrap())
        .await
        .unwrap();
    until(&format!("claim {name} is bound"), async || {
        (claim(scene, name).await.data["status"]["phase"] == "Bound").then_some(())
    })
    .await;
}

/// Waits until the garbage collector took everything that the deleted Registry controlled.
async fn no_children(scene: &Scene, children: &[Child]) {
    until("no child is left", async || {
        for child in children {
            if scene.find(child).await.is_some() {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn registry_deleted_under_retain_keeps_its_claim_for_the_next_one() {
    let scene = Scene::new("retained").await;
    let first = scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    let before = claim(&scene, "depot-data").await;
    let children = scene.all_children("depot").await;
    scene
        .registries()
        .delete("depot", &DeleteParams::default())
        .await
        .unwrap();
    no_children(&scene, &children).await;
    assert_eq!(
        claim(&scene, "depot-data").await.metadata.uid,
        before.metadata.uid
    );

    let next = json!({"storage": {"volume": {"existingClaimName": "depot-data"}}});
    let next = scene.registry("depot", next).await;
    assert_ne!(next.metadata.uid, first.metadata.uid);
    scene.all_children("depot").await;
    let adopted = claim(&scene, "depot-data").await;
    assert_eq!(adopted.metadata.uid, before.metadata.uid);
    until("the claim carries the new UID", async || {
        let labels = claim(&scene, "depot-data").await.metadata.labels?;
        (labels.get("portolan.dev/registry-uid") == next.metadata.uid.as_ref()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn registry_deleted_under_delete_takes_its_claim_along() {
    let scene = Scene::new("taken").await;
    let spec = json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}});
    scene.registry("depot", spec).await;
    claim(&scene, "depot-data").await;
    let mut children = scene.all_children("depot").await;
    children.push(Child {
        kind: "PersistentVolumeClaim",
        name: "depot-data".to_owned(),
    });
    scene
        .registries()
        .delete("depot", &DeleteParams::default())
        .await
        .unwrap();
    no_children(&scene, &children).await;
}

#[tokio::test]
async fn retained_claim_is_owned_by_nobody_and_carries_the_uid() {
    let scene = Scene::new("retain").await;
    let registry = scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    let claim = claim(&scene, "depot-data").await;
    assert_eq!(claim.metadata.owner_references.unwrap_or_default(), []);
    assert_eq!(
        claim.metadata.labels.unwrap().get("portolan.dev/registry-uid"),
        registry.metadata.uid.as_ref()
    );
}

#[tokio::test]
async fn label_that_somebody_takes_off_the_claim_comes_back() {
    let scene = Scene::new("claim-label").await;
    let registry = scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    scene.all_children("depot").await;
    // Its name and UID are written down by the pass after the one that made it.
    until("the claim is remembered", async || {
        let credentials = scene.read("Secret", "depot-credentials").await;
        let annotations = credentials.metadata.annotations?;
        annotations.contains_key("portolan.dev/used-claim").then_some(())
    })
    .await;
    for value in [json!(null), json!("somebody-elses")] {
        let edit = json!({"metadata": {"labels": {"portolan.dev/registry-uid": value}}});
        scene.edit("PersistentVolumeClaim", "depot-data", &edit).await;
        until("the claim carries the UID again", async || {
            let labels = claim(&scene, "depot-data").await.metadata.labels?;
            (labels.get("portolan.dev/registry-uid") == registry.metadata.uid.as_ref()).then_some(())
        })
        .await;
    }
    let status = scene.registries().get("depot").await.unwrap().status.unwrap();
    assert_eq!(condition(&status, "Stalled").0, "");
}

#[tokio::test]
async fn claim_follows_the_deletion_policy() {
    let scene = Scene::new("policy").await;
    let spec = json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}});
    let registry = scene.registry("depot", spec).await;
    let owners = |claim: kube::api::DynamicObject| {
        let owners = claim.metadata.owner_references.unwrap_or_default();
        owners.into_iter().map(|owner| owner.uid).collect::<Vec<_>>()
    };
    let uid = registry.metadata.uid.unwrap();
    until("the Registry owns the claim", async || {
        (owners(claim(&scene, "depot-data").await) == [uid.clone()]).then_some(())
    })
    .await;
    scene.change("depot", json!({"deletionPolicy": "Retain"})).await;
    until("nobody owns the claim", async || {
        owners(claim(&scene, "depot-data").await).is_empty().then_some(())
    })
    .await;
    scene.change("depot", json!({"deletionPolicy": "Delete"})).await;
    until("the Registry owns the claim again", async || {
        (owners(claim(&scene, "depot-data").await) == [uid.clone()]).then_some(())
    })
    .await;
}

/// Waits until nothing binds the claim to a Registry any more.
async fn released(scene: &Scene, name: &str) {
    until("nobody owns the claim", async || {
        let owners = claim(scene, name).await.metadata.owner_references;
        owners.unwrap_or_default().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn switch_to_retain_releases_the_claim_whatever_else_holds_the_registry_up() {
    let wrong = [
        ("release-suspended", json!({"suspend": true})),
        (
            "release-stalled",
            json!({"tls": {"secretRef": {"name": "missing"}}}),
        ),
    ];
    for (test, wrong) in wrong {
        let scene = Scene::new(test).await;
        let spec = json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}});
        scene.registry("depot", spec).await;
        scene.all_children("depot").await;
        until("the Registry owns the claim", async || {
            let owners = claim(&scene, "depot-data").await.metadata.owner_references?;
            (owners.len() == 1).then_some(())
        })
        .await;
        scene.change("depot", wrong).await;
        scene.change("depot", json!({"deletionPolicy": "Retain"})).await;
        released(&scene, "depot-data").await;
    }
}

#[tokio::test]
async fn registry_that_is_on_its_way_out_still_releases_a_retained_claim() {
    let scene = Scene::new("release-leaving").await;
    let spec = json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}});
    scene.registry("depot", spec).await;
    scene.all_children("depot").await;
    let hold = async |finalizers: Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        let params = PatchParams::default();
        scene.registries().patch("depot", &params, &patch).await.unwrap();
    };
    hold(json!(["example.com/hold"])).await;
    scene
        .registries()
        .delete("depot", &DeleteParams::default())
        .await
        .unwrap();
    scene.change("depot", json!({"deletionPolicy": "Retain"})).await;
    released(&scene, "depot-data").await;
    hold(json!(null)).await;
}

#[tokio::test]
async fn retained_claim_is_released_whoever_bound_it_to_the_registry() {
    let scene = Scene::new("release-bound").await;
    let adopts = json!({"storage": {"volume": {"existingClaimName": "old"}}});
    let registry = scene.registry("depot", adopts).await;
    let mut bound = claim_of("of-a-deleted-one");
    bound["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": registry.metadata.uid,
        "controller": true,
    }]);
    scene.create("PersistentVolumeClaim", "old", bound).await;
    released(&scene, "old").await;
}

#[tokio::test]
async fn claim_of_a_deleted_registry_needs_to_be_named() {
    let scene = Scene::new("adopt").await;
    scene
        .create(
            "PersistentVolumeClaim",
            "depot-data",
            claim_of("of-a-deleted-one"),
        )
        .await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    let status = scene
        .status("depot", "it is stalled", |status| {
            condition(status, "Stalled").0 == "True"
        })
        .await;
    assert_eq!(condition(&status, "Stalled").1, "ClaimOfAnotherRegistry");
    let sentence = message(&status, "Stalled");
    assert!(sentence.contains("existingClaimName: depot-data"), "{sentence}");

    scene
        .change(
            "depot",
            json!({"storage": {"volume": {"existingClaimName": "depot-data"}}}),
        )
        .await;
    scene
        .status("depot", "it is no longer stalled", |status| {
            condition(status, "Stalled").0 != "True"
        })
        .await;
    scene.all_children("depot").await;
    assert_eq!(
        claim(&scene, "depot-data")
            .await
            .metadata
            .owner_references
            .unwrap_or_default(),
        []
    );
}

#[tokio::test]
async fn missing_existing_claim_is_awaited_and_never_made() {
    let scene = Scene::new("existing").await;
    scene
        .registry(
            "depot",
            json!({"storage": {"volume": {"existingClaimName": "old"}}}),
        )
        .await;
    let status = scene
        .status("depot", "it waits", |status| {
            condition(status, "StorageReady").1 == "DependencyNotReady"
        })
        .await;
    assert_eq!(condition(&status, "Reconciling").0, "True");
    assert!(message(&status, "StorageReady").contains("old"));
    assert!(
        scene
            .find(&Child {
                kind: "PersistentVolumeClaim",
                name: "old".to_owned()
            })
            .await
            .is_none()
    );
    scene
        .create("PersistentVolumeClaim", "old", claim_of("of-a-deleted-one"))
        .await;
    scene.all_children("depot").await;
}

#[tokio::test]
async fn claim_that_was_bound_and_vanished_is_not_replaced_by_an_empty_one() {
    let scene = Scene::new("lost").await;
    scene
        .registry("depot", json!({"storage": {"volume": {"size": "1Gi"}}}))
        .await;
    bind(&scene, "depot-data").await;
    let has_capacity = |status: &portolan_crds::v1alpha1::RegistryStatus| {
        status
            .storage
            .as_ref()
            .is_some_and(|storage| storage.capacity.is_some())
    };
    scene
        .status("depot", "the claim is seen as bound", has_capacity)
        .await;
    // Protected while a Pod could use it; nobody takes the finalizer away here.
    scene
        .edit(
            "PersistentVolumeClaim",
            "depot-data",
            &json!({"metadata": {"finalizers": null}}),
        )
        .await;
    scene.delete("PersistentVolumeClaim", "depot-data").await;
    let status = scene
        .status("depot", "it is stalled", |status| {
            condition(status, "Stalled").0 == "True"
        })
        .await;
    assert_eq!(condition(&status, "Stalled").1, "ClaimLost");
    assert!(
        scene
            .find(&Child {
                kind: "PersistentVolumeClaim",
                name: "depot-data".to_owned()
            })
            .await
            .is_none()
    );
}

#[tokio::test]
async fn missing_storage_class_is_awaited() {
    let scene = Scene::new("class").await;
    let class = scene.namespace.clone();
    scene
        .registry(
            "depot",
            json!({"storage": {"volume": {"size": "1Gi", "storageClassName": class}}}),
        )
        .await;
    let waits = |status: &_| condition(status, "StorageReady").1 == "DependencyNotReady";
    let status = scene.status("depot", "it waits for the class", waits).await;
    assert_eq!(
        (condition(&status, "Ready").0, condition(&status, "Reconciling").0),
        ("False", "True")
    );
    assert!(message(&status, "StorageReady").contains(&class));

    let classes = kube::Api::<k8s_openapi::api::storage::v1::StorageClass>::all(scene.client.clone());
    let made = json!({"metadata": {"name": class}, "provisioner": "example.com/none"});
    let made = serde_json::from_value(made).unwrap();
    classes.create(&PostParams::default(), &made).await.unwrap();
    claim(&scene, "depot-data").await;
    classes.delete(&class, &DeleteParams::default()).await.unwrap();
}
