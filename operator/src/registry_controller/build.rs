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
use kube::{Resource, ResourceExt as _};

use super::material::Material;
use super::validate::{Claim, ClaimPlan, Storage, ValidatedRegistry};

pub use config::config_yaml;

/// Objects as we want them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {}
/// Objects as the API server returned them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {}

/// What must exist before the rest can be built: the certificate names the Service's addresses. Absent, here and in
/// `Resources`, is what is withheld.
#[derive(Clone, Debug, PartialEq)]
pub struct Services<S> {
    pub service: Option<Service>,
    pub headless_service: Option<Service>,
    pub state: PhantomData<S>,
}

/// The rest, in the order in which it is applied: sources of secrets first, what is rendered from them next, then what
/// uses them.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources<S> {
    pub claim: Option<Claim>,
    pub service_account: Option<ServiceAccount>,
    /// Both absent also where the user brings the certificate.
    pub ca_key: Option<Secret>,
    pub tls: Option<Secret>,
    pub credentials: Option<Secret>,
    pub token_keys: Option<Secret>,
    pub admin: Option<Secret>,
    pub ca_config_map: Option<ConfigMap>,
    pub users: Option<Secret>,
    pub push: Option<Secret>,
    pub pull: Option<Secret>,
    pub config: Option<Secret>,
    pub stateful_set: Option<StatefulSet>,
    pub state: PhantomData<S>,
}

/// Both Services, which need nothing but names.
pub fn build_services(registry: &ValidatedRegistry) -> Services<Prepared> {
    Services {
        service: unless_withheld(registry, network::service(registry)),
        headless_service: unless_withheld(registry, network::headless_service(registry)),
        state: PhantomData,
    }
}

/// Everything else.
pub fn build(registry: &ValidatedRegistry, material: &Material) -> Resources<Prepared> {
    let config = secret::config(registry);
    let stateful_set = unless_withheld(registry, stateful_set::stateful_set(registry, &config));
    let claim = match &registry.storage {
        Storage::Claim(claim) if claim.plan != ClaimPlan::Leave => Some(claim.clone()),
        Storage::Claim(_) | Storage::Ephemeral { .. } => None,
    };
    let keep = |secret| unless_withheld(registry, secret);
    Resources {
        claim,
        service_account: unless_withheld(registry, service_account::service_account(registry)),
        ca_key: secret::ca_key(registry, material).and_then(keep),
        tls: secret::tls(registry, material).and_then(keep),
        credentials: keep(secret::credentials(registry, material)),
        token_keys: keep(secret::token_keys(registry, material)),
        admin: keep(secret::admin(registry, material)),
        ca_config_map: unless_withheld(registry, secret::ca_config_map(registry, material)),
        users: keep(secret::users(registry, material)),
        push: keep(secret::login(
            registry,
            material,
            crate::credentials::Account::Push,
        )),
        pull: keep(secret::login(
            registry,
            material,
            crate::credentials::Account::Pull,
        )),
        // Only pods of this template would use it.
        config: stateful_set.is_some().then_some(config),
        stateful_set,
        state: PhantomData,
    }
}

fn unless_withheld<K: Resource<DynamicType = ()>>(registry: &ValidatedRegistry, object: K) -> Option<K> {
    let name = object.name_any();
    (!registry.withheld.holds(&K::kind(&()), &name)).then_some(object)
}

#[cfg(test)]
mod tests;
