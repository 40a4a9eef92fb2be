//! WebSockets: from a request that asks for one to its end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::FromRequestParts;
use axum::extract::ws::{
    CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code,
};
use axum::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::future::select;
use futures_util::{Sink, SinkExt, Stream};
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::problem::Problem;
use super::server::Serving;
use super::{Service, fetch};
use crate::caller::{Who, WhoKey};
use crate::exposed::Request;
use crate::host::Clock;
use crate::limits::{
    SOCKET_CLOSE_TIMEOUT, SOCKET_MESSAGE_BYTES_MAX, SOCKET_PING_INTERVAL, SOCKET_UNDER_WAY_MAX,
};
use crate::metadata::Metadata;
use crate::object::BoxFuture;
use crate::socket::{Close, Closed, Ending, Line, Message, Next, Refused, SocketError, SocketErrorKind};

/// Bytes that are read of a socket at once.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that are gathered before they are written.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Whether a request asks for a socket.
pub(super) fn is_wanted(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(UPGRADE).and_then(|upgrade| upgrade.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// A page of another site does not open a socket unless that was said.
pub(super) fn check_origin(parts: &Parts, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = parts.headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let is_allowed = |one: &String| one == "*" || one.eq_ignore_ascii_case(origin);
    let asked = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let site: Option<Uri> = origin.parse().ok();
    let is_own = site
        .as_ref()
        .and_then(|site| site.authority())
        .is_some_and(|site| asked.is_some_and(|asked| site.as_str().eq_ignore_ascii_case(asked)));
    if is_own || allowed.iter().any(is_allowed) {
        return Ok(());
    }
    Err(Problem::foreign_origin(origin))
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
    ) -> Result<Response, Problem> {
        let Comes { class, object, request, metadata } = comes;
        let door = &self.doors[class];
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
            .await
            .map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        let who = Who { key: object, placement: None };
        let joining = door.join(who, metadata, self.settings.timeout)?;
        let line = match joining.connect(request).await {
            Ok(line) => line,
            Err(Refused::Answered(response)) => return Ok(fetch::response(*response)?),
            Err(Refused::Failed(error)) => return Err(error.into()),
        };
        let serving = parts.extensions.remove::<Serving>();
        let clock = Arc::clone(&self.runtime.host().clock);
        let protocol = line.protocol();
        let upgrade = upgrade
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(SOCKET_MESSAGE_BYTES_MAX)
            .max_frame_size(SOCKET_MESSAGE_BYTES_MAX);
        let mut response =
            upgrade.on_upgrade(|socket| Attached::new(socket, line, clock, serving).run());
        if let Some(protocol) = protocol
            && let Ok(protocol) = HeaderValue::try_from(protocol)
        {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        Ok(response.into_response())
    }
}

/// A socket, from both sides.
struct Attached {
    socket: WebSocket,
    line: Line,
    clock: Arc<dyn Clock>,
    /// Messages on their way to the object, in the order in which they came.
    under_way: VecDeque<BoxFuture<'static, ()>>,
    stage: Stage,
    /// Ends when the server takes no more. `None`: it has, or nobody says.
    closes: Option<BoxFuture<'static, ()>>,
    /// When something is to be heard of the other end, or to be taken by it.
    time_over: BoxFuture<'static, ()>,
    /// Keeps its place among the server's connections.
    _serving: Option<Serving>,
    /// It was asked whether it is there.
    is_asked: bool,
    /// Something was written that has not left.
    is_unwritten: bool,
}

/// How far it is.
#[derive(Clone, Debug)]
enum Stage {
    Open,
    /// This side has said that it closes.
    Closing(Close),
}

impl Attached {
    fn new(
        socket: WebSocket,
        line: Line,
        clock: Arc<dyn Clock>,
        serving: Option<Serving>,
    ) -> Self {
        let closes = serving.as_ref().map(Serving::closes);
        let time_over = clock.sleep_until(clock.now() + SOCKET_PING_INTERVAL);
        Attached {
            socket,
            line,
            clock,
            under_way: VecDeque::new(),
            stage: Stage::Open,
            closes,
            _serving: serving,
            time_over,
            is_asked: false,
            is_unwritten: false,
        }
    }

    async fn run(mut self) {
        let ending = poll_fn(|task| self.poll(task)).await;
        let Attached { socket, line, clock, under_way, .. } = self;
        if let Ending::Failed(error) = &ending {
            let time_over = clock.sleep_until(clock.now() + SOCKET_CLOSE_TIMEOUT);
            select(Box::pin(say_why(socket, error)), time_over).await;
        } else {
            drop(socket);
        }
        // What has come is heard before its end is.
        for heard in under_way {
            heard.await;
        }
        line.end(ending).await;
    }

    fn poll(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        if self.closes.as_mut().is_some_and(|closes| closes.as_mut().poll(task).is_ready()) {
            self.closes = None;
            self.line.close(Close::new(1001, "the server is closed"));
        }
        if let Poll::Ready(ending) = self.poll_write(task) {
            return Poll::Ready(ending);
        }
        self.poll_under_way(task);
        if let Poll::Ready(ending) = self.poll_read(task) {
            return Poll::Ready(ending);
        }
        // What was heard may have been answered at once.
        if let Poll::Ready(ending) = self.poll_write(task) {
            return Poll::Ready(ending);
        }
        self.poll_time(task)
    }

    fn poll_under_way(&mut self, task: &mut Context<'_>) {
        self.under_way.retain_mut(|heard| heard.as_mut().poll(task).is_pending());
    }

    /// Writes what there is, as far as the other end takes it.
    fn poll_write(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        loop {
            match Pin::new(&mut self.socket).poll_ready(task) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(failed(&error)),
                Poll::Pending => return Poll::Pending,
            }
            let Poll::Ready(next) = self.poll_next(task) else { break };
            let frame = match next {
                Next::Cut => {
                    let text = "it takes too little of what it is sent";
                    return Poll::Ready(Ending::failed(SocketErrorKind::Slow, text));
                }
                Next::Message(message) => frame(message),
                Next::Close(close) => {
                    let frame = CloseFrame { code: close.code, reason: close.reason.clone().into() };
                    self.stage = Stage::Closing(close);
                    self.wait(SOCKET_CLOSE_TIMEOUT);
                    Frame::Close(Some(frame))
                }
            };
            self.is_unwritten = true;
            if let Err(error) = Pin::new(&mut self.socket).start_send(frame) {
                return Poll::Ready(failed(&error));
            }
        }
        if self.is_unwritten {
            match ready!(Pin::new(&mut self.socket).poll_flush(task)) {
                Ok(()) => self.is_unwritten = false,
                Err(error) => return Poll::Ready(failed(&error)),
            }
        }
        Poll::Pending
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
        while self.under_way.len() < SOCKET_UNDER_WAY_MAX {
            let frame = match ready!(Pin::new(&mut self.socket).poll_next(task)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(failed(&error)),
                None => return Poll::Ready(self.gone()),
            };
            if let Stage::Open = self.stage {
                self.is_asked = false;
                self.wait(SOCKET_PING_INTERVAL);
            }
            let message = match frame {
                Frame::Text(text) => Message::of_text(text.into()),
                Frame::Binary(bytes) => Message::of_bytes(bytes),
                Frame::Ping(_) | Frame::Pong(_) => {
                    // An answer to a ping is written by itself.
                    self.is_unwritten = true;
                    continue;
                }
                Frame::Close(close) => {
                    // So is one to a close.
                    let _ = Pin::new(&mut self.socket).poll_flush(task);
                    return Poll::Ready(Ending::Closed(self.closed_by(close)));
                }
            };
            if let Some(mut heard) = self.line.hear(message).into_future()
                // Only then has it its place among those of this socket.
                && heard.as_mut().poll(task).is_pending()
            {
                self.under_way.push_back(heard);
            }
        }
        Poll::Pending
    }

    /// The other end says that it closes, first or in answer.
    fn closed_by(&self, close: Option<CloseFrame>) -> Closed {
        let (code, reason) = match (&self.stage, close) {
            (Stage::Closing(own), _) => (own.code, own.reason.clone()),
            (Stage::Open, Some(close)) => (close.code, close.reason.to_string()),
            (Stage::Open, None) => (1005, String::new()),
        };
        Closed { code, reason, is_clean: true }
    }

    /// The other end has gone.
    fn gone(&self) -> Ending {
        match &self.stage {
            Stage::Open => Ending::gone(),
            Stage::Closing(own) => {
                let (code, reason) = (own.code, own.reason.clone());
                Ending::Closed(Closed { code, reason, is_clean: false })
            }
        }
    }

    fn poll_time(&mut self, task: &mut Context<'_>) -> Poll<Ending> {
        while self.time_over.as_mut().poll(task).is_ready() {
            match self.stage {
                Stage::Closing(_) => return Poll::Ready(self.gone()),
                // Its object has not heard yet what it has said.
                Stage::Open if self.under_way.len() >= SOCKET_UNDER_WAY_MAX => {}
                Stage::Open if self.is_asked => {
                    let text = format!("nothing was heard of it for {:?}", 2 * SOCKET_PING_INTERVAL);
                    return Poll::Ready(Ending::failed(SocketErrorKind::Silent, text));
                }
                Stage::Open => {
                    self.is_asked = true;
                    self.is_unwritten = true;
                    let ping = Frame::Ping(axum::body::Bytes::new());
                    if let Err(error) = Pin::new(&mut self.socket).start_send(ping) {
                        return Poll::Ready(failed(&error));
                    }
                    let _ = Pin::new(&mut self.socket).poll_flush(task);
                }
            }
            self.wait(SOCKET_PING_INTERVAL);
        }
        Poll::Pending
    }

    fn wait(&mut self, time: std::time::Duration) {
        self.time_over = self.clock.sleep_until(self.clock.now() + time);
    }
}

/// Tells the other end why it is given up, if it listens.
async fn say_why(mut socket: WebSocket, error: &SocketError) {
    let code = match error.kind {
        SocketErrorKind::Protocol => close_code::PROTOCOL,
        SocketErrorKind::TooLarge => close_code::SIZE,
        SocketErrorKind::Slow | SocketErrorKind::Silent => close_code::POLICY,
    };
    let close = Close::new(code, &*error.text).sent();
    let frame = CloseFrame { code: close.code, reason: close.reason.to_string().into() };
    let _ = socket.send(Frame::Close(Some(frame))).await;
    let _ = socket.close().await;
}

fn frame(message: Message) -> Frame {
    let (bytes, is_text) = message.into_parts();
    if is_text {
        Frame::Text(Utf8Bytes::try_from(bytes).expect("a text is UTF-8"))
    } else {
        Frame::Binary(bytes)
    }
}

/// How a socket has ended that gave this error.
fn failed(error: &axum::Error) -> Ending {
    let text = error.to_string();
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<WireError>()) {
        Some(WireError::Capacity(_)) => Ending::failed(SocketErrorKind::TooLarge, text),
        Some(WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Ending::gone(),
        Some(WireError::Protocol(_) | WireError::Utf8(_)) => {
            Ending::failed(SocketErrorKind::Protocol, text)
        }
        _ => Ending::gone(),
    }
}
