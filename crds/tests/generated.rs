//! The committed CRD files are what the types say, and have the form that the API promises.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use portolan_crds::yaml::{self, Form};
use serde_json::{Value, json};

const PLAIN: &str = include_str!("../yaml/registries.yaml");
const CRD_CHART: &str = include_str!("../../charts/portolan-crds/templates/registries.yaml");
const OPERATOR_CHART: &str = include_str!("../../charts/portolan/templates/crds/registries.yaml");

fn schema() -> Value {
    let crd: Value = serde_saphyr::from_str(PLAIN).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every subschema with its path.
fn subschemas(schema: &Value, path: &str, all: &mut Vec<(String, Value)>) {
    all.push((path.to_owned(), schema.clone()));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        subschemas(property, &format!("{path}.{name}"), all);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            subschemas(&schema[inner], &format!("{path}[]"), all);
        }
    }
}

fn all_subschemas() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    subschemas(&schema(), "", &mut all);
    assert!(all.len() > 100);
    all
}

#[test]
fn committed_files_are_what_crdgen_writes() {
    let crd = yaml::registry_crd();
    for (text, form) in [
        (PLAIN, Form::Plain),
        (CRD_CHART, Form::CrdChart),
        (OPERATOR_CHART, Form::OperatorChart),
    ] {
        let wanted = yaml::render(&crd, form).unwrap();
        assert!(
            text == wanted,
            "{form:?} is out of date: run `make crds` and commit the result"
        );
    }
}

#[test]
fn the_yaml_says_what_the_definition_says() {
    let read: Value = serde_saphyr::from_str(PLAIN).unwrap();
    assert_eq!(read, serde_json::to_value(yaml::registry_crd()).unwrap());
}

#[test]
fn the_crd_stays_small_enough_for_client_side_apply() {
    assert!(PLAIN.len() < 100 * 1024, "{} bytes", PLAIN.len());
}

#[test]
fn the_charts_contain_no_template_by_accident() {
    assert!(!PLAIN.contains("{{"), "helm would take it for a template");
}

#[test]
fn integers_are_signed_and_nothing_is_a_float() {
    for (path, schema) in all_subschemas() {
        assert_ne!(schema["type"], "number", "{path}");
        if schema["type"] == "integer" {
            assert!(
                schema["format"] == "int32" || schema["format"] == "int64",
                "{path}: {}",
                schema["format"]
            );
        }
    }
}

#[test]
fn only_plain_fields_at_the_top_of_spec_and_the_status_have_defaults() {
    let defaults: Vec<_> = all_subschemas()
        .into_iter()
        .filter_map(|(path, schema)| schema.get("default").map(|d| (path, d.clone())))
        .collect();
    let expected = [
        (".spec.deletionPolicy", json!("Retain")),
        (".spec.replicas", json!(1)),
        (".spec.suspend", json!(false)),
        (".status", json!({"observedGeneration": -1})),
    ];
    assert_eq!(
        defaults,
        expected.map(|(path, default)| (path.to_owned(), default))
    );
}

#[test]
fn no_schema_has_alternatives_or_nulls() {
    for (path, schema) in all_subschemas() {
        for word in ["anyOf", "oneOf", "allOf", "not", "nullable"] {
            assert!(schema.get(word).is_none(), "{path} has {word}");
        }
    }
}

#[test]
fn every_list_map_and_text_has_a_limit() {
    for (path, schema) in all_subschemas() {
        let unlimited = match schema["type"].as_str() {
            Some("array") => schema.get("maxItems").is_none(),
            Some("string") => {
                schema.get("maxLength").is_none()
                    && schema.get("enum").is_none()
                    && schema.get("format").is_none()
            }
            Some("object") => {
                schema.get("additionalProperties").is_some() && schema.get("maxProperties").is_none()
            }
            _ => false,
        };
        assert!(!unlimited, "{path} has no limit");
    }
}

#[test]
fn every_field_of_ours_tells_what_to_write() {
    for (path, schema) in all_subschemas() {
        let of_kubernetes = [
            ".spec.pod.affinity.",
            ".spec.pod.resources.",
            ".spec.pod.tolerations[]",
            ".status.conditions[]",
        ]
        .iter()
        .any(|prefix| path.starts_with(prefix))
            || path.starts_with(".spec.pod.topologySpreadConstraints[]");
        if path.starts_with(".metadata") || path.ends_with("[]") || of_kubernetes {
            continue;
        }
        let text = schema["description"].as_str().unwrap_or_default();
        assert!(text.len() > 10 && text.ends_with('.'), "{path}: {text:?}");
    }
}

#[test]
fn check_finds_a_file_that_is_out_of_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crdgen = |root: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_crdgen"));
        command.arg("--check").arg("--root").arg(root).output().unwrap()
    };
    assert!(crdgen(&root).status.success());

    let elsewhere = tempfile::tempdir().unwrap();
    let found = crdgen(elsewhere.path());
    assert_eq!(found.status.code(), Some(1));
    let said = String::from_utf8(found.stderr).unwrap();
    assert!(
        said.contains("crds/yaml/registries.yaml") && said.contains("run `make crds`"),
        "{said}"
    );
}
