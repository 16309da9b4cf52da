//! PEM text in, a TLS configuration of a server or client and what the certificate says out. Pure.
//!
//! The whole configuration is rebuilt when a file changes and each new connection takes the newest, so certificates
//! and client authorities change without a restart and no connection is dropped.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::ring as provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;

use crate::auth::hosts::OwnHosts;

/// A certificate that is ready to be served.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For new connections: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub server_config: Arc<ServerConfig>,
    /// The leaf's serial number, in lower-case hexadecimal without leading zeros.
    pub serial: String,
    /// From when it is good, in seconds since 1970.
    pub not_before: i64,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
    /// Its DNS names.
    pub names: Vec<String>,
    /// Its IP addresses.
    pub addresses: Vec<IpAddr>,
}

/// Which of the files an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate and its chain.
    Certificate,
    /// The private key.
    Key,
    /// The authorities of client certificates.
    ClientCa,
    /// The authorities of a server's certificate.
    ServerCa,
}

/// Why a certificate cannot be served or shown. The name of the file is the caller's to add, see [`TlsError::part`].
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file holds none.
    #[error(
        "it holds no certificate in PEM that is whole; write one that begins with -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
    /// The key file holds none that can be used.
    #[error("it holds no private key in PEM; write an unencrypted PKCS#8, SEC1 or PKCS#1 key")]
    NoKey,
    /// The file of client authorities holds none.
    #[error("it holds no usable certificate in PEM; write the authority that signs client certificates")]
    NoClientCa,
    /// The file of the server's authorities holds none.
    #[error(
        "it holds no usable certificate in PEM; write the authority that signed the server's certificate"
    )]
    NoServerCa,
    /// The certificate is no X.509.
    #[error("the certificate is damaged; write it again")]
    Damaged,
    /// Certificate and key do not belong together.
    #[error("the key is of another certificate; write the one that the certificate was made for")]
    OtherKey,
    /// A kind of key that is not supported, or one that is damaged.
    #[error(
        "the key cannot be used ({0}); write an ECDSA key (P-256, P-384), RSA (2048 to 8192 bits) or Ed25519"
    )]
    Unusable(rustls::Error),
    /// No client takes it any more.
    #[error("the certificate has expired; write one that is valid")]
    Expired,
    /// No client takes it yet.
    #[error("the certificate is not valid yet; write one that is, or correct the clock of this machine")]
    NotYetValid,
    /// It is for somebody else.
    #[error("the certificate covers none of {hosts} in http.hosts; write one that does")]
    OtherNames {
        /// The names that clients use.
        hosts: String,
    },
}

impl TlsError {
    /// The file to mend.
    pub fn part(&self) -> Part {
        match self {
            Self::NoCertificate
            | Self::Damaged
            | Self::Expired
            | Self::NotYetValid
            | Self::OtherNames { .. } => Part::Certificate,
            Self::NoKey | Self::OtherKey | Self::Unusable(_) => Part::Key,
            Self::NoClientCa => Part::ClientCa,
            Self::NoServerCa => Part::ServerCa,
        }
    }
}

impl Tls {
    /// With `client_ca`, connections without a client certificate that it signed are refused.
    pub fn from_pem(certificate: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let (chain, key) = pair(certificate, key)?;
        let leaf = Leaf::parse(&chain[0]).ok_or(TlsError::Damaged)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => builder.with_client_cert_verifier(client_verifier(pem)?),
        };
        let mut server_config = builder.with_single_cert(chain, key).map_err(unfit_pair)?;
        server_config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            server_config: Arc::new(server_config),
            serial: leaf.serial,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            names: leaf.names,
            addresses: leaf.addresses,
        })
    }

    /// Why clients would refuse it now, if they would; `hosts` are the names that they use, none if not known.
    pub fn unfit(&self, now: Timestamp, hosts: &[String]) -> Option<TlsError> {
        let own = OwnHosts {
            names: self.names.clone(),
            addresses: self.addresses.clone(),
            ..OwnHosts::default()
        };
        if now.as_second() > self.not_after {
            Some(TlsError::Expired)
        } else if now.as_second() < self.not_before {
            Some(TlsError::NotYetValid)
        } else if !hosts.is_empty() && !hosts.iter().any(|host| own.contains(host)) {
            Some(TlsError::OtherNames {
                hosts: hosts.join(", "),
            })
        } else {
            None
        }
    }
}

/// For a client that shows a certificate, and trusts servers whose certificate one of `ca` signed.
pub fn client_config(certificate: &[u8], key: &[u8], ca: &[u8]) -> Result<ClientConfig, TlsError> {
    let roots = authorities(ca).ok_or(TlsError::NoServerCa)?;
    let (chain, key) = pair(certificate, key)?;
    ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unfit_pair)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(certificate: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
    let chain = certificates(certificate)
        .filter(|chain| !chain.is_empty())
        .ok_or(TlsError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    Ok((chain, key))
}

fn unfit_pair(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
        rustls::Error::InvalidCertificate(_) => TlsError::Damaged,
        other => TlsError::Unusable(other),
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

fn authorities(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

fn client_verifier(pem: &[u8]) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let roots = authorities(pem).ok_or(TlsError::NoClientCa)?;
    let provider = Arc::new(provider::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.build().map_err(|_| TlsError::NoClientCa)
}

struct Leaf {
    serial: String,
    not_before: i64,
    not_after: i64,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Leaf {
    fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let hex = crate::hex(certificate.raw_serial());
        let serial = hex.trim_start_matches('0').to_owned();
        let not_before = certificate.validity().not_before.timestamp();
        let not_after = certificate.validity().not_after.timestamp();
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        if let Ok(Some(san)) = certificate.subject_alternative_name() {
            for name in &san.value.general_names {
                match name {
                    GeneralName::DNSName(name) => names.push((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => addresses.extend(ip_address(bytes)),
                    _ => {}
                }
            }
        }
        Some(Self {
            serial,
            not_before,
            not_after,
            names,
            addresses,
        })
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn names_and_addresses_of_a_certificate_are_known() {
        let (certificate, key) = made(&["registry.team-a.svc", "*.pods.svc", "198.19.0.7", "fd00::1"]);
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap();
        assert_eq!(tls.names, ["registry.team-a.svc", "*.pods.svc"]);
        assert_eq!(
            tls.addresses,
            [
                "198.19.0.7".parse::<IpAddr>().unwrap(),
                "fd00::1".parse().unwrap()
            ]
        );
        assert!(!tls.serial.is_empty() && tls.not_after > 0);
    }

    #[test]
    fn what_cannot_be_served_is_told_apart() {
        let (certificate, key) = made(&["a"]);
        let (_, other_key) = made(&["a"]);
        let tls = |certificate: &str, key: &str, ca: Option<&str>| {
            Tls::from_pem(certificate.as_bytes(), key.as_bytes(), ca.map(str::as_bytes)).unwrap_err()
        };
        assert!(matches!(tls(&key, &key, None), TlsError::NoCertificate));
        assert!(matches!(tls(&certificate, &certificate, None), TlsError::NoKey));
        assert!(matches!(tls(&certificate, &other_key, None), TlsError::OtherKey));
        assert!(matches!(
            tls(&certificate, &key, Some(&key)),
            TlsError::NoClientCa
        ));
    }
}
