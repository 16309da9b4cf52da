//! Who else claims a field of an object: its metadata and the path of the field come in, a field manager goes out. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::Contest;

/// The contest about this field of the object.
pub(super) fn contest(metadata: &ObjectMeta, field: &[String], ours: &str) -> Contest {
    Contest {
        field: field.join("."),
        manager: of(metadata, field, ours),
    }
}

/// The manager that wrote the field last, apart from `ours`. Nobody claims a field that was taken away.
fn of(metadata: &ObjectMeta, field: &[String], ours: &str) -> Option<String> {
    let claims_it = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref();
        entry.manager.as_deref() != Some(ours) && fields.is_some_and(|fields| covers(&fields.0, field))
    };
    let entries = metadata.managed_fields.iter().flatten().filter(claims_it);
    let last = entries.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last?.manager.clone()
}

/// Whether the set names the field, something below it, or as a leaf something above it.
fn covers(set: &Value, field: &[String]) -> bool {
    let Some((first, rest)) = field.split_first() else {
        return true;
    };
    let below = set.get(format!("f:{first}"));
    below.is_some_and(|below| below.as_object().is_none_or(serde_json::Map::is_empty) || covers(below, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "portolan-operator/registry";

    fn last(field: &str) -> Option<String> {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields});
        // An autoscaler writes through a subresource.
        let mut scale = entry(
            "kube-controller-manager",
            "2027-01-09T00:00:00Z",
            json!({"f:spec": {"f:replicas": {}}}),
        );
        scale["subresource"] = json!("scale");
        let metadata = serde_json::from_value(json!({"managedFields": [
            entry("kyverno", "2027-01-02T00:00:00Z", json!({"f:spec": {"f:selector": {}, "f:a": {"f:b": {}}}})),
            entry("kubectl", "2027-01-01T00:00:00Z", json!({"f:spec": {"f:selector": {}}})),
            entry(OURS, "2027-01-03T00:00:00Z", json!({"f:spec": {"f:selector": {}, "f:ours": {}}})),
            scale,
        ]}))
        .unwrap();
        let field: Vec<_> = field.split('.').map(str::to_owned).collect();
        of(&metadata, &field, OURS)
    }

    #[test]
    fn last_other_manager_of_a_field_is_named() {
        assert_eq!(last("spec.selector").as_deref(), Some("kyverno"));
        // An atomic map is a leaf, and a list may be named from above.
        assert_eq!(last("spec.selector.app").as_deref(), Some("kyverno"));
        assert_eq!(last("spec.a").as_deref(), Some("kyverno"));
        assert_eq!(last("spec.replicas").as_deref(), Some("kube-controller-manager"));
    }

    #[test]
    fn field_that_nobody_else_claims_is_nobodys() {
        assert_eq!(last("spec.ours"), None);
        assert_eq!(last("spec.a.c"), None);
        assert_eq!(last("data.key"), None);
    }
}
