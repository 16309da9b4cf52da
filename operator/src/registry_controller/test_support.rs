//! Registries for tests: minimal documents, read as the API server would hand them over and sent through the real steps.
//! Names differ from each other everywhere, so that a swap is caught.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use portolan_crds::v1alpha1::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::build::{Prepared, Resources, Services, build, build_services};
use super::dereference::Dereferenced;
use super::material::{self, Material, Sources};
use super::observed::Children;
use super::validate::{Decision, Problem, ValidatedRegistry, validate};
use crate::certificates::{self, CertificateAndKey, LeafRequest, Usage, Validity};
use crate::context::Settings;

pub(super) const UID: &str = "11111111-2222-3333-4444-555555555555";

/// Midnight before the first of January 2027.
pub(super) fn now() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        registry_image: "localhost/portolan-registry:0.1.0".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
    }
}

/// Registry `depot` in namespace `team-a` with the given spec.
pub(super) fn registry(spec: &str) -> Registry {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    object(json!({
        "apiVersion": "portolan.dev/v1alpha1",
        "kind": "Registry",
        "metadata": {"name": "depot", "namespace": "team-a", "uid": UID, "generation": 3},
        "spec": spec,
    }))
}

pub(super) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

pub(super) fn minimal() -> Registry {
    registry("{storage: {volume: {size: 20Gi}}}")
}

pub(super) fn validated(
    registry: &Registry,
    dereferenced: &Dereferenced,
) -> Result<ValidatedRegistry, Vec<Problem>> {
    let Decision { registry, problems } = decided(registry, dereferenced);
    if problems.is_empty() {
        Ok(registry.expect("without a problem everything can be built"))
    } else {
        Err(problems)
    }
}

pub(super) fn decided(registry: &Registry, dereferenced: &Dereferenced) -> Decision {
    validate(registry, dereferenced, &settings(), now())
}

/// Bytes that differ, and the same ones at every run.
pub(super) struct Counter(u8);

impl rand::RngCore for Counter {
    fn next_u32(&mut self) -> u32 {
        rand::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

pub(super) const CLUSTER_IP: &str = "198.19.0.9";

pub(super) fn renew(
    registry: &ValidatedRegistry,
    children: &Children,
    address: &str,
    at: Timestamp,
) -> Material {
    let mut random = Counter(u8::try_from(at.as_second().rem_euclid(251)).unwrap());
    let mut sources = Sources {
        now: at,
        random: &mut random,
    };
    material::renew(registry, children, &[address.to_owned()], &mut sources).unwrap()
}

/// Every child that a first pass makes.
pub(super) fn first_pass(registry: &Registry) -> (Services<Prepared>, Resources<Prepared>, Material) {
    let validated = validated(registry, &Dereferenced::default()).unwrap();
    let material = renew(&validated, &Children::default(), CLUSTER_IP, now());
    (build_services(&validated), build(&validated, &material), material)
}

/// The prepared children as the watches would show them afterwards.
pub(super) fn observed(services: &Services<Prepared>, resources: &Resources<Prepared>) -> Children {
    let mut service = services.service.clone();
    if let Some(spec) = service.as_mut().and_then(|service| service.spec.as_mut()) {
        spec.cluster_ips = Some(vec![CLUSTER_IP.to_owned()]);
    }
    Children {
        service: service.map(Arc::new),
        headless_service: services.headless_service.clone().map(Arc::new),
        service_account: resources.service_account.clone().map(Arc::new),
        stateful_set: resources.stateful_set.clone().map(Arc::new),
        ca_config_map: resources.ca_config_map.clone().map(Arc::new),
        ca_key: resources.ca_key.clone().map(Arc::new),
        tls: resources.tls.clone().map(Arc::new),
        token_keys: resources.token_keys.clone().map(Arc::new),
        admin: resources.admin.clone().map(Arc::new),
        users: resources.users.clone().map(Arc::new),
        credentials: resources.credentials.clone().map(Arc::new),
        push: resources.push.clone().map(Arc::new),
        pull: resources.pull.clone().map(Arc::new),
        configs: resources.config.clone().map(Arc::new).into_iter().collect(),
        claim: Some(Arc::new(claim("depot-data", UID, "20Gi", "20Gi", "fast"))),
    }
}

pub(super) fn dereferenced(children: Children) -> Dereferenced {
    Dereferenced {
        children,
        ..Dereferenced::default()
    }
}

/// A bound claim.
pub(super) fn claim(
    name: &str,
    registry_uid: &str,
    request: &str,
    capacity: &str,
    class: &str,
) -> k8s_openapi::api::core::v1::PersistentVolumeClaim {
    object(json!({
        "metadata": {"name": name, "namespace": "team-a", "uid": "claim-uid",
            "labels": {"portolan.dev/registry-uid": registry_uid}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": request}}},
        "status": {"phase": "Bound", "capacity": {"storage": capacity}},
    }))
}

/// A certificate of somebody's own authority.
pub(super) fn users_certificate(host: &str, not_after: Timestamp) -> CertificateAndKey {
    let validity = Validity {
        not_before: now() - SignedDuration::from_hours(240),
        not_after,
    };
    let authority = certificates::issue_authority("company", validity, [7; 16]).unwrap();
    let request = LeafRequest {
        common_name: "company".to_owned(),
        dns_names: vec![host.to_owned()],
        ip_addresses: Vec::new(),
        usage: Usage::Server,
        validity,
        serial: [9; 16],
    };
    certificates::issue_leaf(&authority, &request).unwrap()
}

pub(super) fn tls_secret(certificate: &str, key: &str) -> Secret {
    use k8s_openapi::ByteString;
    let data = [("tls.crt", certificate), ("tls.key", key)];
    Secret {
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            data.map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
                .into(),
        ),
        ..Secret::default()
    }
}
