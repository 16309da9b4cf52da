//! The administration listener (mutual TLS): what is in force, as JSON. Shared state in, one page out.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::app::App;

/// What `GET /v1/status` answers. Whoever mounts new files sees here when they are in force.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version: &'static str,
    /// Whether the store refuses writes.
    read_only: bool,
    /// SHA-256 of the users file in force.
    users_sha256: Option<String>,
    /// Serial number of the public listener's certificate.
    certificate_serial: Option<String>,
    /// Ids of the keys that verify tokens.
    token_keys: Vec<String>,
    /// Id of the key that signs them.
    active_token_key: Option<String>,
}

/// The router of the administration listener.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route("/v1/status", get(move || async move { Json(status(&app)) }))
}

fn status(app: &App) -> Status {
    let keys = app
        .auth
        .as_ref()
        .and_then(|auth| auth.tokens.as_ref())
        .map(|tokens| tokens.keys.current());
    Status {
        version: env!("CARGO_PKG_VERSION"),
        read_only: app.store.read_only().is_some(),
        users_sha256: app
            .auth
            .as_ref()
            .map(|auth| auth.users.current().file_sha256.clone()),
        certificate_serial: app.tls.as_ref().map(|tls| tls.current().serial.clone()),
        token_keys: keys.as_ref().map(|keys| keys.ids()).unwrap_or_default(),
        active_token_key: keys.as_ref().map(|keys| keys.active().0.to_owned()),
    }
}
