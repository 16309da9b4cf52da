//! The list of what refers to a manifest, as an image index. Store values in, HTTP out.

use http::{HeaderName, HeaderValue};
use portolan_oci::{Digest, MediaType, RepositoryName, headers};
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
    let index =
        json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": found.descriptors});
    let mut response = with_body(MediaType::OCI_INDEX, index.to_string());
    if !types.is_empty() {
        let applied = HeaderName::from_static(headers::OCI_FILTERS_APPLIED);
        response
            .headers_mut()
            .insert(applied, HeaderValue::from_static("artifactType"));
    }
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
