//! What HTTP itself asks of answers, in both of its versions.

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::fixture::{Manifest, open};

/// P43, P70: the answers that have no body have no length either, not even 0 (RFC 9110, 8.6).
#[tokio::test]
async fn an_answer_without_content_has_no_length() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let layer = registry.push_blob("a", b"layer").await;
    let begun = registry.post("/v2/a/blobs/uploads/").await.expect(202);
    let upload = begun.header("location").to_owned();
    let (manifest, blob) = ("/v2/a/manifests/v1".to_owned(), format!("/v2/a/blobs/{layer}"));
    for (status, method, path, etag) in [
        (304, Method::HEAD, &manifest, &image.digest),
        (304, Method::GET, &manifest, &image.digest),
        (304, Method::HEAD, &blob, &layer),
        (304, Method::GET, &blob, &layer),
        (204, Method::GET, &upload, &layer),
    ] {
        let ask = || {
            let asking = registry.asking(method.clone(), path);
            asking.header("if-none-match", &format!("\"{etag}\""))
        };
        for answer in [ask().send().await, ask().send_http2().await] {
            let answer = answer.expect(status);
            assert_eq!(answer.headers.get("content-length"), None, "{answer:?}");
        }
    }
}

/// P18: everything that a client does, in one connection after another.
#[tokio::test]
async fn an_image_is_pushed_and_pulled_over_http_2() {
    let registry = open().await;
    let content = vec![7_u8; 3_000_000]; // more than any window
    let layer = Digest::of(Algorithm::Sha256, &content);
    let config = Digest::of(Algorithm::Sha256, b"{}");
    for (digest, body) in [(&layer, content.clone()), (&config, b"{}".to_vec())] {
        let begun = registry.asking(Method::POST, "/v2/a/blobs/uploads/");
        let begun = begun.send_http2().await.expect(202);
        let location = begun.header("location");
        let patch = registry.asking(Method::PATCH, location).body(body);
        patch.send_http2().await.expect(202);
        let put = registry.asking(Method::PUT, &format!("{location}?digest={digest}"));
        put.send_http2().await.expect(201);
    }
    let image = Manifest::image(&layer, content.len(), None);
    let put = registry
        .asking(Method::PUT, "/v2/a/manifests/v1")
        .header("content-type", image.media_type)
        .body(image.text.clone());
    put.send_http2().await.expect(201);
    let get = |path: String| registry.asking(Method::GET, &path).send_http2();
    assert_eq!(
        get("/v2/a/manifests/v1".to_owned()).await.expect(200).text(),
        image.text
    );
    assert_eq!(
        get(format!("/v2/a/blobs/{layer}")).await.expect(200).body,
        content
    );
}

/// P21: over HTTP/2 the connection itself refuses a head of more than 40 KiB, path and query included.
#[tokio::test]
async fn heads_of_32_kib_are_taken_over_http_2_and_larger_ones_refused() {
    let registry = open().await;
    let ask = async |bytes| {
        let token = format!("Bearer {}", "x".repeat(bytes));
        let asking = registry.asking(Method::GET, "/v2/");
        asking.header("authorization", &token).send_http2().await
    };
    ask(32 * 1024).await.expect(200);
    ask(45 * 1024).await.expect(431);
}
