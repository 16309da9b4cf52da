//! Identifiers of upload sessions: 16 random bytes or text in, a value in UUID spelling out. Pure.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

/// Names an upload session in `Location` and `Docker-Upload-UUID`. 122 random bits: knowing it is what lets a client
/// continue an upload, so it must come from a cryptographic source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(String);

/// A text that is no upload identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an upload identifier of this registry")]
pub struct UploadIdError(String);

impl UploadId {
    /// Spells random bytes as a version 4 UUID.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The text; a safe file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = text.len() == 36
            && text.bytes().enumerate().all(|(index, b)| match index {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
            });
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(UploadIdError(text.chars().take(100).collect()))
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_version_4_uuid_that_parses_again() {
        let id = UploadId::from_random([0xff; 16]);
        assert_eq!(id.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn paths_and_upper_case_are_no_identifiers() {
        for text in [
            "",
            "..",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "ffffffff/ffff-4fff-bfff-ffffffffffff",
        ] {
            assert!(text.parse::<UploadId>().is_err(), "{text}");
        }
    }
}
