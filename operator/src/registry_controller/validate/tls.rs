//! Which certificate is served. In: spec, the Secret that it names, clock. Out: how to come by the certificate. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use portolan_crds::conditions::reasons::{CERTIFICATE_UNUSABLE, INVALID_SPEC, PERMISSION_DENIED};
use portolan_crds::v1alpha1::{DEFAULT_CERTIFICATE_DURATION, ManagedTls as ManagedSpec, TlsSpec};

use super::{Concern, Expose, Hitch, Problem};
use crate::certificates::{self, CertificateFacts};
use crate::names::Names;
use crate::registry_controller::dereference::Dereferenced;
use crate::registry_controller::observed::{Children, Reference, made_for, secret_value};

/// How long a certificate is in use before its renewal: with less, one would follow the other.
const SHORTEST_USE: SignedDuration = SignedDuration::from_secs(30);

/// The volume of the pod template that holds the certificate.
pub const TLS_VOLUME: &str = "tls";

#[derive(Clone, Debug, PartialEq)]
pub enum Tls {
    Managed(ManagedTls),
    Users(UsersCertificate),
    /// Nothing is known about the certificate in the Secret of this name, which the pods mount already.
    Mounted {
        secret_name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedTls {
    pub duration: SignedDuration,
    pub renew_before: SignedDuration,
}

/// A certificate that the user brought, good for every name in use.
#[derive(Clone, Debug, PartialEq)]
pub struct UsersCertificate {
    pub secret_name: String,
    pub facts: CertificateFacts,
    /// What clients must trust, where the Secret says it.
    pub ca_pem: Option<String>,
}

/// `own` are the children that belong to the Registry.
pub(super) fn validate(
    spec: &TlsSpec,
    names: &Names,
    expose: &Expose,
    (dereferenced, own): (&Dereferenced, &Children),
    now: Timestamp,
) -> Result<Tls, Hitch<Tls>> {
    let mounted = own.stateful_set.as_deref().and_then(mounted_secret);
    let Some(reference) = &spec.secret_ref else {
        let is_in_the_way = dereferenced.children.tls.is_some() && own.tls.is_none();
        if is_in_the_way && !own.publish_own_authority() {
            // Pods serve a certificate that users brought; another authority would be one that signed nothing.
            let secret_name = mounted.map_or_else(|| names.tls_secret(), str::to_owned);
            return Ok(Tls::Mounted { secret_name });
        }
        return Ok(Tls::Managed(managed(spec.managed.as_ref())?));
    };
    let needed = needed_hosts(names, expose);
    brought(&reference.name, &dereferenced.tls_secret, &needed, now)
        .map(Tls::Users)
        .map_err(|problem| Hitch {
            problem,
            instead: mounted
                .and_then(|mounted| gone_on_with(mounted, &reference.name, names, own))
                .map(Box::new),
        })
}

/// The Secret that pods have as their certificate.
pub fn mounted_secret(set: &StatefulSet) -> Option<&str> {
    let volumes = set.spec.template.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes.iter().find(|volume| volume.name == TLS_VOLUME)?;
    volume.secret.as_ref()?.secret_name.as_deref()
}

/// What pods go on with while that Secret is `mounted`: a managed certificate is renewed as long as they serve it. One
/// that is lost is made again, but not where the spec says that a user brings a Secret of that very name.
fn gone_on_with(mounted: &str, wanted: &str, names: &Names, own: &Children) -> Option<Tls> {
    let is_lost = || mounted != wanted && own.publish_own_authority();
    if mounted == names.tls_secret() && (own.tls.is_some() || is_lost()) {
        return managed(None).ok().map(Tls::Managed);
    }
    Some(Tls::Mounted {
        secret_name: mounted.to_owned(),
    })
}

fn brought(
    name: &str,
    secret: &Reference<Secret>,
    hosts: &[String],
    now: Timestamp,
) -> Result<UsersCertificate, Problem> {
    let secret = match secret {
        Reference::Found(secret) => secret,
        Reference::Forbidden => {
            return Err(Problem::unusable(
                Concern::Tls,
                PERMISSION_DENIED,
                format!(
                    "the operator may not read Secret {name}: allow its ServiceAccount to get Secrets here"
                ),
            ));
        }
        Reference::Absent | Reference::NotAsked => {
            return Err(Problem::absent(
                Concern::Tls,
                format!("Secret {name} of tls.secretRef does not exist: create it with tls.crt and tls.key"),
            ));
        }
    };
    users(name, secret, hosts, now)
}

/// A public authority cannot certify names inside the cluster, so these count only where no other is in use.
fn needed_hosts(names: &Names, expose: &Expose) -> Vec<String> {
    if expose.hostnames.is_empty() {
        vec![names.internal_host()]
    } else {
        expose.hostnames.clone()
    }
}

fn users(name: &str, secret: &Secret, hosts: &[String], now: Timestamp) -> Result<UsersCertificate, Problem> {
    let value = |key| secret_value(secret, key).filter(|value| !value.is_empty());
    let unusable = |problem: String| {
        let message = format!(
            "Secret {name} of tls.secretRef cannot be used, pods go on with what they have: {problem}"
        );
        Problem::unusable(Concern::Tls, CERTIFICATE_UNUSABLE, message)
    };
    if let Some(registry) = made_for(&secret.metadata) {
        return Err(unusable(format!(
            "it is the certificate that the operator made for Registry {registry}; take tls.managed for the operator's \
             own, or put yours into a Secret of another name"
        )));
    }
    // the type never changes, so waiting for keys would be waiting for nothing
    if secret.type_.as_deref() != Some("kubernetes.io/tls") {
        let type_ = secret.type_.as_deref().unwrap_or_default();
        return Err(unusable(format!(
            "it is of type {type_}; create it again with type kubernetes.io/tls"
        )));
    }
    let (Some(certificate), Some(key)) = (value("tls.crt"), value("tls.key")) else {
        return Err(Problem::absent(
            Concern::Tls,
            format!("Secret {name} of tls.secretRef has no tls.crt and tls.key yet: put both in as PEM"),
        ));
    };
    let facts = certificates::inspect("tls.crt", certificate).map_err(|error| unusable(error.to_string()))?;
    match certificates::key_matches(certificate, key) {
        Ok(true) => {}
        Ok(false) => {
            return Err(unusable(
                "tls.key belongs to another certificate; replace both together".to_owned(),
            ));
        }
        Err(error) => return Err(unusable(error.to_string())),
    }
    if facts.not_after <= now {
        return Err(unusable(format!(
            "its certificate expired at {}; renew it",
            facts.not_after
        )));
    }
    if facts.not_before > now {
        return Err(unusable(format!(
            "its certificate holds only from {} on; wait until then, bring another, or correct the clock of the operator's node",
            facts.not_before
        )));
    }
    if let Some(host) = hosts.iter().find(|host| !certificates::covers(&facts, host)) {
        let covered = facts.dns_names.join(", ");
        let covered = if covered.is_empty() {
            "no name at all".to_owned()
        } else {
            covered
        };
        return Err(unusable(format!(
            "its certificate is for {covered} and not for {host}; issue one with that name among the subject \
             alternative names"
        )));
    }
    let ca_pem = value("ca.crt").and_then(|pem| String::from_utf8(pem.to_vec()).ok());
    Ok(UsersCertificate {
        secret_name: name.to_owned(),
        facts,
        ca_pem,
    })
}

fn managed(spec: Option<&ManagedSpec>) -> Result<ManagedTls, Problem> {
    let duration = spec
        .and_then(|managed| managed.duration.as_deref())
        .unwrap_or(DEFAULT_CERTIFICATE_DURATION);
    let duration = parse("duration", duration)?;
    let renew_before = match spec.and_then(|managed| managed.renew_before.as_deref()) {
        Some(text) => parse("renewBefore", text)?,
        None => whole_seconds(duration / 3),
    };
    if duration < SignedDuration::from_mins(10) || renew_before > duration - SHORTEST_USE {
        return Err(Problem::unusable(
            Concern::Tls,
            INVALID_SPEC,
            "spec.tls.managed needs a duration of at least 10m and a renewBefore that is at least 30s less than it",
        ));
    }
    Ok(ManagedTls {
        duration,
        renew_before,
    })
}

/// A certificate's dates have no fractions: with any, no certificate would ever be as the spec says.
fn whole_seconds(length: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(length.as_secs())
}

fn parse(field: &str, text: &str) -> Result<SignedDuration, Problem> {
    let invalid = || {
        let message = format!("spec.tls.managed.{field} is {text:?}: write a duration such as 2160h");
        Problem::unusable(Concern::Tls, INVALID_SPEC, message)
    };
    let parsed: portolan_config::Duration = text.parse().map_err(|_| invalid())?;
    // Ten years; longer ones would not fit a certificate's dates everywhere.
    SignedDuration::try_from(parsed.0)
        .ok()
        .filter(|length| length.as_hours() <= 87_600)
        .map(whole_seconds)
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests;
