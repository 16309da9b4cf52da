//! `If-Match` and `If-None-Match` on writes and deletes: two clients that change one tag lose nothing.

use http::Method;

use crate::client::Answer;
use crate::fixture::{Manifest, Registry, open};

async fn put(registry: &Registry, reference: &str, manifest: &Manifest, condition: (&str, &str)) -> Answer {
    let path = format!("/v2/a/manifests/{reference}");
    let asking = registry
        .asking(Method::PUT, &path)
        .header("content-type", manifest.media_type)
        .header(condition.0, condition.1);
    asking.body(manifest.text.clone()).send().await
}

async fn delete(registry: &Registry, reference: &str, condition: (&str, &str)) -> Answer {
    let path = format!("/v2/a/manifests/{reference}");
    let asking = registry.asking(Method::DELETE, &path);
    asking.header(condition.0, condition.1).send().await
}

fn etag(manifest: &Manifest) -> String {
    format!("\"{}\"", manifest.digest)
}

async fn digest_of(registry: &Registry, reference: &str) -> String {
    let answer = registry.get(&format!("/v2/a/manifests/{reference}")).await;
    answer.header("docker-content-digest").to_owned()
}

/// P104.
#[tokio::test]
async fn a_tag_is_moved_only_from_where_the_client_has_seen_it() {
    let registry = open().await;
    let old = registry.push_image("a", "v1", "old").await;
    let new = registry.push_image("a", "v2", "new").await;
    for wrong in [&etag(&new), &old.digest.to_string(), "\"\"", "W/*"] {
        let answer = put(&registry, "v1", &new, ("if-match", wrong)).await.expect(412);
        assert_eq!(answer.code(), "DENIED", "{wrong}");
    }
    assert_eq!(digest_of(&registry, "v1").await, old.digest.as_str());
    let moved = put(&registry, "v1", &new, ("if-match", &etag(&old)))
        .await
        .expect(201);
    assert_eq!(moved.header("etag"), etag(&new));
    assert_eq!(digest_of(&registry, "v1").await, new.digest.as_str());
    put(&registry, "v1", &old, ("if-match", "*")).await.expect(201);
    put(&registry, "absent", &old, ("if-match", "*"))
        .await
        .expect(412);
    registry.get("/v2/a/manifests/absent").await.expect(404);
}

/// P104.
#[tokio::test]
async fn a_tag_is_made_only_where_there_is_none() {
    let registry = open().await;
    let old = registry.push_image("a", "v1", "old").await;
    let new = registry.push_image("a", "v2", "new").await;
    put(&registry, "v1", &new, ("if-none-match", "*"))
        .await
        .expect(412);
    put(&registry, "v3", &new, ("if-none-match", "*"))
        .await
        .expect(201);
    put(&registry, "v1", &new, ("if-none-match", &etag(&old)))
        .await
        .expect(412);
    put(&registry, "v1", &new, ("if-none-match", &etag(&new)))
        .await
        .expect(201);
    let by_digest = new.digest.as_str();
    put(&registry, by_digest, &new, ("if-none-match", "*"))
        .await
        .expect(412);
}

/// P102, P104: of several tags every one is checked before the first is written.
#[tokio::test]
async fn several_tags_are_written_together_or_not_at_all() {
    let registry = open().await;
    let old = registry.push_image("a", "taken", "old").await;
    let new = registry.push_image("a", "other", "new").await;
    let reference = format!("{}?tag=free&tag=taken&tag=free2", new.digest);
    put(&registry, &reference, &new, ("if-none-match", "*"))
        .await
        .expect(412);
    for tag in ["free", "free2"] {
        registry.get(&format!("/v2/a/manifests/{tag}")).await.expect(404);
    }
    assert_eq!(digest_of(&registry, "taken").await, old.digest.as_str());
    let free = format!("{}?tag=free&tag=free2", new.digest);
    put(&registry, &free, &new, ("if-none-match", "*"))
        .await
        .expect(201);
    assert_eq!(digest_of(&registry, "free2").await, new.digest.as_str());
}

/// P104.
#[tokio::test]
async fn a_tag_or_manifest_is_deleted_only_as_the_client_has_seen_it() {
    let registry = open().await;
    let old = registry.push_image("a", "v1", "old").await;
    let new = registry.push_image("a", "v2", "new").await;
    delete(&registry, "v1", ("if-match", &etag(&new)))
        .await
        .expect(412);
    delete(&registry, old.digest.as_str(), ("if-match", &etag(&new)))
        .await
        .expect(412);
    assert_eq!(digest_of(&registry, "v1").await, old.digest.as_str());
    delete(&registry, "v1", ("if-match", &etag(&old)))
        .await
        .expect(202);
    delete(&registry, old.digest.as_str(), ("if-match", &etag(&old)))
        .await
        .expect(202);
    // what would not have been deleted anyway is told as ever
    delete(&registry, "v1", ("if-match", "*")).await.expect(404);
}

/// P103, P104: of many clients that create one tag at once, one does.
#[tokio::test]
async fn of_many_that_create_a_tag_at_once_one_does() {
    let registry = open().await;
    let mut images = Vec::new();
    for n in 0..8 {
        images.push(
            registry
                .push_image("a", &format!("own{n}"), &format!("layer {n}"))
                .await,
        );
    }
    let race = images
        .iter()
        .map(|image| put(&registry, "one", image, ("if-none-match", "*")));
    let answers = futures::future::join_all(race).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| [201, 412].contains(&answer.status.as_u16()))
    );
    assert_eq!(
        digest_of(&registry, "one").await,
        made[0].header("docker-content-digest")
    );
}
