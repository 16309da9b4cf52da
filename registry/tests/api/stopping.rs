//! How the server stops; and half requests, which is what there is to finish.

use std::time::Duration;

use portolan_oci::{Algorithm, Digest};
use portolan_registry::serve::{self, Surroundings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Stream;
use crate::fixture::{eventually, open, started, surroundings};

/// Sends bytes and reads until the other side closes.
pub(crate) async fn exchange(stream: &mut Box<dyn Stream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "no end of the answer: {}",
        String::from_utf8_lossy(&answer)
    );
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes and reads one answer's head.
pub(crate) async fn head_of_answer(stream: &mut Box<dyn Stream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"\r\n\r\n{}") {
            answer.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// P147.
#[tokio::test]
async fn a_registry_whose_volume_does_not_answer_is_not_ready() {
    let registry = open().await;
    let health = registry.health();
    health.get("/readyz").await.expect(200);
    let (volume, away) = (
        registry.directory.path().join("volume"),
        registry.directory.path().join("away"),
    );
    std::fs::rename(&volume, &away).unwrap();
    health.get("/readyz").await.expect(503);
    health.get("/healthz").await.expect(200);
    std::fs::rename(&away, &volume).unwrap();
    health.get("/readyz").await.expect(200);
}

/// P146, P147.
#[tokio::test]
async fn a_request_in_flight_is_finished_while_new_clients_are_turned_away() {
    let mut registry = open().await;
    let health = registry.health();
    health.get("/readyz").await.expect(200);
    let digest = Digest::of(Algorithm::Sha256, b"0123456789");
    let mut stream = registry.connect().await.unwrap();
    let head = format!(
        "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually("the request is in flight", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_requests_in_flight 1\n")
    })
    .await;
    let stopping = tokio::spawn(registry.running.take().unwrap().stop());
    eventually("probes are told", || async {
        health.get("/readyz").await.status == 503
    })
    .await;
    health.get("/healthz").await.expect(200);
    // the listener closes a moment after probes are told
    eventually("new clients are turned away", || async {
        registry.connect().await.is_err()
    })
    .await;
    let answer = exchange(&mut stream, b"56789").await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(stopping.await.unwrap(), "not everything was finished");
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_stop() {
    let mut registry = open().await;
    let mut idle = registry.connect().await.unwrap();
    let answer = head_of_answer(&mut idle, b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let _silent = registry.connect().await.unwrap();
    eventually("both are there", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_connections 2\n")
    })
    .await;
    let stopping = registry.running.take().unwrap().stop();
    assert!(
        tokio::time::timeout(Duration::from_secs(5), stopping)
            .await
            .expect("it stops at once")
    );
}

/// P146.
#[tokio::test]
async fn a_request_that_takes_too_long_is_cut_off() {
    let mut registry = started(|config, _| config.shutdown.drain_timeout = "100ms".parse().unwrap()).await;
    let mut stream = registry.connect().await.unwrap();
    let head = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0";
    stream
        .write_all(
            head.replace(
                "uploads/ ",
                "uploads/?digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ",
            )
            .as_bytes(),
        )
        .await
        .unwrap();
    eventually("the request is in flight", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_requests_in_flight 1\n")
    })
    .await;
    let drained = registry.running.take().unwrap().stop().await;
    assert!(!drained, "it cannot have been finished");
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_restart() {
    let mut registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    registry.running.take().unwrap().stop().await;
    let volume = registry.directory.path().join("volume");
    let again = started(|config, _| config.storage.volume.path = volume).await;
    assert_eq!(
        again.get("/v2/a/manifests/v1").await.expect(200).text(),
        image.text
    );
}

#[tokio::test]
async fn a_volume_is_served_by_one_server_at_a_time() {
    let first = open().await;
    let mut config = portolan_config::Config::default();
    config.http.address = "127.0.0.1:0".parse().unwrap();
    config.storage.volume.path = first.directory.path().join("volume");
    let surroundings = Surroundings {
        lock_timeout: Duration::ZERO,
        ..surroundings()
    };
    let refused = serve::start(&config, surroundings).await.unwrap_err().to_string();
    let path = config.storage.volume.path.to_str().unwrap();
    assert!(
        refused.contains(path)
            && refused.contains(&format!("in use by process {} on host", std::process::id())),
        "{refused}"
    );
}

#[test]
fn a_predecessor_has_the_documented_time_to_go() {
    let documented = include_str!("../../docs/storage.md");
    let sentence = format!(
        "waits for the first to end, {} seconds",
        serve::LOCK_TIMEOUT.as_secs()
    );
    assert!(documented.contains(&sentence), "{sentence}");
}
