//! A Registry that was deleted and created again under its name while a pass over the former one was under way.

use kube::api::DeleteParams;
use portolan_crds::v1alpha1::{RegistryStatus, StorageStatus};
use portolan_operator::registry_controller::update_status::{Written, update_status};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test]
async fn status_of_a_deleted_registry_does_not_end_on_its_namesake() {
    let scene = Scene::new("namesake").await;
    let spec = json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}});
    let former = scene.registry("depot", spec.clone()).await;
    scene
        .registries()
        .delete("depot", &DeleteParams::default())
        .await
        .unwrap();
    scene.registry("depot", spec).await;

    let late = RegistryStatus {
        storage: Some(StorageStatus {
            claim_name: Some("claim-of-the-former".to_owned()),
            ..StorageStatus::default()
        }),
        ..RegistryStatus::default()
    };
    let (written, nothing) = (Written::default(), RegistryStatus::default());
    let is_written = update_status(&scene.client, &written, &former.metadata, &nothing, &late).await;
    assert!(!is_written.unwrap());
    let next = scene.registries().get("depot").await.unwrap();
    assert_eq!(next.status.and_then(|status| status.storage), None);
}
