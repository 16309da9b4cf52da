//! A stream whose writes must get on: a stream in, the same stream out, which fails once the other side has taken
//! nothing for too long. IO.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::activity::Activity;

/// Goes below TLS, where a write that is done is one that the kernel has taken.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    timeout: Duration,
    /// Is told whether a write waits.
    activity: Activity,
    /// Set while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    pub(super) fn new(stream: S, timeout: Duration, activity: Activity) -> Self {
        Self {
            stream,
            timeout,
            activity,
            deadline: None,
        }
    }

    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), cx) {
            if self.deadline.take().is_some() {
                self.activity.blocked(false);
            }
            return Poll::Ready(written);
        }
        let deadline = self.deadline.get_or_insert_with(|| {
            self.activity.blocked(true);
            Box::pin(tokio::time::sleep_until(Instant::now() + self.timeout))
        });
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other side takes nothing any more",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.paced(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.paced(cx, |stream, cx| stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.paced(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.paced(cx, AsyncWrite::poll_shutdown)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_not_idle_while_a_write_waits() {
        let (activity, (stream, mut other)) = (Activity::new(), tokio::io::duplex(1));
        let mut stream = Paced::new(stream, Duration::from_mins(1), activity.clone());
        let write = stream.write_all(b"12");
        tokio::pin!(write);
        assert!(futures::poll!(write.as_mut()).is_pending());
        assert_eq!(activity.idle_since(), None);
        other.read_u8().await.unwrap();
        write.await.unwrap();
        assert!(activity.idle_since().is_some());
    }
}
