//! The list of what refers to a manifest, as an image index. Store values in, HTTP out.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};
use portolan_oci::{Descriptor, Digest, MediaType, RepositoryName, headers};
use serde_json::json;

use super::{Answer, Call, next_page, with_body};
use crate::operation::ReferrersPage;

/// What clients are ready to take at once; some of them never ask for a second page.
const PAGE_BYTES: usize = 4 * 1024 * 1024 - 1024;

pub(super) async fn list(
    call: &Call<'_>,
    name: &RepositoryName,
    subject: &Digest,
    page: ReferrersPage,
) -> Answer {
    let types = &page.artifact_types;
    let found = call
        .app
        .store
        .referrers(name, subject, types, page.last.as_ref(), PAGE_BYTES)
        .await?;
    let mut response = index(&found.descriptors, types);
    if let Some(last) = found.descriptors.last().filter(|_| found.has_more) {
        next_page(
            call,
            &mut response,
            &format!("/v2/{name}/referrers/{subject}"),
            &[("last", last.digest.as_str())],
        );
    }
    Ok(response)
}

/// To a client, 404 means that the registry has no such lists: who may not know what is there gets an empty one.
pub(super) fn hidden(page: &ReferrersPage) -> Response<Body> {
    index(&[], &page.artifact_types)
}

fn index(descriptors: &[Descriptor], types: &[String]) -> Response<Body> {
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": descriptors});
    let mut response = with_body(MediaType::OCI_INDEX, index.to_string());
    if !types.is_empty() {
        let applied = HeaderName::from_static(headers::OCI_FILTERS_APPLIED);
        response
            .headers_mut()
            .insert(applied, HeaderValue::from_static("artifactType"));
    }
    response
}
