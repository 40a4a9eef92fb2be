//! What is wrong with a WebSocket, as its object hears it.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::{Ending, SocketErrorKind};

impl Ending {
    /// How a socket has ended that gave this error.
    pub(crate) fn of(error: &Error) -> Self {
        let kind = match error {
            Error::Capacity(_) => SocketErrorKind::TooLarge,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Ending::gone(),
            Error::Protocol(_) | Error::Utf8(_) => SocketErrorKind::Protocol,
            _ => return Ending::gone(),
        };
        Ending::failed(kind, error.to_string())
    }
}
