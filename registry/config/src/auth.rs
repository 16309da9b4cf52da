//! Who may do what: `auth` of config.yaml. Pure data; the users themselves are in a file of their own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Duration, yaml};

/// Access control. Its presence means that nothing is allowed but what `usersFile` grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// The file of users and their permissions ([`crate::Users`]); read again when it changes.
    pub users_file: PathBuf,
    /// The built-in token service; absent = clients are challenged for Basic credentials only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "yaml::present"
    )]
    pub token: Option<Token>,
}

/// The built-in token service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// A directory with a file `active` (the id of the key that signs) and `<id>.pem` files (PKCS#8, P-256). Every
    /// key verifies, so that a new one can be handed out before it signs; read again when it changes.
    pub keys_directory: PathBuf,
    /// What the tokens are for: their audience, and `service` in the challenge.
    pub service: String,
    /// How long a token is good for, at least a minute.
    #[serde(default = "default_lifetime")]
    pub lifetime: Duration,
}

fn default_lifetime() -> Duration {
    Duration::from_secs(300)
}
