//! Going back in time in a world.

use durable::{Bookmark, HistoryEntry, IntoKey, Object, Stub, WallMs};

use crate::result::TestResult;
use crate::sim::Sim;

impl Sim {
    /// The newest moment of an object of a class with history.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; those of `Runtime::bookmark`.
    pub async fn bookmark<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
    ) -> TestResult<Bookmark> {
        let bookmark = self.runtime()?.bookmark(stub.id()?).await;
        Ok(bookmark?)
    }

    /// The newest moment of an object that was stored at `time` or before.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; those of `Runtime::bookmark_at`.
    pub async fn bookmark_at<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
        time: WallMs,
    ) -> TestResult<Bookmark> {
        let bookmark = self.runtime()?.bookmark_at(stub.id()?, time).await;
        Ok(bookmark?)
    }

    /// Brings an object back to a moment, and gives the one before.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; those of `Runtime::restore_to`.
    pub async fn restore_to<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
        to: &Bookmark,
    ) -> TestResult<Bookmark> {
        let undo = self.runtime()?.restore_to(stub.id()?, to).await;
        Ok(undo?)
    }

    /// Makes a new object of what another was at a moment, and gives its stub.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; those of `Runtime::fork`.
    pub async fn fork<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
        at: &Bookmark,
        new: impl IntoKey<O::Key>,
    ) -> TestResult<S> {
        let id = self.runtime()?.fork::<O>(stub.id()?, at, new).await;
        Ok(self.get_by_id::<O>(id?)?)
    }

    /// What the newest commits of an object did, at most 1,000 entries.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; those of `Runtime::history`.
    pub async fn past<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
    ) -> TestResult<Vec<HistoryEntry>> {
        let entries = self.runtime()?.history(stub.id()?, None, 1_000).await;
        Ok(entries?)
    }
}
