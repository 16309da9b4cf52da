//! A small HTTP client that does nothing by itself: one connection per request, plain or TLS, no redirects.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where and how to connect.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// What the client believes to ask; the Host header and the name in TLS.
    pub(crate) host: String,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// What came back.
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

    pub(crate) fn challenges(&self) -> Vec<&str> {
        self.headers
            .get_all("www-authenticate")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of the first error; also checks that the whole body is as the specification wants it.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let json = self.json();
        let error = &json["errors"][0];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{self:?}"
        );
        error["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

/// A request that is being put together.
pub(crate) struct Asking<'a> {
    target: &'a Target,
    request: http::request::Builder,
    body: Bytes,
}

impl Target {
    pub(crate) fn asking(&self, method: Method, path: &str) -> Asking<'_> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host);
        Asking {
            target: self,
            request,
            body: Bytes::new(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.asking(Method::GET, path).send().await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.asking(Method::HEAD, path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.asking(Method::DELETE, path).send().await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.asking(Method::POST, path).send().await
    }

    /// A connection on which more than one request can be made, or half a one.
    pub(crate) async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = self
            .host
            .rsplit_once(':')
            .map_or(self.host.as_str(), |(name, _)| name)
            .to_owned();
        let name = ServerName::try_from(name).unwrap();
        Ok(Box::new(
            TlsConnector::from(tls.clone()).connect(name, stream).await?,
        ))
    }
}

pub(crate) trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for T {}

impl Asking<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn basic(self, name: &str, password: &str) -> Self {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        self.header("authorization", &format!("Basic {encoded}"))
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) async fn send(self) -> Answer {
        self.send_owned().await
    }

    /// As `send`, for requests whose parts do not live as long as the answer takes.
    pub(crate) fn send_owned(self) -> impl Future<Output = Answer> + use<> {
        let sending = self.try_send();
        async { sending.await.unwrap() }
    }

    /// Over HTTP/2, which a client of a plain server has to know.
    pub(crate) async fn send_http2(self) -> Answer {
        let mut request = self.request.body(Full::new(self.body)).unwrap();
        let host = request.headers_mut().remove("host").unwrap();
        let uri = format!("http://{}{}", host.to_str().unwrap(), request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        let io = TokioIo::new(self.target.connect().await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        read(response).await.unwrap()
    }

    pub(crate) fn try_send(self) -> impl Future<Output = Result<Answer, Failure>> + use<> {
        exchange(
            self.target.clone(),
            self.request.body(Full::new(self.body)).unwrap(),
        )
    }
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(target: Target, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    {
        let stream = target.connect().await?;
        // one per tag of a push, and more than a client of this library takes by itself
        let mut builder = http1::Builder::new();
        builder.max_headers(200);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        read(response).await
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// The parameters of a challenge, by name.
pub(crate) fn parameters(challenge: &str) -> HashMap<String, String> {
    let (_, list) = challenge.split_once(' ').unwrap();
    list.split("\",")
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap();
            (key.to_owned(), value.trim_matches('"').to_owned())
        })
        .collect()
}
