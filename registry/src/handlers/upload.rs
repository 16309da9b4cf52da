//! Uploads: begin, add, ask, finish, give up. Store values in, HTTP out.

use std::sync::Arc;

use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, Response, StatusCode};
use portolan_config::Action;
use portolan_oci::{Algorithm, ContentRange, Digest, ErrorCode, RepositoryName, UploadId, headers};

use super::{Answer, Call, digest_header, empty, header, location};
use crate::error::ApiError;
use crate::operation::UploadStart;
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
        UploadStart::Whole(digest) => {
            let id = begin(call, name, Some(digest.algorithm())).await?;
            finish(call, name, &id, &digest, body).await
        }
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
    let chunk = announced_chunk(call, name, id)?;
    let appended = call.app.store.upload_append(name, id, chunk, body).await;
    let status = appended.map_err(|error| refused(error, name, Some(id)))?;
    Ok(progress(StatusCode::ACCEPTED, name, id, status.offset))
}

pub(super) async fn finish(
    call: &Call<'_>,
    name: &RepositoryName,
    id: &UploadId,
    digest: &Digest,
    body: &mut RequestBody,
) -> Answer {
    let chunk = announced_chunk(call, name, id)?;
    match call.app.store.upload_finish(name, id, digest, chunk, body).await {
        Ok(()) => Ok(created(name, digest)),
        // the answer to the same request may have been lost: what it asked for is there
        Err(UploadError::Unknown) if call.app.store.blob_open(name, digest).await.is_ok() => {
            Ok(created(name, digest))
        }
        Err(error) => Err(refused(error, name, Some(id))),
    }
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
fn announced_chunk(call: &Call<'_>, name: &RepositoryName, id: &UploadId) -> Result<Chunk, ApiError> {
    let Some(value) = call.parts.headers.get(CONTENT_RANGE) else {
        return Ok(Chunk::default());
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let range: ContentRange = text.parse().map_err(|error: portolan_oci::ContentRangeError| {
        ApiError::new(ErrorCode::BlobUploadInvalid, error.to_string())
            .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
            .with_header(LOCATION, header(&upload_path(name, id)))
    })?;
    Ok(Chunk {
        at: Some(range.first),
        length: Some(range.len()),
    })
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
        Some(id) => refusal
            .with_header(LOCATION, header(&upload_path(name, id)))
            .with_header(RANGE, header(&range_text(offset)))
            .with_header(
                HeaderName::from_static(headers::DOCKER_UPLOAD_UUID),
                header(id.as_str()),
            ),
    }
}
