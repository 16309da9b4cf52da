//! Waiting for a fact, with a deadline and the reason why it has not come yet: never a bare pause.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// What a new Registry may take on a busy machine until it is Ready.
pub const READY: Duration = Duration::from_mins(2);
/// What any other reaction of the operator may take on a busy machine.
pub const REACTION: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(200);

/// Asks `probe` until it answers; its error is the reason "not yet", and the last one is told at the deadline.
pub async fn until<T>(fact: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(reason) if start.elapsed() >= limit => bail!("{fact}: not within {limit:?}: {reason:#}"),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Asks `probe` for as long as `span` and fails at the first error: for what must stay as it is.
pub async fn throughout(
    fact: &str,
    span: Duration,
    mut probe: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(broken) = probe().await {
            bail!("{fact}: no longer after {:?}: {broken:#}", start.elapsed());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
