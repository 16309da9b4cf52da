//! Which changes run right now: each takes a guard; whoever closes or collects waits for those that began before. No IO.
//!
//! Changes are told apart by epochs. A new epoch begins in one step, so a change belongs to the old one and is waited
//! for, or begins after the step and sees everything that was done before it.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::disk::lock;

/// Held by a change for as long as it runs.
pub(super) type Change = OwnedRwLockReadGuard<()>;

pub(super) struct Changes {
    /// Those that may still have changes; the last one takes new ones.
    epochs: Mutex<Vec<Arc<RwLock<()>>>>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            epochs: Mutex::new(vec![Arc::default()]),
        }
    }

    /// None: [`Changes::end`] waits. Who has to know that nothing may begin after it either has to say so: a store asks
    /// [`super::Inner::permit`].
    pub(super) fn begin(&self) -> Option<Change> {
        // Under the mutex, so that nobody can begin in an epoch that is over.
        let epochs = lock(&self.epochs);
        Arc::clone(epochs.last()?).try_read_owned().ok()
    }

    /// Begins an epoch and waits until every change of the epochs before it is done. Changes of the new one go on.
    pub(super) async fn turn(&self) {
        let before = {
            let mut epochs = lock(&self.epochs);
            let before = epochs.clone();
            epochs.push(Arc::default());
            before
        };
        for epoch in &before {
            drop(epoch.write().await);
        }
        lock(&self.epochs).retain(|epoch| !before.iter().any(|it| Arc::ptr_eq(it, epoch)));
    }

    /// Waits for all changes; those that ask to begin meanwhile are refused.
    pub(super) async fn end(&self) {
        let epochs = lock(&self.epochs).clone();
        for epoch in epochs {
            drop(epoch.write_owned().await);
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_turn_waits_for_earlier_changes_and_not_for_later_ones() {
        let changes = Changes::new();
        let earlier = changes.begin().unwrap();
        let mut turn = Box::pin(changes.turn());
        assert!(poll!(&mut turn).is_pending());
        let later = changes.begin().unwrap();
        drop(earlier);
        assert!(poll!(&mut turn).is_ready());
        drop(later);
    }

    #[tokio::test]
    async fn the_end_waits_for_changes_of_an_epoch_whose_turn_was_given_up() {
        let changes = Changes::new();
        let earlier = changes.begin().unwrap();
        assert!(poll!(Box::pin(changes.turn())).is_pending());
        let mut end = Box::pin(changes.end());
        assert!(poll!(&mut end).is_pending());
        drop(earlier);
        assert!(poll!(&mut end).is_ready());
    }
}
