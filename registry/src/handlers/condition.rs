//! `If-Match` and `If-None-Match`: headers in; what the client has, or wants to be so, out. Pure.
//!
//! An entity tag is the digest in quotes. What is no digest of ours matches nothing.

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName};
use portolan_oci::Digest;

use crate::store::{Named, Precondition};

/// The entity tag of content.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Does the client have this content already? Then it need not be sent again.
pub(super) fn has(headers: &HeaderMap, digest: &Digest) -> bool {
    match named(headers, &IF_NONE_MATCH, true) {
        None => false,
        Some(Named::Anything) => true,
        Some(Named::OneOf(digests)) => digests.contains(digest),
    }
}

/// What must be so before something is written or deleted. A weak tag never satisfies `If-Match`.
pub(super) fn precondition(headers: &HeaderMap) -> Precondition {
    Precondition {
        is: named(headers, &IF_MATCH, false),
        is_not: named(headers, &IF_NONE_MATCH, true),
    }
}

fn named(headers: &HeaderMap, header: &HeaderName, weak: bool) -> Option<Named> {
    if !headers.contains_key(header) {
        return None;
    }
    let mut digests = Vec::new();
    for value in headers.get_all(header) {
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if tag == "*" {
                return Some(Named::Anything);
            }
            let tag = tag.strip_prefix("W/").filter(|_| weak).unwrap_or(tag);
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            digests.extend(inner.and_then(|digest| digest.parse().ok()));
        }
    }
    Some(Named::OneOf(digests))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn headers(header: &HeaderName, values: &[String]) -> HeaderMap {
        let value = |value: &String| (header.clone(), value.parse().unwrap());
        values.iter().map(value).collect()
    }

    /// P104.
    #[test]
    fn entity_tags_are_digests_in_quotes_and_everything_else_matches_nothing() {
        let one = |value: &str| precondition(&headers(&IF_MATCH, &[value.to_owned()])).is;
        let ours = Some(Named::OneOf(vec![DIGEST.parse().unwrap()]));
        assert_eq!(one(&format!("\"{DIGEST}\"")), ours);
        assert_eq!(one(&format!("\"other\", \"{DIGEST}\"")), ours);
        assert_eq!(one("*"), Some(Named::Anything));
        for nothing in [
            DIGEST.to_owned(),
            format!("W/\"{DIGEST}\""),
            "\"x\"".to_owned(),
            String::new(),
        ] {
            assert_eq!(one(&nothing), Some(Named::OneOf(vec![])), "{nothing}");
        }
        assert_eq!(precondition(&HeaderMap::new()), Precondition::default());
    }

    /// P43.
    #[test]
    fn what_a_client_has_is_told_by_weak_tags_and_several_headers_too() {
        let digest = DIGEST.parse().unwrap();
        let has = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            has(&headers(&IF_NONE_MATCH, &values), &digest)
        };
        assert!(has(&["\"x\"", &format!("W/\"{DIGEST}\"")]));
        assert!(has(&["*"]));
        assert!(!has(&["\"x\""]) && !has(&[]));
    }
}
