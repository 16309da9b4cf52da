//! Certificates that users bring: what is taken, waited for and refused.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use portolan_crds::conditions::reasons;
use portolan_crds::v1alpha1::Registry;

use super::*;
use crate::labels::child_labels;
use crate::registry_controller::test_support::{now, registry, tls_secret, users_certificate, validated};
use crate::registry_controller::validate::{Gravity, ValidatedRegistry};

fn only_problem(registry: &Registry, dereferenced: &Dereferenced) -> Problem {
    let mut problems = validated(registry, dereferenced).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn with_secret(secret: Reference<Secret>) -> (Registry, Dereferenced) {
    let spec = "{storage: {ephemeral: {}}, tls: {secretRef: {name: cert}}}";
    (
        registry(spec),
        Dereferenced {
            tls_secret: secret,
            ..Dereferenced::default()
        },
    )
}

const HOST: &str = "depot.team-a.svc";

#[test]
fn good_certificate_of_the_user_is_taken() {
    let later = now() + SignedDuration::from_hours(2400);
    let pair = users_certificate(HOST, later);
    let secret = tls_secret(&pair.certificate_pem, &pair.key_pem);
    let (registry, dereferenced) = with_secret(Reference::Found(secret));
    let ValidatedRegistry { tls, .. } = validated(&registry, &dereferenced).unwrap();
    let Tls::Users(certificate) = tls else {
        panic!("managed")
    };
    assert_eq!(
        (certificate.secret_name.as_str(), certificate.facts.not_after),
        ("cert", later)
    );
}

#[test]
fn missing_secret_is_waited_for() {
    let (registry, dereferenced) = with_secret(Reference::Absent);
    let problem = only_problem(&registry, &dereferenced);
    assert_eq!(
        (problem.gravity, problem.concern),
        (Gravity::Absent, Concern::Tls)
    );
    assert!(problem.message.contains("Secret cert"));
}

#[test]
fn unusable_certificates_are_refused_with_the_cause() {
    let later = now() + SignedDuration::from_hours(2400);
    let good = users_certificate(HOST, later);
    let other = users_certificate(HOST, later);
    let elsewhere = users_certificate("elsewhere.example.com", later);
    let old = users_certificate(HOST, now() - SignedDuration::from_hours(1));
    let mut opaque = tls_secret(&good.certificate_pem, &good.key_pem);
    opaque.type_ = Some("Opaque".to_owned());
    let cases = [
        (tls_secret("garbage", &good.key_pem), "tls.crt"),
        (tls_secret(&good.certificate_pem, "garbage"), "tls.key"),
        (
            tls_secret(&good.certificate_pem, &other.key_pem),
            "another certificate",
        ),
        (
            tls_secret(&elsewhere.certificate_pem, &elsewhere.key_pem),
            "elsewhere.example.com and not for depot.team-a.svc",
        ),
        (tls_secret(&old.certificate_pem, &old.key_pem), "expired"),
        (opaque, "kubernetes.io/tls"),
    ];
    for (secret, cause) in cases {
        let (registry, dereferenced) = with_secret(Reference::Found(secret));
        let problem = only_problem(&registry, &dereferenced);
        assert_eq!(
            (problem.gravity, problem.reason),
            (Gravity::Unusable, reasons::CERTIFICATE_UNUSABLE),
            "{cause}"
        );
        assert!(
            problem.message.contains(cause) && problem.message.contains("Secret cert"),
            "{}",
            problem.message
        );
    }
}

#[test]
fn certificate_that_an_operator_made_is_refused_whatever_its_name_and_labels() {
    let pair = users_certificate(HOST, now() + SignedDuration::from_hours(2400));
    let mut secret = tls_secret(&pair.certificate_pem, &pair.key_pem);
    secret.metadata.labels = Some(child_labels(&Names::new("team-a", "depot", "x").unwrap()));
    let (registry, dereferenced) = with_secret(Reference::Found(secret.clone()));
    assert!(validated(&registry, &dereferenced).is_ok(), "labels are copied");
    for made_for in ["depot", "neighbour"] {
        secret.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "portolan.dev/v1alpha1".to_owned(),
            kind: "Registry".to_owned(),
            name: made_for.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        }]);
        let (registry, dereferenced) = with_secret(Reference::Found(secret.clone()));
        let problem = only_problem(&registry, &dereferenced);
        assert_eq!(
            (problem.gravity, problem.reason),
            (Gravity::Unusable, reasons::CERTIFICATE_UNUSABLE)
        );
        let said = format!("made for Registry {made_for}; take tls.managed");
        assert!(problem.message.contains(&said), "{}", problem.message);
    }
}

#[test]
fn hostnames_are_what_a_users_certificate_must_cover() {
    let pair = users_certificate("registry.example.com", now() + SignedDuration::from_hours(2400));
    let secret = tls_secret(&pair.certificate_pem, &pair.key_pem);
    let (mut registry, dereferenced) = with_secret(Reference::Found(secret));
    registry.spec.expose.hostnames = vec!["registry.example.com".to_owned()];
    assert!(validated(&registry, &dereferenced).is_ok());
}

#[test]
fn certificate_is_used_for_half_a_minute_before_its_renewal() {
    let refused = |renew_before: &str| {
        let tls = format!("{{managed: {{duration: 10m, renewBefore: {renew_before}}}}}");
        let spec = format!("{{storage: {{ephemeral: {{}}}}, tls: {tls}}}");
        validated(&registry(&spec), &Dereferenced::default()).is_err()
    };
    assert!(!refused("9m30s"));
    assert!(refused("9m31s") && refused("10m"));
}

#[test]
fn fractions_of_a_second_are_left_out() {
    let spec = "{storage: {ephemeral: {}}, tls: {managed: {duration: 10000.5s, renewBefore: 1500ms}}}";
    let tls = validated(&registry(spec), &Dereferenced::default()).unwrap().tls;
    let expected = ManagedTls {
        duration: SignedDuration::from_secs(10_000),
        renew_before: SignedDuration::from_secs(1),
    };
    assert_eq!(tls, Tls::Managed(expected));
    let spec = "{storage: {ephemeral: {}}, tls: {managed: {duration: 10000s}}}";
    let Tls::Managed(managed) = validated(&registry(spec), &Dereferenced::default()).unwrap().tls else {
        panic!("not managed")
    };
    assert_eq!(managed.renew_before, SignedDuration::from_secs(3333));
}
