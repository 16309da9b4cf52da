//! When stored bytes are read again: an interval and a speed come in, passes are made until told to stop. IO.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portolan_config::Scrub;
use tokio::time::sleep;

use crate::error_chain;
use crate::store::Store;

/// After a start there is more urgent work.
const DELAY: Duration = Duration::from_mins(1);
/// How often the clock is asked whether a pass is due.
const PACE: Duration = Duration::from_mins(10);

/// Makes one pass after the other; never returns by itself.
pub async fn run(store: Store, scrub: Scrub, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) {
    store.load_scrub_status().await;
    if scrub.interval.0.is_zero() {
        return std::future::pending().await;
    }
    sleep(DELAY).await;
    loop {
        let status = store.scrub_status();
        if store.read_only().is_none() && is_due(status.last_finished_at, scrub.interval.0, clock()) {
            match store.scrub(scrub.bytes_per_second).await {
                Ok(done) => tracing::info!(
                    blobs = done.blobs,
                    bytes = done.bytes,
                    damaged = done.damaged,
                    unreadable = done.unreadable,
                    "all stored bytes were compared with their digests"
                ),
                Err(fault) => tracing::warn!("scrubbing has stopped: {}", error_chain(&fault)),
            }
        }
        sleep(PACE).await;
    }
}

/// A clock that was set back makes it due, rather than never.
fn is_due(last: Option<Timestamp>, interval: Duration, now: Timestamp) -> bool {
    last.is_none_or(|last| now < last || now.duration_since(last).unsigned_abs() >= interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_due_after_the_interval_or_when_the_clock_was_set_back() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let hour = Duration::from_hours(1);
        assert!(is_due(None, hour, at(0)));
        assert!(!is_due(Some(at(100)), hour, at(3699)));
        assert!(is_due(Some(at(100)), hour, at(3700)));
        assert!(is_due(Some(at(100)), hour, at(99)));
    }
}
