//! Tags: text in, a validated tag out. Pure. Case matters: `V1` and `v1` are two tags.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// A tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`. Never `.` or `..`, so it is a safe file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a tag: at most 128 letters, digits, \"_\", \".\" and \"-\", the first not \".\" or \"-\""
)]
pub struct TagError(String);

impl Tag {
    /// The tag as it stands in URLs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients of registries without a referrers API keep the index of what refers to `subject`:
    /// `<algorithm>-<encoded>`, the first cut to 32 and the second to 64 characters.
    pub fn referrers_fallback(subject: &Digest) -> Self {
        let encoded = &subject.hex()[..64];
        Self(format!("{}-{encoded}", subject.algorithm()))
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = text.as_bytes();
        let is_valid = bytes.len() <= 128
            && bytes.first().is_some_and(|&b| is_word(b))
            && bytes.iter().all(|&b| is_word(b) || b == b'.' || b == b'-');
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagError(text.chars().take(200).collect()))
        }
    }
}

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    /// P5.
    #[test]
    fn tags_of_the_grammar_are_accepted() {
        for tag in ["latest", "V1", "_x", "1.2.3-rc.1", &"a".repeat(128)] {
            assert!(tag.parse::<Tag>().is_ok(), "{tag}");
        }
    }

    /// P5.
    #[test]
    fn tags_outside_the_grammar_are_refused() {
        for tag in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "a/b",
            "a+b",
            "a:b",
            "a\0",
            "ä",
            &"a".repeat(129),
        ] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
    }

    /// P115.
    #[test]
    fn fallback_tags_of_long_digests_are_cut_to_64_characters() {
        for algorithm in Algorithm::ALL {
            let subject = Digest::of(algorithm, b"x");
            let tag = Tag::referrers_fallback(&subject);
            assert_eq!(tag.as_str(), format!("{algorithm}-{}", &subject.hex()[..64]));
            assert!(tag.as_str().parse::<Tag>().is_ok());
        }
    }
}
