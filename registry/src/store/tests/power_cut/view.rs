//! What clients see of a volume: a store comes in, one line per thing comes out. And what a volume must not hold,
//! whoever looks.

use std::collections::{BTreeMap, BTreeSet};

use portolan_oci::Descriptor;

use super::super::*;
use crate::store::links::digests_in;

use super::damage::MOVED_ASIDE;
use super::operations::{LAYER, TAGS, a, b, blobs, digest, manifest, manifests, sha512_of};
use super::states::State;

/// Each thing that a client may ask for, and the answer.
pub(super) type View = BTreeMap<String, String>;

pub(super) const ABSENT: &str = "absent";

pub(super) async fn look(store: &Store) -> View {
    let mut view = View::new();
    for name in [a(), b()] {
        for (blob, bytes) in blobs() {
            let answer = read_or_absent(store, &name, &digest_of(bytes)).await;
            view.insert(format!("{name}: blob {blob}"), answer);
        }
    }
    let name = a();
    let answer = read_or_absent(store, &name, &sha512_of(LAYER)).await;
    view.insert(format!("{name}: blob one by sha512"), answer);
    let by_sha512 = sha512_of(manifest("first").to_string().as_bytes());
    let answer = read(store, &Reference::Digest(by_sha512)).await;
    view.insert(format!("{name}: manifest first by sha512"), answer);
    for (manifest, document) in manifests() {
        let pushed = document.to_string();
        let digest = digest_of(pushed.as_bytes());
        let answer = read(store, &Reference::Digest(digest)).await;
        let answer = if answer == ABSENT || answer == pushed {
            answer
        } else {
            format!("fault: {answer}")
        };
        view.insert(format!("{name}: manifest {manifest}"), answer);
    }
    for tag in TAGS {
        let answer = read(store, &tag.parse().unwrap()).await;
        view.insert(format!("{name}: tag {tag}"), answer);
        let history = digests_in(&store.inner.keys.tag_history(&name, &tag.parse().unwrap()));
        view.insert(format!("{name}: history of tag {tag}"), format!("{history:?}"));
    }
    let listed = match store.tags(&name, None, 100).await {
        Ok(page) => page.items.iter().map(ToString::to_string).collect(),
        Err(ListError::RepositoryUnknown) => Vec::new(),
        Err(error) => vec![format!("fault: {error}")],
    };
    for tag in TAGS {
        let is_listed = listed.iter().any(|it| it == tag);
        view.insert(format!("{name}: list has {tag}"), is_listed.to_string());
    }
    let listed = store.referrers(&name, &digest("first"), &[], None, 1 << 20).await;
    for manifest in ["signature", "attestation"] {
        let is_listed = |it: &&Descriptor| it.digest == digest(manifest);
        let answer = match &listed {
            Err(error) => format!("fault: {error}"),
            Ok(page) => format!("{:?}", page.descriptors.iter().find(is_listed)),
        };
        view.insert(format!("{name}: {manifest} among referrers of first"), answer);
    }
    let keys = &store.inner.keys;
    look_at_notes(keys, &mut view);
    view.insert("holds".into(), format!("{:?}", store.holds().await));
    let noted = std::fs::read(keys.scrub()).unwrap_or_default();
    let noted = serde_json::from_slice::<Value>(&noted).unwrap_or_default();
    view.insert(
        "scrub has ended".into(),
        noted["lastFinishedAt"].is_string().to_string(),
    );
    let aside = std::fs::read_dir(keys.quarantine()).into_iter().flatten();
    let aside: BTreeSet<_> = aside
        .map(|it| std::fs::read(it.unwrap().path()).unwrap())
        .collect();
    for (what, bytes) in MOVED_ASIDE {
        let is_there = aside.contains(bytes);
        view.insert(format!("set aside: {what}"), is_there.to_string());
    }
    view
}

/// What is noted of what is there, of what never came and of what counts as lost.
fn look_at_notes(keys: &Keys, view: &mut View) {
    let name = a();
    for (manifest, document) in manifests() {
        let digest = digest_of(document.to_string().as_bytes());
        // Without the manifest they mean nothing.
        let is_there = view[&format!("{name}: manifest {manifest}")] != ABSENT;
        let absent = std::fs::read(keys.absent(&name, &digest)).ok();
        let absent = absent.filter(|_| is_there).unwrap_or_default();
        let mut absent: Vec<Digest> = serde_json::from_slice(&absent).unwrap_or_default();
        absent.retain(|named| !keys.came(&name, named).exists());
        let absent: Vec<_> = absent.iter().map(Digest::as_str).collect();
        view.insert(format!("{name}: never came of {manifest}"), absent.join(" "));
        let age = std::fs::read(keys.untagged(&name, &digest)).unwrap_or_default();
        let is_aging = is_there && serde_json::from_slice::<Value>(&age).is_ok();
        view.insert(format!("{name}: {manifest} is aging"), is_aging.to_string());
        let is_lost = keys.came(&name, &digest).exists() && !keys.revision_link(&name, &digest).exists();
        view.insert(
            format!("{name}: manifest {manifest} is lost"),
            is_lost.to_string(),
        );
    }
    for (blob, bytes) in blobs() {
        let digest = digest_of(bytes);
        let is_lost = keys.came(&name, &digest).exists() && !keys.layer_link(&name, &digest).exists();
        view.insert(format!("{name}: blob {blob} is lost"), is_lost.to_string());
    }
}

async fn read_or_absent(store: &Store, name: &RepositoryName, digest: &Digest) -> String {
    match store.blob_open(name, digest).await {
        Ok(content) => {
            let size = content.size();
            let read = collect(content.stream(0..size)).await;
            String::from_utf8_lossy(&read).into_owned()
        }
        Err(BlobError::Unknown { .. }) => ABSENT.into(),
        Err(error) => format!("fault: {error}"),
    }
}

async fn read(store: &Store, reference: &Reference) -> String {
    match store.manifest_read(&a(), reference).await {
        Ok(manifest) => String::from_utf8_lossy(&manifest.bytes).into_owned(),
        Err(ManifestError::Unknown { .. } | ManifestError::RepositoryUnknown) => ABSENT.into(),
        Err(error) => {
            let root = store.inner.keys.root().display().to_string();
            format!("fault: {error}").replace(&root, "")
        }
    }
}

/// The images that are there without one of their blobs.
pub(super) fn incomplete(view: &View) -> impl Iterator<Item = String> {
    let needs = [
        ("first", ["config", "one"]),
        ("second", ["config", "two"]),
        ("signature", ["config", "two"]),
        ("attestation", ["config", "two"]),
    ];
    needs.into_iter().filter_map(|(manifest, needed)| {
        let is_there = view[&format!("a: manifest {manifest}")] != ABSENT;
        let missing = needed
            .iter()
            .find(|blob| view[&format!("a: blob {blob}")] == ABSENT);
        missing
            .filter(|_| is_there)
            .map(|blob| format!("{manifest} is there without blob {blob}"))
    })
}

/// The contents on a volume.
pub(super) fn contents(root: &Path) -> BTreeSet<String> {
    fn collect(directory: &Path, found: &mut BTreeSet<String>) {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.ends_with("data") {
                found.insert(directory.file_name().unwrap().to_string_lossy().into_owned());
            }
            collect(&path, found);
        }
    }
    let mut found = BTreeSet::new();
    collect(&Keys::new(root).blobs(), &mut found);
    found
}

/// The links that lead nowhere.
pub(super) fn dangling(state: &State) -> impl Iterator<Item = String> {
    state.files().filter_map(|(path, bytes)| {
        let inside = path.strip_prefix("docker/registry/v2/repositories/")?;
        let directory = path.strip_suffix("/link")?;
        let (repository, _) = inside.split_once('/')?;
        let named = String::from_utf8_lossy(bytes);
        let digest = if bytes.is_empty() {
            let tag = directory.strip_suffix("/current");
            let named = tag.map_or(Some(directory), |tag| only_history_entry(state, tag));
            let (rest, hex) = named.unwrap_or_default().rsplit_once('/').unwrap_or_default();
            format!("{}:{hex}", rest.rsplit('/').next()?)
        } else {
            named.into_owned()
        };
        let parts = digest.split_once(':');
        let parts = parts.filter(|it| [("sha256", 64), ("sha512", 128)].contains(&(it.0, it.1.len())));
        let Some((algorithm, hex)) = parts else {
            return Some(format!("{path} holds {digest:?}"));
        };
        let target = if path.contains("/tags/") {
            format!(
                "docker/registry/v2/repositories/{repository}/_manifests/revisions/{algorithm}/{hex}/link"
            )
        } else {
            format!("docker/registry/v2/blobs/{algorithm}/{}/{hex}/data", &hex[..2])
        };
        (!state.has(&target)).then(|| format!("{path} leads to {target}, which is not there"))
    })
}

/// The directory of what an empty tag stands for.
fn only_history_entry<'a>(state: &'a State, tag: &str) -> Option<&'a str> {
    let entries = format!("{tag}/index/");
    let mut links = state.files().filter(|(path, _)| path.starts_with(&entries));
    let only = links.next().filter(|_| links.next().is_none());
    only?.0.strip_suffix("/link")
}
