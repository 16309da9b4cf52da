//! The program in a process of its own, and requests to it. A directory comes in, answers go out; IO.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Requests sent so far: a cut comes after some of them, however busy the machine is.
pub(crate) static SENT: AtomicU64 = AtomicU64::new(0);

/// A running registry; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) target: SocketAddr,
    pub(crate) socket: PathBuf,
}

impl Server {
    /// Starts it over `volume` and waits until it serves.
    pub(crate) fn start(volume: &Path) -> Self {
        let config = volume.with_extension("yaml");
        let text = format!(
            "http: {{address: '127.0.0.1:0'}}\nstorage: {{volume: {{path: {}}}}}\nlog: {{format: json, level: info}}\n",
            volume.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_portolan-registry"))
            .env_clear()
            .args(["serve", "--config", config.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
        std::fs::remove_file(config).unwrap();
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

/// The server is gone, or was before it had answered.
#[derive(Debug)]
pub(crate) struct Gone;

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
}

/// Sends one request to the registry on a connection of its own. A failure of the server is a failure of the test.
pub(crate) async fn send(
    target: SocketAddr,
    method: Method,
    path: &str,
    media_type: &str,
    body: impl Into<Body>,
) -> Result<Answer, Gone> {
    SENT.fetch_add(1, Ordering::Relaxed);
    let stream = TcpStream::connect(target).await.map_err(|_| Gone)?;
    let answer = exchange(stream, &method, path, media_type, body.into()).await?;
    assert!(answer.status.as_u16() < 500, "{method} {path}: {answer:?}");
    Ok(answer)
}

/// Sends one request to the administration.
pub(crate) async fn administer(socket: &Path, path: &str, body: String) -> Result<Answer, Gone> {
    let stream = UnixStream::connect(socket).await.map_err(|_| Gone)?;
    exchange(stream, &Method::POST, path, "application/json", body.into()).await
}

async fn exchange<S>(
    stream: S,
    method: &Method,
    path: &str,
    media_type: &str,
    body: Body,
) -> Result<Answer, Gone>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Gone)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "registry")
        .header("content-type", media_type)
        .body(body)
        .unwrap();
    let (head, body) = sender.send_request(request).await.map_err(|_| Gone)?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: axum::body::to_bytes(Body::new(body), usize::MAX)
            .await
            .map_err(|_| Gone)?,
    })
}
