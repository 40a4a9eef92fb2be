//! Streams of results, as events that a server sends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::Stream;

use super::problem::{Problem, headed};
use crate::exposed::Items;
use crate::host::Clock;
use crate::limits::HTTP_BEAT;
use crate::object::BoxFuture;

/// A response whose body is one event for each item, as they come.
pub(super) fn events(items: Items, object: String, clock: Arc<dyn Clock>) -> Response {
    let beat = clock.sleep_until(clock.now() + HTTP_BEAT);
    let events = Events { items: Some(items), object, clock, beat };
    headed(Response::new(Body::from_stream(events)), "text/event-stream")
}

struct Events {
    /// `None`: the last one has come.
    items: Option<Items>,
    /// For what is said of its end.
    object: String,
    clock: Arc<dyn Clock>,
    /// When something is sent because nothing was.
    beat: BoxFuture<'static, ()>,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(items) = &mut this.items else { return Poll::Ready(None) };
        let event = match items.as_mut().poll_next(task) {
            Poll::Ready(Some(Ok(json))) => [b"data: ", &*json, b"\n\n"].concat(),
            Poll::Ready(Some(Err(error))) => {
                this.items = None;
                let problem = Problem::from(error).about(this.object.clone());
                [b"event: failed\ndata: ", &*problem.into_json(), b"\n\n"].concat()
            }
            Poll::Ready(None) => {
                this.items = None;
                b"event: done\ndata: null\n\n".to_vec()
            }
            // A comment, so that whoever is on the way sees life, and that a client that has gone is noticed.
            Poll::Pending if this.beat.as_mut().poll(task).is_ready() => b":\n\n".to_vec(),
            Poll::Pending => return Poll::Pending,
        };
        this.beat = this.clock.sleep_until(this.clock.now() + HTTP_BEAT);
        Poll::Ready(Some(Ok(event.into())))
    }
}
