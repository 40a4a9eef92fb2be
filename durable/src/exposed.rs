//! Classes that callers outside of Rust may reach: their methods by name, arguments by the names of the parameters, all as values
//! of any format that serde knows. It knows nothing of HTTP.

mod arguments;
#[cfg(feature = "http")]
mod fetch;
#[cfg(feature = "http")]
mod json;
#[cfg(feature = "http")]
mod query;
mod reply;
mod shape;
#[cfg(feature = "http")]
mod sockets;

use serde::{Deserializer, Serialize, Serializer};

pub use self::arguments::{Arguments, decode_arguments};
#[cfg(feature = "http")]
pub use self::fetch::{Fetch, Fetched, Request, Response};
#[cfg(feature = "openapi")]
pub(crate) use self::json::DescribedMethod;
#[cfg(feature = "http")]
pub(crate) use self::json::{Answer, Args, Asked, Door, Items, Open, Wishing};
#[cfg(feature = "http")]
pub(crate) use self::query::unescape;
pub use self::reply::{Answered, NamedReply, ReplyParts};
pub use self::shape::{MethodShape, Shape, ShapeOf, Unshaped};
#[cfg(feature = "http")]
pub use self::sockets::{Connected, Handled, OnClose, OnConnect, OnError, OnMessage};
use crate::item_stream::ItemStream;
use crate::object::Object;

/// A class that has opted in, by `#[durable_object(http)]`. Implemented by the macro, never by hand.
pub trait Exposed: Object {
    /// Those of its methods that can be called, in source order.
    const METHODS: &'static [ExposedMethod];
    /// What each of them takes and gives.
    const SHAPES: &'static [MethodShape];
    /// The one that takes whole requests. `None`: there is none.
    #[cfg(feature = "http")]
    const FETCH: Option<Fetch<Self>> = None;
    /// The one that is asked whether a socket comes in. `None`: whoever comes does, if messages are taken.
    #[cfg(feature = "http")]
    const ON_CONNECT: Option<OnConnect<Self>> = None;
    /// The one that takes messages of sockets. `None`: none are.
    #[cfg(feature = "http")]
    const ON_MESSAGE: Option<OnMessage<Self>> = None;
    /// The one that hears that a socket has ended. `None`: there is none.
    #[cfg(feature = "http")]
    const ON_CLOSE: Option<OnClose<Self>> = None;
    /// The one that hears what is wrong with a socket. `None`: there is none.
    #[cfg(feature = "http")]
    const ON_ERROR: Option<OnError<Self>> = None;

    /// The call of one of them, from a map of its arguments.
    ///
    /// # Errors
    /// The format's own, and for an argument that is missing, unknown, given twice or wrong one that names it.
    fn decode_named<'de, D: Deserializer<'de>>(
        method: &str,
        args: D,
    ) -> Result<Self::Call, D::Error>;

    /// What one of them has returned.
    ///
    /// # Errors
    /// The format's own.
    fn encode_named<S: Serializer>(
        reply: &Self::Reply,
        serializer: S,
    ) -> Result<Answered<S::Ok>, S::Error>;

    /// What `feed` makes of the stream that one of them has returned.
    ///
    /// # Errors
    /// The reply, if it is no stream.
    fn feed_named<F: Feed>(reply: Self::Reply, feed: F) -> Result<F::Out, Self::Reply>;
}

/// Takes the items of a stream of whatever type.
pub trait Feed {
    /// What it makes of them.
    type Out;

    /// Makes it.
    fn feed<T: Serialize + Send + 'static>(self, items: ItemStream<T>) -> Self::Out;
}

/// Is let into a class that has opted in, by [`Object::expose`].
pub trait Exposure<O: Object> {
    /// What it makes of it.
    type Out;

    /// Makes it.
    fn visit(self) -> Self::Out
    where
        O: Exposed;
}

/// A method that callers outside of Rust may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExposedMethod {
    /// Its name on wires.
    pub name: &'static str,
    /// How it is asked for.
    pub verb: Verb,
    /// The names of its parameters.
    pub args: &'static [&'static str],
}

impl ExposedMethod {
    /// `args`: the names of its parameters, in order.
    pub const fn new(name: &'static str, verb: Verb, args: &'static [&'static str]) -> Self {
        ExposedMethod { name, verb, args }
    }
}

/// What an HTTP request for a method says to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Call.
    Post,
}
