//! Stubs: typed handles that send calls to one object, and the calls that they make.

mod away;
mod capacity;
mod departure;
mod future;
mod intercept;
mod keyed;
mod options;
mod patience;
mod reference;
mod send;
mod wire;

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::caller::{Caller, Who, WhoKey, unencodable};
use crate::class::Durability;
use crate::directory::{Group, Known};
use crate::error::{Code, Error, Outcome};
use crate::id::{Lineage, ObjectId, Placement};
use crate::interceptor::Interceptors;
use crate::object::{Arrived, FromError, Kin, Object, PendingCall, Slot};
use crate::storage::{Fence, Shard};

use self::away::Away;
pub use self::future::CallFuture;
use self::options::Options;
pub use self::reference::StubRef;
pub(crate) use self::reference::Told;

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
        match self.address().way()? {
            Way::Here(target) => Ok(target.id),
            Way::Away(away) => away.caller.id(O::CLASS.name, &away.who),
        }
    }

    /// The object as data, to be passed in calls and stored in state; [`Context::bind`](crate::Context::bind) makes a
    /// stub of it again.
    ///
    /// # Errors
    /// As [`id`](Self::id).
    fn to_ref(&self) -> Result<StubRef<O>, Error> {
        StubRef::of(self.address())
    }

    /// The name that the stub was made with; `None` for a stub of an id.
    fn name(&self) -> Option<&str> {
        match self.address().way().ok()? {
            Way::Here(target) => target.name.as_deref(),
            Way::Away(Away { who: Who { key: WhoKey::Name(name), .. }, .. }) => Some(name),
            Way::Away(_) => None,
        }
    }
}

/// The way to one object. Generated stubs wrap it.
pub struct Address<O: Object>(Arc<AddressBody<O>>);

struct AddressBody<O: Object> {
    way: Result<Way<O>, Error>,
    /// `None`: the stub was not made inside a turn.
    origin: Option<Origin>,
    /// A task of the service has it, whose calls are taken while the runtime lets everything end.
    is_of_task: bool,
    /// Whoever looks at its calls, beside those of the runtime.
    interceptors: Interceptors,
    /// Calls that wait for commits before they leave; later ones must not overtake them.
    departing: AtomicUsize,
}

/// Where an object is.
enum Way<O: Object> {
    /// In this process.
    Here(Target<O>),
    /// In a runtime that is reached through a caller.
    Away(Away),
}

struct Target<O: Object> {
    group: Arc<Group<O>>,
    id: ObjectId,
    name: Option<Arc<str>>,
    placement: Option<Arc<Placement>>,
    /// `None`: it has no parent, or only its id is known.
    lineage: Option<Lineage>,
    /// Empty until the first call.
    slot: OnceLock<Arc<Slot<O>>>,
}

impl<O: Object> Target<O> {
    fn deliver(&self, pending: &Arc<PendingCall<O>>, time: Option<Duration>) -> Arrived {
        self.group.deliver(self.slot(), pending, time)
    }

    /// Its object's place.
    fn slot(&self) -> &Arc<Slot<O>> {
        let Target { group, id, name, placement, lineage, slot } = self;
        slot.get_or_init(|| {
            let slot = group.place(*id, name.as_ref(), placement.as_ref());
            slot.learn_lineage(lineage.as_ref());
            slot
        })
    }
}

impl<O: Object> Address<O> {
    pub(crate) fn new(
        group: Arc<Group<O>>,
        id: ObjectId,
        (name, placement): Known,
        lineage: Option<Lineage>,
    ) -> Self {
        let target = Target { group, id, name, placement, lineage, slot: OnceLock::new() };
        Self::with(Ok(Way::Here(target)), None)
    }

    /// An address in a runtime that is reached through `caller`.
    pub(crate) fn away(caller: Arc<dyn Caller>, who: Who) -> Self {
        let stub = caller.number_stub();
        Self::with(Ok(Way::Away(Away { caller, who, stub })), None)
    }

    /// An address that leads nowhere: every call fails with `error`.
    pub(crate) fn broken(error: Error) -> Self {
        Self::with(Err(error), None)
    }

    /// The same address, used from inside a turn.
    pub(crate) fn within_turn(self, origin: Origin) -> Self {
        let Ok(body) = Arc::try_unwrap(self.0) else { unreachable!("the address was just made") };
        Self::with(body.way, Some(origin))
    }

    /// The same address, used by a task of the service.
    pub(crate) fn within_service(mut self) -> Self {
        let body = Arc::get_mut(&mut self.0).expect("the address was just made");
        body.is_of_task = true;
        self
    }

    /// Whether whoever calls is part of what a closing runtime lets end.
    fn is_inside(&self) -> bool {
        self.0.origin.is_some() || self.0.is_of_task
    }

    fn with(way: Result<Way<O>, Error>, origin: Option<Origin>) -> Self {
        let (interceptors, departing) = (Interceptors::default(), AtomicUsize::new(0));
        Address(Arc::new(AddressBody { way, origin, is_of_task: false, interceptors, departing }))
    }

    fn is_departing(&self) -> bool {
        self.0.departing.load(Ordering::Acquire) > 0
    }

    fn way(&self) -> Result<&Way<O>, Error> {
        self.0.way.as_ref().map_err(Clone::clone)
    }

    /// The object as its relatives see it.
    ///
    /// # Errors
    /// What made the stub unusable; `runtime.closed` if the object is in another process.
    pub(crate) fn kin(&self) -> Result<Arc<dyn Kin>, Error> {
        match self.way()? {
            Way::Here(target) => Ok(Arc::clone(target.slot()) as Arc<dyn Kin>),
            Way::Away(_) => Err(Code::RuntimeClosed
                .error("the object is in another process, which watches its own; ask there")),
        }
    }

    /// What a director tells the stubs of this process apart by.
    fn number(&self) -> u64 {
        Arc::as_ptr(&self.0).addr() as u64
    }

    /// A call of the object. Generated stubs use it.
    #[doc(hidden)]
    pub fn call<Out: FromError>(
        &self,
        call: O::Call,
        unpack: fn(O::Reply) -> Option<Out>,
    ) -> Call<O, Out> {
        let address = self.clone();
        let (timeout, durability, options, sent) = (None, None, None, None);
        Call { address, call, unpack, timeout, durability, options, is_patient: false, sent }
    }
}

impl<O: Object> Clone for Address<O> {
    fn clone(&self) -> Self {
        Address(Arc::clone(&self.0))
    }
}

impl<O: Object> Debug for Address<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, id) = match &self.0.way {
            Ok(Way::Here(Target { name, id, .. })) => (name.as_ref(), Some(id)),
            Ok(Way::Away(Away { who, .. })) => match &who.key {
                WhoKey::Name(name) => (Some(name), None),
                WhoKey::Id(id) => (None, Some(id)),
            },
            Err(_) => (None, None),
        };
        match (&self.0.way, name, id) {
            (Ok(_), Some(name), _) => write!(f, "{}({})", O::CLASS.name, name.escape_debug()),
            (Ok(_), None, Some(id)) => write!(f, "{}({id})", O::CLASS.name),
            (Ok(_), None, None) => unreachable!("an object has a name or an id"),
            (Err(error), ..) => write!(f, "{}({error})", O::CLASS.name),
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

    /// What a director knows the activation by.
    fn number(&self) -> (u16, u64) {
        (self.shard.index(), self.fence.epoch.0)
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
    /// `None`: as the class says.
    durability: Option<Durability>,
    /// `None`: it has nothing of what few have.
    options: Option<Box<Options>>,
    /// It waits for room where there is none.
    is_patient: bool,
    /// How a director knows a call that came from elsewhere. `None`: it comes from here.
    sent: Option<Sent>,
}

/// A call's number, and its stub's.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) call: u64,
    pub(crate) stub: u64,
}

impl<O: Object, Out> Call<O, Out> {
    /// It came from elsewhere, under this number.
    pub(crate) fn sent(mut self, sent: Sent) -> Self {
        self.sent = Some(sent);
        self
    }

    /// What a schedule keeps of it: whom it calls, the method, and the encoded arguments.
    pub(crate) fn into_kept(self) -> Result<(ObjectId, &'static str, Vec<u8>), Error> {
        let id = match self.address.way()? {
            Way::Here(target) => target.id,
            Way::Away(away) => away.caller.id(O::CLASS.name, &away.who)?,
        };
        self.check_kept()?;
        let args = O::encode_call(&self.call);
        let args = args.map_err(|error| unencodable::<O>(&error, Outcome::RolledBack))?;
        Ok((id, O::method(&self.call).name, args))
    }

    /// Answers as soon as the turn has ended, without waiting for the disk: a crash in the next moment may undo what the
    /// answer tells. What the turn changed is stored as always, after what was changed before it and together with what
    /// changed with it, or not at all; another call that is not relaxed waits for it. For counters, positions and the like,
    /// of which the last few may be lost.
    pub fn relaxed(self) -> Self {
        self.wants(Durability::Relaxed)
    }

    /// Answers when everything that the answer tells is on the disk, as calls do unless their class is relaxed.
    pub fn synced(self) -> Self {
        self.wants(Durability::Synced)
    }

    pub(crate) fn wants(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Gives the call `timeout` from the moment it is made, whatever its method says by `#[rpc(timeout = "5s")]`. After that
    /// it fails with `call.expired`; a turn that had not begun by then never begins, and one that had not ended is undone, at
    /// its next `.await` or at its end. If it had ended, the answer comes when it is durable, however late that is.
    ///
    /// A call that would wait more than twice as long as it has time for is refused at once, with `object.overloaded`: while many
    /// calls wait at the object it is known how fast they begin. One that is made inside a turn is not.
    ///
    /// A call that is made inside a turn never has more time than the call of that turn has left.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
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
