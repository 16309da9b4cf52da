//! What goes on in one connection: requests and the pieces of their answers are noted, and who asks is told once
//! nothing has been for too long. Waits, but does no IO.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
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
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
