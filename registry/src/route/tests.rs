//! Which request is which operation.

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UPLOAD: &str = "5f0c1a52-8c1d-4a44-9a52-3e0c5bb0a1de";

fn get(path: &str) -> Result<Operation, RouteError> {
    parse(&Method::GET, path, "")
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

#[test]
fn the_base_is_a_ping_with_and_without_slash() {
    for path in ["/v2", "/v2/"] {
        assert_eq!(get(path), Ok(Operation::Ping));
        assert_eq!(parse(&Method::HEAD, path, ""), Ok(Operation::Ping));
        assert_eq!(
            parse(&Method::PUT, path, ""),
            Err(RouteError::Method { allow: "GET, HEAD" })
        );
    }
}

/// P3.
#[test]
fn repositories_may_be_called_like_parts_of_paths() {
    for repository in [
        "a/manifests/b",
        "blobs/uploads",
        "tags/list",
        "a/blobs",
        "manifests",
        "referrers/x/blobs/uploads",
    ] {
        let expected = name(repository);
        let tag: Reference = "v1".parse().unwrap();
        assert_eq!(
            get(&format!("/v2/{repository}/manifests/v1")),
            Ok(Operation::ReadManifest(expected.clone(), tag))
        );
        assert_eq!(
            get(&format!("/v2/{repository}/blobs/{DIGEST}")),
            Ok(Operation::ReadBlob(expected.clone(), DIGEST.parse().unwrap()))
        );
        assert_eq!(
            get(&format!("/v2/{repository}/tags/list")),
            Ok(Operation::ListTags(expected.clone(), Page::default()))
        );
        assert_eq!(
            parse(&Method::POST, &format!("/v2/{repository}/blobs/uploads/"), ""),
            Ok(Operation::StartUpload(
                expected.clone(),
                UploadStart::Session(None)
            ))
        );
        assert_eq!(
            parse(
                &Method::PATCH,
                &format!("/v2/{repository}/blobs/uploads/{UPLOAD}"),
                ""
            ),
            Ok(Operation::AppendUpload(expected, UPLOAD.parse().unwrap()))
        );
    }
}

/// P58.
#[test]
fn uploads_begin_with_and_without_slash() {
    for path in ["/v2/a/blobs/uploads/", "/v2/a/blobs/uploads"] {
        let operation = parse(&Method::POST, path, &format!("digest={DIGEST}"));
        let whole = UploadStart::Whole(DIGEST.parse().unwrap());
        assert_eq!(operation, Ok(Operation::StartUpload(name("a"), whole)));
        assert_eq!(get(path), Err(RouteError::Method { allow: "POST" }));
    }
}

/// P8, P87.
#[test]
fn a_mount_names_its_source_or_none() {
    let digest: Digest = DIGEST.parse().unwrap();
    let mount = |query: &str| parse(&Method::POST, "/v2/a/blobs/uploads/", query);
    let expected = |start| Ok(Operation::StartUpload(name("a"), start));
    let from = UploadStart::Mount(digest.clone(), Some(name("b/c")));
    assert_eq!(
        mount(&format!("mount={DIGEST}&from=b/c&origin=x")),
        expected(from.clone())
    );
    assert_eq!(
        mount(&format!("from=b%2Fc&mount={}", DIGEST.replace(':', "%3A"))),
        expected(from)
    );
    assert_eq!(
        mount(&format!("mount={DIGEST}")),
        expected(UploadStart::Mount(digest, None))
    );
    assert_eq!(
        mount(&format!("mount={DIGEST}&from=NOPE")),
        expected(UploadStart::Session(None))
    );
}

/// P7.
#[test]
fn digests_are_decoded_once_and_never_twice() {
    let encoded = DIGEST.replace(':', "%3A");
    let blob = Operation::ReadBlob(name("a"), DIGEST.parse().unwrap());
    assert_eq!(get(&format!("/v2/a/blobs/{encoded}")), Ok(blob));
    assert_eq!(
        get(&format!("/v2/a/blobs/{}", DIGEST.replace(':', "%253A"))),
        Err(RouteError::Encoding)
    );
}

/// P7, P61.
#[test]
fn parameters_that_mean_nothing_may_be_anything_and_those_that_do_are_plain_text() {
    let tags = |query: &str| parse(&Method::GET, "/v2/a/tags/list", query);
    let expected = Ok(Operation::ListTags(name("a"), Page::default()));
    for query in ["x=%2525", "account=DOM%5Cann", "x=%ff", "%25=1", "x=%00"] {
        assert_eq!(tags(query), expected, "{query}");
    }
    for query in ["last=%2525", "last=a%5Cb", "last=%ff", "n=%00", "l%61st=%2525"] {
        assert_eq!(tags(query), Err(RouteError::Encoding), "{query}");
    }
}

/// P61, P77.
#[test]
fn an_upload_is_finished_whatever_else_the_query_holds() {
    let finish = |query: &str| parse(&Method::PUT, &format!("/v2/a/blobs/uploads/{UPLOAD}"), query);
    let with = |digest| Operation::FinishUpload(name("a"), UPLOAD.parse().unwrap(), digest);
    let expected = with(Ok(DIGEST.parse().unwrap()));
    for query in [
        format!("digest={DIGEST}"),
        format!("_state=x&digest={DIGEST}"),
        format!("digest={DIGEST}&y"),
    ] {
        assert_eq!(finish(&query), Ok(expected.clone()), "{query}");
    }
    assert_eq!(finish(""), Ok(with(Err(NoDigest::Missing))));
    let unusable = "md5:abc".parse::<Digest>().unwrap_err();
    assert_eq!(finish("digest=md5:abc"), Ok(with(Err(unusable.into()))));
}

/// P122.
#[test]
fn pages_are_read_and_garbage_is_refused() {
    let tags = |query: &str| parse(&Method::GET, "/v2/a/tags/list", query);
    let expected = |n, last: Option<&str>| {
        Ok(Operation::ListTags(
            name("a"),
            Page {
                n,
                last: last.map(str::to_owned),
            },
        ))
    };
    assert_eq!(tags("n=0"), expected(Some(0), None));
    assert_eq!(tags("last=v1&n=10"), expected(Some(10), Some("v1")));
    assert_eq!(
        tags("n=99999999999999999999999"),
        expected(Some(usize::MAX), None)
    );
    for garbage in ["n=", "n=-1", "n=x", "n=1.5"] {
        assert!(matches!(tags(garbage), Err(RouteError::PageSize(_))), "{garbage}");
    }
}

/// P37.
#[test]
fn every_tag_of_a_query_is_part_of_the_operation() {
    let put = |query: &str| parse(&Method::PUT, &format!("/v2/a/manifests/{DIGEST}"), query);
    let tags = vec!["v1".parse().unwrap(), "v2".parse().unwrap()];
    let digest = Reference::Digest(DIGEST.parse().unwrap());
    assert_eq!(
        put("tag=v1&tag=v2"),
        Ok(Operation::WriteManifest(name("a"), digest, tags))
    );
    assert!(matches!(put("tag=v1&tag=-bad"), Err(RouteError::Tag(_))));
}

/// P10.
#[test]
fn what_is_no_part_of_the_protocol_is_not_found() {
    for path in [
        "/",
        "/v1/",
        "/v2/a",
        "/v2/_oci/ext/discover",
        "/v2/a/b/c",
        "/v3/a/tags/list",
        "/v2//",
        "/index.html",
    ] {
        assert_eq!(get(path), Err(RouteError::NotFound), "{path}");
    }
}

/// P4, P7, P9.
#[test]
fn misspelled_names_are_refused_by_name() {
    for path in [
        "/v2/A/tags/list",
        "/v2/a//b/tags/list",
        "/v2/_a/manifests/v1",
        "/v2/../manifests/v1",
        "/v2/manifests/v1",
    ] {
        assert!(matches!(get(path), Err(RouteError::Name(_))), "{path}");
    }
    assert_eq!(get("/v2/a%00b/tags/list"), Err(RouteError::Encoding));
    assert_eq!(get("/v2/a%5C..%5Cb/tags/list"), Err(RouteError::Encoding));
}

proptest! {
    #[test]
    fn any_request_is_understood_or_refused(path in "\\PC{0,60}", query in "\\PC{0,40}") {
        let _ = parse(&Method::PUT, &format!("/v2/{path}"), &query);
    }

    /// P3.
    #[test]
    fn a_name_that_parses_is_found_again_in_its_paths(
        repository in "[a-z0-9]{1,4}(/(tags|list|blobs|uploads|manifests|referrers|[a-z0-9]{1,4})){0,5}",
    ) {
        let expected = name(&repository);
        let tags = get(&format!("/v2/{repository}/tags/list")).unwrap();
        prop_assert_eq!(tags, Operation::ListTags(expected.clone(), Page::default()));
        let manifest = get(&format!("/v2/{repository}/manifests/list")).unwrap();
        prop_assert_eq!(manifest, Operation::ReadManifest(expected.clone(), "list".parse().unwrap()));
        let referrers = get(&format!("/v2/{repository}/referrers/{DIGEST}")).unwrap();
        prop_assert_eq!(referrers, Operation::ListReferrers(expected.clone(), DIGEST.parse().unwrap(), ReferrersPage::default()));
        let start = parse(&Method::POST, &format!("/v2/{repository}/blobs/uploads/"), "").unwrap();
        prop_assert_eq!(start, Operation::StartUpload(expected, UploadStart::Session(None)));
    }
}
