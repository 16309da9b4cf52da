//! The HTTP endpoint for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. In: the monitor of the watches
//! and the metrics. Out: answers. None of them depends on leadership or on another service.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::Metrics;
use crate::streams::Monitor;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the endpoint reads.
#[derive(Clone, Debug)]
pub struct Admin {
    /// All watches of the process.
    pub monitor: Monitor,
    /// All metrics of the process.
    pub metrics: Arc<Metrics>,
}

/// The three routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Fails when a watch has stopped moving: only a restart helps then.
async fn livez(State(admin): State<Admin>) -> Response {
    verdict("these watches do not move", &admin.monitor.stuck())
}

/// Fails until every watch has its first list. A process that waits for leadership has no watch and is ready to.
async fn readyz(State(admin): State<Admin>) -> Response {
    verdict(
        "these watches have no first list yet",
        &admin.monitor.missing_first_lists(),
    )
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "cannot render the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn verdict(problem: &str, resources: &[String]) -> Response {
    if resources.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{problem}: {}\n", resources.join(", ")),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use jiff::Timestamp;
    use kube::runtime::watcher;
    use tower::ServiceExt as _;

    use super::*;

    fn admin(now: fn() -> Timestamp) -> Admin {
        let metrics = Arc::new(Metrics::new("0.1.0"));
        Admin {
            monitor: Monitor::new(Arc::clone(&metrics), now),
            metrics,
        }
    }

    async fn answer(admin: &Admin, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(admin.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn process_that_waits_for_leadership_is_ready_and_live() {
        let admin = admin(|| Timestamp::UNIX_EPOCH);
        assert_eq!(
            answer(&admin, "/readyz").await,
            (StatusCode::OK, "ok\n".to_owned())
        );
        assert_eq!(answer(&admin, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn ready_comes_with_the_first_lists() {
        let admin = admin(|| Timestamp::UNIX_EPOCH);
        let events = stream::iter([Ok(watcher::Event::<u8>::Init), Ok(watcher::Event::InitDone)]);
        let mut observed = admin.monitor.observe("pods".to_owned(), events);
        observed.next().await;
        let (status, text) = answer(&admin, "/readyz").await;
        assert_eq!(
            (status, text.contains("pods")),
            (StatusCode::SERVICE_UNAVAILABLE, true)
        );
        observed.next().await;
        assert_eq!(answer(&admin, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn stuck_watch_ends_liveness() {
        use std::sync::atomic::{AtomicI64, Ordering};
        static NOW: AtomicI64 = AtomicI64::new(1_700_000_000);
        let admin = admin(|| Timestamp::from_second(NOW.load(Ordering::Relaxed)).unwrap());
        let _observed = admin.monitor.observe(
            "pods".to_owned(),
            stream::pending::<watcher::Result<watcher::Event<u8>>>(),
        );
        assert_eq!(answer(&admin, "/livez").await.0, StatusCode::OK);
        NOW.fetch_add(3600, Ordering::Relaxed);
        assert_eq!(answer(&admin, "/livez").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let (status, text) = answer(&admin(|| Timestamp::UNIX_EPOCH), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
