//! Who may change what at the same time. Digests and tags come in, guards go out; no IO.
//!
//! A digest's stripe is held exclusively to publish or delete what it names, shared to refer to it: whoever refers sees
//! only what is durable, and what is referred to cannot be deleted meanwhile. Order: stripes, sorted and each once, then
//! tag locks, sorted and each once. Guards move into the blocking thread, so a dropped request frees nothing too early.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName, Tag};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

const STRIPES: usize = 512;

#[derive(Debug)]
pub(super) struct Locks {
    digests: Vec<Arc<RwLock<()>>>,
    tags: Vec<Arc<Mutex<()>>>,
}

/// Keeps stripes locked for as long as it lives.
#[derive(Debug)]
pub(super) enum Guard {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Exclusive { _guard: OwnedRwLockWriteGuard<()> },
}

/// Keeps tags locked for as long as it lives.
pub(super) type TagGuards = Vec<OwnedMutexGuard<()>>;

impl Locks {
    pub(super) fn new() -> Self {
        Self {
            digests: (0..STRIPES).map(|_| Arc::default()).collect(),
            tags: (0..STRIPES).map(|_| Arc::default()).collect(),
        }
    }

    /// Locks the stripes of all digests; one that is wanted both ways is taken exclusively.
    pub(super) async fn hold(&self, exclusive: &[&Digest], shared: &[&Digest]) -> Vec<Guard> {
        let mut wanted: BTreeMap<usize, bool> = shared.iter().map(|digest| (stripe(digest), false)).collect();
        wanted.extend(exclusive.iter().map(|digest| (stripe(digest), true)));
        let mut guards = Vec::with_capacity(wanted.len());
        for (index, is_exclusive) in wanted {
            let stripe = Arc::clone(&self.digests[index]);
            guards.push(if is_exclusive {
                Guard::Exclusive {
                    _guard: stripe.write_owned().await,
                }
            } else {
                Guard::Shared {
                    _guard: stripe.read_owned().await,
                }
            });
        }
        guards
    }

    /// Locks the stripe of a digest exclusively, unless somebody has it or waits for it. For who is in a blocking thread,
    /// where nothing may be awaited, and holds none.
    pub(super) fn try_hold(&self, digest: &Digest) -> Option<Guard> {
        let stripe = Arc::clone(&self.digests[stripe(digest)]);
        let guard = stripe.try_write_owned().ok()?;
        Some(Guard::Exclusive { _guard: guard })
    }

    pub(super) async fn hold_tags(&self, repository: &RepositoryName, tags: &[Tag]) -> TagGuards {
        let wanted: BTreeSet<usize> = tags.iter().map(|tag| stripe(&(repository, tag))).collect();
        let mut guards = Vec::with_capacity(wanted.len());
        for index in wanted {
            guards.push(Arc::clone(&self.tags[index]).lock_owned().await);
        }
        guards
    }
}

pub(super) fn stripe(value: &impl std::hash::Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    #[tokio::test]
    async fn a_digest_wanted_both_ways_is_locked_once_and_exclusively() {
        let locks = Locks::new();
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let guards = locks.hold(&[&digest], &[&digest, &digest]).await;
        assert!(matches!(guards.as_slice(), [Guard::Exclusive { .. }]));
    }

    #[tokio::test]
    async fn two_tags_on_one_stripe_are_locked_once() {
        let locks = Locks::new();
        let repository: RepositoryName = "a".parse().unwrap();
        let tags: Vec<Tag> = (0..2 * STRIPES)
            .map(|n| format!("t{n}").parse().unwrap())
            .collect();
        assert!(locks.hold_tags(&repository, &tags).await.len() <= STRIPES);
    }
}
