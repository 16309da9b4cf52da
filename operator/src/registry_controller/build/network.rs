//! Service R, through which clients come, and the headless Service R-pods, which gives each pod a name. Pure.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use super::stateful_set::{ADMIN_PORT, HEALTH_PORT, REGISTRY_PORT};
use crate::labels;
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) fn service(registry: &ValidatedRegistry) -> Service {
    let mut meta = metadata::child(registry, registry.names.service());
    meta.annotations = metadata::some(registry.expose.annotations.clone());
    Service {
        metadata: meta,
        spec: Some(ServiceSpec {
            type_: Some(registry.expose.service_type.to_owned()),
            selector: Some(labels::selector(&registry.names)),
            ports: Some(vec![port("registry", registry.expose.port)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn headless_service(registry: &ValidatedRegistry) -> Service {
    Service {
        metadata: metadata::child(registry, registry.names.headless_service()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::selector(&registry.names)),
            ports: Some(vec![
                port("registry", REGISTRY_PORT),
                port("admin", ADMIN_PORT),
                port("health", HEALTH_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
