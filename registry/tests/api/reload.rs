//! Files that change while the server runs.

use http::Method;

use crate::fixture::{
    PASSWORD, eventually, replace, started, user, usual_users, with_auth, write_token_keys, write_users,
};
use portolan_config::Action;

#[tokio::test]
async fn a_new_user_may_log_in_and_a_removed_one_may_not() {
    let registry = started(with_auth).await;
    let ask = |name: &'static str| {
        registry
            .asking(Method::GET, "/v2/")
            .basic(name, PASSWORD)
            .send_owned()
    };
    ask("newcomer").await.expect(401);
    write_users(&registry.files(), vec![user("newcomer", "**", &[Action::Pull])]);
    eventually("the newcomer is let in", || async {
        ask("newcomer").await.status == 200
    })
    .await;
    ask("reader").await.expect(401);
}

#[tokio::test]
async fn garbage_in_the_users_file_keeps_the_users_before_and_is_told() {
    let registry = started(with_auth).await;
    replace(
        &registry.files().join("users.yaml"),
        b"users: [{name: x, pasword: hunter2}]",
    );
    eventually("the metric tells", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_reload_failing{what=\"users file\"} 1\n")
    })
    .await;
    registry
        .asking(Method::GET, "/v2/")
        .basic("reader", PASSWORD)
        .send()
        .await
        .expect(200);
    write_users(&registry.files(), usual_users());
    eventually("the metric tells that it is over", || async {
        registry
            .metrics()
            .await
            .contains("portolan_registry_reload_failing{what=\"users file\"} 0\n")
    })
    .await;
}

#[tokio::test]
async fn a_new_token_key_signs_and_old_tokens_stay_good_while_their_key_is_there() {
    let registry = started(with_auth).await;
    let old = registry.token("reader", PASSWORD, "").await;
    let keys = registry.files().join("keys");
    write_token_keys(&keys, "k2", &["k2"]);
    let kid = |token: &str| {
        use base64::Engine as _;
        let header = token.split('.').next().unwrap();
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(header)
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&json).unwrap()["kid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(kid(&old), "k1");
    eventually("the new key signs", || async {
        kid(&registry.token("reader", PASSWORD, "").await) == "k2"
    })
    .await;
    let ask = || registry.asking(Method::GET, "/v2/").bearer(&old).send_owned();
    ask().await.expect(200);
    std::fs::remove_file(keys.join("k1.pem")).unwrap();
    eventually("the old key is forgotten", || async { ask().await.status == 401 }).await;
}
