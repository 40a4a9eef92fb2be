//! One runtime: the classes of one data directory, running.

mod builder;
mod quarantine;
mod signal;

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub(crate) use self::builder::ClassEntry;
pub use self::builder::RuntimeBuilder;
use crate::caller::{Request, Who};
use crate::client::Client;
use crate::data_directory::named;
use crate::directory::ClassGroup;
use crate::error::{Code, Error};
#[cfg(feature = "http")]
use crate::exposed::Door;
use crate::host::Entropy;
#[cfg(feature = "http")]
use crate::host::Host;
use crate::id::{IntoKey, ObjectId};
use crate::inspection::Backup;
#[cfg(feature = "http")]
use crate::limits::HTTP_TIMEOUT;
use crate::listing::Listing;
#[cfg(feature = "http")]
use crate::metadata::Metadata;
use crate::object::{BoxFuture, Object};
use crate::registry::Registry;
use crate::send::SendId;
#[cfg(feature = "http")]
use crate::socket::{Line, Refused};
use crate::stub::StubRef;
use crate::supervise::Service;

/// Runs the objects of one data directory. Cheap to clone; when the last clone and the last [`Client`] are dropped,
/// everything stops at once, mid-turn. Call [`shutdown`](Runtime::shutdown) to let turns end.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Counter { count: u64 }
///
/// #[durable_object(name = "doc.Counter")]
/// impl Counter {
///     pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let data = dir.path();
/// let runtime = Runtime::builder(data).register::<Counter>().start().await?;
/// assert_eq!(runtime.get::<Counter>("visits").add(2).await?, 2);
/// runtime.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime {
    client: Client,
    registry: Arc<Registry>,
}

impl Runtime {
    /// A runtime on the data directory `dir`, which is created if it is missing.
    pub fn builder(dir: impl Into<PathBuf>) -> RuntimeBuilder {
        RuntimeBuilder::new(dir.into())
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.registry.shared().service
    }

    /// Where stubs come from; to hand to parts of a program that need nothing else of the runtime.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A stub of the object of class `C` called `key`. See [`Client::get`].
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.client.get::<C>(key)
    }

    /// A stub of the object of class `C` with this id.
    ///
    /// # Errors
    /// As [`Client::get_by_id`].
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, Error> {
        self.client.get_by_id::<C>(id)
    }

    /// A stub of the object that `reference` tells of.
    ///
    /// # Errors
    /// As [`Client::bind`].
    pub fn bind<C: Object>(&self, reference: &StubRef<C>) -> Result<C::Stub, Error> {
        self.client.bind(reference)
    }

    /// A stub of a new object that no name leads to. See [`Client::unique`].
    pub fn unique<C: Object>(&self) -> C::Stub {
        self.client.unique::<C>()
    }

    /// The objects of class `C` that have stored state, in memory or not.
    pub fn list<C: Object>(&self) -> Listing<C> {
        Listing::new(self.client.clone())
    }

    /// Takes one object out of memory, after the turns that run; calls that wait are served by its next activation.
    /// Gives whether it was in memory.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class.
    ///
    /// # Cancel safety
    /// The eviction goes on if the future is dropped.
    pub async fn evict(&self, id: ObjectId) -> Result<bool, Error> {
        Ok(self.registry.group_owning(&id)?.evict(id).await)
    }

    /// Erases an object, with everything that it has stored, its history and those of its sends that wait, too, in one commit; also
    /// one that cannot start. The object is not listed any more, and the next call starts it anew. Gives whether there was
    /// anything to erase.
    ///
    /// It happens when no turn of the object runs. Calls that wait are served by the object as it begins anew.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class; `runtime.closed`; `storage.*` if it cannot be stored.
    ///
    /// # Cancel safety
    /// The erasure goes on if the future is dropped after it was polled.
    pub async fn delete(&self, id: ObjectId) -> Result<bool, Error> {
        Arc::clone(self.registry.group_owning(&id)?).erase(id).await
    }

    #[cfg(feature = "http")]
    pub(crate) fn host(&self) -> &Host {
        &self.registry.shared().host
    }

    /// Where random bytes come from.
    pub(crate) fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.registry.shared().host.entropy
    }

    /// The class of an object.
    pub(crate) fn owner(&self, id: &ObjectId) -> Result<&Arc<dyn ClassGroup>, Error> {
        self.registry.group_owning(id)
    }

    /// Takes a call that came over a wire; it is queued when this returns. `number`: a director's name for it.
    #[doc(hidden)]
    pub fn dispatch(
        &self,
        request: Request,
        number: u64,
    ) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        match self.class(request.class) {
            Ok(group) => Arc::clone(group).call(request, number),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// Keeps a call that came over a wire and that nobody waits for.
    #[doc(hidden)]
    pub fn dispatch_send(
        &self,
        request: Request,
        delay: Option<Duration>,
    ) -> BoxFuture<'static, Result<SendId, Error>> {
        match self.class(request.class) {
            Ok(group) => Arc::clone(group).keep(request, delay),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// The id of an object that somebody asks for over a wire.
    #[doc(hidden)]
    pub fn id_of(&self, class: &str, who: &Who) -> Result<ObjectId, Error> {
        self.class(class)?.id_of(who)
    }

    /// A new id, for somebody who asks over a wire.
    #[doc(hidden)]
    pub fn unique_id(&self, class: &str) -> Result<ObjectId, Error> {
        self.class(class).map(|group| group.unique())
    }

    /// Lets `visit` look at an object between two turns, and wakes the object for it.
    #[doc(hidden)]
    pub async fn inspect<C: Object, T: Send + 'static>(
        &self,
        id: ObjectId,
        visit: impl FnOnce(&C) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let group = self.registry.group::<C>()?;
        let slot = group.place(id, None, None);
        let (sender, receiver) = oneshot::channel();
        slot.visit(Box::new(move |object| {
            let _ = sender.send(visit(object));
        }));
        receiver.await.map_err(|_| {
            Code::ObjectUnstartable.error(format!(
                "{} did not start, or the runtime has closed; call it to see why",
                slot.label()
            ))
        })
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// A socket comes over a wire.
    ///
    /// # Errors
    /// Why it is not let in.
    #[cfg(feature = "http")]
    #[doc(hidden)]
    pub async fn open_socket(
        &self,
        class: &str,
        who: Who,
        request: crate::exposed::Request,
    ) -> Result<Line, Refused> {
        let group = Arc::clone(self.class(class).map_err(Refused::Failed)?);
        let door = group.exposed().filter(|door| door.entrance().is_some());
        let door = door.ok_or_else(|| {
            Refused::Failed(Code::CallUnknownMethod.error(format!(
                "class {class} takes no sockets; give it a method with `#[on_connect]` or `#[on_message]`"
            )))
        })?;
        let joining = door.join(who, Metadata::new(), HTTP_TIMEOUT).map_err(Refused::Failed)?;
        joining.connect(request, ()).await
    }

    /// The classes that callers outside of Rust may reach.
    #[cfg(feature = "http")]
    pub(crate) fn doors(&self) -> Vec<Arc<dyn Door>> {
        let groups = self.registry.groups().iter();
        groups.filter_map(|group| Arc::clone(group).exposed()).collect()
    }

    fn class(&self, name: &str) -> Result<&Arc<dyn ClassGroup>, Error> {
        let groups = self.registry.groups();
        let found = groups.binary_search_by(|group| group.name().cmp(name));
        found.map(|index| &groups[index]).map_err(|_| {
            Code::ClassUnknown.error(format!(
                "class {name} is not registered; register it with the runtime that is called"
            ))
        })
    }

    /// Objects in memory, of all classes.
    pub fn resident_objects(&self) -> usize {
        self.registry.groups().iter().map(|group| group.resident()).sum()
    }

    /// Copies the data directory to `to`, which must be empty or not exist, while everything goes on. The copy is a data
    /// directory itself: a runtime can be started on it, and [`DataDirectory`](crate::DataDirectory) looks at it.
    ///
    /// Everything that was answered before this was called is in it, but what was answered without waiting for the disk.
    /// Each object is as it was at one moment between this call and its end, whole: its state and what it keeps under keys
    /// are of one commit. So is each shard. Two shards may be of different moments: what one object did after another,
    /// in another shard, may be in the copy without the other.
    ///
    /// Turns are not held up. While a shard is read, its log grows by what is written meanwhile.
    ///
    /// # Errors
    /// `backup.exists` if there is anything in `to`; `backup.running` if another backup of this runtime is under way;
    /// `storage.locked` if somebody else writes to `to`; `storage.full`, `storage.failed`, `storage.corrupt`;
    /// `runtime.closed` if the runtime is shut down meanwhile. What was written until then says that it is not whole, and
    /// is refused by everybody: delete it.
    ///
    /// # Cancel safety
    /// If the future is dropped the copy is cut off and is not whole.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<Backup, Error> {
        let to = named(to.as_ref())?.to_owned();
        self.registry.shared().store.backup(to).await
    }

    /// How much time a shutdown gives.
    #[doc(hidden)]
    pub fn shutdown_deadline(&self) -> Duration {
        self.registry.shared().config.shutdown_deadline
    }

    /// Stops the runtime: takes no more calls from outside, stops the tree of supervisors in reverse order, serves the calls
    /// that wait, takes all objects out of memory, closes the store and gives the data directory free. Whoever calls it
    /// while it goes on, or later, gets the same result.
    ///
    /// Turns that have not ended within the [deadline](RuntimeBuilder::shutdown_deadline), such as one that awaits a call of
    /// its own object, are cut off at their next `.await` and undone; their callers get `call.aborted`.
    ///
    /// # Errors
    /// `shutdown.cut` names what was cut off, turns as `class(name).method` and tasks by their paths, and gives all of it as
    /// data by [`Error::cut`]. The runtime has ended all the same.
    ///
    /// # Cancel safety
    /// If the future is dropped the runtime stays closed to calls; call it again to go on.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.registry.shutdown().await
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes: Vec<_> = self.registry.groups().iter().map(|group| group.name()).collect();
        f.debug_struct("Runtime").field("classes", &classes).finish_non_exhaustive()
    }
}
