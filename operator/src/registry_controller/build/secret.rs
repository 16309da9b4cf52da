//! Secrets and the `ConfigMap` with the CA. In: `Material`, which holds everything private. Out: objects. Pure.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::config::config_yaml;
use super::metadata;
use crate::credentials::Account;
use crate::digest;
use crate::labels::{Labels, USED_CLAIM};
use crate::registry_controller::material::Material;
use crate::registry_controller::validate::{Storage, ValidatedRegistry};

const OPAQUE: &str = "Opaque";

type Data = BTreeMap<String, ByteString>;

fn data<const N: usize>(pairs: [(&str, &str); N]) -> Data {
    pairs
        .into_iter()
        .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
        .collect()
}

/// What the `StatefulSet` and R-credentials remember about the claim, so that its loss is noticed even when one of them
/// is lost too.
pub(super) fn claim_memory(registry: &ValidatedRegistry) -> Option<(String, String)> {
    match &registry.storage {
        Storage::Claim(claim) => claim.memory.clone().map(|memory| (USED_CLAIM.to_owned(), memory)),
        Storage::Ephemeral { .. } => None,
    }
}

pub(super) fn ca_key(registry: &ValidatedRegistry, material: &Material) -> Option<Secret> {
    let authority = material.authority.as_ref()?;
    let current = &authority.current;
    let mut content = data([("ca.crt", &current.certificate_pem), ("ca.key", &current.key_pem)]);
    if !authority.previous_pem.is_empty() {
        content.extend(data([("previous.crt", &authority.previous_pem)]));
    }
    Some(metadata::secret(
        registry,
        registry.names.ca_key_secret(),
        OPAQUE,
        content,
    ))
}

pub(super) fn tls(registry: &ValidatedRegistry, material: &Material) -> Option<Secret> {
    let leaf = material.leaf.as_ref()?;
    let mut content = data([("tls.crt", &leaf.certificate_pem), ("tls.key", &leaf.key_pem)]);
    content.extend(ca(material));
    Some(metadata::secret(
        registry,
        registry.names.tls_secret(),
        "kubernetes.io/tls",
        content,
    ))
}

/// For clients; without a key where the user's certificate comes from an authority that everybody knows.
pub(super) fn ca_config_map(registry: &ValidatedRegistry, material: &Material) -> ConfigMap {
    let bundle = material.ca_bundle.as_ref();
    ConfigMap {
        metadata: metadata::child(registry, registry.names.ca_config_map()),
        data: bundle.map(|bundle| BTreeMap::from([("ca.crt".to_owned(), bundle.clone())])),
        ..ConfigMap::default()
    }
}

pub(super) fn credentials(registry: &ValidatedRegistry, material: &Material) -> Secret {
    let name = registry.names.credentials_secret();
    let mut secret = metadata::secret(registry, name, OPAQUE, material.credentials.to_secret_data());
    secret.metadata.annotations = claim_memory(registry).map(|memory| Labels::from([memory]));
    secret
}

pub(super) fn users(registry: &ValidatedRegistry, material: &Material) -> Secret {
    let content = data([("users.yaml", &material.credentials.users_yaml())]);
    metadata::secret(registry, registry.names.users_secret(), OPAQUE, content)
}

pub(super) fn token_keys(registry: &ValidatedRegistry, material: &Material) -> Secret {
    let name = registry.names.token_keys_secret();
    metadata::secret(registry, name, OPAQUE, material.token_keys.to_secret_data())
}

/// Both sides of the admin connection; pods get only the server's files.
pub(super) fn admin(registry: &ValidatedRegistry, material: &Material) -> Secret {
    let admin = &material.admin;
    let content = data([
        ("ca.crt", &admin.authority.certificate_pem),
        ("ca.key", &admin.authority.key_pem),
        ("tls.crt", &admin.server.certificate_pem),
        ("tls.key", &admin.server.key_pem),
        ("client.crt", &admin.client.certificate_pem),
        ("client.key", &admin.client.key_pem),
    ]);
    metadata::secret(registry, registry.names.admin_secret(), OPAQUE, content)
}

/// R-push or R-pull, usable as an imagePullSecret, as a docker configuration, and field by field.
pub(super) fn login(registry: &ValidatedRegistry, material: &Material, account: Account) -> Secret {
    let hosts: Vec<String> = registry
        .hosts()
        .iter()
        .map(|host| registry.expose.with_port(host))
        .collect();
    let mut content = data([
        (
            ".dockerconfigjson",
            &material.credentials.docker_config_json(account, &hosts),
        ),
        ("registry", &registry.endpoint()),
        ("username", account.user_name()),
        ("password", material.credentials.active_password(account).expose()),
    ]);
    content.extend(ca(material));
    let name = match account {
        Account::Push => registry.names.push_secret(),
        Account::Pull => registry.names.pull_secret(),
    };
    metadata::secret(registry, name, "kubernetes.io/dockerconfigjson", content)
}

/// Named after its content: another configuration is another Secret, and pods that still run keep theirs.
pub(super) fn config(registry: &ValidatedRegistry) -> Secret {
    let text = config_yaml(registry);
    let hash = digest::short_sha256(&text, 5);
    let mut secret = metadata::secret(
        registry,
        registry.names.config_secret(&hash),
        OPAQUE,
        data([("config.yaml", &text)]),
    );
    secret.immutable = Some(true);
    secret
}

fn ca(material: &Material) -> Data {
    material
        .ca_bundle
        .as_ref()
        .map(|bundle| data([("ca.crt", bundle)]))
        .unwrap_or_default()
}
