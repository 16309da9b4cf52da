//! Clients that keep a connection and do nothing with it: each is let go of, and none that waits for its answer is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use hyper::client::conn::http2::{self, SendRequest};
use portolan_registry::reload::Current;
use portolan_registry::server::{self, Deadlines, Serving};
use portolan_registry::tls::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Stream, Target};
use crate::fixture::{Authority, eventually};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_mins(10);
const PATIENT: Deadlines = Deadlines {
    handshake: LONG,
    head: LONG,
    idle: LONG,
    write: LONG,
};

struct Listening {
    target: Target,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `/quick` answers at once, `/slow` takes longer than the short deadlines, `/endless` never ends.
async fn listening(deadlines: Deadlines, authority: Option<&Authority>) -> Listening {
    let endless = || async {
        let piece = Bytes::from(vec![0_u8; 64 << 10]);
        Body::from_stream(futures::stream::repeat(piece).map(Ok::<_, Infallible>))
    };
    let slow = || async {
        tokio::time::sleep(SHORT * 4).await;
        "slow"
    };
    let router = Router::new()
        .route("/quick", get(|| async { "{}" }))
        .route("/slow", get(slow))
        .route("/endless", get(endless));
    let tls = authority.map(|authority| {
        let (certificate, key) = authority.issue(&["registry.test"]);
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes(), None).unwrap();
        Arc::new(Current::new(tls))
    });
    let listener = server::bind("http.address", "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let serving = Serving {
        router,
        tls,
        max_connections: 10,
        connections: prometheus_client::metrics::gauge::Gauge::default(),
        deadlines,
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    tokio::spawn(serving.run(listener));
    let target = Target {
        address,
        host: "registry.test".to_owned(),
        tls: authority.map(|authority| authority.client(None)),
    };
    Listening { target, tasks, stop }
}

/// What comes until the other side closes.
async fn rest(stream: &mut Box<dyn Stream>) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    // how it ends is not the question
    let _ = tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_client_that_says_nothing_after_its_handshake_is_let_go() {
    let authority = Authority::new();
    let deadlines = Deadlines {
        head: SHORT,
        ..PATIENT
    };
    for authority in [None, Some(&authority)] {
        let server = listening(deadlines, authority).await;
        let mut silent = server.target.connect().await.unwrap();
        assert_eq!(rest(&mut silent).await, "");
        // nor is half of HTTP/2's first bytes a request
        let mut half = server.target.connect().await.unwrap();
        half.write_all(b"PRI * HTTP/2.0").await.unwrap();
        half.flush().await.unwrap();
        rest(&mut half).await;
    }
}

async fn http_2(server: &Listening) -> SendRequest<String> {
    let stream = server.target.connect().await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn asking(path: &str) -> http::Request<String> {
    let address = format!("http://registry.test/{path}");
    http::Request::get(address).body(String::new()).unwrap()
}

#[tokio::test]
async fn an_idle_connection_is_let_go_in_http_1_and_http_2() {
    let deadlines = Deadlines {
        idle: SHORT,
        ..PATIENT
    };
    let server = listening(deadlines, None).await;
    let mut idle = server.target.connect().await.unwrap();
    idle.write_all(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200"));

    let mut sender = http_2(&server).await;
    assert_eq!(sender.send_request(asking("quick")).await.unwrap().status(), 200);
    eventually("it is let go", || async { server.tasks.is_empty() }).await;
}

/// P54.
#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    for deadlines in [
        Deadlines {
            write: SHORT,
            ..PATIENT
        },
        Deadlines {
            idle: SHORT,
            ..PATIENT
        },
    ] {
        let server = listening(deadlines, None).await;
        let mut stuck = server.target.connect().await.unwrap();
        stuck
            .write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(stuck.read_u8().await.unwrap(), b'H');
        eventually("it is let go", || async { server.tasks.is_empty() }).await;
    }
}

/// P54.
#[tokio::test]
async fn a_connection_with_an_answer_that_is_not_read_is_let_go_however_busy_it_is() {
    let deadlines = Deadlines {
        idle: SHORT,
        ..PATIENT
    };
    let server = listening(deadlines, None).await;
    let mut sender = http_2(&server).await;
    let unread = sender.send_request(asking("endless")).await.unwrap();
    eventually("it is let go", || {
        let answer = sender.send_request(asking("quick"));
        async { answer.await.is_err() && server.tasks.is_empty() }
    })
    .await;
    drop(unread);
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let deadlines = Deadlines {
        head: SHORT,
        idle: SHORT,
        write: SHORT,
        ..PATIENT
    };
    let server = listening(deadlines, None).await;
    let mut patient = server.target.connect().await.unwrap();
    patient
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut patient).await;
    assert!(answer.ends_with("slow"), "{answer}");
}
