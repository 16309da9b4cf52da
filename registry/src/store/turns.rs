//! Turns at work that reads much of the volume: who wants one comes in, a turn goes out; no IO.
//!
//! Such work keeps a blocking thread for as long as it takes, and there are few of them: pulls shall always find one.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of each kind at once.
const MOST: usize = 2;

#[derive(Debug)]
pub(super) struct Turns {
    searches: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    referrers: Arc<Semaphore>,
    tags: Arc<Semaphore>,
    wide: Arc<Semaphore>,
    probe: Arc<Semaphore>,
}

/// Goes into the thread that does the work, which goes on when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            searches: semaphore(MOST),
            lists: semaphore(MOST),
            scans: semaphore(MOST),
            referrers: semaphore(MOST),
            tags: semaphore(MOST),
            wide: semaphore(1),
            probe: semaphore(1),
        }
    }
}

impl Turns {
    /// For looking for a blob in every repository. None: others do, and nothing is lost without.
    pub(super) fn search(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.searches).try_acquire_owned().ok()?;
        Some(Turn {
            _permit: Some(permit),
        })
    }

    /// For listing repositories.
    pub(super) async fn list(&self) -> Turn {
        turn(&self.lists).await
    }

    /// For reading all manifests of a repository.
    pub(super) async fn scan(&self) -> Turn {
        turn(&self.scans).await
    }

    /// For a part of a list of referrers. Whoever has had one waits behind all others for the next.
    pub(super) async fn referrers(&self) -> Turn {
        turn(&self.referrers).await
    }

    /// For reading the names of all tags of a repository.
    pub(super) async fn tags(&self) -> Turn {
        turn(&self.tags).await
    }

    /// For a push that takes most of the stripes: of several, each would hold what it has while it waits for the others,
    /// and everybody else would wait for all of them.
    pub(super) async fn wide(&self) -> Turn {
        turn(&self.wide).await
    }

    /// For asking whether the volume answers: on one that does not, only one thread hangs.
    pub(super) async fn probe(&self) -> Turn {
        turn(&self.probe).await
    }
}

async fn turn(semaphore: &Arc<Semaphore>) -> Turn {
    Turn {
        _permit: Arc::clone(semaphore).acquire_owned().await.ok(), // it is never closed
    }
}
