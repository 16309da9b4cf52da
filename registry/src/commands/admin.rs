//! `admin`: asks a running registry how it is, and holds its garbage collection. IO.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use std::ffi::OsString;

use crate::admin::Status;
use crate::store::ScrubStatus;

use super::answer::{AnswerError, Lines};
use super::connection::Connection;
use super::gc::{self, OutputFormat};
use super::table::{bytes, count, counted, table};

/// Flags of `admin`.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: AdminVerb,
}

/// What can be asked.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminVerb {
    /// Tell what is in force: read-only or not and why, how full the volume is, holds, garbage collection.
    #[command(after_help = "Example:\n  portolan-registry admin status --output json")]
    Status(AskArgs),
    /// Keep garbage collection from removing anything until the hold is released, for a backup for instance.
    #[command(after_help = "Example:\n  portolan-registry admin hold backup")]
    Hold(HoldArgs),
    /// End a hold.
    #[command(after_help = "Example:\n  portolan-registry admin release backup")]
    Release(HoldArgs),
    /// List the holds.
    #[command(after_help = "Example:\n  portolan-registry admin holds")]
    Holds(AskArgs),
}

/// A question without parameters.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Which registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// A hold, by name.
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    /// Its name: what it is for.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub name: String,
    /// Which registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// Asks, and returns what to print.
pub async fn run(
    args: &AdminArgs,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String, AnswerError> {
    match &args.verb {
        AdminVerb::Status(ask) => {
            let answer: Value = request(&ask.connection, variable, Method::GET, "/v1/status").await?;
            if ask.output == OutputFormat::Json {
                return Ok(answer.to_string());
            }
            let status =
                serde_json::from_value(answer).map_err(|error| AnswerError::Foreign(error.to_string()))?;
            Ok(text(&status))
        }
        AdminVerb::Holds(ask) => {
            let answer: Value = request(&ask.connection, variable, Method::GET, "/v1/holds").await?;
            if ask.output == OutputFormat::Json {
                return Ok(answer.to_string());
            }
            let names = answer["holds"].as_array().into_iter().flatten();
            let names: Vec<&str> = names.filter_map(Value::as_str).collect();
            Ok(if names.is_empty() {
                "There is no hold.".to_owned()
            } else {
                names.join("\n")
            })
        }
        AdminVerb::Hold(hold) => {
            let _: Value = request(&hold.connection, variable, Method::PUT, &hold_path(&hold.name)).await?;
            Ok(format!(
                "Nothing is removed until hold \"{}\" is released.",
                hold.name
            ))
        }
        AdminVerb::Release(hold) => {
            let _: Value =
                request(&hold.connection, variable, Method::DELETE, &hold_path(&hold.name)).await?;
            Ok(format!("Hold \"{}\" is released.", hold.name))
        }
    }
}

fn hold_path(name: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("/v1/holds/{name}")
}

async fn request(
    connection: &Connection,
    variable: impl Fn(&str) -> Option<OsString>,
    method: Method,
    path: &str,
) -> Result<Value, AnswerError> {
    let response = connection.endpoint(variable)?.send(method, path, None).await?;
    Lines::of(response).await?.whole().await
}

fn scrub_line(scrub: &ScrubStatus) -> String {
    let when = match (scrub.pass_started_at, scrub.last_finished_at) {
        (Some(started), _) => format!("running since {started}, "),
        (None, Some(finished)) => format!("finished {finished}, "),
        (None, None) => return "not begun".to_owned(),
    };
    let (blobs, size) = (counted(scrub.blobs, "blob"), bytes(scrub.bytes));
    let (damaged, unreadable) = (count(scrub.damaged), count(scrub.unreadable));
    format!("{when}{blobs}, {size}, {damaged} damaged, {unreadable} unreadable")
}

/// A status for people.
pub fn text(status: &Status) -> String {
    let mut rows: Vec<(&str, String)> = vec![("version", status.version.clone())];
    let writes = match &status.read_only_reason {
        Some(reason) => format!("refused: {reason}"),
        None if status.read_only => "refused".to_owned(),
        None => "accepted".to_owned(),
    };
    rows.push(("writes", writes));
    if let Some(volume) = &status.volume {
        let left = |available: String, total: String| format!("{available} of {total} available");
        rows.push((
            "space",
            left(bytes(volume.available_bytes), bytes(volume.total_bytes)),
        ));
        rows.push((
            "inodes",
            left(count(volume.available_inodes), count(volume.total_inodes)),
        ));
        let reserve = match (volume.reserve_bytes, volume.reserve_held) {
            (0, _) => "none".to_owned(),
            (size, true) => format!("{} kept for deletes", bytes(size)),
            (size, false) => format!(
                "{} in use by deletes: pushes are refused until there is room",
                bytes(size)
            ),
        };
        rows.push(("reserve", reserve));
        rows.push(("open uploads", count(volume.open_uploads)));
    }
    if let Some(problem) = &status.problem {
        rows.push(("problem", problem.clone()));
    }
    let none = || "none".to_owned();
    let list = |names: &[String]| {
        if names.is_empty() {
            none()
        } else {
            names.join(", ")
        }
    };
    rows.push(("holds", list(&status.holds)));
    rows.push(("users file", status.users_sha256.clone().unwrap_or_else(none)));
    rows.push((
        "certificate",
        status.certificate_serial.clone().unwrap_or_else(none),
    ));
    rows.push(("token keys", list(&status.token_keys)));
    let running = match &status.collection.running {
        None => "not running".to_owned(),
        Some(run) => format!(
            "{}, running since {}",
            gc::progress_line(run.progress),
            run.started_at
        ),
    };
    rows.push(("garbage collection", running));
    rows.push(("scrub", scrub_line(&status.scrub)));
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let mut lines = vec![table(&rows, false)];
    if let Some(last) = &status.collection.last {
        lines.push(format!("\nLast garbage collection, {}:", last.started_at));
        lines.push(gc::text(last));
    }
    lines.join("\n")
}
