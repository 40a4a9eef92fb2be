//! Events of an object, numbered and kept, so that whoever follows them misses none when his socket breaks.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::limits::{EVENTS_KEPT, SOCKET_TAG_BYTES_MAX};
use crate::object::{Context, Object};
use crate::socket::{Message, Socket};

/// What the keys of events begin with, before the tag.
const EVENTS: &str = "durable.events/";

/// What the keys begin with that have the number of the newest event, before the tag.
const NEWEST: &str = "durable.newest/";

/// An event, as it goes over sockets in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<T> {
    /// What it is of.
    pub tag: String,
    /// Which of the tag's it is, from 1.
    pub seq: u64,
    /// What has happened.
    pub event: T,
}

/// What a socket has missed that [follows](Context::follow) a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The number of the tag's newest event; 0 if there was none.
    pub newest: u64,
    /// Events that came after the one it has seen last are not kept any more: it is to be told how things are now.
    pub has_gap: bool,
}

impl<O: Object> Context<'_, O> {
    /// Tells all sockets with this tag of an event, in JSON, as an [`Event`](crate::socket::Event), and keeps it for those that will
    /// [follow](Self::follow) the tag from an earlier one on. Gives the event's number, which is one more than that of the tag's event
    /// before it. As all that a turn does, it happens with the turn, or never.
    ///
    /// The newest [`EVENTS_KEPT`](crate::limits::EVENTS_KEPT) events of a tag are kept, in the object's [KV](Self::kv), under keys that
    /// begin with `durable.events/`.
    ///
    /// ```
    /// use durable::http::{Request, Response};
    /// use durable::prelude::*;
    /// use durable::socket::Socket;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// enum Moved { Left, Right }
    ///
    /// #[derive(Deserialize)]
    /// struct Seen { after: u64 }
    ///
    /// #[derive(Default, DurableState)]
    /// struct Robot { place: i64 }
    ///
    /// #[durable_object(name = "doc.Robot", http)]
    /// impl Robot {
    ///     pub async fn step(&mut self, cx: &mut Context<'_, Self>, right: bool) -> Result<u64, Error> {
    ///         self.place += if right { 1 } else { -1 };
    ///         cx.broadcast("moves", if right { &Moved::Right } else { &Moved::Left }).await
    ///     }
    ///
    ///     /// `?after=12`: the page has seen the moves up to the twelfth.
    ///     #[on_connect]
    ///     async fn come(&mut self, cx: &mut Context<'_, Self>, socket: Socket, request: Request) -> Result<(), Response> {
    ///         let Seen { after } = request.query()?;
    ///         let followed = cx.follow(socket, "moves", after).await;
    ///         let followed = followed.map_err(|error| Response::new(error.message().to_owned()))?;
    ///         if followed.has_gap {
    ///             let now = format!(r#"{{"place": {}, "seq": {}}}"#, self.place, followed.newest);
    ///             cx.sockets().send(socket, now).map_err(|error| Response::new(error.message().to_owned()))?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Robot>().start().await?;
    /// let robot = runtime.get::<Robot>("r2");
    /// assert_eq!(robot.step(true).await.unwrap(), 1);
    /// assert_eq!(robot.step(false).await.unwrap(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `socket.tag_invalid` if the tag is longer than it may be; `socket.too_large` if the event is; `kv.read_only` in a turn that takes
    /// `&self`; `call.unencodable`; `storage.*`. Else as [`Sockets::send`](crate::socket::Sockets::send).
    ///
    /// # Cancel safety
    /// Dropped before it has ended, it may have done a part: await it.
    pub async fn broadcast<T: Serialize + ?Sized>(
        &self,
        tag: &str,
        event: &T,
    ) -> Result<u64, Error> {
        check(tag)?;
        let seq = self.newest(tag).await? + 1;
        let message = Message::json(&Event { tag: tag.to_owned(), seq, event })?;
        message.check()?;
        self.kv().put_bytes(key(tag, seq), message.as_bytes())?;
        self.kv().put(format!("{NEWEST}{tag}"), &seq)?;
        if let Some(oldest) = seq.checked_sub(EVENTS_KEPT) {
            self.kv().delete(key(tag, oldest)).await?;
        }
        self.sockets().send_tagged(tag, message)?;
        Ok(seq)
    }

    /// Gives a socket this tag, and sends it the tag's events that came after the one with the number `after`, which it has seen last; 0:
    /// it has seen none. From then on it has all that are [broadcast](Self::broadcast), each once and in their order.
    ///
    /// # Errors
    /// `socket.tag_invalid`; `storage.*`; else as [`Sockets::send`](crate::socket::Sockets::send).
    ///
    /// # Cancel safety
    /// Dropped before it has ended, it may have done a part: await it.
    pub async fn follow(&self, socket: Socket, tag: &str, after: u64) -> Result<Followed, Error> {
        check(tag)?;
        let newest = self.newest(tag).await?;
        let oldest = newest.saturating_sub(EVENTS_KEPT) + 1;
        // One that has seen more than there was has seen another object.
        let has_gap = after + 1 < oldest || after > newest;
        let from = if after > newest { oldest } else { oldest.max(after.saturating_add(1)) };
        let mut kept = self.kv().list().prefix(format!("{EVENTS}{tag}\0")).start(key(tag, from));
        while let Some((_, bytes)) = kept.next_bytes().await? {
            self.sockets().send(socket, Message::of_text(bytes.into()))?;
        }
        self.sockets().tag(socket, tag)?;
        Ok(Followed { newest, has_gap })
    }

    /// The number of a tag's newest event; 0 if there was none.
    async fn newest(&self, tag: &str) -> Result<u64, Error> {
        Ok(self.kv().get(format!("{NEWEST}{tag}")).await?.unwrap_or(0))
    }
}

/// Tags may have any characters but the one that ends them in keys.
fn check(tag: &str) -> Result<(), Error> {
    if tag.len() <= SOCKET_TAG_BYTES_MAX && !tag.contains('\0') {
        return Ok(());
    }
    Err(Code::SocketTagInvalid.error(format!(
        "a tag of events has {} bytes, or a zero among them; it may have {SOCKET_TAG_BYTES_MAX}, and no zero",
        tag.len()
    )))
}

/// Keys of a tag are in the order of their events.
fn key(tag: &str, seq: u64) -> String {
    format!("{EVENTS}{tag}\0{seq:016x}")
}
