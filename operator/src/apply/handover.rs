//! Hands the fields that a POST wrote over to server-side apply: metadata comes in, a merge patch of its managedFields
//! goes out. Pure.
//!
//! A POST leaves its fields to our name with operation `Update`; server-side apply counts as another owner, and a field
//! that we stop sending would stay for ever. `kubectl` does the same when it moves from client-side apply.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value, json};

const APPLY: &str = "Apply";
const UPDATE: &str = "Update";

/// `None` when nothing is left to hand over. The patch fails with a conflict if the object changed meanwhile.
pub(super) fn patch(metadata: &ObjectMeta, manager: &str) -> Option<Value> {
    let entries = metadata.managed_fields.as_ref()?;
    let is_ours = |entry: &ManagedFieldsEntry, operation: &str| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some(operation)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    };
    let (handed_over, mut kept): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|entry| is_ours(entry, UPDATE));
    for mut entry in handed_over.clone() {
        let same =
            |kept: &&mut ManagedFieldsEntry| is_ours(kept, APPLY) && kept.api_version == entry.api_version;
        if let Some(existing) = kept.iter_mut().find(same) {
            existing.fields_v1 = union(existing.fields_v1.take(), entry.fields_v1);
        } else {
            entry.operation = Some(APPLY.to_owned());
            kept.push(entry);
        }
    }
    (!handed_over.is_empty()).then(|| {
        json!({"metadata": {"resourceVersion": metadata.resource_version, "uid": metadata.uid, "managedFields": kept}})
    })
}

fn union(left: Option<FieldsV1>, right: Option<FieldsV1>) -> Option<FieldsV1> {
    match (left, right) {
        (Some(mut left), Some(right)) => {
            merge(&mut left.0, right.0);
            Some(left)
        }
        (left, right) => left.or(right),
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        for (key, value) in from {
            merge(
                into.entry(key).or_insert_with(|| Value::Object(Map::new())),
                value,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: &str = "portolan-operator/registry";

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            api_version: Some("v1".to_owned()),
            fields_type: Some("FieldsV1".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: None,
            time: None,
        }
    }

    fn metadata(entries: Vec<ManagedFieldsEntry>) -> ObjectMeta {
        ObjectMeta {
            managed_fields: Some(entries),
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn fields_of_our_post_become_applied_and_those_of_others_stay() {
        let patch = patch(
            &metadata(vec![
                entry(MANAGER, "Update", json!({"f:spec": {"f:a": {}}})),
                entry("kubectl-edit", "Update", json!({"f:spec": {"f:b": {}}})),
            ]),
            MANAGER,
        )
        .unwrap();
        let entries = patch["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let operation = |manager: &str| {
            let entry = entries.iter().find(|entry| entry["manager"] == manager).unwrap();
            entry["operation"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            (operation(MANAGER).as_str(), operation("kubectl-edit").as_str()),
            ("Apply", "Update")
        );
    }

    #[test]
    fn two_entries_of_ours_become_one() {
        let patch = patch(
            &metadata(vec![
                entry(MANAGER, "Update", json!({"f:spec": {"f:a": {}}})),
                entry(MANAGER, "Apply", json!({"f:spec": {"f:b": {}}})),
            ]),
            MANAGER,
        )
        .unwrap();
        let entries = patch["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["fieldsV1"], json!({"f:spec": {"f:a": {}, "f:b": {}}}));
    }

    #[test]
    fn nothing_is_left_to_do_the_second_time() {
        assert_eq!(
            patch(&metadata(vec![entry(MANAGER, "Apply", json!({}))]), MANAGER),
            None
        );
        assert_eq!(patch(&ObjectMeta::default(), MANAGER), None);
    }
}
