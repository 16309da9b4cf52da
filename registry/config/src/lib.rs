//! The files that configure portolan-registry, as types: `config.yaml` ([`Config`]) and `users.yaml` ([`Users`]).
//! Text comes in, checked values go out, and the other way round for whoever renders the files. Pure: nothing here
//! opens a file, so that the server and anything that writes its configuration share one meaning of each key.
//!
//! Unknown keys are refused with their line. [`Config::parse`] and [`Users::parse`] also apply the rules that span
//! several keys; a value built in code is checked by the same rules through `validate`.
#![warn(missing_docs)]

mod address;
mod auth;
mod content;
mod duration;
mod explain;
mod glob;
mod listen;
mod log;
mod scrub;
mod shutdown;
mod storage;
mod users;
mod validate;
mod yaml;

use serde::{Deserialize, Serialize};

pub use address::{Address, AddressError};
pub use auth::{Auth, Token};
pub use content::{Manifests, Missing, Uploads};
pub use duration::{Duration, DurationError};
pub use glob::{Glob, GlobError};
pub use listen::{Admin, AdminTls, Health, Http, ServerTls};
pub use log::{Log, LogFormat, LogLevel};
pub use scrub::Scrub;
pub use shutdown::Shutdown;
pub use storage::{Storage, Volume};
pub use users::{Action, Permission, User, Users, password_sha256};
pub use validate::Invalid;
pub use yaml::FileError;

/// Everything `config.yaml` can say. Every section may be left out; the defaults serve plain HTTP on port 5000 over
/// `/var/lib/registry` to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// The listener that registry clients use.
    pub http: Http,
    /// A listener for administration, open only to holders of a client certificate. Absent = none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub admin: Option<Admin>,
    /// A plain HTTP listener for `/healthz`, `/readyz` and `/metrics`. Absent = none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub health: Option<Health>,
    /// Where the images are, and what may be done to them.
    pub storage: Storage,
    /// What becomes of manifests that name content which is not there.
    #[serde(skip_serializing_if = "Manifests::is_default")]
    pub manifests: Manifests,
    /// How blobs may be uploaded.
    #[serde(skip_serializing_if = "Uploads::is_default")]
    pub uploads: Uploads,
    /// Whether stored bytes are looked after.
    #[serde(skip_serializing_if = "Scrub::is_default")]
    pub scrub: Scrub,
    /// Who may do what. Absent = everybody may do everything.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "yaml::present")]
    pub auth: Option<Auth>,
    /// What is logged, and how.
    pub log: Log,
    /// How a stop is carried out.
    pub shutdown: Shutdown,
}

impl Config {
    /// The configuration that stands in for a missing file: as the defaults, but nothing can be deleted, which is
    /// what `registry:2` does with its own defaults.
    pub fn standalone() -> Self {
        let mut config = Self::default();
        config.storage.delete_enabled = false;
        config
    }

    /// Reads the text of `config.yaml` and applies every rule. An empty text is the default configuration.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let config: Self = if yaml::is_blank(text) {
            Self::default()
        } else {
            yaml::parse(text)?
        };
        config.validate().map_err(FileError::Invalid)?;
        Ok(config)
    }

    /// Applies the rules that no single key's type can hold; all problems are reported at once.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate::config(self)
    }

    /// The text of `config.yaml`; reading it back gives an equal value, and equal values give equal text.
    pub fn to_yaml(&self) -> String {
        yaml::render(self)
    }
}

#[cfg(test)]
mod tests;
