//! What pods and clients keep while the certificate that the spec asks for cannot be had.

use portolan_crds::v1alpha1::TlsSpec;

use super::*;

/// Children of a registry whose certificate the user brought, with their Secret as it is now.
pub(super) fn with_certificate(now_in_it: Reference<Secret>) -> (Registry, Dereferenced) {
    with_certificate_in("cert", now_in_it)
}

fn naming(secret: &str) -> Registry {
    let spec = format!("{{storage: {{volume: {{size: 20Gi}}}}, tls: {{secretRef: {{name: {secret}}}}}}}");
    registry(&spec)
}

fn with_certificate_in(name: &str, now_in_it: Reference<Secret>) -> (Registry, Dereferenced) {
    let spec = naming(name);
    let pair = users_certificate("depot.team-a.svc", now() + SignedDuration::from_hours(2400));
    let mut secret = tls_secret(&pair.certificate_pem, &pair.key_pem);
    let ca = k8s_openapi::ByteString(b"their ca".to_vec());
    secret.data.as_mut().unwrap().insert("ca.crt".to_owned(), ca);
    let good = Dereferenced {
        tls_secret: Reference::Found(secret),
        ..Dereferenced::default()
    };
    let before = validated(&spec, &good).unwrap();
    let material = renew(&before, &Children::default(), CLUSTER_IP, now());
    let mut seen = dereferenced(observed(&build_services(&before), &build(&before, &material)));
    seen.tls_secret = now_in_it;
    (spec, seen)
}

#[test]
fn unusable_certificate_keeps_the_template_and_what_clients_trust() {
    let gone = (Reference::Absent, reasons::DEPENDENCY_NOT_READY);
    let garbage = (
        Reference::Found(tls_secret("garbage", "garbage")),
        reasons::CERTIFICATE_UNUSABLE,
    );
    for (now_in_it, reason) in [gone, garbage] {
        let (spec, seen) = with_certificate(now_in_it);
        let built = built(&spec, &seen, reason);
        assert_eq!(missing(&built), ["ca_key", "tls"]);
        let before = &seen.children;
        let set = before.stateful_set.as_deref().unwrap();
        assert_eq!(built.resources.stateful_set.as_ref().unwrap().spec, set.spec);
        assert_eq!(built.resources.push.as_ref(), before.push.as_deref());
        assert_eq!(
            built.resources.ca_config_map.as_ref(),
            before.ca_config_map.as_deref()
        );
        assert_eq!(built.material.ca_bundle.as_deref(), Some("their ca"));
        assert!(built.registry.mounts_unknown && built.material.serving.is_none());
    }
}

/// A registry whose user brought a Secret of the name that a managed certificate has.
fn with_certificate_of_our_name() -> (Registry, Dereferenced) {
    let (mut spec, seen) = with_certificate_in("depot-tls", Reference::Absent);
    spec.spec.tls = TlsSpec::default();
    (spec, seen)
}

#[test]
fn garbage_in_a_users_secret_of_our_name_keeps_what_clients_trust() {
    let garbage = Reference::Found(tls_secret("garbage", "garbage"));
    for now_in_it in [Reference::Absent, garbage] {
        let (spec, seen) = with_certificate_in("depot-tls", now_in_it);
        let reason = decided(&spec, &seen).problems[0].reason;
        let built = built(&spec, &seen, reason);
        assert_eq!(missing(&built), ["ca_key", "tls"]);
        assert_eq!(built.material.ca_bundle.as_deref(), Some("their ca"));
        assert_eq!(
            built.resources.ca_config_map.as_ref(),
            seen.children.ca_config_map.as_deref()
        );
    }
}

#[test]
fn users_secret_of_our_name_is_in_the_way_of_a_managed_certificate_and_changes_nothing() {
    let (spec, mut seen) = with_certificate_of_our_name();
    let mut theirs = tls_secret("theirs", "theirs");
    theirs.metadata.name = Some("depot-tls".to_owned());
    seen.children.tls = Some(Arc::new(theirs));
    let built = built(&spec, &seen, reasons::FOREIGN_OBJECT_CONFLICT);
    assert_eq!(missing(&built), ["ca_key", "tls"]);
    assert_eq!(built.material.ca_bundle.as_deref(), Some("their ca"));
    let set = seen.children.stateful_set.as_deref().unwrap();
    assert_eq!(built.resources.stateful_set.as_ref().unwrap().spec, set.spec);
}

#[test]
fn managed_certificate_is_issued_once_the_users_secret_of_its_name_is_gone() {
    let (spec, seen) = with_certificate_of_our_name();
    let registry = validated(&spec, &seen).unwrap();
    let material = renew(&registry, &seen.children, CLUSTER_IP, now());
    assert!(material.leaf.is_some());
    assert_ne!(material.ca_bundle.as_deref(), Some("their ca"));
}

#[test]
fn lost_managed_certificate_is_made_again_unless_a_user_brings_that_very_secret() {
    let mut seen = dereferenced(running(&minimal()));
    seen.tls_secret = Reference::Absent;
    seen.children.tls = None;
    for (named, is_made) in [("cert", true), ("depot-tls", false)] {
        let built = built(&naming(named), &seen, reasons::DEPENDENCY_NOT_READY);
        assert_eq!(built.resources.tls.is_some(), is_made, "{named}");
        let before = seen.children.ca_config_map.as_deref();
        assert_eq!(built.resources.ca_config_map.as_ref(), before, "{named}");
    }
}

#[test]
fn bundle_of_a_lost_login_comes_from_where_it_is_left() {
    let (spec, mut seen) = with_certificate(Reference::Absent);
    let push = seen.children.push.take();
    seen.children.pull = None;
    let built = built(&spec, &seen, reasons::DEPENDENCY_NOT_READY);
    assert_eq!(built.resources.push.as_ref(), push.as_deref());
}

#[test]
fn managed_certificate_is_renewed_until_the_brought_one_is_usable() {
    let spec = registry("{storage: {volume: {size: 20Gi}}, tls: {secretRef: {name: cert}}}");
    let mut seen = dereferenced(running(&minimal()));
    seen.tls_secret = Reference::Found(tls_secret("garbage", "garbage"));
    let built = built(&spec, &seen, reasons::CERTIFICATE_UNUSABLE);
    assert_eq!(missing(&built), Vec::<&str>::new());
    assert!(matches!(built.registry.tls, Tls::Managed(_)));
    let set = built.resources.stateful_set.unwrap();
    assert_eq!(set.spec, seen.children.stateful_set.as_deref().unwrap().spec);
    let later = now() + SignedDuration::from_hours(2000);
    let renewed = renew(&built.registry, &seen.children, CLUSTER_IP, later);
    assert_ne!(renewed.leaf, built.material.leaf);
}
