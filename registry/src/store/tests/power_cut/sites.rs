//! Every fsync of the engine, found in what it did: events come in, out comes where each fsync is and what it is there
//! for. Pure.

use std::collections::BTreeMap;

use super::model::Model;
use super::recorder::Event;

/// What an fsync in a record is there for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    /// The operation during which it runs.
    pub(super) operation: &'static str,
    /// What is synced, names of content replaced by their kind.
    pub(super) what: String,
}

/// Where an fsync happens in a record, and whether it finds something to do there.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) positions: Vec<usize>,
    pub(super) settles: bool,
}

/// A path with everything that is only a name replaced by its kind.
pub(super) fn kind_of(path: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        let is_hex = |length: usize| part.len() == length && part.bytes().all(|it| it.is_ascii_hexdigit());
        let before = parts.last().map_or("", String::as_str);
        let kind = match before {
            "repositories" | "referrers" | "absent" | "untagged" => "<repository>",
            "tags" => "<tag>",
            "quarantine" => "<aside>",
            "tmp" if part != "probe" => "<n>",
            "uploads" => part.rsplit_once('.').map_or("<id>", |(_, extension)| extension),
            "sha256" | "sha512" if is_hex(2) => "<xx>",
            _ if is_hex(64) || is_hex(128) => "<hex>",
            _ if part.starts_with("sha256-") => "<referrer>",
            _ => part,
        };
        parts.push(kind.to_owned());
    }
    parts.join("/")
}

/// Where each file that is renamed ends up, by the number of its inode.
pub(super) fn destinations(events: &[Event]) -> BTreeMap<u64, String> {
    let mut at: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for event in events {
        match event {
            Event::MakeFile(path, inode) => drop(at.insert(path, *inode)),
            Event::Rename(from, to) => {
                if let Some(inode) = at.remove(from.as_str()) {
                    found.insert(inode, to.clone());
                }
            }
            _ => {}
        }
    }
    found
}

/// The fsyncs of a record, each with the places at which it happens. `operations` are the names of those that begin.
pub(super) fn sites_of(
    base: &Model,
    events: &[Event],
    operations: &[&'static str],
) -> BTreeMap<Site, Places> {
    let destinations = destinations(events);
    let mut model = base.clone();
    let mut found: BTreeMap<Site, Places> = BTreeMap::new();
    let mut operation = "start";
    for (position, event) in events.iter().enumerate() {
        let what = match event {
            Event::Begin(number) => {
                operation = operations[*number];
                None
            }
            Event::Acknowledge(_) => {
                operation = "what follows";
                None
            }
            Event::SyncFile(path, inode) => Some(destinations.get(inode).unwrap_or(path).clone()),
            Event::SyncDirectory(path) => Some(path.clone()),
            Event::SyncVolume => Some("volume".into()),
            _ => None,
        };
        if let Some(what) = what {
            let site = Site {
                operation,
                what: kind_of(&what),
            };
            let places = found.entry(site).or_default();
            places.positions.push(position);
            places.settles |= model.has_pending(event);
        }
        model.apply(event);
    }
    found
}
