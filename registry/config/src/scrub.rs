//! Whether stored bytes are looked after: `scrub` of config.yaml. Pure data.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::Duration;

/// How stored bytes are read again and compared with their digests while the registry serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scrub {
    /// From the end of one pass to the next. 0 = never.
    pub interval: Duration,
    /// How fast at most, so that clients do not notice.
    pub bytes_per_second: NonZeroU64,
}

const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const EIGHT_MEBIBYTES: NonZeroU64 = NonZeroU64::new(8 << 20).expect("is not zero");

impl Default for Scrub {
    fn default() -> Self {
        Self {
            interval: THIRTY_DAYS,
            bytes_per_second: EIGHT_MEBIBYTES,
        }
    }
}

impl Scrub {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
