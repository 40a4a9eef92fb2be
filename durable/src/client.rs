//! Where stubs come from.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::caller::{Caller, Who, WhoKey};
use crate::directory::Group;
use crate::error::{Code, Error};
use crate::id::{IntoKey, ObjectId, Placement};
use crate::interceptor::{Interceptor, Interceptors};
use crate::object::Object;
use crate::registry::Registry;
use crate::stub::{Address, Origin, Stub, StubRef};

/// Makes stubs of a runtime's objects. Cheap to clone; it keeps the runtime running.
///
/// ```
/// # use durable::prelude::*;
/// # #[derive(Default, DurableState)]
/// # struct Counter { count: u64 }
/// # #[durable_object(name = "doc.Counter")]
/// # impl Counter { pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Counter>().start().await?;
/// let europe = runtime.client().placed(durable::Placement::new().jurisdiction("eu"));
/// let here = runtime.get::<Counter>("visits");
/// let there = europe.get::<Counter>("visits");
/// assert_ne!(here.id()?, there.id()?, "a jurisdiction is part of who an object is");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    registry: RegistryRef,
    /// `None`: no wishes.
    placement: Option<Arc<Placement>>,
    /// `None`: not inside a turn, or the turn saw nothing that is not durable.
    origin: Option<Origin>,
    /// Whoever looks at the calls of its stubs.
    interceptors: Interceptors,
}

#[derive(Clone)]
enum RegistryRef {
    /// A user's client keeps the runtime.
    Kept(Arc<Registry>),
    /// An object's client does not: the runtime keeps the object.
    Inside(Weak<Registry>),
    /// Nor does a task's, whose calls are taken like those of turns.
    Task(Weak<Registry>),
    /// The runtime is somewhere else.
    Away(Arc<dyn Caller>),
}

impl Client {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self::to(RegistryRef::Kept(registry), None)
    }

    pub(crate) fn inside(registry: Weak<Registry>, origin: Option<Origin>) -> Self {
        Self::to(RegistryRef::Inside(registry), origin)
    }

    pub(crate) fn of_task(registry: Weak<Registry>) -> Self {
        Self::to(RegistryRef::Task(registry), None)
    }

    /// A client of a runtime that is reached through `caller`.
    #[doc(hidden)]
    pub fn away(caller: Arc<dyn Caller>) -> Self {
        Self::to(RegistryRef::Away(caller), None)
    }

    fn to(registry: RegistryRef, origin: Option<Origin>) -> Self {
        Client { registry, placement: None, origin, interceptors: Interceptors::default() }
    }

    /// A client whose calls `interceptor` looks at before they are made, too: those of stubs that come from it. Of several, the
    /// first one that is added is outermost, and those of the runtime are further in. Turns are looked at by those of
    /// [`RuntimeBuilder::intercept`](crate::RuntimeBuilder::intercept) only. See [`Interceptor`].
    pub fn with_interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.add(interceptor);
        self
    }

    /// A client whose objects are placed like this. See [`Placement`].
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = Some(Arc::new(placement));
        self
    }

    /// A stub of the object of class `C` called `key`. Making it touches nothing; what is wrong with the key or the
    /// class is said by its calls.
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.stub::<C>(WhoKey::Name(Arc::from(key.name().as_ref())))
    }

    /// A stub of the object of class `C` with this id.
    ///
    /// # Errors
    /// `id.foreign` if the id is not one of class `C` in this data directory; `class.unknown`; `runtime.closed`.
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, Error> {
        let stub = self.stub::<C>(WhoKey::Id(id));
        stub.id().map(|_| stub)
    }

    /// A stub of the object that `reference` tells of.
    ///
    /// # Errors
    /// `id.foreign` if it was made in another data directory; `class.unknown`; `runtime.closed`.
    pub fn bind<C: Object>(&self, reference: &StubRef<C>) -> Result<C::Stub, Error> {
        let key = WhoKey::Id(reference.id());
        if let RegistryRef::Away(caller) = &self.registry {
            let who = match reference.name() {
                Some(name) if reference.lineage().is_none() => WhoKey::Name(Arc::from(name)),
                _ => key,
            };
            let who = Who { key: who, placement: reference.placement() };
            let address = Address::away(Arc::clone(caller), who).intercepted(&self.interceptors);
            let stub = C::Stub::from_address(address);
            return match stub.id() {
                // Its calls say whether it is one of theirs.
                Err(error) if error.is(Code::IdAway) => Ok(stub),
                checked => checked.map(|_| stub),
            };
        }
        let group = self.group::<C>()?;
        let id = group.id_of(&Who { key, placement: None })?;
        let known = (reference.name().map(Arc::from), reference.placement());
        Ok(self.stub_at::<C>(group.address(id, known, reference.lineage())))
    }

    /// A stub for whoever has this client.
    pub(crate) fn stub_at<C: Object>(&self, address: Address<C>) -> C::Stub {
        let address = match (&self.origin, &self.registry) {
            (Some(origin), _) => address.within_turn(origin.clone()),
            (None, RegistryRef::Task(_)) => address.within_service(),
            (None, _) => address,
        };
        C::Stub::from_address(address.intercepted(&self.interceptors))
    }

    /// A stub of a new object that no name leads to. Keep its [id](Stub::id) to find it again.
    pub fn unique<C: Object>(&self) -> C::Stub {
        let id = match &self.registry {
            RegistryRef::Away(caller) => caller.unique(C::CLASS.name),
            _ => self.group::<C>().map(|group| group.unique()),
        };
        match id {
            Ok(id) => self.stub::<C>(WhoKey::Id(id)),
            Err(error) => C::Stub::from_address(Address::broken(error)),
        }
    }

    fn stub<C: Object>(&self, key: WhoKey) -> C::Stub {
        let who = Who { key, placement: self.placement.clone() };
        if let RegistryRef::Away(caller) = &self.registry {
            let address = Address::away(Arc::clone(caller), who);
            return C::Stub::from_address(address.intercepted(&self.interceptors));
        }
        let address = self.group::<C>().and_then(|group| group.address_of(who));
        self.stub_at::<C>(address.unwrap_or_else(Address::broken))
    }

    /// The group of a class.
    pub(crate) fn group<C: Object>(&self) -> Result<Arc<Group<C>>, Error> {
        match &self.registry {
            RegistryRef::Kept(registry) => registry.group::<C>(),
            RegistryRef::Inside(registry) | RegistryRef::Task(registry) => match registry.upgrade() {
                Some(registry) => registry.group::<C>(),
                None => Err(Code::RuntimeClosed.error("the runtime was dropped; start it again")),
            },
            RegistryRef::Away(_) => Err(Code::RuntimeClosed.error(
                "the runtime is in another process, which does not list its objects; list them there",
            )),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("placement", &self.placement).finish_non_exhaustive()
    }
}
