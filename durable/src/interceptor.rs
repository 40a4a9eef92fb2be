//! Who looks at calls on their way, on either side, without being part of any object.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::class::{Access, MethodSpec};
use crate::error::{Code, Error, Outcome, text_of};
use crate::id::ObjectId;
use crate::metadata::Metadata;
use crate::trace::TraceContext;

/// Looks at calls on their way: when they are made, before their turns begin, and after those have ended. For what is to be
/// done around all methods, such as authentication, metrics, and passing a trace on.
///
/// [`RuntimeBuilder::intercept`](crate::RuntimeBuilder::intercept) adds one for every call that is made or run in a runtime,
/// [`Client::with_interceptor`](crate::Client::with_interceptor) one for the calls of a client, on the side of the caller only. Of
/// several, the one that was added first is outermost: it is asked first, and told last; a client's come before its runtime's.
///
/// None sees or changes arguments, results or state, and none waits: what is to be asked of others is asked before the call. Each
/// runs on the task of the caller, or of the object, and should be quick. One that panics before a turn fails that call, which
/// then has not begun; a panic after it is logged.
///
/// ```
/// use durable::prelude::*;
/// use durable::{IncomingCall, Interceptor, OutgoingCall, Refusal};
///
/// #[derive(Default, DurableState)]
/// struct Account { cents: u64 }
///
/// #[durable_object(name = "doc.GuardedAccount")]
/// impl Account {
///     pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents }
/// }
///
/// struct SignedIn(&'static str);
///
/// impl Interceptor for SignedIn {
///     fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
///         call.set("principal", self.0)?;
///         Ok(())
///     }
/// }
///
/// struct OwnersOnly;
///
/// impl Interceptor for OwnersOnly {
///     fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
///         let who = call.metadata().get("principal");
///         if who.is_some() && who == call.name() { Ok(()) } else { Err(Refusal::new("it is not your account")) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// let runtime = Runtime::builder(dir.path()).register::<Account>().intercept(OwnersOnly).start().await?;
/// let ada = runtime.client().with_interceptor(SignedIn("ada"));
/// assert_eq!(ada.get::<Account>("ada").deposit(5).await?, 5);
/// let refused = ada.get::<Account>("bob").deposit(5).await.unwrap_err();
/// assert_eq!(refused.code(), "call.refused");
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// Interceptors of gRPC, and call filters of Orleans. Ours see no arguments, and cannot take a call's place.
pub trait Interceptor: Send + Sync + 'static {
    /// A call is about to be made, or sent. It may be given more to carry.
    ///
    /// # Errors
    /// Why it is not to be made.
    fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
        let _ = call;
        Ok(())
    }

    /// The turn of a call, or of a send that has arrived, is about to begin, or the result is about to be given that its
    /// idempotency key has. Not for one whose caller has gone, nor for alarms, schedules and hooks, which nobody has called.
    ///
    /// # Errors
    /// Why it is not to begin: the caller gets `call.refused`, a send has failed once.
    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        let _ = call;
        Ok(())
    }

    /// What it has let begin has ended. Nothing of the turn need be durable yet: its commit may still fail, so count it, and tell
    /// nobody who could act on it.
    fn on_turn_end(&self, call: &IncomingCall<'_>, report: &TurnReport) {
        let _ = (call, report);
    }
}

/// A call that is about to be made, for an [`Interceptor`].
#[derive(Debug)]
pub struct OutgoingCall<'a> {
    pub(crate) class: &'static str,
    /// `None`: it is in another process, and known by its name.
    pub(crate) id: Option<ObjectId>,
    pub(crate) name: Option<&'a str>,
    pub(crate) method: &'static MethodSpec,
    pub(crate) is_send: bool,
    pub(crate) metadata: &'a mut Metadata,
}

impl OutgoingCall<'_> {
    /// The object's class.
    pub fn class(&self) -> &'static str {
        self.class
    }

    /// The object's id. `None`: only its name is known here, because it is in another process.
    pub fn id(&self) -> Option<ObjectId> {
        self.id
    }

    /// The object's name. `None`: the stub does not know it.
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// The method, by its name on wires.
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// Whether it is sent, and nobody waits for it.
    pub fn is_send(&self) -> bool {
        self.is_send
    }

    /// What is to travel with it: what it has set itself, and what the turn carries that makes it.
    pub fn metadata(&self) -> &Metadata {
        self.metadata
    }

    /// Lets an entry travel with it, in the place of one with the same key.
    ///
    /// # Errors
    /// As [`Metadata::set`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.metadata.set(key, value)
    }

    /// Lets a trace travel with it, in the place of another.
    ///
    /// # Errors
    /// As [`Metadata::set_trace`].
    pub fn set_trace(&mut self, trace: &TraceContext) -> Result<(), Error> {
        self.metadata.set_trace(trace)
    }
}

/// A call whose turn is about to begin, or has ended, for an [`Interceptor`].
#[derive(Debug)]
pub struct IncomingCall<'a> {
    pub(crate) class: &'static str,
    pub(crate) id: ObjectId,
    pub(crate) name: Option<&'a str>,
    pub(crate) method: &'static MethodSpec,
    pub(crate) is_send: bool,
    pub(crate) metadata: &'a Metadata,
}

impl IncomingCall<'_> {
    /// The object's class.
    pub fn class(&self) -> &'static str {
        self.class
    }

    /// The object's id.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The object's name. `None`: it is only known by its id.
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// The method, by its name on wires.
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// Whether the method takes `&self`.
    pub fn is_read(&self) -> bool {
        self.method.access == Access::Read
    }

    /// Whether it was sent, and nobody waits for it.
    pub fn is_send(&self) -> bool {
        self.is_send
    }

    /// What travels with it.
    pub fn metadata(&self) -> &Metadata {
        self.metadata
    }
}

/// How something ended that an [`Interceptor`] has let begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnReport {
    /// How.
    pub outcome: TurnOutcome,
    /// How long it took, from its beginning, without the time that the answer then waits for the disk.
    pub took: Duration,
}

/// How a turn ended, as an [`Interceptor`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnOutcome {
    /// The method has returned, and not an `Err`.
    Returned,
    /// The method has returned `Err`: what it changed is undone.
    Rejected,
    /// It did not run: its idempotency key has a result.
    Repeated,
    /// An interceptor further in has refused it: it did not run.
    Refused,
    /// It failed with the error of this code, which is the system's: what it changed is undone.
    Failed(&'static str),
    /// The method has panicked: what it changed is undone.
    Panicked,
    /// The activation ended while it ran: what it changed is undone.
    CutOff,
}

/// Why an [`Interceptor`] does not let a call pass.
#[derive(Debug)]
pub struct Refusal(Reason);

#[derive(Debug)]
enum Reason {
    Text(String),
    Error(Error),
}

impl Refusal {
    /// The call fails with `call.refused`, and this text: lower case, no full stop, what is missing.
    pub fn new(text: impl Into<String>) -> Self {
        Refusal(Reason::Text(text.into()))
    }

    fn into_error(self, at: &dyn fmt::Display) -> Error {
        let error = match self.0 {
            Reason::Text(text) => Code::CallRefused.error(format!("{at} was refused: {text}")),
            Reason::Error(error) => error,
        };
        error.with_outcome(Outcome::NotStarted)
    }
}

/// The call fails with this error, and has not begun.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal(Reason::Error(error))
    }
}

/// Interceptors, the outermost first.
#[derive(Clone, Default)]
pub(crate) struct Interceptors(
    /// `None`: there is none.
    Option<Arc<Vec<Arc<dyn Interceptor>>>>,
);

impl Interceptors {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Adds one that is further in than all others.
    pub(crate) fn add(&mut self, interceptor: impl Interceptor) {
        Arc::make_mut(self.0.get_or_insert_default()).push(Arc::new(interceptor));
    }

    fn all(&self) -> &[Arc<dyn Interceptor>] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    /// A call is about to be made.
    ///
    /// # Errors
    /// Why it is not; `at`: what it is called then.
    pub(crate) fn on_call(
        &self,
        call: &mut OutgoingCall<'_>,
        at: &dyn fmt::Display,
    ) -> Result<(), Error> {
        self.all().iter().try_for_each(|one| asked(at, || one.on_call(call)))
    }

    /// A turn is about to begin.
    ///
    /// # Errors
    /// Why it does not; `at`: what it is called then. Those that had let it pass are told.
    pub(crate) fn on_turn(
        &self,
        call: &IncomingCall<'_>,
        at: &dyn fmt::Display,
    ) -> Result<(), Error> {
        for (index, one) in self.all().iter().enumerate() {
            if let Err(error) = asked(at, || one.on_turn(call)) {
                let report = TurnReport { outcome: TurnOutcome::Refused, took: Duration::ZERO };
                tell(&self.all()[..index], call, &report);
                return Err(error);
            }
        }
        Ok(())
    }

    /// What all have let begin has ended.
    pub(crate) fn on_turn_end(&self, call: &IncomingCall<'_>, report: &TurnReport) {
        tell(self.all(), call, report);
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.all().len())
    }
}

/// Asks one. Its panic is that of a call that has not begun.
fn asked(at: &dyn fmt::Display, ask: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Error> {
    let panicked = |panic: Box<dyn Any + Send>| {
        Code::CallPanicked
            .error(format!(
                "an interceptor panicked before {at}: {}; nothing has begun, mend the bug",
                text_of(panic.as_ref())
            ))
            .with_outcome(Outcome::NotStarted)
    };
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(asked) => asked.map_err(|refusal| refusal.into_error(at)),
        Err(panic) => Err(panicked(panic)),
    }
}

/// Tells all of them, the innermost first.
fn tell(told: &[Arc<dyn Interceptor>], call: &IncomingCall<'_>, report: &TurnReport) {
    for one in told.iter().rev() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| one.on_turn_end(call, report))) {
            let (class, method, panic) = (call.class, call.method.name, text_of(panic.as_ref()));
            tracing::error!(class, method, panic, "an interceptor panicked after a turn");
        }
    }
}
