//! Taking in the body of one upload request: a stream comes in, bytes are on the volume and hashed when it is done.
//!
//! While one batch is written and hashed in a blocking thread the next one is received; the client waits when the disk
//! is slower. The right to write travels with the batch, so that a request that goes away leaves a session in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::error::{BodyError, Fault, UploadError};
use super::session::{Session, Writing};
use super::upload_file::UploadFile;
use super::uploads::{BATCH_BYTES, Chunk};
use super::{Inner, blocking, joined};

/// After so many bytes more the disk is told to begin. Tests need not send as much.
pub(super) const WRITEBACK_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// So many uploads at once. Each keeps a blocking thread for as long as the disk needs, and there are few of them; those that
/// find none free wait for the disk when they end.
const MOST_WRITEBACKS: usize = 2;

/// The right to keep a blocking thread with early writeback.
#[derive(Debug)]
pub(super) struct Writebacks(Arc<Semaphore>);

impl Default for Writebacks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_WRITEBACKS)))
    }
}

/// A body that has come: all of it but the last batch is in the file.
pub(super) struct Received {
    writing: Writing,
    last: Vec<Bytes>,
}

enum Ending {
    Complete,
    Interrupted(BodyError),
}

impl Inner {
    pub(super) async fn receive<S>(
        self: &Arc<Self>,
        session: &Arc<Session>,
        writing: Writing,
        chunk: Chunk,
        mut body: S,
    ) -> Result<Received, UploadError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let writing = self.hashed(session, writing).await?;
        let before = (writing.offset, writing.hasher.clone());
        let mut writer = Writer::new(self, session, writing);
        let mut received = 0_u64;
        let ending = loop {
            match body.next().await {
                None => break Ending::Complete,
                Some(Err(error)) => break Ending::Interrupted(error),
                Some(Ok(bytes)) => {
                    received = received.saturating_add(bytes.len() as u64);
                    if chunk.length.is_some_and(|announced| received > announced) {
                        break Ending::Complete;
                    }
                    writer = writer.push(bytes).await?;
                }
            }
        };
        let came = writer.finish().await?;
        match (ending, chunk.length) {
            (Ending::Interrupted(source), _) => {
                let writing = self.write_last(session, came).await?;
                Err(UploadError::Interrupted {
                    offset: writing.offset,
                    source,
                })
            }
            (Ending::Complete, Some(announced)) if announced != received => {
                let mut writing = came.writing;
                session.set_offset(&mut writing, before.0);
                writing.hasher = before.1;
                self.cut(writing).await?;
                Err(UploadError::Length {
                    offset: before.0,
                    announced,
                    actual: received,
                })
            }
            (Ending::Complete, _) => Ok(came),
        }
    }

    /// Writes what of a body is not in the file yet.
    pub(super) async fn write_last(
        self: &Arc<Self>,
        session: &Arc<Session>,
        came: Received,
    ) -> Result<Writing, Fault> {
        let session = Arc::clone(session);
        self.changing(move |inner| inner.write_last_here(&session, came))
            .await
    }

    /// The same in a thread where that may be done, which has a permit.
    pub(super) fn write_last_here(
        self: &Arc<Self>,
        session: &Arc<Session>,
        came: Received,
    ) -> Result<Writing, Fault> {
        if came.last.is_empty() {
            return Ok(came.writing);
        }
        let (writing, written) = self.write_batch(session, came.writing, &came.last);
        written.map(|()| writing)
    }

    /// Computes the hash of what is there, after a restart.
    async fn hashed(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut writing: Writing,
    ) -> Result<Writing, Fault> {
        if writing.hasher.is_some() {
            return Ok(writing);
        }
        let (inner, session) = (Arc::clone(self), Arc::clone(session));
        blocking(move || {
            let file = inner.upload_file(&session, &mut writing)?;
            writing.hasher = Some(file.hash(writing.algorithm, writing.offset)?);
            Ok(writing)
        })
        .await
    }

    /// Takes bytes back that do not count, so that they do not come back after a restart either.
    async fn cut(self: &Arc<Self>, writing: Writing) -> Result<(), Fault> {
        self.changing(move |inner| match &writing.file {
            Some(file) => file.trim(&inner.disk, writing.offset),
            None => Ok(()),
        })
        .await
    }
}

/// Collects a batch while the one before is being written.
struct Writer {
    inner: Arc<Inner>,
    session: Arc<Session>,
    state: State,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

enum State {
    Idle(Writing),
    Busy(JoinHandle<(Writing, Result<(), Fault>)>),
}

impl State {
    async fn settled(self) -> Result<Writing, Fault> {
        match self {
            Self::Idle(writing) => Ok(writing),
            Self::Busy(task) => {
                let (writing, result) = joined(task).await;
                result.map(|()| writing)
            }
        }
    }
}

impl Writer {
    fn new(inner: &Arc<Inner>, session: &Arc<Session>, writing: Writing) -> Self {
        Self {
            inner: Arc::clone(inner),
            session: Arc::clone(session),
            state: State::Idle(writing),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    async fn push(mut self, bytes: Bytes) -> Result<Self, Fault> {
        if bytes.is_empty() {
            return Ok(self); // some clients end a body so
        }
        self.batch_bytes += bytes.len();
        self.batch.push(bytes);
        if self.batch_bytes >= BATCH_BYTES {
            self.flush().await
        } else {
            Ok(self)
        }
    }

    async fn finish(self) -> Result<Received, Fault> {
        Ok(Received {
            writing: self.state.settled().await?,
            last: self.batch,
        })
    }

    async fn flush(self) -> Result<Self, Fault> {
        let writing = self.state.settled().await?;
        let permit = self.inner.permit().await?;
        let (inner, session, batch) = (Arc::clone(&self.inner), Arc::clone(&self.session), self.batch);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inner.write_batch(&session, writing, &batch)
        });
        Ok(Self {
            state: State::Busy(task),
            batch: Vec::new(),
            batch_bytes: 0,
            ..self
        })
    }
}

impl Inner {
    fn write_batch(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut writing: Writing,
        batch: &[Bytes],
    ) -> (Writing, Result<(), Fault>) {
        let file = match self.upload_file(session, &mut writing) {
            Ok(file) => file,
            Err(fault) => return (writing, Err(fault)),
        };
        if let Err(fault) = file.check() {
            writing.is_over = true;
            drop(self.discard(&session.id, None)); // what stays behind expires
            return (writing, Err(fault));
        }
        let before = writing.offset;
        let result = file.append(&self.disk, before, batch, |bytes| {
            if let Some(hasher) = &mut writing.hasher {
                hasher.update(bytes);
            }
            let offset = writing.offset + bytes.len() as u64;
            session.set_offset(&mut writing, offset);
        });
        if before / WRITEBACK_BYTES != writing.offset / WRITEBACK_BYTES
            && let Ok(turn) = Arc::clone(&self.writebacks.0).try_acquire_owned()
        {
            let (inner, session) = (Arc::clone(self), Arc::clone(session));
            drop(tokio::task::spawn_blocking(move || {
                let _turn = turn;
                inner.write_back(&session, &file);
            }));
        }
        (writing, result)
    }

    /// Lets the disk work while an upload still comes in, so that its end does not wait for all of it. Whoever writes to
    /// a session that has lost bytes hears of it from the file; nobody else shall find it.
    fn write_back(&self, session: &Session, file: &UploadFile) {
        match file.sync_unless_running(&self.disk) {
            Ok(()) => drop(self.keep(session)),              // who has failed says so
            Err(_) => drop(self.discard(&session.id, None)), // what stays behind expires
        }
    }

    /// Lets a session with much in it survive a power cut, once: its bytes do, and would be nobody's without it.
    fn keep(&self, session: &Session) -> Result<(), Fault> {
        if session.is_kept.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.disk.create_directories(&self.keys.uploads())?;
        self.disk.sync_there(&self.keys.upload_record(&session.id))
    }
}
