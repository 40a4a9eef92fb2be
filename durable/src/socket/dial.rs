//! Sockets that objects open themselves.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::{Either, select};

use super::line::Next;
use super::{Closed, Ending, Goal, Line, SocketErrorKind};
use crate::kernel::sockets::Fate;
use crate::limits::SOCKET_DIAL_TIMEOUT;

/// A socket that is to be opened. Dropped before, it never was.
#[derive(Debug)]
pub(crate) struct Dialing {
    pub(crate) line: Line,
    pub(crate) goal: Goal,
}

impl Dialing {
    /// Opens it and serves it to its end.
    pub(crate) fn begin(self) {
        let tasks = self.line.host().tasks.clone();
        tasks.spawn(Box::pin(self.run()));
    }

    async fn run(self) {
        let Dialing { line, goal } = self;
        let host = line.host().clone();
        let time_over = host.clock.sleep_until(host.clock.now() + SOCKET_DIAL_TIMEOUT);
        let given_up = Box::pin(closes(&line));
        let opened = match select(host.net.dial(goal), select(given_up, time_over)).await {
            Either::Left((Ok(wire), _)) => Ok(wire),
            Either::Left((Err(why), _)) => Err(unreachable(why)),
            Either::Right((Either::Left((ending, _)), _)) => Err(ending),
            Either::Right((Either::Right(_), _)) => {
                Err(unreachable(format!("there was no answer for {SOCKET_DIAL_TIMEOUT:?}")))
            }
        };
        match opened {
            Ok(wire) => line.attend(wire, Vec::new()).await,
            Err(ending) => line.end(ending).await,
        }
    }
}

fn unreachable(why: String) -> Ending {
    Ending::failed(SocketErrorKind::Unreachable, why)
}

/// Ends when nobody wants a socket any more that is not open yet.
async fn closes(line: &Line) -> Ending {
    poll_fn(|task| match line.fate(task) {
        Fate::Open => Poll::Pending,
        Fate::Closing | Fate::Cut => Poll::Ready(()),
    })
    .await;
    poll_fn(|task| {
        loop {
            match line.poll_next(task) {
                Poll::Ready(Next::Message(_)) => {}
                Poll::Ready(Next::Close(close)) => {
                    let closed = Closed { code: close.code, reason: close.reason, is_clean: false };
                    return Poll::Ready(Ending::Closed(closed));
                }
                Poll::Ready(Next::Cut) => return Poll::Ready(super::attached::too_slow()),
                Poll::Pending => return Poll::Ready(Ending::gone()),
            }
        }
    })
    .await
}
