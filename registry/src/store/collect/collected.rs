//! What was collected within the last hour, by the monotonic clock: the sweep tells it, pushes ask for it. No IO.
//!
//! Who was told that something is there does not push it. When it is collected before the manifest that names it comes,
//! and that manifest may lack what it names, it would be taken without. So for an hour what was collected is not
//! something that never came: the push is refused, and the client pushes it again.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portolan_oci::{Digest, RepositoryName};

use crate::store::disk::lock;

/// As long as pushes take, from their first question to their manifest.
const REMEMBERED: Duration = Duration::from_hours(1);
/// What was told within this time is forgotten together.
const SPAN: Duration = Duration::from_mins(10);
/// So many are remembered together: as many as fill a table of 2 MiB.
const MOST_TOGETHER: usize = 229_376;
/// So many times that; of more, the last ones.
const MOST_PARTS: usize = 8;

/// By a hash: two that fall together cost a client a push of what it has.
#[derive(Debug, Default)]
pub(in crate::store) struct Collected(Mutex<VecDeque<Part>>);

#[derive(Debug)]
struct Part {
    first: Instant,
    last: Instant,
    told: HashSet<u64>,
}

impl Collected {
    /// Tells what is about to go; the caller holds its stripe.
    pub(super) fn tell(&self, repository: &RepositoryName, digest: &Digest, now: Instant) {
        let mut parts = lock(&self.0);
        let has_room =
            |part: &Part| part.told.len() < MOST_TOGETHER && now.saturating_duration_since(part.first) < SPAN;
        if !parts.back().is_some_and(has_room) {
            parts.push_back(Part {
                first: now,
                last: now,
                told: HashSet::new(),
            });
            if parts.len() > MOST_PARTS {
                parts.pop_front();
            }
        }
        if let Some(part) = parts.back_mut() {
            part.last = now;
            part.told.insert(hash(repository, digest));
        }
    }

    /// Forgets what was collected too long ago, and gives its memory back.
    pub(in crate::store) fn forget_old(&self, now: Instant) {
        let mut parts = lock(&self.0);
        parts.retain(|part| part.is_recent(now));
        parts.shrink_to_fit();
    }

    pub(in crate::store) fn has(&self, repository: &RepositoryName, digest: &Digest, now: Instant) -> bool {
        let wanted = hash(repository, digest);
        let parts = lock(&self.0);
        let mut recent = parts.iter().filter(|part| part.is_recent(now));
        recent.any(|part| part.told.contains(&wanted))
    }
}

impl Part {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < REMEMBERED
    }
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

    fn digest(number: usize) -> Digest {
        Digest::of(Algorithm::Sha256, &number.to_le_bytes())
    }

    #[test]
    fn what_was_collected_is_remembered_for_an_hour_and_then_costs_nothing() {
        let collected = Collected::default();
        let name = "a".parse().unwrap();
        let start = Instant::now();
        collected.tell(&name, &digest(0), start);
        collected.tell(&name, &digest(1), start + SPAN);
        assert!(collected.has(&name, &digest(0), start));
        assert!(!collected.has(&"b".parse().unwrap(), &digest(0), start));
        let later = start + REMEMBERED;
        collected.forget_old(later);
        assert!(!collected.has(&name, &digest(0), later) && collected.has(&name, &digest(1), later));
        assert_eq!(lock(&collected.0).len(), 1);
        collected.forget_old(later + SPAN);
        assert_eq!(lock(&collected.0).capacity(), 0);
    }

    #[test]
    fn of_more_than_is_remembered_the_last_stay() {
        let collected = Collected::default();
        let name = "a".parse().unwrap();
        let now = Instant::now();
        let full = |parts: &VecDeque<Part>| parts.iter().map(|part| part.told.len()).sum::<usize>();
        collected.tell(&name, &digest(0), now);
        let all = (1..MOST_TOGETHER as u64).collect();
        for _ in 0..MOST_PARTS {
            if let Some(part) = lock(&collected.0).back_mut() {
                part.told.extend::<HashSet<u64>>(HashSet::clone(&all));
            }
            collected.tell(&name, &digest(1), now);
            collected.tell(&name, &digest(2), now);
        }
        assert!(full(&lock(&collected.0)) <= MOST_TOGETHER * MOST_PARTS);
        assert_eq!(lock(&collected.0).len(), MOST_PARTS);
        assert!(!collected.has(&name, &digest(0), now) && collected.has(&name, &digest(2), now));
    }
}
