//! What a repository has links to: directories come in, keys are kept; blocking IO, reads only.
//!
//! It is read before the manifests: whoever adds a link later tells the run. So of all that manifests name only this need
//! be remembered, and a run costs memory for what is on the volume, not for what somebody names.

use std::collections::HashSet;

use portolan_oci::{Digest, RepositoryName};

use super::packed::{Key, key};
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::visit_digests;

/// Manifests and blobs.
#[derive(Debug, Default)]
pub(super) struct Linked(HashSet<Key>);

impl Linked {
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.0.contains(&key(digest))
    }

    /// Keys of what is linked.
    pub(super) fn keys_of(&self, named: &[Digest]) -> Box<[Key]> {
        let keys = named.iter().map(key);
        keys.filter(|key| self.0.contains(key)).collect()
    }
}

impl FromIterator<Key> for Linked {
    fn from_iter<T: IntoIterator<Item = Key>>(keys: T) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl Inner {
    pub(super) fn linked(&self, name: &RepositoryName) -> Result<Linked, Fault> {
        let mut linked = Linked::default();
        for directory in [self.keys.revisions(name), self.keys.layers(name)] {
            visit_digests(&directory, &mut |digest, _| {
                linked.0.insert(key(&digest));
                Ok(())
            })?;
        }
        Ok(linked)
    }
}
