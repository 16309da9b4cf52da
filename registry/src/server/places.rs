//! The places that the connections of one listener share. While all are taken and somebody wants in, those idle for
//! longest are asked to go; a pure function says which. Waits, but does no IO.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// For those that were asked to go, before others are.
const PATIENCE: Duration = Duration::from_millis(100);
/// Of so many places one is asked for at a time: where nobody answers, each takes a while to come free.
const SHARE: usize = 64;

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    at_once: usize,
    /// Who has been idle for less is not asked.
    lull: Duration,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    /// Those that have not been asked.
    staying: BTreeMap<u64, (Activity, CancellationToken)>,
}

/// A connection that may be asked to go, until it is dropped.
#[derive(Debug)]
pub(super) struct Guest<'a> {
    places: &'a Places,
    number: u64,
    asked: CancellationToken,
}

impl Places {
    pub(super) fn new(number: usize, lull: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(number)),
            at_once: number.div_ceil(SHARE),
            lull,
            guests: Mutex::default(),
        }
    }

    /// Waits for a place, for which idle connections go.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        tokio::select! {
            biased;
            place = self.free.clone().acquire_owned() => place,
            never = self.ask_again_and_again() => match never {},
        }
    }

    async fn ask_again_and_again(&self) -> Infallible {
        loop {
            self.ask(Instant::now());
            tokio::time::sleep(PATIENCE).await;
        }
    }

    fn ask(&self, now: Instant) {
        let mut guests = self.guests();
        let staying = guests.staying.iter();
        let idle = staying.filter_map(|(number, (activity, _))| Some((activity.idle_since()?, *number)));
        for number in idle_longest(idle.collect(), now, self.lull, self.at_once) {
            if let Some((_, asked)) = guests.staying.remove(&number) {
                asked.cancel();
            }
        }
    }

    /// From now on the connection may be asked to go.
    pub(super) fn enter(&self, activity: Activity) -> Guest<'_> {
        let asked = CancellationToken::new();
        let mut guests = self.guests();
        let number = guests.next;
        guests.next += 1;
        guests.staying.insert(number, (activity, asked.clone()));
        Guest {
            places: self,
            number,
            asked,
        }
    }

    /// What it holds is valid after any panic.
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest<'_> {
    /// Returns once the connection is to go.
    pub(super) async fn asked(&self) {
        self.asked.cancelled().await;
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.places.guests().staying.remove(&self.number);
    }
}

/// At most so many of those that have been idle for at least `lull`, which come with the time since when.
fn idle_longest(mut idle: Vec<(Instant, u64)>, now: Instant, lull: Duration, most: usize) -> Vec<u64> {
    idle.retain(|(since, _)| now.saturating_duration_since(*since) >= lull);
    idle.sort_unstable();
    idle.into_iter().take(most).map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_go_that_have_been_idle_for_longest_and_for_a_moment_at_least() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let idle = vec![(start + second * 3, 0), (start + second, 1), (start, 2)];
        let go = |now, most| idle_longest(idle.clone(), now, second * 5, most);
        assert!(go(start + second * 4, 3).is_empty());
        assert_eq!(go(start + second * 5, 3), [2]);
        assert_eq!(go(start + second * 9, 2), [2, 1]);
        assert_eq!(go(start + second * 9, 3), [2, 1, 0]);
    }
}
