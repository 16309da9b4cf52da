//! `gc`: asks a running registry to collect its garbage, shows how it gets on, and what it has done. IO.

use std::ffi::OsString;
use std::io::Write;

use clap::{Args, ValueEnum};
use http::Method;

use crate::admin::{CollectRequest, Line};
use crate::store::{CollectPhase, CollectProgress, CollectReport, Kept};

use super::answer::{AnswerError, Lines};
use super::connection::Connection;
use super::table::{bytes, count, counted, milliseconds, table};

/// Flags of `gc`.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Tell what would go, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Keep blobs that were pushed so recently: their manifest may be on its way. At least 1h, or 0s.
    #[arg(long, value_name = "DURATION", default_value_t = CollectRequest::default().grace)]
    pub grace: portolan_config::Duration,
    /// Remove manifests that no tag, index or subject has needed for so long; without it they stay.
    #[arg(long, value_name = "DURATION")]
    pub untagged_after: Option<portolan_config::Duration>,
    /// How often this command is run: the most that one run counts towards --untagged-after.
    #[arg(long, value_name = "DURATION", default_value_t = CollectRequest::default().interval)]
    pub interval: portolan_config::Duration,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Which registry.
    #[command(flatten)]
    pub connection: Connection,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Runs a collection to its end. Progress goes to `screen`, if somebody looks at one.
pub async fn run(
    args: &GcArgs,
    variable: impl Fn(&str) -> Option<OsString>,
    mut screen: Option<&mut (dyn Write + Send)>,
) -> Result<String, AnswerError> {
    let request = CollectRequest {
        grace: args.grace,
        untagged_after: args.untagged_after,
        interval: args.interval,
        dry_run: args.dry_run,
    };
    let endpoint = args.connection.endpoint(variable)?;
    let body = serde_json::json!(request).to_string();
    let response = endpoint.send(Method::POST, "/v1/gc", Some(body)).await?;
    let mut lines = Lines::of(response).await?;
    let outcome = loop {
        match lines.next().await? {
            Some(Line::Progress(progress)) => show(&mut screen, &progress_line(progress)),
            Some(Line::Report(report)) => break Ok(report),
            Some(Line::Error(sentence)) => break Err(AnswerError::Refused(sentence)),
            None => break Err(AnswerError::Cut),
        }
    };
    show(&mut screen, "");
    let report = outcome?;
    Ok(match args.output {
        OutputFormat::Json => serde_json::json!(report).to_string(),
        OutputFormat::Table => text(&report),
    })
}

/// Writes over the line before.
fn show(screen: &mut Option<&mut (dyn Write + Send)>, line: &str) {
    if let Some(screen) = screen {
        // who does not see it misses nothing
        let _ = write!(screen, "\r\x1b[K{line}").and_then(|()| screen.flush());
    }
}

pub(super) fn progress_line(progress: CollectProgress) -> String {
    let phase = match progress.phase {
        CollectPhase::Arming => "Waiting for pushes in flight",
        CollectPhase::Marking => "Reading repositories",
        CollectPhase::Manifests => "Removing manifests",
        CollectPhase::Links => "Taking blobs from repositories",
        CollectPhase::Blobs => "Removing content that no repository has",
    };
    match progress.total {
        0 => format!("{phase}: {}", count(progress.done)),
        total => format!("{phase}: {} of {}", count(progress.done), count(total)),
    }
}

/// A report for people.
pub fn text(report: &CollectReport) -> String {
    let (candidates, freed) = (&report.candidates, &report.freed);
    let row = |what: &str, candidates: String, freed: String| vec![what.to_owned(), candidates, freed];
    let mut rows = vec![
        row("", "candidates".to_owned(), "freed".to_owned()),
        row("manifests", count(candidates.manifests), count(freed.manifests)),
        row("links", count(candidates.links), count(freed.links)),
        row("blobs", count(candidates.blobs), count(freed.blobs)),
        row("size", bytes(candidates.bytes), bytes(freed.bytes)),
    ];
    if report.dry_run {
        for row in &mut rows {
            row.pop();
        }
    }
    let examined = &report.examined;
    let repositories = match examined.repositories {
        1 => "1 repository".to_owned(),
        number => format!("{} repositories", count(number)),
    };
    let mut lines = vec![
        format!(
            "Examined {repositories}, {}, {}, {} in {}.",
            counted(examined.manifests, "manifest"),
            counted(examined.links, "link"),
            counted(examined.blobs, "blob"),
            milliseconds(report.duration_ms),
        ),
        table(&rows, true),
    ];
    let kept: Vec<String> = reasons(&report.kept)
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(reason, number)| format!("{} {reason}", count(number)))
        .collect();
    if !kept.is_empty() {
        lines.push(format!("Kept: {}.", kept.join(", ")));
    }
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("Warning: {warning}")),
    );
    if let Some(hold) = &report.suspended_by {
        lines.push(format!(
            "Removing stopped: hold \"{hold}\" is in force. `portolan-registry admin release {hold}` ends it."
        ));
    } else if report.dry_run {
        lines.push("Nothing was removed: this was a dry run.".to_owned());
    }
    lines.join("\n")
}

fn reasons(kept: &Kept) -> [(&'static str, u64); 10] {
    [
        ("tagged", kept.tagged),
        ("needed by an index", kept.children),
        ("of a subject that is kept", kept.referrers),
        ("in use by the cluster", kept.in_use),
        ("in the trash", kept.trash),
        ("untagged but young", kept.untagged_young),
        ("untagged, which this run does not remove", kept.untagged_off),
        ("damaged or beside something damaged", kept.damaged),
        ("pushed within the grace time", kept.link_grace),
        ("pushed during the run", kept.pushed_during_run),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_table_with_the_reasons_that_kept_something() {
        let report = serde_json::json!({
            "startedAt": "2026-11-23T22:00:00Z", "durationMs": 3210, "dryRun": false,
            "examined": {"repositories": 12, "manifests": 4012, "links": 30100, "blobs": 1},
            "candidates": {"manifests": 12, "links": 340, "blobs": 310, "bytes": 1_288_490_189_u64},
            "freed": {"manifests": 12, "links": 340, "blobs": 309, "bytes": 1_288_490_189_u64},
            "kept": {"tagged": 3900, "inUse": 0, "trash": 0, "children": 80, "referrers": 0, "untaggedYoung": 0,
                     "untaggedOff": 0, "damaged": 0, "linkGrace": 0, "pushedDuringRun": 1},
            "suspendedBy": null, "warnings": []
        });
        let mut report: CollectReport = serde_json::from_value(report).unwrap();
        let expected = "\
Examined 12 repositories, 4,012 manifests, 30,100 links, 1 blob in 3.2 s.
           candidates    freed
manifests          12       12
links             340      340
blobs             310      309
size          1.2 GiB  1.2 GiB
Kept: 3,900 tagged, 80 needed by an index, 1 pushed during the run.";
        assert_eq!(text(&report), expected);
        report.dry_run = true;
        assert!(!text(&report).contains("freed") && text(&report).contains("dry run"));
        report.suspended_by = Some("backup".to_owned());
        assert!(
            text(&report)
                .ends_with("hold \"backup\" is in force. `portolan-registry admin release backup` ends it.")
        );
    }
}
