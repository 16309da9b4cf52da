//! Watches the watches: every poll and every event of a stream is noted, and whoever asks hears whether all have their
//! first list and whether one has stopped moving. In: streams and a clock. Out: the same streams, metrics, answers.
//!
//! A live watch is polled at least every few minutes, when a bookmark arrives, when its server-side time-out ends it or
//! when its back-off is over. One that is not polled for longer than that is stuck, whatever the API server does.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use jiff::Timestamp;
use kube::runtime::watcher;

use crate::metrics::Metrics;

/// Longer than the watch's own time-out (295 s) and the longest back-off together.
const STUCK_AFTER: Duration = Duration::from_mins(10);

/// Shared by all streams of the process.
#[derive(Clone, Debug)]
pub struct Monitor {
    metrics: Arc<Metrics>,
    now: fn() -> Timestamp,
    watches: Arc<Mutex<Vec<Weak<Watch>>>>,
}

#[derive(Debug)]
struct Watch {
    resource: String,
    polled_at: AtomicI64,
    has_first_list: AtomicBool,
    /// Whether the last answer was that we may not.
    is_refused: AtomicBool,
}

impl Monitor {
    /// `now` is the clock.
    pub fn new(metrics: Arc<Metrics>, now: fn() -> Timestamp) -> Self {
        Self {
            metrics,
            now,
            watches: Arc::default(),
        }
    }

    /// The same stream, observed under the name of its resource.
    pub fn observe<S>(&self, resource: String, stream: S) -> Observed<S> {
        let polled_at = AtomicI64::new((self.now)().as_second());
        let watch = Arc::new(Watch {
            resource,
            polled_at,
            has_first_list: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
        });
        let mut watches = self.watches();
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&watch));
        Observed {
            stream: Box::pin(stream),
            watch,
            monitor: self.clone(),
        }
    }

    /// Resources whose first list has not come yet; nothing when all are there.
    pub fn missing_first_lists(&self) -> Vec<String> {
        self.named(|watch| !watch.has_first_list.load(Ordering::Relaxed))
    }

    /// Those of them that the API server refuses for want of a permission.
    pub fn refused_first_lists(&self) -> Vec<String> {
        self.named(|watch| {
            watch.is_refused.load(Ordering::Relaxed) && !watch.has_first_list.load(Ordering::Relaxed)
        })
    }

    /// Whether there are watches and all have their first list: passes may run.
    pub fn has_all_first_lists(&self) -> bool {
        let is_watching = self.watches().iter().any(|watch| watch.strong_count() > 0);
        is_watching && self.missing_first_lists().is_empty()
    }

    /// Resources whose watch has stopped moving.
    pub fn stuck(&self) -> Vec<String> {
        let now = (self.now)().as_second();
        let limit = i64::try_from(STUCK_AFTER.as_secs()).unwrap_or(i64::MAX);
        self.named(|watch| now - watch.polled_at.load(Ordering::Relaxed) > limit)
    }

    fn named(&self, matches: impl Fn(&Watch) -> bool) -> Vec<String> {
        let watches = self.watches();
        let live = watches.iter().filter_map(Weak::upgrade);
        live.filter(|watch| matches(watch))
            .map(|watch| watch.resource.clone())
            .collect()
    }

    fn watches(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that tells the monitor what happens to it.
#[derive(Debug)]
pub struct Observed<S> {
    stream: Pin<Box<S>>,
    watch: Arc<Watch>,
    monitor: Monitor,
}

impl<S, K> Stream for Observed<S>
where
    S: Stream<Item = watcher::Result<watcher::Event<K>>>,
{
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let second = (self.monitor.now)().as_second();
        self.watch.polled_at.store(second, Ordering::Relaxed);
        let polled = self.stream.as_mut().poll_next(context);
        let resource = self.watch.resource.as_str();
        match &polled {
            Poll::Ready(Some(Ok(event))) => {
                self.monitor.metrics.watch_event(resource, second);
                self.watch.is_refused.store(false, Ordering::Relaxed);
                if matches!(event, watcher::Event::InitDone) {
                    self.watch.has_first_list.store(true, Ordering::Relaxed);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                self.monitor.metrics.watch_failed(resource);
                let is_refused = super::is_forbidden(error);
                self.watch.is_refused.store(is_refused, Ordering::Relaxed);
                tracing::warn!(resource, error = %error, "watch failed; it is opened again");
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use kube::runtime::watcher::Event;

    use super::*;

    static SECOND: AtomicI64 = AtomicI64::new(1_700_000_000);

    fn clock() -> Timestamp {
        Timestamp::from_second(SECOND.load(Ordering::Relaxed)).unwrap()
    }

    fn monitor(now: fn() -> Timestamp) -> Monitor {
        Monitor::new(Arc::new(Metrics::new("0.1.0")), now)
    }

    #[tokio::test]
    async fn first_list_is_complete_when_it_is_done() {
        let monitor = monitor(clock);
        let events = stream::iter([Ok(Event::Init), Ok(Event::InitApply(1)), Ok(Event::InitDone)]);
        let mut observed = monitor.observe("pods".to_owned(), events);
        observed.next().await;
        observed.next().await;
        assert_eq!(monitor.missing_first_lists(), ["pods"]);
        assert!(!monitor.has_all_first_lists());
        observed.next().await;
        assert!(monitor.missing_first_lists().is_empty());
        assert!(monitor.has_all_first_lists());
    }

    #[tokio::test]
    async fn stream_that_nobody_polls_is_stuck_after_ten_minutes() {
        static NOW: AtomicI64 = AtomicI64::new(1_700_000_000);
        let monitor = monitor(|| Timestamp::from_second(NOW.load(Ordering::Relaxed)).unwrap());
        let mut observed = monitor.observe("pods".to_owned(), stream::iter([Ok(Event::Apply(1))]));
        NOW.fetch_add(600, Ordering::Relaxed);
        assert!(monitor.stuck().is_empty());
        NOW.fetch_add(1, Ordering::Relaxed);
        assert_eq!(monitor.stuck(), ["pods"]);
        observed.next().await;
        assert!(monitor.stuck().is_empty());
    }

    #[tokio::test]
    async fn dropped_stream_is_forgotten() {
        let monitor = monitor(clock);
        let observed = monitor.observe("pods".to_owned(), stream::empty::<watcher::Result<Event<u8>>>());
        drop(observed);
        assert!(monitor.missing_first_lists().is_empty() && !monitor.has_all_first_lists());
    }

    #[tokio::test]
    async fn failures_and_events_are_counted() {
        let monitor = monitor(clock);
        let events = stream::iter([Err(watcher::Error::NoResourceVersion), Ok(Event::Apply(1))]);
        monitor
            .observe("pods".to_owned(), events)
            .collect::<Vec<_>>()
            .await;
        let text = monitor.metrics.render().unwrap();
        assert!(
            text.contains("watch_restarts_total{resource=\"pods\"} 1"),
            "{text}"
        );
        assert!(text.contains("watch_open{resource=\"pods\"} 1"), "{text}");
    }
}
