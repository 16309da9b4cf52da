//! Pushing, reading and deleting manifests and tags.

use http::Method;
use portolan_config::Missing;
use portolan_oci::{Algorithm, Digest};

use crate::fixture::{Manifest, OCI_INDEX, OCI_MANIFEST, open, started};

/// P20, P39, P41, P107.
#[tokio::test]
async fn a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    for reference in ["v1", image.digest.as_str()] {
        let path = format!("/v2/a/manifests/{reference}");
        let got = registry.get(&path).await.expect(200);
        assert_eq!(got.text(), image.text);
        for answer in [got, registry.head(&path).await.expect(200)] {
            assert_eq!(answer.header("content-type"), OCI_MANIFEST);
            assert_eq!(answer.header("content-length"), image.text.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), image.digest.as_str());
            assert_eq!(answer.header("etag"), format!("\"{}\"", image.digest));
            let caching = if reference == "v1" {
                "no-cache"
            } else {
                "max-age=31536000, immutable"
            };
            assert_eq!(answer.header("cache-control"), caching);
        }
    }
}

/// P42.
#[tokio::test]
async fn what_accept_says_changes_nothing() {
    let registry = open().await;
    registry.push_image("a", "v1", "layer").await;
    let asking = registry
        .asking(Method::GET, "/v2/a/manifests/v1")
        .header("accept", "text/html");
    assert_eq!(
        asking.send().await.expect(200).header("content-type"),
        OCI_MANIFEST
    );
}

/// P90.
#[tokio::test]
async fn a_push_answers_where_the_manifest_is() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let answer = registry.put_manifest("a", "v2", &image).await.expect(201);
    assert_eq!(
        answer.header("location"),
        format!("/v2/a/manifests/{}", image.digest)
    );
    assert_eq!(answer.header("docker-content-digest"), image.digest.as_str());
    assert_eq!(answer.header("oci-subject"), "");
}

/// P21, P90, P102.
#[tokio::test]
async fn a_manifest_pushed_by_digest_gets_every_tag_of_the_query() {
    let registry = open().await;
    let image = registry.push_image("a", "v0", "layer").await;
    let reference = format!("{}?tag=v1&tag=v2&tag=v1", image.digest);
    let answer = registry.put_manifest("a", &reference, &image).await.expect(201);
    let tags: Vec<_> = answer.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["v1", "v2"]);
    registry.get("/v2/a/manifests/v2").await.expect(200);
    let bad = format!("{}?tag=v3&tag=-bad", image.digest);
    registry.put_manifest("a", &bad, &image).await.expect(400);
    registry.get("/v2/a/manifests/v3").await.expect(404);
}

/// P21, P102: in both versions of HTTP.
#[tokio::test]
async fn a_manifest_gets_128_tags_at_once_and_no_more() {
    let registry = open().await;
    let image = registry.push_image("a", "v0", "layer").await;
    let put = |prefix: &str, count: usize| {
        let tags: Vec<String> = (0..count).map(|n| format!("tag={prefix}{n}")).collect();
        let path = format!("/v2/a/manifests/{}?{}", image.digest, tags.join("&"));
        registry
            .asking(Method::PUT, &path)
            .header("content-type", image.media_type)
            .body(image.text.clone())
    };
    let answers = [put("one-", 128).send().await, put("two-", 128).send_http2().await];
    for answer in answers {
        assert_eq!(answer.expect(201).headers.get_all("oci-tag").iter().count(), 128);
    }
    assert_eq!(put("x-", 129).send().await.expect(414).code(), "MANIFEST_INVALID");
    let tags = registry.get("/v2/a/tags/list").await.expect(200).json();
    assert_eq!(tags["tags"].as_array().unwrap().len(), 2 * 128 + 1);
}

/// P95.
#[tokio::test]
async fn a_manifest_under_another_digest_is_refused() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let other = Manifest::index(&[]);
    let answer = registry
        .put_manifest("a", other.digest.as_str(), &image)
        .await
        .expect(400);
    assert_eq!(answer.code(), "DIGEST_INVALID");
}

/// P97.
#[tokio::test]
async fn a_manifest_whose_blobs_are_missing_is_refused_and_they_are_named() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let answer = registry.put_manifest("b", "v1", &image).await.expect(400);
    assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(
        answer.json()["errors"][0]["detail"]["missing"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    registry.get("/v2/b/manifests/v1").await.expect(404);
}

/// P96, P97: only layers of the types made for it may be elsewhere; `urls` exempt nothing, and a config is always needed.
#[tokio::test]
async fn what_an_image_says_to_be_elsewhere_is_missing_all_the_same() {
    let registry = open().await;
    registry.push_blob("a", b"{}").await;
    let (absent, nondistributable) = (
        Manifest::index(&[]).digest,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    );
    let elsewhere = |media_type: &str| serde_json::json!({"mediaType": media_type, "size": 1, "digest": absent, "urls": ["https://example.com/x"]});
    let image = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document: serde_json::Value =
            serde_json::from_str(&Manifest::image(&absent, 1, None).text).unwrap();
        change(&mut document);
        Manifest::new(OCI_MANIFEST, document.to_string())
    };
    for refused in [
        image(&|it| it["layers"] = serde_json::json!([elsewhere("application/octet-stream")])),
        image(&|it| {
            it["layers"] = serde_json::json!([]);
            it["config"] = elsewhere(nondistributable);
        }),
    ] {
        let answer = registry.put_manifest("a", "v1", &refused).await.expect(400);
        assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN", "{}", refused.text);
    }
    let foreign = image(&|it| it["layers"] = serde_json::json!([elsewhere(nondistributable)]));
    registry.put_manifest("a", "v1", &foreign).await.expect(201);
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let registry = open().await;
    for (media_type, text) in [
        (OCI_MANIFEST, "no json"),
        (OCI_MANIFEST, "{}"),
        ("text/plain", "hello"),
    ] {
        let manifest = Manifest::new(media_type, text.to_owned());
        let answer = registry.put_manifest("a", "v1", &manifest).await.expect(400);
        assert_eq!(answer.code(), "MANIFEST_INVALID", "{text}");
    }
}

/// P18, P94.
#[tokio::test]
async fn a_manifest_that_is_too_large_is_refused_before_it_is_read() {
    let registry = open().await;
    let large = Manifest::new(OCI_MANIFEST, " ".repeat(6 * 1024 * 1024));
    let answer = registry.put_manifest("a", "v1", &large).await.expect(413);
    assert_eq!(answer.code(), "MANIFEST_INVALID");
    let mut stream = registry.connect().await.unwrap();
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    let answer = crate::stopping::exchange(&mut stream, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// P94.
#[tokio::test]
async fn an_index_of_too_many_entries_is_refused_with_both_numbers() {
    let registry = open().await;
    let of = |count: usize| {
        let entry = |number: usize| {
            format!(r#"{{"mediaType":"{OCI_MANIFEST}","digest":"sha256:{number:064x}","size":1}}"#)
        };
        let entries: Vec<String> = (0..count).map(entry).collect();
        let entries = entries.join(",");
        Manifest::new(
            OCI_INDEX,
            format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}"#),
        )
    };
    registry.put_manifest("a", "most", &of(5_000)).await.expect(201);
    let answer = registry.put_manifest("a", "more", &of(5_001)).await.expect(400);
    assert_eq!(answer.code(), "MANIFEST_INVALID");
    let said = answer.text();
    assert!(said.contains("5001") && said.contains("5000"), "{said}");
}

/// P39, P40: the digest that was asked for, and by tag the one of the push.
#[tokio::test]
async fn a_manifest_pushed_by_another_algorithm_is_answered_with_that_digest() {
    let registry = open().await;
    let image = registry.push_image("a", "v0", "layer").await;
    for algorithm in [Algorithm::Sha384, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, image.text.as_bytes());
        let reference = format!("{digest}?tag=v1");
        let pushed = registry.put_manifest("a", &reference, &image).await.expect(201);
        assert_eq!(pushed.header("docker-content-digest"), digest.as_str());
        for reference in [digest.as_str(), "v1"] {
            let path = format!("/v2/a/manifests/{reference}");
            for answer in [registry.get(&path).await, registry.head(&path).await] {
                let answer = answer.expect(200);
                assert_eq!(answer.header("docker-content-digest"), digest.as_str());
                assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            }
        }
        let other = registry.get("/v2/a/manifests/v0").await.expect(200);
        assert_eq!(other.header("docker-content-digest"), image.digest.as_str());
    }
}

/// P43.
#[tokio::test]
async fn a_manifest_that_the_client_has_is_not_sent_again() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let etag = format!("\"other\", W/\"{}\"", image.digest);
    for method in [Method::GET, Method::HEAD] {
        let asking = registry
            .asking(method, "/v2/a/manifests/v1")
            .header("if-none-match", &etag);
        let answer = asking.send().await.expect(304);
        assert_eq!(
            (answer.body.len(), answer.header("docker-content-digest")),
            (0, image.digest.as_str())
        );
    }
    let asking = registry.asking(Method::GET, "/v2/a/manifests/v1");
    let answer = asking.header("if-none-match", "\"sha256:other\"").send().await;
    assert_eq!(answer.expect(200).text(), image.text);
}

/// P14, P45.
#[tokio::test]
async fn what_is_missing_is_told_apart() {
    let registry = open().await;
    registry.push_image("a", "v1", "layer").await;
    assert_eq!(
        registry.get("/v2/a/manifests/v2").await.expect(404).code(),
        "MANIFEST_UNKNOWN"
    );
    assert_eq!(
        registry.get("/v2/nobody/manifests/v1").await.expect(404).code(),
        "NAME_UNKNOWN"
    );
}

/// P127.
#[tokio::test]
async fn a_deleted_tag_leaves_the_manifest_and_the_other_tags() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    registry.put_manifest("a", "v2", &image).await.expect(201);
    registry.delete("/v2/a/manifests/v1").await.expect(202);
    registry.get("/v2/a/manifests/v1").await.expect(404);
    registry.get("/v2/a/manifests/v2").await.expect(200);
    registry
        .get(&format!("/v2/a/manifests/{}", image.digest))
        .await
        .expect(200);
    assert_eq!(
        registry.delete("/v2/a/manifests/v1").await.expect(404).code(),
        "MANIFEST_UNKNOWN"
    );
}

/// P127.
#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_along() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    registry.push_image("a", "other", "other layer").await;
    registry
        .delete(&format!("/v2/a/manifests/{}", image.digest))
        .await
        .expect(202);
    registry.get("/v2/a/manifests/v1").await.expect(404);
    assert_eq!(
        registry.get("/v2/a/tags/list").await.json()["tags"],
        serde_json::json!(["other"])
    );
}

/// P96, P97.
#[tokio::test]
async fn an_index_may_come_before_what_it_lists() {
    let registry = open().await;
    let other = registry.push_image("b", "v1", "layer").await;
    let index = Manifest::index(&[&other]);
    registry.put_manifest("a", "multi", &index).await.expect(201);
    registry
        .put_manifest("a", "empty", &Manifest::index(&[]))
        .await
        .expect(201);
}

/// P97: what an image needs may come later where the configuration says so, and a child may be required.
#[tokio::test]
async fn the_configuration_decides_about_what_manifests_lack() {
    let sparse = started(|config, _| config.manifests.missing_layers = Missing::Accept).await;
    let other = open().await;
    let image = other.push_image("a", "v1", "layer").await;
    sparse.put_manifest("a", "v1", &image).await.expect(201);
    assert_eq!(
        sparse.get("/v2/a/manifests/v1").await.expect(200).text(),
        image.text
    );
    let strict = started(|config, _| config.manifests.missing_children = Missing::Refuse).await;
    let index = Manifest::index(&[&image]);
    let answer = strict.put_manifest("a", "multi", &index).await.expect(400);
    assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN");
    let missing = &answer.json()["errors"][0]["detail"]["missing"];
    assert_eq!(*missing, serde_json::json!([image.digest]));
    strict.push_image("a", "v1", "layer").await;
    strict.put_manifest("a", "multi", &index).await.expect(201);
}

/// P98, P129: the entries of an index may be blobs, as in build caches.
#[tokio::test]
async fn an_index_may_list_blobs_and_keeps_them() {
    let registry = started(|config, _| config.manifests.missing_children = Missing::Refuse).await;
    let layer = registry.push_blob("a", b"cache").await;
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"application/octet-stream","size":5,"digest":"{layer}"}}]}}"#
    );
    let cache = Manifest::new(OCI_INDEX, text);
    registry.put_manifest("a", "cache", &cache).await.expect(201);
    let refused = registry.delete(&format!("/v2/a/blobs/{layer}")).await.expect(405);
    assert!(refused.text().contains(cache.digest.as_str()), "{refused:?}");
}

/// P100.
#[tokio::test]
async fn a_tag_moves_from_an_image_to_an_index_and_back() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let index = Manifest::index(&[&image]);
    for manifest in [&index, &image, &index] {
        registry.put_manifest("a", "v1", manifest).await.expect(201);
        let head = registry.head("/v2/a/manifests/v1").await.expect(200);
        assert_eq!(head.header("content-type"), manifest.media_type);
        assert_eq!(head.header("docker-content-digest"), manifest.digest.as_str());
    }
}
