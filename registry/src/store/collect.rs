//! Garbage collection of a live volume: options come in, a report goes out; IO in blocking threads.
//!
//! Drawn and argued in `registry/docs/garbage-collection.md`.

mod arming;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::disk::lock;
use super::error::Fault;
use super::links::digests_in;
use super::{Inner, Store, blocking};

pub(super) use arming::{Arming, Root};
pub use report::{CollectPhase, CollectProgress, CollectReport, Counts, Examined, Kept};

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
        "\"{path}\" lists feature \"{feature}\", which this version does not know and might damage: run the version that wrote it"
    )]
    UnknownFeature {
        path: std::path::PathBuf,
        feature: String,
    },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Store {
    /// Removes what nobody can reach, beside live pushes. One run at a time; dropping the future ends it.
    pub async fn collect(
        &self,
        options: CollectOptions,
        progress: impl Fn(CollectProgress) + Send + Sync + 'static,
    ) -> Result<CollectReport, CollectError> {
        let inner = &self.inner;
        let (started, began) = ((inner.options.clock)(), Instant::now());
        let _run = inner
            .arming
            .arm(started)
            .map_err(|since| CollectError::AlreadyRunning {
                since: timestamp(since),
            })?;
        progress(CollectProgress::at(CollectPhase::Arming, 0, 0));
        drop(inner.permit().await?);
        inner.changes.turn().await;
        let mut report = CollectReport::new(timestamp(started), options.dry_run);
        let reader = Arc::clone(inner);
        report.examined = blocking(move || reader.examine(&progress)).await?;
        report.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        *lock(&inner.last_collection) = Some(report.clone());
        Ok(report)
    }

    /// The report of the last run of this process that came to its end.
    pub fn last_collection(&self) -> Option<CollectReport> {
        lock(&self.inner.last_collection).clone()
    }
}

impl Inner {
    fn examine(&self, progress: &dyn Fn(CollectProgress)) -> Result<Examined, Fault> {
        let mut examined = Examined::default();
        self.walk_repositories(None, &mut |name| {
            examined.repositories += 1;
            examined.manifests += digests_in(&self.keys.revisions(&name))?.len() as u64;
            examined.links += digests_in(&self.keys.layers(&name))?.len() as u64;
            progress(CollectProgress::at(
                CollectPhase::Marking,
                examined.repositories,
                0,
            ));
            Ok(true)
        })?;
        Ok(examined)
    }
}

/// Times beyond what a timestamp holds are no times that a clock would give.
fn timestamp(time: SystemTime) -> jiff::Timestamp {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
