//! What goes on while something is wrong: one case per kind of problem, on a registry that runs.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use portolan_crds::conditions::reasons;
use portolan_crds::v1alpha1::Registry;
use serde_json::json;

use self::certificate::with_certificate;
use crate::registry_controller::build::{Prepared, Resources, Services, build, build_services};
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::material::Material;
use crate::registry_controller::observed::{Children, Reference};
use crate::registry_controller::test_support::{
    CLUSTER_IP, UID, claim, decided, dereferenced, first_pass, minimal, now, object, observed, registry,
    renew, tls_secret, users_certificate, validated,
};
use crate::registry_controller::validate::{ClaimPlan, Storage, Tls, ValidatedRegistry};

/// The children of a registry that runs, as the watches show them.
fn running(registry: &Registry) -> Children {
    let (services, resources, _) = first_pass(registry);
    let seen = observed(&services, &resources);
    let again = validated(registry, &dereferenced(seen.clone())).unwrap();
    let material = renew(&again, &seen, CLUSTER_IP, now());
    observed(&services, &build(&again, &material))
}

struct Built {
    registry: ValidatedRegistry,
    services: Services<Prepared>,
    resources: Resources<Prepared>,
    material: Material,
}

/// What is built although there is a problem of that reason, an hour later.
fn built(spec: &Registry, seen: &Dereferenced, reason: &str) -> Built {
    let decision = decided(spec, seen);
    assert_eq!(decision.problems[0].reason, reason, "{:?}", decision.problems);
    let registry = decision.registry.expect("a registry that runs is maintained");
    let children = seen.children.controlled_by(UID);
    let material = renew(
        &registry,
        &children,
        CLUSTER_IP,
        now() + SignedDuration::from_hours(1),
    );
    Built {
        services: build_services(&registry),
        resources: build(&registry, &material),
        registry,
        material,
    }
}

/// Names of what is left alone.
fn missing(built: &Built) -> Vec<&'static str> {
    let (services, resources) = (&built.services, &built.resources);
    let all = [
        ("service", services.service.is_some()),
        ("headless_service", services.headless_service.is_some()),
        ("claim", resources.claim.is_some()),
        ("service_account", resources.service_account.is_some()),
        ("ca_key", resources.ca_key.is_some()),
        ("tls", resources.tls.is_some()),
        ("credentials", resources.credentials.is_some()),
        ("token_keys", resources.token_keys.is_some()),
        ("admin", resources.admin.is_some()),
        ("ca_config_map", resources.ca_config_map.is_some()),
        ("users", resources.users.is_some()),
        ("push", resources.push.is_some()),
        ("pull", resources.pull.is_some()),
        ("config", resources.config.is_some()),
        ("stateful_set", resources.stateful_set.is_some()),
    ];
    all.into_iter()
        .filter(|(_, is_built)| !is_built)
        .map(|(name, _)| name)
        .collect()
}

fn template_of(set: &StatefulSet) -> &k8s_openapi::api::core::v1::PodTemplateSpec {
    &set.spec.template
}

#[test]
fn refused_growth_keeps_the_request_and_builds_everything() {
    let spec = registry("{storage: {volume: {size: 30Gi}}}");
    let mut children = running(&minimal());
    children.claim = Some(Arc::new(claim("depot-data", UID, "20Gi", "20Gi", "fixed")));
    let mut seen = dereferenced(children);
    seen.storage_class = Reference::Found(object(json!({"provisioner": "p"})));
    let built = built(&spec, &seen, reasons::STORAGE_CLASS_NOT_EXPANDABLE);
    assert_eq!(missing(&built), Vec::<&str>::new());
    let request = Some("20Gi".to_owned());
    let plan = ClaimPlan::Keep {
        uid: "claim-uid".to_owned(),
        request,
    };
    assert_eq!(built.resources.claim.unwrap().plan, plan);
    let before = seen.children.stateful_set.as_deref().unwrap();
    assert_eq!(
        template_of(built.resources.stateful_set.as_ref().unwrap()),
        template_of(before)
    );
}

#[test]
fn other_changes_wait_for_the_certificate_that_came_with_them() {
    let (mut spec, mut seen) = with_certificate(Reference::Absent);
    spec.spec.expose.hostnames = vec!["registry.example.com".to_owned()];
    let built_now = built(&spec, &seen, reasons::DEPENDENCY_NOT_READY);
    let waits = [
        "service",
        "ca_key",
        "tls",
        "push",
        "pull",
        "config",
        "stateful_set",
    ];
    assert_eq!(missing(&built_now), waits);
    seen.children.service = None;
    seen.children.push = None;
    let again = built(&spec, &seen, reasons::DEPENDENCY_NOT_READY);
    assert_eq!(
        missing(&again),
        ["ca_key", "tls", "pull", "config", "stateful_set"]
    );
}

#[test]
fn lost_stateful_set_is_not_made_again_on_a_certificate_that_cannot_be_used() {
    let spec = registry("{storage: {volume: {size: 20Gi}}}");
    let mut children = running(&spec);
    children.stateful_set = None;
    let mut seen = dereferenced(children);
    seen.tls_secret = Reference::Absent;
    let spec = registry("{storage: {volume: {size: 20Gi}}, tls: {secretRef: {name: cert}}}");
    let decision = decided(&spec, &seen);
    assert_eq!(decision.problems[0].reason, reasons::DEPENDENCY_NOT_READY);
    assert_eq!(decision.registry, None);
}

#[test]
fn lost_claim_is_left_alone_and_still_remembered() {
    let mut seen = dereferenced(running(&minimal()));
    seen.children.claim = None;
    let built = built(&minimal(), &seen, reasons::CLAIM_LOST);
    assert_eq!(missing(&built), ["claim"]);
    let memory = |object: &kube::core::ObjectMeta| {
        object.annotations.clone().unwrap()["portolan.dev/used-claim"].clone()
    };
    let (set, credentials) = (
        built.resources.stateful_set.unwrap(),
        built.resources.credentials.unwrap(),
    );
    for metadata in [set.metadata, credentials.metadata] {
        assert_eq!(memory(&metadata), "depot-data/claim-uid");
    }
    let Storage::Claim(claim) = built.registry.storage else {
        panic!("no claim")
    };
    assert_eq!(claim.plan, ClaimPlan::Leave);
}

#[test]
fn no_pod_is_started_on_a_claim_that_is_lost() {
    let mut seen = dereferenced(running(&minimal()));
    seen.children.claim = None;
    seen.children.stateful_set = None;
    let built = built(&minimal(), &seen, reasons::CLAIM_LOST);
    assert!(built.resources.stateful_set.is_none() && built.resources.claim.is_none());
}

/// The same objects, but the one of that name belongs to nobody.
fn disowned(kind: &str, name: &str) -> Dereferenced {
    fn strip<K: kube::Resource<DynamicType = ()> + Clone>(
        object: &mut Option<Arc<K>>,
        kind: &str,
        name: &str,
    ) {
        if let Some(object) = object
            .as_mut()
            .filter(|object| K::kind(&()) == kind && object.name_any() == name)
        {
            Arc::make_mut(object).meta_mut().owner_references = None;
        }
    }
    let mut children = running(&minimal());
    strip(&mut children.service, kind, name);
    strip(&mut children.headless_service, kind, name);
    strip(&mut children.service_account, kind, name);
    strip(&mut children.stateful_set, kind, name);
    strip(&mut children.ca_config_map, kind, name);
    let secrets = [
        &mut children.ca_key,
        &mut children.tls,
        &mut children.token_keys,
        &mut children.admin,
        &mut children.users,
        &mut children.credentials,
        &mut children.push,
        &mut children.pull,
    ];
    for secret in secrets {
        strip(secret, kind, name);
    }
    dereferenced(children)
}

#[test]
fn foreign_object_is_left_alone_with_what_is_rendered_from_it() {
    let cases: [(&str, &str, &[&str], bool); 13] = [
        ("Service", "depot", &["service"], false),
        ("Service", "depot-pods", &["headless_service"], false),
        ("ServiceAccount", "depot", &["service_account"], true),
        ("StatefulSet", "depot", &["config", "stateful_set"], false),
        ("ConfigMap", "depot-ca", &["ca_config_map"], false),
        (
            "Secret",
            "depot-ca-key",
            &["ca_key", "tls", "ca_config_map", "push", "pull"],
            true,
        ),
        ("Secret", "depot-tls", &["tls"], true),
        ("Secret", "depot-token-keys", &["token_keys"], true),
        ("Secret", "depot-admin", &["admin"], true),
        ("Secret", "depot-users", &["users"], true),
        (
            "Secret",
            "depot-credentials",
            &["credentials", "users", "push", "pull"],
            true,
        ),
        ("Secret", "depot-push", &["push"], false),
        ("Secret", "depot-pull", &["pull"], false),
    ];
    for (kind, name, expected, mounts_unknown) in cases {
        let seen = disowned(kind, name);
        let built = built(&minimal(), &seen, reasons::FOREIGN_OBJECT_CONFLICT);
        assert_eq!(missing(&built), expected, "{kind} {name}");
        assert_eq!(built.registry.mounts_unknown, mounts_unknown, "{kind} {name}");
        assert_eq!(built.material.happenings, [], "{kind} {name}");
    }
}

#[test]
fn registry_that_never_ran_does_not_begin_beside_a_foreign_object() {
    let push = object(json!({"metadata": {"name": "depot-push", "namespace": "team-a"}}));
    let seen = dereferenced(Children {
        push: Some(Arc::new(push)),
        ..Children::default()
    });
    let decision = decided(&minimal(), &seen);
    assert_eq!((decision.problems.len(), decision.registry), (1, None));
}

#[test]
fn spec_that_cannot_be_built_ends_early() {
    let mut spec = minimal();
    spec.spec.replicas = 3;
    let decision = decided(&spec, &dereferenced(running(&minimal())));
    assert_eq!(decision.problems[0].reason, reasons::INVALID_SPEC);
    assert_eq!(decision.registry, None);
}

mod certificate;
