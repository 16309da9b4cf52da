//! Marks of what came to a repository after a manifest that names it, once no record of what was absent names it any more:
//! they mean nothing, and go. IO in blocking threads.
//!
//! All records are read once, without locks. Under the stripes of a batch only their number is looked at: whoever writes
//! one that names something of the batch has had its stripe before, or gets it after the marks are gone.

use std::collections::HashSet;

use portolan_oci::{Digest, RepositoryName};

use super::CollectError;
use super::packed::{Key, Packed, key};
use super::sweep::{BATCH, State, Sweep};
use super::yielding::yielding;
use crate::store::Inner;
use crate::store::disk::lock;
use crate::store::error::Fault;
use crate::store::links::visit_digests;

impl Sweep {
    /// Removes the marks of a repository that mean nothing. False: a hold has ended it.
    pub(super) async fn marked(&self, number: usize) -> Result<bool, CollectError> {
        let (name, marked) = {
            let plan = &mut lock(&self.state).plan.repositories[number];
            (plan.name.clone(), std::mem::take(&mut plan.marked))
        };
        if marked.is_empty() {
            return Ok(true);
        }
        let (inner, whose) = (self.inner.clone(), name.clone());
        let read = yielding(move || {
            let so_far = inner.absences.number();
            inner.unnamed(&whose, marked).map(|unnamed| (unnamed, so_far))
        });
        let (unnamed, so_far) = read.await?;
        for part in unnamed.chunks(BATCH) {
            let held: Vec<Digest> = part.iter().map(Packed::digest).collect();
            let (unnamed, whose) = (held.clone(), name.clone());
            let work = move |inner: &Inner, _: &mut State| {
                if inner.absences.number() != so_far {
                    return Ok(()); // it may name one of these: the next run looks again
                }
                // durably: who takes away the link of one looks for its mark
                inner.forget_came(&whose, &unnamed)
            };
            if !self.batch(held, Vec::new(), work).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Inner {
    /// Those of the `marked` that no record of a repository names.
    fn unnamed(&self, repository: &RepositoryName, mut marked: Vec<Packed>) -> Result<Vec<Packed>, Fault> {
        let key_of = |packed: &Packed| key(&packed.digest());
        let mut unnamed: HashSet<Key> = marked.iter().map(key_of).collect();
        visit_digests(&self.keys.absent_in(repository), &mut |manifest, _| {
            for named in self.absent_of(repository, &manifest)? {
                unnamed.remove(&key(&named));
            }
            Ok(())
        })?;
        marked.retain(|packed| unnamed.contains(&key_of(packed)));
        Ok(marked)
    }
}
