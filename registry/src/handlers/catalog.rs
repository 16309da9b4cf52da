//! The list of repositories: those that who asks may read. Store values in, HTTP out.

use portolan_config::Action;
use serde_json::json;

use super::{Answer, Call, LONGEST_LIST, json, next_page};
use crate::operation::Page;

pub(super) async fn list(call: &Call<'_>, page: Page) -> Answer {
    let limit = page.n.unwrap_or(LONGEST_LIST).min(LONGEST_LIST);
    let mut names: Vec<String> = Vec::new();
    let mut after = page.last;
    // one more than asked for tells whether there is a next page
    while limit > 0 && names.len() <= limit {
        let found = call.app.store.repositories(after.as_deref(), limit + 1).await?;
        after = found.items.last().map(ToString::to_string);
        let readable = found
            .items
            .iter()
            .filter(|name| call.identity.holds(name, Action::Pull));
        names.extend(readable.map(ToString::to_string));
        if !found.has_more {
            break;
        }
    }
    let has_more = names.len() > limit;
    names.truncate(limit);
    let mut response = json(json!({"repositories": names}).to_string());
    if let Some(last) = names.last().filter(|_| has_more) {
        next_page(
            &mut response,
            "/v2/_catalog",
            &[("n", &limit.to_string()), ("last", last)],
        );
    }
    Ok(response)
}
