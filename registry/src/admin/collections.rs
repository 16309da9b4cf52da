//! Runs of the garbage collection that administration asks for: options in, lines of JSON out while a run goes on. The
//! run is a task of its own, so that it goes on when nobody listens any more.

use std::convert::Infallible;
use std::fmt;
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
        let day = portolan_config::Duration::from_secs(24 * 60 * 60);
        Self {
            grace: day,
            untagged_after: None,
            interval: day,
            dry_run: false,
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

    /// Starts a run and tells of it, line by line.
    pub fn start(&self, options: CollectOptions) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let (progress, heard) = watch::channel(None);
        let (done, ended) = oneshot::channel();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let outcome = inner.run(options, progress).await;
            drop(done.send(outcome)); // the client may be gone
        });
        lines(heard, ended)
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
        // A run that is refused because of another one reports no progress, so it never shows up here.
        let observe = move |now: CollectProgress| {
            progress.send_replace(Some(now));
            let mut running = observer.running();
            let started_at = running.as_ref().map_or(started_at, |before| before.started_at);
            *running = Some(RunningCollection {
                started_at,
                progress: now,
            });
        };
        let outcome = self.store.collect(options, observe).await;
        let is_other = matches!(outcome, Err(CollectError::AlreadyRunning { .. }));
        if !is_other {
            self.running().take();
        }
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
                if !is_other {
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
