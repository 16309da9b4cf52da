//! One set of series per living Registry, made at each scrape from the watch's store. In: the store. Out: gauges.

use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use portolan_crds::v1alpha1::Registry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

/// The series of the Registries in one store.
#[derive(Debug)]
pub struct RegistrySeries(pub Store<DeserializeGuard<Registry>>);

impl Collector for RegistrySeries {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let registries = self.0.state();
        let readable = || registries.iter().filter_map(|guard| guard.0.as_ref().ok());

        let mut descriptor = encoder.encode_descriptor(
            "registry_condition",
            "1 for the status that each condition of a Registry has",
            None,
            ConstGauge::new(0_i64).metric_type(),
        )?;
        for registry in readable() {
            for condition in registry.status.iter().flat_map(|status| &status.conditions) {
                let (namespace, name) = (registry.namespace().unwrap_or_default(), registry.name_any());
                let labels = [
                    ("namespace", namespace.as_str()),
                    ("name", name.as_str()),
                    ("type", condition.type_.as_str()),
                    ("status", condition.status.as_str()),
                ];
                ConstGauge::new(1_i64).encode(descriptor.encode_family(&labels)?)?;
            }
        }

        let mut descriptor = encoder.encode_descriptor(
            "registry_certificate_expiration_timestamp_seconds",
            "When the certificate that a Registry serves ends",
            None,
            ConstGauge::new(0_i64).metric_type(),
        )?;
        for registry in readable() {
            let tls = registry.status.as_ref().and_then(|status| status.tls.as_ref());
            if let Some(not_after) = tls.and_then(|tls| tls.not_after.as_ref()) {
                let (namespace, name) = (registry.namespace().unwrap_or_default(), registry.name_any());
                let labels = [("namespace", namespace.as_str()), ("name", name.as_str())];
                ConstGauge::new(not_after.0.as_second()).encode(descriptor.encode_family(&labels)?)?;
            }
        }

        let mut descriptor = encoder.encode_descriptor(
            "registry_suspended",
            "1 while spec.suspend holds a Registry",
            None,
            ConstGauge::new(0_i64).metric_type(),
        )?;
        for registry in readable() {
            let (namespace, name) = (registry.namespace().unwrap_or_default(), registry.name_any());
            let labels = [("namespace", namespace.as_str()), ("name", name.as_str())];
            let is_suspended = i64::from(registry.spec.suspend);
            ConstGauge::new(is_suspended).encode(descriptor.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    use super::super::{Metrics, PassResult};
    use super::*;

    fn registry(suspend: bool) -> DeserializeGuard<Registry> {
        serde_json::from_value(json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "Registry",
            "metadata": {"name": "depot", "namespace": "team-a"},
            "spec": {"suspend": suspend, "storage": {"ephemeral": {"sizeLimit": "1Gi"}}},
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "Succeeded", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
                "tls": {"notAfter": "2026-01-02T00:00:00Z"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn series_follow_the_store_and_vanish_with_the_registry() {
        let (store, mut writer) = reflector::store();
        let metrics = Metrics::new("0.1.0");
        metrics.add_registries(RegistrySeries(store));
        writer.apply_watcher_event(&watcher::Event::Apply(registry(true)));
        let text = metrics.render().unwrap();
        for line in [
            r#"portolan_operator_registry_condition{namespace="team-a",name="depot",type="Ready",status="True"} 1"#,
            r#"_registry_certificate_expiration_timestamp_seconds{namespace="team-a",name="depot"} 1767312000"#,
            r#"portolan_operator_registry_suspended{namespace="team-a",name="depot"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        writer.apply_watcher_event(&watcher::Event::Delete(registry(true)));
        assert!(!metrics.render().unwrap().contains("depot"));
    }

    #[test]
    fn every_metric_of_the_readme_is_there() {
        let (store, mut writer) = reflector::store();
        let metrics = Metrics::new("0.1.0");
        metrics.add_registries(RegistrySeries(store));
        writer.apply_watcher_event(&watcher::Event::Apply(registry(true)));
        // what never happened has no line
        metrics.pass_began("registry");
        metrics.pass_ended("registry", PassResult::success, Duration::ZERO);
        metrics.step_failed("registry", "apply");
        metrics.watch_event("secrets", 7);
        metrics.watch_failed("secrets");
        metrics.kube_request("GET", "pods", "200");
        let text = metrics.render().unwrap();
        let (_, page) = include_str!("../../README.md")
            .split_once("\n## Metrics\n")
            .unwrap();
        let rows = page.split("\n## ").next().unwrap().lines();
        let cells = rows.filter_map(|row| row.strip_prefix("| `")?.split(" | ").next());
        let words = cells.flat_map(|cell| cell.split(['`', '{', ' ']));
        let names: Vec<&str> = words
            .filter_map(|word| {
                let name = word.strip_prefix("portolan_operator_");
                name.or_else(|| word.strip_prefix("…_"))
            })
            .collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            // the text names a counter without its suffix where it says what it counts
            let described = name.strip_suffix("_total").unwrap_or(name);
            let is_there = text.contains(&format!("# TYPE portolan_operator_{described} "));
            assert!(is_there, "{name} is not in\n{text}");
        }
    }

    #[test]
    fn registry_that_cannot_be_read_costs_no_scrape() {
        let (store, mut writer) = reflector::store();
        let metrics = Metrics::new("0.1.0");
        metrics.add_registries(RegistrySeries(store));
        let broken = json!({"metadata": {"name": "bad", "namespace": "team-a"}, "spec": {"storage": 7}});
        writer.apply_watcher_event(&watcher::Event::Apply(serde_json::from_value(broken).unwrap()));
        assert!(!metrics.render().unwrap().contains("bad"));
    }
}
