//! Everything private or random that the children carry: read from what exists, made only where it is missing or due.
//! In: `ValidatedRegistry`, observed children, the Service's addresses, clock, random source. Out: `Material` and what
//! happened. No IO.
//!
//! A Secret that can be read is never made anew: clients have what is in it.

mod authority;
mod credentials;
mod existing;
mod mutual;
mod serving;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rand::RngCore;
use thiserror::Error;

use super::observed::{Children, secret_value};
use super::validate::{Tls, ValidatedRegistry};
use crate::certificates::{self, CertificateAndKey, CertificateError, CertificateFacts, Serial, Validity};
use crate::credentials::Credentials;
use crate::labels::FIELD_MANAGER_REGISTRY;
use crate::token_keys::{TokenKeys, TokenKeysError};

pub use authority::Authority;
pub use existing::{Existing, existing};
pub use mutual::MutualTls;
pub use serving::{DUE, addresses};

/// How far certificates reach back, for clients whose clock is behind.
const BACKDATED: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// What the children carry.
#[derive(Clone, Debug)]
pub struct Material {
    /// The registry's own authority; kept for later where the user brings the certificate.
    pub authority: Option<Authority>,
    /// The managed certificate.
    pub leaf: Option<CertificateAndKey>,
    /// What every pod is to serve, managed or not; absent where that is not known.
    pub serving: Option<CertificateFacts>,
    /// When the managed certificate is due for renewal.
    pub renewal_at: Option<Timestamp>,
    /// What clients must trust, where that is known.
    pub ca_bundle: Option<String>,
    pub credentials: Credentials,
    pub token_keys: TokenKeys,
    pub admin: MutualTls,
    /// For events, once the objects are applied.
    pub happenings: Vec<Happening>,
}

/// Something that was made in this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    CertificateIssued {
        not_after: Timestamp,
        cause: &'static str,
    },
    AuthorityIssued {
        not_after: Timestamp,
    },
    /// A Secret that only we hold was gone or damaged after it had been in use.
    Lost {
        secret: String,
        consequence: &'static str,
    },
}

impl Happening {
    /// Where it is kept; where that is withheld or not written, it has not happened.
    pub fn secret(&self, registry: &ValidatedRegistry) -> String {
        match self {
            Self::CertificateIssued { .. } => registry.names.tls_secret(),
            Self::AuthorityIssued { .. } => registry.names.ca_key_secret(),
            Self::Lost { secret, .. } => secret.clone(),
        }
    }
}

#[derive(Debug, Error)]
pub enum MaterialError {
    #[error("cannot issue a certificate for {host}")]
    Certificate {
        host: String,
        #[source]
        source: CertificateError,
    },
    #[error("cannot make the keys that sign tokens")]
    TokenKeys {
        #[source]
        source: TokenKeysError,
    },
}

/// Where instants and random bytes come from.
pub struct Sources<'a> {
    pub now: Timestamp,
    pub random: &'a mut dyn RngCore,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Sources<'_> {
    fn serial(&mut self) -> Serial {
        let mut serial = Serial::default();
        self.random.fill_bytes(&mut serial);
        serial
    }

    fn validity(&self, length: jiff::SignedDuration) -> Validity {
        let now = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        Validity {
            not_before: now - BACKDATED,
            not_after: now + length,
        }
    }
}

/// What exists, completed by what is missing. `children` are the Registry's own.
pub fn renew(
    registry: &ValidatedRegistry,
    children: &Children,
    cluster_ips: &[String],
    sources: &mut Sources<'_>,
) -> Result<Material, MaterialError> {
    let mut happenings = Vec::new();
    let tls = match &registry.tls {
        Tls::Managed(managed) => {
            let wanted = serving::Wanted::new(registry, managed, cluster_ips);
            serving::managed(registry, &wanted, children, sources, &mut happenings)?
        }
        Tls::Users(certificate) => serving::Serving {
            authority: children.ca_key.as_deref().and_then(authority::read),
            leaf: None,
            facts: Some(certificate.facts.clone()),
            renewal_at: None,
            ca_bundle: certificate.ca_pem.clone(),
        },
        Tls::Mounted { .. } => serving::Serving {
            authority: children.ca_key.as_deref().and_then(authority::read),
            leaf: None,
            facts: None,
            renewal_at: None,
            ca_bundle: children.published_ca(),
        },
    };
    let credentials = credentials::renew(registry, children, sources, &mut happenings);
    let token_keys = token_keys(registry, children.token_keys.as_deref(), &mut happenings)?;
    happenings.retain(|happening| !registry.withheld.holds("Secret", &happening.secret(registry)));
    Ok(Material {
        authority: tls.authority,
        leaf: tls.leaf,
        serving: tls.facts,
        renewal_at: tls.renewal_at,
        ca_bundle: tls.ca_bundle,
        credentials,
        token_keys,
        admin: mutual::renew(registry, children.admin.as_deref(), sources)?,
        happenings,
    })
}

fn token_keys(
    registry: &ValidatedRegistry,
    secret: Option<&Secret>,
    happenings: &mut Vec<Happening>,
) -> Result<TokenKeys, MaterialError> {
    let kept =
        secret.and_then(|secret| TokenKeys::from_secret_data(&secret.data.clone().unwrap_or_default()).ok());
    if let Some(kept) = kept {
        return Ok(kept);
    }
    if registry.has_run_before {
        happenings.push(Happening::Lost {
            secret: registry.names.token_keys_secret(),
            consequence: "new keys sign tokens from now on; clients ask for a new token by themselves",
        });
    }
    TokenKeys::generate().map_err(|source| MaterialError::TokenKeys { source })
}

/// A certificate and its key out of a Secret, if both can be read and belong together.
fn pair(
    secret: &Secret,
    certificate_key: &str,
    private_key: &str,
) -> Option<(CertificateAndKey, CertificateFacts)> {
    let certificate = secret_value(secret, certificate_key)?;
    let key = secret_value(secret, private_key)?;
    let facts = certificates::inspect(certificate_key, certificate).ok()?;
    if !certificates::key_matches(certificate, key).unwrap_or(false) {
        return None;
    }
    let certificate_pem = String::from_utf8(certificate.to_vec()).ok()?;
    let key_pem = String::from_utf8(key.to_vec()).ok()?;
    Some((
        CertificateAndKey {
            certificate_pem,
            key_pem,
        },
        facts,
    ))
}

/// When the last third of the certificate's life begins, the usual time for renewal.
fn last_third(facts: &CertificateFacts) -> Timestamp {
    facts.not_after - facts.not_after.duration_since(facts.not_before) / 3
}

fn is_young(facts: &CertificateFacts, now: Timestamp) -> bool {
    now < last_third(facts)
}

/// Whether a clock that ran ahead made the certificate in this Secret: it holds only later, and began after the API server
/// wrote it down, while ours begin a little before. A clock that is behind now finds the first alone.
fn is_ahead(secret: &Secret, facts: &CertificateFacts, now: Timestamp) -> bool {
    facts.not_before > now && written_at(secret).is_some_and(|written| facts.not_before > written)
}

/// When we last wrote the Secret, by the API server's clock.
fn written_at(secret: &Secret) -> Option<Timestamp> {
    let entries = secret.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER_REGISTRY));
    ours.filter_map(|entry| entry.time.as_ref().map(|time| time.0))
        .max()
}

fn issue_error(host: String) -> impl FnOnce(CertificateError) -> MaterialError {
    move |source| MaterialError::Certificate { host, source }
}

#[cfg(test)]
mod tests;
