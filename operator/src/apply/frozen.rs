//! Objects that refuse every change: the body that we send and the object as seen come in, whether it is one goes out. Pure.

use serde_json::Value;

pub(super) const IMMUTABLE: &str = "immutable";

/// Whether a Secret or `ConfigMap` that we do not make so is `immutable`, which only its deletion ends: the next change, such
/// as the renewal of a certificate, would be refused. One with finalizers would be gone for longer than a moment, and what is
/// in it with it, so it is left.
pub(super) fn is_frozen(body: &Value, seen: &Value) -> bool {
    let is_set = |object: &Value| object[IMMUTABLE] == true;
    let is_held = seen["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|held| !held.is_empty());
    is_set(seen) && !is_set(body) && !is_held
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_others_made_immutable_and_nobody_holds_is_replaced() {
        let frozen = json!({"metadata": {"name": "depot-tls"}, "immutable": true});
        let held = json!({"metadata": {"finalizers": ["example.com/hold"]}, "immutable": true});
        assert!(is_frozen(&json!({}), &frozen));
        assert!(!is_frozen(&json!({"immutable": true}), &frozen));
        assert!(!is_frozen(&json!({}), &held));
        assert!(!is_frozen(&json!({}), &json!({"immutable": false})));
    }
}
