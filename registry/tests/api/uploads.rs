//! Pushing blobs in every way that clients do.

use http::Method;
use portolan_oci::{Algorithm, Digest};

use crate::fixture::{Registry, open, started};

pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// Begins an upload and returns where it goes on.
pub(crate) async fn begin(registry: &Registry) -> String {
    let answer = registry.post("/v2/a/blobs/uploads/").await.expect(202);
    assert_eq!(answer.header("range"), "0-0");
    assert_eq!(answer.header("content-length"), "0");
    assert!(!answer.header("docker-upload-uuid").is_empty());
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/v2/a/blobs/uploads/"), "{location}");
    location
}

pub(crate) async fn assert_pushed(registry: &Registry, content: &[u8]) {
    let answer = registry
        .get(&format!("/v2/a/blobs/{}", sha256(content)))
        .await
        .expect(200);
    assert_eq!(answer.body, content);
}

/// P60, P62.
#[tokio::test]
async fn a_blob_is_pushed_in_one_request() {
    let registry = open().await;
    let digest = sha256(b"hello");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let answer = registry
        .asking(Method::POST, &path)
        .body("hello")
        .send()
        .await
        .expect(201);
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    assert_pushed(&registry, b"hello").await;
}

/// P65.
#[tokio::test]
async fn a_blob_is_pushed_by_post_and_put() {
    let registry = open().await;
    let location = begin(&registry).await;
    let path = format!("{location}?digest={}", sha256(b"hello"));
    registry
        .asking(Method::PUT, &path)
        .body("hello")
        .send()
        .await
        .expect(201);
    assert_pushed(&registry, b"hello").await;
}

/// P57, P60, P69, P70, P72, P75.
#[tokio::test]
async fn a_blob_is_pushed_in_chunks_that_may_be_asked_about_at_any_time() {
    let registry = open().await;
    let location = begin(&registry).await;
    let id = location.rsplit_once('/').unwrap().1;
    let answer = registry.get(&location).await.expect(204);
    assert_eq!(answer.header("range"), "0-0");
    assert_eq!(answer.header("docker-upload-uuid"), id);
    let chunk = |range: &'static str, body: &'static str| {
        registry
            .asking(Method::PATCH, &location)
            .header("content-range", range)
            .body(body)
            .send()
    };
    let answer = chunk("0-2", "hel").await.expect(202);
    assert_eq!(answer.header("range"), "0-2");
    assert_eq!(answer.header("location"), location);
    assert_eq!(answer.header("docker-upload-uuid"), id);
    let answer = registry.get(&location).await.expect(204);
    assert_eq!(
        (answer.header("range"), answer.header("location")),
        ("0-2", location.as_str())
    );
    chunk("3-4", "lo").await.expect(202);
    let done = registry.asking(Method::PUT, &format!("{location}?digest={}", sha256(b"hello")));
    let done = done.send().await.expect(201);
    let digest = sha256(b"hello");
    assert_eq!(done.header("location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(done.header("docker-content-digest"), digest.as_str());
    assert_eq!(
        registry.get(done.header("location")).await.expect(200).text(),
        "hello"
    );
    registry.get(&location).await.expect(404);
}

/// P67, P68, P71.
#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let registry = open().await;
    let location = begin(&registry).await;
    let digest = sha256(b"hello");
    let put = format!("{location}?digest={digest}");
    for (method, path) in [(Method::PATCH, location.as_str()), (Method::PUT, put.as_str())] {
        let asking = registry
            .asking(method, path)
            .header("content-range", "3-4")
            .body("lo");
        let answer = asking.send().await.expect(416);
        assert_eq!(answer.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!(
            (answer.header("location"), answer.header("range")),
            (location.as_str(), "0-0")
        );
        let id = location.rsplit_once('/').unwrap().1;
        assert_eq!(answer.header("docker-upload-uuid"), id);
    }
    let long = registry
        .asking(Method::PATCH, &location)
        .header("content-range", "0-2")
        .body("hello");
    long.send().await.expect(416);
    assert_eq!(registry.get(&location).await.header("range"), "0-0");
    let all = registry
        .asking(Method::PUT, &put)
        .header("content-range", "0-4")
        .body("hello");
    all.send().await.expect(201);
}

/// P62, P76.
#[tokio::test]
async fn content_that_has_another_digest_is_refused_in_every_way_of_pushing() {
    let registry = open().await;
    let wrong = sha256(b"other");
    let path = format!("/v2/a/blobs/uploads/?digest={wrong}");
    let answer = registry
        .asking(Method::POST, &path)
        .body("hello")
        .send()
        .await
        .expect(400);
    assert_eq!(answer.code(), "DIGEST_INVALID");
    let location = begin(&registry).await;
    let put = registry
        .asking(Method::PUT, &format!("{location}?digest={wrong}"))
        .body("hello");
    assert_eq!(put.send().await.expect(400).code(), "DIGEST_INVALID");
    registry.get(&location).await.expect(404);
    for digest in [wrong, sha256(b"hello")] {
        registry.head(&format!("/v2/a/blobs/{digest}")).await.expect(404);
    }
}

/// P77.
#[tokio::test]
async fn a_finishing_request_that_is_repeated_gets_the_same_answer() {
    let registry = open().await;
    let location = begin(&registry).await;
    let path = format!("{location}?digest={}", sha256(b"hello"));
    for _ in 0..2 {
        registry
            .asking(Method::PUT, &path)
            .body("hello")
            .send()
            .await
            .expect(201);
    }
}

/// P77.
#[tokio::test]
async fn a_large_finishing_request_that_is_repeated_is_read_to_its_end() {
    let registry = open().await;
    let content = vec![7_u8; 16 << 20];
    let digest = registry.push_blob("a", &content).await;
    let location = begin(&registry).await;
    registry.delete(&location).await.expect(204);
    let head = format!(
        "PUT {location}?digest={digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        content.len()
    );
    let mut stream = registry.connect().await.unwrap();
    let request = [head.as_bytes(), &content].concat();
    let answer = crate::stopping::exchange(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// P78.
#[tokio::test]
async fn an_upload_that_is_given_up_is_gone() {
    let registry = open().await;
    let location = begin(&registry).await;
    registry.delete(&location).await.expect(204);
    let answer = registry.get(&location).await.expect(404);
    assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
    registry.delete(&location).await.expect(404);
    let odd = registry
        .asking(Method::PATCH, "/v2/a/blobs/uploads/never-was")
        .body("x");
    assert_eq!(odd.send().await.expect(404).code(), "BLOB_UPLOAD_UNKNOWN");
}

/// P63, P64.
#[tokio::test]
async fn an_upload_of_any_algorithm_is_taken_with_and_without_a_hint() {
    let registry = open().await;
    for algorithm in Algorithm::ALL {
        let digest = Digest::of(algorithm, b"hello");
        for start in [
            format!("/v2/a/blobs/uploads/?digest-algorithm={algorithm}"),
            "/v2/b/blobs/uploads/".to_owned(),
        ] {
            let location = registry
                .post(&start)
                .await
                .expect(202)
                .header("location")
                .to_owned();
            registry
                .asking(Method::PATCH, &location)
                .body("hel")
                .send()
                .await
                .expect(202);
            let put = registry
                .asking(Method::PUT, &format!("{location}?digest={digest}"))
                .body("lo");
            put.send().await.expect(201);
        }
        let got = registry.get(&format!("/v2/b/blobs/{digest}")).await.expect(200);
        assert_eq!(got.header("docker-content-digest"), digest.as_str());
    }
    let md5 = registry
        .post("/v2/a/blobs/uploads/?digest-algorithm=md5")
        .await
        .expect(400);
    assert_eq!(md5.code(), "DIGEST_INVALID");
}

/// P85, P86, P87.
#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it_or_an_upload_begins() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello").await;
    for (number, from) in ["&from=a", ""].iter().enumerate() {
        let path = format!("/v2/b{number}/blobs/uploads/?mount={digest}{from}");
        let answer = registry.post(&path).await.expect(201);
        assert_eq!(answer.header("location"), format!("/v2/b{number}/blobs/{digest}"));
        registry.get(answer.header("location")).await.expect(200);
    }
    let missing = sha256(b"nowhere");
    for query in [
        format!("mount={missing}&from=a"),
        format!("mount={digest}&from=nobody"),
        format!("mount={digest}&from=NOT-A-NAME"),
    ] {
        let answer = registry
            .post(&format!("/v2/c/blobs/uploads/?{query}"))
            .await
            .expect(202);
        assert_eq!(answer.header("range"), "0-0");
    }
    registry.get(&format!("/v2/c/blobs/{digest}")).await.expect(404);
}

/// P66, P84.
#[tokio::test]
async fn a_large_body_without_a_length_is_streamed() {
    let registry = open().await;
    let location = begin(&registry).await;
    let mut stream = registry.connect().await.unwrap();
    let content = vec![7_u8; 3_000_000];
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let mut request = head.into_bytes();
    for part in content.chunks(100_000) {
        request.extend(format!("{:x}\r\n", part.len()).into_bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = crate::stopping::exchange(&mut stream, &request).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(answer.contains("range: 0-2999999\r\n"), "{answer}");
    let put = registry.asking(Method::PUT, &format!("{location}?digest={}", sha256(&content)));
    put.send().await.expect(201);
    assert!(
        registry
            .metrics()
            .await
            .contains("portolan_registry_received_bytes_total 3000000\n")
    );
}

/// P74.
#[tokio::test]
async fn what_came_before_a_lost_connection_counts() {
    let registry = open().await;
    let location = begin(&registry).await;
    let mut stream = registry.connect().await.unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n0123456789");
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::flush(&mut stream).await.unwrap();
    drop(stream);
    crate::fixture::eventually("ten bytes are kept", || async {
        registry.get(&location).await.expect(204).header("range") == "0-9"
    })
    .await;
}

/// P67, P71: a refusal that leaves the upload alive says where it stands, also when the chunk cannot be read.
#[tokio::test]
async fn an_unreadable_content_range_is_answered_with_where_the_upload_stands() {
    let registry = open().await;
    let location = begin(&registry).await;
    let chunk = |range: &'static str, location: &str| {
        let asking = registry.asking(Method::PATCH, location);
        asking.header("content-range", range).body("hello").send_owned()
    };
    chunk("0-4", &location).await.expect(202);
    for range in ["x-y", "9-5", "", "5"] {
        let answer = chunk(range, &location).await.expect(416);
        assert_eq!(answer.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!(
            (answer.header("location"), answer.header("range")),
            (location.as_str(), "0-4"),
            "{range}"
        );
    }
    let gone = "/v2/a/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de";
    assert_eq!(chunk("x-y", gone).await.expect(404).code(), "BLOB_UPLOAD_UNKNOWN");
}

/// P83.
#[tokio::test]
async fn a_blob_larger_than_allowed_is_refused_early_or_late_and_its_upload_is_gone() {
    let limit = |config: &mut portolan_config::Config, _: &std::path::Path| {
        config.uploads.max_blob_bytes = std::num::NonZeroU64::new(10);
    };
    let registry = started(limit).await;
    let whole = |content: &'static str| {
        let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(content.as_bytes()));
        registry.asking(Method::POST, &path).body(content).send_owned()
    };
    whole("ten bytes!").await.expect(201);
    assert_eq!(whole("eleven byte").await.expect(413).code(), "SIZE_INVALID");

    let location = begin(&registry).await;
    let chunk = |content: &'static str| {
        registry
            .asking(Method::PATCH, &location)
            .body(content)
            .send_owned()
    };
    chunk("ten bytes").await.expect(202);
    chunk("no").await.expect(413);
    registry.get(&location).await.expect(404);

    let location = begin(&registry).await;
    let mut stream = registry.connect().await.unwrap();
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nb\r\neleven byte\r\n0\r\n\r\n"
    );
    let answer = crate::stopping::exchange(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    registry.get(&location).await.expect(404);
}

/// P58, P59, P61: what clients add to a request without meaning it does no harm.
#[tokio::test]
async fn an_upload_begins_and_ends_whatever_else_the_request_says() {
    let registry = open().await;
    let begin = registry
        .asking(Method::POST, "/v2/a/blobs/uploads?origin=x&_state=y")
        .header("content-type", "application/json");
    let location = begin.send().await.expect(202).header("location").to_owned();
    let digest = sha256(b"hello").to_string().replace(':', "%3A");
    let path = format!("{location}?_state=y&digest={digest}&other=");
    let end = registry
        .asking(Method::PUT, &path)
        .header("content-type", "text/plain");
    end.body("hello").send().await.expect(201);
    assert_pushed(&registry, b"hello").await;
}
