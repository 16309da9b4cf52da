//! Revision 1 as it was released: every field of every child. A difference in the pod template or in the configuration
//! restarts every registry at the next operator upgrade, so it belongs into a new revision, not into the golden file.

use std::collections::BTreeMap;

use insta::{assert_snapshot, assert_yaml_snapshot};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use super::*;
use crate::labels::{REGISTRY, ROLE};
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::observed::Reference;
use crate::registry_controller::test_support::{
    CLUSTER_IP, dereferenced, first_pass, minimal, now, observed, registry, renew, tls_secret,
    users_certificate, validated,
};

const EVERYTHING: &str = "
storage: {ephemeral: {sizeLimit: 5Gi}}
tls: {secretRef: {name: cert}}
expose:
  service: {type: LoadBalancer, port: 8443, annotations: {example.com/lb: internal}}
  hostnames: [registry.example.com]
pod:
  image: registry.example.com/portolan-registry:0.2.0
  imagePullPolicy: Always
  imagePullSecrets: [{name: company-pull}]
  resources: {requests: {cpu: 100m}, limits: {memory: 256Mi}}
  nodeSelector: {disk: ssd}
  tolerations: [{key: storage, operator: Exists}]
  affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {}}]}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  priorityClassName: important
  labels: {team: a}
  annotations: {example.com/note: pod}
  serviceAccountAnnotations: {example.com/role: registry}
  logLevel: debug
";

fn everything() -> (Services<Prepared>, Resources<Prepared>) {
    let later = now() + jiff::SignedDuration::from_hours(2400);
    let pair = users_certificate("registry.example.com", later);
    let secret = tls_secret(&pair.certificate_pem, &pair.key_pem);
    let seen = Dereferenced {
        tls_secret: Reference::Found(secret),
        ..Dereferenced::default()
    };
    let validated = validated(&registry(EVERYTHING), &seen).unwrap();
    let material = renew(&validated, &seen.children, CLUSTER_IP, now());
    (build_services(&validated), build(&validated, &material))
}

/// Secrets without what is in them.
fn shapes(resources: &Resources<Prepared>) -> BTreeMap<String, (Option<String>, Vec<String>)> {
    secrets(resources)
        .into_iter()
        .map(|secret| {
            let keys = secret.data.iter().flatten().map(|(key, _)| key.clone());
            let token_key = |key: String| {
                if key.contains(".pem") {
                    "<kid>.pem".to_owned()
                } else {
                    key
                }
            };
            let mut keys: Vec<String> = keys.map(token_key).collect();
            keys.sort();
            (secret.name_any(), (secret.type_.clone(), keys))
        })
        .collect()
}

fn secrets(resources: &Resources<Prepared>) -> Vec<&Secret> {
    let Resources {
        credentials,
        token_keys,
        admin,
        users,
        push,
        pull,
        config,
        ..
    } = resources;
    let mut all = vec![credentials, token_keys, admin, users, push, pull, config];
    all.extend([&resources.ca_key, &resources.tls]);
    all.into_iter().flatten().collect()
}

#[test]
fn golden_revision_1_of_the_smallest_registry() {
    let (services, resources, _) = first_pass(&minimal());
    assert_yaml_snapshot!("minimal_service", services.service);
    assert_yaml_snapshot!("minimal_headless_service", services.headless_service);
    assert_yaml_snapshot!("minimal_service_account", resources.service_account);
    assert_yaml_snapshot!("minimal_stateful_set", resources.stateful_set);
    assert_yaml_snapshot!("minimal_secrets", shapes(&resources));
}

#[test]
fn golden_revision_1_with_every_field_written() {
    let (services, resources) = everything();
    assert_yaml_snapshot!("everything_service", services.service);
    assert_yaml_snapshot!("everything_service_account", resources.service_account);
    assert_yaml_snapshot!("everything_stateful_set", resources.stateful_set);
    assert_yaml_snapshot!("everything_secrets", shapes(&resources));
}

#[test]
fn golden_revision_1_of_the_configuration() {
    let minimal = validated(&minimal(), &Dereferenced::default()).unwrap();
    assert_snapshot!("minimal_config", config_yaml(&minimal));
    let mut wide = registry(EVERYTHING);
    wide.spec.tls = portolan_crds::v1alpha1::TlsSpec::default();
    let wide = validated(&wide, &Dereferenced::default()).unwrap();
    assert_snapshot!("everything_config", config_yaml(&wide));
}

#[test]
fn server_accepts_its_configuration() {
    let text = config_yaml(&validated(&minimal(), &Dereferenced::default()).unwrap());
    portolan_config::Config::parse(&text).unwrap();
}

#[test]
fn building_twice_from_what_was_built_changes_nothing() {
    let registry = minimal();
    let (services, resources, _) = first_pass(&registry);
    let mut seen = observed(&services, &resources);
    let mut again = resources;
    for _ in 0..2 {
        let validated = validated(&registry, &dereferenced(seen.clone())).unwrap();
        let material = renew(
            &validated,
            &seen,
            CLUSTER_IP,
            now() + jiff::SignedDuration::from_hours(1),
        );
        assert_eq!(material.happenings, []);
        let next = build(&validated, &material);
        // The claim is bound now, which two children remember; everything else is as it was.
        let spec = |resources: &Resources<Prepared>| resources.stateful_set.clone().unwrap().spec;
        assert_eq!(spec(&next), spec(&again));
        let data = |resources: &Resources<Prepared>| {
            secrets(resources)
                .into_iter()
                .map(|secret| (secret.name_any(), secret.data.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(data(&next), data(&again));
        assert_eq!(next.ca_config_map, again.ca_config_map);
        seen = observed(&services, &next);
        again = next;
    }
    let validated = validated(&registry, &dereferenced(seen.clone())).unwrap();
    let last = build(&validated, &renew(&validated, &seen, CLUSTER_IP, now()));
    assert_eq!(last, again);
}

#[test]
fn every_child_carries_our_label_and_a_controller_reference() {
    let (services, resources, _) = first_pass(&minimal());
    let children = observed(&services, &resources);
    let metadata = children.metadata();
    assert_eq!(metadata.len(), 14);
    for (kind, metadata) in metadata {
        let name = metadata.name.as_deref().unwrap();
        assert_eq!(
            metadata.labels.as_ref().unwrap()[REGISTRY],
            "depot",
            "{kind} {name}"
        );
        let owner = &metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller),
            ("Registry", Some(true)),
            "{kind} {name}"
        );
    }
}

#[test]
fn services_select_the_pods_and_name_their_ports() {
    let (services, resources, _) = first_pass(&minimal());
    let template = resources.stateful_set.unwrap().spec.template;
    let labels = template.metadata.unwrap().labels.unwrap();
    let ports = template.spec.unwrap().containers[0].ports.clone().unwrap();
    for service in [services.service, services.headless_service] {
        let spec = service.unwrap().spec.unwrap();
        let selector = spec.selector.unwrap();
        assert_eq!(selector.keys().collect::<Vec<_>>(), [REGISTRY, ROLE]);
        assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)));
        for port in spec.ports.unwrap() {
            assert!(ports.iter().any(|own| own.name == port.name));
        }
    }
}

#[test]
fn pod_gets_no_private_key_that_is_not_its_own() {
    let (_, resources, _) = first_pass(&minimal());
    let volumes = resources
        .stateful_set
        .unwrap()
        .spec
        .template
        .spec
        .unwrap()
        .volumes
        .unwrap();
    let admin = volumes.iter().find(|volume| volume.name == "admin").unwrap();
    let keys: Vec<_> = admin
        .secret
        .as_ref()
        .unwrap()
        .items
        .iter()
        .flatten()
        .map(|item| item.key.as_str())
        .collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"]);
    let mounted: Vec<_> = volumes
        .iter()
        .filter_map(|v| v.secret.as_ref()?.secret_name.as_deref())
        .collect();
    assert!(!mounted.contains(&"depot-ca-key") && !mounted.contains(&"depot-credentials"));
}

#[test]
fn login_secrets_name_the_endpoint_and_work_for_every_host() {
    let (_, resources) = everything();
    let text = |key: &str| {
        String::from_utf8(
            resources.push.as_ref().unwrap().data.as_ref().unwrap()[key]
                .0
                .clone(),
        )
        .unwrap()
    };
    assert_eq!(text("registry"), "registry.example.com:8443");
    assert_eq!(text("username"), "push");
    let auths: serde_json::Value = serde_json::from_str(&text(".dockerconfigjson")).unwrap();
    for host in [
        "registry.example.com:8443",
        "depot.team-a.svc:8443",
        "depot.team-a.svc.cluster.local:8443",
    ] {
        assert!(auths["auths"][host]["auth"].is_string(), "{host}");
    }
}
