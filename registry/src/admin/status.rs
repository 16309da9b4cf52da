//! The status page: shared state in, one value out that serializes to JSON and back. Whoever mounts new files sees here
//! when they are in force, and whoever cares for the volume how it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error_chain;
use crate::store::{CollectProgress, CollectReport, ScrubStatus};

use super::Admin;

/// What `GET /v1/status` answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub version: String,
    /// Whether the store refuses writes.
    pub read_only: bool,
    /// Why, and what to do about it.
    #[serde(default)]
    pub read_only_reason: Option<String>,
    /// SHA-256 of the users file in force.
    pub users_sha256: Option<String>,
    /// Serial number of the public listener's certificate.
    pub certificate_serial: Option<String>,
    /// Ids of the keys that verify tokens.
    pub token_keys: Vec<String>,
    /// Id of the key that signs them.
    pub active_token_key: Option<String>,
    /// How full the volume is; absent when it does not answer.
    #[serde(default)]
    pub volume: Option<VolumeStatus>,
    /// Why something is absent that should be here.
    #[serde(default)]
    pub problem: Option<String>,
    /// What keeps garbage collection from removing anything.
    #[serde(default)]
    pub holds: Vec<String>,
    /// Garbage collection.
    #[serde(default)]
    pub collection: CollectionStatus,
    /// Where reading stored bytes again is.
    #[serde(default)]
    pub scrub: ScrubStatus,
}

/// How full the volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeStatus {
    pub total_bytes: u64,
    pub available_bytes: u64,
    pub total_inodes: u64,
    pub available_inodes: u64,
    /// What is kept free for deletes and garbage collection; 0: nothing is.
    #[serde(default)]
    pub reserve_bytes: u64,
    /// False while they use it, and pushes are refused.
    #[serde(default)]
    pub reserve_held: bool,
    pub open_uploads: u64,
}

/// Garbage collection, since this process was started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionStatus {
    /// The run that goes on now.
    pub running: Option<RunningCollection>,
    /// What the last one that ended has done.
    pub last: Option<CollectReport>,
}

/// A run that goes on now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningCollection {
    pub started_at: Timestamp,
    #[serde(flatten)]
    pub progress: CollectProgress,
}

pub(super) async fn of(admin: &Admin) -> Status {
    let app = &admin.app;
    let keys = app
        .auth
        .as_ref()
        .and_then(|auth| auth.tokens.as_ref())
        .map(|tokens| tokens.keys.current());
    let (stats, holds) = (app.store.stats().await, app.store.holds().await);
    let problem = stats.as_ref().err().or(holds.as_ref().err());
    let read_only = app.store.read_only();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        read_only: read_only.is_some(),
        read_only_reason: read_only.map(|reason| reason.to_string()),
        users_sha256: app
            .auth
            .as_ref()
            .map(|auth| auth.users.current().file_sha256.clone()),
        certificate_serial: app.tls.as_ref().map(|tls| tls.current().serial.clone()),
        token_keys: keys.as_ref().map(|keys| keys.ids()).unwrap_or_default(),
        active_token_key: keys.as_ref().map(|keys| keys.active().0.to_owned()),
        problem: problem.map(|fault| error_chain(fault)),
        volume: stats.ok().map(|stats| VolumeStatus {
            total_bytes: stats.total_bytes,
            available_bytes: stats.available_bytes,
            total_inodes: stats.total_inodes,
            available_inodes: stats.available_inodes,
            reserve_bytes: stats.reserve.bytes,
            reserve_held: stats.reserve.is_held,
            open_uploads: stats.open_uploads,
        }),
        holds: holds.unwrap_or_default(),
        collection: CollectionStatus {
            running: admin.collections.running(),
            last: app.store.last_collection(),
        },
        scrub: app.store.scrub_status(),
    }
}
