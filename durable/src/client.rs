//! Where stubs come from.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::directory::Group;
use crate::error::{Code, Error};
use crate::id::{IntoKey, ObjectId, Placement, check_name};
use crate::object::Object;
use crate::registry::Registry;
use crate::stub::{Address, Origin, Stub};

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
}

#[derive(Clone)]
enum RegistryRef {
    /// A user's client keeps the runtime.
    Kept(Arc<Registry>),
    /// An object's client does not: the runtime keeps the object.
    Inside(Weak<Registry>),
}

impl Client {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Client { registry: RegistryRef::Kept(registry), placement: None, origin: None }
    }

    pub(crate) fn inside(registry: Weak<Registry>, origin: Option<Origin>) -> Self {
        Client { registry: RegistryRef::Inside(registry), placement: None, origin }
    }

    /// A client whose objects are placed like this. See [`Placement`].
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = Some(Arc::new(placement));
        self
    }

    /// A stub of the object of class `C` called `key`. Making it touches nothing; what is wrong with the key or the
    /// class is said by its calls.
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        let name = key.name();
        self.stub::<C>(|group| {
            check_name(C::CLASS.name, &name)?;
            let jurisdiction =
                self.placement.as_ref().and_then(|placement| placement.jurisdiction.as_deref());
            let id = group.key().named(&name, jurisdiction);
            Ok((id, Some(Arc::from(name.as_ref()))))
        })
    }

    /// A stub of the object of class `C` with this id.
    ///
    /// # Errors
    /// `id.foreign` if the id is not one of class `C` in this data directory; `class.unknown`; `runtime.closed`.
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, Error> {
        let stub = self.stub::<C>(|group| {
            if group.key().owns(&id) {
                return Ok((id, None));
            }
            Err(Code::IdForeign.error(format!(
                "{id} is not the id of an object of class {}; use it with the class and data directory that it came from",
                C::CLASS.name
            )))
        });
        stub.id().map(|_| stub)
    }

    /// A stub of a new object that no name leads to. Keep its [id](Stub::id) to find it again.
    pub fn unique<C: Object>(&self) -> C::Stub {
        self.stub::<C>(|group| {
            let mut random = [0; 16];
            group.host().entropy.fill(&mut random);
            Ok((group.key().unique(random), None))
        })
    }

    fn stub<C: Object>(
        &self,
        who: impl FnOnce(&Group<C>) -> Result<(ObjectId, Option<Arc<str>>), Error>,
    ) -> C::Stub {
        let address = self.group::<C>().and_then(|group| {
            let (id, name) = who(&group)?;
            Ok(group.address(id, name, self.placement.clone()))
        });
        let address = address.unwrap_or_else(Address::broken);
        C::Stub::from_address(match &self.origin {
            Some(origin) => address.within_turn(origin.clone()),
            None => address,
        })
    }

    /// The group of a class.
    pub(crate) fn group<C: Object>(&self) -> Result<Arc<Group<C>>, Error> {
        match &self.registry {
            RegistryRef::Kept(registry) => registry.group::<C>(),
            RegistryRef::Inside(registry) => match registry.upgrade() {
                Some(registry) => registry.group::<C>(),
                None => Err(Code::RuntimeClosed.error("the runtime was dropped; start it again")),
            },
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("placement", &self.placement).finish_non_exhaustive()
    }
}
