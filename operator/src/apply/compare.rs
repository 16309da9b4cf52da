//! Whether an object as the API server has it says what we intend: two JSON values come in. Pure.
//!
//! Only fields of the intent count; what was added beside them is for `surplus`. The server spells quantities its own
//! way; list entries that have a key are found by it, as server-side apply does.

use serde_json::{Map, Value};

use crate::quantity;

/// Fields below these names hold quantities.
const QUANTITIES: [&str; 6] = [
    "limits",
    "requests",
    "storage",
    "sizeLimit",
    "capacity",
    "divisor",
];
/// What identifies an entry of a list, the first that all entries of the intent have.
const KEYS: [&str; 3] = ["mountPath", "uid", "name"];

/// Whether every field of `intent` holds in `observed`.
pub(super) fn holds(intent: &Value, observed: &Value) -> bool {
    value_holds(intent, observed, false)
}

/// The part of `observed` that `intent` speaks about.
pub(super) fn reading(intent: &Value, observed: &Value) -> Value {
    match (intent, observed) {
        (Value::Object(fields), Value::Object(seen)) => Value::Object(
            fields
                .iter()
                .map(|(key, field)| (key.clone(), reading(field, seen.get(key).unwrap_or(&Value::Null))))
                .collect(),
        ),
        (Value::Array(items), Value::Array(seen)) => match list_key(items) {
            Some(key) => items
                .iter()
                .map(|item| reading(item, find(seen, key, item).unwrap_or(&Value::Null)))
                .collect(),
            None => observed.clone(),
        },
        _ => observed.clone(),
    }
}

/// The path of the first field of `intent` that does not hold in `observed`, down to a list.
pub(super) fn first_difference(intent: &Value, observed: &Value) -> Option<Vec<String>> {
    if holds(intent, observed) {
        return None;
    }
    let mut path = Vec::new();
    let (mut intent, mut observed, mut is_quantity) = (intent, observed, false);
    while let (Value::Object(fields), Value::Object(seen)) = (intent, observed) {
        let differs = |(key, field): &(&String, &Value)| {
            let is_quantity = is_quantity || QUANTITIES.contains(&key.as_str());
            !value_holds(field, seen.get(*key).unwrap_or(&Value::Null), is_quantity)
        };
        let Some((key, field)) = fields.iter().find(differs) else {
            break;
        };
        path.push(key.clone());
        is_quantity = is_quantity || QUANTITIES.contains(&key.as_str());
        (intent, observed) = (field, seen.get(key).unwrap_or(&Value::Null));
    }
    Some(path)
}

fn value_holds(intent: &Value, observed: &Value, is_quantity: bool) -> bool {
    match (intent, observed) {
        (Value::Object(fields), Value::Object(seen)) => fields_hold(fields, seen, is_quantity),
        (Value::Array(items), Value::Array(seen)) => items_hold(items, seen),
        (Value::String(text), Value::String(seen)) if is_quantity => quantity::are_equal(text, seen),
        (_, Value::Null) => is_empty(intent),
        _ => intent == observed,
    }
}

fn fields_hold(fields: &Map<String, Value>, seen: &Map<String, Value>, is_quantity: bool) -> bool {
    fields.iter().all(|(key, field)| {
        let is_quantity = is_quantity || QUANTITIES.contains(&key.as_str());
        value_holds(field, seen.get(key).unwrap_or(&Value::Null), is_quantity)
    })
}

fn items_hold(items: &[Value], seen: &[Value]) -> bool {
    match list_key(items) {
        Some(key) => items
            .iter()
            .all(|item| find(seen, key, item).is_some_and(|found| holds(item, found))),
        None => items.len() == seen.len() && items.iter().zip(seen).all(|(item, found)| holds(item, found)),
    }
}

/// The key by which the entries of a list are told apart; none for lists of scalars and for lists without a key.
fn list_key(items: &[Value]) -> Option<&'static str> {
    KEYS.into_iter()
        .find(|key| !items.is_empty() && items.iter().all(|item| item.get(key).is_some()))
}

fn find<'a>(seen: &'a [Value], key: &str, item: &Value) -> Option<&'a Value> {
    seen.iter().find(|found| found.get(key) == item.get(key))
}

/// What the server leaves out when it writes an object back.
pub(super) fn is_empty(intent: &Value) -> bool {
    match intent {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_fields_of_others_do_not_matter() {
        let intent = json!({"spec": {"ports": [{"name": "registry", "port": 443}]}});
        let observed = json!({
            "metadata": {"labels": {"team": "a"}},
            "spec": {"clusterIP": "198.19.0.9", "ports": [{"name": "registry", "port": 443, "protocol": "TCP"}]},
        });
        assert!(holds(&intent, &observed));
    }

    #[test]
    fn changed_or_missing_field_is_seen() {
        let intent = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 1}});
        assert!(!holds(
            &intent,
            &json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 1}})
        ));
        assert!(!holds(
            &intent,
            &json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 0}})
        ));
        assert!(!holds(
            &intent,
            &json!({"metadata": {"labels": {"a": "1", "b": "2"}}})
        ));
    }

    #[test]
    fn list_entries_are_found_by_their_key() {
        let intent = json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]);
        assert!(holds(
            &intent,
            &json!([{"name": "x"}, {"name": "b", "value": "2"}, {"name": "a", "value": "1"}])
        ));
        assert!(!holds(&intent, &json!([{"name": "b", "value": "2"}])));
        let mounts = json!([{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/b"}]);
        assert!(!holds(&mounts, &json!([{"name": "data", "mountPath": "/a"}])));
    }

    #[test]
    fn lists_without_a_key_must_be_equal() {
        assert!(!holds(&json!(["a"]), &json!(["a", "b"])));
        assert!(!holds(&json!(["a", "b"]), &json!(["b", "a"])));
        assert!(holds(
            &json!([{"key": "a", "path": "a"}]),
            &json!([{"key": "a", "path": "a"}])
        ));
    }

    #[test]
    fn quantities_compare_by_value_and_other_text_by_letter() {
        let size = |text: &str| json!({"resources": {"requests": {"memory": text}}});
        assert!(holds(&size("1024Mi"), &size("1Gi")));
        assert!(!holds(&size("1Gi"), &size("2Gi")));
        assert!(!holds(
            &json!({"labels": {"tier": "1000m"}}),
            &json!({"labels": {"tier": "1"}})
        ));
    }

    #[test]
    fn empty_means_absent() {
        let intent = json!({"a": [], "b": {}, "c": "", "d": false, "e": {"f": []}});
        assert!(holds(&intent, &json!({})));
        assert!(!holds(&json!({"a": 0}), &json!({})));
    }

    #[test]
    fn first_difference_is_named_down_to_a_list() {
        let intent = json!({"metadata": {"name": "depot"}, "spec": {
            "resources": {"limits": {"memory": "1Gi", "cpu": 2}}, "ports": [{"name": "x", "port": 1}],
        }});
        let path = |change: fn(&mut Value)| {
            let mut observed = intent.clone();
            change(&mut observed);
            first_difference(&intent, &observed).map(|path| path.join("."))
        };
        assert_eq!(path(|_| {}), None);
        assert_eq!(
            path(|seen| seen["spec"]["resources"]["limits"]["memory"] = json!("1024Mi")),
            None
        );
        let memory = path(|seen| seen["spec"]["resources"]["limits"]["memory"] = json!("2Gi"));
        assert_eq!(memory.as_deref(), Some("spec.resources.limits.memory"));
        let port = path(|seen| seen["spec"]["ports"][0]["port"] = json!(2));
        assert_eq!(port.as_deref(), Some("spec.ports"));
        let gone = path(|seen| seen["spec"]["resources"] = Value::Null);
        assert_eq!(gone.as_deref(), Some("spec.resources"));
    }

    #[test]
    fn reading_leaves_out_what_the_intent_does_not_speak_about() {
        let intent = json!({"spec": {"a": 1, "ports": [{"name": "x", "port": 1}]}});
        let observed =
            json!({"spec": {"a": 2, "b": 3, "ports": [{"name": "y"}, {"name": "x", "port": 4, "z": 5}]}});
        assert_eq!(
            reading(&intent, &observed),
            json!({"spec": {"a": 2, "ports": [{"name": "x", "port": 4}]}})
        );
    }
}
