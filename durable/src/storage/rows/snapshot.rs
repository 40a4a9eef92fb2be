//! The state of every object: one row, replaced by every commit.
//!
//! Layout: `object_no`; `epoch` of the activation that committed last; `commit_no` how many commits
//! the object had; `log_end` where its chain of rows in the [log](super::sql::log) ends, times 2^16,
//! or 0 if it never had one, plus the lower half of the CRC-32C of `object_no` and of that number (i64,
//! u64, little-endian), 1 if that half is 0; `body` a [frame](super::frame); `results` the open chunk
//! of what it keeps for [calls with keys](super::result), empty or NULL if there is none.
//!
//! Never reuse: `commit_no` and `epoch` of an object only rise; together they are the fence against
//! stale writers.

use rusqlite::{CachedStatement, Connection, params};

use super::signed;
use super::sql::log;
use crate::storage::numbers::{Epoch, ObjectNo};

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS snapshots (
    object_no INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    commit_no INTEGER NOT NULL,
    log_end INTEGER NOT NULL,
    body BLOB NOT NULL,
    results BLOB
) STRICT";

/// One snapshot, as it is to be stored.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    pub(crate) object_no: ObjectNo,
    pub(crate) epoch: Epoch,
    pub(crate) commit_no: u64,
    pub(crate) body: &'a [u8],
    pub(crate) beside: Beside<'a>,
}

/// What else is in its row.
#[derive(Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    /// The end of its chain in the log. `None`: it stays as it is.
    pub(crate) log_end: Option<i64>,
    /// The open chunk of its results. `None`: it stays as it is.
    pub(crate) results: Option<&'a [u8]>,
}

/// The statements that write snapshots, looked up once per batch.
pub(crate) struct Writes<'c> {
    insert: CachedStatement<'c>,
    update: CachedStatement<'c>,
    connection: &'c Connection,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            connection,
            insert: connection.prepare_cached(
                "INSERT INTO snapshots (object_no, epoch, commit_no, log_end, body, results)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?,
            update: connection.prepare_cached(
                "UPDATE snapshots SET epoch = ?2, commit_no = ?3, body = ?4
                 WHERE object_no = ?1 AND commit_no = ?5 AND epoch <= ?2",
            )?,
        })
    }

    /// Stores `new` over commit `after`; 0 means that there is no earlier one. `false`: something
    /// else is stored.
    pub(crate) fn write(&mut self, new: Snapshot<'_>, after: u64) -> rusqlite::Result<bool> {
        let Snapshot { object_no: ObjectNo(object_no), epoch, commit_no, body, beside } = new;
        let (epoch, commit_no) = (signed(epoch.0), signed(commit_no));
        let changed = match beside {
            Beside { log_end, results } if after == 0 => {
                let log_end = log_end.unwrap_or_else(|| log::seal_end(new.object_no, 0));
                self.insert.execute(params![object_no, epoch, commit_no, log_end, body, results])?
            }
            Beside { log_end: None, results: None } => {
                self.update.execute(params![object_no, epoch, commit_no, body, signed(after)])?
            }
            Beside { log_end, results } => {
                let mut update = self.connection.prepare_cached(
                    "UPDATE snapshots SET epoch = ?2, commit_no = ?3, body = ?4,
                         log_end = coalesce(?6, log_end), results = coalesce(?7, results)
                     WHERE object_no = ?1 AND commit_no = ?5 AND epoch <= ?2",
                )?;
                let after = signed(after);
                let row = params![object_no, epoch, commit_no, body, after, log_end, results];
                update.execute(row)?
            }
        };
        Ok(changed == 1)
    }

    /// Counts commits that leave the state as it is, up to `commit_no`, over commit `after`. `false`: something else is
    /// stored. SQLite leaves the pages of a body alone that does not change.
    pub(crate) fn advance(
        &mut self,
        object_no: ObjectNo,
        epoch: Epoch,
        (commit_no, after): (u64, u64),
        Beside { log_end, results }: Beside<'_>,
    ) -> rusqlite::Result<bool> {
        let (epoch, commit_no) = (signed(epoch.0), signed(commit_no));
        let mut advance = self.connection.prepare_cached(
            "UPDATE snapshots SET epoch = ?2, commit_no = ?3,
                 log_end = coalesce(?5, log_end), results = coalesce(?6, results)
             WHERE object_no = ?1 AND commit_no = ?4 AND epoch <= ?2",
        )?;
        let row = params![object_no.0, epoch, commit_no, signed(after), log_end, results];
        Ok(advance.execute(row)? == 1)
    }
}

/// Counts a commit of an object that no activation makes, and gives its number. `None`: the object has no state.
pub(crate) fn count_commit(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Option<u64>> {
    let sql = "UPDATE snapshots SET commit_no = commit_no + 1 WHERE object_no = ?1";
    if connection.execute(sql, [object_no.0])? == 0 {
        return Ok(None);
    }
    let sql = "SELECT commit_no FROM snapshots WHERE object_no = ?1";
    connection.query_row(sql, [object_no.0], |row| super::unsigned(row, 0).map(Some))
}

/// Whether an object has no snapshot.
pub(crate) fn is_missing(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM snapshots WHERE object_no = ?1";
    connection.prepare_cached(sql)?.exists([object_no.0]).map(|is_there| !is_there)
}

/// Deletes an object's snapshot.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM snapshots WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{in_memory, unsigned};
    use super::*;

    const MAX: u64 = i64::MAX as u64;

    fn stored(connection: &Connection, object_no: ObjectNo) -> (u64, u64, Vec<u8>) {
        let sql = "SELECT epoch, commit_no, body FROM snapshots WHERE object_no = ?1";
        let read =
            |row: &rusqlite::Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?, row.get(2)?));
        connection.query_row(sql, [object_no.0], read).expect("stored")
    }

    proptest! {
        #[test]
        fn a_snapshot_round_trips(no: i64, epoch in 0..=MAX, commit_no in 2..=MAX, body: Vec<u8>) {
            let connection = in_memory();
            let object_no = ObjectNo(no);
            let first = Snapshot { object_no, epoch: Epoch(0), commit_no: 1, body: b"first", beside: Beside::default() };
            let second = Snapshot { object_no, epoch: Epoch(epoch), commit_no, body: &body, beside: Beside::default() };
            let mut writes = Writes::prepare(&connection).expect("our own statements");
            prop_assert!(writes.write(first, 0).expect("stored"));
            prop_assert!(writes.write(second, 1).expect("stored"));
            prop_assert_eq!(stored(&connection, object_no), (epoch, commit_no, body));
        }
    }

    #[test]
    fn only_the_next_commit_of_a_current_epoch_is_stored() {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        let mut write = |epoch, commit_no, after| {
            let new = Snapshot {
                object_no: ObjectNo(1),
                epoch: Epoch(epoch),
                commit_no,
                body: &[],
                beside: Beside::default(),
            };
            writes.write(new, after).expect("no error")
        };
        assert!(!write(5, 2, 1), "nothing is stored yet");
        assert!(write(5, 1, 0));
        assert!(!write(5, 1, 0), "there is a first commit already");
        assert!(!write(4, 2, 1), "the epoch is stale");
        assert!(!write(5, 3, 2), "commit 2 is missing");
        assert!(write(6, 4, 1), "commits 2 to 4 at once, by a newer epoch");
        assert!(!write(6, 2, 1), "commit 1 is not the last one");
    }

    #[test]
    fn a_commit_that_leaves_the_state_alone_is_fenced_like_any_other() {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        let object_no = ObjectNo(1);
        let first = Snapshot {
            object_no,
            epoch: Epoch(5),
            commit_no: 1,
            body: b"body",
            beside: Beside::default(),
        };
        let advance = |writes: &mut Writes<'_>, epoch, commit_no, after| {
            writes
                .advance(object_no, Epoch(epoch), (commit_no, after), Beside::default())
                .expect("no error")
        };
        assert!(!advance(&mut writes, 5, 2, 1), "nothing is stored yet");
        assert!(writes.write(first, 0).expect("stored"));
        assert!(!advance(&mut writes, 4, 2, 1), "the epoch is stale");
        assert!(!advance(&mut writes, 5, 3, 2), "commit 2 is missing");
        assert!(advance(&mut writes, 6, 3, 1), "commits 2 and 3 at once, by a newer epoch");
        assert_eq!(stored(&connection, object_no), (6, 3, b"body".to_vec()));
    }
}
