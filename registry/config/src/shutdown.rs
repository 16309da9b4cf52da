//! How a stop is carried out: `shutdown` of config.yaml. Pure data.

use serde::{Deserialize, Serialize};

use crate::Duration;

/// How a stop (SIGTERM, SIGINT) is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long requests in flight may go on before they are cut off. Uploads that are cut off can be resumed.
    pub drain_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(20),
        }
    }
}
