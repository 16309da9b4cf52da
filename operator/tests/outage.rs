//! An API server that refuses one kind for a while: a small HTTP server on loopback, no cluster. That watch backs off by
//! itself, the others go on, and it recovers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use kube::{Client, Config};
use portolan_operator::kube_api;
use portolan_operator::metrics::Metrics;
use portolan_operator::streams::{self, Monitor, Scope};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the server does to requests for Services.
#[derive(Default)]
struct Outage {
    is_over: AtomicBool,
    requests: AtomicUsize,
    arrived: Notify,
}

async fn answer(State(outage): State<Arc<Outage>>, request: Request) -> Response {
    let is_service = request.uri().path().ends_with("/services");
    if is_service && !outage.is_over.load(Ordering::SeqCst) {
        // What a client may take for an invitation to ask again a few times within milliseconds.
        outage.requests.fetch_add(1, Ordering::SeqCst);
        outage.arrived.notify_one();
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 503,
            "reason": "ServiceUnavailable", "message": "out of order"});
        return (StatusCode::SERVICE_UNAVAILABLE, status.to_string()).into_response();
    }
    if request.uri().query().unwrap_or_default().contains("watch=true") {
        return std::future::pending().await;
    }
    let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
    list.to_string().into_response()
}

/// The server, and the program's own client of it.
async fn start() -> (Arc<Outage>, Client) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outage = Arc::new(Outage::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&outage));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = Config::new(url.parse().unwrap());
    let client = kube_api::build(config, Arc::new(Metrics::new("0.1.0"))).unwrap();
    (outage, client)
}

#[tokio::test]
async fn request_that_is_refused_is_left_to_the_back_off_of_its_caller() {
    let (outage, client) = start().await;
    let services = Api::<Service>::namespaced(client, "team-a");
    let refused = services.list(&ListParams::default()).await.unwrap_err();
    let kube::Error::Api(status) = refused else {
        panic!("{refused}")
    };
    assert_eq!(status.code, 503);
    assert_eq!(outage.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn watch_that_is_refused_backs_off_alone_and_recovers() {
    let (outage, client) = start().await;
    let monitor = Monitor::new(Arc::new(Metrics::new("0.1.0")), || Timestamp::UNIX_EPOCH);
    let streams = streams::open(&client, &Scope::Cluster, &monitor);
    let began = Instant::now();
    let limit = Duration::from_secs(30);
    tokio::spawn(streams.services.stream.for_each(async |_| ()));
    tokio::spawn(streams.pods.stream.for_each(async |_| ()));

    // Another kind has its first list although this one has none.
    let pods = streams.pods.store;
    tokio::time::timeout(limit, pods.wait_until_ready())
        .await
        .unwrap()
        .unwrap();
    tokio::time::timeout(limit, async {
        while outage.requests.load(Ordering::SeqCst) < 3 {
            outage.arrived.notified().await;
        }
    })
    .await
    .unwrap();
    // At least 800 ms after the first refusal and twice that after the second.
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(2_400),
        "three requests in {waited:?}"
    );

    outage.is_over.store(true, Ordering::SeqCst);
    let services = streams.services.store;
    tokio::time::timeout(limit, services.wait_until_ready())
        .await
        .unwrap()
        .unwrap();
}
