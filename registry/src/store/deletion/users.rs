//! Which manifests of a repository need something that is to be deleted: a digest comes in, those manifests go out.
//! Blocking IO, reads only.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName};

use crate::manifest::{References, stored_images, stored_names};
use crate::store::error::Fault;
use crate::store::links::{digests_in, exists, read_link};
use crate::store::{Inner, blocking};

/// What of a repository may need something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Users {
    /// The first manifest that needs it; what comes behind that was not read.
    pub(in crate::store) known: Option<Digest>,
    /// Damaged manifests: what they need shows when they are pushed again.
    pub(in crate::store) damaged: Vec<Digest>,
}

impl Inner {
    /// Those manifests of a repository that certainly never need `digest`, if `link` is there at all: they were read, and
    /// the bytes of a digest never change. Without locks, so that under them only the rest has to be read. It ends at
    /// the first that does need it.
    pub(in crate::store) async fn strangers_to(
        self: &Arc<Self>,
        link: PathBuf,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<HashSet<Digest>, Fault> {
        let (inner, repository, digest) = (Arc::clone(self), repository.clone(), digest.clone());
        blocking(move || {
            let mut strangers = HashSet::new();
            if !exists(&link)? {
                return Ok(strangers);
            }
            for revision in digests_in(&inner.keys.revisions(&repository))? {
                // what another registry has stored under another digest may be pushed again under this one
                let link = inner.keys.revision_link(&repository, &revision);
                if !matches!(read_link(&link, &revision), Ok(Some(content)) if content == revision) {
                    continue;
                }
                match inner.read_manifest(&repository, &revision) {
                    Ok(Some(manifest)) if stored_names(&manifest.bytes, &digest) => break,
                    Ok(Some(_)) => {
                        strangers.insert(revision);
                    }
                    Ok(None) | Err(_) => {} // gone, or to be healed by the next push
                }
            }
            Ok(strangers)
        })
        .await
    }

    /// The manifests of a repository that need `digest`. Reads all but the `strangers`.
    pub(in crate::store) fn users_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        strangers: &HashSet<Digest>,
    ) -> Result<Users, Fault> {
        let mut users = Users::default();
        for revision in digests_in(&self.keys.revisions(repository))? {
            if revision == *digest || strangers.contains(&revision) {
                continue;
            }
            match self.read_manifest(repository, &revision) {
                Ok(Some(manifest)) if stored_names(&manifest.bytes, digest) => {
                    users.known = Some(revision);
                    break;
                }
                Ok(_) => {}
                Err(Fault::Damaged { .. }) if self.is_without_trace(repository, &revision)? => {}
                Err(Fault::Damaged { .. }) => users.damaged.push(revision),
                Err(fault) => return Err(fault),
            }
        }
        Ok(users)
    }

    /// Whether a link is all that there is of a manifest: the garbage collection of registry:2 leaves such links. What
    /// was moved aside is to be pushed again.
    fn is_without_trace(&self, repository: &RepositoryName, revision: &Digest) -> Result<bool, Fault> {
        match read_link(&self.keys.revision_link(repository, revision), revision) {
            Ok(Some(content)) => {
                Ok(!exists(&self.keys.blob(&content))? && !exists(&self.keys.quarantined(&content))?)
            }
            Ok(None) => Ok(true),
            Err(Fault::Damaged { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Those of the `damaged` manifests of a repository that may need the manifest `digest`. One that is damaged itself
    /// is kept for none of them, or no damaged one could go where there are two. What it leads to does not need it: no
    /// document holds the digest of what holds its own. Nor does what another index lists as an image.
    pub(super) fn possible_users(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut damaged: Vec<Digest>,
    ) -> Result<Vec<Digest>, Fault> {
        let (mut waiting, mut reached) = (vec![digest.clone()], HashSet::new());
        while !damaged.is_empty()
            && let Some(next) = waiting.pop()
        {
            if !reached.insert(next.clone()) {
                continue;
            }
            match self.read_manifest(repository, &next) {
                Ok(Some(manifest)) => waiting.extend(References::stored(&manifest.bytes).digests),
                Err(Fault::Damaged { .. }) if next == *digest => damaged.clear(),
                Ok(None) | Err(Fault::Damaged { .. }) => {}
                Err(fault) => return Err(fault),
            }
            damaged.retain(|it| *it != next);
        }
        if !damaged.is_empty() {
            for revision in digests_in(&self.keys.revisions(repository))? {
                match self.read_manifest(repository, &revision) {
                    Ok(Some(manifest)) => {
                        let images = stored_images(&manifest.bytes);
                        damaged.retain(|it| !images.contains(it));
                    }
                    Ok(None) | Err(Fault::Damaged { .. }) => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(damaged)
    }
}
