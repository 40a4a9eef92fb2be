//! The contract between the macro and the runtime: what `#[durable_object]` implements for a class.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use crate::class::{ClassSpec, MethodSpec};
use crate::codec::{DecodeError, EncodeError};
use crate::due::AlarmInfo;
use crate::error::{CallError, Error};
use crate::exposed::Exposure;
use crate::object::{Context, Notice, OldState};
use crate::state::DurableState;
use crate::stub::Stub;

/// A future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A class of virtual objects. Implemented by `#[durable_object]`, never by hand.
///
/// Its four dispatchers take one of the class's messages each: by whether the method may change the object, and
/// whether it may wait. A message that belongs to another dispatcher is a bug of the caller, and panics.
pub trait Object: DurableState + Sized + Send + Sync + 'static {
    /// Name, version, methods, settings.
    const CLASS: ClassSpec;
    /// What its objects are asked for by: [`Name`](crate::Name), or the type that `key = …` names.
    type Key: Display + FromStr + Send + Sync + 'static;
    /// The generated message enum: one variant for each method, with its arguments.
    type Call: Send + 'static;
    /// One variant for each method, with what it returned.
    type Reply: Send + 'static;
    /// The generated stub.
    type Stub: Stub<Self>;

    /// The method that `call` is for.
    fn method(call: &Self::Call) -> &'static MethodSpec;

    /// The arguments of a call, encoded for a path that leaves the process.
    fn encode_call(call: &Self::Call) -> Result<Vec<u8>, EncodeError>;

    /// The call of the method with this name on wires, from what [`encode_call`](Self::encode_call) made.
    fn decode_call(method: &str, bytes: &[u8]) -> Result<Self::Call, DecodeError>;

    /// What a method returned, encoded.
    fn encode_reply(reply: &Self::Reply) -> Result<Vec<u8>, EncodeError>;

    /// The reply of the method with this name on wires.
    fn decode_reply(method: &str, bytes: &[u8]) -> Result<Self::Reply, DecodeError>;

    /// What `visitor` makes of the class if callers outside of Rust may reach it; `None`: they may not.
    fn expose<V: Exposure<Self>>(visitor: V) -> Option<V::Out> {
        let _ = visitor;
        None
    }

    /// The object before its first turn: `#[init]`, or `Default`.
    fn create(cx: &Context<'_, Self>) -> Self;

    /// Brings a state of an older version to this one, by the class's `#[migrate]` functions; `None`: none begins there.
    fn migrate(old: &OldState<'_>) -> Option<Result<Self, Error>> {
        let _ = old;
        None
    }

    /// Runs `#[on_activate]`; `None` if the class has none.
    fn on_activate<'t>(
        &'t mut self,
        cx: &'t mut Context<'_, Self>,
    ) -> Option<BoxFuture<'t, Result<(), String>>> {
        let _ = cx;
        None
    }

    /// Runs `#[alarm]`; `None` if the class has none.
    fn alarm<'t>(
        &'t mut self,
        cx: &'t mut Context<'_, Self>,
        info: AlarmInfo,
    ) -> Option<BoxFuture<'t, Result<(), String>>> {
        let _ = (cx, info);
        None
    }

    /// Runs the hook that a notice is for; `None` if the class has none.
    fn hear<'t>(
        &'t mut self,
        cx: &'t mut Context<'_, Self>,
        notice: Notice,
    ) -> Option<BoxFuture<'t, Result<(), String>>> {
        let _ = (cx, notice);
        None
    }

    /// Runs a `&self` method that does not wait.
    fn read(&self, cx: &Context<'_, Self>, call: Self::Call) -> Ran<Self::Reply> {
        let _ = cx;
        misdirected(Self::method(&call))
    }

    /// Runs a `&self` method that may wait.
    fn read_async<'t>(
        &'t self,
        cx: &'t Context<'_, Self>,
        call: Self::Call,
    ) -> BoxFuture<'t, Ran<Self::Reply>> {
        let _ = cx;
        misdirected(Self::method(&call))
    }

    /// Runs a `&mut self` method that does not wait.
    fn write(&mut self, cx: &mut Context<'_, Self>, call: Self::Call) -> Ran<Self::Reply> {
        let _ = cx;
        misdirected(Self::method(&call))
    }

    /// Runs a `&mut self` method that may wait.
    fn write_async<'t>(
        &'t mut self,
        cx: &'t mut Context<'_, Self>,
        call: Self::Call,
    ) -> BoxFuture<'t, Ran<Self::Reply>> {
        let _ = cx;
        misdirected(Self::method(&call))
    }
}

/// The end of a dispatcher that was given another dispatcher's message.
#[doc(hidden)]
pub fn misdirected(method: &MethodSpec) -> ! {
    panic!("`{}` was sent to a dispatcher of other methods", method.name)
}

/// What a turn came to: the method's value, and whether it rejected the call, so that its changes are undone.
#[derive(Debug)]
pub struct Ran<R> {
    pub(crate) reply: R,
    pub(crate) is_rejected: bool,
}

impl<R> Ran<R> {
    /// `returned`: the method's value; `reply` wraps it as the class's reply.
    #[doc(hidden)]
    pub fn new<const FALLIBLE: bool, T: Returned<FALLIBLE>>(
        returned: T,
        reply: fn(T) -> R,
    ) -> Self {
        let is_rejected = returned.is_rejected();
        Ran { reply: reply(returned), is_rejected }
    }
}

/// What a method's return type means to its callers. `FALLIBLE` is [`Probe::FALLIBLE`], so that an alias of `Result` is
/// known for what it is, whatever its name.
#[doc(hidden)]
pub trait Returned<const FALLIBLE: bool> {
    /// What awaiting the stub's call gives.
    type Outcome: FromError;

    /// Whether the method refused, so that its changes are undone.
    fn is_rejected(&self) -> bool;

    /// The caller's view of the value.
    fn into_outcome(self) -> Self::Outcome;
}

impl<T: Send + 'static> Returned<false> for T {
    type Outcome = Result<T, Error>;

    fn is_rejected(&self) -> bool {
        false
    }

    fn into_outcome(self) -> Self::Outcome {
        Ok(self)
    }
}

impl<T: Send + 'static, E: Send + 'static> Returned<true> for Result<T, E> {
    type Outcome = Result<T, CallError<E>>;

    fn is_rejected(&self) -> bool {
        self.is_err()
    }

    fn into_outcome(self) -> Self::Outcome {
        self.map_err(CallError::Rejected)
    }
}

/// The outcome of a call, as far as the runtime must know it: it can be made from a system error.
#[doc(hidden)]
pub trait FromError: Send + 'static {
    /// The outcome of a call that failed below the method.
    fn from_error(error: Error) -> Self;
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> FromError for Result<T, E> {
    fn from_error(error: Error) -> Self {
        Err(error.into())
    }
}

/// Tells a `Result` from every other type: the inherent constant is found first, and exists only for results.
#[doc(hidden)]
#[derive(Debug)]
pub struct Probe<T>(std::marker::PhantomData<T>);

impl<T, E> Probe<Result<T, E>> {
    /// A result.
    pub const FALLIBLE: bool = true;
}

impl<T> Probe<T> {
    /// What an object without stored state begins as.
    pub fn first() -> T
    where
        T: First,
    {
        T::first()
    }
}

/// How objects of a class without `#[init]` begin: as `Default`. A trait of its own, so that the compiler names both ways.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how its objects begin",
    label = "neither `Default` nor `#[init]`",
    note = "implement or derive `Default` for `{Self}`, or put `#[init]` on a function of the impl: `#[init] fn new() -> Self`"
)]
pub trait First: Sized {
    /// The first value.
    fn first() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default> First for T {
    fn first() -> Self {
        T::default()
    }
}

/// What [`Probe`] falls back to.
#[doc(hidden)]
pub trait Plain {
    /// Not a result.
    const FALLIBLE: bool = false;
}

impl<T> Plain for Probe<T> {}

/// What `#[on_activate]` may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`#[on_activate]` cannot return `{Self}`",
    label = "returns `{Self}`",
    note = "return nothing, or `Result<(), E>` with an error `E` that implements `Display`"
)]
pub trait Activated {
    /// The failure as text.
    fn into_result(self) -> Result<(), String>;
}

impl Activated for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Display> Activated for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
