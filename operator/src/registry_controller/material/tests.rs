//! When something is made anew, and when it stays.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

use super::*;
use crate::credentials::Account;
use crate::registry_controller::build::{Prepared, Resources, build};
use crate::registry_controller::test_support::renew as renew_at;
use crate::registry_controller::test_support::{
    CLUSTER_IP, dereferenced, first_pass, minimal, now, observed, registry, validated,
};

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A first pass, and what the watches show after it.
fn settled() -> (Children, Material, Resources<Prepared>) {
    let (services, resources, material) = first_pass(&minimal());
    (observed(&services, &resources), material, resources)
}

fn again(children: &Children, address: &str, at: Timestamp) -> Material {
    let validated = validated(&minimal(), &dereferenced(children.clone())).unwrap();
    renew_at(&validated, children, address, at)
}

fn causes(material: &Material) -> Vec<&'static str> {
    material
        .happenings
        .iter()
        .filter_map(|happening| match happening {
            Happening::CertificateIssued { cause, .. } => Some(*cause),
            _ => None,
        })
        .collect()
}

fn lost(material: &Material) -> Vec<&str> {
    material
        .happenings
        .iter()
        .filter_map(|happening| match happening {
            Happening::Lost { secret, .. } => Some(secret.as_str()),
            _ => None,
        })
        .collect()
}

fn garbage(secret: Option<&Arc<Secret>>, key: &str) -> Arc<Secret> {
    let mut secret = (**secret.unwrap()).clone();
    secret
        .data
        .as_mut()
        .unwrap()
        .insert(key.to_owned(), ByteString(b"garbage".to_vec()));
    Arc::new(secret)
}

#[test]
fn first_certificate_covers_every_name_and_address() {
    let (_, material, _) = settled();
    let hosts = [
        "depot",
        "depot.team-a",
        "depot.team-a.svc",
        "depot.team-a.svc.cluster.local",
        CLUSTER_IP,
    ];
    for host in hosts {
        assert!(
            certificates::covers(material.serving.as_ref().unwrap(), host),
            "{host}"
        );
    }
    assert!(certificates::covers(
        material.serving.as_ref().unwrap(),
        "depot-0.depot-pods.team-a.svc"
    ));
    assert_eq!(material.serving.as_ref().unwrap().not_after, now() + hours(2160));
    let bundle = material.ca_bundle.unwrap();
    let leaf = material.leaf.unwrap();
    assert!(certificates::is_signed_by(leaf.certificate_pem.as_bytes(), bundle.as_bytes()).unwrap());
}

#[test]
fn certificate_is_renewed_in_the_last_third_of_its_life_and_not_before() {
    let (children, material, _) = settled();
    let before = again(&children, CLUSTER_IP, now() + hours(1439));
    assert_eq!(
        (
            before.serving.as_ref().unwrap().serial_hex.as_str(),
            before.happenings.len()
        ),
        (material.serving.as_ref().unwrap().serial_hex.as_str(), 0)
    );
    let after = again(&children, CLUSTER_IP, now() + hours(1441));
    assert_eq!(causes(&after), ["the certificate before it is due for renewal"]);
    assert_eq!(after.ca_bundle, material.ca_bundle);
}

/// As the API server shows what we wrote at that time.
fn written(secret: Option<Secret>, at: Timestamp) -> Option<Arc<Secret>> {
    let mut secret = secret?;
    secret.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER_REGISTRY.to_owned()),
        time: Some(Time(at)),
        ..ManagedFieldsEntry::default()
    }]);
    Some(Arc::new(secret))
}

/// What a pass with this clock leaves of the three Secrets with certificates, written when it is `now` in truth.
fn made_with_clock(children: &Children, clock: Timestamp) -> Children {
    let first = validated(&minimal(), &dereferenced(children.clone())).unwrap();
    let prepared = build(&first, &renew_at(&first, children, CLUSTER_IP, clock));
    Children {
        ca_key: written(prepared.ca_key, now()),
        tls: written(prepared.tls, now()),
        admin: written(prepared.admin, now()),
        ..children.clone()
    }
}

#[test]
fn certificates_that_a_clock_made_which_ran_ahead_are_replaced_once() {
    let (children, _, _) = settled();
    let renewed_early = made_with_clock(&children, now() + hours(1500));
    let none = Children {
        ca_key: None,
        tls: None,
        admin: None,
        ..children
    };
    for ahead in [renewed_early, made_with_clock(&none, now() + hours(1500))] {
        let corrected = again(&ahead, CLUSTER_IP, now());
        assert!(causes(&corrected)[0].contains("ran ahead"));
        let made = [
            &corrected.authority.as_ref().unwrap().current,
            corrected.leaf.as_ref().unwrap(),
            &corrected.admin.authority,
            &corrected.admin.server,
            &corrected.admin.client,
        ];
        for made in made {
            let facts = certificates::inspect("crt", made.certificate_pem.as_bytes()).unwrap();
            assert!(facts.not_before <= now());
        }
        let settled = made_with_clock(&ahead, now());
        assert_eq!(again(&settled, CLUSTER_IP, now()).happenings, []);
    }
}

#[test]
fn clock_that_is_behind_now_replaces_no_good_certificate() {
    let (children, material, _) = settled();
    let written_then = made_with_clock(&children, now());
    let behind = again(&written_then, CLUSTER_IP, now() - hours(2400));
    assert_eq!((behind.leaf, behind.happenings), (material.leaf, vec![]));
}

#[test]
fn new_address_of_the_service_means_a_new_certificate_by_the_same_authority() {
    let (children, material, _) = settled();
    let moved = again(&children, "198.19.0.77", now() + hours(1));
    assert_eq!(causes(&moved), ["the names or addresses of the registry changed"]);
    assert!(certificates::covers(
        moved.serving.as_ref().unwrap(),
        "198.19.0.77"
    ));
    assert_eq!(moved.ca_bundle, material.ca_bundle);
}

#[test]
fn lost_authority_is_replaced_without_breaking_what_is_served() {
    let (mut children, material, _) = settled();
    for ca_key in [None, Some(garbage(children.ca_key.as_ref(), "ca.key"))] {
        children.ca_key = ca_key;
        let replaced = again(&children, CLUSTER_IP, now() + hours(1));
        assert_eq!(lost(&replaced), ["depot-ca-key"]);
        assert_eq!(replaced.leaf, material.leaf);
        let bundle = replaced.ca_bundle.unwrap();
        assert!(bundle.contains(material.ca_bundle.as_ref().unwrap().trim()));
        assert_ne!(Some(bundle), material.ca_bundle);
    }
}

#[test]
fn certificate_of_the_former_authority_is_replaced_at_its_own_renewal() {
    let (mut children, _, _) = settled();
    children.ca_key = None;
    let first = validated(&minimal(), &dereferenced(children.clone())).unwrap();
    let replaced = renew_at(&first, &children, CLUSTER_IP, now() + hours(1));
    let prepared = build(&first, &replaced);
    children.ca_key = prepared.ca_key.map(Arc::new);
    children.tls = prepared.tls.map(Arc::new);
    let meanwhile = again(&children, CLUSTER_IP, now() + hours(2));
    assert_eq!(meanwhile.happenings, []);
    let later = again(&children, CLUSTER_IP, now() + hours(1500));
    let authority = later.authority.unwrap().current.certificate_pem;
    let leaf = later.leaf.unwrap().certificate_pem;
    assert!(certificates::is_signed_by(leaf.as_bytes(), authority.as_bytes()).unwrap());
}

#[test]
fn old_authority_is_renewed_and_stays_trusted() {
    let (children, material, _) = settled();
    let late = again(&children, CLUSTER_IP, now() + hours(60_000));
    let authority = late.authority.unwrap();
    assert!(
        authority
            .previous_pem
            .contains(material.ca_bundle.unwrap().trim())
    );
    assert_eq!(lost_of(&late.happenings), 0);
}

fn lost_of(happenings: &[Happening]) -> usize {
    happenings
        .iter()
        .filter(|happening| matches!(happening, Happening::Lost { .. }))
        .count()
}

#[test]
fn changed_duration_means_a_new_certificate() {
    let (children, _, _) = settled();
    let shorter = registry("{storage: {volume: {size: 20Gi}}, tls: {managed: {duration: 24h}}}");
    let validated = validated(&shorter, &dereferenced(children.clone())).unwrap();
    let renewed = renew_at(&validated, &children, CLUSTER_IP, now() + hours(1));
    assert_eq!(renewed.serving.as_ref().unwrap().not_after, now() + hours(25));
    assert_eq!(renewed.renewal_at, Some(now() + hours(17)));
}

#[test]
fn certificate_that_ends_with_its_authority_waits_for_the_next_authority() {
    let long = registry(
        "{storage: {volume: {size: 20Gi}}, tls: {managed: {duration: 87600h, renewBefore: 70000h}}}",
    );
    let (services, resources, _) = first_pass(&long);
    let children = observed(&services, &resources);
    let validated = validated(&long, &dereferenced(children.clone())).unwrap();
    let due = now() + hours(20_000);
    let kept = renew_at(&validated, &children, CLUSTER_IP, due);
    assert_eq!(kept.happenings, []);
    let renewal = kept.renewal_at.unwrap();
    assert!(renewal > due, "{renewal}");
    assert_eq!(
        causes(&renew_at(&validated, &children, CLUSTER_IP, renewal)).len(),
        1
    );
}

#[test]
fn lost_passwords_come_back_from_the_login_secrets() {
    let (mut children, material, _) = settled();
    for credentials in [None, Some(garbage(children.credentials.as_ref(), "active"))] {
        children.credentials = credentials;
        let recovered = again(&children, CLUSTER_IP, now());
        assert_eq!(recovered.credentials, material.credentials);
        assert_eq!(lost(&recovered), ["depot-credentials"]);
    }
}

#[test]
fn password_that_the_pods_would_refuse_is_not_taken_back() {
    let (mut children, material, _) = settled();
    children.credentials = None;
    let mut push = children.push.as_deref().unwrap().clone();
    let forged = ByteString(b"abcdefghijklmnopqrstuvwxyz012345".to_vec());
    push.data.as_mut().unwrap().insert("password".to_owned(), forged);
    children.push = Some(Arc::new(push));
    let renewed = again(&children, CLUSTER_IP, now() + hours(1));
    assert_ne!(renewed.credentials, material.credentials);
    assert!(
        !renewed
            .credentials
            .active_password(Account::Push)
            .expose()
            .starts_with("abcdef")
    );
}

#[test]
fn edited_login_secrets_do_not_change_the_passwords() {
    let (mut children, material, _) = settled();
    children.push = Some(garbage(children.push.as_ref(), "password"));
    children.users = None;
    assert_eq!(
        again(&children, CLUSTER_IP, now()).credentials,
        material.credentials
    );
}

#[test]
fn lost_or_damaged_token_keys_are_replaced_and_told() {
    let (mut children, material, _) = settled();
    for token_keys in [None, Some(garbage(children.token_keys.as_ref(), "active"))] {
        children.token_keys = token_keys;
        let replaced = again(&children, CLUSTER_IP, now());
        assert_ne!(replaced.token_keys, material.token_keys);
        assert_eq!(lost(&replaced), ["depot-token-keys"]);
    }
}

#[test]
fn admin_certificates_stay_until_they_are_old_and_know_each_other() {
    let (mut children, material, _) = settled();
    assert_eq!(
        again(&children, CLUSTER_IP, now() + hours(24)).admin,
        material.admin
    );
    let late = again(&children, CLUSTER_IP, now() + hours(6000)).admin;
    assert_eq!(late.authority, material.admin.authority);
    assert_ne!(
        (&late.server, &late.client),
        (&material.admin.server, &material.admin.client)
    );
    children.admin = Some(garbage(children.admin.as_ref(), "ca.key"));
    let replaced = again(&children, CLUSTER_IP, now()).admin;
    for leaf in [&replaced.server, &replaced.client] {
        let (leaf, authority) = (
            leaf.certificate_pem.as_bytes(),
            replaced.authority.certificate_pem.as_bytes(),
        );
        assert!(certificates::is_signed_by(leaf, authority).unwrap());
    }
}
