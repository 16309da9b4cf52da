//! The table of `cases/`, evaluated here: what each rule of the CRD refuses and lets pass, in milliseconds and without a
//! cluster. What only the schema's types refuse is left to the kube-apiserver (`e2e/tests/admit_registry.rs`), which
//! runs the same table.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use kube_cel::Validator;
use portolan_crds::yaml;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    path: String,
    message: String,
    #[serde(default)]
    schema: bool,
    before: Option<Value>,
    refused: Vec<Value>,
    accepted: Vec<Value>,
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("cases/registry.yaml")).unwrap()
}

fn schema() -> Value {
    let crd = yaml::registry_crd();
    serde_json::to_value(
        crd.spec.versions[0]
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap(),
    )
    .unwrap()
}

/// The object of one entry: a spec, or `{name, spec}`; with the status of what was there before.
fn object(entry: &Value, before: Option<&Value>) -> Value {
    let spec = if entry.get("spec").is_some() {
        &entry["spec"]
    } else {
        entry
    };
    let name = entry.get("name").cloned().unwrap_or(json!("r"));
    let mut object = json!({"metadata": {"name": name}, "spec": spec});
    if let Some(status) = before.and_then(|b| b.get("status")) {
        object["status"] = status.clone();
    }
    object
}

/// What the rules say, as `path: message`.
fn failures(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    match Validator::new().validate(schema, object, old) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .iter()
            .map(|e| format!("{}: {}", e.field_path.trim_start_matches('.'), e.message))
            .collect(),
    }
}

#[test]
fn every_case_is_refused_with_its_one_sentence_or_accepted() {
    let schema = schema();
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| !case.schema) {
        let before = case.before.as_ref();
        let old = before.map(|b| object(b, before));
        for entry in &case.refused {
            let expected = format!("{}: {}", case.path, case.message);
            let found = failures(&schema, &object(entry, before), old.as_ref());
            if found
                .iter()
                .map(|f| without_keys(f))
                .ne([without_keys(&expected)])
            {
                wrong.push(format!(
                    "{}\n  {entry}\n  expected {expected:?}\n  found    {found:?}",
                    case.name
                ));
            }
        }
        for entry in &case.accepted {
            let found = failures(&schema, &object(entry, before), old.as_ref());
            if !found.is_empty() {
                wrong.push(format!("{}\n  {entry}\n  should pass, but {found:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The key of a map's entry is written in several ways; the field before it counts.
fn without_keys(failure: &str) -> String {
    let (path, message) = failure.split_once(": ").unwrap_or((failure, ""));
    let field = path.split('[').next().unwrap_or(path);
    let map = [
        "spec.pod.labels",
        "spec.pod.nodeSelector",
        "spec.pod.resources.limits",
        "spec.pod.resources.requests",
    ];
    let field = map.iter().find(|m| field.starts_with(*m)).map_or(field, |m| m);
    format!("{field}: {message}")
}

#[test]
fn every_rule_has_a_case_that_it_refuses_and_one_that_it_accepts() {
    let cases = cases();
    let mut rules = BTreeSet::new();
    collect_rules(&schema(), "", &mut rules);
    assert!(rules.len() > 30, "the schema holds its rules: {rules:?}");
    for (field, sentence) in rules {
        let covered = cases.iter().any(|case| {
            let path = case.path.replace("[0]", "");
            let path = path.split('[').next().unwrap_or_default();
            path == field
                && sentence_matches(&sentence, &case.message)
                && !case.refused.is_empty()
                && !case.accepted.is_empty()
        });
        assert!(covered, "no case for {field}: {sentence}");
    }
}

/// A message as it is, or an expression's first words.
fn sentence_matches(sentence: &str, message: &str) -> bool {
    match sentence.strip_prefix('\'') {
        Some(expression) => message.starts_with(expression.split('\'').next().unwrap_or_default()),
        None => sentence == message,
    }
}

/// Every rule as the field that it speaks about and its message or message expression.
fn collect_rules(schema: &Value, path: &str, rules: &mut BTreeSet<(String, String)>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = rule
            .get("message")
            .or(rule.get("messageExpression"))
            .and_then(Value::as_str);
        let below = rule["fieldPath"].as_str().unwrap_or_default();
        let field = format!("{path}{below}");
        rules.insert((field.trim_start_matches('.').to_owned(), text.unwrap().to_owned()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(property, &format!("{path}.{name}"), rules);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            collect_rules(&schema[inner], path, rules);
        }
    }
}

#[test]
fn every_rule_has_a_sentence_and_a_reason() {
    fn check(schema: &Value, path: &str) {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(
                rule.get("message").is_some() ^ rule.get("messageExpression").is_some(),
                "{path}: {rule}"
            );
            assert!(rule["reason"].is_string(), "{path}: {rule}");
        }
        for (key, value) in schema.as_object().into_iter().flatten() {
            check(value, &format!("{path}.{key}"));
        }
    }
    check(&schema(), "");
}
