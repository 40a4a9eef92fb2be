//! What a connection begins with, which tells the version of HTTP that it speaks.

use std::io;

use tokio::net::TcpStream;

/// What whoever speaks HTTP/2 without having been asked to says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection: as many as tell the version.
pub(super) struct Opening {
    bytes: [u8; PREFACE.len()],
    length: usize,
}

impl Opening {
    /// Of a connection that has said its version otherwise.
    #[cfg(feature = "tls")]
    pub(super) fn none() -> Self {
        Opening { bytes: [0; PREFACE.len()], length: 0 }
    }

    /// Reads until the version is known, or nothing more comes.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut opening = Opening { bytes: [0; PREFACE.len()], length: 0 };
        while PREFACE.starts_with(opening.bytes()) && opening.length < PREFACE.len() {
            stream.readable().await?;
            match stream.try_read(&mut opening.bytes[opening.length..]) {
                Ok(0) => break,
                Ok(count) => opening.length += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(opening)
    }

    pub(super) fn is_http2(&self) -> bool {
        self.bytes() == PREFACE
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
