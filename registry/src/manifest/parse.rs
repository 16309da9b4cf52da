//! A pushed document and its `Content-Type` in, a [`Manifest`] or the reason against it out. Pure.

use std::collections::BTreeMap;

use portolan_oci::{Digest, MediaType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::document::{Document, SchemaVersion, Target};
use super::invalid::InvalidManifest;
use super::references::digests_anywhere;
use super::{Edge, EdgeKind, Manifest, typed, unique_edges};

/// So many things may a manifest name that is new. Images have up to some hundred layers, indexes and caches of builds up to
/// some thousand entries; each costs memory and time in every push, collection and check.
const MOST_NAMED: usize = 5_000;

/// So much may a manifest that is new add to the list of what refers to its subject. That list has pages of 4 MiB, of which
/// many clients read the first: nobody shall fill it alone.
const LARGEST_ENTRY: usize = 64 * 1024;

/// What a media type makes of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
    Artifact,
}

impl Manifest {
    /// Whether its document can be read by all clients, and names no more, and tells no more to those who ask for
    /// referrers, than what is pushed may. What is stored may, whoever has stored it.
    pub fn check_new(&self, bytes: &[u8]) -> Result<(), InvalidManifest> {
        typed::check(bytes)?;
        self.check_bound()
    }

    fn check_bound(&self) -> Result<(), InvalidManifest> {
        let named = self.edges.len();
        if named > MOST_NAMED {
            return Err(InvalidManifest::NamesTooMuch {
                named,
                most: MOST_NAMED,
            });
        }
        let listed = self.listed_bytes();
        if self.subject.is_some() && listed > LARGEST_ENTRY {
            return Err(InvalidManifest::EntryTooLarge {
                listed,
                most: LARGEST_ENTRY,
            });
        }
        Ok(())
    }

    /// What it adds to a list of referrers beside digest and size.
    fn listed_bytes(&self) -> usize {
        let entry = serde_json::json!([self.media_type, self.artifact_type, self.annotations]);
        entry.to_string().len()
    }

    /// Checks a document. Without a `Content-Type` its own `mediaType` counts, and without that its shape; where two of
    /// them are there they must agree, because clients differ in which one they believe.
    pub fn parse(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let header = content_type
            .map(MediaType::from_content_type)
            .filter(|header| !header.as_str().is_empty());
        if header.as_ref().is_some_and(is_schema1) {
            return Err(InvalidManifest::Schema1);
        }
        let mut document: Document =
            serde_json::from_slice(bytes).map_err(|error| InvalidManifest::Json {
                problem: error.to_string(),
            })?;
        check_schema_version(&document)?;
        let media_type = decide_media_type(header, &document)?;
        let kind = kind_of(&media_type)?;
        check_shape(kind, &media_type, &document)?;
        let annotations = document.annotations.take().unwrap_or_default();
        Ok(build(media_type, annotations, document))
    }
}

/// What a document says about what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// The type to serve stored bytes as. Documents of other registries on the same volume are served too, so this never
/// refuses: what says nothing about itself is told by its shape.
pub fn stored_media_type(bytes: &[u8]) -> MediaType {
    let Ok(document) = serde_json::from_slice::<Claims>(bytes) else {
        return MediaType::new("application/octet-stream");
    };
    let declared = document.media_type.as_deref().filter(|text| !text.is_empty());
    MediaType::new(match declared {
        Some(text) => text,
        None if document.fs_layers.is_some() => MediaType::DOCKER_SCHEMA1_SIGNED,
        None if document.manifests.is_some() => MediaType::OCI_INDEX,
        None => MediaType::OCI_MANIFEST,
    })
}

/// Whether stored bytes name `digest` as something that they need. What cannot be read may need anything.
pub fn stored_names(bytes: &[u8], digest: &Digest) -> bool {
    match stored_manifest(bytes) {
        Some(manifest) => manifest.names(digest),
        None => digests_anywhere(bytes).contains(digest),
    }
}

/// What a stored index lists as images: these have no manifests below them.
pub fn stored_images(bytes: &[u8]) -> Vec<Digest> {
    let document: Option<Document<IgnoredAny>> = serde_json::from_slice(bytes).ok();
    let entries = document.and_then(|document| document.manifests);
    let images = entries.into_iter().flatten().filter(|entry| {
        let media_type = entry.media_type.as_ref().map(MediaType::as_str);
        media_type.is_some_and(|it| [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST].contains(&it))
    });
    images.map(|entry| entry.digest).collect()
}

/// Stored bytes as a manifest without annotations, though it may be none that would be accepted. None: they are not
/// understood.
pub(super) fn stored_manifest(bytes: &[u8]) -> Option<Manifest> {
    let document: Document<IgnoredAny> = serde_json::from_slice(bytes).ok()?;
    let is_understood = document.fs_layers.is_none();
    is_understood.then(|| build(MediaType::new(""), BTreeMap::new(), document))
}

fn is_schema1(media_type: &MediaType) -> bool {
    [MediaType::DOCKER_SCHEMA1, MediaType::DOCKER_SCHEMA1_SIGNED].contains(&media_type.as_str())
}

fn check_schema_version(document: &Document) -> Result<(), InvalidManifest> {
    let is_artifact = document.media_type.as_deref() == Some(MediaType::OCI_ARTIFACT);
    match &document.schema_version {
        Some(SchemaVersion::Number(2)) => Ok(()),
        Some(SchemaVersion::Number(1)) => Err(InvalidManifest::Schema1),
        None if is_artifact => Ok(()), // that document type never had one
        None => Err(InvalidManifest::SchemaVersion {
            found: "missing".into(),
        }),
        Some(version) => Err(InvalidManifest::SchemaVersion {
            found: version.to_string(),
        }),
    }
}

fn decide_media_type(header: Option<MediaType>, document: &Document) -> Result<MediaType, InvalidManifest> {
    let body = document
        .media_type
        .as_deref()
        .filter(|text| !text.is_empty())
        .map(MediaType::new);
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            Err(InvalidManifest::MediaTypeMismatch { header, body })
        }
        (_, Some(body)) => Ok(body),
        (header, None) => {
            let shape = MediaType::new(if document.manifests.is_some() {
                MediaType::OCI_INDEX
            } else if document.config.is_some() || document.layers.is_some() {
                MediaType::OCI_MANIFEST
            } else {
                return Err(InvalidManifest::Shapeless);
            });
            match header {
                // The layout keeps no media type beside the bytes: what they do not say themselves would be lost.
                Some(header) if kind_of(&header).is_ok() && header != shape => {
                    Err(InvalidManifest::FieldMissing {
                        media_type: header,
                        field: "mediaType",
                    })
                }
                Some(header) if header != shape => Err(InvalidManifest::MediaType { media_type: header }),
                _ => Ok(shape),
            }
        }
    }
}

fn kind_of(media_type: &MediaType) -> Result<Kind, InvalidManifest> {
    match media_type.as_str() {
        MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST => Ok(Kind::Image),
        MediaType::OCI_INDEX | MediaType::DOCKER_LIST => Ok(Kind::Index),
        MediaType::OCI_ARTIFACT => Ok(Kind::Artifact),
        _ => Err(InvalidManifest::MediaType {
            media_type: media_type.clone(),
        }),
    }
}

/// Refuses documents that one client would read as an image and another as an index.
fn check_shape(kind: Kind, media_type: &MediaType, document: &Document) -> Result<(), InvalidManifest> {
    if document.manifests.is_some() && document.layers.is_some() {
        return Err(InvalidManifest::Ambiguous {
            fields: "\"layers\" and \"manifests\"",
        });
    }
    if document.manifests.is_some() && document.config.is_some() {
        return Err(InvalidManifest::Ambiguous {
            fields: "\"config\" and \"manifests\"",
        });
    }
    let missing = |field| {
        Err(InvalidManifest::FieldMissing {
            media_type: media_type.clone(),
            field,
        })
    };
    let foreign = |field| {
        Err(InvalidManifest::FieldForeign {
            media_type: media_type.clone(),
            field,
        })
    };
    match kind {
        Kind::Image | Kind::Artifact if document.manifests.is_some() => foreign("manifests"),
        Kind::Image if document.config.is_none() => missing("config"),
        Kind::Index if document.layers.is_some() => foreign("layers"),
        Kind::Index if document.config.is_some() => foreign("config"),
        Kind::Index if document.manifests.is_none() => missing("manifests"),
        _ => Ok(()),
    }
}

fn build<A>(media_type: MediaType, annotations: BTreeMap<String, String>, document: Document<A>) -> Manifest {
    let config_type = document
        .config
        .as_ref()
        .and_then(|config| config.media_type.as_ref())
        .map(ToString::to_string);
    let edge = |target: Target, kind| Edge {
        digest: target.digest,
        kind,
    };
    // nobody can do anything with an image whose config is elsewhere, whatever its type says
    let config = document.config.into_iter();
    let mut edges: Vec<Edge> = config.map(|it| edge(it, EdgeKind::Blob)).collect();
    let layers = document.layers.into_iter().flatten();
    for layer in layers.chain(document.blobs.into_iter().flatten()) {
        let kind = if layer.is_foreign() {
            EdgeKind::ForeignBlob
        } else {
            EdgeKind::Blob
        };
        edges.push(edge(layer, kind));
    }
    let children = document.manifests.into_iter().flatten();
    edges.extend(children.map(|it| edge(it, EdgeKind::Child)));
    Manifest {
        media_type,
        edges: unique_edges(edges),
        subject: document.subject.map(|subject| subject.digest),
        artifact_type: document
            .artifact_type
            .filter(|text| !text.is_empty())
            .or(config_type),
        annotations,
    }
}

#[cfg(test)]
mod tests;
