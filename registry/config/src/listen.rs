//! The listeners: `http`, `admin` and `health` of config.yaml. Pure data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Address, yaml};

/// The listener that registry clients use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Http {
    /// Where it listens.
    pub address: Address,
    /// The certificate to serve; absent = plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub tls: Option<ServerTls>,
    /// Names under which clients reach this server, besides those in the certificate, with or without a port. A
    /// client that asks for one of them is sent to the same name for its token; any other is sent to the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where clients reach this server when something before it changes that, as a proxy that ends TLS:
    /// `https://registry.example.com`. All of them are sent there for their tokens.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub external_url: Option<String>,
    /// How many connections may be open at once; for one more, those that are idle give way.
    #[serde(skip_serializing_if = "is_default_connections")]
    pub max_connections: u32,
}

const DEFAULT_CONNECTIONS: u32 = 4096;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_default_connections(connections: &u32) -> bool {
    *connections == DEFAULT_CONNECTIONS
}

impl Default for Http {
    fn default() -> Self {
        Self {
            address: Address::any(5000),
            tls: None,
            hosts: Vec::new(),
            external_url: None,
            max_connections: DEFAULT_CONNECTIONS,
        }
    }
}

/// A certificate with its key. Both files are read again when they change, without a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerTls {
    /// PEM: the certificate, then the intermediate ones.
    pub certificate_file: PathBuf,
    /// PEM: the private key (PKCS#8, SEC1 or PKCS#1).
    pub key_file: PathBuf,
}

/// The administration listener; it is never served without client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admin {
    /// Where it listens.
    #[serde(default = "admin_address")]
    pub address: Address,
    /// Its certificate, and whose clients it trusts.
    pub tls: AdminTls,
}

fn admin_address() -> Address {
    Address::any(5001)
}

/// Mutual TLS: as [`ServerTls`], and the authority that must have signed a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminTls {
    /// PEM: the certificate, then the intermediate ones.
    pub certificate_file: PathBuf,
    /// PEM: the private key.
    pub key_file: PathBuf,
    /// PEM: the authorities whose client certificates are let in.
    pub client_ca_file: PathBuf,
}

/// The listener for probes and metrics; plain HTTP, no credentials, nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Health {
    /// Where it listens.
    pub address: Address,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            address: Address::any(5002),
        }
    }
}
