//! Lists: tags, repositories, referrers; their pages and their order.

use serde_json::json;

use crate::client::Answer;
use crate::fixture::{Manifest, OCI_INDEX, Registry, open};

/// The address of the next page, if there is one.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    link.strip_prefix('<')
        .map(|rest| rest.strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

async fn tagged(tags: &[&str]) -> Registry {
    let registry = open().await;
    let image = registry.push_image("a", tags[0], "layer").await;
    for tag in tags {
        registry.put_manifest("a", tag, &image).await.expect(201);
    }
    registry
}

/// P121.
#[tokio::test]
async fn tags_are_listed_in_byte_order() {
    let registry = tagged(&["v10", "v2", "V1", "a-b", "a", "latest"]).await;
    let answer = registry.get("/v2/a/tags/list").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({"name": "a", "tags": ["V1", "a", "a-b", "latest", "v10", "v2"]})
    );
    assert_eq!(next(&answer), None);
}

/// P123.
#[tokio::test]
async fn pages_of_tags_follow_each_other_without_gap_or_overlap() {
    let registry = tagged(&["a", "b", "c", "d", "e"]).await;
    let mut seen = Vec::new();
    let mut path = Some("/v2/a/tags/list?n=2".to_owned());
    while let Some(page) = path {
        let answer = registry.get(&page).await.expect(200);
        let tags: Vec<String> = serde_json::from_value(answer.json()["tags"].clone()).unwrap();
        assert!(tags.len() <= 2);
        seen.extend(tags);
        path = next(&answer);
        assert!(
            path.as_ref()
                .is_none_or(|path| path.starts_with("/v2/a/tags/list?n=2&last=")),
            "{path:?}"
        );
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

/// P123.
#[tokio::test]
async fn the_address_of_the_next_page_keeps_what_else_was_asked() {
    let registry = tagged(&["a", "b", "c"]).await;
    let answer = registry
        .get("/v2/a/tags/list?ns=docker.io&n=1&last=a&x=%2B")
        .await
        .expect(200);
    let path = next(&answer).unwrap();
    assert_eq!(
        path,
        "/v2/a/tags/list?ns=docker%2Eio&x=%2B&n=1&last=b".replace("%2E", ".")
    );
    assert_eq!(registry.get(&path).await.json()["tags"], json!(["c"]));
}

/// P120, P121, P122.
#[tokio::test]
async fn edges_of_paging_are_what_clients_expect() {
    let registry = tagged(&["a", "b", "c"]).await;
    let none = registry.get("/v2/a/tags/list?n=0").await.expect(200);
    assert_eq!((none.json()["tags"].clone(), next(&none)), (json!([]), None));
    let after = registry.get("/v2/a/tags/list?last=bb").await.expect(200);
    assert_eq!(after.json()["tags"], json!(["c"]));
    let huge = registry
        .get("/v2/a/tags/list?n=99999999999999999999")
        .await
        .expect(200);
    assert_eq!(huge.json()["tags"], json!(["a", "b", "c"]));
    registry.get("/v2/a/tags/list?n=x").await.expect(400);
    assert_eq!(
        registry.get("/v2/nobody/tags/list").await.expect(404).code(),
        "NAME_UNKNOWN"
    );
}

/// P122: a list is no longer than that, whatever is asked for.
#[tokio::test]
async fn a_page_has_10_000_entries_at_most_and_a_link_to_the_rest() {
    let registry = tagged(&["a"]).await;
    let manifests = "volume/docker/registry/v2/repositories/a/_manifests/tags";
    let tags = registry.directory.path().join(manifests);
    for number in 0..10_000 {
        // so many pushes would take long
        std::os::unix::fs::symlink("a", tags.join(format!("b{number:05}"))).unwrap();
    }
    for path in [
        "/v2/a/tags/list",
        "/v2/a/tags/list?n=20000",
        "/v2/a/tags/list?n=99999999999999999999",
    ] {
        let answer = registry.get(path).await.expect(200);
        assert_eq!(answer.json()["tags"].as_array().unwrap().len(), 10_000, "{path}");
        let rest = next(&answer).unwrap();
        assert_eq!(rest, "/v2/a/tags/list?n=10000&last=b09998");
        let rest = registry.get(&rest).await.expect(200);
        assert_eq!(rest.json()["tags"], json!(["b09999"]));
        assert_eq!(next(&rest), None);
    }
}

/// P120.
#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list() {
    let registry = tagged(&["a"]).await;
    registry.delete("/v2/a/manifests/a").await.expect(202);
    let answer = registry.get("/v2/a/tags/list").await.expect(200);
    assert_eq!(answer.json()["tags"], json!([]));
}

/// P124.
#[tokio::test]
async fn repositories_are_listed_whatever_their_names_share() {
    let registry = open().await;
    for name in ["ab", "a/b", "a", "a-b", "a/b/c"] {
        registry.push_image(name, "v1", "layer").await;
    }
    let answer = registry.get("/v2/_catalog").await.expect(200);
    assert_eq!(
        answer.json()["repositories"],
        json!(["a", "a-b", "a/b", "a/b/c", "ab"])
    );
    let mut seen = Vec::new();
    let mut path = Some("/v2/_catalog?n=2".to_owned());
    while let Some(page) = path {
        let answer = registry.get(&page).await.expect(200);
        seen.extend(serde_json::from_value::<Vec<String>>(answer.json()["repositories"].clone()).unwrap());
        path = next(&answer);
    }
    assert_eq!(seen, ["a", "a-b", "a/b", "a/b/c", "ab"]);
}

/// P108, P109.
#[tokio::test]
async fn referrers_of_anything_are_an_index_never_an_error() {
    let registry = open().await;
    let nobody = Manifest::index(&[]).digest;
    let answer = registry
        .get(&format!("/v2/nobody/referrers/{nobody}"))
        .await
        .expect(200);
    assert_eq!(answer.header("content-type"), OCI_INDEX);
    assert_eq!(
        answer.json(),
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
    );
    registry.get("/v2/a/referrers/sha256:short").await.expect(400);
}

/// P8, P90, P111.
#[tokio::test]
async fn referrers_are_listed_with_type_and_filtered_by_it() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let layer = registry.push_blob("a", b"signature").await;
    let signature = Manifest::image(&layer, 9, Some((&image, "example/signature")));
    let sbom = Manifest::image(&layer, 9, Some((&image, "example/sbom+json")));
    for manifest in [&signature, &sbom] {
        let answer = registry
            .put_manifest("a", manifest.digest.as_str(), manifest)
            .await
            .expect(201);
        assert_eq!(answer.header("oci-subject"), image.digest.as_str());
    }
    let path = format!("/v2/a/referrers/{}", image.digest);
    let all = registry.get(&path).await.expect(200);
    assert_eq!(all.json()["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(all.header("oci-filters-applied"), "");
    for filter in ["example/sbom+json", "example%2Fsbom%2Bjson"] {
        let some = registry
            .get(&format!("{path}?artifactType={filter}"))
            .await
            .expect(200);
        assert_eq!(some.header("oci-filters-applied"), "artifactType");
        let manifests = some.json()["manifests"].clone();
        assert_eq!(manifests.as_array().unwrap().len(), 1);
        assert_eq!(manifests[0]["digest"], json!(sbom.digest));
        assert_eq!(manifests[0]["artifactType"], json!("example/sbom+json"));
    }
    registry
        .delete(&format!("/v2/a/manifests/{}", sbom.digest))
        .await
        .expect(202);
    assert_eq!(
        registry.get(&path).await.json()["manifests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// An index without entries that refers to another manifest, with so many bytes of annotations.
fn referrer(subject: &Manifest, artifact_type: &str, number: usize, bytes: usize) -> Manifest {
    let text = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "artifactType": artifact_type,
        "annotations": {"number": number.to_string(), "large": "x".repeat(bytes)},
        "subject": {"mediaType": subject.media_type, "size": subject.text.len(), "digest": subject.digest},
    });
    Manifest::new(OCI_INDEX, text.to_string())
}

/// P111, P112: common clients read one page, and take 4 MiB at most.
#[tokio::test]
async fn referrers_come_in_one_page_of_4_mib_and_a_link_leads_to_the_rest() {
    let registry = open().await;
    let subject = Manifest::index(&[]);
    let push = async |artifact_type: &str, number: usize, bytes: usize| {
        let manifest = referrer(&subject, artifact_type, number, bytes);
        let digest = manifest.digest.as_str();
        registry.put_manifest("a", digest, &manifest).await.expect(201);
        manifest.digest.to_string()
    };
    let mut pushed = Vec::new();
    for number in 0..70 {
        pushed.push(push("example/a b+c", number, 62_000).await);
    }
    push("example/other", 70, 1).await;
    pushed.sort_unstable();
    let filter = "artifactType=example/a%20b%2Bc";
    let mut path = Some(format!("/v2/a/referrers/{}?{filter}", subject.digest));
    let (mut listed, mut lengths) = (Vec::new(), Vec::new());
    while let Some(page) = path {
        let answer = registry.get(&page).await.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        for entry in answer.json()["manifests"].as_array().unwrap() {
            listed.push(entry["digest"].as_str().unwrap().to_owned());
        }
        lengths.push(answer.body.len());
        path = next(&answer);
        assert!(path.as_ref().is_none_or(|path| path.contains(filter)), "{path:?}");
    }
    assert_eq!(listed, pushed);
    let mib = 1024 * 1024;
    assert!(
        matches!(lengths[..], [first, _] if (3 * mib..=4 * mib).contains(&first)),
        "{lengths:?}"
    );
}

/// P112: nobody fills the page that clients read alone.
#[tokio::test]
async fn a_referrer_that_would_be_a_large_entry_is_refused() {
    let registry = open().await;
    let subject = Manifest::index(&[]);
    let large = referrer(&subject, "example/signature", 0, 64 * 1024);
    let answer = registry.put_manifest("a", "large", &large).await.expect(400);
    assert_eq!(answer.code(), "MANIFEST_INVALID");
    assert!(answer.text().contains("65536"), "{answer:?}");
    // what refers to nothing is in no list
    let mut document: serde_json::Value = serde_json::from_str(&large.text).unwrap();
    document.as_object_mut().unwrap().remove("subject");
    let alone = Manifest::new(OCI_INDEX, document.to_string());
    registry.put_manifest("a", "large", &alone).await.expect(201);
}

/// P110, P114: an index refers to something as an image does.
#[tokio::test]
async fn an_index_is_a_referrer_too() {
    let registry = open().await;
    let image = registry.push_image("a", "v1", "layer").await;
    let text = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "artifactType": "example/bundle",
        "annotations": {"of": "all"},
        "subject": {"mediaType": image.media_type, "size": image.text.len(), "digest": image.digest},
    });
    let index = Manifest::new(OCI_INDEX, text.to_string());
    let answer = registry.put_manifest("a", "bundle", &index).await.expect(201);
    assert_eq!(answer.header("oci-subject"), image.digest.as_str());
    let list = registry.get(&format!("/v2/a/referrers/{}", image.digest)).await;
    let expected = json!({
        "mediaType": OCI_INDEX, "digest": index.digest, "size": index.text.len(),
        "artifactType": "example/bundle", "annotations": {"of": "all"},
    });
    assert_eq!(list.json()["manifests"], json!([expected]));
}

/// P125, P128: once read, the list of tags is kept right by what is written.
#[tokio::test]
async fn a_list_that_was_read_before_shows_every_change_since() {
    let registry = tagged(&["a", "b"]).await;
    let listed = async || registry.get("/v2/a/tags/list").await.expect(200).json()["tags"].clone();
    assert_eq!(listed().await, json!(["a", "b"]));
    let other = registry.push_image("a", "c", "other layer").await;
    assert_eq!(listed().await, json!(["a", "b", "c"]));
    registry.put_manifest("a", "d", &other).await.expect(201);
    registry.delete("/v2/a/manifests/a").await.expect(202);
    assert_eq!(listed().await, json!(["b", "c", "d"]));
    let gone = format!("/v2/a/manifests/{}", other.digest);
    registry.delete(&gone).await.expect(202);
    assert_eq!(listed().await, json!(["b"]));
}
