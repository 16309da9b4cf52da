//! Keys of a Secret's or `ConfigMap`'s data that are not ours: what we intend and what is there come in, a merge patch that
//! removes them goes out. Pure.
//!
//! What the registry reads from such an object is all of its data, so we own it whole. Server-side apply alone would keep a
//! key for as long as anybody else claims it, a damaged key for instance that somebody wrote over one of ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

/// The keys that `observed` has and `intent`, if it has data at all, has not.
pub(super) fn keys(intent: &Value, observed: &Value) -> Vec<String> {
    let (Some(intended), Some(seen)) = (data(intent), data(observed)) else {
        return Vec::new();
    };
    seen.keys()
        .filter(|key| !intended.contains_key(*key))
        .cloned()
        .collect()
}

/// `patch`, extended by the removal of these keys. It fails with a conflict if the object changed meanwhile.
pub(super) fn removed(patch: Option<Value>, metadata: &ObjectMeta, keys: &[String]) -> Option<Value> {
    if keys.is_empty() {
        return patch;
    }
    let mut patch = patch.unwrap_or_else(
        || json!({"metadata": {"resourceVersion": metadata.resource_version, "uid": metadata.uid}}),
    );
    patch["data"] = keys
        .iter()
        .map(|key| (key.clone(), Value::Null))
        .collect::<Map<_, _>>()
        .into();
    Some(patch)
}

fn data(object: &Value) -> Option<&Map<String, Value>> {
    object.get("data")?.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_that_we_do_not_intend_is_removed() {
        let intent = json!({"data": {"active": "bmV3", "new.pem": "YQ=="}});
        let observed = json!({"data": {"active": "bmV3", "new.pem": "YQ==", "old.pem": "Z2FyYmFnZQ=="}});
        let keys = keys(&intent, &observed);
        assert_eq!(keys, ["old.pem"]);
        let metadata = ObjectMeta {
            resource_version: Some("7".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(
            removed(None, &metadata, &keys),
            Some(json!({"metadata": {"resourceVersion": "7", "uid": "u"}, "data": {"old.pem": null}}))
        );
    }

    #[test]
    fn removal_joins_a_patch_that_is_sent_anyway() {
        let patch = removed(
            Some(json!({"metadata": {"managedFields": []}})),
            &ObjectMeta::default(),
            &["a".to_owned()],
        );
        assert_eq!(
            patch,
            Some(json!({"metadata": {"managedFields": []}, "data": {"a": null}}))
        );
        assert_eq!(removed(None, &ObjectMeta::default(), &[]), None);
    }

    #[test]
    fn object_without_data_of_ours_has_no_surplus() {
        assert!(keys(&json!({"spec": {}}), &json!({"data": {"a": "b"}})).is_empty());
        assert!(keys(&json!({"data": {"a": "b"}}), &json!({"data": {"a": "c"}})).is_empty());
    }
}
