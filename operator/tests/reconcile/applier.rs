//! What the API server makes of the applier's writes: creation, repair, removal of fields, and objects that changed or
//! were replaced since they were seen.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PropagationPolicy};
use portolan_operator::apply::{Applier, Deletion, Outcome};
use serde_json::json;

use crate::scene::Scene;

const OWNER: &str = "0b9e7d0e-0000-4000-8000-000000000001";

/// A place with an applier; the objects carry none of the labels that the operator looks for.
struct Place {
    scene: Scene,
    applier: Applier,
}

impl Place {
    async fn new(test: &str) -> Self {
        let scene = Scene::new(test).await;
        let applier = Applier::new(scene.client.clone(), "portolan-operator/registry");
        Self { scene, applier }
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.scene.client.clone(), &self.scene.namespace)
    }

    fn intent(&self, data: &serde_json::Value) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": "child", "namespace": self.scene.namespace},
            "data": data,
        }))
        .unwrap()
    }

    /// As the watch would show it, with a reference that the server does not have: no collector gets to see it.
    async fn observed(&self) -> ConfigMap {
        let mut observed = self.config_maps().get("child").await.unwrap();
        let owner = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "Registry", "name": "depot", "uid": OWNER, "controller": true,
        });
        observed.metadata.owner_references = Some(vec![serde_json::from_value(owner).unwrap()]);
        observed
    }

    async fn apply(&self, data: &serde_json::Value, observed: Option<&ConfigMap>) -> Outcome<ConfigMap> {
        self.applier
            .apply(&self.intent(data), observed, OWNER)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn field_that_was_posted_and_is_no_longer_intended_is_removed() {
    let place = Place::new("applier-removed").await;
    let created = place.apply(&json!({"a": "1", "b": "2"}), None).await;
    assert!(matches!(created, Outcome::Created(_)), "{created:?}");
    let updated = place
        .apply(&json!({"a": "1"}), Some(&place.observed().await))
        .await;
    let Outcome::Updated(updated) = updated else {
        panic!("{updated:?}")
    };
    assert_eq!(updated.data.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
    let managers: Vec<_> = updated
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .map(|entry| entry.operation)
        .collect();
    assert_eq!(managers, [Some("Apply".to_owned())]);
}

#[tokio::test]
async fn repair_keeps_metadata_of_others_and_owns_the_data_whole() {
    let place = Place::new("applier-others").await;
    place.apply(&json!({"ours": "1"}), None).await;
    let theirs = Patch::Merge(json!({
        "metadata": {"annotations": {"example.com/theirs": "2"}},
        "data": {"ours": "changed", "theirs": "2"},
    }));
    place
        .config_maps()
        .patch("child", &PatchParams::default(), &theirs)
        .await
        .unwrap();
    let repaired = place
        .apply(&json!({"ours": "1"}), Some(&place.observed().await))
        .await;
    let Outcome::Updated(repaired) = repaired else {
        panic!("{repaired:?}")
    };
    assert_eq!(serde_json::to_value(repaired.data).unwrap(), json!({"ours": "1"}));
    assert_eq!(repaired.metadata.annotations.unwrap()["example.com/theirs"], "2");
}

#[tokio::test]
async fn object_that_somebody_made_immutable_is_replaced_by_one_with_our_content() {
    let place = Place::new("applier-frozen").await;
    place.apply(&json!({"a": "1"}), None).await;
    let freeze = Patch::Merge(json!({"immutable": true}));
    let params = PatchParams::default();
    place
        .config_maps()
        .patch("child", &params, &freeze)
        .await
        .unwrap();
    let frozen = place.observed().await;
    for data in [json!({"a": "1"}), json!({"a": "2"})] {
        let outcome = place.apply(&data, Some(&frozen)).await;
        let now = place.observed().await;
        assert_ne!(now.uid(), frozen.uid());
        assert_eq!((now.immutable, now.data.unwrap()["a"].as_str()), (None, "1"));
        if data["a"] == "1" {
            assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
        } else {
            assert_eq!(outcome, Outcome::Stale, "what took its place is another object");
        }
    }
}

#[tokio::test]
async fn object_that_agrees_gets_no_request() {
    let place = Place::new("applier-agrees").await;
    place.apply(&json!({"a": "1"}), None).await;
    let observed = place.observed().await;
    let outcome = place.apply(&json!({"a": "1"}), Some(&observed)).await;
    assert_eq!(outcome, Outcome::Unchanged(observed.clone()));
    assert_eq!(
        place.observed().await.resource_version(),
        observed.resource_version()
    );
}

#[tokio::test]
async fn object_that_was_there_first_is_not_overwritten() {
    let place = Place::new("applier-first").await;
    place.apply(&json!({"a": "1"}), None).await;
    assert_eq!(place.apply(&json!({"a": "2"}), None).await, Outcome::Stale);
    assert_eq!(place.observed().await.data.unwrap()["a"], "1");
}

#[tokio::test]
async fn object_that_replaced_the_seen_one_is_neither_written_nor_deleted() {
    let place = Place::new("applier-replaced").await;
    for posted in [true, false] {
        place.apply(&json!({"a": "1"}), None).await;
        if !posted {
            // The second time the seen object has nothing left to hand over to server-side apply.
            place
                .apply(&json!({"a": "2"}), Some(&place.observed().await))
                .await;
        }
        let seen = place.observed().await;
        place.scene.delete("ConfigMap", "child").await;
        assert_eq!(place.apply(&json!({"a": "3"}), Some(&seen)).await, Outcome::Stale);
        place
            .scene
            .create("ConfigMap", "child", json!({"data": {"a": "theirs"}}))
            .await;
        assert_eq!(place.apply(&json!({"a": "3"}), Some(&seen)).await, Outcome::Stale);
        let deletion = place
            .applier
            .delete(&seen, PropagationPolicy::Background)
            .await
            .unwrap();
        assert_eq!(deletion, Deletion::Stale);
        assert_eq!(place.observed().await.data.unwrap()["a"], "theirs");
        place.scene.delete("ConfigMap", "child").await;
    }
}

#[tokio::test]
async fn object_that_changed_since_it_was_seen_is_not_deleted() {
    let place = Place::new("applier-changed").await;
    place.apply(&json!({"a": "1"}), None).await;
    let seen = place.observed().await;
    let change = Patch::Merge(json!({"data": {"a": "2"}}));
    place
        .config_maps()
        .patch("child", &PatchParams::default(), &change)
        .await
        .unwrap();
    let delete = async |object: &ConfigMap| {
        place
            .applier
            .delete(object, PropagationPolicy::Background)
            .await
            .unwrap()
    };
    assert_eq!(delete(&seen).await, Deletion::Stale);
    let seen = place.observed().await;
    assert_eq!(delete(&seen).await, Deletion::Accepted);
    assert_eq!(delete(&seen).await, Deletion::Absent);
}
