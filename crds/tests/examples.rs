//! Every example is a Registry that the types can read and the rules let pass, and one of them shows every field.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

use kube_cel::Validator;
use portolan_crds::{v1alpha1::Registry, yaml};
use serde_json::Value;

fn examples() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    examples.sort();
    assert!(examples.len() >= 6);
    examples
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

#[test]
fn every_example_is_read_without_loss_and_passes_the_rules() {
    for (file, text) in examples() {
        let written: Value = serde_saphyr::from_str(&text).unwrap();
        let registry: Registry = serde_saphyr::from_str(&text).unwrap();
        assert_keeps(&written, &serde_json::to_value(&registry).unwrap(), &file);
        if let Err(errors) = Validator::new().validate(&schema(), &written, None) {
            panic!("{file}: {errors:?}");
        }
    }
}

/// Everything that is written is still there after reading.
fn assert_keeps(written: &Value, read: &Value, path: &str) {
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_keeps(value, &read[name], &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_keeps(item, &read[index], &format!("{path}[{index}]"));
            }
        }
        value => assert_eq!(value, read, "{path}"),
    }
}

#[test]
fn every_example_tells_in_comments_what_it_is_for() {
    for (file, text) in examples() {
        assert!(text.starts_with("# "), "{file}");
    }
}

/// Alternatives that cannot be written together are there as comments.
#[test]
fn the_full_example_names_every_field_of_the_spec() {
    let (_, text) = examples()
        .into_iter()
        .find(|(file, _)| file == "registry-full.yaml")
        .unwrap();
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let spec = &schema()["properties"]["spec"];
    let mut missing = Vec::new();
    collect_missing(spec, &words, &mut missing);
    assert!(missing.is_empty(), "registry-full.yaml does not show {missing:?}");
}

fn collect_missing(schema: &Value, words: &BTreeSet<&str>, missing: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !words.contains(name.as_str()) {
            missing.push(name.clone());
        }
        if !["affinity", "tolerations", "topologySpreadConstraints"].contains(&name.as_str()) {
            collect_missing(property, words, missing);
        }
    }
}
