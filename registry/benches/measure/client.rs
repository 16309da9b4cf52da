//! Requests to a server over one connection that stays open. IO.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Client {
    sender: SendRequest<Body>,
    runtime: Runtime,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self { sender, runtime })
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, "", Bytes::new(), StatusCode::OK)
    }

    /// Fails unless the answer has the status that is wanted.
    pub(crate) fn send(
        &mut self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Bytes,
        wanted: StatusCode,
    ) -> anyhow::Result<Answer> {
        let what = format!("{method} {path}");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "registry");
        if media_type.is_empty() {
            request = request
                .header("accept", "*/*")
                .header("accept", "application/vnd.oci.image.manifest.v1+json");
        } else {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Body::from(body))?;
        let sender = &mut self.sender;
        let answer = self.runtime.block_on(async {
            sender.ready().await?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = axum::body::to_bytes(Body::new(body), usize::MAX).await?;
            anyhow::Ok((head, body))
        });
        let (head, body) = answer.with_context(|| format!("no answer to {what}"))?;
        if head.status != wanted {
            bail!(
                "{what} was answered {}: {}",
                head.status,
                String::from_utf8_lossy(&body)
            );
        }
        Ok(Answer {
            headers: head.headers,
            body,
        })
    }
}
