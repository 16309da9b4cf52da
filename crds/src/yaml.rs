//! The types in, the exact bytes of the committed CRD files out; pure. What the derive cannot say is added here: the
//! status before the first visit, the schema of `metadata.name` (rules on it need one), no `nullable` (a written null
//! is then the same as nothing), and text in one line per paragraph.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::v1alpha1::Registry;

/// Where a CRD is installed from, which decides how its file is wrapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// For `kubectl apply -f`.
    Plain,
    /// For the chart that holds CRDs alone: `keep` leaves them, and with them every object, behind on uninstall.
    CrdChart,
    /// For the operator's chart, where `crds.enabled` switches them off.
    OperatorChart,
}

/// A CRD could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("the custom resource definition {name} cannot be written as YAML")]
pub struct RenderError {
    name: String,
    #[source]
    source: serde_saphyr::ser::Error,
}

/// The Registry CRD as it is installed. `Registry::crd()` of the derive lacks what this adds.
pub fn registry_crd() -> CustomResourceDefinition {
    let mut crd = Registry::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            finish_root(schema);
        }
    }
    crd
}

/// The text of one CRD file.
pub fn render(crd: &CustomResourceDefinition, form: Form) -> Result<String, RenderError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 110 };
    let yaml = serde_saphyr::to_string_with_options(crd, options).map_err(|source| RenderError {
        name: crd.metadata.name.clone().unwrap_or_default(),
        source,
    })?;
    let header = "# Generated from crds/src: change the types there and run `make crds`.\n";
    Ok(match form {
        Form::Plain => format!("{header}{yaml}"),
        Form::CrdChart => format!("{header}{}", with_keep_policy(&yaml, "keep")),
        Form::OperatorChart => format!(
            "{header}{{{{- if .Values.crds.enabled }}}}\n{}{{{{- end }}}}\n",
            with_keep_policy(&yaml, "crds.keep")
        ),
    })
}

fn with_keep_policy(yaml: &str, value: &str) -> String {
    let annotated = format!(
        "\nmetadata:\n  {{{{- if .Values.{value} }}}}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{{{- end }}}}\n"
    );
    yaml.replacen("\nmetadata:\n", &annotated, 1)
}

fn finish_root(schema: &mut JSONSchemaProps) {
    schema.title = None;
    finish(schema);
    let Some(properties) = schema.properties.as_mut() else {
        return;
    };
    properties.insert("metadata".into(), metadata());
    if let Some(status) = properties.get_mut("status") {
        status.default = Some(JSON(json!({"observedGeneration": -1})));
    }
}

/// Only the name may be described in a CRD's metadata. Its limit is Kubernetes' own: ours is a rule with a sentence.
fn metadata() -> JSONSchemaProps {
    let name = JSONSchemaProps {
        type_: Some("string".into()),
        max_length: Some(253),
        ..Default::default()
    };
    JSONSchemaProps {
        type_: Some("object".into()),
        properties: Some([("name".into(), name)].into()),
        ..Default::default()
    }
}

fn finish(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = in_paragraphs(description);
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|p| p.values_mut())
        .for_each(finish);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => finish(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(finish),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        finish(values);
    }
}

/// Source lines are wrapped for the editor; a reader's terminal wraps for itself.
fn in_paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}
