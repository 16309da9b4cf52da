//! How a command reaches the registry that it is about: flags in, requests sent and answers out. IO.
//!
//! Either the socket in the directory of the volume, on the same machine and as the same user, or the administration
//! listener with a client certificate.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use clap::Args;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use portolan_config::Config;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::environment::{self, EnvironmentError};
use crate::error_chain;
use crate::files::{self, FileProblem};
use crate::server::socket;
use crate::store;

/// Which registry a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// The socket of a registry on this machine [default: portolan/v1/admin.sock below the directory of its images].
    #[arg(long, value_name = "PATH", conflicts_with_all = ["server", "config"])]
    pub socket: Option<PathBuf>,
    /// The configuration file of the registry on this machine: its volume tells where the socket is, unless
    /// `REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY` does.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub config: Option<PathBuf>,
    /// The administration listener of a registry anywhere, such as `https://registry.example.com:5001`.
    #[arg(long, value_name = "URL", requires_all = ["ca_file", "certificate_file", "key_file"])]
    pub server: Option<ServerUrl>,
    /// The authority that signed the certificate of `--server`.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca_file: Option<PathBuf>,
    /// The client certificate to show to `--server`.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub certificate_file: Option<PathBuf>,
    /// The key of the client certificate.
    #[arg(long, value_name = "FILE", requires = "server")]
    pub key_file: Option<PathBuf>,
}

/// Where an administration listener is: `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// `host:port`.
    address: String,
    host: ServerName<'static>,
}

/// No `https://host:port`.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no address of a registry; write https://host:port")]
pub struct ServerUrlError(String);

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let bad = || ServerUrlError(url.to_owned());
        let address = url
            .strip_prefix("https://")
            .ok_or_else(bad)?
            .trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        port.parse::<u16>().map_err(|_| bad())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            address: address.to_owned(),
            host: ServerName::try_from(host).map_err(|_| bad())?,
        })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A file that a flag names cannot be used.
    #[error(transparent)]
    File(#[from] Box<FileProblem>),
    /// Where the volume is cannot be told.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Nobody listens there.
    #[error(
        "no registry answers at socket \"{path}\" ({cause}); start one on that directory, or say with --socket, --config or \
         --server where it is: one that may not write to its directory has no socket, and is asked with --server"
    )]
    NoSocket { path: PathBuf, cause: io::Error },
    /// It belongs to another user.
    #[error("this user may not use socket \"{path}\"; run the command as the user that runs the registry")]
    NotAllowed { path: PathBuf },
    /// The listener cannot be reached, or one of the two certificates is not accepted.
    #[error(
        "cannot connect to {address} ({cause}); check --server, and that both sides know the other's certificate authority"
    )]
    Unreachable { address: String, cause: io::Error },
    /// A listener says of a client certificate only after the handshake, and may be gone before that is heard.
    #[error(
        "{address} ended the connection ({}); check that an authority of its admin.tls.clientCaFile has signed the certificate of --certificate-file, else look into its log",
        error_chain(.cause)
    )]
    Unanswered { address: String, cause: hyper::Error },
    /// The connection broke.
    #[error("the registry ended the connection; look into its log")]
    Broken(#[source] hyper::Error),
}

/// Why it cannot be told which volume a command is about.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The configuration file cannot be used.
    #[error("--config")]
    File(#[source] Box<FileProblem>),
    /// The variable that is stronger than the file cannot be used.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

/// Where requests go.
#[derive(Debug, Clone)]
pub(super) enum Endpoint {
    Socket(PathBuf),
    Server { url: ServerUrl, tls: Arc<ClientConfig> },
}

impl Connection {
    /// Reads what the flags name. Without any, the directory is that of the environment, or the default.
    pub(super) fn endpoint(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Endpoint, ConnectionError> {
        if let Some(url) = &self.server {
            return self.server(url);
        }
        if let Some(path) = &self.socket {
            return Ok(Endpoint::Socket(path.clone()));
        }
        let config = configuration(self.config.as_deref(), variable)?;
        Ok(Endpoint::Socket(store::admin_socket(&config.storage.volume.path)))
    }

    fn server(&self, url: &ServerUrl) -> Result<Endpoint, ConnectionError> {
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let (ca, certificate, key) = (
            file(&self.ca_file),
            file(&self.certificate_file),
            file(&self.key_file),
        );
        let tls = files::read_client_tls(&ca, &certificate, &key).map_err(Box::new)?;
        Ok(Endpoint::Server {
            url: url.clone(),
            tls: Arc::new(tls),
        })
    }
}

/// What `serve` would run with, as far as the volume is concerned: the variable is stronger than the file here, too.
pub(super) fn configuration(
    file: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Config, ConfigurationError> {
    let mut config = match file {
        Some(path) => files::read_config(path).map_err(|error| ConfigurationError::File(Box::new(error)))?,
        None => Config::standalone(),
    };
    environment::apply_directory(&mut config, variable)?;
    Ok(config)
}

impl Endpoint {
    /// Sends one request on a connection of its own.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        match self {
            Self::Socket(socket) => {
                let stream = socket::connect(socket).await.map_err(|cause| {
                    let path = socket.clone();
                    match cause.kind() {
                        io::ErrorKind::PermissionDenied => ConnectionError::NotAllowed { path },
                        _ => ConnectionError::NoSocket { path, cause },
                    }
                })?;
                exchange(stream, "localhost", method, path, body)
                    .await
                    .map_err(ConnectionError::Broken)
            }
            Self::Server { url, tls } => {
                let ServerUrl { address, host } = url;
                let unreachable = |cause| ConnectionError::Unreachable {
                    address: address.clone(),
                    cause,
                };
                let stream = TcpStream::connect(address).await.map_err(unreachable)?;
                let connector = TlsConnector::from(tls.clone());
                let stream = connector
                    .connect(host.clone(), stream)
                    .await
                    .map_err(unreachable)?;
                exchange(stream, address, method, path, body)
                    .await
                    .map_err(|cause| ConnectionError::Unanswered {
                        address: address.clone(),
                        cause,
                    })
            }
        }
    }
}

async fn exchange<S>(
    stream: S,
    host: &str,
    method: Method,
    path: &str,
    body: Option<String>,
) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::new(body.map_or_else(Body::empty, Body::from));
    *request.method_mut() = method;
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    for (name, value) in [("host", host), ("content-type", "application/json")] {
        if let Ok(value) = value.parse() {
            request.headers_mut().insert(name, value);
        }
    }
    sender.send_request(request).await
}
