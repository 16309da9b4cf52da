//! The server's configuration file, by the same types that the server parses. In: `ValidatedRegistry`. Out: YAML. Pure.
//! Only what needs a restart is in it; users, keys and certificates are files of their own that the server re-reads.

use portolan_config::{
    Address, Admin, AdminTls, Auth, Config, Health, Http, Log, LogFormat, LogLevel, ServerTls, Shutdown,
    Storage, Token, Volume,
};

use super::stateful_set::{ADMIN_PORT, HEALTH_PORT, REGISTRY_PORT};
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) const CONFIG_DIRECTORY: &str = "/etc/portolan/config";
pub(super) const TLS_DIRECTORY: &str = "/etc/portolan/tls";
pub(super) const USERS_DIRECTORY: &str = "/etc/portolan/users";
pub(super) const TOKEN_KEYS_DIRECTORY: &str = "/etc/portolan/token-keys";
pub(super) const ADMIN_DIRECTORY: &str = "/etc/portolan/admin";
pub(super) const DATA_DIRECTORY: &str = "/var/lib/registry";
/// How long requests in flight may take when a pod stops.
pub(super) const DRAIN_SECONDS: u16 = 20;
const TOKEN_LIFETIME_SECONDS: u64 = 300;

/// The text of `config.yaml` by template revision 1. It must never change: another text restarts every registry.
pub fn config_yaml(registry: &ValidatedRegistry) -> String {
    let file = |directory: &str, name: &str| format!("{directory}/{name}").into();
    let config = Config {
        http: Http {
            address: any(REGISTRY_PORT),
            tls: Some(ServerTls {
                certificate_file: file(TLS_DIRECTORY, "tls.crt"),
                key_file: file(TLS_DIRECTORY, "tls.key"),
            }),
            hosts: registry
                .hosts()
                .iter()
                .map(|host| registry.expose.with_port(host))
                .collect(),
            ..Http::default()
        },
        admin: Some(Admin {
            address: any(ADMIN_PORT),
            tls: AdminTls {
                certificate_file: file(ADMIN_DIRECTORY, "tls.crt"),
                key_file: file(ADMIN_DIRECTORY, "tls.key"),
                client_ca_file: file(ADMIN_DIRECTORY, "ca.crt"),
            },
        }),
        health: Some(Health {
            address: any(HEALTH_PORT),
        }),
        storage: Storage {
            delete_enabled: true,
            volume: Volume {
                path: DATA_DIRECTORY.into(),
                ..Volume::default()
            },
            ..Storage::default()
        },
        auth: Some(Auth {
            users_file: file(USERS_DIRECTORY, "users.yaml"),
            token: Some(Token {
                keys_directory: TOKEN_KEYS_DIRECTORY.into(),
                service: registry.names.internal_host(),
                lifetime: portolan_config::Duration::from_secs(TOKEN_LIFETIME_SECONDS),
            }),
        }),
        log: Log {
            level: level(registry),
            format: LogFormat::Json,
        },
        shutdown: Shutdown {
            drain_timeout: portolan_config::Duration::from_secs(DRAIN_SECONDS.into()),
        },
        ..Config::default()
    };
    config.to_yaml()
}

fn any(port: i32) -> Address {
    Address::any(u16::try_from(port).unwrap_or_default())
}

fn level(registry: &ValidatedRegistry) -> LogLevel {
    use portolan_crds::v1alpha1::LogLevel as Chosen;
    match registry.pod.log_level.unwrap_or_default() {
        Chosen::Error => LogLevel::Error,
        Chosen::Warn => LogLevel::Warn,
        Chosen::Info => LogLevel::Info,
        Chosen::Debug => LogLevel::Debug,
        Chosen::Trace => LogLevel::Trace,
    }
}
