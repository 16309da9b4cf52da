//! Administration: what is in force, garbage collection and holds, as JSON. Shared state in, answers out.
//!
//! The same pages on two doors: a listener that asks for a client certificate, and a socket in the volume's directory.

mod collections;
mod status;

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::json;

use crate::app::App;
use crate::error_chain;
use crate::store::{Fault, HoldError};

pub use collections::{CollectRequest, Collections, Line};
pub use status::{CollectionStatus, RunningCollection, Status, VolumeStatus};

/// What the pages are made of.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Shown.
    pub app: Arc<App>,
    /// Runs of the garbage collection.
    pub collections: Collections,
}

/// The router of both doors.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/v1/status", get(show_status))
        .route("/v1/gc", post(collect))
        .route("/v1/holds", get(holds))
        .route("/v1/holds/{name}", put(hold).delete(release))
        .with_state(admin)
}

async fn show_status(State(admin): State<Admin>) -> Json<Status> {
    Json(status::of(&admin).await)
}

/// The answer grows while the run goes on; a client that leaves does not stop it.
async fn collect(
    State(admin): State<Admin>,
    request: Result<Json<CollectRequest>, JsonRejection>,
) -> Response {
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => return refusal(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    match admin.collections.start(request.into()) {
        Ok(lines) => {
            let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
            (kind, axum::body::Body::from_stream(lines)).into_response()
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error_chain(&error)),
    }
}

async fn holds(State(admin): State<Admin>) -> Response {
    match admin.app.store.holds().await {
        Ok(holds) => Json(json!({"holds": holds})).into_response(),
        Err(fault) => refusal(status_of(&fault), &error_chain(&fault)),
    }
}

async fn hold(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    match admin.app.store.hold(&name).await {
        Ok(()) => Json(json!({"hold": name})).into_response(),
        Err(error) => hold_refusal(&error),
    }
}

async fn release(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    match admin.app.store.release(&name).await {
        Ok(true) => Json(json!({"released": name})).into_response(),
        Ok(false) => refusal(
            StatusCode::NOT_FOUND,
            &format!("there is no hold \"{name}\"; list them with `portolan-registry admin holds`"),
        ),
        Err(error) => hold_refusal(&error),
    }
}

fn hold_refusal(error: &HoldError) -> Response {
    let status = match error {
        HoldError::Fault(fault) => status_of(fault),
        HoldError::Name { .. } => StatusCode::BAD_REQUEST,
    };
    refusal(status, &error_chain(error))
}

fn status_of(fault: &Fault) -> StatusCode {
    match fault {
        Fault::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Fault::ReadOnly { .. } | Fault::Closed => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Io { .. } | Fault::Damaged { .. } | Fault::NotAllowed { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn refusal(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({"error": sentence}))).into_response()
}
