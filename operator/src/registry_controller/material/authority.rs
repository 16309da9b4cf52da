//! The registry's own certificate authority: Secret R-ca-key in, the authority and the bundle for clients out. No IO.
//!
//! When an authority is replaced, its certificate stays in the bundle until it expires, and certificates that it signed
//! stay in use until their own renewal: clients have weeks to learn the new one.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use super::{Happening, MaterialError, Sources, is_ahead, is_young, issue_error, pair};
use crate::certificates::{self, CertificateAndKey, CertificateFacts};
use crate::registry_controller::observed::{Children, secret_value};
use crate::registry_controller::validate::ValidatedRegistry;

/// Ten years.
const LIFE: SignedDuration = SignedDuration::from_hours(87_600);
/// Predecessors that stay in the bundle.
const MAX_PREVIOUS: usize = 3;
const END: &str = "-----END CERTIFICATE-----";

#[derive(Clone, Debug, PartialEq)]
pub struct Authority {
    pub current: CertificateAndKey,
    /// Certificates of its predecessors, the newest first; empty before the first change.
    pub previous_pem: String,
}

impl Authority {
    /// What clients trust: the current one first.
    pub fn bundle(&self) -> String {
        format!("{}{}", self.current.certificate_pem, self.previous_pem)
    }
}

/// The authority that Secret R-ca-key holds, if it is one.
pub(super) fn read(secret: &Secret) -> Option<Authority> {
    let (current, _) = pair(secret, "ca.crt", "ca.key")?;
    let previous = secret_value(secret, "previous.crt").unwrap_or_default();
    Some(Authority {
        current,
        previous_pem: String::from_utf8_lossy(previous).into_owned(),
    })
}

/// The authority that exists, or a new one where it is missing, in the last third of its life or not valid for long.
pub(super) fn renew(
    registry: &ValidatedRegistry,
    children: &Children,
    sources: &mut Sources<'_>,
    happenings: &mut Vec<Happening>,
) -> Result<Authority, MaterialError> {
    let existing = children.ca_key.as_deref().and_then(read);
    let predecessors = match &existing {
        Some(authority) => {
            let facts = certificates::inspect("ca.crt", authority.current.certificate_pem.as_bytes());
            let ca_key = children.ca_key.as_deref();
            let is_good = |facts: &CertificateFacts| {
                let is_ahead = ca_key.is_some_and(|secret| is_ahead(secret, facts, sources.now));
                is_young(facts, sources.now) && !is_ahead
            };
            if facts.is_ok_and(|facts| is_good(&facts)) {
                let previous_pem = unexpired(&authority.previous_pem, sources.now);
                return Ok(Authority {
                    current: authority.current.clone(),
                    previous_pem,
                });
            }
            authority.bundle()
        }
        None => signer_of_leaf(children),
    };
    if existing.is_none() && registry.has_run_before {
        happenings.push(Happening::Lost {
            secret: registry.names.ca_key_secret(),
            consequence: "a new authority signs the next certificate; clients that hold a copy of the old ca.crt need \
                          the new one by then",
        });
    }
    let validity = sources.validity(LIFE);
    happenings.push(Happening::AuthorityIssued {
        not_after: validity.not_after,
    });
    let name = registry.names.registry();
    let serial = sources.serial();
    let current =
        certificates::issue_authority(name, validity, serial).map_err(issue_error(name.to_owned()))?;
    Ok(Authority {
        current,
        previous_pem: unexpired(&predecessors, sources.now),
    })
}

/// Where the key is lost, the authority that signed the certificate in use must stay trusted. Only that one: anybody
/// could have written something else into the `ConfigMap`.
fn signer_of_leaf(children: &Children) -> String {
    let Some(tls) = children.tls.as_deref() else {
        return String::new();
    };
    let leaf = secret_value(tls, "tls.crt").unwrap_or_default();
    let beside = secret_value(tls, "ca.crt").map(|pem| String::from_utf8_lossy(pem).into_owned());
    let published = children
        .ca_config_map
        .as_deref()
        .and_then(|map| map.data.as_ref())
        .and_then(|data| data.get("ca.crt").cloned());
    let candidates = format!(
        "{}\n{}",
        beside.unwrap_or_default(),
        published.unwrap_or_default()
    );
    split(&candidates)
        .find(|candidate| certificates::is_signed_by(leaf, candidate.as_bytes()).unwrap_or(false))
        .unwrap_or_default()
}

fn unexpired(bundle: &str, now: Timestamp) -> String {
    split(bundle)
        .filter(|pem| {
            certificates::inspect("ca.crt", pem.as_bytes()).is_ok_and(|facts| facts.not_after > now)
        })
        .take(MAX_PREVIOUS)
        .collect()
}

fn split(bundle: &str) -> impl Iterator<Item = String> {
    bundle
        .split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| format!("{}\n", block.trim_start()))
}
