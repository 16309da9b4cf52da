//! Which documents are accepted, and what is read out of them.

use portolan_oci::{Algorithm, Digest};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn digest(seed: &str) -> Digest {
    Digest::of(Algorithm::Sha256, seed.as_bytes())
}

fn target(seed: &str, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": digest(seed), "size": seed.len()})
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": target("config", "application/vnd.oci.image.config.v1+json"),
        "layers": [target("layer", "application/vnd.oci.image.layer.v1.tar+gzip")],
    })
}

fn index() -> Value {
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [target("child", MediaType::OCI_MANIFEST)]})
}

fn without(mut document: Value, field: &str) -> Value {
    document.as_object_mut().unwrap().remove(field);
    document
}

fn with(mut document: Value, field: &str, value: Value) -> Value {
    document[field] = value;
    document
}

fn parse(content_type: Option<&str>, document: &Value) -> Result<Manifest, InvalidManifest> {
    Manifest::parse(content_type, document.to_string().as_bytes())
}

/// P91.
#[test]
fn parameters_of_the_content_type_are_ignored() {
    let manifest = parse(
        Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        &image(),
    )
    .unwrap();
    assert_eq!(manifest.media_type.as_str(), MediaType::OCI_MANIFEST);
}

fn index_of(count: usize) -> Value {
    let entries: Vec<Value> = (0..count)
        .map(|number| target(&number.to_string(), MediaType::OCI_MANIFEST))
        .collect();
    with(index(), "manifests", json!(entries))
}

/// P94.
#[test]
fn a_pushed_manifest_names_a_bounded_number_of_things_and_a_stored_one_any() {
    let most = index_of(MOST_NAMED);
    let accept = |document: &Value| {
        let manifest = parse(None, document).unwrap();
        manifest.check_bound().map(|()| manifest)
    };
    assert_eq!(accept(&most).unwrap().edges.len(), MOST_NAMED);
    let mut twice = most["manifests"].as_array().unwrap().clone();
    twice.extend(twice.clone());
    assert!(accept(&with(most, "manifests", json!(twice))).is_ok());
    let more = index_of(MOST_NAMED + 1);
    let refused = accept(&more).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("names 5001 different blobs and manifests, and at most 5000"),
        "{refused}"
    );
    assert_eq!(parse(None, &more).unwrap().edges.len(), MOST_NAMED + 1);
}

/// P91.
#[test]
fn without_content_type_the_document_tells_its_type() {
    assert_eq!(
        parse(None, &index()).unwrap().media_type.as_str(),
        MediaType::OCI_INDEX
    );
    assert_eq!(
        parse(None, &without(index(), "mediaType"))
            .unwrap()
            .media_type
            .as_str(),
        MediaType::OCI_INDEX
    );
    assert_eq!(
        parse(None, &without(image(), "mediaType"))
            .unwrap()
            .media_type
            .as_str(),
        MediaType::OCI_MANIFEST
    );
}

/// P92.
#[test]
fn content_type_and_media_type_must_agree() {
    let error = parse(Some(MediaType::DOCKER_MANIFEST), &image()).unwrap_err();
    assert!(matches!(error, InvalidManifest::MediaTypeMismatch { .. }));
    let error = parse(Some(MediaType::OCI_INDEX), &without(image(), "mediaType")).unwrap_err();
    assert!(matches!(
        error,
        InvalidManifest::FieldMissing {
            field: "mediaType",
            ..
        }
    ));
}

/// P46, P93.
#[test]
fn schema_versions_other_than_2_are_refused() {
    assert_eq!(
        parse(None, &with(image(), "schemaVersion", json!(1))),
        Err(InvalidManifest::Schema1)
    );
    let others = [
        json!(3),
        json!("2"),
        json!(null),
        json!(-2),
        json!(2.5),
        json!(true),
    ];
    for version in others.into_iter().chain([json!([2, 2]), json!({"2": 2})]) {
        let refused = parse(None, &with(image(), "schemaVersion", version));
        assert!(
            matches!(refused, Err(InvalidManifest::SchemaVersion { .. })),
            "{refused:?}"
        );
    }
    assert!(matches!(
        parse(None, &without(image(), "schemaVersion")),
        Err(InvalidManifest::SchemaVersion { .. })
    ));
}

/// P46.
#[test]
fn schema_1_is_refused_by_its_content_type_whatever_the_body() {
    let refused = Manifest::parse(Some(MediaType::DOCKER_SCHEMA1_SIGNED), b"not even JSON");
    assert_eq!(refused, Err(InvalidManifest::Schema1));
}

/// P93.
#[test]
fn documents_that_are_image_and_index_at_once_are_refused() {
    let layers = json!([target("layer", "x/y")]);
    assert!(matches!(
        parse(None, &with(index(), "layers", layers)),
        Err(InvalidManifest::Ambiguous { .. })
    ));
    let config = target("config", "x/y");
    assert!(matches!(
        parse(None, &with(index(), "config", config)),
        Err(InvalidManifest::Ambiguous { .. })
    ));
    let typed_as_image = with(index(), "mediaType", json!(MediaType::OCI_MANIFEST));
    assert!(matches!(
        parse(None, &typed_as_image),
        Err(InvalidManifest::FieldForeign { .. })
    ));
}

/// P96.
#[test]
fn unknown_fields_empty_layers_and_any_artifact_are_accepted() {
    let document = with(with(image(), "layers", json!([])), "x-unknown", json!({"a": [1]}));
    assert!(parse(None, &document).is_ok());
    let artifact = with(
        without(image(), "layers"),
        "artifactType",
        json!("application/vnd.example+type"),
    );
    assert_eq!(
        parse(None, &artifact).unwrap().artifact_type.as_deref(),
        Some("application/vnd.example+type")
    );
    assert!(
        parse(None, &with(index(), "manifests", json!([])))
            .unwrap()
            .edges
            .is_empty()
    );
}

/// What must be there already.
fn required(manifest: &Manifest) -> Vec<Digest> {
    let blobs = manifest.edges.iter().filter(|edge| edge.kind == EdgeKind::Blob);
    blobs.map(|edge| edge.digest.clone()).collect()
}

/// P99.
#[test]
fn docker_and_oci_types_may_be_mixed_within_a_manifest() {
    let docker = with(image(), "mediaType", json!(MediaType::DOCKER_MANIFEST));
    let manifest = parse(Some(MediaType::DOCKER_MANIFEST), &docker).unwrap();
    assert_eq!(required(&manifest).len(), 2);
    let mut oci = with(
        image(),
        "layers",
        json!([
            target("a", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            target("b", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        ]),
    );
    oci["config"] = target("config", "application/vnd.docker.container.image.v1+json");
    let manifest = parse(Some(MediaType::OCI_MANIFEST), &oci).unwrap();
    assert_eq!(required(&manifest), [digest("config"), digest("a")]);
}

/// P96.
#[test]
fn layers_that_live_elsewhere_are_not_required() {
    let mut foreign = target("a", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    foreign["urls"] = json!(["https://example.com/a"]);
    let nondistributable = target("b", "application/vnd.oci.image.layer.nondistributable.v1.tar");
    let manifest = parse(None, &with(image(), "layers", json!([foreign, nondistributable]))).unwrap();
    assert_eq!(required(&manifest), [digest("config")]);
    assert!(manifest.names(&digest("a")));
}

/// P101.
#[test]
fn a_layer_named_twice_is_one_edge_in_its_strictest_sense() {
    let elsewhere = target("layer", "application/vnd.oci.image.layer.nondistributable.v1.tar");
    let layers = json!([elsewhere, target("layer", "x/y"), target("layer", "x/y")]);
    let manifest = parse(None, &with(image(), "layers", layers)).unwrap();
    assert_eq!(manifest.edges.len(), 2);
    assert_eq!(required(&manifest), [digest("config"), digest("layer")]);
}

#[test]
fn children_of_an_index_are_not_required() {
    let manifest = parse(None, &index()).unwrap();
    assert!(required(&manifest).is_empty());
    assert!(manifest.names(&digest("child")));
}

#[test]
fn subject_is_kept_but_not_as_something_named() {
    let manifest = parse(
        None,
        &with(index(), "subject", target("subject", MediaType::OCI_MANIFEST)),
    )
    .unwrap();
    assert_eq!(manifest.subject, Some(digest("subject")));
    assert!(!manifest.names(&digest("subject")));
}

/// P110.
#[test]
fn artifact_type_falls_back_to_the_config_of_an_image_and_to_nothing_for_an_index() {
    assert_eq!(
        parse(None, &image()).unwrap().artifact_type.as_deref(),
        Some("application/vnd.oci.image.config.v1+json")
    );
    assert_eq!(parse(None, &index()).unwrap().artifact_type, None);
}

#[test]
fn stored_documents_without_a_type_are_told_by_their_shape() {
    let typed = |document: &Value| stored_media_type(document.to_string().as_bytes());
    assert_eq!(
        typed(&json!({"schemaVersion": 1, "fsLayers": []})).as_str(),
        MediaType::DOCKER_SCHEMA1_SIGNED
    );
    assert_eq!(
        typed(&without(index(), "mediaType")).as_str(),
        MediaType::OCI_INDEX
    );
    assert_eq!(typed(&image()).as_str(), MediaType::OCI_MANIFEST);
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(None, &bytes);
        let _ = stored_media_type(&bytes);
    }

    #[test]
    fn what_is_accepted_is_served_under_the_same_type(typed in any::<bool>(), is_index in any::<bool>()) {
        let document = if is_index { index() } else { image() };
        let document = if typed { document } else { without(document, "mediaType") };
        let bytes = document.to_string().into_bytes();
        let manifest = Manifest::parse(None, &bytes).unwrap();
        prop_assert_eq!(stored_media_type(&bytes), manifest.media_type);
    }
}
