//! Why a document is refused as a manifest. Each sentence goes to the client, so each says what to change.

use portolan_oci::MediaType;

/// A document that this registry does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    #[error(
        "the manifest is not the JSON of an image manifest or index: {problem}; correct it, or push with a current client"
    )]
    Json { problem: String },
    #[error("schemaVersion is {found}: it must be 2")]
    SchemaVersion { found: String },
    #[error("Content-Type is \"{header}\" but the manifest's mediaType is \"{body}\": send the same in both")]
    MediaTypeMismatch { header: MediaType, body: MediaType },
    #[error(
        "media type \"{media_type}\" is not that of a manifest: push an OCI image manifest or index, or their Docker equivalents"
    )]
    MediaType { media_type: MediaType },
    #[error(
        "Docker image manifests of schema 1 are not accepted: push the image again with a current client"
    )]
    Schema1,
    #[error("the manifest has {fields} at once, so it means different things to different clients: split it")]
    Ambiguous { fields: &'static str },
    #[error("media type \"{media_type}\" needs the field \"{field}\"")]
    FieldMissing {
        media_type: MediaType,
        field: &'static str,
    },
    #[error(
        "field \"{field}\" does not belong in media type \"{media_type}\": remove it, or push the manifest as what it is"
    )]
    FieldForeign {
        media_type: MediaType,
        field: &'static str,
    },
    #[error(
        "the manifest has neither \"config\" nor \"layers\" nor \"manifests\", so it cannot be told what it is: set mediaType"
    )]
    Shapeless,
    #[error(
        "the manifest names {named} different blobs and manifests, and at most {most} are taken: split it into several, and push an index of them"
    )]
    NamesTooMuch { named: usize, most: usize },
    #[error(
        "the manifest has a subject, and artifact type and annotations of {listed} bytes; at most {most} are listed with what refers to a subject: put the rest into a blob"
    )]
    EntryTooLarge { listed: usize, most: usize },
}
