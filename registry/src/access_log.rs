//! One line per request, written when its answer is over: what was asked, by whom, and what became of it. No header,
//! no query and no body of a request is in it, so no credential is.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::operation::Operation;
use crate::server::Peer;

/// What nobody waited for: the client went away before there was an answer.
const CLIENT_GONE: u16 = 499;

/// What the line will say. It is written when this is dropped, which happens however a request ends.
#[derive(Debug)]
pub struct Entry {
    request_id: String,
    operation: &'static str,
    method: Method,
    path: String,
    peer: Option<String>,
    /// Who asked.
    pub identity: Option<String>,
    /// Bytes of the request's body.
    pub received: u64,
    status: u16,
    sent: u64,
    announced: Option<u64>,
    metrics: Metrics,
    started: Instant,
}

impl Entry {
    /// As far as it is known before the request is carried out.
    pub fn new(
        parts: &Parts,
        operation: &Result<Operation, ApiError>,
        request_id: String,
        metrics: Metrics,
    ) -> Self {
        metrics.in_flight.inc();
        Self {
            request_id,
            operation: operation.as_ref().map_or("none", Operation::name),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            peer: parts.extensions.get::<Peer>().map(|peer| peer.0.to_string()),
            identity: None,
            received: 0,
            status: CLIENT_GONE,
            sent: 0,
            announced: None,
            metrics,
            started: Instant::now(),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.metrics.in_flight.dec();
        self.metrics
            .answered(self.operation, self.status, took, self.received, self.sent);
        let complete = self.status != CLIENT_GONE
            && (self.method == Method::HEAD || self.announced.is_none_or(|announced| announced == self.sent));
        tracing::info!(
            request_id = self.request_id,
            operation = self.operation,
            method = self.method.as_str(),
            path = self.path,
            status = self.status,
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            received_bytes = self.received,
            sent_bytes = self.sent,
            complete,
            identity = self.identity,
            peer = self.peer,
            "request"
        );
    }
}

/// The body of an answer, with the entry that ends with it.
#[derive(Debug)]
pub struct Logged {
    inner: Body,
    entry: Entry,
}

impl Logged {
    /// Puts itself around an answer's body.
    pub fn wrap(response: Response<Body>, mut entry: Entry) -> Response<Body> {
        entry.status = response.status().as_u16();
        response.map(|inner| {
            entry.announced = inner.size_hint().exact();
            Body::new(Self { inner, entry })
        })
    }
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.entry.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(error)) => {
                tracing::error!(
                    request_id = self.entry.request_id,
                    "an answer was cut off: {error}"
                );
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if matches!(self.entry.status, 204 | 304) {
            // these have no length, not even 0 (RFC 9110, 8.6), and whoever sends them would make one of this
            return SizeHint::default();
        }
        self.inner.size_hint()
    }
}
