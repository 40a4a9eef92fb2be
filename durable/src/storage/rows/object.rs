//! The directory of stored objects: who an object is, and the number that its other rows hang on.
//!
//! Layout: `object_no`; `lookup_hash` eight bytes of the id, big-endian, as a signed integer; `id`
//! 32 bytes; `class_no`; `slot` of the id; `name`, `jurisdiction`, `location_hint` NULL if there is
//! none; `born_ms` wall clock of the first commit; `lineage` NULL for an object without a parent, else its
//! [ancestors](crate::id::Lineage). An id is found by its hash: an index of integers
//! is a quarter of one of whole ids.
//!
//! Never reuse: an `object_no` stays with its id. New numbers are counted from the highest one that
//! is stored or, as `meta` remembers, was.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::{alarm, kin, schedule, signed, sql, unsigned};
use crate::id::{Lineage, ObjectId, Placement};
use crate::storage::numbers::{ClassNo, ObjectNo};
use crate::storage::stored::{After, Listed, StoredObject};
use crate::storage::write_set::Birth;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS objects (
    object_no INTEGER PRIMARY KEY,
    lookup_hash INTEGER NOT NULL,
    id BLOB NOT NULL,
    class_no INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    name TEXT,
    jurisdiction TEXT,
    location_hint TEXT,
    born_ms INTEGER NOT NULL,
    lineage BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_hash ON objects (lookup_hash);
CREATE INDEX IF NOT EXISTS objects_by_name ON objects (class_no, name, id)";

/// The statements that write objects, looked up once per batch.
pub(crate) struct Writes<'c> {
    connection: &'c Connection,
    find: CachedStatement<'c>,
    insert: CachedStatement<'c>,
    rename: CachedStatement<'c>,
    remove: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            connection,
            find: connection.prepare_cached(
                "SELECT object_no FROM objects WHERE lookup_hash = ?1 AND id = ?2",
            )?,
            insert: connection.prepare_cached(
                "INSERT INTO objects (object_no, lookup_hash, id, class_no, slot, name,
                     jurisdiction, location_hint, born_ms, lineage)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
            )?,
            rename: connection.prepare_cached(
                "UPDATE objects SET name = ?2 WHERE object_no = ?1 AND name IS NULL",
            )?,
            remove: connection.prepare_cached("DELETE FROM objects WHERE object_no = ?1")?,
        })
    }

    /// The number of a stored object.
    pub(crate) fn find(&mut self, id: &ObjectId) -> rusqlite::Result<Option<ObjectNo>> {
        let key = params![id.lookup_hash(), &id.as_bytes()[..]];
        self.find.query_row(key, |row| row.get(0).map(ObjectNo)).optional()
    }

    /// Stores an object whose id is not stored yet. `false`: the number is another object's.
    pub(crate) fn insert(
        &mut self,
        object_no: ObjectNo,
        birth: &Birth,
        born: WallMs,
    ) -> rusqlite::Result<bool> {
        let Birth { id, class_no, name, placement, lineage } = birth;
        let row = params![
            object_no.0,
            id.lookup_hash(),
            &id.as_bytes()[..],
            class_no.0,
            id.slot(),
            name.as_deref(),
            placement.jurisdiction.as_deref(),
            placement.location_hint.as_deref(),
            signed(born.0),
            lineage.as_ref().map(Lineage::encode),
        ];
        if self.insert.execute(row)? == 0 {
            return Ok(false);
        }
        if let Some(lineage) = lineage {
            kin::insert(self.connection, object_no, id, lineage)?;
        }
        Ok(true)
    }

    /// Gives an object its name, if it has none: a name never changes.
    pub(crate) fn rename(&mut self, object_no: ObjectNo, name: &str) -> rusqlite::Result<()> {
        self.rename.execute(params![object_no.0, name]).map(drop)
    }

    /// Takes back an insert of the same transaction.
    pub(crate) fn remove(&mut self, object_no: ObjectNo) -> rusqlite::Result<()> {
        kin::erase(self.connection, object_no)?;
        self.remove.execute(params![object_no.0]).map(drop)
    }
}

/// Deletes the row that says who an object is.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM objects WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

/// The id of an object. `None`: it is not stored.
pub(crate) fn id_of(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Option<ObjectId>> {
    let sql = "SELECT id FROM objects WHERE object_no = ?1";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row([object_no.0], |row| row.get(0).map(ObjectId::from_bytes)).optional()
}

/// Whether a class has objects.
pub(crate) fn any_of(connection: &Connection, class_no: ClassNo) -> rusqlite::Result<bool> {
    some_of(connection, class_no, 1).map(|some| !some.is_empty())
}

/// The numbers of some objects of a class, at most `limit`.
pub(crate) fn some_of(
    connection: &Connection,
    class_no: ClassNo,
    limit: u32,
) -> rusqlite::Result<Vec<ObjectNo>> {
    let sql = "SELECT object_no FROM objects WHERE class_no = ?1 LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![class_no.0, limit], |row| row.get(0).map(ObjectNo))?;
    rows.collect()
}

/// What is stored of an object, its snapshot included: two index look-ups and two row look-ups in
/// one statement, its alarm and its schedules one more each, so that all rows are of one commit.
pub(crate) fn load(
    connection: &Connection,
    id: &ObjectId,
) -> rusqlite::Result<Option<(ObjectNo, ClassNo, StoredObject)>> {
    let mut select = connection.prepare_cached(
        "SELECT o.object_no, o.class_no, o.name, o.jurisdiction, o.location_hint,
             s.epoch, s.commit_no, s.body, a.due_ms, a.scheduled_ms, a.retries, a.set_by, o.lineage,
             t.set_by, t.body
         FROM objects o LEFT JOIN snapshots s ON s.object_no = o.object_no
             LEFT JOIN alarms a ON a.object_no = o.object_no
             LEFT JOIN schedules t ON t.object_no = o.object_no
         WHERE o.lookup_hash = ?1 AND o.id = ?2",
    )?;
    let read = |row: &Row<'_>| {
        let body = row.get_ref(7)?.as_blob_or_null()?.map(Arc::from);
        let (epoch, commit_no) =
            if body.is_some() { (unsigned(row, 5)?, unsigned(row, 6)?) } else { (0, 0) };
        let stored = StoredObject {
            name: row.get(2)?,
            placement: placement(row, 3)?,
            epoch: crate::storage::numbers::Epoch(epoch),
            commit_no,
            body,
            alarm: alarm::read(row, 8)?,
            lineage: lineage(row, 12)?,
            schedules: schedule::read(row, 13)?,
        };
        Ok((number(row, 0)?, ClassNo(row.get(1)?), stored))
    };
    select.query_row(params![id.lookup_hash(), &id.as_bytes()[..]], read).optional()
}

/// Objects of a class in the order (name, id), the nameless ones first, at most `limit`.
///
/// `prefix`: only names that begin with it; every object if it is empty. `after`: only what comes
/// later in that order. An object that was brought back to before its birth is not there.
pub(crate) fn list(
    connection: &Connection,
    class_no: ClassNo,
    prefix: &str,
    after: Option<&After>,
    limit: usize,
) -> rusqlite::Result<Vec<Listed>> {
    let (mut listed, gone) = (Vec::new(), super::frame::gone());
    // Names are compared with NULL by no index range, so the nameless objects are a query of their
    // own.
    if prefix.is_empty() && after.is_none_or(|after| after.name.is_none()) {
        let start: &[u8] = after.map_or(&[], |after| after.id.as_bytes());
        let mut select = connection.prepare_cached(
            "SELECT name, id, jurisdiction, location_hint FROM objects
             WHERE class_no = ?1 AND name IS NULL AND id > ?2 AND NOT EXISTS (SELECT 1 FROM snapshots s
                 WHERE s.object_no = objects.object_no AND length(body) = length(?4) AND body = ?4)
             ORDER BY id LIMIT ?3",
        )?;
        let rows =
            select.query_map(params![class_no.0, start, signed(limit as u64), gone], listing)?;
        rows.into_iter().try_for_each(|row| row.map(|row| listed.push(row)))?;
    }
    let rest = limit - listed.len();
    if rest == 0 {
        return Ok(listed);
    }
    // Row values compare like the index's tail; an empty id comes before every id.
    let (name, id): (&str, &[u8]) = match after {
        Some(After { name: Some(name), id }) if **name >= *prefix => (name, id.as_bytes()),
        _ => (prefix, &[]),
    };
    let mut select = connection.prepare_cached(
        "SELECT name, id, jurisdiction, location_hint FROM objects
         WHERE class_no = ?1 AND (name, id) > (?2, ?3) AND NOT EXISTS (SELECT 1 FROM snapshots s
             WHERE s.object_no = objects.object_no AND length(body) = length(?5) AND body = ?5)
         ORDER BY name, id LIMIT ?4",
    )?;
    let rows =
        select.query_map(params![class_no.0, name, id, signed(rest as u64), gone], listing)?;
    for row in rows {
        let row = row?;
        if !row.name.as_deref().is_some_and(|name| name.starts_with(prefix)) {
            break;
        }
        listed.push(row);
    }
    Ok(listed)
}

/// How many objects there are.
pub(crate) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM objects", [], |row| unsigned(row, 0))
}

/// How many objects each class has.
pub(crate) fn count_by_class(connection: &Connection) -> rusqlite::Result<Vec<(ClassNo, u64)>> {
    let mut select =
        connection.prepare("SELECT class_no, count(*) FROM objects GROUP BY class_no")?;
    let rows = select.query_map([], |row| Ok((ClassNo(row.get(0)?), unsigned(row, 1)?)))?;
    rows.collect()
}

/// The ids of the objects of a class that have this name: one for each jurisdiction.
pub(crate) fn named(
    connection: &Connection,
    class_no: ClassNo,
    name: &str,
) -> rusqlite::Result<Vec<ObjectId>> {
    let sql = "SELECT id FROM objects WHERE class_no = ?1 AND name = ?2 ORDER BY id";
    let mut select = connection.prepare_cached(sql)?;
    let id = |row: &Row<'_>| row.get(0).map(ObjectId::from_bytes);
    let rows = select.query_map(params![class_no.0, name], id)?;
    rows.collect()
}

/// When an object committed first.
pub(crate) fn born(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<WallMs> {
    let sql = "SELECT born_ms FROM objects WHERE object_no = ?1";
    connection.query_row(sql, [object_no.0], |row| unsigned(row, 0).map(WallMs))
}

/// The highest number that any row uses, 0 if there is none. One that no object can have is damage, and not counted from.
pub(crate) fn highest(connection: &Connection) -> rusqlite::Result<ObjectNo> {
    let sql = "SELECT max(coalesce((SELECT max(object_no) FROM objects WHERE object_no < ?1), 0),
        coalesce((SELECT max(object_no) FROM snapshots WHERE object_no < ?1), 0),
        coalesce((SELECT max(object_no) FROM kv WHERE object_no < ?1), 0),
        coalesce((SELECT max(object_no) FROM alarms WHERE object_no < ?1), 0),
        coalesce((SELECT max(object_no) FROM schedules WHERE object_no < ?1), 0),
        coalesce((SELECT max(object_no) FROM dead_letters WHERE object_no < ?1), 0),
        coalesce((SELECT max(place) >> 24 FROM sql_pages), 0),
        coalesce((SELECT max(object_no) FROM history WHERE object_no < ?1), 0),
        coalesce((SELECT erased_no FROM meta), 0))";
    connection.query_row(sql, [sql::NUMBERS_END], |row| number(row, 0))
}

/// A column with a number that an object can have.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<ObjectNo> {
    let object_no = ObjectNo(row.get(column)?);
    if sql::is_possible(object_no) {
        Ok(object_no)
    } else {
        Err(rusqlite::Error::IntegralValueOutOfRange(column, object_no.0))
    }
}

fn listing(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let id = ObjectId::from_bytes(row.get(1)?);
    Ok(Listed { name: row.get(0)?, id, placement: placement(row, 2)? })
}

/// The ancestors that a row tells. `None`: the object has no parent.
pub(crate) fn lineage(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Lineage>> {
    let Some(bytes) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(None) };
    Lineage::decode(bytes).map(Some).ok_or_else(|| {
        let cause = "these bytes are no object's ancestors";
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, cause.into())
    })
}

fn placement(row: &Row<'_>, column: usize) -> rusqlite::Result<Placement> {
    let mut placement = Placement::new();
    placement.jurisdiction = row.get(column)?;
    placement.location_hint = row.get(column + 1)?;
    Ok(placement)
}

#[cfg(test)]
#[path = "object/tests.rs"]
mod tests;
