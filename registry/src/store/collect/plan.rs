//! What may go and what stays, while a run goes on: what marking has found and what is pushed meanwhile come in, answers
//! come out. Reads the volume, changes nothing.

use std::collections::{HashMap, HashSet};

use portolan_oci::{Digest, RepositoryName};

use super::arming::Root;
use super::graph::{Graph, Node};
use super::linked::Linked;
use super::packed::{Key, Packed, key};
use super::untagged::Record;
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{digests_in, read_link, visit_digests};

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) repositories: Vec<RepositoryPlan>,
    by_name: HashMap<RepositoryName, usize>,
    /// Of all repositories.
    contents: HashSet<Key>,
    /// How many things that were to go stay because of what was pushed during the run.
    pub(super) rescued: u64,
}

/// What may go of one repository.
#[derive(Debug)]
pub(super) struct RepositoryPlan {
    pub(super) name: RepositoryName,
    pub(super) manifests: Vec<Candidate>,
    pub(super) waves: Vec<Vec<Vec<u32>>>,
    pub(super) links: Vec<Packed>,
    /// How long nothing has named what stays for now.
    pub(super) records: Vec<(Packed, Record)>,
    /// Manifests whose record is no longer true.
    pub(super) stale: Vec<Packed>,
    /// Manifests that name something that was absent when they came, and has come since, or of which only that record is left.
    pub(super) completed: Vec<Packed>,
    /// What is marked as having come.
    pub(super) marked: Vec<Packed>,
    by_key: HashMap<Key, u32>,
    by_subject: HashMap<Key, Vec<u32>>,
    kept_links: HashSet<Key>,
    put: HashSet<Key>,
    keeps_all: bool,
}

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) digest: Packed,
    content: Option<Box<Packed>>,
    pub(super) subject: Option<Box<Packed>>,
    /// How much it names.
    pub(super) names: usize,
    pub(super) is_kept: bool,
}

impl Plan {
    pub(super) fn add(&mut self, plan: RepositoryPlan) {
        let is_empty = plan.manifests.is_empty() && plan.links.is_empty();
        let has_notes = !(plan.completed.is_empty() && plan.marked.is_empty());
        if is_empty && plan.records.is_empty() && plan.stale.is_empty() && !has_notes {
            return;
        }
        self.by_name.insert(plan.name.clone(), self.repositories.len());
        self.repositories.push(plan);
    }

    pub(super) fn keep_content(&mut self, content: &Digest) {
        self.contents.insert(key(content));
    }

    pub(super) fn keep_content_of(&mut self, node: &Node) {
        self.contents.insert(match &node.content {
            None => node.key,
            Some(content) => packed_key(content),
        });
    }

    pub(super) fn keeps_content(&self, content: &Digest) -> bool {
        self.contents.contains(&key(content))
    }

    /// Keeps what was pushed and everything that it refers to. The caller holds the stripes of what it is about to
    /// remove, so that nothing of that can be referred to before it has gone.
    pub(super) fn keep(&mut self, inner: &Inner, root: Root) -> Result<(), Fault> {
        match root {
            Root::Blob {
                repository,
                digest,
                content,
            } => {
                self.keep_content(&content);
                if let Some(number) = self.by_name.get(&repository).copied() {
                    self.keep_link(number, &digest, &content);
                }
                Ok(())
            }
            Root::Manifest {
                repository,
                digest,
                names,
            } => {
                let digest = digest.digest();
                self.keep_content(&digest);
                let Some(number) = self.by_name.get(&repository).copied() else {
                    return Ok(());
                };
                let plan = &mut self.repositories[number];
                plan.put.insert(key(&digest));
                if let Some(candidate) = plan.candidate(key(&digest)) {
                    candidate.is_kept = true;
                }
                self.close_over(inner, number, digest, names)
            }
        }
    }

    /// Keeps a link with the content that it leads to, and the link of that by its own digest: registry:2 serves a blob
    /// that it keeps under another digest only where the repository has both.
    pub(super) fn keep_link(&mut self, number: usize, digest: &Digest, content: &Digest) {
        self.keep_content(content);
        let links = [digest, content].map(key);
        self.repositories[number].kept_links.extend(links);
    }

    /// Keeps a manifest that somebody has asked for while it was to go, and everything that it refers to.
    pub(super) fn keep_manifest(
        &mut self,
        inner: &Inner,
        number: usize,
        digest: Digest,
    ) -> Result<(), Fault> {
        self.rescue(number, key(&digest));
        self.close_over(inner, number, digest, None)
    }

    fn close_over(
        &mut self,
        inner: &Inner,
        number: usize,
        digest: Digest,
        names: Option<Box<[Packed]>>,
    ) -> Result<(), Fault> {
        let mut waiting = vec![(digest, names)];
        while let Some((digest, names)) = waiting.pop() {
            let name = self.repositories[number].name.clone();
            let names: Vec<Digest> = match names {
                Some(names) => names.iter().map(Packed::digest).collect(),
                None => match inner.stored_references(&name, &digest)? {
                    None => continue, // deleted meanwhile
                    Some((_, Some(references))) => references.digests,
                    Some((_, None)) => return self.keep_all(inner, number),
                },
            };
            for named in names {
                // One that is not there yet tells itself when it comes.
                if let Some(content) = read_link(&inner.keys.layer_link(&name, &named), &named)? {
                    self.keep_link(number, &named, &content);
                }
                if self.rescue(number, key(&named)) {
                    waiting.push((named, None));
                }
            }
            let plan = &self.repositories[number];
            let referrers = plan.by_subject.get(&key(&digest)).cloned().unwrap_or_default();
            for referrer in referrers {
                let digest = self.repositories[number].manifests[referrer as usize]
                    .digest
                    .digest();
                if self.rescue(number, key(&digest)) {
                    waiting.push((digest, None));
                }
            }
        }
        Ok(())
    }

    /// Whether it was to go until now.
    fn rescue(&mut self, number: usize, key: Key) -> bool {
        let Some(candidate) = self.repositories[number].candidate(key) else {
            return false;
        };
        if candidate.is_kept {
            return false;
        }
        candidate.is_kept = true;
        let content = candidate.content.as_deref().map_or(key, packed_key);
        self.contents.insert(content);
        self.rescued += 1;
        true
    }

    /// Something that stays cannot be understood.
    fn keep_all(&mut self, inner: &Inner, number: usize) -> Result<(), Fault> {
        let keys: Vec<Key> = self.repositories[number].by_key.keys().copied().collect();
        for key in keys {
            self.rescue(number, key);
        }
        self.repositories[number].keeps_all = true;
        let name = self.repositories[number].name.clone();
        visit_digests(&inner.keys.layers(&name), &mut |digest, _| {
            if let Some(content) = read_link(&inner.keys.layer_link(&name, &digest), &digest)? {
                self.keep_content(&content);
            }
            Ok(())
        })
    }
}

impl RepositoryPlan {
    pub(super) fn new(name: RepositoryName) -> Self {
        Self {
            name,
            manifests: Vec::new(),
            waves: Vec::new(),
            links: Vec::new(),
            records: Vec::new(),
            stale: Vec::new(),
            completed: Vec::new(),
            marked: Vec::new(),
            by_key: HashMap::new(),
            by_subject: HashMap::new(),
            kept_links: HashSet::new(),
            put: HashSet::new(),
            keeps_all: false,
        }
    }

    pub(super) fn set_candidates(&mut self, nodes: Vec<Node>, waves: Vec<Vec<Vec<u32>>>) {
        for (index, node) in (0_u32..).zip(nodes) {
            self.by_key.insert(node.key, index);
            if let Some(subject) = &node.subject {
                let subject = packed_key(subject);
                self.by_subject.entry(subject).or_default().push(index);
            }
            self.manifests.push(Candidate {
                digest: node.digest,
                content: node.content,
                subject: node.subject,
                names: node.named,
                is_kept: false,
            });
        }
        self.waves = waves;
    }

    /// Records of what something names again, or of what is gone. What nothing names is not kept yet.
    pub(super) fn forget_records_of_kept(&mut self, inner: &Inner, graph: &Graph) -> Result<(), Fault> {
        for digest in digests_in(&inner.keys.untagged_in(&self.name))? {
            if graph
                .index_of(key(&digest))
                .is_none_or(|index| graph.is_kept(index))
            {
                self.stale.push(Packed::new(&digest));
            }
        }
        Ok(())
    }

    /// Looks what has come of what was absent, and whose records mean nothing any more.
    pub(super) fn find_completed(&mut self, inner: &Inner, linked: &Linked) -> Result<(), Fault> {
        let marked = digests_in(&inner.keys.came_in(&self.name))?;
        self.marked = marked.iter().map(Packed::new).collect();
        for digest in digests_in(&inner.keys.absent_in(&self.name))? {
            let absent = inner.absent_of(&self.name, &digest)?;
            let may_have_come = |it: &Digest| linked.has(it) || marked.binary_search(it).is_ok();
            let have_come = || {
                Ok::<_, Fault>(
                    absent.iter().any(may_have_come) && !inner.came_since(&self.name, &digest)?.is_empty(),
                )
            };
            if inner.is_record_of_nothing(&self.name, &digest)? || have_come()? {
                self.completed.push(Packed::new(&digest));
            }
        }
        Ok(())
    }

    pub(super) fn keeps_link(&self, digest: &Digest) -> bool {
        self.keeps_all || self.kept_links.contains(&key(digest))
    }

    /// Whether a client has put the manifest since the run began.
    pub(super) fn was_put(&self, digest: &Digest) -> bool {
        self.put.contains(&key(digest))
    }

    fn candidate(&mut self, key: Key) -> Option<&mut Candidate> {
        let index = *self.by_key.get(&key)?;
        self.manifests.get_mut(index as usize)
    }
}

fn packed_key(packed: &Packed) -> Key {
    key(&packed.digest())
}
