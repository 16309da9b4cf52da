//! The parts of a spec that refer to nothing. In: spec. Out: names and the way clients come, or a problem. Pure.
//! Admission has refused most of this already; an older CRD in the cluster may not have.

use portolan_crds::conditions::reasons::INVALID_SPEC;
use portolan_crds::v1alpha1::{ExposeSpec, Registry, ServiceSpec};

use super::{Concern, Expose, Problem};
use crate::context::Settings;
use crate::names::Names;

pub(super) fn identity(registry: &Registry, settings: &Settings) -> Result<(Names, String), Problem> {
    let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
    let name = registry.metadata.name.as_deref().unwrap_or_default();
    let names = Names::new(namespace, name, &settings.cluster_domain)
        .map_err(|error| invalid(format!("{error}; create the Registry again under another name")))?;
    let uid = registry.metadata.uid.clone().ok_or_else(|| {
        invalid("metadata.uid is empty: create the Registry through the API server, which sets it")
    })?;
    if registry.spec.replicas != 1 {
        let replicas = registry.spec.replicas;
        return Err(invalid(format!(
            "spec.replicas is {replicas}: a registry on a volume is one pod, write 1"
        )));
    }
    Ok((names, uid))
}

pub(super) fn expose(spec: &ExposeSpec) -> Result<Expose, Problem> {
    let port = spec.service.port.unwrap_or(ServiceSpec::DEFAULT_PORT);
    if !(1..=65_535).contains(&port) {
        return Err(invalid(format!(
            "spec.expose.service.port is {port}: write a port from 1 to 65535"
        )));
    }
    for hostname in &spec.hostnames {
        if hostname.is_empty() || !hostname.is_ascii() || hostname.contains([':', '/', ' ']) {
            return Err(invalid(format!(
                "spec.expose.hostnames holds {hostname:?}: write a DNS name without scheme and port, such as \
                 registry.example.com"
            )));
        }
    }
    Ok(Expose {
        service_type: spec.service.type_.unwrap_or_default().as_str(),
        port,
        annotations: spec.service.annotations.clone(),
        hostnames: spec.hostnames.clone(),
    })
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::unusable(Concern::Spec, INVALID_SPEC, message)
}
