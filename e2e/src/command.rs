//! Runs the stock programs (kubectl, helm, crane, ctr): a command line in, its output out; a failure carries the
//! command and what it said.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// No command of these tests is worth more than this; a hanging one must not hang the suite.
const LIMIT: Duration = Duration::from_mins(3);

/// Starts a command line; the caller adds environment or arguments and hands it to [`output`].
pub fn command<I, S>(program: &str, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs to the end and returns standard output; another status than 0 is an error with standard error's text.
pub async fn output(mut command: Command) -> Result<String> {
    let line = format!("{:?}", command.as_std());
    let done = tokio::time::timeout(LIMIT, command.output())
        .await
        .with_context(|| format!("{line}: still running after {LIMIT:?}"))?
        .with_context(|| format!("cannot start {line}"))?;
    if !done.status.success() {
        bail!(
            "{line}: {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
