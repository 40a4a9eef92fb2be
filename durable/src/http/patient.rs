//! A connection whose other end must take what it is sent: one that reads nothing would keep its place for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::opening::Opening;
use crate::host::Clock;
use crate::limits::HTTP_STALL;
use crate::object::BoxFuture;

/// A connection that fails when nothing could be written to it for a time.
pub(super) struct Patient<S> {
    stream: TokioIo<S>,
    /// What was read of it before.
    opening: Opening,
    /// How much of that was read again.
    reread: usize,
    clock: Arc<dyn Clock>,
    /// When its patience is over. `None`: nothing waits to be written.
    time_over: Option<BoxFuture<'static, ()>>,
}

impl<S: Unpin> Patient<S> {
    pub(super) fn new(stream: S, opening: Opening, clock: Arc<dyn Clock>) -> Self {
        Patient { stream: TokioIo::new(stream), opening, reread: 0, clock, time_over: None }
    }

    /// Writes, unless it has waited for too long to.
    fn write<T>(
        &mut self,
        task: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<S>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), task) {
            self.time_over = None;
            return Poll::Ready(written);
        }
        let clock = &self.clock;
        let time_over =
            self.time_over.get_or_insert_with(|| clock.sleep_until(clock.now() + HTTP_STALL));
        time_over.as_mut().poll(task).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Read for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.opening.bytes()[this.reread..];
        if !left.is_empty() {
            let count = left.len().min(buffer.remaining());
            buffer.put_slice(&left[..count]);
            this.reread += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(task, |stream, task| stream.poll_write(task, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(task, |stream, task| stream.poll_flush(task))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(task, |stream, task| stream.poll_shutdown(task))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(task, |stream, task| stream.poll_write_vectored(task, parts))
    }
}
