//! Every fsync of the engine, found in what it did: events come in, out comes where each fsync is and what it is there
//! for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::cases::{DELETE_MANIFEST, PUSH_BLOB, PUSH_MANIFEST};
use super::model::Model;
use super::recorder::Event;
use super::states::TEMPORARY;

/// What an fsync in a record is there for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    /// The operation during which it runs.
    pub(super) operation: &'static str,
    /// What is synced, names of content replaced by their kind.
    pub(super) what: String,
    /// The first of the same that finds something to do is 1; all that find nothing are 0.
    pub(super) number: usize,
}

const V2: &str = "docker/registry/v2";
const LAYERS: &str = "docker/registry/v2/repositories/<repository>/_layers/sha256";
const MANIFESTS: &str = "docker/registry/v2/repositories/<repository>/_manifests";

/// The fsyncs of which nothing shows in an operation by itself that they are left out, and why. No operation here comes to
/// those by which nothing is promised: of uploads that are written back early or rest, and of the reserve when it is given up.
pub(super) fn covered() -> BTreeSet<Site> {
    let all = [
        // `blobs` is made, then `repositories` beside it: the second fsync keeps both, before anything is acknowledged.
        (PUSH_BLOB, V2, 1),
        (PUSH_MANIFEST, V2, 1),
        // So it is with `revisions` and `tags`.
        (PUSH_MANIFEST, MANIFESTS, 1),
        // The push of everything has three layers and one acknowledgement, so the last fsync keeps the links of all. That
        // each is needed shows in the push of a blob.
        (PUSH_MANIFEST, LAYERS, 1),
        (PUSH_MANIFEST, LAYERS, 2),
        // A record that comes back is completed again, which takes nothing more. That it takes what was pushed again since
        // shows in `record_of_a_delete_is_durably_gone_before_the_same_can_be_pushed_again`.
        (DELETE_MANIFEST, TEMPORARY, 2),
    ];
    let sites = all.map(|(operation, what, number)| Site {
        operation,
        what: what.to_owned(),
        number,
    });
    sites.into()
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

/// The fsyncs of a record, each with the event that it is. `operations` are the names of those that begin.
pub(super) fn sites_of(base: &Model, events: &[Event], operations: &[&'static str]) -> BTreeMap<Site, usize> {
    let destinations = destinations(events);
    let mut model = base.clone();
    let mut found: BTreeMap<Site, usize> = BTreeMap::new();
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
            let what = kind_of(&what);
            let same = |site: &&Site| site.operation == operation && site.what == what && site.number > 0;
            let number = if model.has_pending(event) {
                found.keys().filter(same).count() + 1
            } else {
                0
            };
            let site = Site {
                operation,
                what,
                number,
            };
            found.insert(site, position);
        }
        model.apply(event);
    }
    found
}
