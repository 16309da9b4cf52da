//! Clients that keep a connection and do nothing with it: each is let go of, and none that waits for its answer is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2::{self, SendRequest};
use portolan_registry::reload::Current;
use portolan_registry::server::{self, Deadlines, Serving};
use portolan_registry::tls::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Stream, Target};
use crate::fixture::{Authority, eventually};
use crate::stopping::head_of_answer;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_mins(10);
const PATIENT: Deadlines = Deadlines {
    handshake: LONG,
    head: LONG,
    idle: LONG,
    write: LONG,
    lull: LONG,
};

/// Idle connections give way at once.
const FULL: Deadlines = Deadlines {
    lull: Duration::ZERO,
    ..PATIENT
};
const QUICK: &[u8] = b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n";
/// More than is on its way to a client that does not read.
const PULLED: usize = 16 << 20;

struct Listening {
    /// `/pull` has begun.
    begun: Arc<Notify>,
    /// It goes on.
    go_on: Arc<Notify>,
    target: Target,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listening(deadlines: Deadlines, authority: Option<&Authority>) -> Listening {
    listening_to(10, deadlines, authority).await
}

/// `/quick` answers at once, `/slow` takes longer than the short deadlines, `/endless` never ends. `/pull` is to be told
/// to go on before its answer, and again before the end of that.
async fn listening_to(
    max_connections: usize,
    deadlines: Deadlines,
    authority: Option<&Authority>,
) -> Listening {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, asks) = (begun.clone(), go_on.clone());
    let pull = || async move {
        told.notify_one();
        asks.notified().await;
        let end = futures::stream::once(async move {
            asks.notified().await;
            Bytes::from("{}")
        });
        let pieces = vec![Bytes::from(vec![0_u8; 64 << 10]); PULLED / (64 << 10)];
        let pieces = futures::stream::iter(pieces).chain(end);
        let length = [(CONTENT_LENGTH, PULLED + 2)];
        (length, Body::from_stream(pieces.map(Ok::<_, Infallible>)))
    };
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
        .route("/endless", get(endless))
        .route("/pull", get(pull));
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
        max_connections,
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
    Listening {
        begun,
        go_on,
        target,
        tasks,
        stop,
    }
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

/// A client that comes, gets its answer and stays.
async fn newcomer(server: &Listening) -> Box<dyn Stream> {
    let mut stream = server.target.connect().await.unwrap();
    let answer = head_of_answer(&mut stream, QUICK).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stream
}

/// When the second comes, the first has been idle for less than any other: that one is asked before it.
async fn two_newcomers(server: &Listening) -> [Box<dyn Stream>; 2] {
    [newcomer(server).await, newcomer(server).await]
}

#[tokio::test]
async fn idle_connections_give_way_to_whoever_wants_in() {
    let server = listening_to(2, FULL, None).await;
    let mut idle = newcomer(&server).await;
    let mut sender = http_2(&server).await;
    sender.send_request(asking("quick")).await.unwrap();
    // while nobody else comes both stay
    head_of_answer(&mut idle, QUICK).await;
    sender.send_request(asking("quick")).await.unwrap();

    let _third = newcomer(&server).await;
    assert_eq!(rest(&mut idle).await, "");
    let _fourth = newcomer(&server).await;
    eventually("the other one goes, too", || async { sender.is_closed() }).await;
}

#[tokio::test]
async fn a_client_that_says_nothing_gives_way() {
    let authority = Authority::new();
    for authority in [None, Some(&authority)] {
        let server = listening_to(1, FULL, authority).await;
        let mut silent = server.target.connect().await.unwrap();
        let mut half = newcomer(&server).await;
        assert_eq!(rest(&mut silent).await, "");
        half.write_all(b"GET /quick").await.unwrap();
        half.flush().await.unwrap();
        newcomer(&server).await;
    }
}

#[tokio::test]
async fn a_pull_does_not_give_way_in_http_1() {
    let authority = Authority::new();
    for authority in [None, Some(&authority)] {
        let server = listening_to(2, FULL, authority).await;
        let mut pull = server.target.connect().await.unwrap();
        pull.write_all(b"GET /pull HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        pull.flush().await.unwrap();
        server.begun.notified().await;
        let mut idle = Vec::from(two_newcomers(&server).await);
        server.go_on.notify_one();
        assert_eq!(pull.read_u8().await.unwrap(), b'H');
        idle.extend(two_newcomers(&server).await);
        while pull.read_u8().await.unwrap() != 0 {}
        pull.read_exact(&mut vec![0; PULLED - 1]).await.unwrap();
        idle.extend(two_newcomers(&server).await);
        server.go_on.notify_one();
        assert_eq!(pull.read_u16().await.unwrap().to_be_bytes(), *b"{}");
        // nor has it been told to close after this answer
        head_of_answer(&mut pull, QUICK).await;
    }
}

#[tokio::test]
async fn a_pull_does_not_give_way_in_http_2() {
    let server = listening_to(2, FULL, None).await;
    let mut sender = http_2(&server).await;
    let answer = tokio::spawn(sender.send_request(asking("pull")));
    server.begun.notified().await;
    let mut idle = Vec::from(two_newcomers(&server).await);
    server.go_on.notify_one();
    let mut body = answer.await.unwrap().unwrap().into_body();
    idle.extend(two_newcomers(&server).await);
    let mut pulled = 0;
    while pulled < PULLED {
        pulled += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    idle.extend(two_newcomers(&server).await);
    server.go_on.notify_one();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
    sender.send_request(asking("quick")).await.unwrap();
}
