//! The methods of a class that hear of sockets.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use super::{Exposed, ExposedMethod, Request, Response, Verb};
use crate::caller::Who;
use crate::class::Durability;
use crate::directory::Group;
use crate::error::Error;
use crate::id::ObjectId;
use crate::limits::HTTP_TIMEOUT;
use crate::metadata::Metadata;
use crate::object::{BoxFuture, Context, Object};
use crate::socket::{
    Close, Closed, Connecting, Dial, Ending, Heard, Joining, Message, Port, Socket, SocketError,
    Told,
};
use crate::stub::{Address, Call};

/// What a method with `#[on_connect]` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether a socket comes in",
    label = "not what a method with `#[on_connect]` returns",
    note = "return nothing, or `Result<(), Response>`, whose `Err` is answered instead and undoes the turn"
)]
pub trait Connected {
    /// `Err`: what is answered instead.
    fn into_result(self) -> Result<(), Response>;
}

impl Connected for () {
    fn into_result(self) -> Result<(), Response> {
        Ok(())
    }
}

impl Connected for Result<(), Response> {
    fn into_result(self) -> Result<(), Response> {
        self
    }
}

/// What a method with `#[on_message]` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether a message is taken",
    label = "not what a method with `#[on_message]` returns",
    note = "return nothing, or `Result<(), Close>`, whose `Err` closes the socket and undoes the turn"
)]
pub trait Handled {
    /// `Some`: the socket is closed.
    fn into_close(self) -> Option<Close>;
}

impl Handled for () {
    fn into_close(self) -> Option<Close> {
        None
    }
}

impl Handled for Result<(), Close> {
    fn into_close(self) -> Option<Close> {
        self.err()
    }
}

/// What a method's reply says. `Err`: it is another method's.
pub(crate) type Said<O, T> = fn(<O as Object>::Reply) -> Result<T, <O as Object>::Reply>;

/// The method that is asked whether a socket comes in. Made by the macro.
#[derive(Debug)]
pub struct OnConnect<O: Object> {
    pub(super) method: ExposedMethod,
    pub(super) call: fn(Socket, Request) -> O::Call,
    pub(super) answer: Said<O, Result<(), Response>>,
}

/// The method that takes messages. Made by the macro.
#[derive(Debug)]
pub struct OnMessage<O: Object> {
    pub(super) method: ExposedMethod,
    pub(super) call: fn(Socket, Message) -> O::Call,
    pub(super) answer: Said<O, Option<Close>>,
}

/// The method that hears that a socket has ended. Made by the macro.
#[derive(Debug)]
pub struct OnClose<O: Object>(pub(super) fn(Socket, Closed) -> O::Call);

/// The method that hears what is wrong with a socket. Made by the macro.
#[derive(Debug)]
pub struct OnError<O: Object>(pub(super) fn(Socket, SocketError) -> O::Call);

impl<O: Object> OnConnect<O> {
    /// `name`: the method's, on wires.
    pub const fn new(
        name: &'static str,
        call: fn(Socket, Request) -> O::Call,
        answer: Said<O, Result<(), Response>>,
    ) -> Self {
        OnConnect { method: ExposedMethod::new(name, Verb::Post, &[]), call, answer }
    }
}

impl<O: Object> OnMessage<O> {
    /// `name`: the method's, on wires.
    pub const fn new(
        name: &'static str,
        call: fn(Socket, Message) -> O::Call,
        answer: Said<O, Option<Close>>,
    ) -> Self {
        OnMessage { method: ExposedMethod::new(name, Verb::Post, &[]), call, answer }
    }
}

impl<O: Object> OnClose<O> {
    /// The message of the method.
    pub const fn new(call: fn(Socket, Closed) -> O::Call) -> Self {
        OnClose(call)
    }
}

impl<O: Object> OnError<O> {
    /// The message of the method.
    pub const fn new(call: fn(Socket, SocketError) -> O::Call) -> Self {
        OnError(call)
    }
}

/// The method that whoever lets sockets pass is asked about. `None`: the class takes no sockets.
pub(super) fn entrance<O: Exposed>() -> Option<&'static ExposedMethod> {
    let connect = const { &O::ON_CONNECT }.as_ref().map(|on| &on.method);
    connect.or_else(|| const { &O::ON_MESSAGE }.as_ref().map(|on| &on.method))
}

/// A socket comes to an object.
///
/// # Errors
/// Those of finding out who it is.
pub(super) fn join<O: Exposed>(
    group: &Arc<Group<O>>,
    who: Who,
    metadata: Metadata,
    timeout: Duration,
) -> Result<Joining, Error> {
    let object = group.id_of(&who)?;
    let address = || group.address_of(who.clone());
    let way = Way { address: address()?, last: address()?.within_service(), metadata, timeout };
    Ok(way.joining(group, object))
}

impl<O: Exposed> Context<'_, O> {
    /// Opens a socket to a server elsewhere, when everything is durable that the turn did or may have seen, and never if the turn
    /// is undone. It is one of the object's [`sockets`](Context::sockets) from here on: it can be tagged at once, what is sent to it waits
    /// until it is open, and it stays open while the object is not in memory. What comes over it is heard by `#[on_message]`, and its end,
    /// also if it could not be opened, by `#[on_error]` or `#[on_close]`.
    ///
    /// No socket survives the process, and nobody opens it anew: let a schedule look whether it is there.
    ///
    /// ```
    /// use durable::prelude::*;
    /// use durable::socket::{Closed, Dial, Message, Socket};
    ///
    /// #[derive(Default, DurableState)]
    /// struct Prices { url: String, newest: Option<String> }
    ///
    /// #[durable_object(name = "doc.Prices", http)]
    /// impl Prices {
    ///     pub fn watch(&mut self, cx: &mut Context<'_, Self>, url: String) -> Result<(), Error> {
    ///         self.url = url;
    ///         self.dial(cx)
    ///     }
    ///
    ///     #[on_message]
    ///     fn hear(&mut self, _from: Socket, message: Message) {
    ///         self.newest = message.as_text().map(str::to_owned);
    ///     }
    ///
    ///     #[on_close]
    ///     fn lose(&mut self, cx: &mut Context<'_, Self>, _socket: Socket, _closed: Closed) {
    ///         cx.alarm().set_after(std::time::Duration::from_secs(5));
    ///     }
    ///
    ///     #[alarm]
    ///     fn again(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
    ///         self.dial(cx)
    ///     }
    /// }
    ///
    /// impl Prices {
    ///     fn dial(&self, cx: &Context<'_, Self>) -> Result<(), Error> {
    ///         let socket = cx.dial(Dial::to(&self.url))?;
    ///         cx.sockets().send(socket, "prices, please")
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// `config.invalid` if the URL or a header is none; `socket.overloaded`; `runtime.closed`.
    pub fn dial(&self, dial: Dial) -> Result<Socket, Error> {
        self.open_line(dial, |slot, metadata| {
            let last = slot.address().within_service();
            let way = Way { address: slot.address(), last, metadata, timeout: HTTP_TIMEOUT };
            way.joining(slot.group(), slot.id())
        })
    }
}

/// The way of what happens to a socket to its object.
struct Way<O: Object> {
    address: Address<O>,
    /// The way of its end, which a runtime that is shut down lets in all the same.
    last: Address<O>,
    /// What travels with everything.
    metadata: Metadata,
    timeout: Duration,
}

impl<O: Exposed> Way<O> {
    fn joining(self, group: &Group<O>, object: ObjectId) -> Joining {
        let (host, lobbies) = (group.host().clone(), Arc::clone(group.lobbies()));
        Joining { host, object, lobbies, port: Box::new(self) }
    }

    /// A call whose answer is looked at by `unpack`. It waits for room.
    fn call<T: Send + 'static>(
        &self,
        call: O::Call,
        unpack: fn(O::Reply) -> Option<Result<T, Error>>,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let timeout = O::method(&call).timeout.unwrap_or(self.timeout);
        Box::pin(self.made(self.address.clone(), call, unpack).timeout(timeout).into_future())
    }

    /// Whatever a class says, what leaves by a socket waits for the disk.
    fn made<T: Send + 'static>(
        &self,
        address: Address<O>,
        call: O::Call,
        unpack: fn(O::Reply) -> Option<Result<T, Error>>,
    ) -> Call<O, Result<T, Error>> {
        let call = address.call(call, unpack).carrying(self.metadata.clone());
        call.wants(Durability::Synced).wait_for_capacity()
    }
}

impl<O: Exposed> Port for Way<O> {
    fn connect(&self, socket: Socket, request: Request) -> Option<Connecting> {
        let on = const { &O::ON_CONNECT }.as_ref()?;
        Some(self.call((on.call)(socket, request), |reply| {
            let on = const { &O::ON_CONNECT }.as_ref().expect("it was asked");
            (on.answer)(reply).ok().map(Ok)
        }))
    }

    fn message(&self, socket: Socket, message: Message) -> Option<Heard> {
        let on = const { &O::ON_MESSAGE }.as_ref()?;
        Some(self.call((on.call)(socket, message), |reply| {
            let on = const { &O::ON_MESSAGE }.as_ref().expect("it has heard");
            (on.answer)(reply).ok().map(Ok)
        }))
    }

    /// It has as much time as it takes.
    fn ended(&self, socket: Socket, ending: Ending) -> Option<Told> {
        let (on_close, on_error) = (const { &O::ON_CLOSE }, const { &O::ON_ERROR });
        let call = match (ending, on_error) {
            (Ending::Failed(error), Some(on)) => (on.0)(socket, error),
            (Ending::Failed(error), None) => (on_close.as_ref()?.0)(socket, error.into_closed()),
            (Ending::Closed(closed), _) => (on_close.as_ref()?.0)(socket, closed),
        };
        Some(Box::pin(self.made(self.last.clone(), call, |_| Some(Ok(()))).into_future()))
    }
}
