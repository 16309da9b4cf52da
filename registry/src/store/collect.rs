//! Garbage collection of a live volume: options come in, a report goes out; IO in blocking threads.
//!
//! Drawn and argued in `registry/docs/garbage-collection.md`.

mod arming;
mod blobs;
mod collected;
mod graph;
mod linked;
mod lost;
mod mark;
mod marks;
mod packed;
mod plan;
mod report;
mod roots;
mod sweep;
mod untagged;
mod waves;
mod yielding;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use self::arming::Notes;
use self::mark::Marking;
use self::sweep::{State, Sweep};
use self::untagged::Ages;
use self::yielding::yielding;
use super::disk::lock;
use super::error::Fault;
use super::renewal::SHORTEST_GRACE;
use super::{Inner, Store, blocking};

pub(super) use arming::{Arming, Root};
pub(super) use collected::Collected;
pub use report::{CollectPhase, CollectProgress, CollectReport, Counts, Examined, Kept};
pub(super) use untagged::LastRun;

/// Hears how far a run has come.
type Progress = Arc<dyn Fn(CollectProgress) + Send + Sync>;

/// What to collect.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Blobs that no manifest names are kept for so long after they were pushed, mounted or asked for: their manifest
    /// may be on its way.
    pub grace: Duration,
    /// Manifests that nothing names are removed once they were seen so for this long. None: they are kept.
    pub untagged_after: Option<Duration>,
    /// The longest time that passes between two runs as far as the age of untagged manifests is concerned.
    pub interval: Duration,
    /// Only report what would go.
    pub dry_run: bool,
}

const DAY: Duration = Duration::from_hours(24);

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            grace: DAY,
            untagged_after: None,
            interval: DAY,
            dry_run: false,
        }
    }
}

/// Why a run has ended early. What it had removed by then was garbage.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("a collection has been running since {since}: wait until it has ended")]
    AlreadyRunning { since: jiff::Timestamp },
    #[error(
        "a grace of {} is too short for pushes that go on: say 1h or more, or 0s where losing a race costs only a retry",
        portolan_config::Duration(*.grace)
    )]
    ShortGrace { grace: Duration },
    #[error(
        "\"{path}\" lists feature \"{feature}\", which this version does not know and might damage: run the version that wrote it"
    )]
    UnknownFeature {
        path: std::path::PathBuf,
        feature: String,
    },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl CollectOptions {
    /// Refuses what no run may begin with.
    pub fn check(&self) -> Result<(), CollectError> {
        if !self.grace.is_zero() && self.grace < SHORTEST_GRACE {
            return Err(CollectError::ShortGrace { grace: self.grace });
        }
        Ok(())
    }
}

impl Store {
    /// Removes what nobody can reach, beside live pushes. One run at a time; dropping the future ends it.
    pub async fn collect(
        &self,
        options: CollectOptions,
        progress: impl Fn(CollectProgress) + Send + Sync + 'static,
    ) -> Result<CollectReport, CollectError> {
        options.check()?;
        let inner = &self.inner;
        let progress: Progress = Arc::new(progress);
        let (now, began) = ((inner.options.clock)(), Instant::now());
        let armed = inner.arming.arm(now);
        let run = armed.map_err(|since| CollectError::AlreadyRunning {
            since: timestamp(since),
        })?;
        progress(CollectProgress::at(CollectPhase::Arming, 0, 0));
        drop(inner.permit().await?); // what a predecessor removed is durable
        let checker = Arc::clone(inner);
        blocking(move || checker.check_features()).await?;
        inner.changes.turn().await;
        let (mut state, this) = inner
            .mark(options.clone(), run.notes(), now, began, &progress)
            .await?;
        // What was told in all that time is read now, when nobody waits for it, and not in the first batch.
        let listener = Arc::clone(inner);
        let state = yielding(move || state.take_notes(&listener).map(|_| state)).await?;
        // What has been read of changes that were not done is now durable, or the volume read-only.
        inner.changes.turn().await;
        let sweep = Sweep {
            inner: Arc::clone(inner),
            state: Arc::new(Mutex::new(state)),
            progress,
        };
        let records = !options.dry_run && sweep.is_free().await? && sweep.records().await?;
        // A jump of the clock shows until every record was written after it.
        if records && options.untagged_after.is_some() && !lock(&sweep.state).lacks_records {
            *lock(&inner.last_run) = Some(this);
        }
        let removes = records && sweep.repositories().await?;
        sweep.blobs(removes).await?;
        let report = sweep.finished(began.elapsed());
        *lock(&inner.last_collection) = Some(report.clone());
        Ok(report)
    }

    /// The report of the last run of this process that came to its end.
    pub fn last_collection(&self) -> Option<CollectReport> {
        lock(&self.inner.last_collection).clone()
    }
}

impl Inner {
    async fn mark(
        self: &Arc<Self>,
        options: CollectOptions,
        notes: Notes,
        now: SystemTime,
        began: Instant,
        progress: &Progress,
    ) -> Result<(State, LastRun), Fault> {
        let (inner, progress) = (Arc::clone(self), Arc::clone(progress));
        yielding(move || {
            let (ages, this) = Ages::new(*lock(&inner.last_run), now, began);
            inner.check_names()?;
            let roots = inner.roots()?;
            let mut marking = Marking {
                options: &options,
                now,
                roots: &roots,
                ages: &ages,
                plan: plan::Plan::default(),
                report: CollectReport::new(timestamp(now), options.dry_run),
                keeps_all: false,
            };
            inner.walk_repositories(None, &mut |name| {
                let done = marking.report.examined.repositories;
                let tell = || progress(CollectProgress::at(CollectPhase::Marking, done, 0));
                marking.repository(&inner, &name, &tell)?;
                Ok(true)
            })?;
            let state = State {
                notes,
                plan: marking.plan,
                report: marking.report,
                now,
                grace: options.grace,
                lacks_records: false,
            };
            Ok((state, this))
        })
        .await
    }
}

impl Sweep {
    fn finished(&self, duration: Duration) -> CollectReport {
        let state = lock(&self.state);
        let mut report = state.report.clone();
        report.kept.pushed_during_run = state.plan.rescued;
        report.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        report
    }
}

/// Times beyond what a timestamp holds are no times that a clock would give.
fn timestamp(time: SystemTime) -> jiff::Timestamp {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
