//! What a store is expected to answer, and to keep: plain maps, and no IO.

use super::*;

/// What an operation came to, as far as the reference can tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Unknown,
    RepositoryUnknown,
    Missing,
    Referenced,
}

#[derive(Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) manifests: BTreeMap<Digest, Value>,
    pub(super) tags: BTreeMap<String, Digest>,
    /// What went by a collection since the last start: it is not something that never came.
    collected: BTreeSet<Digest>,
}

/// The repositories, and every manifest that was ever there, so that later actions can name it.
#[derive(Default)]
pub(super) struct Model {
    pub(super) repositories: BTreeMap<&'static str, Repository>,
    pub(super) known: Vec<Digest>,
}

fn digest_in(value: &Value) -> Digest {
    serde_json::from_value(value["digest"].clone()).unwrap()
}

fn needed_by(document: &Value) -> BTreeSet<Digest> {
    let lists = [&document["layers"], &document["manifests"]];
    let mut digests: BTreeSet<Digest> = lists
        .iter()
        .filter_map(|it| it.as_array())
        .flatten()
        .map(digest_in)
        .collect();
    digests.extend(document.get("config").map(digest_in));
    digests
}

pub(super) fn refers_to(document: &Value, subject: &Digest) -> bool {
    document
        .get("subject")
        .is_some_and(|it| digest_in(it) == *subject)
}

impl Repository {
    pub(super) fn is_needed(&self, digest: &Digest) -> bool {
        self.manifests
            .values()
            .any(|document| needed_by(document).contains(digest))
    }

    fn takes(&self, document: &Value) -> bool {
        let is_image = document.get("config").is_some();
        let is_there = |digest: &Digest| {
            self.blobs.contains(digest) || (!is_image && self.manifests.contains_key(digest))
        };
        let may_lack = |digest: &Digest| !is_image && !self.collected.contains(digest);
        needed_by(document)
            .iter()
            .all(|digest| is_there(digest) || may_lack(digest))
    }

    /// Tags keep what they name, a manifest what it needs and what refers to it. How many manifests and blobs went.
    fn collect(&mut self, untagged: bool) -> (u64, u64) {
        let mut kept: BTreeSet<Digest> = if untagged {
            self.tags.values().cloned().collect()
        } else {
            self.manifests.keys().cloned().collect()
        };
        loop {
            let documents = kept.iter().filter_map(|digest| self.manifests.get(digest));
            let mut more: BTreeSet<Digest> = documents.flat_map(needed_by).collect();
            let referrers = self.manifests.iter().filter(|(_, document)| {
                let is_about = |digest| self.manifests.contains_key(digest) && refers_to(document, digest);
                kept.iter().any(is_about)
            });
            more.extend(referrers.map(|(digest, _)| digest.clone()));
            if more.is_subset(&kept) {
                break;
            }
            kept.append(&mut more);
        }
        let goes = |digest: &&Digest| !kept.contains(*digest);
        let manifests: Vec<Digest> = self.manifests.keys().filter(goes).cloned().collect();
        let blobs: Vec<Digest> = self.blobs.iter().filter(goes).cloned().collect();
        self.manifests.retain(|digest, _| kept.contains(digest));
        self.blobs.retain(|digest| kept.contains(digest));
        let freed = (manifests.len() as u64, blobs.len() as u64);
        self.collected.extend(manifests.into_iter().chain(blobs));
        freed
    }
}

impl Model {
    /// The manifest that an action means by a number; one that nobody has, if there are not so many.
    pub(super) fn manifest(&self, number: usize) -> Digest {
        self.known
            .get(number)
            .cloned()
            .unwrap_or_else(|| digest_of(format!("unknown {number}").as_bytes()))
    }

    pub(super) fn put(
        &mut self,
        repository: &'static str,
        digest: &Digest,
        document: &Value,
        tags: impl Iterator<Item = String>,
    ) -> Answer {
        let nothing = Repository::default();
        if !self
            .repositories
            .get(repository)
            .unwrap_or(&nothing)
            .takes(document)
        {
            return Answer::Missing;
        }
        if !self.known.contains(digest) {
            self.known.push(digest.clone());
        }
        let entry = self.repositories.entry(repository).or_default();
        entry.manifests.insert(digest.clone(), document.clone());
        entry.tags.extend(tags.map(|tag| (tag, digest.clone())));
        Answer::Done
    }

    pub(super) fn delete_manifest(&mut self, repository: &str, digest: &Digest) -> Answer {
        let Some(entry) = self.repositories.get_mut(repository) else {
            return Answer::RepositoryUnknown;
        };
        if !entry.manifests.contains_key(digest) {
            return Answer::Unknown;
        }
        if entry.is_needed(digest) {
            return Answer::Referenced;
        }
        entry.manifests.remove(digest);
        entry.tags.retain(|_, named| named != digest);
        Answer::Done
    }

    /// Everything that nobody can reach goes. How many manifests and blobs of repositories went.
    pub(super) fn collect(&mut self, untagged: bool) -> (u64, u64) {
        let freed = self.repositories.values_mut().map(|it| it.collect(untagged));
        freed.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    }

    /// What was collected is remembered by the process.
    pub(super) fn restart(&mut self) {
        for repository in self.repositories.values_mut() {
            repository.collected.clear();
        }
    }

    /// What must be on the volume.
    pub(super) fn contents(&self) -> Vec<String> {
        let repositories = self.repositories.values();
        let all = repositories.flat_map(|it| it.blobs.iter().chain(it.manifests.keys()));
        let hexes: BTreeSet<String> = all.map(|digest| digest.hex().to_owned()).collect();
        hexes.into_iter().collect()
    }
}
