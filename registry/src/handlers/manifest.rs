//! Manifests: read, write, delete. Store values in, HTTP out.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use portolan_oci::{ErrorCode, Reference, RepositoryName, Tag, headers};

use super::{Answer, Call, condition, digest_header, empty, header, location};
use crate::error::ApiError;
use crate::request_body::{CollectError, RequestBody};
use crate::store::{ManifestHead, Manner};

/// Headers with tags; more than this many in one request are refused.
const MOST_TAGS: usize = 128;

pub(super) async fn read(call: &Call<'_>, name: &RepositoryName, reference: &Reference) -> Answer {
    let (manifest, bytes) = if call.head {
        (call.app.store.manifest_head(name, reference).await?, None)
    } else {
        let read = call.app.store.manifest_read(name, reference).await?;
        let head = ManifestHead {
            digest: read.digest,
            media_type: read.media_type,
            size: read.bytes.len() as u64,
        };
        (head, Some(read.bytes))
    };
    let mut response = if condition::has(&call.parts.headers, &manifest.digest) {
        let mut unchanged = Response::new(Body::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        let mut found = Response::new(bytes.map_or_else(Body::empty, Body::from));
        found
            .headers_mut()
            .insert(CONTENT_TYPE, header(manifest.media_type.as_str()));
        found
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(manifest.size));
        found
    };
    digest_header(&mut response, &manifest.digest);
    response
        .headers_mut()
        .insert(ETAG, header(&condition::etag(&manifest.digest)));
    let caching = match reference {
        Reference::Tag(_) => "no-cache",
        Reference::Digest(_) => cache_forever(call),
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

/// Content under its digest never changes; who may see it does when there is access control.
pub(super) fn cache_forever(call: &Call<'_>) -> &'static str {
    if call.app.auth.is_some() {
        "private, max-age=31536000, immutable"
    } else {
        "max-age=31536000, immutable"
    }
}

pub(super) async fn write(
    call: &Call<'_>,
    name: &RepositoryName,
    reference: &Reference,
    tags: &[Tag],
    body: &mut RequestBody,
) -> Answer {
    let largest = call.app.manifests.largest;
    let too_large = || {
        let message = format!(
            "the manifest has more than {largest} bytes, which is the most: split it into several, and push an index of them"
        );
        ApiError::new(ErrorCode::ManifestInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    if tags.len() > MOST_TAGS {
        let message = format!(
            "{} tags in one request; {MOST_TAGS} are the most: push it again with the rest",
            tags.len()
        );
        return Err(ApiError::new(ErrorCode::ManifestInvalid, message).with_status(StatusCode::URI_TOO_LONG));
    }
    let announced = call
        .parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > largest) {
        return Err(too_large());
    }
    let collected = body.collect(&call.app.manifests).await;
    let manifest = collected.map_err(|error| match error {
        CollectError::TooLarge { .. } => too_large(),
        other => other.into(),
    })?;
    let content_type = call
        .parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let manner = Manner {
        extra_tags: tags,
        content_type,
        precondition: condition::precondition(&call.parts.headers),
    };
    let stored = call
        .app
        .store
        .manifest_put_if(name, reference, manner, manifest.bytes)
        .await?;
    drop(manifest.share);
    let mut response = empty(StatusCode::CREATED);
    location(&mut response, &format!("/v2/{name}/manifests/{}", stored.digest));
    digest_header(&mut response, &stored.digest);
    response
        .headers_mut()
        .insert(ETAG, header(&condition::etag(&stored.digest)));
    if let Some(subject) = &stored.subject {
        response.headers_mut().insert(
            HeaderName::from_static(headers::OCI_SUBJECT),
            header(subject.as_str()),
        );
    }
    if !tags.is_empty() {
        for tag in &stored.tags {
            response
                .headers_mut()
                .append(HeaderName::from_static(headers::OCI_TAG), header(tag.as_str()));
        }
    }
    Ok(response)
}

pub(super) async fn delete(call: &Call<'_>, name: &RepositoryName, reference: &Reference) -> Answer {
    call.app.require_delete_enabled()?;
    let (store, precondition) = (&call.app.store, condition::precondition(&call.parts.headers));
    match reference {
        Reference::Tag(tag) => store.tag_delete_if(name, tag, precondition).await?,
        Reference::Digest(digest) => store.manifest_delete_if(name, digest, precondition).await?,
    }
    Ok(empty(StatusCode::ACCEPTED))
}
