//! Upload sessions that this process knows: whose they are, how long, and the hash so far. No IO.
//!
//! They are bounded, or who may push could fill the memory with sessions and the volume with their records: of too many,
//! the one that nobody has asked about for longest gives way.
//!
//! The file is the truth about an upload; a session in memory saves hashing it again. After a restart sessions come back
//! from their files, without a hash.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lru::LruCache;
use portolan_oci::{Algorithm, Hasher, RepositoryName, UploadId};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::disk::lock;
use super::upload_file::UploadFile;

/// What `uploads/<id>.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadRecord {
    pub(super) repository: RepositoryName,
    /// Which hash to run while receiving; a closing request may still name another.
    pub(super) algorithm: String,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) repository: RepositoryName,
    /// Bytes in the file that count; read without the lock by status requests.
    offset: AtomicU64,
    progress: Arc<tokio::sync::Mutex<Progress>>,
    /// Whether it was made durable that there is this session.
    pub(super) is_kept: AtomicBool,
    is_closing: AtomicBool,
}

/// The right to close the file of a session, which one has at a time: of two, each would take the other's look for use.
#[derive(Debug)]
pub(super) struct Closing(Arc<Session>);

impl Closing {
    pub(super) fn session(&self) -> &Session {
        &self.0
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.is_closing.store(false, Ordering::Release);
    }
}

/// Owned by the one request that writes to the session.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) offset: u64,
    pub(super) algorithm: Algorithm,
    /// None: must be computed from the file.
    pub(super) hasher: Option<Hasher>,
    /// None: nobody has written to it lately.
    pub(super) file: Option<Arc<UploadFile>>,
    /// Since somebody has looked whether it rests.
    pub(super) is_used: bool,
    /// Finished or cancelled while another request waited.
    pub(super) is_over: bool,
}

/// The right to write to a session; can move into blocking threads.
pub(super) type Writing = OwnedMutexGuard<Progress>;

impl Session {
    pub(super) fn new(id: UploadId, record: UploadRecord, offset: u64) -> Self {
        let algorithm = record.algorithm.parse().unwrap_or(Algorithm::Sha256);
        let hasher = (offset == 0).then(|| Hasher::new(algorithm));
        let progress = Progress {
            offset,
            algorithm,
            hasher,
            file: None,
            is_used: false,
            is_over: false,
        };
        Self {
            id,
            repository: record.repository,
            offset: offset.into(),
            progress: Arc::new(tokio::sync::Mutex::new(progress)),
            is_kept: false.into(),
            is_closing: false.into(),
        }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    pub(super) fn set_offset(&self, progress: &mut Progress, offset: u64) {
        progress.offset = offset;
        self.offset.store(offset, Ordering::Release);
    }

    /// None: another is at it.
    pub(super) fn closing(self: &Arc<Self>) -> Option<Closing> {
        let is_taken = self.is_closing.swap(true, Ordering::AcqRel);
        (!is_taken).then(|| Closing(Arc::clone(self)))
    }

    /// Waits for whoever is writing.
    pub(super) async fn write(&self) -> Writing {
        Arc::clone(&self.progress).lock_owned().await
    }

    /// None: another request is writing.
    pub(super) fn try_write(&self) -> Option<Writing> {
        Arc::clone(&self.progress).try_lock_owned().ok()
    }
}

/// Some ten megabytes. Those of predecessors come on top, as they are asked for.
pub(super) const MOST_SESSIONS: usize = if cfg!(test) { 100 } else { 10_000 };

#[derive(Debug)]
pub(super) struct Sessions(Mutex<LruCache<UploadId, Arc<Session>>>);

impl Default for Sessions {
    fn default() -> Self {
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl Sessions {
    pub(super) fn find(&self, id: &UploadId) -> Option<Arc<Session>> {
        lock(&self.0).get(id).cloned()
    }

    /// Whether it is here, which is no use of it.
    pub(super) fn knows(&self, id: &UploadId) -> bool {
        lock(&self.0).contains(id)
    }

    /// Two requests may load the same session at once: the first one in is the one that counts.
    pub(super) fn insert(&self, session: Session) -> Arc<Session> {
        let mut sessions = lock(&self.0);
        let id = session.id.clone();
        Arc::clone(sessions.get_or_insert(id, || Arc::new(session)))
    }

    /// One that has to give way to a new one, if there are too many; none that somebody writes to right now.
    pub(super) fn surplus(&self) -> Option<(Arc<Session>, Writing)> {
        let sessions = lock(&self.0);
        if sessions.len() <= MOST_SESSIONS {
            return None;
        }
        let longest_ago_first = sessions.iter().rev();
        longest_ago_first
            .map(|(_, session)| session)
            .find_map(|session| Some((Arc::clone(session), session.try_write()?)))
    }

    /// Of those whose file is open and to which nobody writes right now, the one that nobody has asked about for longest.
    pub(super) fn longest_resting(&self) -> Option<Closing> {
        let is_resting = |session: &&Arc<Session>| {
            let writing = session.progress.try_lock();
            writing.is_ok_and(|writing| writing.file.is_some())
        };
        let sessions = lock(&self.0);
        let longest_ago_first = sessions.iter().rev().map(|(_, session)| session);
        let mut resting = longest_ago_first.filter(is_resting);
        resting.find_map(Session::closing)
    }

    /// All of them, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        lock(&self.0)
            .iter()
            .map(|(_, session)| Arc::clone(session))
            .collect()
    }

    pub(super) fn remove(&self, id: &UploadId) {
        lock(&self.0).pop(id);
    }
}
