//! What HTTP itself asks of answers, in both of its versions.

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::fixture::{Manifest, open};
use crate::stopping::exchange;

/// As much as is read of a body that nobody wants, and the byte behind it.
const DRAINED: usize = 512 * 1024 + 1;

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

/// P18: whoever sends the next request on it would lose that. All that is sent here is read, so that no reset comes first.
#[tokio::test]
async fn an_answer_behind_which_the_connection_ends_says_so() {
    let registry = open().await;
    let begun = registry.post("/v2/a/blobs/uploads/").await.expect(202);
    let patch = format!("PATCH {} HTTP/1.1\r\nhost: x\r\n", begun.header("location"));
    let length = "content-range: 7-3000006\r\ncontent-length: 3000000\r\n";
    for (headers, body, status) in [
        (length.to_owned(), vec![0; DRAINED], 416),
        (format!("{length}expect: 100-continue\r\n"), Vec::new(), 416),
        (
            "transfer-encoding: chunked\r\n".to_owned(),
            b"no number\r\n".to_vec(),
            400,
        ),
    ] {
        let request = [format!("{patch}{headers}\r\n").into_bytes(), body].concat();
        let answer = exchange(&mut registry.connect().await.unwrap(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

/// P18: a body that has come is no reason to end the connection, whether anybody wants it or not.
#[tokio::test]
async fn a_connection_goes_on_behind_a_body_that_has_come() {
    let registry = open().await;
    for (head, body, status) in [
        ("PATCH /v2/a/blobs/uploads/x HTTP/1.1", "12345", "HTTP/1.1 404"),
        ("POST /v2/a/blobs/uploads/ HTTP/1.1", "12345", "HTTP/1.1 202"),
        ("GET /v2/ HTTP/1.1", "12345", "HTTP/1.1 200"),
    ] {
        for length in [
            "content-length: 5\r\n\r\n",
            "transfer-encoding: chunked\r\n\r\n5\r\n",
        ] {
            let end = if length.starts_with('t') {
                "\r\n0\r\n\r\n"
            } else {
                ""
            };
            let next = "GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";
            let last = "GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            let requests = format!("{head}\r\nhost: x\r\n{length}{body}{end}{next}{last}");
            let mut stream = registry.connect().await.unwrap();
            let answers = exchange(&mut stream, requests.as_bytes()).await;
            assert!(answers.starts_with(status), "{answers}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 3, "{answers}");
            assert_eq!(answers.matches("connection: close").count(), 1, "{answers}");
        }
    }
}

/// P18: over HTTP/2 only the request ends.
#[tokio::test]
async fn a_refusal_over_http_2_ends_no_connection() {
    let registry = open().await;
    let begun = registry.post("/v2/a/blobs/uploads/").await.expect(202);
    let patch = registry.asking(Method::PATCH, begun.header("location"));
    let patch = patch
        .header("content-range", "7-3000006")
        .body(vec![0; 3_000_000]);
    let answer = patch.send_http2().await.expect(416);
    assert_eq!(answer.headers.get("connection"), None, "{answer:?}");
}
