//! Who may do what, by Basic credentials: the rights of the users file on every kind of request.

use http::Method;
use portolan_config::Auth;

use crate::fixture::{Manifest, OCI_INDEX, PASSWORD, guarded, started, usual_users, write_users};

/// P1.
#[tokio::test]
async fn without_credentials_everything_asks_for_them() {
    let registry = guarded().await;
    for (method, path) in [
        (Method::GET, "/v2/"),
        (Method::HEAD, "/v2/"),
        (Method::GET, "/v2/_catalog"),
        (Method::GET, "/v2/team/a/manifests/v1"),
        (Method::PUT, "/v2/team/a/manifests/v1"),
        (Method::DELETE, "/v2/team/a/manifests/v1"),
        (Method::GET, "/v2/team/a/tags/list"),
        (Method::POST, "/v2/team/a/blobs/uploads/"),
    ] {
        let answer = registry.asking(method.clone(), path).send().await.expect(401);
        let challenges = answer.challenges();
        assert_eq!(challenges.len(), 2, "{path}");
        assert!(challenges[0].starts_with("Bearer realm="), "{path}");
        assert!(challenges[1].starts_with("Basic realm="), "{path}");
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
        if method != Method::HEAD {
            assert_eq!(answer.code(), "UNAUTHORIZED");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_never_taken_for_nobody() {
    let registry = guarded().await;
    for (name, password) in [
        ("reader", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("reader", ""),
    ] {
        let answer = registry
            .asking(Method::GET, "/v2/")
            .basic(name, password)
            .send()
            .await
            .expect(401);
        assert_eq!(answer.code(), "UNAUTHORIZED");
    }
    for header in ["Basic", "Basic !!!", "Digest x", "Bearer", "Bearer x.y.z"] {
        registry
            .asking(Method::GET, "/v2/")
            .header("authorization", header)
            .send()
            .await
            .expect(401);
    }
    registry
        .asking(Method::GET, "/v2/")
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(200);
}

/// P34.
#[tokio::test]
async fn each_user_may_do_what_the_file_says_and_nothing_else() {
    let registry = guarded().await;
    let as_user = |name: &'static str, method: Method, path: &'static str| {
        registry.asking(method, path).basic(name, PASSWORD).send()
    };
    as_user("writer", Method::POST, "/v2/team/a/blobs/uploads/")
        .await
        .expect(202);
    as_user("reader", Method::GET, "/v2/team/a/tags/list")
        .await
        .expect(404);
    for (name, method, path) in [
        ("reader", Method::POST, "/v2/team/a/blobs/uploads/"),
        ("reader", Method::PUT, "/v2/team/a/manifests/v1"),
        ("reader", Method::GET, "/v2/other/a/tags/list"),
        ("reader", Method::GET, "/v2/team/tags/list"),
        ("writer", Method::DELETE, "/v2/team/a/manifests/v1"),
        ("writer", Method::GET, "/v2/teams/a/tags/list"),
        ("dropbox", Method::DELETE, "/v2/team/a/manifests/v1"),
    ] {
        let answer = as_user(name, method, path).await.expect(403);
        assert_eq!(answer.code(), "DENIED", "{name} {path}");
        assert!(answer.text().contains(name), "{answer:?}");
    }
    as_user("root", Method::DELETE, "/v2/team/a/manifests/v1")
        .await
        .expect(404);
}

/// P15, P32.
#[tokio::test]
async fn who_may_only_push_can_push_although_probing_finds_nothing() {
    let registry = guarded().await;
    let ask = |method: Method, path: String| {
        registry
            .asking(method, &path)
            .basic("dropbox", PASSWORD)
            .send_owned()
    };
    ask(Method::HEAD, "/v2/team/a/manifests/v1".into())
        .await
        .expect(404);
    let location = ask(Method::POST, "/v2/team/a/blobs/uploads/".into())
        .await
        .expect(202);
    let location = location.header("location").to_owned();
    ask(Method::GET, location.clone()).await.expect(204);
    ask(Method::DELETE, location).await.expect(204);
}

/// P15, P109: 404 would tell clients that there are no such lists here, and they would look for tags instead.
#[tokio::test]
async fn who_may_only_push_gets_an_empty_list_of_referrers() {
    let registry = guarded().await;
    let subject = Manifest::index(&[]);
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "artifactType": "example/signature",
        "subject": {"mediaType": OCI_INDEX, "size": subject.text.len(), "digest": subject.digest},
    });
    let put = registry.asking(Method::PUT, "/v2/team/a/manifests/signature");
    let put = put.basic("root", PASSWORD).header("content-type", OCI_INDEX);
    put.body(text.to_string()).send().await.expect(201);
    let path = format!(
        "/v2/team/a/referrers/{}?artifactType=example/signature",
        subject.digest
    );
    for (name, listed) in [("reader", 1), ("dropbox", 0)] {
        let asking = registry.asking(Method::GET, &path).basic(name, PASSWORD);
        let answer = asking.send().await.expect(200);
        assert_eq!(answer.header("content-type"), OCI_INDEX);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        let list = answer.json()["manifests"].as_array().unwrap().len();
        assert_eq!(list, listed, "{name}");
    }
}

/// P126.
#[tokio::test]
async fn the_catalog_lists_what_one_may_read() {
    let registry = guarded().await;
    for repository in ["team/a", "team/b", "zoo/c", "alone"] {
        let path = format!(
            "/v2/{repository}/blobs/uploads/?digest={}",
            portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x")
        );
        registry
            .asking(Method::POST, &path)
            .basic("root", PASSWORD)
            .body("x")
            .send()
            .await
            .expect(201);
    }
    let list = async |name: &str, query: &str| {
        let path = format!("/v2/_catalog{query}");
        let answer = registry
            .asking(Method::GET, &path)
            .basic(name, PASSWORD)
            .send()
            .await
            .expect(200);
        (
            answer.json()["repositories"].clone(),
            answer.header("link").to_owned(),
        )
    };
    assert_eq!(
        list("root", "").await.0,
        serde_json::json!(["alone", "team/a", "team/b", "zoo/c"])
    );
    assert_eq!(
        list("reader", "").await.0,
        serde_json::json!(["team/a", "team/b"])
    );
    assert_eq!(list("dropbox", "").await.0, serde_json::json!([]));
    let (first, link) = list("reader", "?n=1").await;
    assert_eq!(
        (first, link.as_str()),
        (
            serde_json::json!(["team/a"]),
            "</v2/_catalog?n=1&last=team/a>; rel=\"next\""
        )
    );
    let (second, link) = list("reader", "?n=1&last=team/a").await;
    assert_eq!((second, link.as_str()), (serde_json::json!(["team/b"]), ""));
}

/// P126: nor does it cost more than a name.
#[tokio::test]
async fn the_catalog_looks_at_nothing_that_one_may_not_read() {
    let registry = guarded().await;
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x");
    for repository in ["team/a", "vault/a"] {
        let push = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let asking = registry.asking(Method::POST, &push).basic("root", PASSWORD);
        asking.body("x").send().await.expect(201);
    }
    // whoever looks at this one fails
    let repositories = registry
        .directory
        .path()
        .join("volume/docker/registry/v2/repositories");
    std::os::unix::fs::symlink("_manifests", repositories.join("vault/a/_manifests")).unwrap();
    std::os::unix::fs::symlink("shelf", repositories.join("vault/shelf")).unwrap();
    let list = |name: &str| {
        let asking = registry.asking(Method::GET, "/v2/_catalog");
        asking.basic(name, PASSWORD).send_owned()
    };
    list("root").await.expect(500);
    let listed = list("reader").await.expect(200);
    assert_eq!(listed.json()["repositories"], serde_json::json!(["team/a"]));
}

/// P37.
#[tokio::test]
async fn a_blob_that_one_may_not_read_is_not_mounted_and_not_betrayed() {
    let registry = guarded().await;
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"secret");
    let push = format!("/v2/vault/a/blobs/uploads/?digest={digest}");
    registry
        .asking(Method::POST, &push)
        .basic("root", PASSWORD)
        .body("secret")
        .send()
        .await
        .expect(201);
    for query in [format!("mount={digest}&from=vault/a"), format!("mount={digest}")] {
        let path = format!("/v2/team/a/blobs/uploads/?{query}");
        registry
            .asking(Method::POST, &path)
            .basic("writer", PASSWORD)
            .send()
            .await
            .expect(202);
        registry
            .asking(Method::POST, &path.replace("team/a", "vault/b"))
            .basic("root", PASSWORD)
            .send()
            .await
            .expect(201);
    }
    let stolen = format!("/v2/team/a/blobs/{digest}");
    registry
        .asking(Method::GET, &stolen)
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(404);
}

/// P20.
#[tokio::test]
async fn content_behind_access_control_is_cached_by_nobody_else() {
    let registry = guarded().await;
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x");
    let push = format!("/v2/team/a/blobs/uploads/?digest={digest}");
    registry
        .asking(Method::POST, &push)
        .basic("writer", PASSWORD)
        .body("x")
        .send()
        .await
        .expect(201);
    let blob = registry
        .asking(Method::GET, &format!("/v2/team/a/blobs/{digest}"))
        .basic("reader", PASSWORD);
    assert!(
        blob.send()
            .await
            .expect(200)
            .header("cache-control")
            .starts_with("private, ")
    );
}

#[tokio::test]
async fn without_a_token_service_only_basic_is_offered() {
    let registry = started(|config, files| {
        write_users(files, usual_users());
        config.auth = Some(Auth {
            users_file: files.join("users.yaml"),
            token: None,
        });
    })
    .await;
    let answer = registry.get("/v2/").await.expect(401);
    assert_eq!(
        answer.challenges(),
        ["Basic realm=\"portolan\",charset=\"UTF-8\""]
    );
    registry
        .asking(Method::GET, "/token")
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(404);
    registry
        .asking(Method::GET, "/v2/")
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(200);
}
