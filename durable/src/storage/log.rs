//! What the writer knows of the log of objects' databases: how its rows are numbered, and which of them a sweep takes away.
//!
//! # Why no row is taken that is needed, and none is forgotten
//!
//! 1. *A row is needed until a fold is stored that names a number not below its own*; the fold has stored whatever the row
//!    says. The head of an object's pages is the only thing that is asked, inside of the transaction that deletes.
//! 2. *A sweep takes an object's rows from the oldest on.* It goes up the log once, and takes only rows whose fold was
//!    stored before it began: rows of a later fold it may have passed already. So the rows of an object that are left are
//!    the newest ones without a gap, and whoever erases the object finds all of them by its chain.
//! 3. *The newest row stays*, so numbers are counted on from it after a crash, and each is higher than all that a fold has
//!    named.
//! 4. *It is paid for by those who write.* A sweep begins when as much was added as the one before has left, or as
//!    [`LOG_SWEPT_SHARE`] says, and goes on by a few rows for each row that a batch adds, in the batch's own transaction
//!    and under its sync. So folded rows are at most about as many as the others, and a shard that has nothing to do does
//!    nothing.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::numbers::ObjectNo;
use super::rows::sql::{self, log};
use crate::limits::{LOG_SWEPT_FOLDS_MAX, LOG_SWEPT_PER_ROW, LOG_SWEPT_SHARE, SHARD_PAGE_BYTES};

/// The writer's side of the log.
pub(super) struct Log {
    /// The highest number that was given. `None`: the writer has not looked yet.
    highest: Option<u64>,
    /// Bytes added before a sweep is worth it.
    bytes_min: u64,
    /// Bytes added since the last sweep began.
    added: u64,
    /// Rows added by this batch.
    rows: usize,
    /// Bytes that the last sweep has left; 0: there was none.
    left: u64,
    /// The sweep that is under way. `None`: none is.
    pass: Option<Pass>,
}

/// A sweep that is under way.
struct Pass {
    /// Everything up to this row was looked at.
    at: u64,
    /// The newest row when it began.
    until: u64,
    /// Bytes of the rows that were left.
    left: u64,
    /// Up to which row objects are folded, as they were found. Their folds may be newer by now.
    folded: BTreeMap<ObjectNo, u64>,
}

impl Log {
    /// `log_pages`: how long the shard's write-ahead log may be.
    pub(super) fn new(log_pages: u32) -> Self {
        let bytes_min = u64::from(log_pages) * u64::from(SHARD_PAGE_BYTES) / LOG_SWEPT_SHARE;
        Log { highest: None, bytes_min, added: 0, rows: 0, left: 0, pass: None }
    }

    /// The highest number that was given to a row, or to one that was taken back.
    pub(super) fn highest(&mut self, connection: &Connection) -> rusqlite::Result<u64> {
        match self.highest {
            Some(highest) => Ok(highest),
            None => Ok(*self.highest.insert(log::highest(connection)?)),
        }
    }

    /// Rows up to this number, of so many bytes, were stored.
    pub(super) fn on_added(&mut self, highest: u64, bytes: usize) {
        let before = self.highest.replace(highest).expect("the numbers were counted from it");
        assert!(before <= highest, "numbers only rise, from {before} to {highest}");
        self.rows += usize::try_from(highest - before).unwrap_or(usize::MAX);
        self.added += bytes as u64;
    }

    /// The batch is not stored. What a sweep has looked at may be as it was before, so another begins later.
    pub(super) fn on_failed(&mut self) {
        (self.rows, self.pass) = (0, None);
    }

    /// Does the share of the batch in the sweep that is under way or due, inside of its transaction.
    pub(super) fn sweep(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        let mut pass = match self.pass.take() {
            Some(pass) => pass,
            None if self.added < self.left.max(self.bytes_min) => return Ok(()),
            None => {
                self.added = 0;
                let until = log::newest(connection)?;
                Pass { at: 0, until, left: 0, folded: BTreeMap::new() }
            }
        };
        if pass.piece(connection, rows.saturating_mul(LOG_SWEPT_PER_ROW))? {
            self.left = pass.left;
        } else {
            self.pass = Some(pass);
        }
        Ok(())
    }
}

impl Pass {
    /// Looks at `limit` rows. Gives whether the sweep is over.
    fn piece(&mut self, connection: &Connection, limit: usize) -> rusqlite::Result<bool> {
        let rows = log::seen(connection, (self.at, self.until), limit)?;
        // Neighbours go together.
        let mut gone: Option<(u64, u64)> = None;
        for row in &rows {
            self.at = row.log_no;
            if self.is_folded(connection, row)? {
                gone = Some((gone.map_or(row.log_no, |(first, _)| first), row.log_no));
                continue;
            }
            self.left += row.bytes;
            if let Some((first, last)) = gone.take() {
                log::delete(connection, first, last)?;
            }
        }
        if let Some((first, last)) = gone {
            log::delete(connection, first, last)?;
        }
        Ok(rows.len() < limit)
    }

    fn is_folded(&mut self, connection: &Connection, row: &log::Seen) -> rusqlite::Result<bool> {
        let folded = match self.folded.get(&row.object_no) {
            Some(folded) => *folded,
            None => {
                if self.folded.len() >= LOG_SWEPT_FOLDS_MAX {
                    self.folded.clear();
                }
                // A head that cannot be read says nothing, so nothing of its object is taken away.
                let folded = sql::fold(connection, row.object_no)?.map_or(0, |fold| fold.log_no);
                self.folded.insert(row.object_no, folded);
                folded
            }
        };
        // A fold that names the last row may be newer than the sweep.
        Ok(row.log_no <= folded && folded < self.until)
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
