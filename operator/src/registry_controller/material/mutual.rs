//! The certificates with which operator and pods know each other on the admin port: Secret R-admin in, the same or new
//! ones out. No IO. The authority behind them signs nothing else, and clients of the registry never see it.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;

use super::{MaterialError, Sources, is_ahead, is_young, issue_error, pair};
use crate::certificates::{self, CertificateAndKey, LeafRequest, Usage};
use crate::registry_controller::validate::ValidatedRegistry;

const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(87_600);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(8_760);

/// Both sides of the admin connection and who vouches for them.
#[derive(Clone, Debug, PartialEq)]
pub struct MutualTls {
    pub authority: CertificateAndKey,
    pub server: CertificateAndKey,
    pub client: CertificateAndKey,
}

pub(super) fn renew(
    registry: &ValidatedRegistry,
    secret: Option<&Secret>,
    sources: &mut Sources<'_>,
) -> Result<MutualTls, MaterialError> {
    let young = |certificate_key: &str, private_key: &str| {
        let secret = secret?;
        let (found, facts) = pair(secret, certificate_key, private_key)?;
        let is_good = is_young(&facts, sources.now) && !is_ahead(secret, &facts, sources.now);
        is_good.then_some(found)
    };
    let host = registry.names.internal_host();
    let kept = (
        young("ca.crt", "ca.key"),
        young("tls.crt", "tls.key"),
        young("client.crt", "client.key"),
    );
    let authority = if let Some(authority) = kept.0 {
        authority
    } else {
        let name = format!("{} admin", registry.names.registry());
        let (validity, serial) = (sources.validity(AUTHORITY_LIFE), sources.serial());
        certificates::issue_authority(&name, validity, serial).map_err(issue_error(host.clone()))?
    };
    let vouched = |leaf: &CertificateAndKey| {
        let (leaf, authority) = (
            leaf.certificate_pem.as_bytes(),
            authority.certificate_pem.as_bytes(),
        );
        certificates::is_signed_by(leaf, authority).unwrap_or(false)
    };
    let (server, client) = (kept.1.filter(vouched), kept.2.filter(vouched));
    let mut leaf = |usage: Usage, name: &str| {
        let request = LeafRequest {
            common_name: name.to_owned(),
            dns_names: vec![host.clone()],
            ip_addresses: Vec::new(),
            usage,
            validity: sources.validity(LEAF_LIFE),
            serial: sources.serial(),
        };
        certificates::issue_leaf(&authority, &request).map_err(issue_error(host.clone()))
    };
    let server = server.map_or_else(|| leaf(Usage::Server, registry.names.registry()), Ok)?;
    let client = client.map_or_else(|| leaf(Usage::Client, "portolan-operator"), Ok)?;
    Ok(MutualTls {
        authority,
        server,
        client,
    })
}
