//! How long to wait before a Registry that failed is tried again: failures and successes come in, delays go out.
//! Pure; the random part is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(750);
const LONGEST: Duration = Duration::from_mins(15);
/// Largest part of a delay that jitter takes away, so that objects that failed together do not come back together.
const JITTER: f64 = 0.1;

/// Consecutive failures per object; an object without an entry has none.
#[derive(Debug)]
pub struct Backoff<Key>(Mutex<HashMap<Key, u32>>);

impl<Key> Default for Backoff<Key> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Key: Eq + Hash> Backoff<Key> {
    /// Counts a failure and says how long to wait: 750 ms, doubling, at most 15 min, less up to a tenth.
    /// `random` is uniform in 0..1.
    pub fn delay_after_failure(&self, key: Key, random: f64) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failures.entry(key).or_default();
        let delay = FIRST.saturating_mul(2_u32.saturating_pow(*failed)).min(LONGEST);
        *failed = failed.saturating_add(1);
        delay.mul_f64(1.0 - JITTER * random.clamp(0.0, 1.0))
    }

    /// Forgets the failures of an object that succeeded or is gone.
    pub fn reset(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_quarter_of_an_hour() {
        let backoff = Backoff::default();
        let delays: Vec<Duration> = (0..40)
            .map(|_| backoff.delay_after_failure("depot", 0.0))
            .collect();
        assert_eq!(delays[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(delays[39], LONGEST);
    }

    #[test]
    fn success_starts_over_and_objects_do_not_share() {
        let backoff = Backoff::default();
        backoff.delay_after_failure("depot", 0.0);
        assert_eq!(backoff.delay_after_failure("other", 0.0), FIRST);
        backoff.reset(&"depot");
        assert_eq!(backoff.delay_after_failure("depot", 0.0), FIRST);
    }

    #[test]
    fn jitter_only_shortens() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_after_failure("depot", 1.0), FIRST.mul_f64(0.9));
    }
}
