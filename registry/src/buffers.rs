//! Memory for request bodies that are kept whole: how much of it, for one and for all, and for how long. No IO.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What bodies of one kind may take.
#[derive(Clone, Debug)]
pub struct Buffers {
    /// A permit for each byte.
    room: Arc<Semaphore>,
    /// The most bytes of one body.
    pub largest: usize,
    /// Within which a body must have come: with single bytes a client could stay for ever.
    pub time: Duration,
}

/// The right to keep so many bytes.
#[derive(Debug, Default)]
pub struct Share(Option<OwnedSemaphorePermit>);

impl Buffers {
    /// Room for `total` bytes of all bodies.
    pub fn new(total: usize, largest: usize, time: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(total)),
            largest,
            time,
        }
    }

    /// For manifests. The specification wants 4 MiB at least to be taken.
    pub fn for_manifests() -> Self {
        Self::new(64 << 20, 5 << 20, Duration::from_mins(1))
    }

    /// For names, a password and some scopes; anybody may send them.
    pub fn for_forms() -> Self {
        Self::new(4 << 20, 8 << 10, Duration::from_secs(10))
    }

    /// Makes a share larger; waits until there is room.
    pub async fn grow(&self, share: &mut Share, bytes: usize) {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.room).acquire_many_owned(permits).await else {
            return; // it is never closed
        };
        match &mut share.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
    }
}
