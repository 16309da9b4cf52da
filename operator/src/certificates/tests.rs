//! Facts about issued and read certificates, checked through the real parser and rustls.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn validity() -> Validity {
    Validity {
        not_before: at(1_700_000_000),
        not_after: at(1_707_776_000),
    }
}

fn authority() -> CertificateAndKey {
    issue_authority("registry", validity(), [0xab; 16]).unwrap()
}

fn request_for(dns_names: &[&str], ip_addresses: &[&str]) -> LeafRequest {
    LeafRequest {
        common_name: "registry".to_owned(),
        dns_names: dns_names.iter().map(|&name| name.to_owned()).collect(),
        ip_addresses: ip_addresses.iter().map(|text| text.parse().unwrap()).collect(),
        usage: Usage::Server,
        validity: validity(),
        serial: [0x11; 16],
    }
}

fn leaf(dns_names: &[&str], ip_addresses: &[&str]) -> CertificateAndKey {
    issue_leaf(&authority(), &request_for(dns_names, ip_addresses)).unwrap()
}

#[test]
fn leaf_says_what_the_request_said() {
    let leaf = leaf(
        &["registry.team-a.svc", "*.registry-pods.team-a.svc"],
        &["198.19.0.7", "fd00::7"],
    );
    let facts = inspect("tls.crt", leaf.certificate_pem.as_bytes()).unwrap();
    assert_eq!(
        facts.dns_names,
        ["registry.team-a.svc", "*.registry-pods.team-a.svc"]
    );
    assert_eq!(
        facts.ip_addresses,
        [
            "198.19.0.7".parse::<IpAddr>().unwrap(),
            "fd00::7".parse().unwrap()
        ]
    );
    assert_eq!(facts.not_before, validity().not_before);
    assert_eq!(facts.not_after, validity().not_after);
    assert_eq!(facts.serial_hex, format!("51{}", "11".repeat(15)));
}

#[test]
fn serial_stays_positive_whatever_the_random_bytes_are() {
    for serial in [[0xff; 16], [0; 16]] {
        let issued = issue_authority("registry", validity(), serial).unwrap();
        let facts = inspect("ca.crt", issued.certificate_pem.as_bytes()).unwrap();
        assert_eq!(facts.serial_hex.len(), 32, "{}", facts.serial_hex);
    }
}

#[test]
fn two_authorities_of_one_registry_have_different_subjects() {
    let (one, two) = (
        authority(),
        issue_authority("registry", validity(), [0x01; 16]).unwrap(),
    );
    let subject = |pem: &str| {
        let der = rcgen_pem(pem);
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        parsed.subject().to_string()
    };
    assert_ne!(subject(&one.certificate_pem), subject(&two.certificate_pem));
}

fn rcgen_pem(text: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(text.as_bytes())
        .unwrap()
        .to_vec()
}

#[test]
fn rustls_accepts_the_leaf_for_its_names_and_addresses_only() {
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    let authority = authority();
    let leaf = issue_leaf(
        &authority,
        &request_for(&["registry.team-a.svc"], &["198.19.0.7"]),
    )
    .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from(rcgen_pem(&authority.certificate_pem)))
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .unwrap();
    let end_entity = CertificateDer::from(rcgen_pem(&leaf.certificate_pem));
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_mins(28_333_335));
    let verdict = |host: &'static str| {
        verifier
            .verify_server_cert(&end_entity, &[], &ServerName::try_from(host).unwrap(), &[], now)
            .is_ok()
    };
    assert!(verdict("registry.team-a.svc"));
    assert!(verdict("198.19.0.7"));
    assert!(!verdict("registry.team-b.svc"));
}

#[test]
fn wildcard_stands_for_one_label() {
    let leaf = leaf(&["*.Example.com", "registry.team-a.svc"], &["198.19.0.7"]);
    let facts = inspect("tls.crt", leaf.certificate_pem.as_bytes()).unwrap();
    for host in [
        "a.example.com",
        "A.EXAMPLE.COM",
        "registry.team-a.svc.",
        "198.19.0.7",
    ] {
        assert!(covers(&facts, host), "{host}");
    }
    for host in [
        "example.com",
        "a.b.example.com",
        ".example.com",
        "registry",
        "198.19.0.8",
        "*.example.com",
    ] {
        assert!(!covers(&facts, host), "{host}");
    }
}

#[test]
fn key_of_another_certificate_does_not_match() {
    let (one, two) = (leaf(&["a"], &[]), leaf(&["a"], &[]));
    assert!(key_matches(one.certificate_pem.as_bytes(), one.key_pem.as_bytes()).unwrap());
    assert!(!key_matches(one.certificate_pem.as_bytes(), two.key_pem.as_bytes()).unwrap());
}

#[test]
fn signature_is_checked_against_every_authority_of_a_bundle() {
    let (old, new) = (
        issue_authority("registry", validity(), [1; 16]).unwrap(),
        authority(),
    );
    let leaf = issue_leaf(&new, &request_for(&["a"], &[])).unwrap();
    let bundle = format!("{}{}", old.certificate_pem, new.certificate_pem);
    assert!(is_signed_by(leaf.certificate_pem.as_bytes(), bundle.as_bytes()).unwrap());
    assert!(!is_signed_by(leaf.certificate_pem.as_bytes(), old.certificate_pem.as_bytes()).unwrap());
}

#[test]
fn garbage_is_named_with_its_file() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, start) in [
        ("", "tls.crt holds no certificate"),
        ("hello", "tls.crt holds no certificate"),
        (broken, "tls.crt holds a certificate that cannot be read"),
    ] {
        let error = inspect("tls.crt", pem.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(start), "{pem:?}: {error}");
    }
    let leaf = leaf(&["a"], &[]);
    let error = key_matches(leaf.certificate_pem.as_bytes(), b"garbage")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("tls.key holds no private key"), "{error}");
    let error = key_matches(leaf.key_pem.as_bytes(), leaf.key_pem.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("tls.crt holds no certificate"), "{error}");
}

#[test]
fn serials_from_different_programs_compare() {
    assert_eq!(normalize_serial("00:AB:01"), normalize_serial("ab01"));
    assert_eq!(normalize_serial("00"), "0");
}

#[test]
fn common_name_that_is_too_long_is_refused() {
    let name = "x".repeat(70);
    assert!(
        issue_authority(&name, validity(), [1; 16])
            .unwrap_err()
            .to_string()
            .contains("longer than 64")
    );
}

#[test]
fn private_key_stays_out_of_debug_output() {
    assert!(!format!("{:?}", authority()).contains("PRIVATE KEY"));
}
