//! Quarantined objects, as an operator sees and frees them.

use std::sync::Arc;

use crate::data_directory::DataDirectory;
use crate::error::Error;
use crate::id::ObjectId;
use crate::limits::LIST_PAGE_MAX;
use crate::quarantine::Quarantined;
use crate::runtime::Runtime;
use crate::storage::{ClassNo, quarantine_page, quarantine_told};

impl Runtime {
    /// One page of the objects that are kept from running, in the order of their ids: at most
    /// [`LIST_PAGE_MAX`](crate::limits::LIST_PAGE_MAX). A page that is shorter is the last.
    ///
    /// `class`: only those of the class of this name. `after`: the last of the page before. `None`: of all, from the
    /// beginning.
    ///
    /// # Errors
    /// `class.unknown` if the class is not registered; `storage.*` if they cannot be read; `runtime.closed`.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub async fn quarantined(
        &self,
        class: Option<&str>,
        after: Option<ObjectId>,
    ) -> Result<Vec<Quarantined>, Error> {
        let class_no =
            class.map(|name| self.class(name).map(|group| group.class_no())).transpose()?;
        let mut shards = Vec::new();
        for shard in self.registry().shared().store.shards() {
            shards.push(shard.read_quarantines(class_no, after, LIST_PAGE_MAX).await?);
        }
        let groups = self.registry().groups();
        let named = |class: Result<ClassNo, &ObjectId>| match class {
            Ok(number) => {
                let group = groups.iter().find(|group| group.class_no() == number);
                group.map_or_else(|| format!("class {number}"), |group| group.name().to_owned())
            }
            Err(id) => {
                let group = groups.iter().find(|group| group.owns(id));
                group.map_or_else(|| "an unknown class".to_owned(), |group| group.name().to_owned())
            }
        };
        let found = quarantine_page(shards).into_iter();
        Ok(found.map(|found| quarantine_told(found, named)).collect())
    }

    /// Lets an object run again, as if it had never failed. Gives whether it was quarantined. An alarm that has waited
    /// fires.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class; `storage.*` if it cannot be stored, and then it runs until the
    /// process ends; `runtime.closed`.
    ///
    /// # Cancel safety
    /// It goes on if the future is dropped after it was polled.
    pub async fn release(&self, id: ObjectId) -> Result<bool, Error> {
        Arc::clone(self.owner(&id)?).release(id).await
    }

    /// Lets the next call to a quarantined object through, whatever its time. Gives whether it is quarantined. One whose
    /// quarantine cannot be read stays refused until it is released.
    ///
    /// # Errors
    /// `id.foreign` if the id is one of no registered class.
    pub fn retry(&self, id: ObjectId) -> Result<bool, Error> {
        Ok(self.owner(&id)?.retry_quarantined(&id))
    }
}

impl DataDirectory {
    /// One page of the objects that are kept from running, as [`Runtime::quarantined`].
    ///
    /// # Errors
    /// `storage.corrupt`, `storage.failed`.
    pub fn quarantined(&self, after: Option<ObjectId>) -> Result<Vec<Quarantined>, Error> {
        self.look().quarantined(after)
    }

    /// Lets an object run again when a runtime is started. Gives whether it was quarantined.
    ///
    /// # Errors
    /// `storage.locked` if a runtime holds the directory: ask it; `storage.*` if it cannot be stored.
    pub fn release(&self, id: ObjectId) -> Result<bool, Error> {
        self.look().release(&id)
    }
}
