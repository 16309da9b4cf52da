//! The table of `crds/tests/cases/registry.yaml`, read; pure.

use serde::Deserialize;
use serde_json::Value;

/// One promise of admission.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) message: String,
    /// Refused by the schema's types, whose words are Kubernetes' own.
    #[serde(default)]
    pub(crate) schema: bool,
    pub(crate) before: Option<Before>,
    pub(crate) refused: Vec<Entry>,
    pub(crate) accepted: Vec<Entry>,
}

/// What exists already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub(crate) spec: Value,
    pub(crate) status: Option<Value>,
}

/// A spec, and a name where the name matters.
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct Entry {
    pub(crate) name: Option<String>,
    pub(crate) spec: Value,
}

impl From<Value> for Entry {
    fn from(value: Value) -> Self {
        match value.get("spec") {
            Some(spec) => Self {
                name: value["name"].as_str().map(str::to_owned),
                spec: spec.clone(),
            },
            None => Self {
                name: None,
                spec: value,
            },
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("../../../crds/tests/cases/registry.yaml")).unwrap();
    for case in &cases {
        assert!(
            !case.refused.is_empty() && !case.accepted.is_empty(),
            "{} tests only one side",
            case.name
        );
    }
    cases
}
