//! The numbers that `/metrics` shows: events come in, the text format of Prometheus goes out. In memory only.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Every number; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabel, Histogram, fn() -> Histogram>,
    /// Requests whose answer is not complete yet.
    pub in_flight: Gauge,
    /// Open connections of the public listener.
    pub connections: Gauge,
    received_bytes: Counter,
    sent_bytes: Counter,
    reload_failures: Family<WhatLabel, Counter>,
    reload_failing: Family<WhatLabel, Gauge>,
    certificate_not_after: Family<ListenerLabel, Gauge>,
    storage: StorageGauges,
    scrub: ScrubGauges,
    collection: CollectionNumbers,
}

#[derive(Clone, Debug, Default)]
struct ScrubGauges {
    damaged: Gauge,
    unreadable: Gauge,
    finished: Gauge,
}

#[derive(Clone, Debug, Default)]
struct CollectionNumbers {
    runs: Family<OutcomeLabel, Counter>,
    freed_bytes: Counter,
    last: Gauge,
}

#[derive(Clone, Debug, Default)]
struct StorageGauges {
    read_only: Gauge,
    open_uploads: Gauge,
    total_bytes: Gauge,
    available_bytes: Gauge,
    total_inodes: Gauge,
    available_inodes: Gauge,
    reserve_held: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabel {
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

/// What the storage gauges show.
#[derive(Clone, Copy, Debug, Default)]
pub struct StorageNumbers {
    /// Are writes refused?
    pub read_only: bool,
    /// Upload sessions that were begun and neither finished nor given up.
    pub open_uploads: u64,
    /// Size of the volume.
    pub total_bytes: u64,
    /// Left for this process.
    pub available_bytes: u64,
    /// How many files the volume can hold.
    pub total_inodes: u64,
    /// How many more.
    pub available_inodes: u64,
    /// Is room kept for deletes?
    pub reserve_held: bool,
}

fn duration_histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All numbers at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portolan_registry");
        let requests = Family::default();
        registry.register(
            "requests",
            "Requests answered, by operation and status code",
            requests.clone(),
        );
        let durations = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        registry.register(
            "request_duration_seconds",
            "Time from a request's head to the end of its answer",
            durations.clone(),
        );
        let in_flight = Gauge::default();
        registry.register(
            "requests_in_flight",
            "Requests whose answer is not complete",
            in_flight.clone(),
        );
        let connections = Gauge::default();
        registry.register(
            "connections",
            "Open connections of the public listener",
            connections.clone(),
        );
        let received_bytes = Counter::default();
        registry.register(
            "received_bytes",
            "Bytes of request bodies",
            received_bytes.clone(),
        );
        let sent_bytes = Counter::default();
        registry.register("sent_bytes", "Bytes of answers", sent_bytes.clone());
        let reload_failures = Family::default();
        registry.register(
            "reload_failures",
            "Changed files that could not be used; what was in force stayed",
            reload_failures.clone(),
        );
        let reload_failing = Family::default();
        registry.register(
            "reload_failing",
            "1 while a changed file cannot be used and an older state is in force",
            reload_failing.clone(),
        );
        let certificate_not_after = Family::default();
        registry.register(
            "certificate_not_after_timestamp_seconds",
            "When the certificate being served expires",
            certificate_not_after.clone(),
        );
        let storage = StorageGauges::register(&mut registry);
        let scrub = ScrubGauges::register(&mut registry);
        let collection = CollectionNumbers::register(&mut registry);
        Self {
            registry: Arc::new(registry),
            requests,
            durations,
            in_flight,
            connections,
            received_bytes,
            sent_bytes,
            reload_failures,
            reload_failing,
            certificate_not_after,
            storage,
            scrub,
            collection,
        }
    }

    /// A request was answered to the end, or its client went away.
    pub fn answered(&self, operation: &'static str, code: u16, took: Duration, received: u64, sent: u64) {
        self.requests
            .get_or_create(&RequestLabels { operation, code })
            .inc();
        self.durations
            .get_or_create(&OperationLabel { operation })
            .observe(took.as_secs_f64());
        self.received_bytes.inc_by(received);
        self.sent_bytes.inc_by(sent);
    }

    /// A changed file cannot be used.
    pub fn reload_failed(&self, what: &'static str) {
        self.reload_failures.get_or_create(&WhatLabel { what }).inc();
        self.reload_failing.get_or_create(&WhatLabel { what }).set(1);
    }

    /// A changed file is in force.
    pub fn reload_succeeded(&self, what: &'static str) {
        self.reload_failing.get_or_create(&WhatLabel { what }).set(0);
    }

    /// A listener serves a certificate that expires then.
    pub fn serves_certificate_until(&self, listener: &'static str, not_after: i64) {
        self.certificate_not_after
            .get_or_create(&ListenerLabel { listener })
            .set(not_after);
    }

    /// The volume as it is now.
    pub fn observe_storage(&self, now: StorageNumbers) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.storage.read_only.set(i64::from(now.read_only));
        self.storage.open_uploads.set(signed(now.open_uploads));
        self.storage.total_bytes.set(signed(now.total_bytes));
        self.storage.available_bytes.set(signed(now.available_bytes));
        self.storage.total_inodes.set(signed(now.total_inodes));
        self.storage.available_inodes.set(signed(now.available_inodes));
        self.storage.reserve_held.set(i64::from(now.reserve_held));
    }

    /// What the pass that reads stored bytes again has found, and when the last one ended.
    pub fn observe_scrub(&self, damaged: u64, unreadable: u64, finished: Option<i64>) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.scrub.damaged.set(signed(damaged));
        self.scrub.unreadable.set(signed(unreadable));
        self.scrub.finished.set(finished.unwrap_or(0));
    }

    /// A garbage collection has ended; one that only looked has freed nothing.
    pub fn collected(&self, dry_run: bool, freed_bytes: u64, at: i64) {
        let outcome = if dry_run { "dry-run" } else { "done" };
        self.collection
            .runs
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
        self.collection.freed_bytes.inc_by(freed_bytes);
        if !dry_run {
            self.collection.last.set(at);
        }
    }

    /// A garbage collection has ended before its end.
    pub fn collection_failed(&self) {
        let outcome = "failed";
        self.collection
            .runs
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String never fails");
        text
    }
}

impl StorageGauges {
    fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        for (name, help, gauge) in [
            (
                "storage_read_only",
                "1 while writes are refused",
                &gauges.read_only,
            ),
            (
                "storage_open_uploads",
                "Upload sessions not finished",
                &gauges.open_uploads,
            ),
            ("storage_size_bytes", "Size of the volume", &gauges.total_bytes),
            (
                "storage_available_bytes",
                "Bytes left on the volume",
                &gauges.available_bytes,
            ),
            ("storage_inodes", "Inodes of the volume", &gauges.total_inodes),
            (
                "storage_available_inodes",
                "Inodes left on the volume",
                &gauges.available_inodes,
            ),
            (
                "storage_reserve_held",
                "1 while room is kept for deletes, 0 while they use it or there is none",
                &gauges.reserve_held,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        gauges
    }
}

impl ScrubGauges {
    fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        for (name, help, gauge) in [
            (
                "scrub_damaged_blobs",
                "Blobs whose bytes were not what their digest says, of this pass or the last",
                &gauges.damaged,
            ),
            (
                "scrub_unreadable_blobs",
                "Blobs that could not be read, of this pass or the last",
                &gauges.unreadable,
            ),
            (
                "scrub_last_timestamp_seconds",
                "When all stored bytes had last been compared with their digests; 0 before the first time",
                &gauges.finished,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        gauges
    }
}

impl CollectionNumbers {
    fn register(registry: &mut Registry) -> Self {
        let numbers = Self::default();
        registry.register(
            "collections",
            "Runs of the garbage collection, by outcome",
            numbers.runs.clone(),
        );
        registry.register(
            "collection_freed_bytes",
            "What garbage collection has given back",
            numbers.freed_bytes.clone(),
        );
        registry.register(
            "collection_last_timestamp_seconds",
            "When the last garbage collection that removed something or found nothing has ended; 0 before the first",
            numbers.last.clone(),
        );
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_code() {
        let metrics = Metrics::new();
        metrics.answered("read-blob", 200, Duration::from_millis(3), 0, 100);
        metrics.answered("read-blob", 404, Duration::from_millis(3), 0, 10);
        metrics.answered("read-blob", 200, Duration::from_millis(3), 0, 100);
        let text = metrics.text();
        assert!(
            text.contains("portolan_registry_requests_total{operation=\"read-blob\",code=\"200\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("portolan_registry_sent_bytes_total 210\n"),
            "{text}"
        );
    }
}
