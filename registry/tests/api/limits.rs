//! What one client may keep of the registry: memory, time and open files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use portolan_oci::{Algorithm, Digest};
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
    store: Store,
    _stop: DropGuard,
    directory: tempfile::TempDir,
}

/// The registry with other limits than usual.
async fn limited(manifests: Buffers) -> Listening {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        path: directory.path().to_owned(),
        volume: VolumeOptions::default(),
        lock_timeout: Duration::from_secs(5),
        upload_idle_timeout: Duration::from_hours(1),
        open_uploads: 1,
        requirements: Requirements::default(),
        clock: Arc::new(|| Timestamp::UNIX_EPOCH.into()),
        random: Arc::new(rand::random),
    };
    let store = Store::open(options).await.unwrap();
    let app = App {
        store: store.clone(),
        auth: None,
        tls: None,
        hosts: Vec::new(),
        external_url: None,
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
        store,
        _stop: stop.drop_guard(),
        directory,
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

/// How many files of uploads are open on a volume.
fn open_uploads(volume: &Path) -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let paths = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let is_upload =
        |path: &PathBuf| path.starts_with(volume) && path.extension().is_some_and(|it| it == "data");
    paths.filter(is_upload).count()
}

#[tokio::test]
async fn an_upload_that_rests_keeps_no_file_open_and_goes_on() {
    let server = limited(Buffers::for_manifests()).await;
    let started = server.target.post("/v2/a/blobs/uploads/").await.expect(202);
    let location = started.header("location");
    let chunk = |body: &'static str| {
        let asking = server.target.asking(Method::PATCH, location);
        asking.body(body).send_owned()
    };
    let volume = server.directory.path().canonicalize().unwrap();
    chunk("hel").await.expect(202);
    server.store.close_resting_uploads().await;
    assert_eq!(open_uploads(&volume), 1, "it has just been written to");
    server.store.close_resting_uploads().await;
    assert_eq!(open_uploads(&volume), 0);
    chunk("lo").await.expect(202);
    let digest = Digest::of(Algorithm::Sha256, b"hello");
    let end = server
        .target
        .asking(Method::PUT, &format!("{location}?digest={digest}"));
    end.send().await.expect(201);
}
