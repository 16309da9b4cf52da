//! A Service on loopback: when it is asked, and when its last answer is enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::certificates;
use crate::registry_controller::test_support::{now, object, users_certificate};

const HOST: &str = "depot.team-a.svc";

/// What stands behind the Service's address.
struct Behind {
    address: SocketAddr,
    serial: String,
    asked: Arc<AtomicUsize>,
}

async fn behind() -> Behind {
    let pair = users_certificate(HOST, now() + SignedDuration::from_hours(2400));
    let facts = certificates::inspect("tls.crt", pair.certificate_pem.as_bytes()).unwrap();
    let chain = CertificateDer::pem_slice_iter(pair.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let found = Behind {
        address: listener.local_addr().unwrap(),
        serial: normalize_serial(&facts.serial_hex),
        asked: Arc::default(),
    };
    let asked = Arc::clone(&found.asked);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = acceptor.accept(stream).await;
        }
    });
    found
}

fn service(address: SocketAddr, version: &str) -> Service {
    object(json!({
        "metadata": {"name": "depot", "resourceVersion": version},
        "spec": {"clusterIPs": [address.ip().to_string()], "ports": [{"port": address.port()}]},
    }))
}

fn ready(since: &str) -> Vec<Arc<Pod>> {
    vec![Arc::new(object(json!({
        "metadata": {"name": "depot-0", "uid": "pod-uid"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]},
    })))]
}

async fn ask(
    services: &Services,
    serial: &str,
    service: &Service,
    pods: &[Arc<Pod>],
    at: Timestamp,
) -> Option<ServiceAnswer> {
    let entrance = Entrance::of(service);
    services.ask("uid", entrance, (pods, serial, HOST), at).await
}

#[tokio::test]
async fn service_that_answered_is_asked_again_only_after_a_change_or_some_minutes() {
    let behind = behind().await;
    let services = Services::default();
    let first = service(behind.address, "1");
    let (early, late) = (ready("2027-01-01T00:00:00Z"), ready("2027-01-01T00:00:09Z"));
    let next = service(behind.address, "2");
    let later = now() + TRUSTED_FOR;
    let visits = [
        (&first, &early, now(), 1),
        (&first, &early, now(), 1),
        (&next, &early, now(), 2),
        (&next, &late, now(), 3),
        (&next, &late, later, 4),
        (&next, &late, later, 4),
    ];
    for (service, pods, at, asked) in visits {
        let answer = ask(&services, &behind.serial, service, pods, at).await.unwrap();
        assert_eq!(answer.certificate_serial.as_ref(), Ok(&behind.serial));
        assert_eq!(behind.asked.load(Ordering::SeqCst), asked);
        assert_eq!(services.ask_again_after("uid"), None);
    }
    ask(&services, "another", &next, &late, later).await.unwrap();
    assert_eq!(services.ask_again_after("uid"), Some(Duration::from_millis(250)));
}

#[tokio::test]
async fn service_that_nobody_answers_for_is_asked_again_soon() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (services, service) = (Services::default(), service(address, "1"));
    let pods = ready("2027-01-01T00:00:00Z");
    let mut delays = Vec::new();
    for _ in 0..3 {
        let answer = ask(&services, "serial", &service, &pods, now()).await.unwrap();
        let error = answer.certificate_serial.unwrap_err();
        assert!(error.contains(&address.to_string()), "{error}");
        delays.extend(services.ask_again_after("uid"));
    }
    assert_eq!(delays[0], Duration::from_millis(250));
    assert!(delays[0] < delays[1] && delays[1] < delays[2], "{delays:?}");
    assert_eq!(ask(&services, "serial", &service, &[], now()).await, None);
    assert_eq!(services.ask_again_after("uid"), None);
}

#[test]
fn service_without_an_address_of_its_own_is_not_asked() {
    let headless =
        json!({"metadata": {"name": "depot"}, "spec": {"clusterIP": "None", "ports": [{"port": 443}]}});
    let unserved = json!({"metadata": {"name": "depot"}, "spec": {"ports": [{"port": 443}]}});
    let elsewhere =
        json!({"metadata": {"name": "depot"}, "spec": {"type": "ExternalName", "externalName": "x"}});
    for service in [headless, unserved, elsewhere] {
        assert_eq!(Entrance::of(&object(service.clone())), None, "{service}");
    }
}
