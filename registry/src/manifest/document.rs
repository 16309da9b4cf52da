//! The JSON of manifests and indexes, as permissive as clients need: unknown fields are ignored, and of a descriptor only
//! what it names is looked at. Pure.

use std::collections::BTreeMap;
use std::fmt;

use portolan_oci::{Digest, MediaType};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::spelling::{Fields, object};

/// With its annotations, or with anything in their place for whoever does not ask for them: there may be many.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Document<A = BTreeMap<String, String>> {
    pub(super) schema_version: Option<SchemaVersion>,
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Target>,
    pub(super) layers: Option<Vec<Target>>,
    pub(super) manifests: Option<Vec<Target>>,
    /// The content of a withdrawn OCI artifact manifest.
    pub(super) blobs: Option<Vec<Target>>,
    pub(super) subject: Option<Target>,
    pub(super) annotations: Option<A>,
    /// Only in schema 1.
    pub(super) fs_layers: Option<IgnoredAny>,
}

/// A descriptor inside a document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Target {
    #[serde(default)]
    pub(super) media_type: Option<MediaType>,
    pub(super) digest: Digest,
}

impl<'de, A: Deserialize<'de>> Fields<'de> for Document<A> {
    const NAMES: &'static [&'static str] = &[
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "blobs",
        "subject",
        "annotations",
        "fsLayers",
    ];

    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl<'de, A: Deserialize<'de>> Deserialize<'de> for Document<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for Target {
    const NAMES: &'static [&'static str] = &["mediaType", "digest"];

    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl Target {
    /// Whether it may be elsewhere. Only its type says so: `urls` name further places, which few clients look at.
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type
            .as_ref()
            .is_some_and(MediaType::is_non_distributable)
    }
}

/// What stands where a version should. Of anything but a number only the kind is kept, however large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SchemaVersion {
    Number(u64),
    Other(&'static str),
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl<'de> Deserialize<'de> for SchemaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVersion)
    }
}

struct AnyVersion;

impl<'de> Visitor<'de> for AnyVersion {
    type Value = SchemaVersion;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<SchemaVersion, E> {
        Ok(SchemaVersion::Number(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<SchemaVersion, E> {
        Ok(SchemaVersion::Other("negative"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<SchemaVersion, E> {
        Ok(SchemaVersion::Other("a fraction"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<SchemaVersion, E> {
        Ok(SchemaVersion::Other("true or false"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<SchemaVersion, E> {
        Ok(SchemaVersion::Other("a text"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SchemaVersion, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(SchemaVersion::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<SchemaVersion, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(SchemaVersion::Other("an object"))
    }
}
