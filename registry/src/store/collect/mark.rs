//! Reads repositories and decides what of each is kept: directories come in, what may go comes out. Blocking IO, reads
//! only, no locks: what is pushed meanwhile tells itself, see `arming`.
//!
//! What cannot be read ends the run. What is read and cannot be understood keeps everything that it might mean.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, SystemTime};

use portolan_oci::{Digest, RepositoryName};

use super::CollectOptions;
use super::graph::{Graph, Node, Reason};
use super::linked::Linked;
use super::lost;
use super::packed::{Key, Packed, key};
use super::plan::{Plan, RepositoryPlan};
use super::report::CollectReport;
use super::roots::Roots;
use super::untagged::Ages;
use crate::manifest::References;
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{exists, names_in, read_link, read_tag, renewed_at, visit_digests};
use crate::store::manifests::read_limited;

/// Sentences beyond this number would only hide the first ones.
const MAX_WARNINGS: usize = 100;

/// What marking needs to know and what it finds out.
#[derive(Debug)]
pub(super) struct Marking<'a> {
    pub(super) options: &'a CollectOptions,
    pub(super) now: SystemTime,
    pub(super) roots: &'a Roots,
    pub(super) ages: &'a Ages,
    pub(super) plan: Plan,
    pub(super) report: CollectReport,
    /// Nobody knows what something in the repository that is looked at means.
    pub(super) keeps_all: bool,
}

impl Marking<'_> {
    /// `tell` is called before each part of it is read.
    pub(super) fn repository(
        &mut self,
        inner: &Inner,
        name: &RepositoryName,
        tell: &dyn Fn(),
    ) -> Result<(), Fault> {
        self.report.examined.repositories += 1;
        self.keeps_all = false;
        tell();
        let linked = inner.linked(name)?;
        tell();
        let mut graph = inner.graph(name, &linked)?;
        self.report.examined.manifests += graph.nodes().len() as u64;
        tell();
        self.keep_reachable(inner, name, &mut graph)?;
        let mut plan = RepositoryPlan::new(name.clone());
        tell();
        plan.find_completed(inner, &linked)?;
        self.keep_untagged(inner, &mut graph, &mut plan)?;
        if let Some(damaged) = graph.kept_and_damaged().map(|it| it.digest.digest()) {
            self.keep_everything(
                &mut graph,
                format!(
                    "manifest {damaged} of repository {name} is damaged, so nobody knows what it needs and everything in that repository is kept: push it again, or delete it"
                ),
            );
        }
        let before = self.report.clone();
        tell();
        let gone = self.links(inner, name, &graph, &mut plan)?;
        tell();
        if let Some(lost) = inner.lost_by_manifests(name, &graph, &gone)? {
            self.report = before;
            plan.links.clear();
            let by = format!("manifest {}", lost.by);
            self.keep_everything(&mut graph, lost::sentence(&by, name, &lost.first));
            self.links(inner, name, &graph, &mut plan)?;
            self.keep_lost(inner, lost.all.into_iter().collect());
        }
        graph.count_kept(&mut self.report.kept);
        for (index, node) in graph.nodes().iter().enumerate() {
            if graph.is_kept(index) {
                self.plan.keep_content_of(node);
            }
        }
        let (candidates, waves) = graph.into_waves();
        self.report.candidates.manifests += candidates.len() as u64;
        plan.set_candidates(candidates, waves);
        self.plan.add(plan);
        Ok(())
    }

    /// What tags, the list of what is in use and deleted tags name, and what follows.
    fn keep_reachable(
        &mut self,
        inner: &Inner,
        name: &RepositoryName,
        graph: &mut Graph,
    ) -> Result<(), Fault> {
        for tag in names_in(&inner.keys.tags(name))? {
            let Ok(tag) = tag.parse() else { continue };
            let directory = inner.keys.tag(name, &tag);
            match read_tag(&directory) {
                Ok(None) => {}
                Ok(Some(digest)) => {
                    self.plan.keep_content(&digest);
                    graph.keep(key(&digest), Reason::Tagged);
                    if graph.index_of(key(&digest)).is_none() && inner.is_lost_by_tag(name, &tag, &digest)? {
                        self.keep_everything(graph, lost::sentence(&format!("tag {tag}"), name, &digest));
                        self.keep_lost(inner, vec![digest]);
                    }
                }
                // Its history does not help: it is registry:2's, and does not know where we have moved the tag.
                Err(Fault::Damaged { .. }) => self.keep_everything(
                    graph,
                    format!(
                        "tag {tag} of repository {name} cannot be read, so nobody knows what it names and \
                         everything in that repository is kept: push it again, or delete it"
                    ),
                ),
                Err(fault) => return Err(fault),
            }
        }
        for digest in self.roots.trash.get(name).into_iter().flatten() {
            self.plan.keep_content(digest);
            graph.keep(key(digest), Reason::Trash);
        }
        for key in &self.roots.in_use {
            graph.keep(*key, Reason::InUse);
        }
        Ok(())
    }

    /// What nothing names, as long as it is to stay all the same.
    fn keep_untagged(
        &mut self,
        inner: &Inner,
        graph: &mut Graph,
        plan: &mut RepositoryPlan,
    ) -> Result<(), Fault> {
        let loose: Vec<usize> = (0..graph.nodes().len())
            .filter(|index| !graph.is_kept(*index))
            .collect();
        let Some(after) = self.options.untagged_after else {
            for index in loose {
                graph.keep(graph.nodes()[index].key, Reason::UntaggedOff);
            }
            return Ok(());
        };
        plan.forget_records_of_kept(inner, graph)?;
        for index in loose {
            let digest = graph.nodes()[index].digest.digest();
            let record = self.ages.of(inner, &plan.name, &digest, self.options.interval)?;
            let link = inner.keys.revision_link(&plan.name, &digest);
            if record.age() < after || is_young(renewed_at(&link)?, self.now, self.options.grace) {
                graph.keep(key(&digest), Reason::UntaggedYoung);
                plan.records.push((Packed::new(&digest), record));
            }
        }
        Ok(())
    }

    fn keep_lost(&mut self, inner: &Inner, lost: Vec<Digest>) {
        for digest in inner.reachable_from_lost(lost) {
            self.plan.keep_content(&digest);
        }
    }

    fn keep_everything(&mut self, graph: &mut Graph, warning: String) {
        graph.keep_all(Reason::Damaged);
        self.keeps_all = true;
        if self.report.warnings.len() < MAX_WARNINGS {
            self.report.warnings.push(warning);
        }
    }

    /// Which blobs stay in the repository. Returns what is named by what stays and was a blob of it, and is no more.
    fn links(
        &mut self,
        inner: &Inner,
        name: &RepositoryName,
        graph: &Graph,
        plan: &mut RepositoryPlan,
    ) -> Result<HashSet<Key>, Fault> {
        let named = graph.names_of_kept();
        let mut gone: HashSet<Key> = named
            .iter()
            .copied()
            .filter(|named| graph.index_of(*named).is_none())
            .collect();
        let (mut going, mut led_to) = (Vec::new(), HashSet::new());
        visit_digests(&inner.keys.layers(name), &mut |digest, inode| {
            let path = inner.keys.layer_link(name, &digest);
            let is_named = self.keeps_all || named.contains(&key(&digest));
            let renewed = if is_named { None } else { renewed_at(&path)? };
            if !is_named && !is_young(renewed, self.now, self.options.grace) {
                if renewed.is_some() {
                    going.push((inode, Packed::new(&digest)));
                }
                return Ok(());
            }
            if let Some(content) = read_link(&path, &digest)? {
                self.report.examined.links += 1;
                self.report.kept.link_grace += u64::from(!is_named);
                self.plan.keep_content(&content);
                gone.remove(&key(&digest));
                if content != digest {
                    led_to.insert(key(&content));
                }
            }
            Ok(())
        })?;
        self.report.examined.links += going.len() as u64;
        going.retain(|(_, link)| !led_to.contains(&key(&link.digest()))); // see `Plan::keep_link`
        self.report.candidates.links += going.len() as u64;
        // Those of other algorithms first: one that somebody asks for keeps another. Then see `names_by_inode`.
        going.sort_unstable_by_key(|(inode, link)| (matches!(link, Packed::Sha256(_)), *inode));
        plan.links = going.into_iter().map(|(_, digest)| digest).collect();
        Ok(gone)
    }
}

impl Inner {
    fn graph(&self, name: &RepositoryName, linked: &Linked) -> Result<Graph, Fault> {
        let mut graph = Graph::default();
        visit_digests(&self.keys.revisions(name), &mut |digest, _| {
            // None: deleted meanwhile.
            if let Some((content, references)) = self.stored_references(name, &digest)? {
                let subject = references.as_ref().and_then(|it| it.subject.as_ref()).map(key);
                graph.add(Node::new(&digest, &content, references.as_ref(), linked), subject);
            }
            Ok(())
        })?;
        Ok(graph)
    }

    /// Where the bytes of a manifest are and what they refer to, if they are there and what they should be. None: the
    /// repository does not have the manifest.
    pub(super) fn stored_references(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(Digest, Option<References>)>, Fault> {
        let link = self.keys.revision_link(name, digest);
        let Some(content) = read_link(&link, digest)? else {
            return Ok(None);
        };
        let path = self.keys.blob(&content);
        let bytes = match read_limited(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(&link)? => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
                ) =>
            {
                None
            }
            Err(source) => {
                return Err(Fault::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        let intact = bytes.filter(|bytes| Digest::of(content.algorithm(), bytes) == content);
        let references = intact.map(|bytes| References::stored(&bytes));
        Ok(Some((content, references)))
    }
}

/// What is not there has no age; what comes from the future is young.
pub(super) fn is_young(renewed: Option<SystemTime>, now: SystemTime, grace: Duration) -> bool {
    renewed.is_some_and(|at| now.duration_since(at).map_or(!grace.is_zero(), |age| age < grace))
}
