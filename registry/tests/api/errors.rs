//! Refusals: the status, the code, and that a client can always read them.

use std::sync::atomic::Ordering;

use http::Method;

use crate::fixture::{Manifest, Registry, guarded, open, started};

/// P2, P6, P11, P12, P14.
#[tokio::test]
async fn every_refusal_is_json_with_a_code() {
    let registry = open().await;
    for (method, path, status, code) in [
        (Method::GET, "/v2/a/b/c", 404, "UNSUPPORTED"),
        (Method::GET, "/", 404, "UNSUPPORTED"),
        (Method::PUT, "/v2/", 405, "UNSUPPORTED"),
        (Method::POST, "/v2/a/tags/list", 405, "UNSUPPORTED"),
        (Method::GET, "/v2/UPPER/tags/list", 400, "NAME_INVALID"),
        (Method::GET, "/v2/a/blobs/sha256:abc", 400, "DIGEST_INVALID"),
        (Method::GET, "/v2/a/blobs/md5:abc", 400, "DIGEST_INVALID"),
        (Method::GET, "/v2/a/%ff/list", 400, "NAME_INVALID"),
        (Method::PUT, "/v2/a/manifests/-bad", 400, "MANIFEST_INVALID"),
        (Method::GET, "/token", 404, "UNSUPPORTED"),
    ] {
        let answer = registry.asking(method, path).send().await.expect(status);
        assert_eq!(answer.code(), code, "{path}");
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
}

/// P11.
#[tokio::test]
async fn a_method_that_is_not_possible_is_answered_with_those_that_are() {
    let registry = open().await;
    let answer = registry
        .asking(Method::PATCH, "/v2/a/manifests/v1")
        .send()
        .await
        .expect(405);
    assert_eq!(answer.header("allow"), "GET, HEAD, PUT, DELETE");
}

/// P11: also where the method exists, but not here or not now.
#[tokio::test]
async fn what_is_switched_off_or_in_the_way_is_refused_with_the_methods_that_are_left() {
    let allowed = async |registry: &Registry, method: Method, path: String| {
        let answer = registry.asking(method, &path).send().await.expect(405);
        let allow = answer.headers.get("allow");
        allow.expect("an Allow header").to_str().unwrap().to_owned()
    };
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let index = Manifest::index(&[&image]);
    registry.put_manifest("a", "multi", &index).await.expect(201);
    let layer = registry.push_blob("a", b"layer").await;
    let (blob, child) = (
        format!("/v2/a/blobs/{layer}"),
        format!("/v2/a/manifests/{}", image.digest),
    );
    assert_eq!(
        allowed(&registry, Method::DELETE, blob.clone()).await,
        "GET, HEAD"
    );
    assert_eq!(
        allowed(&registry, Method::DELETE, child.clone()).await,
        "GET, HEAD, PUT"
    );
    let keeping = started(|config, _| config.storage.delete_enabled = false).await;
    assert_eq!(allowed(&keeping, Method::DELETE, blob.clone()).await, "GET, HEAD");
    assert_eq!(
        allowed(&keeping, Method::DELETE, child.clone()).await,
        "GET, HEAD, PUT"
    );
    let reading = started(|config, _| config.storage.read_only = true).await;
    assert_eq!(
        allowed(&reading, Method::DELETE, child.clone()).await,
        "GET, HEAD"
    );
    let start = "/v2/a/blobs/uploads/".to_owned();
    assert_eq!(allowed(&reading, Method::POST, start).await, "");
    let guarded = guarded().await;
    assert_eq!(allowed(&guarded, Method::POST, "/token".to_owned()).await, "GET");
}

/// P12.
#[tokio::test]
async fn head_of_something_missing_has_the_status_and_no_body() {
    let registry = open().await;
    let answer = registry.head("/v2/a/manifests/v1").await.expect(404);
    assert!(answer.body.is_empty());
    let body = registry.get("/v2/a/manifests/v1").await.expect(404).body;
    assert_eq!(answer.header("content-length"), body.len().to_string());
    assert_eq!(answer.header("content-type"), "application/json");
}

/// P12, P16.
#[tokio::test]
async fn a_handler_that_panics_is_answered_as_any_failure() {
    let registry = open().await;
    registry.ahead.store(i64::MAX, Ordering::Relaxed); // there is no such time
    let answer = registry.get("/v2/").await.expect(500);
    assert_eq!(answer.code(), "UNKNOWN");
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    assert!(answer.json()["errors"][0]["detail"]["requestId"].is_string());
    registry.ahead.store(0, Ordering::Relaxed);
    registry.get("/v2/").await.expect(200);
}

/// P1, P2.
#[tokio::test]
async fn the_base_answers_with_and_without_slash() {
    let registry = open().await;
    for path in ["/v2", "/v2/"] {
        let answer = registry.get(path).await.expect(200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
        registry.head(path).await.expect(200);
    }
}

/// P18.
#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_is_still_sending() {
    let registry = started(|config, _| config.storage.delete_enabled = false).await;
    let asking = registry
        .asking(Method::DELETE, "/v2/a/manifests/v1")
        .body(vec![0; 400_000]);
    asking.send().await.expect(405);
}

/// P18: also an upload, which is what clients send most of. It is read to its end, and the connection goes on.
#[tokio::test]
async fn a_refused_upload_is_read_by_a_client_that_is_still_sending() {
    let registry = open().await;
    let gone = "/v2/a/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de";
    let body = vec![0; 400_000];
    let patch = registry.asking(Method::PATCH, gone).body(body.clone());
    let answer = patch.send_http2().await.expect(404);
    assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
    let mut stream = registry.connect().await.unwrap();
    let mut both = format!("PATCH {gone} HTTP/1.1\r\nhost: x\r\ncontent-length: 400000\r\n\r\n").into_bytes();
    both.extend(body);
    both.extend(b"GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answers = crate::stopping::exchange(&mut stream, &both).await;
    assert!(answers.starts_with("HTTP/1.1 404"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
}

/// P21.
#[tokio::test]
async fn heads_of_32_kib_are_taken_and_larger_ones_are_refused_with_a_reason() {
    let registry = open().await;
    let ask = |bytes| {
        let token = "x".repeat(bytes);
        registry
            .asking(Method::GET, "/v2/")
            .header("authorization", &format!("Bearer {token}"))
            .send()
    };
    ask(32 * 1024).await.expect(200);
    assert_eq!(ask(45 * 1024).await.expect(431).code(), "UNSUPPORTED");
    // what the connection itself refuses to read has a status only
    ask(100 * 1024).await.expect(431);
    let long = format!("/v2/?x={}", "y".repeat(33 * 1024));
    assert_eq!(registry.get(&long).await.expect(414).code(), "UNSUPPORTED");
}

/// P16, P56.
#[tokio::test]
async fn a_fault_of_the_volume_is_never_not_found_and_tells_nothing_but_a_number() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let hex = image.digest.hex();
    let volume = registry.directory.path().join("volume/docker/registry/v2");
    let data = volume.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    std::fs::write(&data, "damaged").unwrap();
    let answer = registry.get("/v2/a/manifests/v1").await.expect(500);
    assert_eq!(answer.code(), "UNKNOWN");
    assert!(
        !answer
            .text()
            .contains(registry.directory.path().to_str().unwrap()),
        "{answer:?}"
    );
    assert!(answer.json()["errors"][0]["detail"]["requestId"].is_string());
}

#[tokio::test]
async fn requests_are_counted_with_operation_and_code() {
    let registry = open().await;
    registry.push_image("a", "v1", "layer").await;
    registry.get("/v2/a/manifests/v1").await.expect(200);
    registry.get("/v2/a/manifests/v2").await.expect(404);
    let metrics = registry.metrics().await;
    for line in [
        "portolan_registry_requests_total{operation=\"read-manifest\",code=\"200\"} 1",
        "portolan_registry_requests_total{operation=\"read-manifest\",code=\"404\"} 1",
        "portolan_registry_requests_total{operation=\"write-manifest\",code=\"201\"} 1",
        "portolan_registry_requests_in_flight 0",
        "portolan_registry_storage_read_only 0",
        "portolan_registry_storage_reserve_held 1",
    ] {
        assert!(
            metrics.contains(&format!("{line}\n")),
            "{line} is not in\n{metrics}"
        );
    }
    assert!(
        metrics.contains("portolan_registry_storage_available_bytes "),
        "{metrics}"
    );
}

/// P4.
#[tokio::test]
async fn a_name_that_is_too_long_for_clients_is_refused_when_something_is_pushed() {
    let registry = open().await;
    let longest = "a".repeat(255 - 1 - registry.host.len());
    let start = async |name: &str| registry.post(&format!("/v2/{name}/blobs/uploads/")).await;
    start(&longest).await.expect(202);
    let refused = start(&format!("{longest}a")).await.expect(400);
    assert_eq!(refused.code(), "NAME_INVALID");
    let path = format!("/v2/{longest}a/tags/list");
    assert_eq!(registry.get(&path).await.expect(404).code(), "NAME_UNKNOWN");
}

/// P19.
#[tokio::test]
async fn nothing_is_compressed_on_the_way() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", &"layer ".repeat(1000)).await;
    let layer = registry.push_blob("a", "layer ".repeat(1000).as_bytes()).await;
    for path in [format!("blobs/{layer}"), format!("manifests/{}", image.digest)] {
        let asking = registry
            .asking(Method::GET, &format!("/v2/a/{path}"))
            .header("accept-encoding", "zstd, gzip, br, deflate");
        let answer = asking.send().await.expect(200);
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
}
