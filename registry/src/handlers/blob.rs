//! Blobs: read, whole or in parts, and delete. Store values in, HTTP out.

use axum::body::Body;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderValue, Response, StatusCode};
use portolan_oci::{Digest, ErrorCode, RangeRequest, RepositoryName};

use super::manifest::cache_forever;
use super::{Answer, Call, blob_range, condition, digest_header, empty, header};
use crate::error::ApiError;
use crate::store::BlobContent;

const OCTETS: &str = "application/octet-stream";

pub(super) async fn read(call: &Call<'_>, name: &RepositoryName, digest: &Digest) -> Answer {
    let content = call.app.store.blob_open(name, digest).await?;
    let etag = condition::etag(digest);
    let mut response = if condition::has(&call.parts.headers, digest) {
        let mut unchanged = Response::new(Body::empty());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        found(call, &content, &etag)?
    };
    digest_header(&mut response, digest);
    let headers = response.headers_mut();
    headers.insert(ETAG, header(&etag));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_forever(call)));
    Ok(response)
}

fn found(call: &Call<'_>, content: &BlobContent, etag: &str) -> Answer {
    let size = content.size();
    match asked_range(call, size, etag) {
        RangeRequest::Whole => Ok(sized(call, size, OCTETS, || {
            Body::from_stream(content.stream(0..size))
        })),
        RangeRequest::Parts(parts) => match parts.as_slice() {
            [part] => {
                let stream = || Body::from_stream(content.stream(part.first..part.last + 1));
                let mut response = sized(call, part.len(), OCTETS, stream);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {}-{}/{size}", part.first, part.last);
                response.headers_mut().insert(CONTENT_RANGE, header(&range));
                Ok(response)
            }
            parts => {
                let several = blob_range::Multipart::new(parts, size, content.digest());
                let stream = || Body::from_stream(several.stream(content));
                let mut response = sized(call, several.length(), several.content_type(), stream);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                Ok(response)
            }
        },
        RangeRequest::Unsatisfiable => {
            let message = format!("no byte of the range is in the blob, which has {size}");
            Err(ApiError::new(ErrorCode::SizeInvalid, message)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(CONTENT_RANGE, header(&format!("bytes */{size}"))))
        }
    }
}

/// A range that is meant for other content than this is no range, and only `GET` has any (RFC 9110, 14.2).
fn asked_range(call: &Call<'_>, size: u64, etag: &str) -> RangeRequest {
    let headers = &call.parts.headers;
    let same = headers
        .get(IF_RANGE)
        .is_none_or(|condition| condition.as_bytes() == etag.as_bytes());
    match headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if same && !call.head => RangeRequest::parse(range, size),
        _ => RangeRequest::Whole,
    }
}

fn sized(call: &Call<'_>, length: u64, content_type: &str, body: impl FnOnce() -> Body) -> Response<Body> {
    let mut response = Response::new(if call.head { Body::empty() } else { body() });
    response.headers_mut().insert(CONTENT_TYPE, header(content_type));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

pub(super) async fn delete(call: &Call<'_>, name: &RepositoryName, digest: &Digest) -> Answer {
    call.app.require_delete_enabled()?;
    call.app.store.blob_delete(name, digest).await?;
    Ok(empty(StatusCode::ACCEPTED))
}
