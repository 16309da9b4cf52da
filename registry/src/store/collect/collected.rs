//! What was collected within the last hour: the sweep tells it, pushes ask for it. No IO.
//!
//! Who was told that something is there does not push it. When it is collected before the manifest that names it comes,
//! and that manifest may lack what it names, it would be taken without. So for an hour what was collected is not
//! something that never came: the push is refused, and the client pushes it again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use portolan_oci::{Digest, RepositoryName};

use crate::store::disk::lock;

/// As long as pushes take, from their first question to their manifest.
const REMEMBERED: Duration = Duration::from_hours(1);

/// By a hash: two that fall together cost a client a push of what it has.
#[derive(Debug, Default)]
pub(in crate::store) struct Collected(Mutex<HashMap<u64, SystemTime>>);

impl Collected {
    /// Tells what is about to go; the caller holds its stripe.
    pub(super) fn tell(&self, repository: &RepositoryName, digest: &Digest, now: SystemTime) {
        lock(&self.0).insert(hash(repository, digest), now);
    }

    /// Forgets what was collected too long ago.
    pub(super) fn forget_old(&self, now: SystemTime) {
        lock(&self.0).retain(|_, at| is_recent(*at, now));
    }

    pub(in crate::store) fn has(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        now: SystemTime,
    ) -> bool {
        lock(&self.0)
            .get(&hash(repository, digest))
            .is_some_and(|at| is_recent(*at, now))
    }
}

fn is_recent(at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|age| age < REMEMBERED)
}

fn hash(repository: &RepositoryName, digest: &Digest) -> u64 {
    let mut hasher = DefaultHasher::new();
    (repository.as_str(), digest.as_str()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    #[test]
    fn what_was_collected_is_remembered_for_an_hour() {
        let collected = Collected::default();
        let (name, digest) = ("a".parse().unwrap(), Digest::of(Algorithm::Sha256, b""));
        let at = SystemTime::UNIX_EPOCH + REMEMBERED;
        collected.tell(&name, &digest, at);
        assert!(collected.has(&name, &digest, at));
        assert!(!collected.has(&"b".parse().unwrap(), &digest, at));
        assert!(!collected.has(&name, &digest, at + REMEMBERED));
        collected.forget_old(at + REMEMBERED);
        assert!(lock(&collected.0).is_empty());
    }
}
