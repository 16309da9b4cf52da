//! The program in a process of its own, and requests to it. A directory comes in, answers go out; IO.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use axum::body::Body;
use bytes::Bytes;
use http::request::Builder;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portolan_oci::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::mounted::Mounted;
use crate::program::program;

static SENT: Mutex<BTreeMap<SocketAddr, u64>> = Mutex::new(BTreeMap::new());

/// Requests sent to a server so far: a cut comes after some of them, however busy the machine is.
pub(crate) fn sent(target: SocketAddr) -> u64 {
    SENT.lock().unwrap().get(&target).copied().unwrap_or_default()
}

/// A running registry; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) target: SocketAddr,
    pub(crate) socket: PathBuf,
}

impl Server {
    /// Starts it over `volume` and waits until it serves.
    pub(crate) fn start(volume: &Path) -> Self {
        let text = format!(
            "http: {{address: '127.0.0.1:0'}}\nstorage: {{volume: {{path: {}}}}}\nlog: {{format: json, level: info}}\n",
            volume.display()
        );
        let config = volume.with_extension("yaml");
        std::fs::write(&config, text).unwrap();
        let mut command = program(&["serve", "--config", config.to_str().unwrap()]);
        let server = Self::run(command.stdout(Stdio::inherit()), volume);
        std::fs::remove_file(config).unwrap();
        server
    }

    /// Starts it over a file system that only it sees.
    pub(crate) fn start_in(mounted: &Mounted) -> Self {
        let config = mounted.volume().with_extension("yaml");
        std::fs::write(&config, "log: {format: json}\n").unwrap();
        let mut command = mounted.registry(&["serve", "--config", config.to_str().unwrap()]);
        Self::run(command.stdout(Stdio::inherit()), &mounted.seen_from_outside())
    }

    fn run(command: &mut Command, volume: &Path) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == "serving" {
                break entry["address"].as_str().unwrap().parse().unwrap();
            }
        };
        // it must not wait for somebody to read its log
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            child,
            target: address,
            socket: volume.join("portolan/v1/admin.sock"),
        }
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The server is gone, or was before it had answered.
    Gone,
    /// It went while it answered.
    CutOff,
    /// The volume is full.
    Full,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// By which digest a manifest was given, if it was: its bytes have that.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let is_there = self.status == StatusCode::OK;
        is_there.then(|| {
            let digest: Digest = self.header("docker-content-digest").parse().unwrap();
            assert_eq!(Digest::of(digest.algorithm(), &self.body), digest);
            digest
        })
    }
}

/// Sends one request to the registry on a connection of its own. A failure of the server is a failure of the test, but
/// for pushes to a full volume.
pub(crate) async fn send(
    target: SocketAddr,
    method: Method,
    path: &str,
    media_type: &str,
    body: impl Into<Body>,
) -> Result<Answer, Stopped> {
    let request = Request::builder().method(method).uri(path);
    ask(target, request.header("content-type", media_type), body.into()).await
}

/// Sends a piece of an upload, and says where it belongs.
pub(crate) async fn send_piece(
    target: SocketAddr,
    location: &str,
    at: usize,
    piece: Bytes,
) -> Result<Answer, Stopped> {
    let request = Request::builder().method(Method::PATCH).uri(location);
    let range = format!("{at}-{}", at + piece.len() - 1);
    let request = request.header("content-type", "application/octet-stream");
    let answer = ask(target, request.header("content-range", range), piece.into()).await?;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    Ok(answer)
}

async fn ask(target: SocketAddr, request: Builder, body: Body) -> Result<Answer, Stopped> {
    *SENT.lock().unwrap().entry(target).or_default() += 1;
    let stream = TcpStream::connect(target).await.map_err(|_| Stopped::Gone)?;
    let request = request.header("host", "registry").body(body).unwrap();
    let (method, path) = (request.method().clone(), request.uri().clone());
    let answer = exchange(stream, request).await?;
    let takes_room = [Method::POST, Method::PATCH, Method::PUT].contains(&method);
    if takes_room && answer.status == StatusCode::INSUFFICIENT_STORAGE {
        return Err(Stopped::Full);
    }
    assert!(answer.status.as_u16() < 500, "{method} {path}: {answer:?}");
    Ok(answer)
}

/// Sends one request to the administration.
pub(crate) async fn administer(socket: &Path, path: &str, body: String) -> Result<Answer, Stopped> {
    let stream = UnixStream::connect(socket).await.map_err(|_| Stopped::Gone)?;
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request
        .header("host", "registry")
        .header("content-type", "application/json");
    exchange(stream, request.body(body.into()).unwrap()).await
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Answer, Stopped>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Stopped::Gone)?;
    tokio::spawn(connection);
    let (head, body) = sender
        .send_request(request)
        .await
        .map_err(|_| Stopped::Gone)?
        .into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: axum::body::to_bytes(Body::new(body), usize::MAX)
            .await
            .map_err(|_| Stopped::CutOff)?,
    })
}
