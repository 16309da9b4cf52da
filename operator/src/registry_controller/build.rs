//! Every object that a Registry consists of. In: `ValidatedRegistry`, `Material`, what apply returned for the Services.
//! Out: `Resources<Prepared>`. Pure and infallible: whatever could be wrong was found by validate.

mod config;
mod metadata;
mod network;
mod secret;
mod service_account;
mod stateful_set;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};

use super::material::Material;
use super::validate::{Claim, Storage, ValidatedRegistry};

pub use config::config_yaml;

/// Objects as we want them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {}
/// Objects as the API server returned them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {}

/// What must exist before the rest can be built: the certificate names the Service's addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct Services<S> {
    pub service: Service,
    pub headless_service: Service,
    pub state: PhantomData<S>,
}

/// The rest, in the order in which it is applied: sources of secrets first, what is rendered from them next, then what
/// uses them.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources<S> {
    pub claim: Option<Claim>,
    pub service_account: ServiceAccount,
    /// Both absent where the user brings the certificate.
    pub ca_key: Option<Secret>,
    pub tls: Option<Secret>,
    pub credentials: Secret,
    pub token_keys: Secret,
    pub admin: Secret,
    pub ca_config_map: ConfigMap,
    pub users: Secret,
    pub push: Secret,
    pub pull: Secret,
    pub config: Secret,
    pub stateful_set: StatefulSet,
    pub state: PhantomData<S>,
}

/// Both Services, which need nothing but names.
pub fn build_services(registry: &ValidatedRegistry) -> Services<Prepared> {
    Services {
        service: network::service(registry),
        headless_service: network::headless_service(registry),
        state: PhantomData,
    }
}

/// Everything else.
pub fn build(registry: &ValidatedRegistry, material: &Material) -> Resources<Prepared> {
    let config = secret::config(registry);
    let claim = match &registry.storage {
        Storage::Claim(claim) => Some(claim.clone()),
        Storage::Ephemeral { .. } => None,
    };
    Resources {
        claim,
        service_account: service_account::service_account(registry),
        ca_key: secret::ca_key(registry, material),
        tls: secret::tls(registry, material),
        credentials: secret::credentials(registry, material),
        token_keys: secret::token_keys(registry, material),
        admin: secret::admin(registry, material),
        ca_config_map: secret::ca_config_map(registry, material),
        users: secret::users(registry, material),
        push: secret::login(registry, material, crate::credentials::Account::Push),
        pull: secret::login(registry, material, crate::credentials::Account::Pull),
        stateful_set: stateful_set::stateful_set(registry, &config),
        config,
        state: PhantomData,
    }
}

#[cfg(test)]
mod tests;
