//! One page of a long list of tags against the same page of a short one. IO.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use super::client::Client;
use super::images::tag_name;
use super::quantiles::Quantiles;
use super::repeats::Repeats;
use super::server::{Server, Whose};
use super::starts::Volumes;
use super::table::{Figure, Table, count, ratio};

/// The last one of the short list.
const PAGE: usize = 100;

struct Pages {
    first: Duration,
    few: Duration,
    many: Duration,
    end_of_many: Duration,
}

pub(crate) fn measure(volumes: &Volumes, repeats: Repeats, peer: Option<&Path>) -> anyhow::Result<Table> {
    let ours = pages(Whose::Ours, volumes, repeats.pages)?;
    let theirs = match peer {
        Some(program) => Some(pages(Whose::Theirs(program), volumes, repeats.pages_of_theirs)?),
        None => None,
    };
    let theirs = theirs.as_ref();
    let (few, many) = (count(volumes.few_tags as u64), count(volumes.images as u64));
    let mut table = Table::new(format!(
        "Lists of tags, pages of {} (registry:2: all of them), median",
        volumes.few_tags / PAGE
    ));
    let what = format!("the very first page of {many}");
    table.row(
        &what,
        Figure::Milliseconds(ours.first),
        theirs.map(|it| Figure::Milliseconds(it.first)),
    );
    let what = format!("page {PAGE} of {few}");
    table.row(
        &what,
        Figure::Milliseconds(ours.few),
        theirs.map(|it| Figure::Milliseconds(it.few)),
    );
    table.goal(
        &format!("page {PAGE} of {many}"),
        Figure::Milliseconds(ours.many),
        theirs.map(|it| Figure::Milliseconds(it.many)),
        &format!("2 × of {few}"),
        ratio(ours.many, ours.few * 2),
    );
    table.goal(
        &format!("the last page of {many}"),
        Figure::Milliseconds(ours.end_of_many),
        theirs.map(|it| Figure::Milliseconds(it.end_of_many)),
        &format!("2 × of {few}"),
        ratio(ours.end_of_many, ours.few * 2),
    );
    Ok(table)
}

fn pages(whose: Whose<'_>, volumes: &Volumes, repeats: usize) -> anyhow::Result<Pages> {
    let server = Server::start(whose, &volumes.many)?;
    let mut client = Client::connect(server.address)?;
    let on_page = volumes.few_tags / PAGE;
    let (few_tags, before_page) = (volumes.few_tags, volumes.few_tags - on_page);
    let mut page = |repository, from, tags| page(&mut client, repository, from, tags, on_page);
    let first = page("tags/many", 0, volumes.images)?;
    page("tags/few", 0, few_tags)?;
    let (mut few, mut many, mut end) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repeats {
        few.push(page("tags/few", before_page, few_tags)?);
        many.push(page("tags/many", before_page, volumes.images)?);
        end.push(page("tags/many", volumes.images - on_page, volumes.images)?);
    }
    server.stop()?;
    Ok(Pages {
        first,
        few: Quantiles::of(few).median(),
        many: Quantiles::of(many).median(),
        end_of_many: Quantiles::of(end).median(),
    })
}

/// The page that begins with the tag of this number.
fn page(
    client: &mut Client,
    repository: &str,
    from: usize,
    tags: usize,
    on_page: usize,
) -> anyhow::Result<Duration> {
    let after = match from.checked_sub(1) {
        Some(before) => format!("&last={}", tag_name(before)),
        None => String::new(),
    };
    let path = format!("/v2/{repository}/tags/list?n={on_page}{after}");
    let began = Instant::now();
    let answer = client.get(&path)?;
    let took = began.elapsed();
    let list: Value = serde_json::from_slice(&answer.body)?;
    let wanted: Vec<String> = (from..tags.min(from + on_page)).map(tag_name).collect();
    let found = list["tags"].as_array().map_or(0, Vec::len);
    let is_all = found == tags; // of registry:2
    ensure!(
        is_all || list["tags"] == serde_json::json!(wanted),
        "{path} was answered with other {found} tags"
    );
    Ok(took)
}
