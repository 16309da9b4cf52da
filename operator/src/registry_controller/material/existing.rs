//! What exists of all that the children carry, for a Registry that is looked at and left alone. In: `ValidatedRegistry`,
//! observed children, clock. Out: `Existing`. Pure: nothing is made, so the same children always give the same answer.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::{addresses, authority, pair, serving};
use crate::certificates::CertificateFacts;
use crate::credentials::Credentials;
use crate::registry_controller::observed::Children;
use crate::registry_controller::validate::{Tls, ValidatedRegistry};
use crate::token_keys::TokenKeys;

/// What is there, whether or not it is as it should be.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// What every pod is to serve, managed or not.
    pub serving: Option<CertificateFacts>,
    /// When the managed certificate is due for renewal, also when that is past.
    pub renewal_at: Option<Timestamp>,
    /// Why the managed certificate would be replaced.
    pub objection: Option<&'static str>,
    pub knows_ca: bool,
    pub credentials: Option<Credentials>,
    pub token_keys: Option<TokenKeys>,
    /// Objects that are not there, or not readable: kind and name.
    pub missing: Vec<String>,
}

/// `children` are the Registry's own.
pub fn existing(registry: &ValidatedRegistry, children: &Children, now: Timestamp) -> Existing {
    let names = &registry.names;
    let credentials = data(children.credentials.as_ref(), Credentials::from_secret_data);
    let token_keys = data(children.token_keys.as_ref(), TokenKeys::from_secret_data);
    let mut found = certificate(registry, children, now);
    let mut note = |is_missing: bool, kind: &str, name: String| {
        if is_missing {
            found.missing.push(format!("{kind} {name}"));
        }
    };
    let publishes_ca = match &registry.tls {
        Tls::Managed(_) => true,
        Tls::Users(certificate) => certificate.ca_pem.is_some(),
        Tls::Mounted { .. } => false,
    };
    let (services, pods) = (names.service(), names.headless_service());
    note(children.service.is_none(), "Service", services);
    note(children.headless_service.is_none(), "Service", pods);
    let account = children.service_account.is_none();
    note(account, "ServiceAccount", names.service_account());
    let ca = publishes_ca && children.ca_config_map.is_none();
    note(ca, "ConfigMap", names.ca_config_map());
    note(children.admin.is_none(), "Secret", names.admin_secret());
    note(children.users.is_none(), "Secret", names.users_secret());
    note(children.push.is_none(), "Secret", names.push_secret());
    note(children.pull.is_none(), "Secret", names.pull_secret());
    note(credentials.is_none(), "Secret", names.credentials_secret());
    note(token_keys.is_none(), "Secret", names.token_keys_secret());
    Existing {
        credentials,
        token_keys,
        ..found
    }
}

fn certificate(registry: &ValidatedRegistry, children: &Children, now: Timestamp) -> Existing {
    let managed = match &registry.tls {
        Tls::Managed(managed) => managed,
        Tls::Users(certificate) => {
            return Existing {
                serving: Some(certificate.facts.clone()),
                knows_ca: certificate.ca_pem.is_some(),
                ..Existing::default()
            };
        }
        Tls::Mounted { .. } => {
            return Existing {
                knows_ca: children.published_ca().is_some(),
                ..Existing::default()
            };
        }
    };
    let mut found = Existing {
        knows_ca: children.published_ca().is_some(),
        ..Existing::default()
    };
    let authority = children.ca_key.as_deref().and_then(authority::read);
    if authority.is_none() {
        let name = registry.names.ca_key_secret();
        found.missing.push(format!("Secret {name}"));
    }
    let leaf = children
        .tls
        .as_deref()
        .and_then(|secret| pair(secret, "tls.crt", "tls.key"));
    let Some((leaf, facts)) = leaf else {
        let name = registry.names.tls_secret();
        found.missing.push(format!("Secret {name}"));
        return found;
    };
    // A Service that is gone says nothing about addresses.
    let addresses = match children.service {
        Some(_) => children.cluster_ips(),
        None => addresses(children),
    };
    let wanted = serving::Wanted::new(registry, managed, &addresses);
    found.renewal_at = Some(wanted.renewal_of(&facts, authority.as_ref()));
    found.objection = authority.and_then(|authority| wanted.objection(&facts, &authority, &leaf, now));
    found.serving = Some(facts);
    found
}

fn data<T, E>(
    secret: Option<&Arc<Secret>>,
    read: impl FnOnce(&std::collections::BTreeMap<String, k8s_openapi::ByteString>) -> Result<T, E>,
) -> Option<T> {
    read(secret?.data.as_ref()?).ok()
}

#[cfg(test)]
mod tests;
