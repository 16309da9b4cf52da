//! What is named and lost its link, while the volume still has its content: a tag or what a repository keeps comes in,
//! a sentence goes out; blocking IO, reads only.
//!
//! A name without a link is no news where the record of what was absent has it, and no mark says that it came. Any other
//! was there once: a repair can write its link again, unless a collection takes what only the lost one names.

use std::collections::HashSet;

use portolan_oci::{Digest, RepositoryName, Tag};

use super::graph::Graph;
use super::packed::{Key, key};
use crate::manifest::References;
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{exists, read_tag};
use crate::store::manifests::read_limited;

/// What the kept manifests of a repository name and has lost its link.
#[derive(Debug)]
pub(super) struct Lost {
    /// One of those manifests, and what it names.
    pub(super) by: Digest,
    pub(super) first: Digest,
    pub(super) all: HashSet<Digest>,
}

impl Inner {
    /// Whether a tag names a manifest that has lost its link. Looked at in the order in which it is written, last part
    /// first: a push or delete in between is not taken for a loss.
    pub(super) fn is_lost_by_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Fault> {
        Ok(self.has_lost_link(name, digest)?
            && matches!(read_tag(&self.keys.tag(name, tag)), Ok(Some(now)) if now == *digest))
    }

    /// What kept manifests name, came once, and has no link. `gone` had one when the manifests were read.
    pub(super) fn lost_by_manifests(
        &self,
        name: &RepositoryName,
        graph: &Graph,
        gone: &HashSet<Key>,
    ) -> Result<Option<Lost>, Fault> {
        let mut found: Option<Lost> = None;
        let kept = graph.nodes().iter().enumerate();
        for (_, node) in kept.filter(|(index, _)| graph.is_kept(*index)) {
            let linked = node.names.iter().filter(|named| !gone.contains(*named));
            let linked: HashSet<Key> = linked.copied().collect();
            if linked.len() == node.named {
                continue;
            }
            let by = node.digest.digest();
            let Some((_, Some(references))) = self.stored_references(name, &by)? else {
                continue;
            };
            let never_came = self.absent_of(name, &by)?;
            for named in references.digests {
                if !linked.contains(&key(&named))
                    // marked after its link was there, and looked at in that order
                    && (!never_came.contains(&named) || self.is_marked(name, &named)?)
                    && self.has_lost_link(name, &named)?
                    && exists(&self.keys.revision_link(name, &by))?
                {
                    let lost = found.get_or_insert_with(|| Lost {
                        by: by.clone(),
                        first: named.clone(),
                        all: HashSet::new(),
                    });
                    lost.all.insert(named);
                }
            }
        }
        Ok(found)
    }

    /// What has lost its link and all that it names, as far as it is on the volume and can be read.
    pub(super) fn reachable_from_lost(&self, lost: Vec<Digest>) -> HashSet<Digest> {
        let (mut waiting, mut reached) = (lost, HashSet::new());
        while let Some(digest) = waiting.pop() {
            let path = self.keys.blob(&digest);
            if reached.contains(&digest) || matches!(exists(&path), Ok(false)) {
                continue;
            }
            let bytes = read_limited(&path).ok();
            let intact = bytes.filter(|bytes| Digest::of(digest.algorithm(), bytes) == digest);
            reached.insert(digest);
            if let Some(bytes) = intact {
                waiting.extend(References::stored(&bytes).digests);
            }
        }
        reached
    }

    fn has_lost_link(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, Fault> {
        Ok(exists(&self.keys.blob(digest))?
            && !exists(&self.keys.revision_link(name, digest))?
            && !exists(&self.keys.layer_link(name, digest))?)
    }
}

/// What is wrong with a tag or manifest that names something lost.
pub(super) fn sentence(by: &str, name: &RepositoryName, lost: &Digest) -> String {
    format!(
        "{by} of repository {name} names {lost}, which has lost its link there, so everything in that repository is \
         kept: run `portolan-registry fsck --repair`, or push it again"
    )
}
