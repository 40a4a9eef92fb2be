//! Listing the objects that exist.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::client::Client;
use crate::error::{Code, Error};
use crate::id::ObjectId;
use crate::limits::LIST_PAGE_MAX;
use crate::object::Object;
use crate::storage::After;

/// A question for the objects of one class that have stored state, whether they are in memory or not.
///
/// Objects without a name come first, in the order of their ids, then the named ones, in the bytewise order of their
/// names. A page is what was durable when it was read; objects that are born between two pages appear if their place is
/// yet to come.
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
/// for name in ["user/1", "user/2", "other"] {
///     runtime.get::<Counter>(name).add(1).await?;
/// }
/// let page = runtime.list::<Counter>().prefix("user/").limit(1).page().await?;
/// assert_eq!(page[0].name(), Some("user/1"));
/// let next = runtime.list::<Counter>().prefix("user/").after(&page[0]).page().await?;
/// assert_eq!(next.len(), 1);
/// assert_eq!(next[0].name(), Some("user/2"));
/// # Ok(())
/// # }
/// ```
#[must_use = "a listing reads nothing until `page`"]
pub struct Listing<C> {
    client: Client,
    /// Empty: all names, and objects without one.
    prefix: String,
    /// `None`: from the first.
    after: Option<Listed>,
    limit: usize,
    class: PhantomData<fn() -> C>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    id: ObjectId,
    name: Option<Arc<str>>,
}

impl Listed {
    pub(crate) fn new(id: ObjectId, name: Option<Arc<str>>) -> Self {
        Listed { id, name }
    }

    /// A place in a listing, for [`after`](Listing::after): that of an object with this id and this name, whether it is
    /// stored or not.
    pub fn at(id: ObjectId, name: Option<Arc<str>>) -> Self {
        Listed::new(id, name)
    }

    /// The object's id.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// The object's name; `None` if it was only ever asked for by id.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl<C: Object> Listing<C> {
    pub(crate) fn new(client: Client) -> Self {
        let (prefix, after) = (String::new(), None);
        Listing { client, prefix, after, limit: LIST_PAGE_MAX, class: PhantomData }
    }

    /// Only objects whose names begin with `prefix`; objects without a name only if it is empty.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only objects that come after this one: the last of an earlier page.
    pub fn after(mut self, last: &Listed) -> Self {
        self.after = Some(last.clone());
        self
    }

    /// At most this many objects, 1 to 1,000. Default: 1,000.
    pub fn limit(mut self, objects: usize) -> Self {
        self.limit = objects;
        self
    }

    /// Reads one page. A page that is shorter than the limit is the last.
    ///
    /// # Errors
    /// `config.invalid` for a limit out of range; `class.unknown`; `storage.failed`, `storage.corrupt`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn page(self) -> Result<Vec<Listed>, Error> {
        if !(1..=LIST_PAGE_MAX).contains(&self.limit) {
            return Err(Code::ConfigInvalid.error(format!(
                "a page of {} objects was asked for, allowed are 1 to {LIST_PAGE_MAX}; ask for several pages",
                self.limit
            )));
        }
        let group = self.client.group::<C>()?;
        let after = self.after.map(|last| After { name: last.name, id: last.id });
        group.list(self.prefix.into(), after, self.limit).await
    }
}

impl<C> fmt::Debug for Listing<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("prefix", &self.prefix)
            .field("after", &self.after)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
