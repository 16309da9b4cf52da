//! Uploads that are under way: what they say of themselves, and how they go on.

use http::Method;
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{eventually, open};
use crate::uploads::{assert_pushed, begin, sha256};

/// P71, P77: what was sent so far counts, and the next request may say what it is.
#[tokio::test]
async fn an_upload_that_is_finished_without_a_usable_digest_goes_on() {
    let registry = open().await;
    let location = begin(&registry).await;
    let id = location.rsplit_once('/').unwrap().1;
    registry
        .asking(Method::PATCH, &location)
        .body("hello")
        .send()
        .await
        .expect(202);
    for query in ["", "?digest=", "?digest=md5:abc", "?digest=sha256:short"] {
        let asking = registry.asking(Method::PUT, &format!("{location}{query}"));
        let answer = asking.body("lost").send().await.expect(400);
        assert_eq!(answer.code(), "DIGEST_INVALID", "{query}");
        assert_eq!(
            (answer.header("location"), answer.header("range")),
            (location.as_str(), "0-4"),
            "{query}"
        );
        assert_eq!(answer.header("docker-upload-uuid"), id, "{query}");
    }
    let put = registry.asking(Method::PUT, &format!("{location}?digest={}", sha256(b"hello")));
    put.send().await.expect(201);
    assert_pushed(&registry, b"hello").await;
    let gone = registry.asking(Method::PUT, &location).send().await.expect(404);
    assert_eq!(gone.code(), "BLOB_UPLOAD_UNKNOWN");
}

/// P66, P70: what came is in the file before the rest does, and nobody holds a large body in memory.
#[tokio::test]
async fn a_body_is_written_while_it_comes() {
    let registry = open().await;
    let location = begin(&registry).await;
    let mut stream = registry.connect().await.unwrap();
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n100000\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; 0x10_0000]).await.unwrap();
    stream.flush().await.unwrap();
    eventually("most of what came is written", || async {
        let answer = registry.get(&location).await.expect(204);
        let last = answer.header("range").strip_prefix("0-").unwrap();
        last.parse::<u64>().unwrap() > 500_000
    })
    .await;
    drop(stream);
}

/// P73: of two requests on one upload the second is told where it stands, and nothing of it counts.
#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_one_writes() {
    let registry = open().await;
    let location = begin(&registry).await;
    let mut first = registry.connect().await.unwrap();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n01234"
    );
    first.write_all(head.as_bytes()).await.unwrap();
    first.flush().await.unwrap();
    eventually("the first one writes", || async {
        // in no order in which it could be taken
        let asking = registry.asking(Method::PATCH, &location);
        let second = asking.header("content-range", "90-91").body("no").send().await;
        let second = second.expect(416);
        assert_eq!(second.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!(
            (second.header("location"), second.header("range")),
            (location.as_str(), "0-0")
        );
        second.text().contains("another request is writing")
    })
    .await;
    let answer = crate::stopping::exchange(&mut first, b"56789").await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(answer.contains("range: 0-9\r\n"), "{answer}");
    let put = registry.asking(
        Method::PUT,
        &format!("{location}?digest={}", sha256(b"0123456789")),
    );
    put.send().await.expect(201);
}
