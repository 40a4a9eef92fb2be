//! The sockets of one object: what is known of each, what waits to be written, and what turns have done about them that is not
//! durable yet.
//!
//! A socket stays when its object leaves memory, so nothing here knows of activations. What a turn does is [held](Sockets::hold)
//! when the turn is kept, and [settled](Sockets::settle) later: then it happens, or it never does, but whatever is said first, it
//! happens in the order of turns. Turns that come meanwhile see it as done.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use crate::limits::{SOCKET_QUEUE_BYTES_MAX, SOCKET_QUEUE_MAX};

/// What an object knows a socket by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Card {
    /// It was let in.
    pub(crate) is_in: bool,
    /// It is to be closed.
    pub(crate) is_leaving: bool,
    /// In the order in which they were given, each once.
    pub(crate) tags: Vec<String>,
    /// Encoded. `None`: nothing is attached.
    pub(crate) attachment: Option<Vec<u8>>,
    /// What is answered to which text without the object. `None`: nothing is.
    pub(crate) response: Option<(String, String)>,
    /// Which of the protocols that were offered is spoken. `None`: none was chosen.
    pub(crate) protocol: Option<String>,
}

/// What a turn does to a card.
#[derive(Clone, Debug)]
pub(crate) enum CardDeed {
    LetIn,
    Tag(String),
    Untag(String),
    Attach(Option<Vec<u8>>),
    Respond(Option<(String, String)>),
    Speak(String),
}

impl Card {
    fn apply(&mut self, deed: &CardDeed) {
        match deed {
            CardDeed::LetIn => self.is_in = true,
            CardDeed::Tag(tag) => {
                if !self.has(tag) {
                    self.tags.push(tag.clone());
                }
            }
            CardDeed::Untag(tag) => self.tags.retain(|one| one != tag),
            CardDeed::Attach(bytes) => self.attachment.clone_from(bytes),
            CardDeed::Respond(pair) => self.response.clone_from(pair),
            CardDeed::Speak(protocol) => self.protocol = Some(protocol.clone()),
        }
    }

    /// Whether turns see it among the object's sockets.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_in && !self.is_leaving
    }

    /// As a turn leaves it that has done this about a socket.
    pub(crate) fn after<M>(&mut self, deed: &Deed<M>) {
        match deed {
            Deed::Card(_, deed) => self.apply(deed),
            Deed::Close(..) => self.is_leaving = true,
            Deed::Write { .. } => {}
        }
    }

    pub(crate) fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| one == tag)
    }
}

/// Something that a turn does about sockets. `M`: a message.
#[derive(Clone, Debug)]
pub(crate) enum Deed<M> {
    Card(u64, CardDeed),
    Write { to: Vec<u64>, message: M, bytes: usize },
    Close(u64, Closing),
}

impl<M> Deed<M> {
    /// The one socket that it is about. `None`: it is a message.
    pub(crate) fn about(&self) -> Option<u64> {
        match self {
            Deed::Card(socket, _) | Deed::Close(socket, _) => Some(*socket),
            Deed::Write { .. } => None,
        }
    }
}

/// How a socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// What is to be written next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out<M> {
    Message(M),
    /// The last thing.
    Close(Closing),
    /// Nothing more: its other end takes too little of what it is sent.
    Cut,
}

/// What becomes of a socket that takes nothing at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is waited for.
    Open,
    /// It is about to be closed.
    Closing,
    /// It is given up.
    Cut,
}

/// How far a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Messages come and go, as soon as it was let in.
    Open,
    /// Whatever waits is written, then it is closed. Nothing that comes counts.
    Closing,
    /// Its other end is gone. It is known until its object has heard of that.
    Ended,
}

struct One<M> {
    card: Card,
    /// How many deeds that are held are about it.
    held: usize,
    stage: Stage,
    queue: VecDeque<(Out<M>, usize)>,
    queued_bytes: usize,
}

struct Held<M> {
    ticket: u64,
    deeds: Vec<Deed<M>>,
    /// Whether it is to happen. `None`: it is not known yet.
    is_durable: Option<bool>,
}

/// The sockets of an object. `M`: a message.
pub(crate) struct Sockets<M> {
    all: BTreeMap<u64, One<M>>,
    /// In the order of turns.
    held: VecDeque<Held<M>>,
    next: u64,
}

impl<M: Clone> Sockets<M> {
    pub(crate) fn new() -> Self {
        Sockets { all: BTreeMap::new(), held: VecDeque::new(), next: 0 }
    }

    /// How many there are, whether they were let in or not.
    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// A socket has come. Its object does not see it until it is let in.
    pub(crate) fn come(&mut self, socket: u64) {
        let one = One {
            card: Card::default(),
            held: 0,
            stage: Stage::Open,
            queue: VecDeque::new(),
            queued_bytes: 0,
        };
        let before = self.all.insert(socket, one);
        assert!(before.is_none(), "a socket comes once");
    }

    /// Those that messages come from and go to once they were let in, the one that came first first.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> + '_ {
        let open = self.all.iter().filter(|(_, one)| one.stage == Stage::Open);
        open.map(|(socket, _)| *socket)
    }

    /// What is known of a socket, as turns see it. `None`: it is gone.
    pub(crate) fn card(&self, socket: u64) -> Option<Cow<'_, Card>> {
        let one = self.all.get(&socket)?;
        if one.held == 0 {
            return Some(Cow::Borrowed(&one.card));
        }
        let mut card = one.card.clone();
        let live = self.held.iter().filter(|held| held.is_durable != Some(false));
        let deeds = live.flat_map(|held| &held.deeds);
        deeds.filter(|deed| deed.about() == Some(socket)).for_each(|deed| card.after(deed));
        Some(Cow::Owned(card))
    }

    /// A turn is kept that has done this. Gives what it is settled by.
    pub(crate) fn hold(&mut self, deeds: Vec<Deed<M>>) -> u64 {
        self.next += 1;
        for socket in deeds.iter().filter_map(Deed::about) {
            if let Some(one) = self.all.get_mut(&socket) {
                one.held += 1;
            }
        }
        self.held.push_back(Held { ticket: self.next, deeds, is_durable: None });
        self.next
    }

    /// What was held is durable and happens as soon as all that was held before it is settled, or is lost and never does. Gives those for
    /// whom there is something to be written; each may stand there more than once.
    pub(crate) fn settle(&mut self, ticket: u64, is_durable: bool) -> Vec<u64> {
        let Some(held) = self.held.iter_mut().find(|held| held.ticket == ticket) else {
            return Vec::new();
        };
        held.is_durable.get_or_insert(is_durable);
        let mut poked = Vec::new();
        while let Some(is_durable) = self.held.front().and_then(|held| held.is_durable) {
            let held = self.held.pop_front().expect("it is there");
            for deed in held.deeds {
                self.settle_one(deed, is_durable, &mut poked);
            }
        }
        poked
    }

    fn settle_one(&mut self, deed: Deed<M>, is_durable: bool, poked: &mut Vec<u64>) {
        if let Some(socket) = deed.about()
            && let Some(one) = self.all.get_mut(&socket)
        {
            one.held -= 1;
            if let Deed::Card(_, deed) = &deed
                && is_durable
            {
                one.card.apply(deed);
            }
        }
        match deed {
            Deed::Write { to, message, bytes } if is_durable => {
                poked.extend(to.into_iter().filter(|socket| self.write(*socket, &message, bytes)));
            }
            Deed::Close(socket, closing) if is_durable => {
                poked.extend(self.close(socket, closing).then_some(socket));
            }
            Deed::Card(..) | Deed::Write { .. } | Deed::Close(..) => {}
        }
    }

    /// Gives whether there is something to be written that was not there.
    fn write(&mut self, socket: u64, message: &M, bytes: usize) -> bool {
        let Some(one) = self.all.get_mut(&socket) else { return false };
        if one.stage != Stage::Open || !one.card.is_in {
            return false;
        }
        let is_full = one.queue.len() >= SOCKET_QUEUE_MAX
            || one.queued_bytes.saturating_add(bytes) > SOCKET_QUEUE_BYTES_MAX;
        if is_full {
            one.stage = Stage::Closing;
            one.queue.clear();
            one.queued_bytes = 0;
            one.queue.push_back((Out::Cut, 0));
        } else {
            one.queued_bytes += bytes;
            one.queue.push_back((Out::Message(message.clone()), bytes));
        }
        true
    }

    /// Closes a socket when what waits for it is written. Gives whether there was one to close.
    fn close(&mut self, socket: u64, closing: Closing) -> bool {
        let Some(one) = self.all.get_mut(&socket) else { return false };
        if one.stage != Stage::Open {
            return false;
        }
        one.stage = Stage::Closing;
        one.queue.push_back((Out::Close(closing), 0));
        true
    }

    /// Whether what waits for a socket is to be written, and how far it is otherwise.
    pub(crate) fn fate(&self, socket: u64) -> Fate {
        match self.all.get(&socket) {
            Some(one) if matches!(one.queue.front(), Some((Out::Cut, _))) => Fate::Cut,
            Some(one) if one.stage == Stage::Open => Fate::Open,
            _ => Fate::Closing,
        }
    }

    /// Takes what is to be written next.
    pub(crate) fn next_out(&mut self, socket: u64) -> Option<Out<M>> {
        let one = self.all.get_mut(&socket)?;
        let (out, bytes) = one.queue.pop_front()?;
        one.queued_bytes -= bytes;
        if one.queue.is_empty() {
            // Most sockets are silent most of the time.
            one.queue = VecDeque::new();
        }
        Some(out)
    }

    /// A message of its other end has come. Gives whether the object is to hear it.
    pub(crate) fn hears(&self, socket: u64) -> bool {
        self.all.get(&socket).is_some_and(|one| one.stage == Stage::Open)
    }

    /// What is answered to a text without the object. `None`: the object is to hear it.
    pub(crate) fn response(&self, socket: u64, text: &str) -> Option<&str> {
        let one = self.all.get(&socket).filter(|one| one.stage == Stage::Open)?;
        let (request, response) = one.card.response.as_ref()?;
        (request == text).then_some(response)
    }

    /// Its other end is gone. Gives whether the object is to hear of it: once, and only of one that it has let in, be
    /// that durable or not.
    pub(crate) fn end(&mut self, socket: u64) -> bool {
        let is_in = self.card(socket).is_some_and(|card| card.is_in);
        let Some(one) = self.all.get_mut(&socket) else { return false };
        if one.stage == Stage::Ended {
            return false;
        }
        one.stage = Stage::Ended;
        one.queue = VecDeque::new();
        one.queued_bytes = 0;
        is_in
    }

    /// Nothing of it is known any more.
    pub(crate) fn forget(&mut self, socket: u64) {
        self.all.remove(&socket);
    }

    /// All of them, whatever they are about to do.
    pub(crate) fn all(&self) -> impl Iterator<Item = u64> + '_ {
        self.all.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(to: &[u64], message: &'static str) -> Deed<&'static str> {
        Deed::Write { to: to.to_vec(), message, bytes: message.len() }
    }

    fn closing(code: u16) -> Closing {
        Closing { code, reason: "".into() }
    }

    /// An object with two sockets that were let in.
    fn two() -> Sockets<&'static str> {
        let mut sockets = Sockets::new();
        for socket in [1, 2] {
            sockets.come(socket);
            let ticket = sockets.hold(vec![Deed::Card(socket, CardDeed::LetIn)]);
            sockets.settle(ticket, true);
        }
        sockets
    }

    fn outs(sockets: &mut Sockets<&'static str>, socket: u64) -> Vec<Out<&'static str>> {
        std::iter::from_fn(|| sockets.next_out(socket)).collect()
    }

    #[test]
    fn nothing_is_written_before_it_is_durable_and_nothing_that_is_lost() {
        let mut sockets = two();
        let first = sockets.hold(vec![write(&[1, 2], "a")]);
        let second = sockets.hold(vec![write(&[1], "b")]);
        assert_eq!(outs(&mut sockets, 1), []);
        assert_eq!(sockets.settle(first, true), [1, 2]);
        assert_eq!(outs(&mut sockets, 1), [Out::Message("a")]);
        assert!(sockets.settle(second, false).is_empty());
        assert_eq!(outs(&mut sockets, 1), []);
        assert_eq!(outs(&mut sockets, 2), [Out::Message("a")]);
        assert!(sockets.settle(second, true).is_empty(), "it is settled once");
    }

    /// Whether turns see it among the object's sockets.
    fn is_listed(sockets: &Sockets<&str>, socket: u64) -> bool {
        sockets.open().any(|one| one == socket)
            && sockets.card(socket).is_some_and(|card| card.is_listed())
    }

    #[test]
    fn what_turns_have_done_happens_in_their_order_whatever_is_durable_first() {
        let mut sockets = two();
        let first = sockets.hold(vec![write(&[1], "a")]);
        let second = sockets.hold(vec![write(&[1], "b")]);
        let third = sockets.hold(vec![Deed::Close(1, closing(4_000))]);
        assert!(sockets.settle(third, true).is_empty());
        assert!(!is_listed(&sockets, 1), "turns see that it is about to be closed");
        assert!(sockets.settle(second, true).is_empty());
        assert_eq!(sockets.settle(first, true), [1, 1, 1]);
        let closed = Out::Close(closing(4_000));
        assert_eq!(outs(&mut sockets, 1), [Out::Message("a"), Out::Message("b"), closed]);
    }

    #[test]
    fn a_socket_is_seen_from_the_turn_on_that_lets_it_in_unless_that_is_lost() {
        let mut sockets = Sockets::<&str>::new();
        sockets.come(7);
        assert!(!is_listed(&sockets, 7));
        let ticket = sockets.hold(vec![Deed::Card(7, CardDeed::LetIn), write(&[7], "hello")]);
        assert!(is_listed(&sockets, 7));
        assert!(!sockets.all[&7].card.is_in);
        sockets.settle(ticket, false);
        assert!(!is_listed(&sockets, 7));
        assert!(!sockets.end(7), "the object has never seen it");
    }

    #[test]
    fn cards_are_seen_as_turns_leave_them_and_fall_back_if_those_are_lost() {
        let mut sockets = two();
        let tag = |tag: &str| Deed::Card(1, CardDeed::Tag(tag.into()));
        let attach = |bytes: &[u8]| Deed::Card(1, CardDeed::Attach(Some(bytes.to_vec())));
        let first = sockets.hold(vec![tag("a"), tag("b"), tag("a"), attach(&[1])]);
        let second = sockets.hold(vec![Deed::Card(1, CardDeed::Untag("a".into())), attach(&[2])]);
        let tags = |sockets: &Sockets<&str>| sockets.card(1).expect("it is there").tags.join(" ");
        assert_eq!(tags(&sockets), "b");
        sockets.settle(second, false);
        assert_eq!(tags(&sockets), "a b");
        assert_eq!(sockets.card(1).expect("it is there").attachment.as_deref(), Some(&[1][..]));
        sockets.settle(first, true);
        assert_eq!(tags(&sockets), "a b");
        assert!(matches!(sockets.card(1), Some(Cow::Borrowed(_))), "nothing about it is held");
    }

    #[test]
    fn what_is_closed_gets_what_was_written_before_and_nothing_after() {
        let mut sockets = two();
        let deeds = vec![write(&[1], "a"), Deed::Close(1, closing(4_000)), write(&[1], "b")];
        let ticket = sockets.hold(deeds);
        sockets.settle(ticket, true);
        assert!(!is_listed(&sockets, 1) && !sockets.hears(1));
        let again = sockets.hold(vec![Deed::Close(1, closing(1_001))]);
        assert!(sockets.settle(again, true).is_empty(), "it is closed once");
        assert_eq!(outs(&mut sockets, 1), [Out::Message("a"), Out::Close(closing(4_000))]);
        assert!(sockets.end(1));
        assert!(!sockets.end(1), "an object hears of an end once");
        assert!(sockets.card(1).is_some(), "it is known until its object has heard of it");
        sockets.forget(1);
        assert!(sockets.card(1).is_none());
        assert_eq!(sockets.count(), 1);
    }

    #[test]
    fn one_that_takes_too_little_is_cut() {
        let mut sockets = two();
        for _ in 0..=SOCKET_QUEUE_MAX {
            let ticket = sockets.hold(vec![write(&[1, 2], "a")]);
            sockets.settle(ticket, true);
            assert_eq!(sockets.next_out(2), Some(Out::Message("a")));
        }
        assert_eq!(outs(&mut sockets, 1), [Out::Cut]);
        let bytes = SOCKET_QUEUE_BYTES_MAX + 1;
        let ticket = sockets.hold(vec![Deed::Write { to: vec![2], message: "long", bytes }]);
        sockets.settle(ticket, true);
        assert_eq!(outs(&mut sockets, 2), [Out::Cut]);
    }

    #[test]
    fn only_exactly_the_text_is_answered_and_only_when_that_is_durable() {
        let mut sockets = two();
        let pair = ("ping".to_owned(), "pong".to_owned());
        let ticket = sockets.hold(vec![Deed::Card(1, CardDeed::Respond(Some(pair)))]);
        assert!(sockets.response(1, "ping").is_none());
        sockets.settle(ticket, true);
        assert_eq!(sockets.response(1, "ping"), Some("pong"));
        assert!(sockets.response(1, "ping ").is_none() && sockets.response(2, "ping").is_none());
    }
}
