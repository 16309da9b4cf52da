//! Uploads: begin, add, ask, finish, give up. Store values in, HTTP out.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Response, StatusCode};
use portolan_config::Action;
use portolan_oci::{
    Algorithm, ContentRange, ContentRangeError, Digest, ErrorCode, RepositoryName, UploadId, headers,
};

use super::{Answer, Call, digest_header, empty, header, location};
use crate::error::ApiError;
use crate::operation::{NoDigest, UploadStart};
use crate::request_body::RequestBody;
use crate::store::{Chunk, MountSource, UploadError};

pub(super) async fn start(
    call: &Call<'_>,
    name: &RepositoryName,
    start: UploadStart,
    body: &mut RequestBody,
) -> Answer {
    match start {
        UploadStart::Session(algorithm) => session(call, name, algorithm).await,
        UploadStart::Whole(digest) => whole(call, name, &digest, body).await,
        UploadStart::Mount(digest, from) => {
            let identity = call.identity.clone();
            let source = from.map_or_else(
                || MountSource::Any(Arc::new(move |name| identity.holds(name, Action::Pull))),
                MountSource::Repository,
            );
            if call.app.store.blob_mount(source, name, &digest).await? {
                Ok(created(name, &digest))
            } else {
                session(call, name, Some(digest.algorithm())).await
            }
        }
    }
}

/// Nobody is told of a session, as there is none any more when this is refused.
async fn whole(call: &Call<'_>, name: &RepositoryName, digest: &Digest, body: &mut RequestBody) -> Answer {
    let chunk = chunk_of(call).map_err(|error| not_a_chunk(&error))?;
    if !limit(call, body, call.app.max_blob_bytes) {
        return Err(larger_than(call.app.max_blob_bytes));
    }
    let taking = call.app.store.upload_whole(name, digest, chunk, &mut *body);
    match taking.await {
        Ok(()) => Ok(created(name, digest)),
        Err(_) if body.is_too_large() => Err(larger_than(call.app.max_blob_bytes)),
        Err(error) => Err(refused(error, name, None)),
    }
}

async fn session(call: &Call<'_>, name: &RepositoryName, algorithm: Option<Algorithm>) -> Answer {
    let id = begin(call, name, algorithm).await?;
    Ok(progress(StatusCode::ACCEPTED, name, &id, 0))
}

async fn begin(
    call: &Call<'_>,
    name: &RepositoryName,
    algorithm: Option<Algorithm>,
) -> Result<UploadId, ApiError> {
    call.app
        .store
        .upload_start(name, algorithm)
        .await
        .map_err(|error| refused(error, name, None))
}

pub(super) async fn read(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> Answer {
    let status = call
        .app
        .store
        .upload_status(name, id)
        .await
        .map_err(|error| refused(error, name, Some(id)))?;
    let mut response = progress(StatusCode::NO_CONTENT, name, id, status.offset);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

pub(super) async fn append(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &UploadId,
    body: &mut RequestBody,
) -> Answer {
    let chunk = announced_chunk(call, name, id).await?;
    limit_rest(call, name, id, body).await?;
    match call.app.store.upload_append(name, id, chunk, &mut *body).await {
        Ok(status) => Ok(progress(StatusCode::ACCEPTED, name, id, status.offset)),
        Err(_) if body.is_too_large() => Err(too_large(call, name, id).await),
        Err(error) => Err(refused_now(call, error, name, id).await),
    }
}

pub(super) async fn finish(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &UploadId,
    digest: &Digest,
    body: &mut RequestBody,
) -> Answer {
    let chunk = announced_chunk(call, name, id).await?;
    limit_rest(call, name, id, body).await?;
    let finishing = call.app.store.upload_finish(name, id, digest, chunk, &mut *body);
    match finishing.await {
        Ok(()) => {
            // A request that is repeated sends once more what is there.
            if !body.has_ended()
                && let Ok(blob) = call.app.store.blob_open(name, digest).await
            {
                body.skip(blob.size()).await;
            }
            Ok(created(name, digest))
        }
        Err(_) if body.is_too_large() => Err(too_large(call, name, id).await),
        Err(error) => Err(refused_now(call, error, name, id).await),
    }
}

/// The upload goes on: the client may say what it is in its next request.
pub(super) async fn undigested(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &UploadId,
    none: &NoDigest,
) -> Answer {
    let refusal = ApiError::new(ErrorCode::DigestInvalid, none.to_string());
    Err(with_progress(refusal, name, id, offset(call, name, id).await?))
}

pub(super) async fn cancel(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> Answer {
    call.app
        .store
        .upload_cancel(name, id)
        .await
        .map_err(|error| refused(error, name, Some(id)))?;
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

/// Where the body belongs, if the client says so.
fn chunk_of(call: &Call<'_>) -> Result<Chunk, ContentRangeError> {
    let Some(value) = call.parts.headers.get(CONTENT_RANGE) else {
        return Ok(Chunk::default());
    };
    let range: ContentRange = String::from_utf8_lossy(value.as_bytes()).parse()?;
    Ok(Chunk {
        at: Some(range.first),
        length: Some(range.len()),
    })
}

fn not_a_chunk(error: &ContentRangeError) -> ApiError {
    ApiError::new(ErrorCode::BlobUploadInvalid, error.to_string())
        .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
}

/// The same in an upload, which goes on where it was.
async fn announced_chunk(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> Result<Chunk, ApiError> {
    match chunk_of(call) {
        Ok(chunk) => Ok(chunk),
        Err(error) => Err(with_progress(
            not_a_chunk(&error),
            name,
            id,
            offset(call, name, id).await?,
        )),
    }
}

async fn offset(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> Result<u64, ApiError> {
    let status = call.app.store.upload_status(name, id).await;
    Ok(status.map_err(|error| refused(error, name, Some(id)))?.offset)
}

/// Lets the body grow to so many bytes. False: it says that it is larger.
fn limit(call: &Call<'_>, body: &mut RequestBody, most: u64) -> bool {
    let length = call.parts.headers.get(CONTENT_LENGTH);
    let announced = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    body.set_limit(most);
    announced.is_none_or(|announced| announced <= most)
}

/// Lets the body grow to what the blob may still have, and refuses at once one that says it is larger.
async fn limit_rest(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &UploadId,
    body: &mut RequestBody,
) -> Result<(), ApiError> {
    if call.app.max_blob_bytes == u64::MAX {
        return Ok(());
    }
    let left = match call.app.store.upload_status(name, id).await {
        Ok(status) => call.app.max_blob_bytes.saturating_sub(status.offset),
        Err(_) => return Ok(()), // whoever takes the body says what is wrong
    };
    if limit(call, body, left) {
        Ok(())
    } else {
        Err(too_large(call, name, id).await)
    }
}

/// The upload cannot become a blob any more, so what came of it goes.
async fn too_large(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> ApiError {
    match call.app.store.upload_cancel(name, id).await {
        Ok(()) | Err(UploadError::Unknown | UploadError::Busy { .. }) => larger_than(call.app.max_blob_bytes),
        Err(error) => refused(error, name, Some(id)),
    }
}

fn larger_than(most: u64) -> ApiError {
    let message = format!(
        "the blob has more than {most} bytes, which is the most: push smaller layers, or have uploads.maxBlobBytes raised"
    );
    ApiError::new(ErrorCode::SizeInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

fn upload_path(name: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// How far an upload is. Nothing yet is `0-0`: some clients cannot read anything else.
fn range_text(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn progress(
    status: StatusCode,
    name: &RepositoryName,
    id: &UploadId,
    offset: u64,
) -> Response<axum::body::Body> {
    let mut response = empty(status);
    location(&mut response, &upload_path(name, id));
    response.headers_mut().insert(RANGE, header(&range_text(offset)));
    response.headers_mut().insert(
        HeaderName::from_static(headers::DOCKER_UPLOAD_UUID),
        header(id.as_str()),
    );
    response
}

fn created(name: &RepositoryName, digest: &Digest) -> Response<axum::body::Body> {
    let mut response = empty(StatusCode::CREATED);
    location(&mut response, &format!("/v2/{name}/blobs/{digest}"));
    digest_header(&mut response, digest);
    response
}

/// A refusal on a session that goes on says where it stands, so that the client can.
fn refused(error: UploadError, name: &RepositoryName, id: Option<&UploadId>) -> ApiError {
    let message = error.to_string();
    let (refusal, offset) = match error {
        UploadError::Unknown => return ApiError::new(ErrorCode::BlobUploadUnknown, message),
        UploadError::DigestMismatch { .. } => return ApiError::new(ErrorCode::DigestInvalid, message),
        UploadError::Fault(fault) => return fault.into(),
        UploadError::OutOfOrder { offset }
        | UploadError::Busy { offset }
        | UploadError::Length { offset, .. } => {
            let refusal = ApiError::new(ErrorCode::BlobUploadInvalid, message);
            (refusal.with_status(StatusCode::RANGE_NOT_SATISFIABLE), offset)
        }
        UploadError::Interrupted { offset, .. } => (ApiError::new(ErrorCode::SizeInvalid, message), offset),
    };
    match id {
        None => refusal,
        Some(id) => with_progress(refusal, name, id, offset),
    }
}

/// The same for a request with a body. A fault of the volume does not say where the session stands, if it goes on.
async fn refused_now(call: &Call<'_>, error: UploadError, name: &RepositoryName, id: &UploadId) -> ApiError {
    let is_fault = matches!(error, UploadError::Fault(_));
    let refusal = refused(error, name, Some(id));
    if !is_fault {
        return refusal;
    }
    match call.app.store.upload_status(name, id).await {
        Ok(status) => with_progress(refusal, name, id, status.offset),
        Err(_) => refusal,
    }
}

fn with_progress(refusal: ApiError, name: &RepositoryName, id: &UploadId, offset: u64) -> ApiError {
    refusal
        .with_header(LOCATION, header(&upload_path(name, id)))
        .with_header(RANGE, header(&range_text(offset)))
        .with_header(
            HeaderName::from_static(headers::DOCKER_UPLOAD_UUID),
            header(id.as_str()),
        )
}
