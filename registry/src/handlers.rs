//! From an operation that may be carried out to its answer: one module per family of operations. What comes in is
//! checked already; only these modules and `error.rs` build responses.

mod blob;
mod blob_range;
mod catalog;
mod condition;
mod manifest;
mod referrers;
mod tag;
mod token;
mod upload;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LINK, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portolan_oci::{Digest, ErrorCode, headers};

use crate::app::App;
use crate::auth::Identity;
use crate::error::ApiError;
use crate::operation::Operation;
use crate::request_body::RequestBody;
use crate::route::Query;

/// What a handler knows beside the operation.
#[derive(Debug)]
pub struct Call<'a> {
    /// The store and the rest.
    pub app: &'a App,
    /// Who asks.
    pub identity: &'a Identity,
    /// The head of the request.
    pub parts: &'a Parts,
    /// Whether only headers are wanted.
    pub head: bool,
}

/// An answer, or the error that becomes one.
pub type Answer = Result<Response<Body>, ApiError>;

/// Carries out an operation.
pub async fn handle(call: &Call<'_>, operation: Operation, body: &mut RequestBody) -> Answer {
    match operation {
        Operation::Ping => Ok(json("{}".to_owned())),
        Operation::IssueToken => token::issue(call, body).await,
        Operation::ListRepositories(page) => catalog::list(call, page).await,
        Operation::ListTags(name, page) => tag::list(call, &name, page).await,
        Operation::ReadManifest(name, reference) => manifest::read(call, &name, &reference).await,
        Operation::WriteManifest(name, reference, tags) => {
            manifest::write(call, &name, &reference, &tags, body).await
        }
        Operation::DeleteManifest(name, reference) => manifest::delete(call, &name, &reference).await,
        Operation::ReadBlob(name, digest) => blob::read(call, &name, &digest).await,
        Operation::DeleteBlob(name, digest) => blob::delete(call, &name, &digest).await,
        Operation::StartUpload(name, start) => upload::start(call, &name, start, body).await,
        Operation::ReadUpload(name, id) => upload::read(call, &name, &id).await,
        Operation::AppendUpload(name, id) => upload::append(call, &name, &id, body).await,
        Operation::FinishUpload(name, id, Ok(digest)) => {
            upload::finish(call, &name, &id, &digest, body).await
        }
        Operation::FinishUpload(name, id, Err(none)) => upload::undigested(call, &name, &id, &none).await,
        Operation::CancelUpload(name, id) => upload::cancel(call, &name, &id).await,
        Operation::ListReferrers(name, digest, page) => referrers::list(call, &name, &digest, page).await,
    }
}

/// The answer to who may not know what is there: as if it were not.
pub fn hidden(operation: &Operation) -> Answer {
    let code = match operation {
        Operation::ListReferrers(_, _, page) => return Ok(referrers::hidden(page)),
        Operation::ReadBlob(..) => ErrorCode::BlobUnknown,
        Operation::ReadManifest(..) => ErrorCode::ManifestUnknown,
        _ => ErrorCode::NameUnknown,
    };
    Err(ApiError::new(code, code.message()))
}

/// A list without `n` ends here, too: what one answer may hold.
const LONGEST_LIST: usize = 10_000;

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

fn json(text: String) -> Response<Body> {
    with_body("application/json", text)
}

fn with_body(content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Body::from(text);
    response
}

/// A header whose text is made of names, digests and numbers, which all are visible ASCII.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn digest_header(response: &mut Response<Body>, digest: &Digest) {
    let name = HeaderName::from_static(headers::DOCKER_CONTENT_DIGEST);
    response.headers_mut().insert(name, header(digest.as_str()));
}

/// Always relative: whatever name and port the client came by stays right.
fn location(response: &mut Response<Body>, path: &str) {
    response.headers_mut().insert(LOCATION, header(path));
}

/// What may stand in a query value as it is.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'/');

/// Where the next page is: relative, and with everything that the client had asked for.
fn next_page(call: &Call<'_>, response: &mut Response<Body>, path: &str, place: &[(&str, &str)]) {
    let encoded = |text: &str| utf8_percent_encode(text, QUERY_VALUE).to_string();
    let asked = Query::parse(call.parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let parameters: Vec<String> = asked
        .without(&["n", "last"])
        .chain(place.iter().copied())
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    response.headers_mut().insert(
        LINK,
        header(&format!("<{path}?{}>; rel=\"next\"", parameters.join("&"))),
    );
}
