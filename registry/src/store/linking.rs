//! Links that mounts are writing: repositories and digests come in, guards go out; no IO.
//!
//! A mount shares the stripe of its digest, so that many of one base layer go on at once. So who shares it too may see a
//! link that is not durable yet. It looks here after that, and makes the link durable itself.

use std::sync::Mutex;

use portolan_oci::{Digest, RepositoryName};

use super::Inner;
use super::disk::lock;
use super::error::Fault;

#[derive(Debug, Default)]
pub(super) struct Linking(Mutex<Vec<(RepositoryName, Digest)>>);

/// Held from before a link is written until it is durable.
pub(super) struct Writing<'a> {
    all: &'a Linking,
    link: (RepositoryName, Digest),
}

impl Linking {
    pub(super) fn begin(&self, repository: &RepositoryName, digest: &Digest) -> Writing<'_> {
        let link = (repository.clone(), digest.clone());
        lock(&self.0).push(link.clone());
        Writing { all: self, link }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut links = lock(&self.all.0);
        if let Some(position) = links.iter().position(|link| *link == self.link) {
            links.swap_remove(position);
        }
    }
}

impl Inner {
    /// Makes a layer link durable that was seen, unless it is.
    pub(super) fn settle_link(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Fault> {
        let is_being_written = |link: &(RepositoryName, Digest)| link.0 == *repository && link.1 == *digest;
        if lock(&self.linking.0).iter().any(is_being_written) {
            self.disk.sync_there(&self.keys.layer_link(repository, digest))?;
        }
        Ok(())
    }
}
