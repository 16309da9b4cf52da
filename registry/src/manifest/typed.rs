//! The fields of descriptors in the types that clients read them as. One field of another type makes the whole document
//! unreadable to clients in Go, and ends a garbage collection of `registry:2` before it has begun. Bytes in; pure.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::invalid::InvalidManifest;
use super::spelling::{Fields, object};

/// Refuses a document that clients could not read. What it names is looked at by whoever parses it.
pub(super) fn check(bytes: &[u8]) -> Result<(), InvalidManifest> {
    match serde_json::from_slice::<Document>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(InvalidManifest::Json {
            problem: error.to_string(),
        }),
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only whether they can be read counts")]
struct Document {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
}

/// `descriptor.md` of the image specification, and `platform` of its `image-index.md`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct Descriptor {
    size: Option<Size>,
    urls: Option<Vec<Option<String>>>,
    annotations: Option<BTreeMap<String, Option<String>>>,
    data: Option<Data>,
    artifact_type: Option<String>,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Platform {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(rename = "os.features")]
    os_features: Option<Vec<Option<String>>>,
    variant: Option<String>,
    /// Only in manifest lists of Docker.
    features: Option<Vec<Option<String>>>,
}

impl<'de> Fields<'de> for Descriptor {
    const NAMES: &'static [&'static str] =
        &["size", "urls", "annotations", "data", "artifactType", "platform"];

    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

impl<'de> Fields<'de> for Platform {
    const NAMES: &'static [&'static str] = &[
        "architecture",
        "os",
        "os.version",
        "os.features",
        "variant",
        "features",
    ];

    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer)
    }
}

/// What a signed number of 64 bits holds, and not less than nothing.
struct Size;

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = u64::deserialize(deserializer)?;
        i64::try_from(bytes)
            .map(|_| Self)
            .map_err(|_| D::Error::custom(format_args!("size {bytes} is more than any content has")))
    }
}

/// Content in base64, of which clients take the unused bits for nothing.
struct Data;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self)
    }
}

impl Visitor<'_> for Data {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content in base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self, E> {
        let decoded = BASE64.decode(text);
        decoded
            .map(|_| Self)
            .map_err(|error| E::custom(format_args!("data is not content in base64: {error}")))
    }
}

#[cfg(test)]
mod tests;
