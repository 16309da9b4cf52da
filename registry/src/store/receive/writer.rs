//! The body of a request on its way to the file: pieces come in, batches go to blocking threads.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::store::error::Fault;
use crate::store::session::{Session, Writing};
use crate::store::uploads::BATCH_BYTES;
use crate::store::{Inner, joined};

use super::{Before, Received};

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
    pub(super) fn new(inner: &Arc<Inner>, session: &Arc<Session>, writing: Writing) -> Self {
        Self {
            inner: Arc::clone(inner),
            session: Arc::clone(session),
            state: State::Idle(writing),
            batch: Batch::default(),
        }
    }

    pub(super) async fn push(mut self, bytes: Bytes) -> Result<Self, Fault> {
        self.batch.push(bytes);
        if self.batch.bytes >= BATCH_BYTES {
            self.flush().await
        } else {
            Ok(self)
        }
    }

    pub(super) async fn finish(self, before: Before) -> Result<Received, Fault> {
        Ok(Received {
            before,
            writing: self.state.settled().await?,
            last: self.batch.into_pieces(),
        })
    }

    async fn flush(self) -> Result<Self, Fault> {
        let writing = self.state.settled().await?;
        let permit = self.inner.permit().await?;
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
