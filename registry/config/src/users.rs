//! The users file: who may do what in which repositories. Text in, checked values out. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FileError, Glob, Invalid, validate, yaml};

/// Everything `users.yaml` can say. Who is not in it may do nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Users {
    /// The users; names are unique.
    pub users: Vec<User>,
}

/// One user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// What a client gives as its user name; no colon, which separates name and password in the Basic scheme.
    pub name: String,
    /// SHA-256 of the passwords, 64 hexadecimal digits each; any of them opens. A fast hash is right only for
    /// generated passwords of at least 128 random bits, and several let a password be changed without an outage.
    pub password_sha256: Vec<String>,
    /// What the user may do; nothing when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
}

impl fmt::Debug for User {
    /// Without the hashes: what is logged by accident should open no door, not even slowly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("permissions", &self.permissions)
            .finish_non_exhaustive()
    }
}

/// Some actions in some repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permission {
    /// Patterns of repository names; one that matches is enough.
    pub repositories: Vec<Glob>,
    /// What may be done there.
    pub actions: Vec<Action>,
}

/// What can be permitted. None implies another: who pushes usually also needs to pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Read blobs, manifests, tags and referrers.
    Pull,
    /// Write blobs, manifests and tags.
    Push,
    /// Delete tags, manifests and blobs.
    Delete,
}

impl Action {
    /// The word in files, token scopes and challenges.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

impl Users {
    /// Reads the text of `users.yaml` and applies every rule. A text without content is refused: a file cut short
    /// by accident should not lock everybody out; `users: []` does that on purpose.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        if yaml::is_blank(text) {
            let problem = "key \"users\" is missing here; add it (users: [] lets nobody in)".to_owned();
            return Err(FileError::Text {
                line: 1,
                column: 1,
                key: String::new(),
                problem,
            });
        }
        let users: Self = yaml::parse(text)?;
        users.validate().map_err(FileError::Invalid)?;
        Ok(users)
    }

    /// Applies the rules that no single key's type can hold; all problems are reported at once.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate::users(self)
    }

    /// The text of `users.yaml`; equal values give equal text.
    pub fn to_yaml(&self) -> String {
        yaml::render(self)
    }
}

/// The 32 bytes behind an entry of `passwordSha256`; `None` when it is not 64 hexadecimal digits.
pub fn password_sha256(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}
