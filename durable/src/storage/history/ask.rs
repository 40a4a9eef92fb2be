//! What is asked of a shard about the past of its objects.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::rewind::{
    Entries, Here, Misplaced, Restoring, Whole, at_time, entries, find, restoring, rewind, whole,
};
use crate::error::Error;
use crate::history::Bookmark;
use crate::id::ObjectId;
use crate::storage::shared::closed;
use crate::storage::{Fence, Release, Shard};
use crate::time::WallMs;

/// What was found of an object's past. `None`: the object is not stored.
type Found<T> = Result<Option<Result<T, Misplaced>>, Error>;

impl Shard {
    /// Ends when everything that was handed over before is stored or has failed.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        let (sender, receiver) = oneshot::channel();
        let settled = Arc::new(Settled(Mutex::new(Some(sender))));
        self.release_after(&Fence::new(self.next_epoch()), settled);
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// What is stored of an object.
    pub(crate) async fn here(&self, id: ObjectId) -> Result<Option<Here>, Error> {
        self.read(move |connection| find(connection, &id)).await
    }

    /// The newest moment of an object that was stored at `time` or before.
    pub(crate) async fn at_time(&self, id: ObjectId, time: WallMs) -> Found<Bookmark> {
        self.read(move |connection| {
            let here = find(connection, &id)?;
            here.map(|here| at_time(connection, &here, time)).transpose()
        })
        .await
    }

    /// Entries of an object's history up to `until`, the newest first. `until`: `None` for all.
    pub(crate) async fn entries(
        &self,
        id: ObjectId,
        until: Option<Bookmark>,
        limit: usize,
    ) -> Found<Entries> {
        self.read(move |connection| {
            let here = find(connection, &id)?;
            let entries = |here: Here| {
                let until = until.unwrap_or_else(|| here.bookmark());
                entries(connection, &here, &until, limit)
            };
            here.map(entries).transpose()
        })
        .await
    }

    /// What a commit is to store that brings an object back to `to`, and what the object is now.
    pub(crate) async fn restoring(&self, id: ObjectId, to: Bookmark) -> Found<(Here, Restoring)> {
        self.read(move |connection| {
            let Some(here) = find(connection, &id)? else { return Ok(None) };
            match rewind(connection, &here, &to)? {
                Ok(rewound) => {
                    let restoring = restoring(connection, &here, rewound)?;
                    Ok(Some(Ok((here, restoring))))
                }
                Err(misplaced) => Ok(Some(Err(misplaced))),
            }
        })
        .await
    }

    /// All of an object at `at`, and what it is now.
    pub(crate) async fn whole_at(&self, id: ObjectId, at: Bookmark) -> Found<(Here, Whole)> {
        self.read(move |connection| {
            let Some(here) = find(connection, &id)? else { return Ok(None) };
            match rewind(connection, &here, &at)? {
                Ok(rewound) => {
                    let whole = whole(connection, &here, rewound)?;
                    Ok(Some(Ok((here, whole))))
                }
                Err(misplaced) => Ok(Some(Err(misplaced))),
            }
        })
        .await
    }
}

/// Tells that what was handed over before it is settled.
struct Settled(Mutex<Option<oneshot::Sender<Result<(), Error>>>>);

impl Release for Settled {
    fn release(&self, durable: Result<(), &Error>) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Whoever no longer waits does not need to be told.
            let _ = sender.send(durable.map_err(Clone::clone));
        }
    }
}
