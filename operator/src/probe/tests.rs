//! Probes against a real TLS listener on loopback that serves certificates of our own making.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::certificates::{
    CertificateAndKey, LeafRequest, Usage, Validity, inspect, issue_authority, issue_leaf,
};

const TIMEOUT: Duration = Duration::from_secs(10);

struct Material {
    authority: CertificateAndKey,
    server: CertificateAndKey,
    client: CertificateAndKey,
}

fn validity() -> Validity {
    Validity {
        not_before: Timestamp::from_second(1_700_000_000).unwrap(),
        not_after: Timestamp::from_second(4_000_000_000).unwrap(),
    }
}

fn material() -> Material {
    let authority = issue_authority("depot", validity(), [1; 16]).unwrap();
    let leaf = |usage, serial| LeafRequest {
        common_name: "depot".to_owned(),
        dns_names: vec!["depot.team-a.svc".to_owned()],
        ip_addresses: Vec::new(),
        usage,
        validity: validity(),
        serial,
    };
    let server = issue_leaf(&authority, &leaf(Usage::Server, [2; 16])).unwrap();
    let client = issue_leaf(&authority, &leaf(Usage::Client, [3; 16])).unwrap();
    Material {
        authority,
        server,
        client,
    }
}

impl Material {
    fn access(&self) -> AdminAccess {
        AdminAccess {
            ca_pem: self.authority.certificate_pem.clone().into_bytes(),
            client_certificate_pem: self.client.certificate_pem.clone().into_bytes(),
            client_key_pem: self.client.key_pem.clone().into_bytes(),
            server_name: "depot.team-a.svc".to_owned(),
        }
    }

    /// Answers one connection with `answer`; asks for a client certificate when `mutual`.
    async fn listen(&self, mutual: bool, answer: Vec<u8>) -> SocketAddr {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(self.authority.certificate_pem.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(self.server.certificate_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.server.key_pem.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                return;
            };
            let mut request = [0; 1024];
            if tls.read(&mut request).await.is_ok_and(|read| read > 0) {
                let _ = tls.write_all(&answer).await;
                let _ = tls.shutdown().await;
            }
        });
        address
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn leaf_is_told_whoever_signed_it() {
    let material = material();
    let address = material.listen(false, Vec::new()).await;
    let served = served_certificate(address, "depot.team-a.svc", TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        served,
        inspect("tls.crt", material.server.certificate_pem.as_bytes()).unwrap()
    );
}

#[tokio::test]
async fn report_is_read_by_mutual_tls() {
    let material = material();
    let body = r#"{"version":"0.1.0","readOnly":false,"usersSha256":"ab","certificateSerial":"01",
        "tokenKeys":["k"],"activeTokenKey":"k","somethingNewer":1}"#;
    let address = material.listen(true, ok(body)).await;
    let report = registry_report(address, &material.access(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (report.users_sha256.as_deref(), report.read_only),
        (Some("ab"), false)
    );
    assert_eq!(
        (report.token_keys.as_slice(), report.active_token_key.as_deref()),
        (&["k".to_owned()][..], Some("k"))
    );
}

#[tokio::test]
async fn server_of_another_authority_is_refused() {
    let address = material().listen(true, ok("{}")).await;
    let error = registry_report(address, &material().access(), TIMEOUT)
        .await
        .unwrap_err();
    assert!(matches!(error, ProbeError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn endless_answer_is_cut_off() {
    let material = material();
    let address = material.listen(true, ok(&"x".repeat(ANSWER_MAX + 1))).await;
    let error = registry_report(address, &material.access(), TIMEOUT)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("length limit exceeded"), "{error}");
}

#[tokio::test]
async fn other_status_than_200_is_told() {
    let material = material();
    let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec();
    let address = material.listen(true, answer).await;
    let error = registry_report(address, &material.access(), TIMEOUT)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
}

#[tokio::test]
async fn silent_listener_costs_the_timeout_only() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = served_certificate(address, "depot", Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(error, ProbeError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn closed_port_is_told_with_its_address() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = served_certificate(address, "depot", TIMEOUT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
}
