//! What came to a repository after a manifest that names it: digests come in, marks are kept; blocking IO.
//!
//! The record of what was absent does not tell what never came from what came and was lost since. So where there is such a
//! record, what comes is marked once its link is durable, and the mark goes before the link does: a mark without a link
//! says that the link was lost. Pushes of what is named and of what names it either wait for each other, or each looks for
//! what the other writes after it has written its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use portolan_oci::{Digest, RepositoryName};

use crate::manifest::Manifest;

use super::Inner;
use super::error::Fault;
use super::links::{exists, has_entries};

/// How often something was recorded as absent: who has read all records learns from it that there may be more.
#[derive(Debug, Default)]
pub(super) struct Absences(AtomicU64);

impl Absences {
    /// To be called under the stripes of what is recorded, before it is.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn number(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Inner {
    /// Whether anything is recorded as absent in a repository.
    pub(super) fn lacks_something(&self, repository: &RepositoryName) -> Result<bool, Fault> {
        let records = self.keys.absent_in(repository);
        Ok(exists(&records)? && has_entries(&records)?)
    }

    /// Remembers, durably, that a repository has had `digest`, if anything is recorded there. The caller holds its stripe,
    /// and has made the link durable: a power cut shall not leave the mark alone.
    pub(super) fn mark_came(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Fault> {
        if self.lacks_something(repository)? {
            self.disk.write_mark(&self.keys.came(repository, digest))?;
        }
        Ok(())
    }

    pub(super) fn is_marked(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Fault> {
        exists(&self.keys.came(repository, digest))
    }

    /// Marks what of the `absent` has come before their record was written, by a mount that may have seen no record. The
    /// caller shares their stripes.
    pub(super) fn mark_what_came_meanwhile(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        absent: &[Digest],
    ) -> Result<(), Fault> {
        let absent: HashSet<&Digest> = absent.iter().collect();
        let edges = manifest.edges.iter();
        for edge in edges.filter(|edge| absent.contains(&edge.digest)) {
            if self.has(repository, edge)? {
                self.settle_link(repository, &edge.digest)?;
                self.mark_came(repository, &edge.digest)?;
            }
        }
        Ok(())
    }

    /// Forgets, durably, that a repository has had these, before their links go: what is taken away is not lost. The caller
    /// holds their stripes exclusively.
    pub(super) fn forget_came<'a>(
        &self,
        repository: &RepositoryName,
        digests: impl IntoIterator<Item = &'a Digest>,
    ) -> Result<(), Fault> {
        if !exists(&self.keys.came_in(repository))? {
            return Ok(());
        }
        let mut marks = Vec::new();
        for digest in digests {
            let mark = self.keys.came(repository, digest);
            if exists(&mark)? {
                marks.push(mark);
            }
        }
        self.disk.remove_files(&marks)
    }
}
