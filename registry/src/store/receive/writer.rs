//! The body of a request on its way to the file: pieces come in, batches go to blocking threads.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::store::error::Fault;
use crate::store::session::{Session, Writing};
use crate::store::uploads::BATCH_BYTES;
use crate::store::{Inner, joined};

use super::Failed;

/// Collects a batch while the one before is being written.
pub(super) struct Writer {
    inner: Arc<Inner>,
    session: Arc<Session>,
    state: State,
    batch: Batch,
}

enum State {
    Idle(Writing),
    Busy(JoinHandle<(Writing, Result<(), Fault>)>),
}

impl State {
    async fn settled(self) -> Result<Writing, Failed> {
        match self {
            Self::Idle(writing) => Ok(writing),
            Self::Busy(task) => match joined(task).await {
                (writing, Ok(())) => Ok(writing),
                (writing, Err(fault)) => Err(Failed { writing, fault }),
            },
        }
    }
}

impl Writer {
    pub(super) fn new(inner: &Arc<Inner>, session: &Arc<Session>, writing: Writing) -> Self {
        Self {
            inner: Arc::clone(inner),
            session: Arc::clone(session),
            state: State::Idle(writing),
            batch: Batch::default(),
        }
    }

    pub(super) async fn push(mut self, bytes: Bytes) -> Result<Self, Failed> {
        self.batch.push(bytes);
        if self.batch.bytes >= BATCH_BYTES {
            self.flush().await
        } else {
            Ok(self)
        }
    }

    pub(super) async fn finish(self) -> Result<(Writing, Vec<Bytes>), Failed> {
        Ok((self.state.settled().await?, self.batch.into_pieces()))
    }

    async fn flush(self) -> Result<Self, Failed> {
        let writing = self.state.settled().await?;
        let permit = match self.inner.permit().await {
            Ok(permit) => permit,
            Err(fault) => return Err(Failed { writing, fault }),
        };
        let (inner, session) = (Arc::clone(&self.inner), Arc::clone(&self.session));
        let batch = self.batch.into_pieces();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inner.write_batch(&session, writing, &batch)
        });
        Ok(Self {
            state: State::Busy(task),
            batch: Batch::default(),
            ..self
        })
    }
}

/// A smaller piece is copied to others: by itself it costs more than it has bytes, and it keeps the buffer that it came in.
const SMALL_PIECE: usize = 4 << 10;

/// Pieces of a body, in order.
#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    /// The last ones, which were small.
    small: BytesMut,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if piece.len() < SMALL_PIECE {
            self.small.extend_from_slice(&piece);
        } else {
            self.gather();
            self.pieces.push(piece);
        }
    }

    fn gather(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    fn into_pieces(mut self) -> Vec<Bytes> {
        self.gather();
        self.pieces
    }
}
