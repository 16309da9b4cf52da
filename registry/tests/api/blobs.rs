//! Reading and deleting blobs.

use http::Method;

use crate::fixture::{open, started};

/// P47.
#[tokio::test]
async fn a_blob_is_read_with_all_its_headers_and_head_is_the_same_without_a_body() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello world").await;
    let path = format!("/v2/a/blobs/{digest}");
    let got = registry.get(&path).await.expect(200);
    let head = registry.head(&path).await.expect(200);
    assert_eq!((got.body.as_ref(), head.body.len()), (&b"hello world"[..], 0));
    for answer in [got, head] {
        assert_eq!(answer.header("content-length"), "11");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("cache-control"), "max-age=31536000, immutable");
        assert_eq!(answer.header("content-encoding"), "");
    }
}

/// P51.
#[tokio::test]
async fn a_blob_without_a_byte_is_a_blob() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"").await;
    let answer = registry.get(&format!("/v2/a/blobs/{digest}")).await.expect(200);
    assert_eq!((answer.header("content-length"), answer.body.len()), ("0", 0));
}

/// P48.
#[tokio::test]
async fn one_range_is_answered_with_that_part() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello world").await;
    let path = format!("/v2/a/blobs/{digest}");
    for (range, body, content_range) in [
        ("bytes=0-4", "hello", "bytes 0-4/11"),
        ("bytes=6-", "world", "bytes 6-10/11"),
        ("bytes=-3", "rld", "bytes 8-10/11"),
        ("bytes=9-100", "ld", "bytes 9-10/11"),
    ] {
        let answer = registry
            .asking(Method::GET, &path)
            .header("range", range)
            .send()
            .await
            .expect(206);
        assert_eq!(
            (answer.text(), answer.header("content-range")),
            (body, content_range),
            "{range}"
        );
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    for range in ["bytes=11-", "bytes=500-0"] {
        let answer = registry
            .asking(Method::GET, &path)
            .header("range", range)
            .send()
            .await
            .expect(416);
        assert_eq!(answer.header("content-range"), "bytes */11");
    }
    for range in ["lines=0-1", "bytes=x-y"] {
        registry
            .asking(Method::GET, &path)
            .header("range", range)
            .send()
            .await
            .expect(200);
    }
}

/// P47, P48.
#[tokio::test]
async fn head_tells_of_the_whole_blob_whatever_range_is_asked_for() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello world").await;
    for range in ["bytes=0-0", "bytes=0-1,3-4", "bytes=11-"] {
        let asking = registry
            .asking(Method::HEAD, &format!("/v2/a/blobs/{digest}"))
            .header("range", range);
        let answer = asking.send().await.expect(200);
        assert_eq!(answer.header("content-length"), "11", "{range}");
        assert_eq!(answer.header("content-range"), "", "{range}");
    }
}

/// P49.
#[tokio::test]
async fn several_ranges_are_answered_in_one_multipart_body() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello world").await;
    let path = format!("/v2/a/blobs/{digest}");
    let answer = registry
        .asking(Method::GET, &path)
        .header("range", "bytes=0-1,6-7")
        .send()
        .await
        .expect(206);
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str, content: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/11\r\n\r\n{content}"
        )
    };
    let expected = format!("{}{}\r\n--{boundary}--\r\n", part("0-1", "he"), part("6-7", "wo"));
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-length"), expected.len().to_string());
}

/// P50.
#[tokio::test]
async fn a_range_for_other_content_is_ignored() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello world").await;
    let path = format!("/v2/a/blobs/{digest}");
    let ask = |condition: String| {
        registry
            .asking(Method::GET, &path)
            .header("range", "bytes=0-4")
            .header("if-range", &condition)
            .send()
    };
    ask(format!("\"{digest}\"")).await.expect(206);
    ask("\"sha256:other\"".to_owned()).await.expect(200);
}

#[tokio::test]
async fn content_that_the_client_has_is_not_sent_again() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello").await;
    let path = format!("/v2/a/blobs/{digest}");
    let etag = format!("\"{digest}\"");
    let answer = registry
        .asking(Method::GET, &path)
        .header("if-none-match", &etag)
        .send()
        .await
        .expect(304);
    assert_eq!((answer.body.len(), answer.header("etag")), (0, etag.as_str()));
}

/// P55.
#[tokio::test]
async fn a_blob_is_only_found_in_repositories_that_have_it() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello").await;
    let answer = registry.get(&format!("/v2/b/blobs/{digest}")).await.expect(404);
    assert_eq!(answer.code(), "BLOB_UNKNOWN");
}

/// P127, P128, P131.
#[tokio::test]
async fn a_deleted_blob_is_gone_at_once_and_can_be_pushed_again() {
    let registry = open().await;
    let digest = registry.push_blob("a", b"hello").await;
    let path = format!("/v2/a/blobs/{digest}");
    registry.delete(&path).await.expect(202);
    registry.get(&path).await.expect(404);
    assert_eq!(registry.delete(&path).await.expect(404).code(), "BLOB_UNKNOWN");
    registry.push_blob("a", b"hello").await;
    registry.get(&path).await.expect(200);
}

/// P127, P132.
#[tokio::test]
async fn nothing_is_deleted_where_deleting_is_switched_off() {
    let registry = started(|config, _| config.storage.delete_enabled = false).await;
    let image = registry.push_image("a", "v1", "layer").await;
    let digest = registry.push_blob("a", b"loose").await;
    for path in [
        format!("blobs/{digest}"),
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.digest),
    ] {
        let answer = registry.delete(&format!("/v2/a/{path}")).await.expect(405);
        assert_eq!(answer.code(), "UNSUPPORTED");
    }
    registry.get(&format!("/v2/a/blobs/{digest}")).await.expect(200);
    registry.get("/v2/a/manifests/v1").await.expect(200);
}
