//! The registry container: command, ports, probes, mounts, resources. Pure; part of template revision 1.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, HTTPGetAction, Probe, ResourceRequirements, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{ADMIN_PORT, HEALTH_PORT, REGISTRY_PORT, volumes};
use crate::registry_controller::build::config::CONFIG_DIRECTORY;
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) fn registry(registry: &ValidatedRegistry) -> Container {
    let config = format!("{CONFIG_DIRECTORY}/config.yaml");
    Container {
        name: "registry".to_owned(),
        image: Some(registry.template.image.clone()),
        image_pull_policy: registry
            .pod
            .image_pull_policy
            .map(|policy| policy.as_str().to_owned()),
        args: Some(["serve", "--config", &config].map(str::to_owned).to_vec()),
        ports: Some(vec![
            port("registry", REGISTRY_PORT),
            port("admin", ADMIN_PORT),
            port("health", HEALTH_PORT),
        ]),
        resources: Some(registry.pod.resources.clone().unwrap_or_else(small_requests)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        // A large volume may take its time; nothing else is asked before the server has started.
        startup_probe: Some(probe("/healthz", 1, 300)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        volume_mounts: Some(volumes::mounts()),
        // What the server says before it gives up becomes part of the Registry's status.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("health".to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

/// Enough to be scheduled sensibly. No limits: a memory limit counts the page cache of pushes as well.
fn small_requests() -> ResourceRequirements {
    let requests = [("cpu", "50m"), ("memory", "64Mi")];
    ResourceRequirements {
        requests: Some(BTreeMap::from(
            requests.map(|(name, size)| (name.to_owned(), Quantity(size.to_owned()))),
        )),
        ..ResourceRequirements::default()
    }
}
