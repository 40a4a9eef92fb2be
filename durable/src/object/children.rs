//! What a turn has to do with objects that its own object owns, or watches.

use std::fmt;
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::id::{IntoKey, ObjectId, check_name};
use crate::limits::LIST_PAGE_MAX;
use crate::object::context::Scene;
use crate::object::kv::Owner;
use crate::object::{Context, Object, Slot};
use crate::stub::{Address, Stub, StubRef};

impl<O: Object> Context<'_, O> {
    /// A stub of this object's child of class `C` called `key`. Making it touches nothing.
    ///
    /// A child belongs to this object: its id follows from this one's id, its class and its name, so that the same name below
    /// another object is another child. It is in memory only while this object is, is stored where this object is, and is
    /// deleted with it, in one commit. Like every object it is born in storage when it first stores something. What
    /// becomes of its siblings when it crashes is said by `children = …` on this class.
    ///
    /// A child may have children, up to [`CHILD_DEPTH_MAX`](crate::limits::CHILD_DEPTH_MAX) levels below the first object; calls of a
    /// deeper one fail with `child.too_deep`. A child that awaits a call of its parent while the parent's turn awaits the
    /// child waits for ever, as any two objects that wait for each other.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Player { points: u64 }
    ///
    /// #[durable_object(name = "doc.Player")]
    /// impl Player { pub fn score(&mut self, points: u64) -> u64 { self.points += points; self.points } }
    ///
    /// #[derive(Default, DurableState)]
    /// struct Room { rounds: u64 }
    ///
    /// #[durable_object(name = "doc.Room")]
    /// impl Room {
    ///     pub async fn score(&mut self, cx: &mut Context<'_, Self>, player: String) -> Result<u64, Error> {
    ///         self.rounds += 1;
    ///         cx.child::<Player>(player).score(1).await
    ///     }
    ///
    ///     pub async fn players(&self, cx: &Context<'_, Self>) -> Result<Vec<String>, Error> {
    ///         let page = cx.children().page().await?;
    ///         Ok(page.iter().filter_map(|child| child.name().map(str::to_owned)).collect())
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Player>().register::<Room>().start().await?;
    /// let (hall, yard) = (runtime.get::<Room>("hall"), runtime.get::<Room>("yard"));
    /// hall.score("ada".to_owned()).await.unwrap();
    /// assert_eq!(hall.score("ada".to_owned()).await.unwrap(), 2);
    /// assert_eq!(yard.score("ada".to_owned()).await.unwrap(), 1, "another child");
    /// assert_eq!(hall.players().await.unwrap(), ["ada"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn child<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        let client = self.client();
        let Scene::Slot { slot, .. } = self.scene else {
            return C::Stub::from_address(Address::broken(alone()));
        };
        let name: Arc<str> = Arc::from(key.name().as_ref());
        let address = client.group::<C>().and_then(|group| {
            check_name(C::CLASS.name, &name)?;
            let label = format!("{}({})", C::CLASS.name, name.escape_debug());
            let lineage = slot.lineage_below(&label)?;
            let id = group.child_id(&slot.id(), &name)?;
            Ok(group.address(id, (Some(name), slot.placement().cloned()), Some(lineage)))
        });
        client.stub_at::<C>(address.unwrap_or_else(Address::broken))
    }

    /// The id of the object that this one is a child of. `None`: it is nobody's.
    pub fn parent(&self) -> Option<ObjectId> {
        match self.scene {
            Scene::Slot { slot, .. } => slot.lineage().map(|lineage| lineage.parent().id),
            Scene::Alone(alone) => {
                alone.lacks("asks for its parent");
                None
            }
        }
    }

    /// The children that are stored or in memory, of all classes, in the order of their ids.
    pub fn children(&self) -> Children<'_> {
        let slot = match self.scene {
            Scene::Slot { slot, .. } => {
                // What is in memory, and what is stored, is not told by this object alone.
                drop(self.client());
                Some(slot.as_ref() as &dyn Parent)
            }
            Scene::Alone(alone) => {
                alone.lacks("lists its children");
                None
            }
        };
        Children { slot, after: None, limit: LIST_PAGE_MAX }
    }

    /// A stub of the object that `reference` tells of.
    ///
    /// # Errors
    /// `id.foreign` if it was made in another data directory; `class.unknown`.
    pub fn bind<C: Object>(&self, reference: &StubRef<C>) -> Result<C::Stub, Error> {
        self.client().bind(reference)
    }

    /// Lets this object hear of the other's end: `#[on_down]` runs once, when the other's activation has crashed or could not
    /// start, or the other was deleted. That it left memory because it was idle, or was asked to, is no end.
    ///
    /// It is in memory only, from this moment on, whether this turn is kept or not, and ends with this object's
    /// activation; set it anew in `#[on_activate]`. It neither owns the other nor wakes it.
    ///
    /// # Errors
    /// `monitor.full`; what makes the stub unusable.
    pub fn monitor<C, S>(&self, stub: &S) -> Result<(), Error>
    where
        C: Object<Stub = S>,
        S: Stub<C>,
    {
        let Scene::Slot { slot, .. } = self.scene else {
            self.lacks("watches another object");
            return Ok(());
        };
        drop(self.client());
        slot.monitor(stub.address().kin()?)
    }

    /// Ends [`monitor`](Self::monitor). Gives whether this object was watching.
    pub fn demonitor(&self, id: ObjectId) -> bool {
        match self.scene {
            Scene::Slot { slot, .. } => slot.demonitor(&id),
            Scene::Alone(_) => false,
        }
    }
}

fn alone() -> Error {
    Code::RuntimeClosed.error("there is no runtime; start one")
}

/// An object with its class forgotten, for its listing.
trait Parent: Sync {
    fn page(&self, after: Option<ObjectId>, limit: usize) -> crate::object::BoxFuture<'_, Page>;
}

type Page = Result<Vec<OwnedChild>, Error>;

impl<O: Object> Parent for Slot<O> {
    fn page(&self, after: Option<ObjectId>, limit: usize) -> crate::object::BoxFuture<'_, Page> {
        let shard = self.group().shard(&self.id());
        let stored = shard.children(self.id(), after, limit);
        Box::pin(async move {
            let mut page = Vec::new();
            for kin in stored.await? {
                let class = self.group().class_called(kin.class_no);
                let class = class.unwrap_or_else(|| format!("class {}", kin.class_no));
                page.push(OwnedChild { id: kin.id, class, name: kin.name, is_active: false });
            }
            // Behind the last of a full page others are stored that belong before those in memory.
            let end = if page.len() < limit { None } else { page.last().map(|child| child.id) };
            for (id, class, name) in self.children_here() {
                let is_beyond = end.is_some_and(|end| id > end);
                if after.is_some_and(|after| id <= after) || is_beyond {
                    continue;
                }
                match page.iter_mut().find(|child| child.id == id) {
                    Some(child) => child.is_active = true,
                    None => {
                        let (class, name) = (class.to_owned(), name.map(|name| name.to_string()));
                        page.push(OwnedChild { id, class, name, is_active: true });
                    }
                }
            }
            page.sort_by_key(|child| child.id);
            page.truncate(limit);
            Ok(page)
        })
    }
}

/// A question for the children of an object; made by [`Context::children`].
///
/// A child is listed if it is stored, or in memory. What is stored is what was durable when the page was read.
#[must_use = "nothing is read until `page`"]
pub struct Children<'a> {
    /// `None`: there is no runtime.
    slot: Option<&'a dyn Parent>,
    /// `None`: from the first.
    after: Option<ObjectId>,
    limit: usize,
}

impl Children<'_> {
    /// Only children behind this one.
    pub fn after(mut self, child: ObjectId) -> Self {
        self.after = Some(child);
        self
    }

    /// At most so many; [`LIST_PAGE_MAX`] unless it is said, and never more.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(LIST_PAGE_MAX);
        self
    }

    /// Reads one page. A page that is shorter than its limit is the last one.
    ///
    /// # Errors
    /// `storage.*` if the children cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn page(self) -> Result<Vec<OwnedChild>, Error> {
        match self.slot {
            Some(slot) => slot.page(self.after, self.limit).await,
            None => Err(alone()),
        }
    }
}

impl fmt::Debug for Children<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children")
            .field("after", &self.after)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// One child of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedChild {
    id: ObjectId,
    class: String,
    name: Option<String>,
    is_active: bool,
}

impl OwnedChild {
    /// Its id.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The stored name of its class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Its name. `None`: only its id is known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it was in memory when the page was read.
    pub fn is_active(&self) -> bool {
        self.is_active
    }
}
