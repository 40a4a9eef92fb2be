//! Stubs: typed handles that send calls to one object, and the calls that they make.

use std::fmt::{self, Debug};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use crate::directory::Group;
use crate::error::Error;
use crate::id::{ObjectId, Placement};
use crate::object::{BoxFuture, FromError, Object, PendingCall, Slot, expired};
use crate::storage::{Fence, Release, Shard};

/// What every generated stub can do beside its class's own methods.
///
/// The class is a parameter, so that a class may be private where its stub is not.
pub trait Stub<O: Object<Stub = Self>>: Clone + Debug + Send + Sync + 'static {
    #[doc(hidden)]
    fn from_address(address: Address<O>) -> Self;

    #[doc(hidden)]
    fn address(&self) -> &Address<O>;

    /// The object's id.
    ///
    /// # Errors
    /// What made the stub unusable, such as `class.unknown` or `name.too_long`; every call through it fails with it, too.
    fn id(&self) -> Result<ObjectId, Error> {
        self.address().target().map(|target| target.id)
    }

    /// The name that the stub was made with; `None` for a stub of an id.
    fn name(&self) -> Option<&str> {
        self.address().target().ok().and_then(|target| target.name.as_deref())
    }
}

/// The way to one object. Generated stubs wrap it.
pub struct Address<O: Object>(Arc<AddressBody<O>>);

struct AddressBody<O: Object> {
    target: Result<Target<O>, Error>,
    /// `None`: the stub was not made inside a turn.
    origin: Option<Origin>,
    /// Calls that wait for commits before they leave; later ones must not overtake them.
    departing: AtomicUsize,
}

struct Target<O: Object> {
    group: Arc<Group<O>>,
    id: ObjectId,
    name: Option<Arc<str>>,
    placement: Option<Arc<Placement>>,
    /// Empty until the first call.
    slot: OnceLock<Arc<Slot<O>>>,
}

impl<O: Object> Address<O> {
    pub(crate) fn new(
        group: Arc<Group<O>>,
        id: ObjectId,
        name: Option<Arc<str>>,
        placement: Option<Arc<Placement>>,
    ) -> Self {
        let target = Target { group, id, name, placement, slot: OnceLock::new() };
        Self::with(Ok(target), None)
    }

    /// An address that leads nowhere: every call fails with `error`.
    pub(crate) fn broken(error: Error) -> Self {
        Self::with(Err(error), None)
    }

    /// The same address, used from inside a turn.
    pub(crate) fn within_turn(self, origin: Origin) -> Self {
        let Ok(body) = Arc::try_unwrap(self.0) else { unreachable!("the address was just made") };
        Self::with(body.target, Some(origin))
    }

    fn with(target: Result<Target<O>, Error>, origin: Option<Origin>) -> Self {
        Address(Arc::new(AddressBody { target, origin, departing: AtomicUsize::new(0) }))
    }

    fn is_departing(&self) -> bool {
        self.0.departing.load(Ordering::Acquire) > 0
    }

    fn target(&self) -> Result<&Target<O>, Error> {
        self.0.target.as_ref().map_err(Clone::clone)
    }

    /// A call of the object. Generated stubs use it.
    #[doc(hidden)]
    pub fn call<Out: FromError>(
        &self,
        call: O::Call,
        unpack: fn(O::Reply) -> Option<Out>,
    ) -> Call<O, Out> {
        Call { address: self.clone(), call, unpack, timeout: None }
    }
}

impl<O: Object> Clone for Address<O> {
    fn clone(&self) -> Self {
        Address(Arc::clone(&self.0))
    }
}

impl<O: Object> Debug for Address<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.target {
            Ok(Target { name: Some(name), .. }) => {
                write!(f, "{}({})", O::CLASS.name, name.escape_debug())
            }
            Ok(Target { id, .. }) => write!(f, "{}({id})", O::CLASS.name),
            Err(error) => write!(f, "{}({error})", O::CLASS.name),
        }
    }
}

/// The turn that a call comes from: what it may have seen must be durable before the call leaves.
#[derive(Clone)]
pub(crate) struct Origin {
    shard: Arc<Shard>,
    fence: Arc<Fence>,
}

impl Origin {
    pub(crate) fn new(shard: &Arc<Shard>, fence: &Arc<Fence>) -> Self {
        Origin { shard: Arc::clone(shard), fence: Arc::clone(fence) }
    }

    /// Whether the activation has a commit that is not durable, or has failed. A commit that is submitted while this
    /// looks is not one that the caller has seen.
    fn is_behind(&self) -> bool {
        let submitted = self.fence.submitted();
        submitted > self.shard.durable() || self.fence.broken().is_some()
    }
}

/// A call that has not been made yet. Await it to make it.
///
/// Where a future is wanted, such as in `tokio::spawn` or `join_all`, say `.into_future()`; it needs nothing of the stub.
///
/// The call is made when it is first polled: calls that are awaited one after another through one stub begin in that
/// order. Dropping it before its turn has begun takes it back; a turn that has begun runs to its end.
///
/// # Errors
/// Awaiting gives the method's own value, or an [`Error`]; see the [errors page](crate::guide::errors).
///
/// # Cancel safety
/// Dropping the future leaves the object as if the call was never made, or as if it was made and its answer was lost.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<O: Object, Out> {
    address: Address<O>,
    call: O::Call,
    unpack: fn(O::Reply) -> Option<Out>,
    /// `None`: it waits as long as it takes.
    timeout: Option<Duration>,
}

impl<O: Object, Out> Call<O, Out> {
    /// Gives the call `timeout` from the moment it is made. After that it fails with `call.expired`; a turn that had not
    /// begun by then never begins.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<O: Object, Out: FromError> IntoFuture for Call<O, Out> {
    type Output = Out;
    type IntoFuture = CallFuture<O, Out>;

    fn into_future(self) -> Self::IntoFuture {
        CallFuture { state: State::Unmade(self) }
    }
}

impl<O: Object, Out> Debug for Call<O, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = O::method(&self.call).name;
        f.debug_struct("Call")
            .field("object", &self.address)
            .field("method", &method)
            .finish_non_exhaustive()
    }
}

/// A call on its way.
#[must_use = "futures do nothing until they are awaited"]
pub struct CallFuture<O: Object, Out> {
    state: State<O, Out>,
}

enum State<O: Object, Out> {
    Unmade(Call<O, Out>),
    Made {
        pending: Arc<PendingCall<O>>,
        unpack: fn(O::Reply) -> Option<Out>,
        /// `None`: it waits as long as it takes.
        time_over: Option<BoxFuture<'static, ()>>,
        /// For errors, which name it.
        object: Address<O>,
    },
    Done,
}

// Nothing in it is pinned: the timer is boxed.
impl<O: Object, Out> Unpin for CallFuture<O, Out> {}

impl<O: Object, Out> Call<O, Out> {
    /// Sends it on its way.
    fn make(self, task: &TaskContext<'_>) -> Result<State<O, Out>, Error> {
        let Call { address, call, unpack, timeout } = self;
        let target = address.target()?;
        let permit = target.group.admit(address.0.origin.is_some())?;
        let clock = &target.group.host().clock;
        let deadline = timeout.map(|timeout| clock.now() + timeout);
        let pending = PendingCall::new(call, deadline, permit, task.waker());
        match &address.0.origin {
            Some(origin) if address.is_departing() || origin.is_behind() => {
                address.0.departing.fetch_add(1, Ordering::AcqRel);
                let departure =
                    Departure { address: address.clone(), pending: Arc::clone(&pending) };
                origin.shard.release_after(&origin.fence, Arc::new(departure));
            }
            _ => target.deliver(&pending),
        }
        let time_over = deadline.map(|deadline| clock.sleep_until(deadline));
        Ok(State::Made { pending, unpack, time_over, object: address })
    }
}

impl<O: Object> Target<O> {
    fn deliver(&self, pending: &Arc<PendingCall<O>>) {
        let Target { group, id, name, placement, slot } = self;
        let slot = slot.get_or_init(|| group.place(*id, name.as_ref(), placement.as_ref()));
        group.deliver(slot, pending);
    }
}

/// A call made inside a turn, which leaves when the changes that the turn may have seen are durable. The lane lets such
/// calls go in the order in which they were made.
struct Departure<O: Object> {
    address: Address<O>,
    pending: Arc<PendingCall<O>>,
}

impl<O: Object> Release for Departure<O> {
    fn release(&self, durable: Result<(), &Error>) {
        match (durable, self.address.target()) {
            (Ok(()), Ok(target)) => target.deliver(&self.pending),
            (Err(error), _) => self.pending.answer(Err(error.clone())),
            (_, Err(error)) => self.pending.answer(Err(error)),
        }
        self.address.0.departing.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<O: Object, Out: FromError> Future for CallFuture<O, Out> {
    type Output = Out;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Out> {
        if let State::Unmade(_) = &self.state {
            let State::Unmade(call) = std::mem::replace(&mut self.state, State::Done) else {
                unreachable!("the call was just seen")
            };
            match call.make(task) {
                Ok(made) => self.state = made,
                Err(error) => return Poll::Ready(Out::from_error(error)),
            }
        }
        let State::Made { pending, unpack, time_over, object } = &mut self.state else {
            panic!("a call was polled after it had given its answer");
        };
        let out = match pending.poll(task) {
            Poll::Ready(Ok(reply)) => unpack(reply).expect("a method's reply is of its own kind"),
            Poll::Ready(Err(error)) => Out::from_error(about(error, object)),
            Poll::Pending => match time_over.as_mut().map(|timer| timer.as_mut().poll(task)) {
                Some(Poll::Ready(())) => Out::from_error(about(expired(pending.close()), object)),
                _ => return Poll::Pending,
            },
        };
        self.state = State::Done;
        Poll::Ready(out)
    }
}

/// The error of a call, which names the call's object.
fn about<O: Object>(error: Error, object: &Address<O>) -> Error {
    if error.object().is_some() { error } else { error.with_object(format!("{object:?}")) }
}

impl<O: Object, Out> Drop for CallFuture<O, Out> {
    fn drop(&mut self) {
        if let State::Made { pending, .. } = &self.state {
            pending.close();
        }
    }
}

impl<O: Object, Out> Debug for CallFuture<O, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}
