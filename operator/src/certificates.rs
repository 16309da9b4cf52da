//! X.509 for the registry's own certificate authority: keys and requests come in, PEM goes out, and PEM of anybody's
//! comes in, facts go out. Pure but for the key generator's entropy; instants and serial numbers are arguments.
//!
//! Keys are ECDSA P-256. Names live in the subject alternative names only: the common name holds at most 64 characters
//! and clients ignore it.

mod inspect;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};

pub(crate) use inspect::inspect_der;
pub use inspect::{CertificateFacts, covers, inspect, is_signed_by, key_matches, normalize_serial};

/// Random bytes of a serial number; 128 bits, of which the first is cleared so that it stays positive in 16 bytes.
pub type Serial = [u8; 16];

/// Longest common name that X.520 allows.
const COMMON_NAME_MAX: usize = 64;

/// A certificate with the key that it certifies, both PEM. The key never appears in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateAndKey {
    /// One certificate; for a leaf without its issuer, which clients have as the CA.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First instant; put it some minutes before now, for clients whose clock is behind.
    pub not_before: Timestamp,
    /// Last instant.
    pub not_after: Timestamp,
}

/// Which side of a connection a leaf proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The side that listens.
    Server,
    /// The side that connects (mTLS).
    Client,
}

/// What a leaf certificate is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// For people who look at the certificate; at most 64 bytes.
    pub common_name: String,
    /// Names of the server, wildcards allowed in the first label.
    pub dns_names: Vec<String>,
    /// Addresses of the server.
    pub ip_addresses: Vec<IpAddr>,
    /// Server or client.
    pub usage: Usage,
    /// Its life.
    pub validity: Validity,
    /// Random.
    pub serial: Serial,
}

/// Why a certificate could not be issued or read. The texts name what was wrong, the caller adds the object's name.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The PEM text has no certificate block.
    #[error("{file} holds no certificate (a block that starts with -----BEGIN CERTIFICATE-----)")]
    NoCertificate {
        /// Key of the Secret, such as `tls.crt`.
        file: String,
    },
    /// A certificate block that does not decode.
    #[error("{file} holds a certificate that cannot be read: {problem}")]
    UnreadableCertificate {
        /// Key of the Secret.
        file: String,
        /// What the parser said.
        problem: String,
    },
    /// The PEM text has no private key block.
    #[error(
        "{file} holds no private key (a block such as -----BEGIN PRIVATE KEY-----); put the unencrypted key of the certificate there"
    )]
    NoKey {
        /// Key of the Secret.
        file: String,
    },
    /// A key of a kind that TLS here cannot use.
    #[error(
        "{file} holds a private key that cannot be used: {problem}; use RSA, ECDSA P-256, P-384 or Ed25519"
    )]
    UnusableKey {
        /// Key of the Secret.
        file: String,
        /// What the parser said.
        problem: String,
    },
    /// A request that no certificate can express.
    #[error("cannot issue a certificate: {problem}")]
    Request {
        /// What was wrong.
        problem: String,
    },
}

/// Makes a certificate authority named after `name` with a new key.
///
/// The common name carries a part of the serial: two authorities of one registry must not share a subject, or clients
/// that trust both could try the wrong key.
pub fn issue_authority(
    name: &str,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateAndKey, CertificateError> {
    let serial = positive(serial);
    let key = KeyPair::generate().map_err(request)?;
    let common_name = format!("{name} CA {}", &hex(&serial)[..8]);
    let mut params = parameters(&common_name, validity, serial)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&key).map_err(request)?;
    Ok(CertificateAndKey {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}

/// Makes a leaf with a new key, signed by `authority`.
pub fn issue_leaf(
    authority: &CertificateAndKey,
    leaf: &LeafRequest,
) -> Result<CertificateAndKey, CertificateError> {
    let authority_key =
        KeyPair::from_pem(&authority.key_pem).map_err(|error| CertificateError::UnusableKey {
            file: "ca.key".to_owned(),
            problem: error.to_string(),
        })?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, authority_key).map_err(|error| {
        CertificateError::UnreadableCertificate {
            file: "ca.crt".to_owned(),
            problem: error.to_string(),
        }
    })?;
    let key = KeyPair::generate().map_err(request)?;
    let mut params = parameters(&leaf.common_name, leaf.validity, positive(leaf.serial))?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match leaf.usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    for name in &leaf.dns_names {
        let name = name.as_str().try_into().map_err(|_| CertificateError::Request {
            problem: format!("the name {name:?} is not ASCII; write it in punycode (xn--…)"),
        })?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params
        .subject_alt_names
        .extend(leaf.ip_addresses.iter().copied().map(SanType::IpAddress));
    let certificate = params.signed_by(&key, &issuer).map_err(request)?;
    Ok(CertificateAndKey {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}

impl fmt::Debug for CertificateAndKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAndKey")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

fn parameters(
    common_name: &str,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, CertificateError> {
    if common_name.len() > COMMON_NAME_MAX {
        return Err(CertificateError::Request {
            problem: format!("the common name {common_name:?} is longer than {COMMON_NAME_MAX} bytes"),
        });
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = instant(validity.not_before)?;
    params.not_after = instant(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn instant(at: Timestamp) -> Result<time::OffsetDateTime, CertificateError> {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| CertificateError::Request {
        problem: format!("the instant {at} does not fit a certificate"),
    })
}

fn positive(mut serial: Serial) -> Serial {
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

fn request(error: impl fmt::Display) -> CertificateError {
    CertificateError::Request {
        problem: error.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
