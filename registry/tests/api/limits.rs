//! What one client may keep of the registry: memory and time.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use portolan_registry::app::{self, App};
use portolan_registry::buffers::{Buffers, Share};
use portolan_registry::metrics::Metrics;
use portolan_registry::server::{self, Deadlines, Serving};
use portolan_registry::store::{Requirements, Store, StoreOptions, VolumeOptions};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::client::Target;
use crate::fixture::{OCI_MANIFEST, guarded, open};
use crate::stopping::exchange;

struct Listening {
    target: Target,
    _stop: DropGuard,
    _directory: tempfile::TempDir,
}

/// The registry with other limits than usual.
async fn limited(manifests: Buffers) -> Listening {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        path: directory.path().to_owned(),
        volume: VolumeOptions::default(),
        lock_timeout: Duration::from_secs(5),
        upload_idle_timeout: Duration::from_hours(1),
        requirements: Requirements::default(),
        clock: Arc::new(|| Timestamp::UNIX_EPOCH.into()),
        random: Arc::new(rand::random),
    };
    let app = App {
        store: Store::open(options).await.unwrap(),
        auth: None,
        tls: None,
        hosts: Vec::new(),
        delete_enabled: true,
        max_blob_bytes: u64::MAX,
        manifests,
        forms: Buffers::for_forms(),
        metrics: Metrics::new(),
        clock: Arc::new(|| Timestamp::UNIX_EPOCH),
        random: Arc::new(rand::random),
    };
    let listener = server::bind("http.address", "127.0.0.1:0".parse().unwrap());
    let listener = listener.await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = Serving {
        router: app::router(Arc::new(app)),
        tls: None,
        max_connections: 10,
        connections: prometheus_client::metrics::gauge::Gauge::default(),
        deadlines: Deadlines::default(),
        stop: stop.clone(),
        tasks: TaskTracker::new(),
    };
    tokio::spawn(serving.run(listener));
    Listening {
        target: Target {
            address,
            host: address.to_string(),
            tls: None,
        },
        _stop: stop.drop_guard(),
        _directory: directory,
    }
}

/// P84.
#[tokio::test]
async fn a_manifest_that_does_not_come_to_an_end_is_refused() {
    let server = limited(Buffers::new(1000, 1000, Duration::from_millis(200))).await;
    let mut stream = server.target.connect().await.unwrap();
    let request =
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900\r\n\r\n{";
    let answer = exchange(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// P84.
#[tokio::test]
async fn manifests_wait_for_room_in_memory_and_are_told_to_come_again() {
    let buffers = Buffers::new(1000, 1000, Duration::from_millis(200));
    let mut taken = Share::default();
    buffers.grow(&mut taken, 999).await;
    let server = limited(buffers).await;
    let push = || {
        let asking = server.target.asking(Method::PUT, "/v2/a/manifests/v1");
        asking.body("{}").send()
    };
    let refused = push().await.expect(503);
    assert_eq!(
        (refused.code().as_str(), refused.header("retry-after")),
        ("UNAVAILABLE", "5")
    );
    drop(taken);
    assert_eq!(push().await.expect(400).code(), "MANIFEST_INVALID");
}

/// P84.
#[tokio::test]
async fn a_form_has_at_most_8_kib() {
    let registry = guarded().await;
    let post = |length| {
        let form = format!(
            "grant_type=password&username=nobody&password={}",
            "x".repeat(length)
        );
        registry.asking(Method::POST, "/token").body(form).send()
    };
    post(8_000).await.expect(401);
    post(8_192).await.expect(413);
}

#[tokio::test]
async fn a_refusal_repeats_little_of_what_was_sent() {
    let registry = open().await;
    let long = "x".repeat(1 << 20);
    for document in [
        format!("{{\"schemaVersion\":[{}0]}}", "0,".repeat(1 << 19)),
        format!("{{\"schemaVersion\":2,\"mediaType\":\"{long}\"}}"),
        format!("{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{long}:00\"}}}}"),
        format!("{{\"schemaVersion\":2,\"layers\":\"{long}\"}}"),
    ] {
        let asking = registry.asking(Method::PUT, "/v2/a/manifests/v1");
        let asking = asking.header("content-type", OCI_MANIFEST).body(document);
        let refused = asking.send().await.expect(400);
        assert_eq!(refused.code(), "MANIFEST_INVALID");
        assert!(refused.body.len() < 2000, "{}", refused.body.len());
    }
}
