//! What is mounted where: images, configuration, and Secrets as whole directories, which the kubelet can renew while
//! the pod runs. Pure; part of template revision 1.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::registry_controller::build::config::{
    ADMIN_DIRECTORY, CONFIG_DIRECTORY, DATA_DIRECTORY, TLS_DIRECTORY, TOKEN_KEYS_DIRECTORY, USERS_DIRECTORY,
};
use crate::registry_controller::validate::{Storage, TLS_VOLUME, Tls, ValidatedRegistry};

/// Readable for the pod's group only.
const MODE: i32 = 0o440;

pub(super) fn volumes(registry: &ValidatedRegistry, config_secret: &str) -> Vec<Volume> {
    let names = &registry.names;
    let tls_secret = match &registry.tls {
        Tls::Managed(_) => names.tls_secret(),
        Tls::Users(certificate) => certificate.secret_name.clone(),
        Tls::Mounted { secret_name } => secret_name.clone(),
    };
    vec![
        data(&registry.storage),
        secret("config", config_secret.to_owned(), &["config.yaml"]),
        secret(TLS_VOLUME, tls_secret, &["tls.crt", "tls.key"]),
        secret("users", names.users_secret(), &["users.yaml"]),
        secret("token-keys", names.token_keys_secret(), &[]),
        // Not the operator's side of the connection, and not the authority's key.
        secret("admin", names.admin_secret(), &["ca.crt", "tls.crt", "tls.key"]),
    ]
}

pub(super) fn mounts() -> Vec<VolumeMount> {
    let read_only = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    vec![
        VolumeMount {
            name: "data".to_owned(),
            mount_path: DATA_DIRECTORY.to_owned(),
            ..VolumeMount::default()
        },
        read_only("config", CONFIG_DIRECTORY),
        read_only("tls", TLS_DIRECTORY),
        read_only("users", USERS_DIRECTORY),
        read_only("token-keys", TOKEN_KEYS_DIRECTORY),
        read_only("admin", ADMIN_DIRECTORY),
    ]
}

fn data(storage: &Storage) -> Volume {
    let mut volume = Volume {
        name: "data".to_owned(),
        ..Volume::default()
    };
    match storage {
        Storage::Claim(claim) => {
            volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.name.clone(),
                read_only: None,
            });
        }
        Storage::Ephemeral { size_limit } => {
            let size_limit = size_limit.clone().map(Quantity);
            volume.empty_dir = Some(EmptyDirVolumeSource {
                size_limit,
                ..EmptyDirVolumeSource::default()
            });
        }
    }
    volume
}

/// All keys of the Secret where none is named.
fn secret(name: &str, secret_name: String, keys: &[&str]) -> Volume {
    let items: Vec<_> = keys
        .iter()
        .map(|key| KeyToPath {
            key: (*key).to_owned(),
            path: (*key).to_owned(),
            ..KeyToPath::default()
        })
        .collect();
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret_name),
            default_mode: Some(MODE),
            items: (!items.is_empty()).then_some(items),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
