//! An error of the YAML library and the key it is at in, a sentence for the person who wrote the file out. Pure.
//!
//! No value is repeated except where only a fixed set of words or a public text can stand: it may be a password.

use serde_saphyr::Error;

use crate::FileError;

pub(crate) fn explain(error: &Error, key: &str) -> FileError {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    FileError::Text {
        line,
        column,
        key: section(error.without_snippet(), key),
        problem: problem(error.without_snippet()),
    }
}

/// The key whose value is wrong. An unknown key is a problem of the map that it stands in.
fn section(error: &Error, key: &str) -> String {
    let key = match error {
        Error::AliasError { error, .. } => return section(error, key),
        Error::SerdeUnknownField { field, .. } => {
            let above = key.strip_suffix(field.as_str()).unwrap_or(key);
            above.strip_suffix('.').unwrap_or(above)
        }
        _ => key,
    };
    let is_known = !key.split('.').any(|part| part == "?");
    if key == "." || !is_known {
        String::new()
    } else {
        key.to_owned()
    }
}

fn problem(error: &Error) -> String {
    match error {
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
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("key \"{key}\" is there twice; write it once")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice; write it once".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here; keep one, without a line of --- before another".to_owned()
        }
        Error::Unexpected { expected, .. } => shape(expected),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. } => {
            "this is no single word; write one without brackets".to_owned()
        }
        Error::NullIntoString { .. } => {
            "there is no value; write one, or leave the key out for its default".to_owned()
        }
        Error::InvalidScalar { ty: "boolean", .. } | Error::InvalidBooleanStrict { .. } => {
            "this is neither true nor false; write one of the two".to_owned()
        }
        Error::InvalidScalar { ty: "u32", .. } => {
            format!(
                "this is no whole number in range; write one from 1 to {}",
                u32::MAX
            )
        }
        Error::InvalidScalar { ty: "u64", .. } => {
            "this is no whole number; write one without a unit, such as 67108864".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "an alias (*) without its anchor (&); write the value itself, in quotes if it begins with *"
                .to_owned()
        }
        Error::AliasError { error, .. } => problem(error),
        Error::Message { msg, .. } => one_line(msg),
        Error::ExternalMessage { msg, .. } => syntax(msg),
        other => syntax(&other.to_string()),
    }
}

/// What should stand there instead of something of another shape.
fn shape(expected: &str) -> String {
    match expected {
        "mapping start" => "there are no keys here; write `key: value` lines below, indented",
        "sequence start" => "this is no list; write one in brackets, as in [a, b], or as `- a` lines",
        "string scalar" => "this is no single value; write one without brackets, in quotes if it has a colon",
        other => return syntax(&format!("expected {other}")),
    }
    .to_owned()
}

fn syntax(message: &str) -> String {
    if message.contains("expected a nonzero") {
        return "this is 0; write a number of at least 1, or leave the key out for its default".to_owned();
    }
    let remedy = if message.contains("tabs") {
        "indent with spaces"
    } else if message.starts_with("unclosed") {
        "close it"
    } else {
        "correct this place, with quotes around what has special characters"
    };
    format!("no YAML: {}; {remedy}", one_line(message))
}

/// The library ends its sentences with the place, which is told already.
fn one_line(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    message.trim().replace('\n', " ")
}
