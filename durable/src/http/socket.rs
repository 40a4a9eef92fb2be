//! WebSockets: from a request that asks for one to its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::HeaderValue;
use axum::http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::Error as WireError;

use super::problem::Problem;
use super::server::Serving;
use super::{Service, fetch};
use crate::caller::{Who, WhoKey};
use crate::exposed::Request;
use crate::limits::{SOCKET_BUFFER_BYTES, SOCKET_MESSAGE_BYTES_MAX};
use crate::metadata::Metadata;
use crate::socket::{Close, Ending, Message, Refused, Signal};

/// Whether a request asks for a socket.
pub(super) fn is_wanted(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(UPGRADE).and_then(|upgrade| upgrade.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// A socket that was let pass.
pub(super) struct Comes {
    pub(super) class: &'static str,
    pub(super) object: WhoKey,
    /// As the object sees it.
    pub(super) request: Request,
    /// What travels with everything that happens to it.
    pub(super) metadata: Metadata,
}

impl Service {
    pub(super) async fn take_socket(
        &self,
        comes: Comes,
        mut parts: Parts,
        serving: Option<Serving>,
    ) -> Result<Response, Problem> {
        let Comes { class, object, request, metadata } = comes;
        let door = &self.doors[class];
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
            .await
            .map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        let who = Who { key: object, placement: None };
        let joining = door.join(who, metadata, self.settings.timeout)?;
        let line = match joining.connect(request, serving.clone()).await {
            Ok(line) => line,
            Err(Refused::Answered(response)) => return Ok(fetch::response(response)?),
            Err(Refused::Failed(error)) => return Err(error.into()),
        };
        let protocol = line.protocol();
        let upgrade = upgrade
            .read_buffer_size(SOCKET_BUFFER_BYTES)
            .write_buffer_size(SOCKET_BUFFER_BYTES)
            .max_message_size(SOCKET_MESSAGE_BYTES_MAX)
            .max_frame_size(SOCKET_MESSAGE_BYTES_MAX);
        let mut response = upgrade.on_upgrade(async move |socket| {
            let closes = serving.as_ref().map_or_else(Vec::new, Serving::closes);
            line.attend(OnWire(socket), closes).await;
            // Until then it keeps its place among the server's connections.
            drop(serving);
        });
        if let Some(protocol) = protocol
            && let Ok(protocol) = HeaderValue::try_from(protocol)
        {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        Ok(response.into_response())
    }
}

/// A socket in frames of the protocol.
struct OnWire(WebSocket);

impl Stream for OnWire {
    type Item = Result<Signal, Ending>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.0).poll_next(task));
        Poll::Ready(next.map(|next| match next {
            Ok(frame) => Ok(signal(frame)),
            Err(error) => Err(failed(&error)),
        }))
    }
}

impl Sink<Signal> for OnWire {
    type Error = Ending;

    fn poll_ready(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Pin::new(&mut self.0).poll_ready(task).map_err(|error| failed(&error))
    }

    fn start_send(mut self: Pin<&mut Self>, signal: Signal) -> Result<(), Ending> {
        Pin::new(&mut self.0).start_send(frame(signal)).map_err(|error| failed(&error))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Pin::new(&mut self.0).poll_flush(task).map_err(|error| failed(&error))
    }

    fn poll_close(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Pin::new(&mut self.0).poll_close(task).map_err(|error| failed(&error))
    }
}

fn signal(frame: Frame) -> Signal {
    match frame {
        Frame::Text(text) => Signal::Message(Message::of_text(text.into())),
        Frame::Binary(bytes) => Signal::Message(Message::of_bytes(bytes)),
        Frame::Ping(_) | Frame::Pong(_) => Signal::Beat,
        Frame::Close(close) => {
            Signal::Close(close.map(|close| Close::new(close.code, close.reason.to_string())))
        }
    }
}

fn frame(signal: Signal) -> Frame {
    match signal {
        Signal::Message(message) => match message.into_parts() {
            (bytes, true) => Frame::Text(Utf8Bytes::try_from(bytes).expect("a text is UTF-8")),
            (bytes, false) => Frame::Binary(bytes),
        },
        Signal::Beat => Frame::Ping(axum::body::Bytes::new()),
        Signal::Close(close) => Frame::Close(
            close.map(|Close { code, reason }| CloseFrame { code, reason: reason.into() }),
        ),
    }
}

/// How a socket has ended that gave this error.
fn failed(error: &axum::Error) -> Ending {
    let source = std::error::Error::source(error);
    let wire = source.and_then(|source| source.downcast_ref::<WireError>());
    wire.map_or_else(Ending::gone, Ending::of)
}
