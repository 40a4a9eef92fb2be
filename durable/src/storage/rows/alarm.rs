//! The alarms that are set: at most one for each object.
//!
//! Layout: `object_no`; `due_ms` wall clock from which on it fires; `scheduled_ms` what it was set
//! to; `retries` how many runs of its handler have failed; `set_by` the object's commit that stored
//! the row. The index `alarms_by_due` gives them in the order in which they fire.
//!
//! Never reuse: a row is taken away only by the commit of the handler that it started, or by one
//! that cancels or replaces it, and `set_by` tells it from every other alarm of its object.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::due::{Dues, dues, set};
use super::{signed, unsigned};
use crate::due::Alarm;
use crate::id::ObjectId;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS alarms (
    object_no INTEGER PRIMARY KEY,
    due_ms INTEGER NOT NULL,
    scheduled_ms INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    set_by INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS alarms_by_due ON alarms (due_ms, object_no)";

pub(crate) const DUES: Dues = dues!("alarms");

/// An alarm as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredAlarm {
    pub(crate) alarm: Alarm,
    /// Number of the object's commit that stored it.
    pub(crate) set_by: u64,
}

/// The statements that write alarms, looked up once per batch.
pub(crate) struct Writes<'c> {
    set: CachedStatement<'c>,
    clear: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            set: connection.prepare_cached(
                "INSERT INTO alarms (object_no, due_ms, scheduled_ms, retries, set_by)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (object_no) DO UPDATE
                 SET due_ms = ?2, scheduled_ms = ?3, retries = ?4, set_by = ?5",
            )?,
            clear: connection.prepare_cached("DELETE FROM alarms WHERE object_no = ?1")?,
        })
    }

    /// Sets an object's alarm, in place of an earlier one.
    pub(crate) fn set(
        &mut self,
        object_no: ObjectNo,
        alarm: Alarm,
        set_by: u64,
    ) -> rusqlite::Result<()> {
        let Alarm { due, scheduled, retries } = alarm;
        let (due, scheduled, set_by) = (signed(due.0), signed(scheduled.0), signed(set_by));
        self.set.execute(params![object_no.0, due, scheduled, retries, set_by]).map(drop)
    }

    /// Takes an object's alarm away, if it has one.
    pub(crate) fn clear(&mut self, object_no: ObjectNo) -> rusqlite::Result<()> {
        self.clear.execute([object_no.0]).map(drop)
    }
}

/// Reads the four columns from `first` on; they are NULL together if there is no alarm.
pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<StoredAlarm>> {
    if row.get_ref(first)?.as_i64_or_null()?.is_none() {
        return Ok(None);
    }
    let retries = unsigned(row, first + 2)?;
    let retries = u32::try_from(retries)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(first + 2, retries as i64))?;
    let alarm = Alarm {
        due: WallMs(unsigned(row, first)?),
        scheduled: WallMs(unsigned(row, first + 1)?),
        retries,
    };
    Ok(Some(StoredAlarm { alarm, set_by: unsigned(row, first + 3)? }))
}

/// The alarm of an object. `None`: it has none.
pub(crate) fn of(connection: &Connection, id: &ObjectId) -> rusqlite::Result<Option<StoredAlarm>> {
    let mut select = connection.prepare_cached(
        "SELECT a.due_ms, a.scheduled_ms, a.retries, a.set_by
         FROM objects o JOIN alarms a ON a.object_no = o.object_no
         WHERE o.lookup_hash = ?1 AND o.id = ?2",
    )?;
    let key = params![id.lookup_hash(), &id.as_bytes()[..]];
    Ok(select.query_row(key, |row| read(row, 0)).optional()?.flatten())
}

/// What is wrong with an alarm.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<(ObjectNo, String)>> {
    let mut select = connection.prepare(
        "SELECT a.due_ms, a.scheduled_ms, a.retries, a.set_by, a.object_no, s.commit_no
         FROM alarms a JOIN snapshots s ON s.object_no = a.object_no ORDER BY a.object_no",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if let Err(text) =
            read(row, 0).map_err(|cause| cause.to_string()).and_then(|_| set(row, 3, 5))
        {
            found.push((ObjectNo(row.get(4)?), text));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;
    use crate::storage::numbers::ClassNo;
    use crate::storage::rows::object;
    use crate::storage::write_set::Birth;

    const MAX: u64 = i64::MAX as u64;

    fn bear(connection: &Connection, object_no: i64) -> ObjectId {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&object_no.to_be_bytes());
        let id = ObjectId::from_bytes(bytes);
        let birth = Birth {
            id,
            class_no: ClassNo(3),
            name: None,
            placement: Default::default(),
            lineage: None,
        };
        let mut objects = object::Writes::prepare(connection).expect("our own tables");
        assert!(objects.insert(ObjectNo(object_no), &birth, WallMs(1)).expect("stored"));
        id
    }

    proptest! {
        #[test]
        fn an_alarm_round_trips(
            due in 0..=MAX, scheduled in 0..=MAX, retries: u32, set_by in 0..=MAX,
        ) {
            let connection = in_memory();
            let id = bear(&connection, 1);
            let mut writes = Writes::prepare(&connection).expect("our own tables");
            let alarm = Alarm { due: WallMs(due), scheduled: WallMs(scheduled), retries };
            writes.set(ObjectNo(1), Alarm::at(WallMs(5)), 1).expect("set");
            writes.set(ObjectNo(1), alarm, set_by).expect("replaced");
            let stored = Some(StoredAlarm { alarm, set_by });
            prop_assert_eq!(of(&connection, &id).expect("read"), stored);
            prop_assert!(DUES.is_any_set(&connection).expect("read"));
            writes.clear(ObjectNo(1)).expect("taken away");
            prop_assert_eq!(of(&connection, &id).expect("read"), None);
            prop_assert!(!DUES.is_any_set(&connection).expect("read"));
        }
    }

    #[test]
    fn alarms_are_read_in_the_order_in_which_they_fire() {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own tables");
        for (object_no, due) in [(1, 30), (2, 10), (3, 10), (4, 20)] {
            bear(&connection, object_no);
            writes.set(ObjectNo(object_no), Alarm::at(WallMs(due)), 9).expect("set");
        }
        let (first, is_last) = DUES.first(&connection, None, 3).expect("read");
        let numbers: Vec<_> = first.iter().map(|alarmed| alarmed.place.object_no).collect();
        assert_eq!((numbers, is_last), (vec![2, 3, 4], false));
        let (rest, is_last) = DUES.first(&connection, Some(first[2].place), 3).expect("read");
        assert_eq!((rest.len(), rest[0].place.object_no, rest[0].class_no), (1, 1, 3));
        assert!(is_last);
    }

    #[test]
    fn an_alarm_without_an_object_is_found() {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own tables");
        writes.set(ObjectNo(5), Alarm::at(WallMs(1)), 1).expect("set");
        assert_eq!(DUES.orphans(&connection).expect("read"), [ObjectNo(5)]);
        assert_eq!(DUES.first(&connection, None, 9).expect("read"), (vec![], true));
    }
}
