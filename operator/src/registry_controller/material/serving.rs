//! The managed certificate that pods serve: Secret R-tls in, the same or a new leaf out. No IO.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::{
    Authority, BACKDATED, Happening, MaterialError, Sources, authority, is_ahead, issue_error, last_third,
    pair,
};
use crate::certificates::{self, CertificateAndKey, CertificateFacts, LeafRequest, Usage};
use crate::registry_controller::observed::Children;
use crate::registry_controller::validate::{ManagedTls, ValidatedRegistry};

/// The objection to a certificate that serves well for some time to come.
pub const DUE: &str = "the certificate before it is due for renewal";

pub(super) struct Serving {
    pub(super) authority: Option<Authority>,
    pub(super) leaf: Option<CertificateAndKey>,
    pub(super) facts: Option<CertificateFacts>,
    pub(super) renewal_at: Option<Timestamp>,
    pub(super) ca_bundle: Option<String>,
}

/// What the certificate must say.
pub(super) struct Wanted {
    dns_names: BTreeSet<String>,
    ip_addresses: BTreeSet<IpAddr>,
    duration: SignedDuration,
    renew_before: SignedDuration,
}

impl Wanted {
    pub(super) fn new(registry: &ValidatedRegistry, managed: &ManagedTls, cluster_ips: &[String]) -> Self {
        Self {
            dns_names: registry
                .certificate_names()
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            ip_addresses: cluster_ips
                .iter()
                .filter_map(|address| address.parse().ok())
                .collect(),
            duration: managed.duration,
            renew_before: managed.renew_before,
        }
    }

    fn request(
        &self,
        registry: &ValidatedRegistry,
        end: Timestamp,
        sources: &mut Sources<'_>,
    ) -> LeafRequest {
        let mut validity = sources.validity(self.duration);
        validity.not_after = validity.not_after.min(end);
        LeafRequest {
            common_name: registry.names.registry().to_owned(),
            dns_names: self.dns_names.iter().cloned().collect(),
            ip_addresses: self.ip_addresses.iter().copied().collect(),
            usage: Usage::Server,
            validity,
            serial: sources.serial(),
        }
    }

    /// A leaf that lasts as long as its authority can only be followed by a longer one once that is renewed itself.
    pub(super) fn renewal_of(&self, facts: &CertificateFacts, authority: Option<&Authority>) -> Timestamp {
        let due = facts.not_after - self.renew_before;
        let Some(authority) = authority else {
            return due;
        };
        let certificate = authority.current.certificate_pem.as_bytes();
        match certificates::inspect("ca.crt", certificate) {
            Ok(signer) if facts.not_after >= signer.not_after => due.max(last_third(&signer)),
            _ => due,
        }
    }

    /// Why the leaf cannot stay, if it cannot.
    pub(super) fn objection(
        &self,
        facts: &CertificateFacts,
        authority: &Authority,
        leaf: &CertificateAndKey,
        now: Timestamp,
    ) -> Option<&'static str> {
        let certificate = leaf.certificate_pem.as_bytes();
        let signed_by = |pem: &str| certificates::is_signed_by(certificate, pem.as_bytes()).unwrap_or(false);
        let names: BTreeSet<String> = facts.dns_names.iter().cloned().collect();
        let addresses: BTreeSet<IpAddr> = facts.ip_addresses.iter().copied().collect();
        if names != self.dns_names || addresses != self.ip_addresses {
            return Some("the names or addresses of the registry changed");
        }
        if now >= self.renewal_of(facts, Some(authority)) {
            return Some(DUE);
        }
        if signed_by(&authority.current.certificate_pem) {
            let expected = (facts.not_before + BACKDATED + self.duration).min(end_of(authority));
            return (facts.not_after != expected).then_some("spec.tls.managed.duration changed");
        }
        (!signed_by(&authority.previous_pem))
            .then_some("the certificate before it was signed by another authority")
    }
}

/// Addresses in the certificate that is there: what stays in it while the Service is not ours to ask.
pub fn addresses(children: &Children) -> Vec<String> {
    let existing = children
        .tls
        .as_deref()
        .and_then(|secret| pair(secret, "tls.crt", "tls.key"));
    let addresses = existing.map(|(_, facts)| facts.ip_addresses).unwrap_or_default();
    addresses.iter().map(ToString::to_string).collect()
}

pub(super) fn managed(
    registry: &ValidatedRegistry,
    wanted: &Wanted,
    children: &Children,
    sources: &mut Sources<'_>,
    happenings: &mut Vec<Happening>,
) -> Result<Serving, MaterialError> {
    let authority = authority::renew(registry, children, sources, happenings)?;
    let secret = children.tls.as_deref();
    let existing = secret.and_then(|secret| pair(secret, "tls.crt", "tls.key"));
    let cause = match &existing {
        None => Some("there was none"),
        Some((_, facts)) if secret.is_some_and(|secret| is_ahead(secret, facts, sources.now)) => {
            Some("the one before holds only later, it was made by a clock that ran ahead")
        }
        Some((leaf, facts)) => wanted.objection(facts, &authority, leaf, sources.now),
    };
    let (leaf, facts) = match (existing, cause) {
        (Some(kept), None) => kept,
        (_, cause) => {
            let issued = issue(registry, wanted, &authority, sources)?;
            let cause = cause.unwrap_or("there was none");
            happenings.push(Happening::CertificateIssued {
                not_after: issued.1.not_after,
                cause,
            });
            issued
        }
    };
    Ok(Serving {
        renewal_at: Some(wanted.renewal_of(&facts, Some(&authority))),
        ca_bundle: Some(authority.bundle()),
        authority: Some(authority),
        leaf: Some(leaf),
        facts: Some(facts),
    })
}

fn issue(
    registry: &ValidatedRegistry,
    wanted: &Wanted,
    authority: &Authority,
    sources: &mut Sources<'_>,
) -> Result<(CertificateAndKey, CertificateFacts), MaterialError> {
    let host = registry.names.internal_host();
    let request = wanted.request(registry, end_of(authority), sources);
    let leaf = certificates::issue_leaf(&authority.current, &request).map_err(issue_error(host.clone()))?;
    let facts =
        certificates::inspect("tls.crt", leaf.certificate_pem.as_bytes()).map_err(issue_error(host))?;
    Ok((leaf, facts))
}

fn end_of(authority: &Authority) -> Timestamp {
    certificates::inspect("ca.crt", authority.current.certificate_pem.as_bytes())
        .map_or(Timestamp::MAX, |facts| facts.not_after)
}
