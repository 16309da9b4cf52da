//! TLS: what is served, to whom, under which names, and what happens when the files change.

use std::net::SocketAddr;
use std::path::Path;

use http::Method;
use portolan_config::{Admin, AdminTls, Config};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::TlsConnector;

use crate::client::{Target, parameters};
use crate::fixture::{
    Authority, PASSWORD, Registry, eventually, replace, started, usual_users, with_auth, write_users,
};

/// Serves names of a cluster, as if clients had come through a Service.
async fn secured(authority: &Authority, change: impl FnOnce(&mut Config, &Path)) -> Registry {
    let mut registry = started(|config, files| {
        config.http.tls = Some(authority.write(files, &["registry.team-a.svc", "198.19.0.7"]));
        change(config, files);
    })
    .await;
    registry.target.host = String::from("registry.team-a.svc");
    registry.target.tls = Some(authority.client(None));
    registry
}

/// The serial number of the certificate that is served now.
async fn served(target: &Target) -> String {
    let stream = tokio::net::TcpStream::connect(target.address).await.unwrap();
    let name = ServerName::try_from(target.host.clone()).unwrap();
    let stream = TlsConnector::from(target.tls.clone().unwrap())
        .connect(name, stream)
        .await
        .unwrap();
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
    parsed.raw_serial_as_string()
}

#[tokio::test]
async fn images_travel_over_tls_and_the_metric_knows_when_the_certificate_ends() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    registry.push_image("a", "v1", "layer").await;
    registry.get("/v2/a/manifests/v1").await.expect(200);
    let metrics = registry.metrics().await;
    let line = "portolan_registry_certificate_not_after_timestamp_seconds{listener=\"registry\"} ";
    assert!(metrics.contains(line), "{metrics}");
}

/// P18, P145.
#[tokio::test]
async fn http_2_is_offered_and_spoken() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    let mut config = (*authority.client(None)).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(registry.address).await.unwrap();
    let name = ServerName::try_from("registry.team-a.svc").unwrap();
    let stream = TlsConnector::from(std::sync::Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://registry.team-a.svc/v2/")
        .body(String::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

/// P145.
#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let authority = Authority::new();
    let mut registry = secured(&authority, |_, _| {}).await;
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls_pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    registry.target.tls = Some(std::sync::Arc::new(config));
    registry.get("/v2/").await.expect(200);
}

#[tokio::test]
async fn every_name_of_the_certificate_leads_back_to_itself_for_the_token() {
    let authority = Authority::new();
    let registry = secured(&authority, |config, files| {
        config.http.hosts = vec!["registry.example.com".to_owned()];
        with_auth(config, files);
    })
    .await;
    for (host, realm) in [
        ("registry.team-a.svc", "https://registry.team-a.svc/token"),
        ("registry.team-a.svc:443", "https://registry.team-a.svc:443/token"),
        ("198.19.0.7", "https://198.19.0.7/token"),
        (
            "registry.example.com:8443",
            "https://registry.example.com:8443/token",
        ),
        ("evil.example.com", "https://registry.example.com/token"),
    ] {
        let asking = Target {
            host: "registry.team-a.svc".to_owned(),
            ..registry.target.clone()
        };
        let mut stream = asking.connect().await.unwrap();
        let request = format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = crate::stopping::exchange(&mut stream, request.as_bytes()).await;
        assert!(answer.contains(&format!("realm=\"{realm}\"")), "{host}: {answer}");
    }
    let refused = registry.get("/v2/").await.expect(401);
    assert_eq!(
        parameters(refused.challenges()[0])["realm"],
        "https://registry.team-a.svc/token"
    );
    registry
        .asking(Method::GET, "/v2/")
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(200);
}

/// P145.
#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart_and_open_connections_go_on() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    let before = served(&registry.target).await;
    let mut open = registry.connect().await.unwrap();
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(
        crate::stopping::head_of_answer(&mut open, ping)
            .await
            .starts_with("HTTP/1.1 200")
    );
    authority.write(&registry.files(), &["registry.team-a.svc"]);
    eventually("the new one is served", || async {
        served(&registry.target).await != before
    })
    .await;
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(
        crate::stopping::head_of_answer(&mut open, ping)
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn garbage_in_the_certificate_keeps_the_one_before_and_is_told() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    let before = served(&registry.target).await;
    replace(&registry.files().join("tls.crt"), b"garbage");
    eventually("the metric tells", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_reload_failing{what=\"certificate\"} 1\n")
    })
    .await;
    assert_eq!(served(&registry.target).await, before);
}

#[tokio::test]
async fn a_certificate_that_clients_would_refuse_does_not_replace_one_that_they_take() {
    let authority = Authority::new();
    let ours = "registry.team-a.svc";
    let registry = secured(&authority, |config, _| {
        config.http.hosts = vec!["elsewhere.test".to_owned(), format!("{ours}:5000")];
    })
    .await;
    let before = served(&registry.target).await;
    let write = |(certificate, key): (String, String)| {
        replace(&registry.files().join("tls.crt"), certificate.as_bytes());
        replace(&registry.files().join("tls.key"), key.as_bytes());
    };
    let told = |line: String| {
        let registry = &registry;
        async move { registry.metrics().await.contains(&line) }
    };
    let refused = [
        authority.issue_changed(&[ours], |it| it.not_after = rcgen::date_time_ymd(2001, 1, 1)),
        authority.issue_changed(&[ours], |it| it.not_before = rcgen::date_time_ymd(3001, 1, 1)),
        authority.issue(&["registry.team-b.svc", "198.19.0.8"]),
    ];
    for (times, refused) in (1..).zip(refused) {
        write(refused);
        let line = format!("portolan_registry_reload_failures_total{{what=\"certificate\"}} {times}\n");
        eventually("the metric tells", || told(line.clone())).await;
        assert_eq!(served(&registry.target).await, before);
    }
    write(authority.issue(&[ours]));
    eventually("the good one is served", || async {
        served(&registry.target).await != before
    })
    .await;
    let line = "portolan_registry_reload_failing{what=\"certificate\"} 0\n";
    eventually("the metric tells", || told(line.to_owned())).await;
}

#[tokio::test]
async fn a_certificate_for_other_names_is_served_when_there_is_none_better() {
    let authority = Authority::new();
    let registry = secured(&authority, |config, _| {
        config.http.hosts = vec!["elsewhere.test".to_owned()];
    })
    .await;
    registry.get("/v2/").await.expect(200);
    let before = served(&registry.target).await;
    authority.write(&registry.files(), &["registry.team-a.svc"]);
    eventually("the next one is served", || async {
        served(&registry.target).await != before
    })
    .await;
}

/// P145.
#[tokio::test]
async fn a_client_that_is_slow_with_its_handshake_holds_up_nobody() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(tokio::net::TcpStream::connect(registry.address).await.unwrap());
    }
    registry.get("/v2/").await.expect(200);
}

#[tokio::test]
async fn a_connection_that_is_one_too_many_waits_for_its_turn() {
    let registry = started(|config, _| config.http.max_connections = 1).await;
    let first = registry.connect().await.unwrap();
    let target = registry.target.clone();
    let second = tokio::spawn(async move { target.get("/v2/").await });
    eventually("the first connection is there", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_connections 1\n")
    })
    .await;
    assert!(!second.is_finished());
    drop(first);
    second.await.unwrap().expect(200);
}

fn with_admin(config: &mut Config, files: &Path, servers: &Authority, clients: &Authority) -> AdminTls {
    let (certificate, key) = servers.issue(&["admin.test"]);
    let tls = AdminTls {
        certificate_file: files.join("admin.crt"),
        key_file: files.join("admin.key"),
        client_ca_file: files.join("admin-ca.crt"),
    };
    replace(&tls.certificate_file, certificate.as_bytes());
    replace(&tls.key_file, key.as_bytes());
    replace(&tls.client_ca_file, clients.pem().as_bytes());
    config.admin = Some(Admin {
        address: "127.0.0.1:0".parse().unwrap(),
        tls: tls.clone(),
    });
    tls
}

fn admin_target(address: SocketAddr, servers: &Authority, own: Option<(String, String)>) -> Target {
    Target {
        address,
        host: "admin.test".to_owned(),
        tls: Some(servers.client(own)),
    }
}

#[tokio::test]
async fn administration_tells_what_is_in_force_to_holders_of_a_client_certificate_only() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let registry = secured(&authority, |config, files| {
        with_auth(config, files);
        with_admin(config, files, &authority, &clients);
    })
    .await;
    let address = registry.running.as_ref().unwrap().admin_address.unwrap();
    for own in [None, Some(strangers.issue(&["client"]))] {
        let refused = admin_target(address, &authority, own);
        assert!(
            refused
                .asking(Method::GET, "/v1/status")
                .try_send()
                .await
                .is_err()
        );
    }
    let admin = admin_target(address, &authority, Some(clients.issue(&["client"])));
    let status = admin.get("/v1/status").await.expect(200).json();
    let file = std::fs::read(registry.files().join("users.yaml")).unwrap();
    let digest = |bytes: &[u8]| {
        portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, bytes)
            .hex()
            .to_owned()
    };
    let serial = served(&registry.target).await.replace(':', "");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["readOnly"], false);
    assert_eq!(status["usersSha256"], digest(&file));
    assert_eq!(
        status["certificateSerial"].as_str().unwrap(),
        serial.trim_start_matches('0')
    );
    assert_eq!(
        (status["tokenKeys"].clone(), status["activeTokenKey"].clone()),
        (serde_json::json!(["k1"]), "k1".into())
    );

    write_users(&registry.files(), usual_users()[..1].to_vec());
    let changed = digest(&std::fs::read(registry.files().join("users.yaml")).unwrap());
    eventually("the status shows the new file", || async {
        admin.get("/v1/status").await.json()["usersSha256"] == changed
    })
    .await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_ends_the_connection_and_nothing_else() {
    let authority = Authority::new();
    let registry = secured(&authority, |_, _| {}).await;
    let mut plain = tokio::net::TcpStream::connect(registry.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /v2/ HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest).await;
    registry.get("/v2/").await.expect(200);
}
