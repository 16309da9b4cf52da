//! Certificates as somebody else's issuer makes them, for `tls.secretRef`.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A private CA.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A server's certificate with its key and its issuer's certificate, PEM.
#[derive(Debug)]
pub struct Leaf {
    pub certificate: String,
    pub key: String,
    pub authority: String,
}

impl Authority {
    pub fn new(name: &str) -> Result<Authority> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    pub fn issue(&self, hosts: &[String]) -> Result<Leaf> {
        let mut params = CertificateParams::new(hosts.to_vec())?;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Leaf {
            certificate,
            key: key.serialize_pem(),
            authority: self.pem.clone(),
        })
    }
}
