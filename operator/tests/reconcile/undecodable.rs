//! A Registry that this version cannot read, as one of a newer CRD is.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use portolan_crds::v1alpha1::Registry;
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::wait::until;

/// Lets the API server take a policy that this version does not know.
async fn newer_crd(scene: &Scene) {
    let crds: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/deletionPolicy/enum/-";
    let add = json!([{"op": "add", "path": field, "value": "Archive"}]);
    let patch = Patch::Json::<()>(serde_json::from_value(add).unwrap());
    crds.patch("registries.portolan.dev", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test]
async fn registry_that_cannot_be_read_is_stalled_and_keeps_its_claim_and_the_rest_of_its_status() {
    let scene = Scene::new("undecodable").await;
    let spec = json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}});
    scene.registry("depot", spec).await;
    let knows_claim = |status: &portolan_crds::v1alpha1::RegistryStatus| status.storage.is_some();
    scene.status("depot", "it knows its claim", knows_claim).await;
    let owners = async || {
        let claim = scene.read("PersistentVolumeClaim", "depot-data").await;
        claim.metadata.owner_references.unwrap_or_default().len()
    };
    assert_eq!(owners().await, 1);
    newer_crd(&scene).await;

    let resource = ApiResource::erase::<Registry>(&());
    let api = Api::<DynamicObject>::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    let change = Patch::Merge(json!({"spec": {"deletionPolicy": "Archive"}}));
    until("the API server takes the new policy", async || {
        api.patch("depot", &PatchParams::default(), &change).await.ok()
    })
    .await;
    let status = until("it is stalled", async || {
        let status = api.get("depot").await.unwrap().data["status"].clone();
        let is_stalled = |condition: &Value| condition["type"] == "Stalled";
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(is_stalled).then_some(status)
    })
    .await;
    assert_eq!(status["storage"]["claimName"], "depot-data");
    assert_ne!(status["endpoint"], Value::Null);
    // Nothing but Delete, and only where it can be read, lets the claim go.
    assert_eq!(owners().await, 0);
}
