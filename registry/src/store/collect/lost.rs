//! What is named and lost its link, while the volume still has its content: a tag or what a repository keeps comes in,
//! a sentence goes out; blocking IO, reads only.
//!
//! A name without a link is no news where the record of what was absent has it. Any other was there once: a repair can
//! write its link again, unless a collection takes what only the lost one names.

use std::collections::HashSet;

use portolan_oci::{Digest, RepositoryName, Tag};

use super::graph::Graph;
use super::packed::{Key, key};
use crate::manifest::References;
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{exists, read_tag};
use crate::store::manifests::read_limited;

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

    /// What of `unlinked` came once, each with a kept manifest that names it.
    pub(super) fn lost_by_manifests(
        &self,
        name: &RepositoryName,
        graph: &Graph,
        unlinked: &HashSet<Key>,
    ) -> Result<Vec<(Digest, Digest)>, Fault> {
        let mut lost = Vec::new();
        if unlinked.is_empty() {
            return Ok(lost);
        }
        let kept = graph.nodes().iter().enumerate();
        for (_, node) in kept.filter(|(index, _)| graph.is_kept(*index)) {
            if !node.names.iter().any(|named| unlinked.contains(named)) {
                continue;
            }
            let Some(by) = node.digest.digest() else { continue };
            let Some((_, Some(references))) = self.stored_references(name, &by)? else {
                continue;
            };
            let never_came = self.absent_of(name, &by)?;
            for named in references.digests {
                if unlinked.contains(&key(&named))
                    && !never_came.contains(&named)
                    && self.has_lost_link(name, &named)?
                    && exists(&self.keys.revision_link(name, &by))?
                {
                    lost.push((by.clone(), named));
                }
            }
        }
        Ok(lost)
    }

    /// What has lost its link and all that it names, as far as its content can be read.
    pub(super) fn reachable_from_lost(&self, lost: Vec<Digest>) -> HashSet<Digest> {
        let (mut waiting, mut reached) = (lost, HashSet::new());
        while let Some(digest) = waiting.pop() {
            let bytes = read_limited(&self.keys.blob(&digest));
            let intact = bytes
                .ok()
                .filter(|bytes| Digest::of(digest.algorithm(), bytes) == digest);
            if reached.insert(digest)
                && let Some(bytes) = intact
            {
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
