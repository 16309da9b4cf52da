//! What goes on in one connection: requests and the pieces of their answers are noted, and who asks is told once
//! nothing has been for too long, or a piece was not taken. Waits, but does no IO.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests whose answer is being worked out: however long that takes.
    running: usize,
    has_begun: bool,
    last: Instant,
    /// Pieces of answers that were made and are still in memory, in the order of their times.
    waiting: BTreeMap<u64, Instant>,
    next_piece: u64,
}

/// A request that is being worked on, until it is dropped.
#[derive(Debug)]
pub(super) struct Running(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            running: 0,
            has_begun: false,
            last: Instant::now(),
            waiting: BTreeMap::new(),
            next_piece: 0,
        })))
    }

    pub(super) fn begin(&self) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.has_begun = true;
        drop(state);
        Running(self.clone())
    }

    /// Notes that something happens now.
    pub(super) fn note(&self) {
        self.state().last = Instant::now();
    }

    /// Notes each piece of an answer that is taken: one that the client does not take is none.
    pub(super) fn body(&self, body: Body) -> Body {
        Body::new(Noted {
            body,
            activity: self.clone(),
        })
    }

    /// The same bytes, which count as waiting until the other side has taken them all.
    fn piece(&self, bytes: Bytes) -> Bytes {
        let mut state = self.state();
        let number = state.next_piece;
        state.next_piece += 1;
        state.waiting.insert(number, Instant::now());
        drop(state);
        let activity = self.clone();
        Bytes::from_owner(Piece {
            bytes,
            number,
            activity,
        })
    }

    /// Returns once a piece of an answer has waited for so long, whatever else the connection does.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.state().waiting.values().next().copied();
            let until = oldest.unwrap_or(now) + limit;
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Returns once no request has been worked on and no piece of an answer was taken for so long: `first` while no
    /// request has come at all, `later` after one.
    pub(super) async fn quiet(&self, first: Duration, later: Duration) {
        loop {
            let now = Instant::now();
            let until = {
                let state = self.state();
                let limit = if state.has_begun { later } else { first };
                if state.running > 0 {
                    now + limit
                } else {
                    state.last + limit
                }
            };
            if until <= now {
                return;
            }
            // the first request may come meanwhile, and with it the other limit
            tokio::time::sleep_until(until.min(now + first.min(later))).await;
        }
    }

    /// What it holds is valid after any panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running -= 1;
        state.last = Instant::now();
    }
}

/// Gone once it is sent.
struct Piece {
    bytes: Bytes,
    number: u64,
    activity: Activity,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.activity.state().waiting.remove(&self.number);
    }
}

struct Noted {
    body: Body,
    activity: Activity,
}

impl hyper::body::Body for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.activity.note();
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|bytes| self.activity.piece(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
