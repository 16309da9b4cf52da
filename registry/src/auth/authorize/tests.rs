//! Who may do what.

use http::Method;

use super::*;
use crate::auth::users::UsersInForce;
use crate::route;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn identity(name: &str, scopes: Option<&[&str]>) -> Identity {
    let hash = "0".repeat(64);
    let user = |name: &str, repositories: &str, actions: &str| {
        format!(
            "- name: {name}\n  passwordSha256: ['{hash}']\n  permissions: [{{repositories: [{repositories}], actions: [{actions}]}}]\n"
        )
    };
    let file = format!(
        "users:\n{}{}{}{}",
        user("reader", "'a/**'", "pull"),
        user("writer", "'a/**'", "pull, push"),
        user("dropbox", "'a/**'", "push"),
        user("everywhere", "'**'", "pull, push, delete"),
    );
    let users = UsersInForce::from_bytes(file.as_bytes()).unwrap();
    let scopes = scopes.map(|scopes| scopes.iter().map(|s| Scope::parse(s).unwrap()).collect());
    Identity::User {
        user: users.user(name).unwrap().clone(),
        scopes,
    }
}

fn operation(method: &str, path: &str) -> Operation {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.replace("DIGEST", DIGEST);
    let query = query.replace("DIGEST", DIGEST);
    route::parse(&Method::from_bytes(method.as_bytes()).unwrap(), &path, &query).unwrap()
}

fn decision(who: &Identity, method: &str, path: &str) -> Decision {
    decide(who, &operation(method, path))
}

fn challenged(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Challenge { scopes, .. } => scopes.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

const READS: [(&str, &str); 5] = [
    ("GET", "/v2/a/x/manifests/v1"),
    ("HEAD", "/v2/a/x/manifests/v1"),
    ("GET", "/v2/a/x/blobs/DIGEST"),
    ("GET", "/v2/a/x/tags/list"),
    ("GET", "/v2/a/x/referrers/DIGEST"),
];
const WRITES: [(&str, &str); 6] = [
    ("PUT", "/v2/a/x/manifests/v1"),
    ("POST", "/v2/a/x/blobs/uploads/"),
    (
        "GET",
        "/v2/a/x/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de",
    ),
    (
        "PATCH",
        "/v2/a/x/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de",
    ),
    (
        "PUT",
        "/v2/a/x/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de?digest=DIGEST",
    ),
    (
        "DELETE",
        "/v2/a/x/blobs/uploads/5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de",
    ),
];
const DELETES: [(&str, &str); 3] = [
    ("DELETE", "/v2/a/x/manifests/v1"),
    ("DELETE", "/v2/a/x/manifests/DIGEST"),
    ("DELETE", "/v2/a/x/blobs/DIGEST"),
];

#[test]
fn without_access_control_everything_is_allowed() {
    for (method, path) in READS.iter().chain(&WRITES).chain(&DELETES) {
        assert_eq!(
            decision(&Identity::Everybody, method, path),
            Decision::Allow,
            "{method} {path}"
        );
    }
}

#[test]
fn who_gives_no_credentials_is_asked_for_them_with_the_scope_to_ask_for() {
    let scopes = |method, path| challenged(&decision(&Identity::Anonymous, method, path));
    assert_eq!(scopes("GET", "/v2/"), Vec::<String>::new());
    assert_eq!(scopes("GET", "/v2/_catalog"), ["registry:catalog:*"]);
    for (method, path) in READS {
        assert_eq!(scopes(method, path), ["repository:a/x:pull"], "{method} {path}");
    }
    for (method, path) in WRITES {
        assert_eq!(
            scopes(method, path),
            ["repository:a/x:pull,push"],
            "{method} {path}"
        );
    }
    for (method, path) in DELETES {
        assert_eq!(scopes(method, path), ["repository:a/x:delete"], "{method} {path}");
    }
    assert_eq!(
        scopes("POST", "/v2/a/x/blobs/uploads/?mount=DIGEST&from=b"),
        ["repository:a/x:pull,push", "repository:b:pull"]
    );
    assert_eq!(decision(&Identity::Anonymous, "GET", "/token"), Decision::Allow);
}

/// P32.
#[test]
fn a_right_allows_its_own_operations_and_no_others() {
    let (reader, writer) = (identity("reader", None), identity("writer", None));
    for (method, path) in READS {
        assert_eq!(
            decision(&reader, method, path),
            Decision::Allow,
            "{method} {path}"
        );
        let elsewhere = path.replace("/a/x/", "/b/x/");
        assert!(
            matches!(decision(&reader, method, &elsewhere), Decision::Deny { .. }),
            "{method} {elsewhere}"
        );
    }
    for (method, path) in WRITES {
        assert!(
            matches!(decision(&reader, method, path), Decision::Deny { .. }),
            "{method} {path}"
        );
        assert_eq!(
            decision(&writer, method, path),
            Decision::Allow,
            "{method} {path}"
        );
    }
    for (method, path) in DELETES {
        assert!(
            matches!(decision(&writer, method, path), Decision::Deny { .. }),
            "{method} {path}"
        );
        assert_eq!(
            decision(&identity("everywhere", None), method, path),
            Decision::Allow,
            "{method} {path}"
        );
    }
}

/// P15.
#[test]
fn who_may_push_but_not_pull_finds_nothing_when_probing() {
    for (method, path) in READS {
        assert_eq!(
            decision(&identity("dropbox", None), method, path),
            Decision::Hide,
            "{method} {path}"
        );
    }
}

#[test]
fn a_token_allows_what_its_scopes_say_and_the_user_still_holds() {
    let narrow = identity("writer", Some(&["repository:a/x:pull"]));
    assert_eq!(decision(&narrow, "GET", "/v2/a/x/manifests/v1"), Decision::Allow);
    let more = decision(&narrow, "PUT", "/v2/a/x/manifests/v1");
    assert_eq!(challenged(&more), ["repository:a/x:pull,push"]);
    assert!(matches!(
        more,
        Decision::Challenge {
            error: Some(ChallengeError::InsufficientScope),
            ..
        }
    ));
    let revoked = identity("reader", Some(&["repository:a/x:pull,push"]));
    assert!(matches!(
        decision(&revoked, "PUT", "/v2/a/x/manifests/v1"),
        Decision::Deny { .. }
    ));
}

/// P88.
#[test]
fn a_mount_needs_the_source_to_be_readable() {
    let mount = "/v2/a/x/blobs/uploads/?mount=DIGEST&from=a/y";
    let foreign = "/v2/a/x/blobs/uploads/?mount=DIGEST&from=b/y";
    let writer = identity("writer", None);
    assert_eq!(decision(&writer, "POST", mount), Decision::Allow);
    assert_eq!(decision(&writer, "POST", foreign), Decision::AllowWithoutMount);
    let one_scope = identity("writer", Some(&["repository:a/x:pull,push"]));
    assert_eq!(decision(&one_scope, "POST", mount), Decision::Allow);
    assert_eq!(decision(&one_scope, "POST", foreign), Decision::AllowWithoutMount);
    let no_target = identity("writer", Some(&["repository:a/y:pull"]));
    assert_eq!(
        challenged(&decision(&no_target, "POST", mount)),
        ["repository:a/x:pull,push", "repository:a/y:pull"]
    );
}

#[test]
fn the_catalog_lists_what_the_user_may_read_narrowed_by_tokens_for_something_else() {
    let lists =
        |scopes: Option<&[&str]>, name: &str| identity("reader", scopes).may_list(&name.parse().unwrap());
    for scopes in [None, Some(&["registry:catalog:*"][..])] {
        assert!(lists(scopes, "a/x") && lists(scopes, "a/y") && !lists(scopes, "b"));
    }
    let narrow = Some(&["repository:a/x:pull"][..]);
    assert!(lists(narrow, "a/x") && !lists(narrow, "a/y"));
    assert!(!lists(Some(&[]), "a/x"));
}
