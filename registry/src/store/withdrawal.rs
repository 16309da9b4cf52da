//! Locks for changes that take a reference away: what names something now comes in, guards go out; blocking reads.
//!
//! Until a tag that moved, or a manifest that was deleted, is durably gone from where it was, a power cut may bring it
//! back. So whoever takes a reference away shares the stripe of what it named, and who deletes that, exclusively, waits:
//! what it then reads of tags and manifests is durable. The model in `registry/docs/gc-model.md` shows what is lost
//! otherwise.

use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName, Tag};

use crate::manifest::References;

use super::error::Fault;
use super::links::read_tag;
use super::locks::{Guard, TagGuards};
use super::{Inner, blocking};

impl Inner {
    /// Takes stripes and the locks of tags, and shares the stripes of what these tags name.
    pub(super) async fn hold_with_tags(
        self: &Arc<Self>,
        repository: &RepositoryName,
        exclusive: &[&Digest],
        shared: &[&Digest],
        tags: &[Tag],
    ) -> Result<(Vec<Guard>, TagGuards), Fault> {
        loop {
            let named = self.named_by_tags(repository, tags).await?;
            let shared: Vec<&Digest> = shared.iter().copied().chain(&named).collect();
            let stripes = self.locks.hold(exclusive, &shared).await;
            let tag_locks = self.locks.hold_tags(repository, tags).await;
            // A tag may have moved before its lock was free; what it names now is not held then.
            let now = self.named_by_tags(repository, tags).await?;
            if now.iter().all(|digest| named.contains(digest)) {
                return Ok((stripes, tag_locks));
            }
        }
    }

    /// Takes the stripe of a manifest, to delete it, and shares those of what it names. That of its subject, too: nobody
    /// writes into the directory of its referrers while it may be removed.
    pub(super) async fn hold_with_named(
        self: &Arc<Self>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Guard>, Fault> {
        loop {
            let named = self.named_by_manifest(repository, digest).await?;
            let exclusive: Vec<&Digest> = named.subject.iter().chain([digest]).collect();
            let shared: Vec<&Digest> = named.digests.iter().collect();
            let stripes = self.locks.hold(&exclusive, &shared).await;
            // It may have come, or been healed, before its stripe was free.
            if self.named_by_manifest(repository, digest).await? == named {
                return Ok(stripes);
            }
        }
    }

    async fn named_by_tags(
        self: &Arc<Self>,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<Vec<Digest>, Fault> {
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let (inner, repository, tags) = (Arc::clone(self), repository.clone(), tags.to_vec());
        blocking(move || {
            let mut named = Vec::new();
            for tag in &tags {
                match read_tag(&inner.keys.tag(&repository, tag)) {
                    Ok(digest) => named.extend(digest),
                    Err(Fault::Damaged { .. }) => {} // it names nothing that could be lost
                    Err(fault) => return Err(fault),
                }
            }
            Ok(named)
        })
        .await
    }

    async fn named_by_manifest(
        self: &Arc<Self>,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<References, Fault> {
        let (inner, repository, digest) = (Arc::clone(self), repository.clone(), digest.clone());
        blocking(move || match inner.read_manifest(&repository, &digest) {
            Ok(manifest) => Ok(manifest.map_or_else(References::default, |it| References::stored(&it.bytes))),
            Err(Fault::Damaged { .. }) => Ok(References::default()), // nobody can pull it, so it needs nothing
            Err(fault) => Err(fault),
        })
        .await
    }
}
