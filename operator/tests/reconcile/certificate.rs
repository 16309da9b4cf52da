//! Certificates that users bring: missing, unusable, and right.

use jiff::Timestamp;
use portolan_operator::certificates::{
    CertificateAndKey, LeafRequest, Usage, Validity, issue_authority, issue_leaf,
};
use serde_json::{Value, json};

use crate::scene::{Scene, condition, message};

pub(crate) fn leaf(host: &str) -> CertificateAndKey {
    let validity = Validity {
        not_before: Timestamp::from_second(1_700_000_000).unwrap(),
        not_after: Timestamp::from_second(4_000_000_000).unwrap(),
    };
    let authority = issue_authority("theirs", validity, [1; 16]).unwrap();
    let request = LeafRequest {
        common_name: "theirs".to_owned(),
        dns_names: vec![host.to_owned()],
        ip_addresses: Vec::new(),
        usage: Usage::Server,
        validity,
        serial: [2; 16],
    };
    issue_leaf(&authority, &request).unwrap()
}

pub(crate) fn tls_secret(certificate: &str, key: &str) -> Value {
    json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}})
}

fn spec() -> Value {
    json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}, "tls": {"secretRef": {"name": "theirs"}}})
}

#[tokio::test]
async fn missing_secret_is_awaited_and_used_when_it_comes() {
    let scene = Scene::new("tls-missing").await;
    scene.registry("depot", spec()).await;
    let waits = |status: &_| condition(status, "TLSReady").1 == "DependencyNotReady";
    let status = scene.status("depot", "it waits for the Secret", waits).await;
    assert_eq!(
        (
            condition(&status, "Reconciling").0,
            condition(&status, "Stalled").0
        ),
        ("True", "")
    );
    assert!(message(&status, "TLSReady").contains("theirs"));

    let host = format!("depot.{}.svc", scene.namespace);
    let leaf = leaf(&host);
    scene
        .create(
            "Secret",
            "theirs",
            tls_secret(&leaf.certificate_pem, &leaf.key_pem),
        )
        .await;
    let uses = |status: &_| !matches!(condition(status, "TLSReady").1, "DependencyNotReady" | "Unknown");
    let status = scene.status("depot", "it uses the Secret", uses).await;
    assert_eq!(
        condition(&status, "Stalled").0,
        "",
        "{}",
        message(&status, "Stalled")
    );
}

#[tokio::test]
async fn unusable_certificates_stall_with_a_sentence_and_heal() {
    let scene = Scene::new("tls-unusable").await;
    let host = format!("depot.{}.svc", scene.namespace);
    let (right, other) = (leaf(&host), leaf("elsewhere.example.com"));
    scene
        .create("Secret", "theirs", tls_secret("garbage", "garbage"))
        .await;
    scene.registry("depot", spec()).await;
    for (certificate, key, word) in [
        ("garbage", "garbage", "tls.crt"),
        (&other.certificate_pem, &other.key_pem, host.as_str()),
        (&right.certificate_pem, &other.key_pem, "tls.key"),
    ] {
        scene
            .edit("Secret", "theirs", &tls_secret(certificate, key))
            .await;
        let says = |status: &_| {
            condition(status, "Stalled").0 == "True" && message(status, "Stalled").contains(word)
        };
        let status = scene
            .status("depot", &format!("it is stalled with {word}"), says)
            .await;
        assert_eq!(condition(&status, "Stalled").1, "CertificateUnusable", "{word}");
    }
    scene
        .edit(
            "Secret",
            "theirs",
            &tls_secret(&right.certificate_pem, &right.key_pem),
        )
        .await;
    scene
        .status("depot", "it is healed", |status| {
            condition(status, "Stalled").0 != "True"
        })
        .await;
}

#[tokio::test]
async fn secret_of_another_type_is_refused() {
    let scene = Scene::new("tls-opaque").await;
    scene
        .create("Secret", "theirs", json!({"stringData": {"other": "1"}}))
        .await;
    scene.registry("depot", spec()).await;
    let status = scene
        .status("depot", "it is stalled", |status| {
            condition(status, "Stalled").0 == "True"
        })
        .await;
    assert!(
        message(&status, "Stalled").contains("theirs"),
        "{}",
        message(&status, "Stalled")
    );
}
