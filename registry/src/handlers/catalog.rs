//! The list of repositories: those that who asks may read. Store values in, HTTP out.

use portolan_oci::RepositoryName;
use serde_json::json;

use super::{Answer, Call, LONGEST_LIST, json, next_page};
use crate::operation::Page;
use crate::store::Place;

pub(super) async fn list(call: &Call<'_>, page: Page) -> Answer {
    let limit = page.n.unwrap_or(LONGEST_LIST).min(LONGEST_LIST);
    let identity = call.identity.clone();
    let found = call
        .app
        .store
        .repositories(page.last.as_deref(), limit, move |place| match place {
            Place::Repository(name) => identity.may_list(name),
            Place::Below(path) => identity.may_list_below(path),
        })
        .await?;
    let names: Vec<&str> = found.items.iter().map(RepositoryName::as_str).collect();
    let mut response = json(json!({"repositories": names}).to_string());
    if let Some(last) = names.last().filter(|_| found.has_more) {
        next_page(
            call,
            &mut response,
            "/v2/_catalog",
            &[("n", &limit.to_string()), ("last", last)],
        );
    }
    Ok(response)
}
