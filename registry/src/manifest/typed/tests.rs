//! Documents that only some clients could read.

use serde_json::{Value, json};

use super::super::{Manifest, References, stored_media_type, stored_names};
use super::*;
use portolan_oci::{Algorithm, Digest, MediaType};

fn digest(seed: &str) -> Digest {
    Digest::of(Algorithm::Sha256, seed.as_bytes())
}

fn descriptor(seed: &str) -> Value {
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(seed), "size": 1})
}

fn image(layer: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor("config"),
        "layers": [layer],
    })
}

fn index(child: &Value) -> Value {
    json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": [child]})
}

fn push(document: &Value) -> Result<Manifest, InvalidManifest> {
    let bytes = document.to_string();
    let manifest = Manifest::parse(None, bytes.as_bytes())?;
    manifest.check_new(bytes.as_bytes())?;
    Ok(manifest)
}

fn moved(mut value: Value, from: &str, to: &str) -> Value {
    let fields = value.as_object_mut().unwrap();
    let field = fields.remove(from).unwrap();
    fields.insert(to.to_owned(), field);
    value
}

fn refused(document: &Value) -> String {
    match push(document) {
        Err(InvalidManifest::Json { problem }) => problem,
        other => panic!("{document}: {other:?}"),
    }
}

/// P93.
#[test]
fn a_field_in_another_spelling_is_refused() {
    let whole = image(&descriptor("layer"));
    let twice = |name: &str| {
        let mut document = whole.clone();
        document[name] = json!([descriptor("other")]);
        document
    };
    for (document, found, name) in [
        (moved(whole.clone(), "layers", "Layers"), "Layers", "layers"),
        (moved(whole.clone(), "config", "CONFIG"), "CONFIG", "config"),
        (
            moved(whole.clone(), "mediaType", "mediatype"),
            "mediatype",
            "mediaType",
        ),
        (twice("LAYERS"), "LAYERS", "layers"),
        (twice("layer\u{17f}"), "layer\u{17f}", "layers"),
        (
            image(&moved(descriptor("x"), "digest", "Digest")),
            "Digest",
            "digest",
        ),
        (image(&moved(descriptor("x"), "size", "Size")), "Size", "size"),
        (twice("Manifests"), "Manifests", "manifests"),
        (twice("Subject"), "Subject", "subject"),
    ] {
        let problem = refused(&document);
        let expected = format!("field \"{found}\" must be spelled \"{name}\"");
        assert!(problem.starts_with(&expected), "{problem}");
    }
    let mut other = whole;
    other["annotations"] = json!({"Layers": "free"});
    other["x"] = json!({"Layers": 1});
    push(&other).unwrap();
}

/// P93.
#[test]
fn a_list_in_place_of_an_object_is_refused() {
    let digest = digest("x");
    let descriptor = json!(["application/vnd.oci.image.layer.v1.tar", digest]);
    let image = image(&descriptor);
    let document = json!([
        2,
        MediaType::OCI_MANIFEST,
        null,
        descriptor,
        [descriptor],
        null,
        null,
        null,
        null,
        null
    ]);
    for document in [&document, &image, &index(&descriptor)] {
        let problem = refused(document);
        assert!(
            problem.contains("invalid type: sequence, expected an object"),
            "{problem}"
        );
    }
}

/// P93.
#[test]
fn fields_of_descriptors_have_the_types_that_clients_read() {
    let of = |field: &str, value: Value| {
        let mut descriptor = descriptor("x");
        descriptor[field] = value;
        descriptor
    };
    let wrong = [
        of("size", json!("5")),
        of("size", json!(5.0)),
        of("size", json!(-1)),
        of("size", json!(1_u64 << 63)),
        of("urls", json!(5)),
        of("urls", json!([5])),
        of("annotations", json!({"a": 1})),
        of("annotations", json!([])),
        of("data", json!("!!!")),
        of("data", json!("YQ")),
        of("artifactType", json!(1)),
        of("platform", json!("linux")),
        of("platform", json!(["amd64", "linux"])),
        of("platform", json!({"os": 1})),
        of("platform", json!({"os.features": "x"})),
    ];
    for descriptor in &wrong {
        for mut document in [image(descriptor), index(descriptor)] {
            refused(&document);
            document["subject"] = descriptor.clone();
            refused(&document);
        }
        let stored = image(descriptor).to_string();
        let references = References::stored(stored.as_bytes());
        assert_eq!(references.digests, [digest("config"), digest("x")], "{stored}");
    }
    let right = [
        of("size", json!(i64::MAX)),
        of("size", json!(null)),
        of("urls", json!(["https://x"])),
        of("annotations", json!({"a": "b", "c": null})),
        of("data", json!("YQ==")),
        of("data", json!("YR==")),
        of("data", json!("")),
        of("artifactType", json!("x/y")),
        of(
            "platform",
            json!({"architecture": "arm", "os": "linux", "variant": "v7", "os.features": ["x"], "other": 1}),
        ),
        of("other", json!([1, {"Size": 2}])),
    ];
    for descriptor in &right {
        push(&image(descriptor)).unwrap();
        push(&index(descriptor)).unwrap();
    }
}

#[test]
fn of_a_stored_document_with_another_spelling_every_digest_counts() {
    let spelled = moved(image(&descriptor("layer")), "layers", "Layers");
    let mut twice = image(&descriptor("layer"));
    twice["LAYERS"] = json!([descriptor("other")]);
    for (document, named) in [
        (spelled, vec!["config", "layer"]),
        (twice, vec!["config", "layer", "other"]),
    ] {
        let text = document.to_string();
        // as a client reads it, and nobody who looks for it as it is written
        let escaped = text.replace("sha256:", "sha\\u0032\\u00356:");
        for text in [text, escaped] {
            let found = References::stored(text.as_bytes()).digests;
            for seed in &named {
                assert!(found.contains(&digest(seed)), "{text}: {found:?}");
                assert!(stored_names(text.as_bytes(), &digest(seed)));
            }
            assert!(!stored_names(text.as_bytes(), &digest("no")));
            assert_eq!(
                stored_media_type(text.as_bytes()).as_str(),
                MediaType::OCI_MANIFEST
            );
        }
    }
}
