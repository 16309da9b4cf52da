//! Reads certificates and keys that are already there, ours or a user's: PEM in, facts and answers out. Pure.
//!
//! `file` arguments are the key of the Secret (`tls.crt`, `tls.key`, `ca.crt`); they only appear in error texts.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{CertificateError, hex};

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Lower-case hexadecimal without leading zeros, see [`normalize_serial`].
    pub serial_hex: String,
    /// First instant of its life.
    pub not_before: Timestamp,
    /// Last instant of its life.
    pub not_after: Timestamp,
    /// DNS names among the subject alternative names, lower case.
    pub dns_names: Vec<String>,
    /// Addresses among the subject alternative names.
    pub ip_addresses: Vec<IpAddr>,
}

/// Facts of the first certificate in `pem`, which in a chain is the leaf.
pub fn inspect(file: &str, pem: &[u8]) -> Result<CertificateFacts, CertificateError> {
    inspect_der(file, &first_certificate(file, pem)?)
}

/// Facts of a certificate as it comes in a TLS handshake.
pub(crate) fn inspect_der(
    file: &str,
    der: &CertificateDer<'_>,
) -> Result<CertificateFacts, CertificateError> {
    let certificate = parse(file, der)?;
    let mut facts = CertificateFacts {
        serial_hex: normalize_serial(&hex(certificate.raw_serial())),
        not_before: instant(file, certificate.validity().not_before.timestamp())?,
        not_after: instant(file, certificate.validity().not_after.timestamp())?,
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
    };
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| unreadable(file, &error.to_string()))?;
    for name in names.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => facts.dns_names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => facts.ip_addresses.extend(address(bytes)),
            _ => {}
        }
    }
    Ok(facts)
}

/// Whether a client that asks for `host` (a name or an address) accepts the certificate's names. A wildcard stands for
/// exactly one whole first label, as in RFC 9525.
pub fn covers(facts: &CertificateFacts, host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return facts.ip_addresses.contains(&address);
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    facts.dns_names.iter().any(|name| match name.strip_prefix("*.") {
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && !label.contains('*') && rest == parent),
        None => *name == host,
    })
}

/// Whether the key belongs to the first certificate. Errors say which of both cannot be read.
pub fn key_matches(certificate_pem: &[u8], key_pem: &[u8]) -> Result<bool, CertificateError> {
    let file = "tls.key";
    let certificate = first_certificate("tls.crt", certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| CertificateError::NoKey {
        file: file.to_owned(),
    })?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| {
        CertificateError::UnusableKey {
            file: file.to_owned(),
            problem: error.to_string(),
        }
    })?;
    let of_key = key.public_key().ok_or_else(|| CertificateError::UnusableKey {
        file: file.to_owned(),
        problem: "it does not tell its public key".to_owned(),
    })?;
    Ok(parse("tls.crt", &certificate)?.public_key().raw == of_key.as_ref())
}

/// Whether the first certificate in `pem` carries a signature by the key of one of the certificates in `authorities`.
pub fn is_signed_by(pem: &[u8], authorities: &[u8]) -> Result<bool, CertificateError> {
    let der = first_certificate("tls.crt", pem)?;
    let certificate = parse("tls.crt", &der)?;
    for authority in all_certificates("ca.crt", authorities)? {
        let authority = parse("ca.crt", &authority)?;
        if certificate.issuer() == authority.subject()
            && certificate.verify_signature(Some(authority.public_key())).is_ok()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The one way that serial numbers are written here, so that text from different programs can be compared:
/// `00:AB:01` and `ab01` are the same serial.
pub fn normalize_serial(hex: &str) -> String {
    let digits: String = hex
        .chars()
        .filter(|c| *c != ':')
        .collect::<String>()
        .to_ascii_lowercase();
    let short = digits.trim_start_matches('0');
    if short.is_empty() {
        "0".to_owned()
    } else {
        short.to_owned()
    }
}

fn first_certificate(file: &str, pem: &[u8]) -> Result<CertificateDer<'static>, CertificateError> {
    all_certificates(file, pem).map(|mut all| all.swap_remove(0))
}

/// At least one.
fn all_certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(file, &error.to_string()))?;
    if all.is_empty() {
        Err(CertificateError::NoCertificate {
            file: file.to_owned(),
        })
    } else {
        Ok(all)
    }
}

fn parse<'a>(file: &str, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| unreadable(file, &error.to_string()))
}

fn unreadable(file: &str, problem: &str) -> CertificateError {
    CertificateError::UnreadableCertificate {
        file: file.to_owned(),
        problem: problem.to_owned(),
    }
}

fn instant(file: &str, seconds: i64) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(seconds).map_err(|error| unreadable(file, &error.to_string()))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
