//! What a stored document refers to: bytes in, digests out; pure.
//!
//! Whoever decides by this what may be removed must err on the side of too much: of a document that is not understood,
//! everything counts that looks like a digest.

use std::collections::BTreeSet;

use portolan_oci::{Algorithm, Digest};
use serde_json::Value;

use super::Manifest;
use super::parse::stored_manifest;

/// The digests in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Config, layers and children: what someone who pulls the manifest asks for next.
    pub digests: Vec<Digest>,
    pub subject: Option<Digest>,
}

impl References {
    /// Reads any document, also one that would not be accepted as a push.
    pub fn stored(bytes: &[u8]) -> Self {
        match stored_manifest(bytes) {
            Some(manifest) => manifest.references(),
            None => Self {
                digests: digests_anywhere(bytes).into_iter().collect(),
                subject: None,
            },
        }
    }
}

impl Manifest {
    pub fn references(&self) -> References {
        References {
            digests: self.edges.iter().map(|edge| edge.digest.clone()).collect(),
            subject: self.subject.clone(),
        }
    }
}

/// Every digest in a document, as it stands there or, in JSON, as it is to be read.
pub(super) fn digests_anywhere(bytes: &[u8]) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    add_from_text(&String::from_utf8_lossy(bytes), &mut found);
    if let Ok(document) = serde_json::from_slice(bytes) {
        add_from_value(&document, &mut found);
    }
    found
}

fn add_from_value(value: &Value, found: &mut BTreeSet<Digest>) {
    match value {
        Value::String(text) => add_from_text(text, found),
        Value::Array(items) => items.iter().for_each(|item| add_from_value(item, found)),
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            add_from_text(key, found);
            add_from_value(value, found);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_from_text(text: &str, found: &mut BTreeSet<Digest>) {
    for algorithm in Algorithm::ALL {
        for (at, name) in text.match_indices(algorithm.as_str()) {
            let end = at + name.len() + 1 + algorithm.hex_len();
            found.extend(text.get(at..end).and_then(|it| it.parse::<Digest>().ok()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[test]
    fn an_image_refers_to_config_and_layers_and_apart_from_them_to_its_subject() {
        let (config, layer, subject) = (digest("c"), digest("l"), digest("s"));
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}}],"subject":{{"digest":"{subject}"}}}}"#
        );
        let references = References::stored(text.as_bytes());
        assert_eq!(references.digests, [config, layer]);
        assert_eq!(references.subject, Some(subject));
    }

    #[test]
    fn of_what_is_not_understood_every_digest_counts() {
        let [one, two, three] = Algorithm::ALL.map(|algorithm| Digest::of(algorithm, b"x"));
        let schema1 =
            format!(r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{one}"}}],"x":"{two}","y":"{three}"}}"#);
        let found = References::stored(schema1.as_bytes()).digests;
        assert_eq!(found, [one.clone(), two, three]);
        assert_eq!(
            References::stored(format!("not JSON {one}…").as_bytes()).digests,
            [one]
        );
    }
}
