//! YAML text to values and back, with errors made for the person who wrote the file. Pure.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Invalid, explain};

/// Why a file cannot be used. The file's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The text is no YAML, has an unknown key, or a value of the wrong kind.
    #[error("line {line}, column {column}: {}{problem}", prefix(.key))]
    Text {
        /// Counted from 1.
        line: u64,
        /// Counted from 1.
        column: u64,
        /// The key whose value is wrong, such as `users[0].name`; empty when it is the file as a whole.
        key: String,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// The text is understood, but what it says cannot be.
    #[error("{0}")]
    Invalid(Invalid),
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Snippets of the file are left out of errors: a users file is no text to repeat in a log.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, FileError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let mut key = String::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| explain::explain(&error, &key))
}

/// True for a text without content, where YAML sees no value at all.
pub(crate) fn is_blank(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// For what may be absent: a key without a value is not the same, it may be an `auth` cut short, whose absence lets
/// everybody in, or a limit whose absence is none.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

pub(crate) fn render<T: Serialize>(value: &T) -> String {
    serde_saphyr::to_string(value).expect("maps with text keys and plain values are always YAML")
}
