//! What HTTP itself asks of answers, in both of its versions.

use http::Method;

use crate::fixture::open;

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
