//! Asks a running registry pod what it serves: an address and key material come in, the leaf of its TLS listener or
//! the answer of its admin listener goes out. IO; every question has a deadline and a bounded answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{CertificateError, CertificateFacts, inspect_der};

/// Most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// Why a pod gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing came in time.
    #[error("{address} did not answer within {}s", timeout.as_secs_f32())]
    Timeout {
        /// Whom we asked.
        address: SocketAddr,
        /// How long we waited.
        timeout: Duration,
    },
    /// No connection, or no TLS over it.
    #[error("cannot connect to {address}")]
    Connect {
        /// Whom we asked.
        address: SocketAddr,
        /// What the system or the TLS library said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke, or the answer was no HTTP or too long.
    #[error("{address} gave no usable answer: {problem}")]
    Answer {
        /// Whom we asked.
        address: SocketAddr,
        /// What was wrong.
        problem: String,
    },
    /// The server's leaf cannot be read.
    #[error("{address} serves a certificate that cannot be read")]
    Certificate {
        /// Whom we asked.
        address: SocketAddr,
        /// What was wrong.
        #[source]
        source: CertificateError,
    },
    /// Our own key material cannot be used.
    #[error("cannot use the key material for the admin listener: {problem}")]
    KeyMaterial {
        /// What was wrong.
        problem: String,
    },
}

/// What lets us in at the admin listener, all PEM.
#[derive(Clone)]
pub struct AdminAccess {
    /// Authority of the server.
    pub ca_pem: Vec<u8>,
    /// Our certificate.
    pub client_certificate_pem: Vec<u8>,
    /// Its key.
    pub client_key_pem: Vec<u8>,
    /// The name that the server's certificate has.
    pub server_name: String,
}

/// What the admin listener says of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryReport {
    /// Version of the program.
    pub version: String,
    /// Whether the volume takes no writes.
    pub read_only: bool,
    /// SHA-256 of the users file in force, hexadecimal; absent when there is none.
    pub users_sha256: Option<String>,
    /// Serial of the served certificate; absent without TLS.
    pub certificate_serial: Option<String>,
    /// Ids of the accepted token keys.
    #[serde(default)]
    pub token_keys: Vec<String>,
    /// Id of the key that signs.
    pub active_token_key: Option<String>,
}

/// The leaf that a TLS listener presents for `host`. Whether it is the right one is for the caller to compare; the server
/// does prove here that it holds the key.
pub async fn served_certificate(
    address: SocketAddr,
    host: &str,
    timeout: Duration,
) -> Result<CertificateFacts, ProbeError> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeError::KeyMaterial {
            problem: error.to_string(),
        })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let stream = within(address, timeout, connect(address, host, config)).await?;
    let (_, connection) = stream.get_ref();
    let leaf = connection
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or_else(|| ProbeError::Answer {
            address,
            problem: "it presented no certificate".to_owned(),
        })?;
    inspect_der("the served certificate", leaf).map_err(|source| ProbeError::Certificate { address, source })
}

/// `GET /v1/status` of the admin listener, by mutual TLS.
pub async fn registry_report(
    address: SocketAddr,
    access: &AdminAccess,
    timeout: Duration,
) -> Result<RegistryReport, ProbeError> {
    let config = access.client_config()?;
    within(address, timeout, async {
        let stream = connect(address, &access.server_name, config).await?;
        let body = get(address, stream, &access.server_name, "/v1/status").await?;
        serde_json::from_slice(&body).map_err(|error| ProbeError::Answer {
            address,
            problem: error.to_string(),
        })
    })
    .await
}

impl AdminAccess {
    fn client_config(&self) -> Result<ClientConfig, ProbeError> {
        let unusable = |what: &str, error: &dyn std::fmt::Display| ProbeError::KeyMaterial {
            problem: format!("{what}: {error}"),
        };
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&self.ca_pem) {
            let authority = authority.map_err(|error| unusable("ca.crt", &error))?;
            roots.add(authority).map_err(|error| unusable("ca.crt", &error))?;
        }
        let chain = CertificateDer::pem_slice_iter(&self.client_certificate_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable("client.crt", &error))?;
        let key = PrivateKeyDer::from_pem_slice(&self.client_key_pem)
            .map_err(|error| unusable("client.key", &error))?;
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS", &error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable("client.crt", &error))
    }
}

impl std::fmt::Debug for AdminAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminAccess")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

async fn within<T>(
    address: SocketAddr,
    timeout: Duration,
    question: impl Future<Output = Result<T, ProbeError>>,
) -> Result<T, ProbeError> {
    tokio::time::timeout(timeout, question)
        .await
        .map_err(|_| ProbeError::Timeout { address, timeout })?
}

async fn connect(
    address: SocketAddr,
    host: &str,
    config: ClientConfig,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let failed = |source| ProbeError::Connect { address, source };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(std::io::Error::other(error)))?;
    let tcp = TcpStream::connect(address).await.map_err(failed)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(failed)
}

async fn get(
    address: SocketAddr,
    stream: TlsStream<TcpStream>,
    host: &str,
    path: &str,
) -> Result<Bytes, ProbeError> {
    let unusable = |error: &dyn std::fmt::Display| ProbeError::Answer {
        address,
        problem: error.to_string(),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unusable(&error))?;
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .body(Empty::<Bytes>::new())
        .map_err(|error| unusable(&error))?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| unusable(&error))?;
        if answer.status() != http::StatusCode::OK {
            return Err(unusable(&format_args!(
                "GET {path} is answered {}",
                answer.status()
            )));
        }
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| unusable(&error))
    };
    // The connection only moves while it is polled; it lives and ends with the question.
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        body = &mut exchange => body,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(unusable(&error)),
        },
    }
}

/// Takes any certificate whose key the server holds.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
