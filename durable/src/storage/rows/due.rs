//! What the rows of all that is due have in common: alarms, and what schedules have to run. Both have one row at most for
//! each object, with `object_no`, `due_ms` and `set_by`, and an index in the order of time.

use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::{signed, unsigned};
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Place};
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

/// The queries of one such table.
pub(crate) struct Dues {
    pub(super) first: &'static str,
    pub(super) of: &'static str,
    pub(super) any: &'static str,
    pub(super) orphans: &'static str,
    pub(super) erase: &'static str,
}

/// The queries of a table.
macro_rules! dues {
    ($table:literal) => {
        $crate::storage::rows::due::Dues {
            // The objects are found one by one: the order is the index's.
            first: concat!(
                "SELECT d.object_no, d.due_ms, d.set_by, o.class_no, o.id FROM ",
                $table,
                " d CROSS JOIN objects o ON o.object_no = d.object_no
                 WHERE (d.due_ms, d.object_no) > (?1, ?2) ORDER BY d.due_ms, d.object_no"
            ),
            of: concat!(
                "SELECT d.object_no, d.due_ms, d.set_by, o.class_no, o.id FROM objects o JOIN ",
                $table,
                " d ON d.object_no = o.object_no WHERE o.lookup_hash = ?1 AND o.id = ?2"
            ),
            any: concat!("SELECT 1 FROM ", $table, " LIMIT 1"),
            orphans: concat!(
                "SELECT object_no FROM ",
                $table,
                " WHERE object_no NOT IN (SELECT object_no FROM objects) ORDER BY object_no"
            ),
            erase: concat!("DELETE FROM ", $table, " WHERE object_no = ?1"),
        }
    };
}
pub(super) use dues;

impl Dues {
    /// What is due, in the order of time, at most `limit`, and whether there is no more. `after`: only what comes later.
    pub(crate) fn first(
        &self,
        connection: &Connection,
        after: Option<Place>,
        limit: usize,
    ) -> rusqlite::Result<(Vec<Alarmed>, bool)> {
        let none = Place { due: WallMs(0), object_no: i64::MIN };
        let Place { due, object_no } = after.unwrap_or(none);
        let mut select = connection.prepare_cached(self.first)?;
        in_order(select.query(params![signed(due.0), object_no])?, limit, read)
    }

    /// When something of an object is due. `None`: nothing is.
    pub(crate) fn of(
        &self,
        connection: &Connection,
        id: &ObjectId,
    ) -> rusqlite::Result<Option<Alarmed>> {
        let key = params![id.lookup_hash(), &id.as_bytes()[..]];
        connection.prepare_cached(self.of)?.query_row(key, read).optional()
    }

    /// Whether anything is due some day.
    pub(crate) fn is_any_set(&self, connection: &Connection) -> rusqlite::Result<bool> {
        connection.prepare(self.any)?.exists([])
    }

    /// The numbers of the rows that are of no object.
    pub(crate) fn orphans(&self, connection: &Connection) -> rusqlite::Result<Vec<ObjectNo>> {
        let mut select = connection.prepare(self.orphans)?;
        let rows = select.query_map([], |row| row.get(0).map(ObjectNo))?;
        rows.collect()
    }

    /// Takes away what an object has that is erased.
    pub(crate) fn erase(
        &self,
        connection: &Connection,
        object_no: ObjectNo,
    ) -> rusqlite::Result<()> {
        connection.prepare_cached(self.erase)?.execute([object_no.0]).map(drop)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Alarmed> {
    Ok(Alarmed {
        place: Place { due: WallMs(unsigned(row, 1)?), object_no: row.get(0)? },
        set_by: unsigned(row, 2)?,
        class_no: row.get(3)?,
        id: ObjectId::from_bytes(row.get(4)?),
    })
}

/// The first rows, at most `limit`, and whether there are no more. One that cannot be read is passed over, so that it holds
/// up nobody but its object, which does not start.
pub(super) fn in_order(
    mut rows: Rows<'_>,
    limit: usize,
    found: impl Fn(&Row<'_>) -> rusqlite::Result<Alarmed>,
) -> rusqlite::Result<(Vec<Alarmed>, bool)> {
    let mut all = Vec::new();
    while all.len() < limit {
        let Some(row) = rows.next()? else { return Ok((all, true)) };
        all.extend(found(row).ok());
    }
    Ok((all, false))
}

/// Whether a row was set by a commit that its object had; both numbers are columns.
pub(super) fn set(row: &Row<'_>, set_by: usize, commits: usize) -> Result<(), String> {
    let number = |column| row.get::<_, i64>(column).map_err(|cause| cause.to_string());
    let (set_by, commits) = (number(set_by)?, number(commits)?);
    if (1..=commits).contains(&set_by) {
        return Ok(());
    }
    Err(format!("commit {set_by} has set it, and its object had {commits}"))
}
