//! What the operator counts, under the prefix `portolan_operator_`: handles go out to whoever counts, text in
//! `OpenMetrics` goes out at each scrape. No label ever holds a name that users choose, except in the series per Registry,
//! which a collector makes at scrape time from what the watches know: nothing stale stays behind.

mod registries;
mod requests;

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use registries::RegistrySeries;
pub use requests::CountRequests;

const RECONCILE_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0,
];

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum PassResult {
    /// No step failed.
    #[expect(non_camel_case_types, reason = "the label's value, which is lower case")]
    success,
    /// A step failed.
    #[expect(non_camel_case_types, reason = "the label's value, which is lower case")]
    error,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    controller: &'static str,
    result: PassResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    controller: &'static str,
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    resource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    resource: String,
    code: String,
}

/// All metrics of the process. Cheap to share behind an `Arc`.
pub struct Metrics {
    registry: Mutex<Registry>,
    passes: Family<PassLabels, Counter>,
    errors: Family<StepLabels, Counter>,
    durations: Family<ControllerLabels, Histogram>,
    active: Family<ControllerLabels, Gauge>,
    watch_restarts: Family<ResourceLabels, Counter>,
    watch_last_event: Family<ResourceLabels, Gauge>,
    watch_open: Family<ResourceLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    leader: Gauge,
}

impl Metrics {
    /// `version` becomes a label of `build_info`.
    pub fn new(version: &'static str) -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("portolan_operator")),
            passes: Family::default(),
            errors: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(RECONCILE_BUCKETS)),
            active: Family::default(),
            watch_restarts: Family::default(),
            watch_last_event: Family::default(),
            watch_open: Family::default(),
            requests: Family::default(),
            leader: Gauge::default(),
        };
        metrics.register(version);
        metrics
    }

    /// Counts a pass that begins; [`Metrics::pass_ended`] counts its end.
    pub fn pass_began(&self, controller: &'static str) {
        self.active.get_or_create(&ControllerLabels { controller }).inc();
    }

    /// Counts a pass that ended after `took`.
    pub fn pass_ended(&self, controller: &'static str, result: PassResult, took: Duration) {
        self.active.get_or_create(&ControllerLabels { controller }).dec();
        self.passes
            .get_or_create(&PassLabels { controller, result })
            .inc();
        self.durations
            .get_or_create(&ControllerLabels { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts a failed step of a pass.
    pub fn step_failed(&self, controller: &'static str, step: &'static str) {
        self.errors.get_or_create(&StepLabels { controller, step }).inc();
    }

    /// Notes what a watch brought, at `second` of the Unix epoch.
    pub fn watch_event(&self, resource: &str, second: i64) {
        let labels = ResourceLabels {
            resource: resource.to_owned(),
        };
        self.watch_open.get_or_create(&labels).set(1);
        self.watch_last_event.get_or_create(&labels).set(second);
    }

    /// Counts a watch that broke and will be opened again.
    pub fn watch_failed(&self, resource: &str) {
        let labels = ResourceLabels {
            resource: resource.to_owned(),
        };
        self.watch_open.get_or_create(&labels).set(0);
        self.watch_restarts.get_or_create(&labels).inc();
    }

    /// Counts an answered request to the API server.
    pub fn kube_request(&self, verb: &str, resource: &str, code: &str) {
        let (verb, resource, code) = (verb.to_owned(), resource.to_owned(), code.to_owned());
        self.requests
            .get_or_create(&RequestLabels { verb, resource, code })
            .inc();
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Adds the series per Registry.
    pub fn add_registries(&self, series: RegistrySeries) {
        self.lock().register_collector(Box::new(series));
    }

    /// Everything, as `OpenMetrics` text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.lock())?;
        Ok(text)
    }

    fn register(&self, version: &'static str) {
        let mut registry = self.lock();
        registry.register(
            "build",
            "The running program",
            Info::new(vec![("version", version)]),
        );
        registry.register("leader", "1 while this process leads", self.leader.clone());
        registry.register("reconcile", "Passes that ended", self.passes.clone());
        registry.register("reconcile_errors", "Failed steps of passes", self.errors.clone());
        registry.register("reconcile_active", "Passes that run now", self.active.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "How long passes took",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that broke and were opened again",
            self.watch_restarts.clone(),
        );
        registry.register(
            "watch_open",
            "1 while the watch delivers",
            self.watch_open.clone(),
        );
        registry.register_with_unit(
            "watch_last_event_timestamp",
            "When the watch last brought something",
            Unit::Seconds,
            self.watch_last_event.clone(),
        );
        registry.register(
            "kube_requests",
            "Requests to the API server that were answered",
            self.requests.clone(),
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_prefix_and_every_counter_its_suffix() {
        let metrics = Metrics::new("0.1.0");
        metrics.pass_began("registry");
        metrics.pass_ended("registry", PassResult::success, Duration::from_millis(3));
        metrics.step_failed("registry", "apply");
        metrics.watch_event("secrets", 7);
        metrics.watch_failed("secrets");
        metrics.kube_request("GET", "pods", "200");
        metrics.leads(true);
        let text = metrics.render().unwrap();
        for line in [
            "portolan_operator_build_info{version=\"0.1.0\"} 1",
            "portolan_operator_reconcile_total{controller=\"registry\",result=\"success\"} 1",
            "portolan_operator_reconcile_errors_total{controller=\"registry\",step=\"apply\"} 1",
            "portolan_operator_reconcile_active{controller=\"registry\"} 0",
            "portolan_operator_reconcile_duration_seconds_count{controller=\"registry\"} 1",
            "portolan_operator_watch_restarts_total{resource=\"secrets\"} 1",
            "portolan_operator_watch_open{resource=\"secrets\"} 0",
            "portolan_operator_watch_last_event_timestamp_seconds{resource=\"secrets\"} 7",
            "portolan_operator_kube_requests_total{verb=\"GET\",resource=\"pods\",code=\"200\"} 1",
            "portolan_operator_leader 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
