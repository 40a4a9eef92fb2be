//! Opens sockets to servers elsewhere: TCP, TLS where it is wanted, and the handshake of WebSockets.

use std::future::ready;
#[cfg(feature = "tls")]
use std::{io, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, Utf8Bytes};

use crate::host::{BoxFuture, Dialer};
use crate::limits::{SOCKET_BUFFER_BYTES, SOCKET_MESSAGE_BYTES_MAX};
use crate::wire::{Close, Ending, Goal, Message, Signal, Wire};

pub(super) struct OsDialer;

impl Dialer for OsDialer {
    fn dial(&self, goal: Goal) -> BoxFuture<'static, Result<Box<dyn Wire>, String>> {
        Box::pin(async move { dial(&goal).await.map_err(|error| error.to_string()) })
    }
}

async fn dial(goal: &Goal) -> Result<Box<dyn Wire>, Error> {
    let stream = TcpStream::connect((goal.host(), goal.port())).await?;
    // Frames are small, and somebody waits for each.
    stream.set_nodelay(true)?;
    #[cfg(feature = "tls")]
    if let Some(config) = goal.tls() {
        let name = ServerName::try_from(goal.host().to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        return shake_hands(goal, stream).await;
    }
    shake_hands(goal, stream).await
}

async fn shake_hands(
    goal: &Goal,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Box<dyn Wire>, Error> {
    let mut request = goal.uri().clone().into_client_request()?;
    let own = request.headers().clone();
    for (name, value) in goal.headers().iter().filter(|(name, _)| !own.contains_key(*name)) {
        request.headers_mut().append(name, value.clone());
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_message_size(Some(SOCKET_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(SOCKET_MESSAGE_BYTES_MAX));
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    let wire = socket
        .sink_map_err(|error| Ending::of(&error))
        .with(|signal| ready(Ok::<_, Ending>(frame(signal))))
        .filter_map(|frame| {
            ready(frame.map_or_else(|error| Some(Err(Ending::of(&error))), signal))
        });
    Ok(Box::new(wire))
}

/// `None`: it is nothing by itself.
fn signal(frame: Frame) -> Option<Result<Signal, Ending>> {
    Some(Ok(match frame {
        Frame::Text(text) => Signal::Message(Message::of_text(text.into())),
        Frame::Binary(bytes) => Signal::Message(Message::of_bytes(bytes)),
        Frame::Ping(_) | Frame::Pong(_) => Signal::Beat,
        Frame::Close(close) => Signal::Close(
            close.map(|close| Close::new(close.code.into(), close.reason.to_string())),
        ),
        Frame::Frame(_) => return None,
    }))
}

fn frame(signal: Signal) -> Frame {
    match signal {
        Signal::Message(message) => match message.into_parts() {
            (bytes, true) => Frame::Text(Utf8Bytes::try_from(bytes).expect("a text is UTF-8")),
            (bytes, false) => Frame::Binary(bytes),
        },
        Signal::Beat => Frame::Ping(hyper::body::Bytes::new()),
        Signal::Close(close) => {
            Frame::Close(close.map(|Close { code, reason }| CloseFrame {
                code: code.into(),
                reason: reason.into(),
            }))
        }
    }
}
