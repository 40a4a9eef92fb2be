//! The class: a room, in which members talk over sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use durable::http::{Request, Response};
use durable::prelude::*;
use durable::socket::{Close, Closed, Message, Socket};
use serde::{Deserialize, Serialize};

use crate::frames::{self, Frame, Said, Wish};
use crate::pace::Paces;

/// Sockets of a room, so that all names have room in a frame.
const SOCKETS_MAX: usize = 1_000;

/// Messages that a client gets at most when it comes.
const CAUGHT_UP_MAX: u32 = 200;

/// Bytes of their texts, all together. A frame has room for four times as many.
const CAUGHT_UP_BYTES_MAX: usize = 256 * 1024;

/// Messages that are kept, and how long.
const KEPT_MAX: i64 = 10_000;
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How often the others go.
const DAY: Duration = Duration::from_secs(86_400);

/// A room, named by its name. What was said is in its tables; who is there is said by its sockets, and stored nowhere.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Room {
    /// The number of the newest message, which is not used again when that one has gone. 0: nothing was ever said.
    said: i64,
    /// How fast each member talks. It goes with the room's activation, which nobody has talked to then for longer than it tells.
    #[serde(skip)]
    talking: Paces,
    /// The same for signs of writing.
    #[serde(skip)]
    typing: Paces,
}

/// What is attached to a socket.
#[derive(Serialize, Deserialize)]
struct Seat {
    name: String,
}

#[durable_object(
    name = "chat.Room",
    http,
    visibility = "pub(crate)",
    migrations = "chat/migrations"
)]
impl Room {
    /// `?name=ada&since=41`: ada comes, and has all messages up to number 41.
    #[on_connect]
    fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let query = request.uri().query().unwrap_or_default();
        let name = frames::parameter(query, "name").unwrap_or_default();
        let since = frames::parameter(query, "since").and_then(|since| since.parse().ok());
        let Some(name) = frames::to_name(&name) else {
            return Err(refusal(400, "say by `?name=` who comes, in 1 to 32 characters"));
        };
        if cx.sockets().count() > SOCKETS_MAX {
            return Err(refusal(503, "the room is full; come again later"));
        }
        self.welcome(cx, socket, name, since.unwrap_or(0))
            .map_err(|error| refusal(503, error.code()))
    }

    #[on_message]
    fn hear(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        message: Message,
    ) -> Result<(), Close> {
        // The client comes again, and sends again what it has not heard of.
        self.obey(cx, from, &message).map_err(|error| Close::new(1011, error.code()))
    }

    /// A member has left when no socket has that name any more.
    #[on_close]
    fn leave(&self, cx: &Context<'_, Self>, socket: Socket, _closed: Closed) -> Result<(), Error> {
        let sockets = cx.sockets();
        let Some(Seat { name }) = sockets.attachment(socket)? else { return Ok(()) };
        if sockets.tagged(&name).is_empty() {
            sockets.send_all(Frame::Left { name: &name }.to_message()?)?;
        }
        Ok(())
    }

    /// Says something without a socket, as the program itself does. Gives the message's number, also if it was said before.
    #[rpc(http = "off")]
    pub fn say(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
        id: String,
        text: String,
    ) -> Result<i64, Error> {
        match self.known(cx, &name, &id)? {
            Some(said) => Ok(said.seq),
            None => self.store(cx, name, id, text),
        }
    }

    /// The newest messages after one of them, at most 200, the oldest first.
    #[rpc(http = "GET")]
    pub fn messages(&self, cx: &Context<'_, Self>, since: i64) -> Result<Vec<Said>, Error> {
        let sql = "SELECT seq, name, id, text, at_ms FROM messages WHERE seq > ?
            ORDER BY seq DESC LIMIT ?";
        let mut messages: Vec<Said> = cx.sql().query(sql, (since, CAUGHT_UP_MAX))?.all()?;
        let mut bytes = 0;
        let fitting = messages.iter().take_while(|said| {
            bytes += said.text.len();
            bytes <= CAUGHT_UP_BYTES_MAX
        });
        messages.truncate(fitting.count());
        messages.reverse();
        Ok(messages)
    }

    /// Old messages go. It comes again tomorrow if there are others.
    #[alarm]
    fn purge(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        let oldest_ms = cx.now().0.saturating_sub(KEPT.as_millis() as u64) as i64;
        let sql = "DELETE FROM messages WHERE at_ms < ? OR seq <= ?";
        cx.sql().exec(sql, (oldest_ms, self.said - KEPT_MAX))?;
        if cx.sql().query_one("SELECT EXISTS (SELECT 1 FROM messages)", ())? {
            cx.alarm().set_after(DAY);
        }
        Ok(())
    }

    fn welcome(
        &self,
        cx: &Context<'_, Self>,
        socket: Socket,
        name: &str,
        since: i64,
    ) -> Result<(), Error> {
        // A client that has more than there is has it from another store.
        let since = if (0..=self.said).contains(&since) { since } else { 0 };
        let messages = self.messages(cx, since)?;
        let before = messages.first().map_or(self.said, |first| first.seq - 1);
        let sockets = cx.sockets();
        sockets.tag(socket, name)?;
        sockets.attach(socket, &Seat { name: name.to_owned() })?;
        // Clients ask whether anybody is there; that wakes no room.
        sockets.auto_respond(socket, Some(("ping", "pong")))?;
        let names = sockets.all().into_iter().flat_map(|socket| sockets.tags(socket));
        let present: BTreeSet<String> = names.collect();
        let hello = Frame::Hello {
            you: name,
            present: present.into_iter().collect(),
            messages,
            gap: before > since,
            last: self.said,
        };
        sockets.send(socket, hello.to_message()?)?;
        if sockets.tagged(name).len() == 1 {
            others_hear(cx, name, &Frame::Joined { name })?
        }
        Ok(())
    }

    fn obey(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        message: &Message,
    ) -> Result<(), Error> {
        let Some(Seat { name }) = cx.sockets().attachment(from)? else { return Ok(()) };
        match message.parse() {
            Ok(Wish::Say { say, id }) => self.answer(cx, from, name, id, &say),
            Ok(Wish::Typing { typing }) => self.show_typing(cx, &name, typing),
            Err(_) => {
                let why = "it is neither `{\"say\": …, \"id\": …}` nor `{\"typing\": …}`";
                cx.sockets().send(from, Frame::Refused { id: None, why }.to_message()?)
            }
        }
    }

    /// A member wants to say something: everybody hears it, or the member why not.
    fn answer(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        name: String,
        id: String,
        text: &str,
    ) -> Result<(), Error> {
        let told = |frame: Frame<'_>| cx.sockets().send(from, frame.to_message()?);
        if !frames::is_id(&id) {
            let why = "its id is not 1 to 64 plain characters";
            return told(Frame::Refused { id: Some(&id), why });
        }
        // What was said before does not count again, or a member who comes back would have to wait.
        if let Some(said) = self.known(cx, &name, &id)? {
            return told(Frame::Message { said: &said });
        }
        let text = match frames::to_text(text) {
            Ok(text) => text,
            Err(why) => return told(Frame::Refused { id: Some(&id), why }),
        };
        if let Err(wait_ms) = self.talking.take(&name, cx.now().0) {
            return told(Frame::Slow { id: &id, wait_ms });
        }
        self.store(cx, name, id, text).map(drop)
    }

    /// Others see who writes. Nothing is stored, so nothing is waited for.
    fn show_typing(
        &mut self,
        cx: &Context<'_, Self>,
        name: &str,
        typing: bool,
    ) -> Result<(), Error> {
        if self.typing.take(name, cx.now().0).is_err() {
            return Ok(());
        }
        others_hear(cx, name, &Frame::Typing { name, typing })
    }

    /// A message that is stored.
    fn known(&self, cx: &Context<'_, Self>, name: &str, id: &str) -> Result<Option<Said>, Error> {
        let sql = "SELECT seq, name, id, text, at_ms FROM messages WHERE name = ? AND id = ?";
        cx.sql().query(sql, (name, id))?.optional()
    }

    /// Stores a message, and tells everybody when it is on the disk.
    fn store(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
        id: String,
        text: String,
    ) -> Result<i64, Error> {
        self.said += 1;
        let said = Said { seq: self.said, name, id, text, at_ms: cx.now().0 as i64 };
        let sql = "INSERT INTO messages (seq, name, id, text, at_ms) VALUES (?, ?, ?, ?, ?)";
        cx.sql().exec(sql, (said.seq, &*said.name, &*said.id, &*said.text, said.at_ms))?;
        if cx.alarm().get().is_none() {
            cx.alarm().set_after(DAY);
        }
        cx.sockets().send_all(Frame::Message { said: &said }.to_message()?)?;
        Ok(self.said)
    }
}

/// Sends something to everybody who is called otherwise.
fn others_hear(cx: &Context<'_, Room>, name: &str, frame: &Frame<'_>) -> Result<(), Error> {
    let (sockets, message) = (cx.sockets(), frame.to_message()?);
    let own: BTreeSet<Socket> = sockets.tagged(name).into_iter().collect();
    let others = sockets.all().into_iter().filter(|socket| !own.contains(socket));
    sockets.send_each(others, message)
}

/// What is answered to who may not come in.
fn refusal(status: u16, why: &str) -> Response {
    let mut response = Response::status_only(status);
    *response.body_mut() = why.to_owned().into();
    response
}
