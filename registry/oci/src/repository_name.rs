//! Repository names: text in, a validated name out. Pure.
//!
//! No component can begin with `_`, `.` or `-`, be empty or hold upper case, so a name is a safe relative path and never
//! meets the private directories that a storage layout puts beside it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a repository: components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// Why a text is no repository name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// Longer than [`RepositoryName::MAX_LEN`].
    #[error("a repository name has at most 255 characters, this one has {0}")]
    TooLong(usize),
    /// Some component is not spelled as the specification wants it.
    #[error(
        "\"{name}\" is not a repository name: \"{component}\" must be lower-case letters and digits, \
         with single \".\", \"_\", \"__\" or dashes between them"
    )]
    Component {
        /// The whole name.
        name: String,
        /// The component that is wrong; empty for a double or trailing slash.
        component: String,
    },
}

impl RepositoryName {
    /// Clients limit host, slash and name together to 255 characters.
    pub const MAX_LEN: usize = 255;

    /// The name as it stands in URLs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_LEN {
            return Err(RepositoryNameError::TooLong(text.len()));
        }
        match text
            .split('/')
            .find(|component| !is_component(component.as_bytes()))
        {
            Some(component) => Err(RepositoryNameError::Component {
                name: text.to_owned(),
                component: component.to_owned(),
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

fn is_component(bytes: &[u8]) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !is_alphanumeric(first) || !is_alphanumeric(last) {
        return false;
    }
    bytes.split(|&b| is_alphanumeric(b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
    })
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RepositoryName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P4.
    #[test]
    fn names_of_the_grammar_are_accepted() {
        for name in [
            "a",
            "0",
            "team-a/app",
            "a.b_c__d---e",
            "a/manifests/b",
            "blobs/uploads",
            "tags/list",
        ] {
            assert_eq!(
                name.parse::<RepositoryName>().map(|n| n.to_string()),
                Ok(name.to_owned())
            );
        }
    }

    /// P4.
    #[test]
    fn names_outside_the_grammar_are_refused() {
        let names = [
            "", "/", "a/", "/a", "a//b", "A", "a/B", "_a", "a_", ".a", "a..b", "a___b", "a._b", "a-.b", "-a",
            "a/../b", "a\\b", "a\0b", "é", "a b",
        ];
        for name in names {
            assert!(
                matches!(
                    name.parse::<RepositoryName>(),
                    Err(RepositoryNameError::Component { .. })
                ),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_name_of_256_characters_is_too_long() {
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert_eq!(
            "a".repeat(256).parse::<RepositoryName>(),
            Err(RepositoryNameError::TooLong(256))
        );
    }
}
