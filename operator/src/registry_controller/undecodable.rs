//! The pass of a Registry that this version cannot read, such as one of a newer CRD: frees the claim that is to outlive it,
//! and says so in the status. In: its metadata, what the decoder said, the clock. IO; what to write is pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::ObjectMeta;
use portolan_crds::conditions::reasons::INVALID_SPEC;
use portolan_crds::conditions::{READY, STALLED};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::status::Failure;
use super::{Error, apply, update_status};
use crate::conditions::{self, Finding, Truth};
use crate::registry_controller::Context;

/// Also for one that is being deleted.
pub(super) async fn pass(
    context: &Context,
    metadata: &ObjectMeta,
    error: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let api = update_status::statuses(&context.client, metadata);
    let name = metadata.name.clone().unwrap_or_default();
    // The watch has nothing but metadata of it, and whatever the apply of a status leaves out is erased.
    let object = match api.get_opt(&name).await {
        Ok(Some(object)) if object.metadata.uid == metadata.uid => object,
        Ok(_) => return Ok(()),
        Err(source) => return Err(update_status::failed(name, source).into()),
    };
    let released = if keeps_claim(&object.data) {
        apply::release_claims_of(context, metadata).await
    } else {
        Ok(())
    };
    let known = object.data.get("status").cloned().unwrap_or_default();
    let status = status(&known, error, metadata.generation.unwrap_or_default(), now);
    if metadata.deletion_timestamp.is_none() && status != known {
        update_status::apply(&api, &object.metadata, &status).await?;
    }
    released.map_err(|error| Failure::from(&error).into())
}

/// Everything but a policy that this version knows to mean deletion: a claim too many costs less than lost images.
fn keeps_claim(object: &Value) -> bool {
    let is_adopted = object
        .pointer("/spec/storage/volume/existingClaimName")
        .is_some_and(|name| !name.is_null());
    let policy = object.pointer("/spec/deletionPolicy").and_then(Value::as_str);
    is_adopted || policy != Some("Delete")
}

/// The status as it was, with other conditions.
fn status(known: &Value, error: &str, generation: i64, now: Timestamp) -> Value {
    let message = format!("this version of the operator cannot read the object, correct the field: {error}");
    let findings = vec![
        Finding::new(READY, Truth::False, INVALID_SPEC, message.clone()),
        Finding::new(STALLED, Truth::True, INVALID_SPEC, message),
    ];
    let before: Vec<Condition> = known
        .get("conditions")
        .and_then(|before| Vec::deserialize(before).ok())
        .unwrap_or_default();
    let mut status = if known.is_object() {
        known.clone()
    } else {
        json!({})
    };
    status["observedGeneration"] = generation.into();
    status["conditions"] = json!(conditions::merge(&before, findings, generation, now));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_an_object_that_cannot_be_read_keeps_everything_but_its_conditions() {
        let known = json!({
            "observedGeneration": 3, "storage": {"claimName": "depot-data"}, "ofANewerVersion": [1],
            "conditions": [{"type": "Ready", "status": "False", "reason": "Progressing", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        });
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        let written = status(&known, "spec.new", 4, now);
        assert_eq!(written["storage"], known["storage"]);
        assert_eq!(written["ofANewerVersion"], json!([1]));
        assert_eq!(written["observedGeneration"], 4);
        assert_eq!(
            written["conditions"][0]["lastTransitionTime"],
            "2026-01-01T00:00:00Z"
        );
        assert_eq!(written["conditions"][1]["type"], "Stalled");
        assert_eq!(status(&written, "spec.new", 4, now), written);
        assert_eq!(status(&Value::Null, "spec.new", 4, now)["observedGeneration"], 4);
    }

    #[test]
    fn only_a_claim_that_is_known_to_go_may_go_with_what_cannot_be_read() {
        let keeps = |spec: Value| keeps_claim(&json!({"spec": spec}));
        assert!(!keeps(
            json!({"deletionPolicy": "Delete", "storage": {"volume": {"size": "1Gi"}}})
        ));
        assert!(keeps(json!({"deletionPolicy": "Retain"})));
        assert!(keeps(json!({"deletionPolicy": "Archive"})));
        assert!(keeps(json!({"deletionPolicy": {"after": "720h"}})));
        assert!(keeps(json!({})));
        let adopted = json!({"volume": {"existingClaimName": "depot-data"}});
        assert!(keeps(json!({"deletionPolicy": "Delete", "storage": adopted})));
    }
}
