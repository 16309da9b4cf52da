//! The built-in token service, as docker, containerd and the rest use it.

use std::sync::atomic::Ordering;

use http::Method;
use portolan_config::Action;

use crate::client::parameters;
use crate::fixture::{PASSWORD, eventually, guarded, started, user, usual_users, with_auth, write_users};

/// P22.
#[tokio::test]
async fn the_challenge_leads_to_a_token_that_opens() {
    let registry = guarded().await;
    let refused = registry.get("/v2/team/a/tags/list").await.expect(401);
    let challenge = parameters(refused.challenges()[0]);
    assert_eq!(challenge["realm"], format!("http://{}/token", registry.host));
    assert_eq!(
        (challenge["service"].as_str(), challenge["scope"].as_str()),
        ("svc", "repository:team/a:pull")
    );
    let token = registry.token("reader", PASSWORD, &challenge["scope"]).await;
    registry
        .asking(Method::GET, "/v2/team/a/tags/list")
        .bearer(&token)
        .send()
        .await
        .expect(404);
    registry
        .asking(Method::GET, "/v2/")
        .bearer(&token)
        .send()
        .await
        .expect(200);
}

/// P22: behind a proxy that ends TLS, the address of the proxy.
#[tokio::test]
async fn clients_are_sent_for_tokens_to_the_address_that_they_know() {
    let registry = started(|config, files| {
        with_auth(config, files);
        config.http.external_url = Some("https://registry.example.com:8443".to_owned());
    })
    .await;
    let refused = registry.get("/v2/").await.expect(401);
    let realm = &parameters(refused.challenges()[0])["realm"];
    assert_eq!(realm, "https://registry.example.com:8443/token");
}

/// P23, P24, P28, P30.
#[tokio::test]
async fn a_login_asks_for_no_scope_and_gets_a_token_without_rights() {
    let registry = guarded().await;
    let refused = registry.get("/v2/").await.expect(401);
    assert!(!parameters(refused.challenges()[0]).contains_key("scope"));
    let path = "/token?account=reader&client_id=docker&offline_token=true&service=svc";
    let answer = registry
        .asking(Method::GET, path)
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(200);
    let json = answer.json();
    assert_eq!(json["token"], json["access_token"]);
    assert_eq!(json["expires_in"], 300);
    assert_eq!(json["scope"], "");
    assert!(
        json["issued_at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = json["token"].as_str().unwrap();
    registry
        .asking(Method::GET, "/v2/")
        .bearer(token)
        .send()
        .await
        .expect(200);
    let narrow = registry
        .asking(Method::GET, "/v2/team/a/tags/list")
        .bearer(token)
        .send()
        .await
        .expect(401);
    let challenge = parameters(narrow.challenges()[0]);
    assert_eq!(challenge["error"], "insufficient_scope");
    assert_eq!(challenge["scope"], "repository:team/a:pull");
}

/// P26, P61: clients send the name once more in the query, where it may hold what no path may.
#[tokio::test]
async fn users_whose_names_hold_backslashes_and_percent_signs_log_in() {
    let registry = guarded().await;
    let mut users = usual_users();
    let names = ["DOM\\ann", "100%", "a%5Cb"];
    users.extend(names.map(|name| user(name, "team/**", &[Action::Pull])));
    write_users(&registry.files(), users);
    for name in names {
        let account = name.replace('%', "%25").replace('\\', "%5C");
        let path = format!("/token?account={account}&service=svc&scope=repository:team/a:pull");
        eventually("the user is known", || async {
            let asking = registry.asking(Method::GET, &path).basic(name, PASSWORD);
            let answer = asking.send().await;
            assert!(answer.status == 200 || answer.status == 401, "{answer:?}");
            answer.status == 200
        })
        .await;
    }
}

/// P29.
#[tokio::test]
async fn wrong_or_missing_credentials_get_no_token() {
    let registry = guarded().await;
    registry.get("/token?service=svc").await.expect(401);
    for (name, password) in [("reader", "wrong"), ("nobody", PASSWORD)] {
        let answer = registry
            .asking(Method::GET, "/token?service=svc")
            .basic(name, password)
            .send()
            .await
            .expect(401);
        assert_eq!(answer.code(), "UNAUTHORIZED");
    }
}

/// P26, P29.
#[tokio::test]
async fn a_token_holds_what_is_granted_of_what_is_asked() {
    let registry = guarded().await;
    let scope = async |asked: &str| {
        let path = format!("/token?service=svc&{asked}");
        let answer = registry
            .asking(Method::GET, &path)
            .basic("reader", PASSWORD)
            .send()
            .await
            .expect(200);
        answer.json()["scope"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        scope("scope=repository:team/a:pull,push").await,
        "repository:team/a:pull"
    );
    assert_eq!(
        scope("scope=repository:team/a:*&scope=repository:other:pull").await,
        "repository:team/a:pull"
    );
    // the port of another registry is part of the name, and costs the other scopes nothing
    assert_eq!(
        scope("scope=repository:other:5000/team/a:pull&scope=repository:team/a:pull").await,
        "repository:team/a:pull"
    );
    let joined =
        scope("scope=repository%3Ateam%2Fa%3Apull+repository:team/b:pull%20registry:catalog:*").await;
    assert_eq!(
        joined,
        "repository:team/a:pull repository:team/b:pull registry:catalog:*"
    );
}

/// P27, P31.
#[tokio::test]
async fn a_token_is_also_given_for_a_form() {
    let registry = guarded().await;
    let post = |form: String| {
        let asking = registry.asking(Method::POST, "/token").body(form);
        asking
            .header("content-type", "application/x-www-form-urlencoded")
            .send_owned()
    };
    let good = format!(
        "grant_type=password&service=svc&client_id=c&username=writer&password={PASSWORD}&scope=repository%3Ateam%2Fa%3Apull%2Cpush+repository%3Ateam%2Fb%3Apull"
    );
    let answer = post(good.clone()).await.expect(200);
    assert_eq!(
        answer.json()["scope"],
        "repository:team/a:pull,push repository:team/b:pull"
    );
    post(good.replace(PASSWORD, "wrong")).await.expect(401);
    post("grant_type=refresh_token&refresh_token=x&service=svc".to_owned())
        .await
        .expect(405);
    post("%ff".to_owned()).await.expect(400);
}

/// P31, P85, P88: what a token was asked for decides about the target of a mount, what its user may read about the source.
#[tokio::test]
async fn a_mount_is_never_refused_for_a_token_that_does_not_name_its_source() {
    let registry = guarded().await;
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x");
    for repository in ["team/a", "vault/a"] {
        let push = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let asking = registry.asking(Method::POST, &push).basic("root", PASSWORD);
        asking.body("x").send().await.expect(201);
    }
    let narrow = registry
        .token("writer", PASSWORD, "repository:team/b:pull,push")
        .await;
    let both = registry
        .token(
            "writer",
            PASSWORD,
            "repository:team/b:pull,push repository:team/a:pull",
        )
        .await;
    let mount = |query: String, token: &str| {
        let path = format!("/v2/team/b/blobs/uploads/?mount={digest}{query}");
        registry.asking(Method::POST, &path).bearer(token).send_owned()
    };
    for token in [&narrow, &both] {
        mount("&from=team/a".to_owned(), token).await.expect(201);
        mount(String::new(), token).await.expect(201);
        // a source that the user may not read is one that does not have it
        mount("&from=vault/a".to_owned(), token).await.expect(202);
    }
    let reading = registry.token("writer", PASSWORD, "repository:team/a:pull").await;
    let refused = mount("&from=team/a".to_owned(), &reading).await.expect(401);
    let scope = parameters(refused.challenges()[0])["scope"].clone();
    assert_eq!(scope, "repository:team/b:pull,push repository:team/a:pull");
}

/// P33, P126: a token for the catalog lists what its user may read, any other what it is for.
#[tokio::test]
async fn the_catalog_is_listed_as_far_as_the_token_goes() {
    let registry = guarded().await;
    let digest = portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x");
    for repository in ["team/a", "team/b", "vault/a"] {
        let push = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let asking = registry.asking(Method::POST, &push).basic("root", PASSWORD);
        asking.body("x").send().await.expect(201);
    }
    let refused = registry.get("/v2/_catalog").await.expect(401);
    let scope = parameters(refused.challenges()[0])["scope"].clone();
    assert_eq!(scope, "registry:catalog:*");
    for (scope, listed) in [
        (scope.as_str(), serde_json::json!(["team/a", "team/b"])),
        ("repository:team/b:pull", serde_json::json!(["team/b"])),
        ("repository:team/b:push", serde_json::json!([])),
        ("repository:vault/a:pull", serde_json::json!([])),
    ] {
        let token = registry.token("reader", PASSWORD, scope).await;
        let asking = registry.asking(Method::GET, "/v2/_catalog").bearer(&token);
        let answer = asking.send().await.expect(200);
        assert_eq!(answer.json()["repositories"], listed, "{scope}");
    }
}

/// P24.
#[tokio::test]
async fn a_token_expires() {
    let registry = guarded().await;
    let token = registry.token("reader", PASSWORD, "repository:team/a:pull").await;
    let ask = || registry.asking(Method::GET, "/v2/").bearer(&token).send_owned();
    registry.ahead.store(295, Ordering::Relaxed);
    ask().await.expect(200);
    registry.ahead.store(305, Ordering::Relaxed);
    let refused = ask().await.expect(401);
    assert_eq!(parameters(refused.challenges()[0])["error"], "invalid_token");
    // the next token must be good for what this one was used for: clients ask once
    let pushing = registry.asking(Method::POST, "/v2/team/a/blobs/uploads/");
    let refused = pushing.bearer(&token).send().await.expect(401);
    let challenge = parameters(refused.challenges()[0]);
    assert_eq!(challenge["error"], "invalid_token");
    assert_eq!(challenge["scope"], "repository:team/a:pull,push");
}

/// P38.
#[tokio::test]
async fn a_token_is_worth_what_its_user_may_do_now() {
    let registry = guarded().await;
    let token = registry
        .token("writer", PASSWORD, "repository:team/a:pull,push")
        .await;
    let push = || {
        registry
            .asking(Method::POST, "/v2/team/a/blobs/uploads/")
            .bearer(&token)
            .send_owned()
    };
    push().await.expect(202);
    write_users(
        &registry.files(),
        vec![user("writer", "team/**", &[Action::Pull])],
    );
    eventually("the right to push is gone", || async {
        push().await.status == 403
    })
    .await;
    let mut changed = usual_users();
    changed[1].password_sha256 = vec!["0".repeat(64)];
    write_users(&registry.files(), changed);
    eventually("the token died with its password", || async {
        push().await.status == 401
    })
    .await;
    let refused = push().await;
    assert_eq!(parameters(refused.challenges()[0])["error"], "invalid_token");
}
