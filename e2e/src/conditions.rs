//! The oracle: pure rules that the conditions of a Registry obey in every status it ever shows, so that kstatus (and
//! with it `kubectl wait`, Flux and Argo CD) never misreads it. In: the object; out: what is broken, in sentences.

use kube::api::DynamicObject;
use serde_json::Value;

/// One condition as users read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    pub kind: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub observed_generation: Option<i64>,
}

/// The conditions of an object's status, in order.
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    let list = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    list.into_iter().flatten().map(Condition::from_json).collect()
}

impl Condition {
    fn from_json(value: &Value) -> Condition {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Condition {
            kind: text("type"),
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
            observed_generation: value["observedGeneration"].as_i64(),
        }
    }
}

/// Everything that this status must not say; empty when it obeys.
pub fn violations(object: &DynamicObject) -> Vec<String> {
    let observed = object
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64)
        .unwrap_or(-1);
    let conditions = conditions(object);
    if observed == -1 && conditions.is_empty() {
        return Vec::new(); // the operator has not been here yet
    }
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let is = |kind: &str, status: &str| find(kind).is_some_and(|condition| condition.status == status);
    let mut broken = Vec::new();
    let mut rule = |holds: bool, text: &str| {
        if !holds {
            broken.push(text.to_owned());
        }
    };
    rule(find("Ready").is_some(), "Ready is missing");
    rule(
        !(is("Reconciling", "True") && is("Stalled", "True")),
        "Reconciling and Stalled at once",
    );
    rule(
        !(is("Ready", "True") && is("Reconciling", "True")),
        "Ready although Reconciling",
    );
    rule(
        !(is("Ready", "True") && is("Stalled", "True")),
        "Ready although Stalled",
    );
    rule(
        !is("Stalled", "True") || is("Ready", "False"),
        "Stalled, but Ready is not False",
    );
    rule(
        !is("Ready", "Unknown") || is("Reconciling", "True"),
        "Ready is Unknown, but nothing is Reconciling",
    );
    for kind in ["Reconciling", "Stalled"] {
        rule(
            find(kind).is_none_or(|condition| condition.status == "True"),
            "Reconciling or Stalled present, but not True",
        );
    }
    rule(
        !is("Ready", "False")
            || is("Reconciling", "True")
            || is("Stalled", "True")
            || is("Suspended", "True"),
        "Ready is False, but neither Reconciling, Stalled nor Suspended says who must act",
    );
    if let (Some(ready), Some(stalled)) = (find("Ready"), find("Stalled")) {
        rule(
            ready.message == stalled.message,
            "Ready does not repeat the message of Stalled",
        );
    }
    let generation = object.metadata.generation.unwrap_or_default();
    rule(
        observed <= generation,
        "observedGeneration is ahead of the object",
    );
    for condition in &conditions {
        broken.extend(
            violations_of(condition, observed)
                .into_iter()
                .map(|text| format!("{}: {text}", condition.kind)),
        );
    }
    broken
}

/// What is wrong with one condition for itself.
fn violations_of(condition: &Condition, observed: i64) -> Vec<&'static str> {
    let mut broken = Vec::new();
    if !condition
        .reason
        .starts_with(|first: char| first.is_ascii_uppercase())
    {
        broken.push("the reason is not a CamelCase word");
    }
    if condition.message.is_empty() {
        broken.push("no message");
    }
    if condition.message.contains("PRIVATE KEY") {
        broken.push("the message carries a private key");
    }
    if condition.observed_generation != Some(observed) {
        broken.push("observedGeneration differs from the status");
    }
    broken
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::violations;

    fn registry(conditions: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "Registry",
            "metadata": {"name": "images", "generation": 3},
            "status": {"observedGeneration": 3, "conditions": conditions},
        }))
        .unwrap()
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "Because", "message": "because", "observedGeneration": 3})
    }

    #[test]
    fn a_ready_registry_obeys() {
        assert_eq!(
            violations(&registry(&json!([condition("Ready", "True")]))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_registry_nobody_looked_at_obeys() {
        let object = serde_json::from_value(json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "Registry",
            "metadata": {"name": "images", "generation": 1}, "status": {"observedGeneration": -1},
        }));
        assert_eq!(violations(&object.unwrap()), Vec::<String>::new());
    }

    #[test]
    fn stalled_while_reconciling_is_found() {
        let broken = violations(&registry(&json!([
            condition("Ready", "False"),
            condition("Reconciling", "True"),
            condition("Stalled", "True")
        ])));
        assert_eq!(broken, ["Reconciling and Stalled at once"]);
    }

    #[test]
    fn ready_false_without_a_reason_to_wait_is_found() {
        let broken = violations(&registry(&json!([condition("Ready", "False")])));
        assert!(broken[0].contains("who must act"), "{broken:?}");
    }

    #[test]
    fn a_condition_of_another_generation_is_found() {
        let mut stale = condition("Ready", "True");
        stale["observedGeneration"] = json!(2);
        assert_eq!(
            violations(&registry(&json!([stale]))),
            ["Ready: observedGeneration differs from the status"]
        );
    }
}
