//! For how long nothing has named a manifest: records come in, records come out. Blocking reads; the sweep writes.
//!
//! Each run credits what has passed since the run before, at most one interval: a registry that was not running, and a
//! clock that was wrong, make nothing older. A record that is lost begins anew.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use portolan_oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

use super::timestamp;
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::read_file;

/// What `untagged/<name>/_/<alg>/<hex>` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    first_seen: Timestamp,
    last_seen: Timestamp,
    credited_seconds: u64,
}

impl Record {
    pub(super) fn age(&self) -> Duration {
        Duration::from_secs(self.credited_seconds)
    }
}

/// When a run of this process counted ages, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct LastRun {
    wall: SystemTime,
    monotonic: Instant,
}

/// How the ages of one run are counted.
#[derive(Debug)]
pub(super) struct Ages {
    now: Timestamp,
    credits: bool,
}

/// By how much the clocks may disagree about the time between two runs.
const TOLERANCE: Duration = Duration::from_mins(1);

impl Ages {
    pub(super) fn new(last: Option<LastRun>, wall: SystemTime, monotonic: Instant) -> (Self, LastRun) {
        let ages = Self {
            now: timestamp(wall),
            credits: last.is_none_or(|last| last.agrees(wall, monotonic)),
        };
        (ages, LastRun { wall, monotonic })
    }

    /// The record of a manifest as it is after this run.
    pub(super) fn of(
        &self,
        inner: &Inner,
        name: &RepositoryName,
        digest: &Digest,
        interval: Duration,
    ) -> Result<Record, Fault> {
        let bytes = read_file(&inner.keys.untagged(name, digest))?;
        let before = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(self.next(before, interval))
    }

    fn next(&self, before: Option<Record>, interval: Duration) -> Record {
        let Some(before) = before else {
            return Record {
                first_seen: self.now,
                last_seen: self.now,
                credited_seconds: 0,
            };
        };
        let passed = u64::try_from(self.now.duration_since(before.last_seen).as_secs()).unwrap_or(0);
        let credit = if self.credits {
            passed.min(interval.as_secs())
        } else {
            0
        };
        Record {
            first_seen: before.first_seen,
            last_seen: self.now,
            credited_seconds: before.credited_seconds.saturating_add(credit),
        }
    }
}

impl LastRun {
    fn agrees(&self, wall: SystemTime, monotonic: Instant) -> bool {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        wall.duration_since(self.wall)
            .is_ok_and(|by_wall| by_wall.abs_diff(passed) <= TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn ages(hours: u32, credits: bool) -> Ages {
        Ages {
            now: timestamp(SystemTime::UNIX_EPOCH + HOUR * hours),
            credits,
        }
    }

    #[test]
    fn a_run_credits_what_has_passed_but_no_more_than_an_interval() {
        let first = ages(0, true).next(None, HOUR * 24);
        assert_eq!(first.age(), Duration::ZERO);
        let second = ages(10, true).next(Some(first), HOUR * 24);
        assert_eq!(second.age(), HOUR * 10);
        let third = ages(10 + 300, true).next(Some(second), HOUR * 24);
        assert_eq!(third.age(), HOUR * 34);
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_younger_or_older() {
        let first = ages(10, true).next(None, HOUR * 24);
        let second = ages(5, true).next(Some(first), HOUR * 24);
        assert_eq!(second.age(), Duration::ZERO);
        let third = ages(6, true).next(Some(second), HOUR * 24);
        assert_eq!(third.age(), HOUR);
    }

    #[test]
    fn clocks_that_disagree_credit_nothing_once() {
        let first = ages(0, true).next(None, HOUR * 24);
        let second = ages(10, false).next(Some(first), HOUR * 24);
        assert_eq!(second.age(), Duration::ZERO);
        assert_eq!(ages(11, true).next(Some(second), HOUR * 24).age(), HOUR);
    }

    #[test]
    fn clocks_disagree_when_one_has_jumped_by_more_than_a_minute() {
        let (wall, monotonic) = (SystemTime::UNIX_EPOCH + HOUR, Instant::now());
        let last = LastRun { wall, monotonic };
        let credits = |wall, monotonic| Ages::new(Some(last), wall, monotonic).0.credits;
        assert!(credits(wall + HOUR, monotonic + HOUR));
        assert!(!credits(wall + HOUR * 2, monotonic + HOUR));
        assert!(!credits(wall - HOUR, monotonic));
        assert!(Ages::new(None, wall, monotonic).0.credits);
    }
}
