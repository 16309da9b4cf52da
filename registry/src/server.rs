//! Listeners: addresses and a router in, served connections out, until told to stop. IO.
//!
//! Accepting never waits for a client: TLS handshakes and everything after them run in a task of their own with
//! deadlines. A connection that is one too many waits until one that is idle has gone, and more in the kernel's queue.

mod activity;
mod paced;
mod places;
pub mod socket;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use portolan_config::Address;
use prometheus_client::metrics::gauge::Gauge;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use self::activity::Activity;
use self::paced::Paced;
use self::places::Places;
use crate::reload::Current;
use crate::tls::Tls;

/// Where a request came from; an extension of every request that came over the network.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("{key}: {address} is in use by another process; stop that one, or write another port{hint}")]
    InUse {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        address: Address,
        /// Where else it can be written.
        hint: &'static str,
    },
    /// Ports below 1024 need a privilege.
    #[error("{key}: this user may not listen on {address}; write a port of at least 1024{hint}")]
    NotAllowed {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        address: Address,
        /// Where else it can be written.
        hint: &'static str,
    },
    /// Anything else, such as an address that this machine does not have.
    #[error("{key}: cannot listen on {address} ({cause}); write an address of this machine{hint}")]
    Other {
        /// The key of the configuration.
        key: &'static str,
        /// What it says.
        address: Address,
        /// Where else it can be written.
        hint: &'static str,
        /// What the system says.
        cause: io::Error,
    },
}

impl ListenError {
    /// The key of the configuration whose address it is.
    pub fn key(&self) -> &'static str {
        match self {
            Self::InUse { key, .. } | Self::NotAllowed { key, .. } | Self::Other { key, .. } => key,
        }
    }
}

/// Opens a listener. `key` is where the address is written.
pub async fn bind(key: &'static str, address: Address) -> Result<TcpListener, ListenError> {
    let bound = match address.ip {
        Some(ip) => TcpListener::bind((ip, address.port)).await,
        // IPv6 and IPv4 at once; a machine without IPv6 cannot do that
        None => match TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), address.port)).await {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), address.port)).await
            }
            bound => bound,
        },
    };
    let hint = if key == "http.address" {
        " there or in REGISTRY_HTTP_ADDR"
    } else {
        ""
    };
    bound.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { key, address, hint },
        io::ErrorKind::PermissionDenied => ListenError::NotAllowed { key, address, hint },
        _ => ListenError::Other {
            key,
            address,
            hint,
            cause,
        },
    })
}

/// Where connections come from.
pub trait Source: Send + Sync + 'static {
    /// One of them.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one; a local socket knows no address of the other side.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<SocketAddr>)>> + Send;
}

impl Source for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = self.accept().await?;
        // an error here means that the client is gone already
        let _ = stream.set_nodelay(true);
        let _ = keep_alive(&stream);
        Ok((stream, Some(peer)))
    }
}

impl Source for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Ok((self.accept().await?.0, None))
    }
}

/// What a listener does with connections.
#[derive(Debug)]
pub struct Serving {
    /// Answers requests.
    pub router: Router,
    /// The certificate, looked up anew for each connection; `None` is plain HTTP.
    pub tls: Option<Arc<Current<Tls>>>,
    /// How many connections at once.
    pub max_connections: usize,
    /// Shows how many there are.
    pub connections: Gauge,
    /// How long it waits for clients.
    pub deadlines: Deadlines,
    /// Tells connections to finish what they do and close.
    pub stop: CancellationToken,
    /// Holds every connection's task.
    pub tasks: TaskTracker,
}

/// How long a client may keep a connection without anything happening.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the first request, and in HTTP/1.1 for the head of each, idle time of the connection before it included.
    pub head: Duration,
    /// With no request in work and no byte of an answer taken; also with one piece of an answer not taken, whatever
    /// else goes on.
    pub idle: Duration,
    /// With bytes to send that the other side does not take.
    pub write: Duration,
    /// With no request in progress and nothing to send, while all places are taken and somebody else wants in.
    pub lull: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_mins(1),
            idle: Duration::from_mins(5),
            write: Duration::from_mins(1),
            lull: Duration::from_secs(5),
        }
    }
}

/// For an idle connection to end in order; then it is cut off.
const GRACE: Duration = Duration::from_secs(2);
/// HTTP/2 asks the other side whether it is there.
const PING_INTERVAL: Duration = Duration::from_mins(1);
/// TCP does when nothing was heard for so long, and gives up after as many unanswered probes.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;
/// Requests at once in one HTTP/2 connection; each may keep a piece of its answer and a head in memory.
const MAX_STREAMS: u32 = 32;
/// The head of one HTTP/2 request: as many may be buffered as there are streams.
const MAX_HTTP2_HEAD_BYTES: u32 = 40 * 1024;
/// Long tokens and many `tag` parameters fit; a client cannot make us buffer more per connection.
const MAX_HEAD_BYTES: usize = 64 * 1024;

impl Serving {
    /// Accepts until stopped. Connections go on in their own tasks.
    pub async fn run(self, listener: impl Source) {
        let places = Arc::new(Places::new(self.max_connections, self.deadlines.lull));
        let serving = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = serving.stop.cancelled() => return,
                accepted = listener.next() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // only now is it known that somebody wants in
                    let place = tokio::select! {
                        () = serving.stop.cancelled() => return,
                        place = places.take() => place,
                    };
                    let (task, places) = (serving.clone(), places.clone());
                    serving.tasks.spawn(async move {
                        task.connections.inc();
                        task.connection(stream, peer, &places).await;
                        task.connections.dec();
                        drop(place);
                    });
                }
                Err(error) => {
                    // out of file descriptors, mostly: wait for connections to end instead of spinning
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection<S>(&self, stream: S, peer: Option<SocketAddr>, places: &Places)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let stream = Paced::new(stream, self.deadlines.write, activity.clone());
        let Some(tls) = &self.tls else {
            return self.http(stream, peer, activity, places).await;
        };
        let acceptor = TlsAcceptor::from(tls.current().server_config.clone());
        let handshake = tokio::time::timeout(self.deadlines.handshake, acceptor.accept(stream));
        let handshake = tokio::select! {
            () = self.stop.cancelled() => return,
            handshake = handshake => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => self.http(stream, peer, activity, places).await,
            Ok(Err(error)) => tracing::debug!(?peer, "TLS handshake failed: {error}"),
            Err(_) => tracing::debug!(?peer, "TLS handshake took too long"),
        }
    }

    async fn http<S>(&self, stream: S, peer: Option<SocketAddr>, activity: Activity, places: &Places)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let router = self.router.clone();
        // the handshake had a deadline of its own
        activity.note();
        let guest = places.enter(activity.clone());
        let noted = activity.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer(peer));
            }
            let (router, noted) = (router.clone(), noted.clone());
            let running = noted.begin();
            async move {
                let answer = router.oneshot(request).await;
                drop(running);
                let answer = answer.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(answer.map(|body| noted.body(body)))
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.deadlines.head)
            .max_buf_size(MAX_HEAD_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HTTP2_HEAD_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            .max_send_buf_size(256 * 1024);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = activity.stalled(self.deadlines.idle) => {
                // the other requests of the connection have as long to end
                connection.as_mut().graceful_shutdown();
                activity.note();
                tokio::select! {
                    ended = connection => ended,
                    () = activity.quiet(self.deadlines.write, self.deadlines.write) => Ok(()),
                    () = tokio::time::sleep(self.deadlines.idle) => Ok(()),
                }
            }
            () = guest.asked() => {
                connection.as_mut().graceful_shutdown();
                activity.note();
                // a request may have come meanwhile: it is finished, within the limits of any other
                tokio::select! {
                    ended = connection => ended,
                    () = activity.idle(GRACE) => Ok(()),
                    () = activity.stalled(self.deadlines.idle) => Ok(()),
                    () = activity.quiet(self.deadlines.idle, self.deadlines.idle) => Ok(()),
                }
            }
            () = activity.quiet(self.deadlines.head, self.deadlines.idle) => {
                connection.as_mut().graceful_shutdown();
                activity.note();
                tokio::select! {
                    ended = connection => ended,
                    () = activity.quiet(GRACE, GRACE) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(?peer, "connection ended: {error}");
        }
    }
}

/// Finds out about machines that have gone without a word.
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)
}
