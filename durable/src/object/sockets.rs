//! What a turn does about its object's sockets. It happens when everything that the turn did and may have seen is durable, and never
//! if the turn is undone.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::class::Durability;
use crate::error::{Code, Error};
use crate::kernel::gate::{self, Gate};
use crate::kernel::sockets::{Card, CardDeed, Deed};
use crate::limits::{
    SOCKET_ATTACHMENT_BYTES_MAX, SOCKET_RESPONSE_BYTES_MAX, SOCKET_TAG_BYTES_MAX, SOCKET_TAGS_MAX,
    SOCKET_TURN_BYTES_MAX, SOCKET_TURN_MAX,
};
use crate::metadata::Metadata;
use crate::object::context::Scene;
use crate::object::kv::Owner;
use crate::object::live::Live;
use crate::object::{Context, Object, Slot};
use crate::socket::{Close, Dial, Dialing, Joining, Lobby, Message, Socket};

/// What a turn has done about sockets.
#[derive(Debug, Default)]
pub(crate) struct SocketDeeds {
    /// In order.
    deeds: Vec<Deed<Message>>,
    /// Those that it opens. Dropped, they never were.
    dials: Vec<Dialing>,
}

impl SocketDeeds {
    pub(super) fn is_empty(&self) -> bool {
        self.deeds.is_empty()
    }
}

/// Where a turn puts what it does about sockets.
#[derive(Default)]
pub(super) struct SocketDesk(Mutex<Desk>);

#[derive(Default)]
struct Desk {
    dealt: SocketDeeds,
    /// Of messages, attachments and whom they are for.
    bytes: usize,
    fault: Option<Error>,
}

impl SocketDesk {
    /// How much there is.
    pub(super) fn mark(&self) -> SocketMark {
        let Desk { dealt, bytes, .. } = &*self.0.lock();
        SocketMark { deeds: dealt.deeds.len(), dials: dealt.dials.len(), bytes: *bytes }
    }

    /// Goes back to so much.
    pub(super) fn reset(&self, SocketMark { deeds, dials, bytes }: SocketMark) {
        let mut desk = self.0.lock();
        desk.dealt.deeds.truncate(deeds);
        desk.dealt.dials.truncate(dials);
        desk.bytes = bytes;
    }

    pub(super) fn has_dealt(&mut self) -> bool {
        let Desk { dealt, fault, .. } = self.0.get_mut();
        !dealt.is_empty() || fault.is_some()
    }

    pub(super) fn take_dealt(&mut self) -> (SocketDeeds, Option<Error>) {
        let Desk { dealt, fault, .. } = std::mem::take(self.0.get_mut());
        (dealt, fault)
    }
}

/// How much a turn has done about sockets.
#[derive(Clone, Copy)]
pub(super) struct SocketMark {
    deeds: usize,
    dials: usize,
    bytes: usize,
}

impl<O: Object> Context<'_, O> {
    /// The object's sockets: to be written to, closed, tagged as part of this turn. What the turn does about them happens when it is
    /// durable, and never if it is undone.
    ///
    /// ```
    /// use durable::prelude::*;
    /// use durable::socket::{Message, Socket};
    ///
    /// #[derive(Default, DurableState)]
    /// struct Room { said: Vec<String> }
    ///
    /// #[durable_object(name = "doc.Room", http)]
    /// impl Room {
    ///     #[on_message]
    ///     fn heard(&mut self, cx: &mut Context<'_, Self>, from: Socket, message: Message) {
    ///         let Some(text) = message.as_text() else { return };
    ///         self.said.push(text.to_owned());
    ///         let others = cx.sockets().all().into_iter().filter(|other| *other != from);
    ///         let _ = cx.sockets().send_each(others, text);
    ///     }
    /// }
    /// ```
    pub fn sockets(&self) -> Sockets<'_> {
        let lobby = match self.scene {
            Scene::Slot { slot, .. } => slot.group().lobbies().of(slot.id_ref()),
            Scene::Alone(_) => {
                self.lacks("asks for its sockets");
                None
            }
        };
        let is_hook = match self.scene {
            Scene::Slot { fence, .. } => fence.is_none(),
            Scene::Alone(_) => false,
        };
        assert!(
            !is_hook,
            "`#[init]` of {} asks for sockets, and is no turn that could be kept; do it in a method",
            self.label()
        );
        Sockets { desk: &self.sockets, lobby }
    }

    /// Opens a socket. `joining`: how things of it come to the object.
    ///
    /// # Errors
    /// As of [`Context::dial`].
    pub(crate) fn open_line(
        &self,
        dial: Dial,
        joining: impl FnOnce(&Arc<Slot<O>>, Metadata) -> Joining,
    ) -> Result<Socket, Error> {
        let goal = dial.goal()?;
        let Scene::Slot { slot, .. } = self.scene else {
            self.lacks("opens a socket");
            return Ok(Socket(0));
        };
        let line = joining(slot, self.metadata.clone()).come()?;
        let socket = line.socket();
        let sockets = self.sockets();
        sockets.note(Deed::Card(socket.0, CardDeed::LetIn), 0)?;
        sockets.desk.0.lock().dealt.dials.push(Dialing { line, goal });
        Ok(socket)
    }

    /// The turn lets a socket in. Generated dispatchers use it.
    #[doc(hidden)]
    pub fn let_in(&self, socket: Socket) {
        let sockets = self.sockets();
        sockets.note_small(Deed::Card(socket.0, CardDeed::LetIn));
    }
}

/// Lets happen what a turn has done about sockets, as soon as everything is durable that the turn did or may have seen.
pub(super) fn let_frames_out<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    call: u64,
    SocketDeeds { deeds, dials }: SocketDeeds,
) {
    if deeds.is_empty() {
        return;
    }
    // Those whom they are for may all have gone.
    let Some(lobby) = slot.group().lobbies().of(slot.id_ref()) else { return };
    let leaving = lobby.hold(call, deeds).dialing(dials);
    let shard = slot.group().shard(&slot.id());
    let (submitted, durable) = (live.fence().submitted(), shard.durable());
    let is_broken = live.fence().broken().is_some();
    match gate::decide(submitted.0, durable.0, is_broken, Durability::Synced) {
        Gate::Open => leaving.leave(),
        Gate::Behind => shard.release_after(live.fence(), Arc::new(leaving)),
    }
}

/// Closes all sockets of an object, after what its last turn has done about them. Those that it was to open are not.
pub(super) fn close_sockets<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    call: u64,
    SocketDeeds { mut deeds, dials }: SocketDeeds,
) {
    drop(dials);
    let Some(lobby) = slot.group().lobbies().of(slot.id_ref()) else { return };
    let closing = Close::new(1001, "the object is deleted").sent();
    let all: Vec<u64> = lobby.with(|sockets| {
        let is_in = |socket: &u64| sockets.card(*socket).is_some_and(|card| card.is_in);
        sockets.open().filter(is_in).collect()
    });
    deeds.extend(all.into_iter().map(|socket| Deed::Close(socket, closing.clone())));
    let_frames_out(slot, live, call, SocketDeeds { deeds, dials: Vec::new() });
}

/// The sockets of an object, as a turn sees them: with what it has done itself and what turns before it did, durable or not.
///
/// What is done about a socket that has gone does nothing.
pub struct Sockets<'a> {
    desk: &'a SocketDesk,
    /// `None`: the object has no sockets.
    lobby: Option<Arc<Lobby>>,
}

impl Sockets<'_> {
    /// All that are open, the one that came first first. In the turn of `#[on_connect]` the one that comes is among them.
    pub fn all(&self) -> Vec<Socket> {
        self.listed(|_| true)
    }

    /// Those with this tag, the one that came first first.
    pub fn tagged(&self, tag: &str) -> Vec<Socket> {
        self.listed(|card| card.has(tag))
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.find(|_| true, |found| found.count())
    }

    /// Whether a socket is open, as far as anybody knows.
    pub fn is_open(&self, socket: Socket) -> bool {
        let desk = self.desk.0.lock();
        self.lobby.as_ref().is_some_and(|lobby| {
            lobby.with(|sockets| {
                let card = sockets.card(socket.0).filter(|_| sockets.hears(socket.0));
                card.is_some_and(|card| with_deeds(card, socket.0, &desk.dealt.deeds).is_listed())
            })
        })
    }

    /// Sends a message to one socket. It leaves when what the turn did is durable, after those that earlier turns and this one have
    /// sent to it before. Nobody says whether it has come.
    ///
    /// # Errors
    /// `socket.too_large`; then nothing is sent. `socket.overloaded` if the turn sends more than
    /// [`SOCKET_TURN_MAX`](crate::limits::SOCKET_TURN_MAX) messages, or more than
    /// [`SOCKET_TURN_BYTES_MAX`](crate::limits::SOCKET_TURN_BYTES_MAX) bytes: the turn fails with it, whatever it returns.
    pub fn send(&self, socket: Socket, message: impl Into<Message>) -> Result<(), Error> {
        self.send_to(vec![socket.0], message.into())
    }

    /// Sends a message to all sockets with this tag.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_tagged(&self, tag: &str, message: impl Into<Message>) -> Result<(), Error> {
        self.send_each(self.tagged(tag), message)
    }

    /// Sends a message to all sockets.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_all(&self, message: impl Into<Message>) -> Result<(), Error> {
        self.send_each(self.all(), message)
    }

    /// Sends a message to each of these sockets.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_each(
        &self,
        sockets: impl IntoIterator<Item = Socket>,
        message: impl Into<Message>,
    ) -> Result<(), Error> {
        self.send_to(sockets.into_iter().map(|socket| socket.0).collect(), message.into())
    }

    /// Closes a socket, after what was sent to it before.
    pub fn close(&self, socket: Socket, close: Close) {
        self.note_small(Deed::Close(socket.0, close.sent()));
    }

    /// The socket's tags.
    pub fn tags(&self, socket: Socket) -> Vec<String> {
        self.card(socket, |card| card.tags.clone()).unwrap_or_default()
    }

    /// Gives a socket a tag that it is found by, here and in later turns. It stays while the socket is open.
    ///
    /// # Errors
    /// `socket.tag_invalid` if it has [`SOCKET_TAGS_MAX`](crate::limits::SOCKET_TAGS_MAX) already, or the tag has more than
    /// [`SOCKET_TAG_BYTES_MAX`](crate::limits::SOCKET_TAG_BYTES_MAX) bytes.
    pub fn tag(&self, socket: Socket, tag: &str) -> Result<(), Error> {
        if tag.len() > SOCKET_TAG_BYTES_MAX {
            return Err(Code::SocketTagInvalid.error(format!(
                "a tag has {} bytes, the limit is {SOCKET_TAG_BYTES_MAX}; take a shorter one",
                tag.len()
            )));
        }
        let known = self.card(socket, |card| (card.has(tag), card.tags.len()));
        let Some((false, count)) = known else { return Ok(()) };
        if count >= SOCKET_TAGS_MAX {
            return Err(Code::SocketTagInvalid.error(format!(
                "a socket would have more than {SOCKET_TAGS_MAX} tags; take one away before"
            )));
        }
        self.note(Deed::Card(socket.0, CardDeed::Tag(tag.into())), tag.len())
    }

    /// Takes a tag away.
    pub fn untag(&self, socket: Socket, tag: &str) {
        self.note_small(Deed::Card(socket.0, CardDeed::Untag(tag.into())));
    }

    /// Keeps a value with a socket, as long as it is open, whether its object is in memory or not.
    ///
    /// # Errors
    /// `socket.attachment_too_large` if it has more than
    /// [`SOCKET_ATTACHMENT_BYTES_MAX`](crate::limits::SOCKET_ATTACHMENT_BYTES_MAX) bytes; `call.unencodable`.
    pub fn attach<T: Serialize>(&self, socket: Socket, value: &T) -> Result<(), Error> {
        let bytes = postcard::to_allocvec(value).map_err(|error| {
            let text = format!("an attachment cannot be encoded: {error}; mend its `Serialize`");
            Code::CallUnencodable.error(text)
        })?;
        if bytes.len() > SOCKET_ATTACHMENT_BYTES_MAX {
            return Err(Code::SocketAttachmentTooLarge.error(format!(
                "an attachment has {} bytes, the limit is {SOCKET_ATTACHMENT_BYTES_MAX}; keep it in the object",
                bytes.len()
            )));
        }
        let count = bytes.len();
        self.note(Deed::Card(socket.0, CardDeed::Attach(Some(bytes))), count)
    }

    /// Takes the value away that is kept with a socket.
    pub fn detach(&self, socket: Socket) {
        self.note_small(Deed::Card(socket.0, CardDeed::Attach(None)));
    }

    /// The value that is kept with a socket. `None`: there is none.
    ///
    /// # Errors
    /// `call.undecodable` if it is of another type.
    pub fn attachment<T: DeserializeOwned>(&self, socket: Socket) -> Result<Option<T>, Error> {
        // Decoding is the user's code, which nobody else is to wait for.
        let bytes = self.card(socket, |card| card.attachment.clone()).flatten();
        let decoded = bytes.map(|bytes| postcard::from_bytes(&bytes));
        decoded.transpose().map_err(|error| {
            Code::CallUndecodable.error(format!(
                "what is attached to {socket} is of another type: {error}; ask for the type that was attached"
            ))
        })
    }

    /// Answers a text of a socket's other end without the object, exactly this one, such as `ping`. `None`: the object hears all.
    ///
    /// # Errors
    /// `socket.too_large` if one of them has more than
    /// [`SOCKET_RESPONSE_BYTES_MAX`](crate::limits::SOCKET_RESPONSE_BYTES_MAX) bytes.
    pub fn auto_respond(&self, socket: Socket, pair: Option<(&str, &str)>) -> Result<(), Error> {
        if let Some((request, response)) = pair {
            let bytes = request.len().max(response.len());
            if bytes > SOCKET_RESPONSE_BYTES_MAX {
                return Err(Code::SocketTooLarge.error(format!(
                    "what is answered by itself, or to what, has {bytes} bytes, the limit is {SOCKET_RESPONSE_BYTES_MAX}; \
                     let the object answer it"
                )));
            }
        }
        let pair = pair.map(|(request, response)| (request.to_owned(), response.to_owned()));
        let bytes = pair.as_ref().map_or(0, |(request, response)| request.len() + response.len());
        self.note(Deed::Card(socket.0, CardDeed::Respond(pair)), bytes)
    }

    /// Says in `#[on_connect]` which of the protocols is spoken that the request has offered in `Sec-WebSocket-Protocol`.
    pub fn speak(&self, socket: Socket, protocol: &str) {
        self.note_small(Deed::Card(socket.0, CardDeed::Speak(protocol.into())));
    }

    fn listed(&self, is_wanted: impl Fn(&Card) -> bool) -> Vec<Socket> {
        self.find(is_wanted, |found| found.map(Socket).collect())
    }

    /// What `take` makes of those that are open and wanted.
    fn find<T: Default>(
        &self,
        is_wanted: impl Fn(&Card) -> bool,
        take: impl FnOnce(&mut dyn Iterator<Item = u64>) -> T,
    ) -> T {
        let Some(lobby) = &self.lobby else { return T::default() };
        let desk = self.desk.0.lock();
        lobby.with(|sockets| {
            let mut found = sockets.open().filter(|socket| {
                let card = sockets.card(*socket).expect("it is open");
                let card = with_deeds(card, *socket, &desk.dealt.deeds);
                card.is_listed() && is_wanted(&card)
            });
            take(&mut found)
        })
    }

    /// Looks at what is known of a socket. `None`: it has gone.
    fn card<T>(&self, socket: Socket, look: impl FnOnce(&Card) -> T) -> Option<T> {
        let desk = self.desk.0.lock();
        self.lobby.as_ref()?.with(|sockets| {
            let card = sockets.card(socket.0)?;
            Some(look(&with_deeds(card, socket.0, &desk.dealt.deeds)))
        })
    }

    fn send_to(&self, to: Vec<u64>, message: Message) -> Result<(), Error> {
        message.check()?;
        if to.is_empty() {
            return Ok(());
        }
        let bytes = message.as_bytes().len();
        let whom = to.len() * size_of::<u64>();
        self.note(Deed::Write { to, message, bytes }, bytes + whom)
    }

    fn note_small(&self, deed: Deed<Message>) {
        // If it is too much the turn fails.
        let _ = self.note(deed, 0);
    }

    fn note(&self, deed: Deed<Message>, bytes: usize) -> Result<(), Error> {
        if self.lobby.is_none() {
            return Ok(());
        }
        let mut desk = self.desk.0.lock();
        if desk.bytes + bytes > SOCKET_TURN_BYTES_MAX || desk.dealt.deeds.len() >= SOCKET_TURN_MAX {
            let error = Code::SocketOverloaded.error(format!(
                "a turn does more than {SOCKET_TURN_MAX} things about sockets, or sends them more than {SOCKET_TURN_BYTES_MAX} bytes; \
                 do less in a turn"
            ));
            desk.fault.get_or_insert_with(|| error.clone());
            return Err(error);
        }
        desk.bytes += bytes;
        desk.dealt.deeds.push(deed);
        Ok(())
    }
}

/// A card, as a turn leaves it that has done this.
fn with_deeds<'c>(mut card: Cow<'c, Card>, socket: u64, deeds: &[Deed<Message>]) -> Cow<'c, Card> {
    for deed in deeds.iter().filter(|deed| deed.about() == Some(socket)) {
        card.to_mut().after(deed);
    }
    card
}

impl fmt::Debug for Sockets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
