//! The listener for probes and metrics: plain HTTP, nothing secret. The store and the numbers in, three pages out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::{Metrics, StorageNumbers};
use crate::store::Store;

/// What the pages are made of.
#[derive(Clone, Debug)]
pub struct Health {
    /// Asked whether it answers.
    pub store: Store,
    /// Shown.
    pub metrics: Metrics,
    /// Set once a stop has begun: no new clients, please.
    pub draining: Arc<AtomicBool>,
}

/// `/healthz` (the process answers), `/readyz` (clients may come), `/metrics`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// A read-only store is ready: it serves pulls.
async fn ready(State(health): State<Health>) -> Response {
    if health.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match health.store.health().await {
        Ok(()) => "ready\n".into_response(),
        Err(fault) => {
            tracing::warn!("not ready: {}", crate::error_chain(&fault));
            (StatusCode::SERVICE_UNAVAILABLE, "the volume does not answer\n").into_response()
        }
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    if let Ok(stats) = health.store.stats().await {
        health.metrics.observe_storage(StorageNumbers {
            read_only: stats.read_only.is_some(),
            open_uploads: stats.open_uploads,
            total_bytes: stats.total_bytes,
            available_bytes: stats.available_bytes,
            total_inodes: stats.total_inodes,
            available_inodes: stats.available_inodes,
            reserve_held: stats.reserve.is_held,
        });
    }
    let scrub = health.store.scrub_status();
    let finished = scrub.last_finished_at.map(jiff::Timestamp::as_second);
    health
        .metrics
        .observe_scrub(scrub.damaged, scrub.unreadable, finished);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}
