//! Runs of the garbage collection that administration asks for: options in, lines of JSON out while a run goes on. The
//! run is a task of its own, so that it goes on when nobody listens any more.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::error_chain;
use crate::metrics::Metrics;
use crate::store::{CollectError, CollectOptions, CollectProgress, CollectReport, Store};

use super::status::RunningCollection;

/// How often a client hears of progress.
const PACE: Duration = Duration::from_millis(200);
/// How long it may hear nothing, so that it knows that somebody is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What `POST /v1/gc` takes; all of it may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CollectRequest {
    /// Blobs that were pushed so recently may wait for their manifest.
    pub grace: portolan_config::Duration,
    /// Manifests that have had no tag for so long go; absent: they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untagged_after: Option<portolan_config::Duration>,
    /// The most that one run may count towards the age of an untagged manifest.
    pub interval: portolan_config::Duration,
    /// Tells what would go, and removes nothing.
    pub dry_run: bool,
}

impl Default for CollectRequest {
    fn default() -> Self {
        let options = CollectOptions::default();
        Self {
            grace: portolan_config::Duration(options.grace),
            untagged_after: options.untagged_after.map(portolan_config::Duration),
            interval: portolan_config::Duration(options.interval),
            dry_run: options.dry_run,
        }
    }
}

impl From<CollectRequest> for CollectOptions {
    fn from(request: CollectRequest) -> Self {
        Self {
            grace: request.grace.0,
            untagged_after: request.untagged_after.map(|duration| duration.0),
            interval: request.interval.0,
            dry_run: request.dry_run,
        }
    }
}

/// One line of the answer; a report or an error is the last one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    Progress(CollectProgress),
    Report(Box<CollectReport>),
    Error(String),
}

/// Starts runs, and knows the one that goes on; clones are the same one.
#[derive(Clone)]
pub struct Collections(Arc<Inner>);

struct Inner {
    store: Store,
    metrics: Metrics,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    running: Mutex<Option<RunningCollection>>,
}

impl fmt::Debug for Collections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collections").finish_non_exhaustive()
    }
}

impl Collections {
    /// For the volume of `store`.
    pub fn new(store: Store, metrics: Metrics, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self(Arc::new(Inner {
            store,
            metrics,
            clock,
            running: Mutex::default(),
        }))
    }

    /// The run that goes on now.
    pub fn running(&self) -> Option<RunningCollection> {
        self.0.running().clone()
    }

    /// Starts a run and tells of it, line by line; options that are the caller's mistake start none.
    pub fn start(
        &self,
        options: CollectOptions,
    ) -> Result<impl Stream<Item = Result<Bytes, Infallible>> + use<>, CollectError> {
        options.check()?;
        let (progress, heard) = watch::channel(None);
        let (done, ended) = oneshot::channel();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let outcome = inner.run(options, progress).await;
            drop(done.send(outcome)); // the client may be gone
        });
        Ok(lines(heard, ended))
    }
}

/// A run that may have begun. When it goes, also by a panic, no run goes on.
struct Beginning {
    inner: Arc<Inner>,
    has_begun: Arc<AtomicBool>,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if self.has_begun.load(Ordering::SeqCst) {
            self.inner.running().take();
            if std::thread::panicking() {
                self.inner.metrics.collection_failed();
            }
        }
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, Option<RunningCollection>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(
        self: Arc<Self>,
        options: CollectOptions,
        progress: watch::Sender<Option<CollectProgress>>,
    ) -> Line {
        let (started_at, observer) = ((self.clock)(), self.clone());
        let is_dry = options.dry_run;
        // A run that is refused because of another one reports no progress and never shows up here.
        let has_begun = Arc::new(AtomicBool::new(false));
        let beginning = Beginning {
            inner: self.clone(),
            has_begun: has_begun.clone(),
        };
        let begins = has_begun.clone();
        let observe = move |now: CollectProgress| {
            progress.send_replace(Some(now));
            begins.store(true, Ordering::SeqCst);
            let mut running = observer.running();
            let started_at = running.as_ref().map_or(started_at, |before| before.started_at);
            *running = Some(RunningCollection {
                started_at,
                progress: now,
            });
        };
        let outcome = self.store.collect(options, observe).await;
        drop(beginning);
        match outcome {
            Ok(report) => {
                tracing::info!(
                    dry_run = is_dry,
                    freed_bytes = report.freed.bytes,
                    freed_blobs = report.freed.blobs,
                    freed_manifests = report.freed.manifests,
                    milliseconds = report.duration_ms,
                    "garbage collection ended"
                );
                self.metrics
                    .collected(is_dry, report.freed.bytes, (self.clock)().as_second());
                Line::Report(Box::new(report))
            }
            Err(error) => {
                let sentence = error_chain(&error);
                tracing::warn!("garbage collection did not end well: {sentence}");
                if has_begun.load(Ordering::SeqCst) {
                    self.metrics.collection_failed();
                }
                Line::Error(sentence)
            }
        }
    }
}

enum Telling {
    Running(
        watch::Receiver<Option<CollectProgress>>,
        oneshot::Receiver<Line>,
        Instant,
    ),
    Ended,
}

fn lines(
    heard: watch::Receiver<Option<CollectProgress>>,
    ended: oneshot::Receiver<Line>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let begin = Telling::Running(heard, ended, Instant::now());
    futures::stream::unfold(begin, |telling| async move {
        let Telling::Running(mut heard, mut ended, last) = telling else {
            return None;
        };
        loop {
            let line = tokio::select! {
                line = &mut ended => line.unwrap_or_else(|_| Line::Error("the run has ended without a word: look into the log".to_owned())),
                () = sleep(PACE) => {
                    let is_news = heard.has_changed().unwrap_or(false) || last.elapsed() > HEARTBEAT;
                    match *heard.borrow_and_update() {
                        Some(progress) if is_news => Line::Progress(progress),
                        _ => continue,
                    }
                }
            };
            let next = match &line {
                Line::Progress(_) => Telling::Running(heard, ended, Instant::now()),
                Line::Report(_) | Line::Error(_) => Telling::Ended,
            };
            return Some((Ok(text(&line)), next));
        }
    })
}

fn text(line: &Line) -> Bytes {
    let mut text = serde_json::json!(line).to_string();
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Requirements, StoreOptions, VolumeOptions};
    use futures::StreamExt as _;
    use portolan_oci::{Algorithm, Digest};
    use std::sync::atomic::AtomicUsize;
    use std::time::SystemTime;

    async fn last_line(collections: &Collections) -> Line {
        let options = CollectOptions {
            grace: Duration::ZERO,
            ..CollectOptions::default()
        };
        let lines: Vec<_> = collections.start(options).unwrap().collect().await;
        serde_json::from_slice(lines.last().unwrap().as_ref().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_run_that_panics_is_over_and_the_next_one_begins() {
        let volume = tempfile::tempdir().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let layers = "docker/registry/v2/repositories/a/_layers/sha256";
        let link = volume.path().join(layers).join(digest.hex());
        std::fs::create_dir_all(&link).unwrap();
        std::fs::write(link.join("link"), digest.as_str()).unwrap();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let calls = left.clone();
        let clock = move || {
            let is_good = calls.fetch_sub(1, Ordering::SeqCst) > 0;
            assert!(is_good, "the clock stands still");
            SystemTime::UNIX_EPOCH
        };
        let store = Store::open(StoreOptions {
            path: volume.path().to_owned(),
            volume: VolumeOptions::default(),
            lock_timeout: Duration::ZERO,
            upload_idle_timeout: Duration::MAX,
            open_uploads: 1,
            requirements: Requirements::default(),
            clock: Arc::new(clock),
            random: Arc::new(|| [7; 16]),
        })
        .await
        .unwrap();
        let collections = Collections::new(store, Metrics::new(), Arc::new(|| Timestamp::UNIX_EPOCH));
        left.store(0, Ordering::SeqCst); // the run asks when it begins
        assert!(matches!(last_line(&collections).await, Line::Error(_)));
        assert!(collections.running().is_none());
        left.store(usize::MAX, Ordering::SeqCst);
        assert!(matches!(last_line(&collections).await, Line::Report(report) if report.freed.links == 1));
    }
}
