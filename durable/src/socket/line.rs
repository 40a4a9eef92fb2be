//! A socket, as whatever brings its messages and takes those of its object has it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::attached::Attached;
use super::{Close, Ending, Lobbies, Lobby, Message, Socket, Wire};
use crate::error::{Code, Error, Outcome};
use crate::exposed::{Request, Response};
use crate::host::{Clock, Host};
use crate::id::ObjectId;
use crate::kernel::sockets::{CardDeed, Deed, Fate, Out};
use crate::limits::SOCKET_END_PAUSES;
use crate::object::{BoxFuture, gone};

/// Brings to an object what happens to a socket.
pub(crate) trait Port: Send + Sync {
    /// Asks whether it may come in. `Err`: what is answered instead. `None`: whoever comes may.
    fn connect(&self, socket: Socket, request: Request) -> Option<Connecting>;

    /// A message has come. `None`: nobody hears it.
    fn message(&self, socket: Socket, message: Message) -> Option<Heard>;

    /// Says that it has ended. `None`: nobody hears of that.
    fn ended(&self, socket: Socket, ending: Ending) -> Option<Told>;
}

/// The object's answer to who wants to come in.
pub(crate) type Connecting = BoxFuture<'static, Result<Result<(), Response>, Error>>;

/// What is over when the object has heard of an end.
pub(crate) type Told = BoxFuture<'static, Result<(), Error>>;

/// What the object makes of a message. `Some`: it refuses it, and closes the socket.
pub(crate) type Heard = BoxFuture<'static, Result<Option<Close>, Error>>;

/// A socket that comes.
pub(crate) struct Joining {
    pub(crate) host: Host,
    pub(crate) object: ObjectId,
    pub(crate) lobbies: Arc<Lobbies>,
    pub(crate) port: Box<dyn Port>,
}

/// Why a socket is not let in.
#[doc(hidden)]
#[derive(Debug)]
pub enum Refused {
    /// The object answers this.
    Answered(Response),
    /// The object could not be asked.
    Failed(Error),
}

/// What is to be written next.
pub(crate) enum Next {
    /// A message.
    Message(Message),
    /// The last thing, and how it ends.
    Close(Close),
    /// Nothing more: it takes too little of what it is sent.
    Cut,
}

/// A socket that was let in. Dropped, its other end is gone, and its object hears of that.
#[doc(hidden)]
pub struct Line {
    host: Host,
    object: ObjectId,
    socket: Socket,
    lobby: Arc<Lobby>,
    lobbies: Arc<Lobbies>,
    /// `None`: its object hears of its end.
    port: Option<Box<dyn Port>>,
}

impl Joining {
    /// A socket that its object does not see yet. Dropped, there was none.
    ///
    /// # Errors
    /// `socket.overloaded`; `runtime.closed`.
    pub(crate) fn come(self) -> Result<Line, Error> {
        let Joining { host, object, lobbies, port } = self;
        let (lobby, socket) = lobbies.come(&host, object)?;
        Ok(Line { host, object, socket, lobby, lobbies, port: Some(port) })
    }

    /// Asks the object. `place`: what it takes up, until the object has answered.
    ///
    /// # Errors
    /// Why it is not let in.
    ///
    /// # Cancel safety
    /// The object is asked all the same, and hears that a socket has gone that it has let in.
    pub(crate) async fn connect(
        self,
        request: Request,
        place: impl Send + 'static,
    ) -> Result<Line, Refused> {
        let line = self.come().map_err(Refused::Failed)?;
        let tasks = Arc::clone(&line.host.tasks);
        let Some(asked) = line.port().connect(line.socket, request) else {
            line.lobby.hold(0, vec![Deed::Card(line.socket.0, CardDeed::LetIn)]).leave();
            return Ok(line);
        };
        let (tell, told) = oneshot::channel();
        tasks.spawn(Box::pin(async move {
            let _place = place;
            let refused = match asked.await {
                // If nobody waits for it any more, its other end is gone.
                Ok(Ok(())) => return drop(tell.send(Ok(line))),
                Ok(Err(response)) => Refused::Answered(response),
                Err(error) => Refused::Failed(error),
            };
            line.turn_away();
            drop(tell.send(Err(refused)));
        }));
        told.await.unwrap_or_else(|_| Err(Refused::Failed(gone())))
    }
}

impl Line {
    /// It was not let in, and nobody hears of its end.
    fn turn_away(mut self) {
        self.port = None;
        self.lobbies.forget(&self.object, self.socket);
    }

    fn port(&self) -> &dyn Port {
        &**self.port.as_ref().expect("it has not ended")
    }

    /// Serves it to its end. `closes` end when whoever serves it takes no more, and when it closes all connections at once.
    pub fn attend(
        self,
        wire: impl Wire,
        closes: Vec<BoxFuture<'static, ()>>,
    ) -> impl Future<Output = ()> + Send {
        Attached::new(wire, self, closes).run()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.host.clock
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Which socket it is.
    pub fn socket(&self) -> Socket {
        self.socket
    }

    /// The protocol that the object has chosen. `None`: none.
    pub fn protocol(&self) -> Option<String> {
        // It was let in, so what its object said of it then is durable.
        self.lobby.with(|sockets| sockets.card(self.socket.0)?.protocol.clone())
    }

    /// A message has come. What it gives ends when the object has had it and what it did is durable; the object has messages in
    /// the order in which these are first polled. `None`: there is nothing to wait for.
    pub(super) fn hear(&self, message: Message) -> Option<BoxFuture<'static, ()>> {
        if !self.lobby.with(|sockets| sockets.hears(self.socket.0)) {
            return None;
        }
        let text = message.as_text();
        let response = text.and_then(|text| {
            self.lobby.with(|all| all.response(self.socket.0, text).map(Message::from))
        });
        if let Some(response) = response {
            let to = vec![self.socket.0];
            let bytes = response.as_bytes().len();
            self.lobby.hold(0, vec![Deed::Write { to, message: response, bytes }]).leave();
            return None;
        }
        let heard = self.port().message(self.socket, message)?;
        let (lobby, socket) = (Arc::clone(&self.lobby), self.socket);
        Some(Box::pin(async move {
            let close = match heard.await {
                Ok(close) => close,
                // The object has failed at it, which costs what the turn did, and no more.
                Err(error) if error.outcome() == Outcome::RolledBack => None,
                Err(error) => Some(Close::new(1013, error.code())),
            };
            if let Some(close) = close {
                lobby.close(socket, close);
            }
        }))
    }

    /// What is to be written next.
    pub(super) fn poll_next(&self, task: &mut Context<'_>) -> Poll<Next> {
        self.lobby.poll_out(self.socket, task).map(|out| match out {
            Out::Message(message) => Next::Message(message),
            Out::Close(closing) => Next::Close(Close::new(closing.code, closing.reason)),
            Out::Cut => Next::Cut,
        })
    }

    /// What becomes of it while it takes nothing.
    pub(super) fn fate(&self, task: &mut Context<'_>) -> Fate {
        self.lobby.fate(self.socket, task)
    }

    /// Closes it when what waits for it is written.
    pub(super) fn close(&self, close: Close) {
        self.lobby.close(self.socket, close);
    }

    /// It has ended; what it gives is over when the object has heard of that.
    pub(super) async fn end(mut self, ending: Ending) {
        if let Some(telling) = self.telling(ending) {
            telling.await;
        }
    }

    /// `None`: nobody is to hear of it.
    fn telling(&mut self, ending: Ending) -> Option<BoxFuture<'static, ()>> {
        let port = self.port.take()?;
        let is_to_hear = self.lobby.with(|sockets| sockets.end(self.socket.0));
        let (object, socket) = (self.object, self.socket);
        let rest = Rest { lobbies: Arc::clone(&self.lobbies), object, socket };
        let told = is_to_hear.then(|| port.ended(socket, ending.clone())).flatten();
        let told = told?;
        let clock = Arc::clone(self.clock());
        Some(Box::pin(async move {
            let rest = rest;
            tell(&*port, &*clock, &rest, &ending, told).await;
        }))
    }
}

/// Tells an object of an end until it has heard of it, or cannot. What may have heard is not told again.
async fn tell(port: &dyn Port, clock: &dyn Clock, rest: &Rest, ending: &Ending, first: Told) {
    let Rest { object, socket, .. } = rest;
    let (mut told, mut pauses) = (first, SOCKET_END_PAUSES.iter());
    loop {
        let Err(error) = told.await else { return };
        tracing::warn!(%object, %socket, %error, "an object has not heard that a socket has ended");
        let Some(pause) = pauses.next().filter(|_| may_hear_later(&error)) else { return };
        clock.sleep_until(clock.now() + error.retry_after().unwrap_or(*pause)).await;
        let Some(again) = port.ended(*socket, ending.clone()) else { return };
        told = again;
    }
}

/// Whether an object that has failed at an end may hear of it later, and has not yet.
fn may_hear_later(error: &Error) -> bool {
    match error.outcome() {
        Outcome::NotStarted => !error.is(Code::RuntimeClosed),
        // What it did was undone, and it would do the same again.
        Outcome::RolledBack => !error.is(Code::CallPanicked),
        Outcome::Committed | Outcome::Unknown => false,
    }
}

/// What is left of a socket that has ended, until its object has heard of that.
struct Rest {
    lobbies: Arc<Lobbies>,
    object: ObjectId,
    socket: Socket,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.lobbies.forget(&self.object, self.socket);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(telling) = self.telling(Ending::gone()) {
            self.host.tasks.spawn(telling);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, socket) = (self.object, self.socket);
        f.debug_struct("Line")
            .field("object", &object)
            .field("socket", &socket)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::socket::lobby::Numbers;

    /// An object that fails at what it hears, and how often it was told.
    struct Deaf(Mutex<(VecDeque<Error>, usize)>);

    impl Port for Deaf {
        fn connect(&self, _: Socket, _: Request) -> Option<Connecting> {
            None
        }

        fn message(&self, _: Socket, _: Message) -> Option<Heard> {
            None
        }

        fn ended(&self, _: Socket, _: Ending) -> Option<Told> {
            let mut deaf = self.0.lock();
            deaf.1 += 1;
            let error = deaf.0.pop_front();
            Some(Box::pin(async move { error.map_or(Ok(()), Err) }))
        }
    }

    /// Tells an object of an end that fails at it like this. Gives how often it was told, and how long that took.
    async fn told(errors: Vec<Error>) -> (usize, Duration) {
        let deaf = Deaf(Mutex::new((errors.into(), 0)));
        let clock = Host::os().clock;
        let lobbies = Arc::new(Lobbies::new(Numbers::new()));
        let object = ObjectId::from_bytes([7; 32]);
        let rest = Rest { lobbies, object, socket: Socket(1) };
        let begun = clock.now();
        let first = deaf.ended(rest.socket, Ending::gone()).expect("it hears");
        tell(&deaf, &*clock, &rest, &Ending::gone(), first).await;
        let (_, count) = deaf.0.into_inner();
        (count, clock.now() - begun)
    }

    fn busy() -> Error {
        Code::ObjectOverloaded.error("on purpose")
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_is_told_of_an_end_until_it_has_heard() {
        assert_eq!(told(vec![]).await, (1, Duration::ZERO));
        assert_eq!(told(vec![busy(); 2]).await.0, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_once_more_than_there_are_pauses_and_then_nobody_waits() {
        let all: Duration = SOCKET_END_PAUSES.iter().sum();
        let (count, time) = told(vec![busy(); 20]).await;
        assert_eq!(count, SOCKET_END_PAUSES.len() + 1);
        let tick = Duration::from_millis(10);
        assert!(time >= all && time < all + tick, "it took {time:?} instead of {all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_may_have_heard_is_not_told_again() {
        for code in [Code::CallPanicked, Code::RuntimeClosed, Code::StorageSyncFailed] {
            assert_eq!(told(vec![code.error("on purpose"); 3]).await.0, 1, "{code:?}");
        }
    }
}
