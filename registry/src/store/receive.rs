//! Taking in the body of one upload request: a stream comes in, bytes are on the volume and hashed when it is done.
//!
//! While one batch is written and hashed in a blocking thread the next one is received; the client waits when the disk
//! is slower. The right to write travels with the batch, so that a request that goes away leaves a session in order.

mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use portolan_oci::Hasher;
use tokio::sync::Semaphore;

use super::Inner;
use super::error::{BodyError, Fault, UploadError};
use super::session::{Session, Writing};
use super::upload_file::UploadFile;
use super::uploads::Chunk;

use self::writer::Writer;

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
    pub(super) before: Before,
}

/// What a session was before a request.
#[derive(Clone)]
pub(super) struct Before {
    offset: u64,
    hasher: Option<Hasher>,
}

impl Received {
    /// Whether the session has no bytes at all.
    pub(super) fn is_nothing(&self) -> bool {
        self.writing.offset == 0 && self.last.is_empty()
    }

    /// Gives up what is not in the file.
    pub(super) fn into_writing(self) -> Writing {
        self.writing
    }
}

/// What has gone wrong, with the session as it is then.
pub(super) struct Failed {
    pub(super) writing: Writing,
    pub(super) fault: Fault,
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
        let before = Before {
            offset: writing.offset,
            hasher: writing.hasher.clone(),
        };
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
                    writer = match writer.push(bytes).await {
                        Ok(writer) => writer,
                        Err(failed) => return Err(self.refused(session, failed, before).await.into()),
                    };
                }
            }
        };
        let (writing, last) = match writer.finish().await {
            Ok(came) => came,
            Err(failed) => return Err(self.refused(session, failed, before).await.into()),
        };
        let came = Received {
            writing,
            last,
            before,
        };
        match (ending, chunk.length) {
            (Ending::Interrupted(source), _) => {
                let writing = self.write_last(session, came).await?;
                Err(UploadError::Interrupted {
                    offset: writing.offset,
                    source,
                })
            }
            (Ending::Complete, Some(announced)) if announced != received => {
                let offset = came.before.offset;
                self.give_back(session, came.writing, came.before).await?;
                Err(UploadError::Length {
                    offset,
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
        match written {
            Ok(()) => Ok(writing),
            Err(fault) => Err(self.refused_here(session, Failed { writing, fault }, came.before)),
        }
    }

    async fn refused(self: &Arc<Self>, session: &Arc<Session>, failed: Failed, before: Before) -> Fault {
        let session = Arc::clone(session);
        let refused = move |inner: &Arc<Self>| Ok(inner.refused_here(&session, failed, before));
        self.changing(refused).await.unwrap_or_else(|fault: Fault| fault)
    }

    /// A request that the volume has no room for gives its bytes back before anybody else may write to the session.
    pub(super) fn refused_here(
        &self,
        session: &Session,
        Failed { writing, fault }: Failed,
        before: Before,
    ) -> Fault {
        match fault {
            Fault::Full { .. } => self
                .give_back_here(session, writing, before)
                .err()
                .unwrap_or(fault),
            fault => fault,
        }
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
        let session = Arc::clone(session);
        self.changing(move |inner| {
            let file = inner.upload_file(&session, &mut writing)?;
            writing.hasher = Some(file.hash(writing.algorithm, writing.offset)?);
            Ok(writing)
        })
        .await
    }

    /// Takes the bytes of a request back, so that they do not come back after a restart either: they do not count, or the
    /// volume has no room for all of them, and others shall not go without for what may never be wanted again.
    async fn give_back(
        self: &Arc<Self>,
        session: &Arc<Session>,
        writing: Writing,
        before: Before,
    ) -> Result<(), Fault> {
        let session = Arc::clone(session);
        self.changing(move |inner| inner.give_back_here(&session, writing, before))
            .await
    }

    fn give_back_here(&self, session: &Session, mut writing: Writing, before: Before) -> Result<(), Fault> {
        session.set_offset(&mut writing, before.offset);
        writing.hasher = before.hasher;
        match &writing.file {
            Some(file) => file.trim(&self.disk, before.offset),
            None => Ok(()),
        }
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
            && let Some(change) = self.changes.begin()
        // a successor's session is none of its business
        {
            let (inner, session) = (Arc::clone(self), Arc::clone(session));
            drop(tokio::task::spawn_blocking(move || {
                let _held = (turn, change);
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
