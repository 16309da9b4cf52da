//! The body of a request, as the store takes it: bytes as they come, counted, and given up on when none come for too
//! long. IO through hyper.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use http::header::EXPECT;
use tokio::time::{Instant, Sleep};

use crate::buffers::{Buffers, Share};
use crate::store::BodyError;

/// A client that sends nothing for so long is taken for gone; its upload can be resumed.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// How much of a body that nobody wants is still read.
const DRAIN_BYTES: u64 = 512 * 1024;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The bytes of one request.
#[derive(Debug)]
pub struct RequestBody {
    stream: BodyDataStream,
    received: u64,
    idle: Pin<Box<Sleep>>,
    /// The client waits for a word before it sends: nothing needs to be drained, and reading would invite it.
    waits: bool,
    ended: bool,
    /// Its end has come, not only an error.
    is_whole: bool,
    /// More bytes than this are not taken.
    limit: u64,
}

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("no byte came for {} seconds: send the body without such pauses", IDLE_TIMEOUT.as_secs())]
struct IdleError;

/// More came than may.
#[derive(Debug, thiserror::Error)]
#[error("the body has more than {0} bytes: send a smaller one")]
struct LimitError(u64);

/// Why a body could not be taken whole.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// More bytes than allowed.
    #[error("the body has more than {limit} bytes: send a smaller one")]
    TooLarge {
        /// How many are allowed.
        limit: usize,
    },
    /// The client went away.
    #[error("the body ended early: send it again, whole")]
    Interrupted(#[source] BodyError),
    /// Byte by byte, or not at all.
    #[error("the body has not come within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// Others have the memory.
    #[error("the registry takes in too many requests of this kind right now; try again")]
    NoRoom,
}

/// A body that has come whole.
#[derive(Debug)]
pub struct Collected {
    /// All of it.
    pub bytes: Bytes,
    /// What the memory counts as, for as long as it is used.
    pub share: Share,
}

impl RequestBody {
    /// Reads nothing yet.
    pub fn new(body: Body, headers: &HeaderMap) -> Self {
        let ended = hyper::body::Body::is_end_stream(&body);
        Self {
            stream: body.into_data_stream(),
            received: 0,
            idle: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)),
            waits: headers.contains_key(EXPECT),
            ended,
            is_whole: ended,
            limit: u64::MAX,
        }
    }

    /// Ends the body with an error behind so many bytes.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Whether more came than may.
    pub fn is_too_large(&self) -> bool {
        self.received > self.limit
    }

    /// Whether all of it was read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether its end has come. Otherwise nobody can tell where in an HTTP/1 connection the next request begins.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// How many bytes have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes everything, if it is not too much and comes in time. The client waits while there is no room.
    pub async fn collect(&mut self, buffers: &Buffers) -> Result<Collected, CollectError> {
        let limit = buffers.largest;
        let mut waits_for_room = false;
        let collecting = async {
            let (mut all, mut share) = (BytesMut::new(), Share::default());
            while let Some(chunk) = self.next().await {
                let chunk = chunk.map_err(CollectError::Interrupted)?;
                if all.len() + chunk.len() > limit {
                    return Err(CollectError::TooLarge { limit });
                }
                waits_for_room = true;
                buffers.grow(&mut share, chunk.len()).await;
                waits_for_room = false;
                all.extend_from_slice(&chunk);
            }
            let bytes = all.freeze();
            Ok(Collected { bytes, share })
        };
        match tokio::time::timeout(buffers.time, collecting).await {
            Ok(collected) => collected,
            Err(_) if waits_for_room => Err(CollectError::NoRoom),
            Err(_) => Err(CollectError::TooSlow(buffers.time)),
        }
    }

    /// Reads a little of what nobody wants, so that the client finishes writing and reads the answer.
    pub async fn drain(&mut self) {
        // whether it was read to the end makes no difference any more
        let _ = tokio::time::timeout(DRAIN_TIME, self.skip(DRAIN_BYTES)).await;
    }

    /// Reads on, in what nobody wants, to its end or for so many bytes.
    pub async fn skip(&mut self, most: u64) {
        if self.ended || (self.waits && self.received == 0) {
            return;
        }
        self.limit = u64::MAX;
        let enough = self.received.saturating_add(most);
        while self.received <= enough && matches!(self.next().await, Some(Ok(_))) {}
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.stream.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.received += chunk.len() as u64;
                if self.is_too_large() {
                    return Poll::Ready(Some(Err(Box::new(LimitError(self.limit)))));
                }
                let deadline = Instant::now() + IDLE_TIMEOUT;
                self.idle.as_mut().reset(deadline);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.ended = true;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                (self.ended, self.is_whole) = (true, true);
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(cx));
                self.ended = true;
                Poll::Ready(Some(Err(Box::new(IdleError))))
            }
        }
    }
}
