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
    /// Answers that have not come to their end.
    answers: usize,
    /// The connection takes nothing at the moment, and something is to be sent.
    is_blocked: bool,
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
            answers: 0,
            is_blocked: false,
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
        self.state().answers += 1;
        Body::new(Noted {
            body,
            activity: self.clone(),
        })
    }

    /// Notes whether something waits to be sent.
    pub(super) fn blocked(&self, is_blocked: bool) {
        self.state().is_blocked = is_blocked;
    }

    /// Since when no request is in progress and nothing waits to be sent.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let is_idle =
            state.running == 0 && state.answers == 0 && state.waiting.is_empty() && !state.is_blocked;
        is_idle.then_some(state.last)
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

    /// Returns once it has been idle for so long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let until = self.idle_since().unwrap_or(now) + limit;
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
        let mut state = self.activity.state();
        state.waiting.remove(&self.number);
        state.last = Instant::now();
    }
}

struct Noted {
    body: Body,
    activity: Activity,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.answers -= 1;
        state.last = Instant::now();
    }
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_once_its_answers_are_sent_to_the_end() {
        let activity = Activity::new();
        let running = activity.begin();
        assert_eq!(activity.idle_since(), None);
        drop(running);
        let mut answer = activity.body(Body::from("{}"));
        assert_eq!(activity.idle_since(), None);
        let piece = answer.frame().await.unwrap().unwrap();
        drop(answer);
        assert_eq!(activity.idle_since(), None);
        drop(piece);
        assert!(activity.idle_since().is_some());
    }
}
