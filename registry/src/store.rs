//! The semantic storage operations that handlers call, over one volume. Values of `portolan-oci` and byte streams come
//! in and go out; IO happens in blocking threads; no HTTP.
//!
//! Guarantees (drawn and argued in `registry/docs/storage.md`):
//! - What an operation has acknowledged survives a crash of the process, and of the machine if the disk keeps what it
//!   has fsynced.
//! - A reader never meets a tag whose manifest is missing, or an image whose blobs are.
//! - A blob or manifest is only readable through a repository that has a link to it.
//! - A fault of the volume is a [`Fault`], never "unknown".
//! - One process per volume. Dropping a future at any point is safe: what it has begun in a blocking thread completes.

mod blobs;
mod came;
mod changes;
mod collect;
mod content;
mod deletion;
mod disk;
mod error;
mod expiry;
mod finish;
mod from_disk;
pub mod fsck;
mod heads;
mod holds;
mod keys;
mod linking;
mod links;
mod locks;
mod manifests;
mod not_understood;
mod open;
mod precondition;
mod receive;
mod referrers;
mod renewal;
mod repositories;
mod requirements;
mod reserve;
mod scrub;
mod search;
mod session;
mod tag_lists;
mod tags;
#[cfg(test)]
mod tests;
mod turns;
mod upload_file;
mod uploads;
mod whole;
mod withdrawal;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use self::came::Absences;
use self::changes::{Change, Changes};
use self::collect::{Arming, Collected, LastRun};
use self::disk::Disk;
use self::heads::Heads;
use self::holds::Holds;
use self::keys::Keys;
use self::linking::Linking;
use self::locks::Locks;
use self::receive::Writebacks;
use self::reserve::Reserve;
use self::session::Sessions;
use self::tag_lists::TagLists;
use self::turns::Turns;
use self::upload_file::UploadFiles;

pub use blobs::MountSource;
pub use collect::{
    CollectError, CollectOptions, CollectPhase, CollectProgress, CollectReport, Counts, Examined, Kept,
};
pub use content::BlobContent;
pub use error::{
    BlobError, BodyError, Fault, ListError, ManifestError, OpenError, ReadOnlyReason, UploadError,
};
pub use heads::ManifestHead;
pub use holds::HoldError;
pub use manifests::{Manner, PutOutcome, StoredManifest};
pub use open::VolumeOptions;
pub use precondition::{Named, Precondition};
pub use referrers::Referrers;
pub use repositories::Place;
pub use requirements::Requirements;
pub use reserve::{ReserveSize, ReserveStatus};
pub use scrub::ScrubStatus;
pub use uploads::{Chunk, UploadStatus};

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// Mount point of the volume.
    pub path: PathBuf,
    pub volume: VolumeOptions,
    /// How long to wait for a predecessor that still drains to release the volume.
    pub lock_timeout: Duration,
    /// Upload sessions that got no byte for so long are removed; none, nor what has no session, if it is `Duration::MAX`.
    pub upload_idle_timeout: Duration,
    /// So many files of uploads may be open, or as many as are written to. One that is closed sooner than it would be costs an
    /// fsync.
    pub open_uploads: usize,
    /// What manifests may not lack.
    pub requirements: Requirements,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Cryptographic randomness, for upload identifiers.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
}

/// One page of a sorted list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In byte order.
    pub items: Vec<T>,
    /// Whether more follow the last item.
    pub has_more: bool,
}

/// What the metrics and the status endpoint report about the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    pub read_only: Option<ReadOnlyReason>,
    pub reserve: ReserveStatus,
    pub open_uploads: u64,
    pub total_bytes: u64,
    pub available_bytes: u64,
    pub total_inodes: u64,
    pub available_inodes: u64,
}

/// An open volume; clones are the same one. The last one to go releases the volume.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    disk: Disk,
    reserve: Arc<Reserve>,
    locks: Locks,
    linking: Linking,
    absences: Absences,
    turns: Turns,
    holds: Holds,
    scrub: Mutex<ScrubStatus>,
    sessions: Sessions,
    upload_files: UploadFiles,
    writebacks: Writebacks,
    tag_lists: TagLists,
    heads: Heads,
    options: StoreOptions,
    /// Every change while it runs, so that closing can wait for all of them and collecting for the earlier ones.
    changes: Changes,
    /// What is pushed while garbage is collected.
    arming: Arming,
    collected: Collected,
    last_run: Mutex<Option<LastRun>>,
    last_collection: Mutex<Option<CollectReport>>,
    is_closed: AtomicBool,
    /// True once everything that was on the volume at the start is durable, or the store takes no writes.
    settled: watch::Receiver<bool>,
    /// The lock on the volume; none when it was opened read-only.
    volume_lock: Mutex<Option<File>>,
}

/// Says that a change may be made, and keeps the volume from being closed meanwhile.
struct Permit {
    _change: Change,
}

impl Store {
    /// Why no writes are accepted, if so.
    pub fn read_only(&self) -> Option<ReadOnlyReason> {
        self.inner.disk.read_only()
    }

    /// Whether this process alone writes to the volume; a read-only store may stand beside one that does.
    pub fn has_volume(&self) -> bool {
        disk::lock(&self.inner.volume_lock).is_some()
    }

    /// Whether the volume answers at all. A read-only store is healthy: it serves pulls. The thread is one of its own:
    /// whether all others are busy is another question.
    pub async fn health(&self) -> Result<(), Fault> {
        let turn = self.inner.turns.probe().await;
        let inner = Arc::clone(&self.inner);
        let (tell, told) = oneshot::channel();
        let probe = move || {
            let answer = inner.free_space().map(drop);
            drop((inner, turn));
            drop(tell.send(answer)); // nobody may wait for it any more
        };
        let started = std::thread::Builder::new().name("probe".into()).spawn(probe);
        started.map_err(|source| Fault::Io {
            action: "start a thread that looks at",
            path: self.inner.keys.root().to_owned(),
            source,
        })?;
        told.await.unwrap_or(Err(Fault::Closed))
    }

    /// What the metrics report; cheap, but not free: it counts the files of uploads.
    pub async fn stats(&self) -> Result<StoreStats, Fault> {
        let inner = Arc::clone(&self.inner);
        let (space, uploads) = blocking(move || Ok((inner.free_space()?, inner.upload_ids()?.len()))).await?;
        Ok(StoreStats {
            read_only: self.read_only(),
            reserve: self.inner.reserve.status(),
            open_uploads: uploads as u64,
            total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
            available_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            total_inodes: space.f_files,
            available_inodes: space.f_favail,
        })
    }

    /// Takes no further changes, waits for those that run and releases the volume for a successor.
    pub async fn close(&self) {
        self.inner.is_closed.store(true, Ordering::SeqCst);
        self.inner.changes.end().await;
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.release()).await;
    }
}

impl Inner {
    /// Asks to change the volume.
    async fn permit(&self) -> Result<Permit, Fault> {
        let mut settled = self.settled.clone();
        // The sender only goes away after it has said what it had to say.
        drop(settled.wait_for(|is_settled| *is_settled).await);
        let change = self.changes.begin().ok_or(Fault::Closed)?;
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(Fault::Closed);
        }
        self.disk.check_writable()?;
        Ok(Permit { _change: change })
    }

    /// Changes the volume in a blocking thread, which keeps the right to until it is done, also when nobody waits for it
    /// any more. For what needs no locks, or takes them without waiting.
    async fn changing<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let permit = self.permit().await?;
        let inner = Arc::clone(self);
        blocking(move || {
            let _permit = permit;
            work(&inner)
        })
        .await
    }

    /// Gives the volume back.
    fn release(&self) {
        if let Some(file) = disk::lock(&self.volume_lock).take() {
            open::unlock(&file);
        }
    }

    fn free_space(&self) -> Result<rustix::fs::StatVfs, Fault> {
        let path = self.keys.root();
        rustix::fs::statvfs(path).map_err(|error| Fault::Io {
            action: "look at",
            path: path.to_owned(),
            source: error.into(),
        })
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("path", &self.options.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Where the registry that runs on a volume listens for administration.
pub fn admin_socket(root: &Path) -> PathBuf {
    Keys::new(root).admin_socket()
}

/// Runs blocking IO beside the async threads. Once begun it runs to its end even if nobody waits for it any more; what
/// still waits for a thread then is not begun, or those who go away could keep all threads from those who stay.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(AbortOnDropHandle::new(tokio::task::spawn_blocking(work))).await
}

async fn joined<T>(task: impl Future<Output = Result<T, JoinError>>) -> T {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels: nobody will ask again.
            Err(_) => std::future::pending().await,
        },
    }
}
