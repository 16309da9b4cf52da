//! The list of a repository's tags. Store values in, HTTP out.

use portolan_oci::RepositoryName;
use serde_json::json;

use super::{Answer, Call, LONGEST_LIST, json, next_page};
use crate::operation::Page;

pub(super) async fn list(call: &Call<'_>, name: &RepositoryName, page: Page) -> Answer {
    let limit = page.n.unwrap_or(LONGEST_LIST).min(LONGEST_LIST);
    let found = call.app.store.tags(name, page.last.as_deref(), limit).await?;
    let tags: Vec<_> = found.items.iter().map(portolan_oci::Tag::as_str).collect();
    let mut response = json(json!({"name": name.as_str(), "tags": tags}).to_string());
    if let Some(last) = tags.last().filter(|_| found.has_more) {
        next_page(
            call,
            &mut response,
            &format!("/v2/{name}/tags/list"),
            &[("n", &limit.to_string()), ("last", last)],
        );
    }
    Ok(response)
}
