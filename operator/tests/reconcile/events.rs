//! What `kubectl describe` tells of what happened to a Registry.

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::scene::Scene;
use crate::wait::until;

async fn notes(scene: &Scene, reason: &str) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(scene.client.clone(), &scene.namespace);
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let of_reason = events
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some(reason));
    of_reason.filter_map(|event| event.note).collect()
}

#[tokio::test]
async fn each_secret_that_was_lost_is_told_in_words_of_its_own() {
    let scene = Scene::new("told").await;
    let spec = json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}});
    scene.registry("depot", spec).await;
    scene.all_children("depot").await;
    for name in ["depot-token-keys", "depot-ca-key"] {
        scene.delete("Secret", name).await;
        until(&format!("an event tells that {name} was lost"), async || {
            let told = notes(&scene, "SecretLost").await;
            told.iter().any(|note| note.contains(name)).then_some(())
        })
        .await;
    }
    let issued = notes(&scene, "CertificateIssued").await;
    let tells = |what: &str| issued.iter().any(|note| note.contains(what));
    assert!(
        tells("made a certificate authority") && tells("issued a certificate"),
        "{issued:?}"
    );
}
