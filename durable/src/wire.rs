//! What goes over sockets of objects, how they end, and where those lead that objects open: what their objects, the host that opens
//! some, and whatever carries them have in common.

mod fault;
mod goal;

use std::fmt;

use futures_util::{Sink, Stream};
use hyper::body::Bytes;
use postcard_schema::Schema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::goal::{Dial, Goal};
use crate::error::{Code, Error};
use crate::limits::{SOCKET_MESSAGE_BYTES_MAX, SOCKET_REASON_BYTES_MAX};
use crate::state::DurableState;

/// Which socket it is. Objects may keep it: after a restart of the process, which no socket survives, it is nobody's.
///
/// What an object does with a socket it does by [`Context::sockets`](crate::Context::sockets).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
pub struct Socket(pub(crate) u64);

#[diagnostic::do_not_recommend]
impl DurableState for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({self})")
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text or bytes that go over a socket. Cheap to clone.
///
/// ```
/// use durable::socket::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(Message::from(vec![0, 255]).as_text(), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// UTF-8, if it is a text.
    bytes: Bytes,
    is_text: bool,
}

impl Message {
    /// A value as a text of JSON.
    ///
    /// # Errors
    /// `call.unencodable` if its `Serialize` refuses.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_string(value).map_err(|error| {
            Code::CallUnencodable
                .error(format!("a message cannot be JSON: {error}; mend its `Serialize`"))
        })?;
        Ok(text.into())
    }

    /// The value that it is in JSON.
    ///
    /// # Errors
    /// `call.undecodable` if it is none of type `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            Code::CallUndecodable
                .error(format!("a message is not the JSON that it should be: {error}; send that"))
        })
    }

    /// The text. `None`: it is bytes.
    pub fn as_text(&self) -> Option<&str> {
        self.is_text.then(|| std::str::from_utf8(&self.bytes).expect("a text is UTF-8"))
    }

    /// The bytes, of a text those of its UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_parts(self) -> (Bytes, bool) {
        (self.bytes, self.is_text)
    }

    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Message { bytes, is_text: false }
    }

    /// `bytes`: UTF-8.
    pub(crate) fn of_text(bytes: Bytes) -> Self {
        Message { bytes, is_text: true }
    }

    /// # Errors
    /// `socket.too_large`.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let count = self.bytes.len();
        if count <= SOCKET_MESSAGE_BYTES_MAX {
            return Ok(());
        }
        Err(Code::SocketTooLarge.error(format!(
            "a message has {count} bytes, the limit is {SOCKET_MESSAGE_BYTES_MAX}; send it in parts"
        )))
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message { bytes: text.into(), is_text: true }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message { bytes: bytes.into(), is_text: false }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(text) => write!(f, "{text:?}"),
            None => write!(f, "{} bytes", self.bytes.len()),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.is_text, &*self.bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (is_text, bytes) = <(bool, Vec<u8>)>::deserialize(deserializer)?;
        if is_text && std::str::from_utf8(&bytes).is_err() {
            return Err(D::Error::custom("a text is not UTF-8"));
        }
        Ok(Message { bytes: bytes.into(), is_text })
    }
}

/// How an object closes a socket, and what a method with `#[on_message]` that refuses a message answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// 1000, or 3000 to 4999 with a meaning of the program's own.
    pub code: u16,
    /// For people; 123 bytes of it are sent.
    pub reason: String,
}

impl Close {
    /// A close with this code and reason.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        Close { code, reason: reason.into() }
    }

    /// As it is sent: a code that must not be sent is 1000.
    pub(crate) fn sent(self) -> crate::kernel::sockets::Closing {
        let code = match self.code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => self.code,
            _ => 1000,
        };
        let mut end = self.reason.len().min(SOCKET_REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        crate::kernel::sockets::Closing { code, reason: self.reason[..end].to_owned() }
    }
}

/// How a socket has ended, as its object hears it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// What the other end has said, or the object itself; 1005 if it has said nothing, 1006 if it has just gone.
    pub code: u16,
    /// For people.
    pub reason: String,
    /// Both ends have said that it closes.
    pub is_clean: bool,
}

/// Why a socket cannot go on, as its object hears it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketError {
    /// What is wrong.
    pub kind: SocketErrorKind,
    /// For people.
    pub text: String,
}

/// What is wrong with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SocketErrorKind {
    /// What has come is no message.
    Protocol,
    /// A message is larger than the limit.
    TooLarge,
    /// It takes too little of what it is sent.
    Slow,
    /// Nothing is heard of it.
    Silent,
    /// The object wanted to open it, and could not.
    Unreachable,
}

impl SocketError {
    /// What an object hears that has no `#[on_error]`.
    pub(crate) fn into_closed(self) -> Closed {
        Closed { code: 1006, reason: self.text, is_clean: false }
    }
}

/// How a socket has ended.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Ending {
    /// It was closed, or its other end has gone.
    Closed(Closed),
    /// It cannot go on.
    Failed(SocketError),
}

impl Ending {
    /// Its other end has gone without a word.
    pub fn gone() -> Self {
        Ending::Closed(Closed { code: 1006, reason: String::new(), is_clean: false })
    }

    /// Something of this kind is wrong.
    pub fn failed(kind: SocketErrorKind, text: impl Into<String>) -> Self {
        Ending::Failed(SocketError { kind, text: text.into() })
    }
}

/// What a socket goes over. It answers by itself whoever asks whether it is there, and whoever closes.
#[doc(hidden)]
pub trait Wire:
    Stream<Item = Result<Signal, Ending>> + Sink<Signal, Error = Ending> + Unpin + Send
{
}

impl<W> Wire for W where
    W: Stream<Item = Result<Signal, Ending>> + Sink<Signal, Error = Ending> + Unpin + Send
{
}

/// What goes over it.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A message.
    Message(Message),
    /// Asks the other end whether it is there, or is heard of it.
    Beat,
    /// The last thing. `None`: nothing is said about it.
    Close(Option<Close>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_wire, encode_wire};

    #[test]
    fn messages_come_out_of_the_codec_as_they_went_in() {
        for message in [Message::from("é"), Message::from(vec![0, 255]), Message::from("")] {
            let back: Message =
                decode_wire(&encode_wire(&message).expect("it encodes")).expect("it decodes");
            assert_eq!(back, message);
        }
        let no_text = encode_wire(&(true, vec![255_u8])).expect("it encodes");
        assert!(decode_wire::<Message>(&no_text).is_err());
    }

    #[test]
    fn what_must_not_be_sent_is_not() {
        let sent = |code, reason: &str| Close::new(code, reason).sent();
        assert_eq!(sent(4_001, "bye").code, 4_001);
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(sent(code, "").code, 1000, "{code}");
        }
        let long = sent(1000, &"é".repeat(100));
        assert_eq!(long.reason.len(), 122, "whole characters");
    }
}
