//! A connection whose other end must take what it is sent: one that reads nothing would keep its place for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::host::Clock;
use crate::limits::HTTP_STALL;
use crate::object::BoxFuture;

/// A connection that fails when nothing could be written to it for a time.
pub(super) struct Patient {
    stream: TokioIo<TcpStream>,
    clock: Arc<dyn Clock>,
    /// When its patience is over. `None`: nothing waits to be written.
    time_over: Option<BoxFuture<'static, ()>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, clock: Arc<dyn Clock>) -> Self {
        Patient { stream: TokioIo::new(stream), clock, time_over: None }
    }

    /// Writes, unless it has waited for too long to.
    fn write<T>(
        &mut self,
        task: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
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

impl Read for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl Write for Patient {
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
