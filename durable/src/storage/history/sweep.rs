//! Shortening the past of objects that do not commit: the writer goes over all of them, a piece at a time, when it is asked.
//!
//! It is asked when a runtime starts, and when the oldest row falls due. While there are no rows nobody waits for anything,
//! so a world without history, or one in which nothing happens any more, stays quiet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::record::expire;
use crate::error::Error;
use crate::kernel::history::{Bounds, due};
use crate::limits::HISTORY_SWEPT_AT_ONCE;
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::history;
use crate::time::WallMs;

/// What the lanes of a shard know of its objects' pasts.
pub(in crate::storage) struct Sweep {
    pub(in crate::storage) bounds: Bounds,
    /// Who waits for the end of a sweep that has not begun. `None`: there will be none any more.
    asked: Mutex<Option<Vec<Asker>>>,
    is_asked: AtomicBool,
    /// The last sweep found no row, and none was stored since.
    is_empty: AtomicBool,
    /// A row was stored since the last sweep began, maybe of an object that it had passed.
    is_recorded: AtomicBool,
    /// Rung when the first row comes, and when the shard is closed.
    bell: Arc<Notify>,
}

/// Is told when the oldest row that is left falls due; `None`: none is left.
type Asker = oneshot::Sender<Result<Option<WallMs>, Error>>;

/// A sweep that is under way.
pub(in crate::storage) struct Pass {
    /// Everything up to this object was looked at.
    at: ObjectNo,
    due: Option<WallMs>,
    askers: Vec<Asker>,
}

impl Sweep {
    /// `is_empty`: the shard has no row.
    pub(in crate::storage) fn new(bounds: Bounds, is_empty: bool, bell: Arc<Notify>) -> Self {
        let (asked, is_asked) = (Mutex::new(Some(Vec::new())), AtomicBool::new(false));
        let (is_empty, is_recorded) = (AtomicBool::new(is_empty), AtomicBool::new(false));
        Sweep { bounds, asked, is_asked, is_empty, is_recorded, bell }
    }

    /// Whether there is nothing to be swept.
    pub(in crate::storage) fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    /// Asks for a sweep, which the writer must be poked for.
    pub(in crate::storage) fn ask(&self) -> oneshot::Receiver<Result<Option<WallMs>, Error>> {
        let (asker, answered) = oneshot::channel();
        if let Some(asked) = &mut *self.asked() {
            asked.push(asker);
            self.is_asked.store(true, Ordering::Release);
        }
        answered
    }

    /// Nobody sweeps any more. Whoever waits finds the channel closed.
    pub(in crate::storage) fn close(&self) {
        let asked = self.asked().take();
        // Outside of the lock: it wakes those who wait.
        drop(asked);
    }

    fn asked(&self) -> MutexGuard<'_, Option<Vec<Asker>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row was stored.
    pub(in crate::storage) fn on_recorded(&self) {
        self.is_recorded.store(true, Ordering::Release);
        if self.is_empty() {
            self.is_empty.store(false, Ordering::Release);
            self.bell.notify_one();
        }
    }

    /// The sweep that is wanted.
    pub(in crate::storage) fn begin(&self) -> Option<Pass> {
        if !self.is_asked.swap(false, Ordering::AcqRel) {
            return None;
        }
        let askers = self.asked().as_mut().map(std::mem::take)?;
        self.is_recorded.store(false, Ordering::Release);
        Some(Pass { at: ObjectNo(i64::MIN), due: None, askers })
    }

    /// The sweep is over, or was given up.
    pub(in crate::storage) fn end(&self, mut pass: Pass, ended: Result<(), Error>) {
        if self.is_recorded.load(Ordering::Acquire) {
            // When that falls due is not known: the next sweep finds out.
            pass.due = pass.due.or(Some(WallMs(0)));
        }
        if ended.is_ok() && pass.due.is_none() {
            self.is_empty.store(true, Ordering::Release);
        }
        for asker in pass.askers {
            // Whoever no longer waits does not need to be told.
            let _ = asker.send(ended.clone().map(|()| pass.due));
        }
    }
}

/// Does a piece of a sweep, inside of a transaction. Gives whether it was the last.
pub(in crate::storage) fn piece(
    connection: &Connection,
    pass: &mut Pass,
    (bounds, now): (Bounds, WallMs),
) -> rusqlite::Result<bool> {
    let mut left = HISTORY_SWEPT_AT_ONCE;
    while left > 0 {
        let Some(object_no) = history::next_object(connection, pass.at)? else { return Ok(true) };
        let (gone, kept) = expire(connection, object_no, (bounds, now), left)?;
        left -= gone.clamp(1, left);
        if let Some(at) = kept {
            let due = due(bounds, at);
            pass.due = Some(pass.due.map_or(due, |other| other.min(due)));
            pass.at = object_no;
        }
    }
    Ok(false)
}
