//! YAML text to values and back, with errors made for the person who wrote the file. Pure.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Invalid;

/// Why a file cannot be used. The file's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The text is no YAML, has an unknown key, or a value of the wrong kind.
    #[error("line {line}, column {column}: {problem}")]
    Text {
        /// Counted from 1.
        line: u64,
        /// Counted from 1.
        column: u64,
        /// What is wrong, and what to write where that is known.
        problem: String,
    },
    /// The text is understood, but what it says cannot be.
    #[error("{0}")]
    Invalid(Invalid),
}

/// Snippets of the file are left out of errors: a users file is no text to repeat in a log.
pub(crate) fn parse<T: DeserializeOwned + Default>(text: &str) -> Result<T, FileError> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(T::default());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

/// True for a text without content, where YAML sees no value at all.
pub(crate) fn is_blank(text: &str) -> bool {
    text.lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn explain(error: &serde_saphyr::Error) -> FileError {
    use serde_saphyr::Error;
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let problem = match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key \"{field}\"; write one of {}", expected.join(", "))
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            format!(
                "unknown value \"{variant}\"; write one of {}",
                expected.join(", ")
            )
        }
        Error::SerdeMissingField { field, .. } => format!("key \"{field}\" is missing here; add it"),
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("key \"{key}\" is there twice; write it once"),
            None => "a key is there twice; write it once".to_owned(),
        },
        other => strip_location(&other.to_string()),
    };
    FileError::Text {
        line,
        column,
        problem,
    }
}

/// The library ends its sentences with the place that this module states first.
fn strip_location(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    message
        .strip_prefix("error: ")
        .unwrap_or(message)
        .trim()
        .replace('\n', " ")
}

pub(crate) fn render<T: Serialize>(value: &T) -> String {
    serde_saphyr::to_string(value).expect("maps with text keys and plain values are always YAML")
}
