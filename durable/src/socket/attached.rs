//! A socket at work: what comes goes to its object, what its object sends goes out, and whoever is silent or slow is given up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::future::select;

use super::line::Next;
use super::{Close, Closed, Ending, Line, Signal, SocketError, SocketErrorKind, Wire};
use crate::host::Clock;
use crate::kernel::sockets::Fate;
use crate::limits::{SOCKET_CLOSE_TIMEOUT, SOCKET_PING_INTERVAL, SOCKET_UNDER_WAY_MAX};
use crate::object::BoxFuture;

/// Messages that are taken before anything is written again.
const READ_AT_ONCE: usize = 64;

/// A socket, from both sides.
pub(super) struct Attached<W> {
    wire: W,
    line: Line,
    clock: Arc<dyn Clock>,
    /// Messages on their way to the object, in the order in which they came.
    under_way: VecDeque<BoxFuture<'static, ()>>,
    stage: Stage,
    /// The last one ends when whoever serves it takes no more, the one before it when he closes all at once.
    closes: Vec<BoxFuture<'static, ()>>,
    /// When something is to be heard of the other end.
    time_over: BoxFuture<'static, ()>,
    /// It is about to be closed, and takes too little to be told.
    is_leaving: bool,
    /// It was asked whether it is there.
    is_asked: bool,
    /// Something was written that has not left.
    is_unwritten: bool,
}

/// How far it is.
enum Stage {
    Open,
    /// This side has said that it closes.
    Closing(Close),
}

impl<W: Wire> Attached<W> {
    pub(super) fn new(wire: W, line: Line, closes: Vec<BoxFuture<'static, ()>>) -> Self {
        let clock = Arc::clone(line.clock());
        let time_over = clock.sleep_until(clock.now() + SOCKET_PING_INTERVAL);
        Attached {
            wire,
            line,
            clock,
            under_way: VecDeque::new(),
            stage: Stage::Open,
            closes,
            time_over,
            is_leaving: false,
            is_asked: false,
            is_unwritten: false,
        }
    }

    /// Ends when the object has heard that it has ended.
    pub(super) fn run(self) -> impl Future<Output = ()> + Send {
        // A future has room for all that it ever holds, twice for what is moved into it, and nearly all sockets are open nearly all of
        // the time.
        let mut attached = Box::new(self);
        async move {
            let ending = poll_fn(|task| attached.poll(task)).await;
            Box::pin(attached.end(ending)).await;
        }
    }

    async fn end(self: Box<Self>, ending: Ending) {
        let Attached { wire, line, clock, under_way, .. } = *self;
        if let Ending::Failed(error) = &ending {
            let time_over = clock.sleep_until(clock.now() + SOCKET_CLOSE_TIMEOUT);
            select(Box::pin(say_why(wire, error)), time_over).await;
        } else {
            drop(wire);
        }
        // What has come is heard before its end is.
        for heard in under_way {
            heard.await;
        }
        line.end(ending).await;
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        while self.closes.last_mut().is_some_and(|closes| closes.as_mut().poll(task).is_ready()) {
            self.closes.pop();
            if self.closes.is_empty() {
                return Poll::Ready(self.ended_by(Ending::gone()));
            }
            self.line.close(Close::new(1001, "the server is closed"));
        }
        if let Poll::Ready(ending) = self.poll_write(task) {
            return Poll::Ready(ending);
        }
        self.under_way.retain_mut(|heard| heard.as_mut().poll(task).is_pending());
        if let Poll::Ready(ending) = self.poll_read(task) {
            return Poll::Ready(ending);
        }
        // What was heard may have been answered at once.
        if let Poll::Ready(ending) = self.poll_write(task) {
            return Poll::Ready(ending);
        }
        self.poll_time(task)
    }

    /// Writes what there is, as far as the other end takes it.
    fn poll_write(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match Pin::new(&mut self.wire).poll_ready(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(ending)) => return Poll::Ready(self.ended_by(ending)),
                Poll::Pending => return self.poll_blocked(task),
            }
            let Poll::Ready(next) = self.poll_next(task) else { break };
            let signal = match next {
                Next::Cut => return Poll::Ready(too_slow()),
                Next::Message(message) => Signal::Message(message),
                Next::Close(close) => {
                    self.closes_by(close.clone());
                    Signal::Close(Some(close))
                }
            };
            self.is_unwritten = true;
            if let Err(ending) = Pin::new(&mut self.wire).start_send(signal) {
                return Poll::Ready(self.ended_by(ending));
            }
        }
        if self.is_unwritten {
            match ready!(Pin::new(&mut self.wire).poll_flush(task)) {
                Ok(()) => self.is_unwritten = false,
                Err(ending) => return Poll::Ready(self.ended_by(ending)),
            }
        }
        Poll::Pending
    }

    /// The other end takes nothing at the moment. It has only so much time to take that it is closed.
    fn poll_blocked(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        match (&self.stage, self.line.fate(task)) {
            (_, Fate::Cut) => return Poll::Ready(too_slow()),
            (Stage::Open, Fate::Closing) if !self.is_leaving => {
                self.is_leaving = true;
                self.wait(SOCKET_CLOSE_TIMEOUT);
            }
            (Stage::Open | Stage::Closing(_), _) => {}
        }
        Poll::Pending
    }

    /// This side closes it, and waits only so long.
    fn closes_by(&mut self, close: Close) {
        self.stage = Stage::Closing(close);
        self.wait(SOCKET_CLOSE_TIMEOUT);
    }

    /// What is to be written next, until it is closed.
    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Next> {
        match self.stage {
            Stage::Open => self.line.poll_next(task),
            Stage::Closing(_) => Poll::Pending,
        }
    }

    /// Takes what comes, as far as its object does.
    fn poll_read(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        let mut taken = 0;
        while self.under_way.len() < SOCKET_UNDER_WAY_MAX {
            if taken == READ_AT_ONCE {
                // What was answered by itself is written first.
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            taken += 1;
            let signal = match ready!(Pin::new(&mut self.wire).poll_next(task)) {
                Some(Ok(signal)) => signal,
                Some(Err(ending)) => return Poll::Ready(self.ended_by(ending)),
                None => return Poll::Ready(self.ended_by(Ending::gone())),
            };
            if matches!(self.stage, Stage::Open) && !self.is_leaving {
                self.is_asked = false;
                self.wait(SOCKET_PING_INTERVAL);
            }
            let message = match signal {
                Signal::Message(message) => message,
                Signal::Beat => {
                    // It is answered below here.
                    self.is_unwritten = true;
                    continue;
                }
                Signal::Close(close) => {
                    // So is this.
                    let _ = Pin::new(&mut self.wire).poll_flush(task);
                    return Poll::Ready(Ending::Closed(self.closed_by(close)));
                }
            };
            if let Some(mut heard) = self.line.hear(message)
                // Only then has it its place among those of this socket.
                && heard.as_mut().poll(task).is_pending()
            {
                self.under_way.push_back(heard);
            }
        }
        Poll::Pending
    }

    /// The other end says that it closes, first or in answer.
    fn closed_by(&self, close: Option<Close>) -> Closed {
        let Close { code, reason } = match (&self.stage, close) {
            (Stage::Closing(own), _) => own.clone(),
            (Stage::Open, close) => close.unwrap_or(Close { code: 1005, reason: String::new() }),
        };
        Closed { code, reason, is_clean: true }
    }

    /// The other end has gone, or cannot go on. If it was about to be closed that is how it has ended.
    fn ended_by(&self, ending: Ending) -> Ending {
        match &self.stage {
            Stage::Open => ending,
            Stage::Closing(Close { code, reason }) => {
                Ending::Closed(Closed { code: *code, reason: reason.clone(), is_clean: false })
            }
        }
    }

    fn poll_time(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        while self.time_over.as_mut().poll(task).is_ready() {
            match self.stage {
                Stage::Open if self.is_leaving => return Poll::Ready(Ending::gone()),
                Stage::Closing(_) => return Poll::Ready(self.ended_by(Ending::gone())),
                // Its object has not heard yet what it has said.
                Stage::Open if self.under_way.len() >= SOCKET_UNDER_WAY_MAX => {}
                Stage::Open if self.is_asked => {
                    let silence = 2 * SOCKET_PING_INTERVAL;
                    let text = format!("nothing was heard of it for {silence:?}");
                    return Poll::Ready(Ending::failed(SocketErrorKind::Silent, text));
                }
                Stage::Open => {
                    self.is_asked = true;
                    self.ask(task);
                }
            }
            self.wait(SOCKET_PING_INTERVAL);
        }
        Poll::Pending
    }

    /// Asks whether the other end is there. If there is no room for that, something else is on its way to it.
    fn ask(&mut self, task: &mut Context<'_>) {
        let mut wire = Pin::new(&mut self.wire);
        if matches!(wire.as_mut().poll_ready(task), Poll::Ready(Ok(()))) {
            let _ = wire.as_mut().start_send(Signal::Beat);
            self.is_unwritten = wire.poll_flush(task).is_pending();
        }
    }

    fn wait(&mut self, time: Duration) {
        self.time_over = self.clock.sleep_until(self.clock.now() + time);
    }
}

pub(super) fn too_slow() -> Ending {
    Ending::failed(SocketErrorKind::Slow, "it takes too little of what it is sent")
}

/// Tells the other end why it is given up, if it listens.
async fn say_why(mut wire: impl Wire, error: &SocketError) {
    let code = match error.kind {
        SocketErrorKind::Protocol => 1002,
        SocketErrorKind::TooLarge => 1009,
        SocketErrorKind::Slow | SocketErrorKind::Silent | SocketErrorKind::Unreachable => 1008,
    };
    let closing = Close::new(code, &*error.text).sent();
    let close = Close::new(closing.code, closing.reason);
    let _ = wire.send(Signal::Close(Some(close))).await;
    let _ = wire.close().await;
}
