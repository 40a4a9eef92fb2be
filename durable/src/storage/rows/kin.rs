//! Who is below whom: for every stored object that has a parent, one row for each of its ancestors.
//!
//! Layout: `ancestor` 32 bytes, an id, of an object that need not be stored; `distance` 1 if it is the parent, 2 if it is
//! the parent's parent, and so on; `id` 32 bytes and `object_no`: of the object below. What is below an object is found by
//! a range of the key, however deep it is.
//!
//! Never reuse: rows come with the object's own row and go with it.

use rusqlite::{Connection, Row, params};

use super::signed;
use crate::id::{Lineage, ObjectId};
use crate::storage::numbers::{ClassNo, ObjectNo};

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS kin (
    ancestor BLOB NOT NULL,
    distance INTEGER NOT NULL,
    id BLOB NOT NULL,
    object_no INTEGER NOT NULL,
    PRIMARY KEY (ancestor, distance, id)
) STRICT, WITHOUT ROWID";

/// A stored child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kin {
    pub(crate) id: ObjectId,
    pub(crate) class_no: ClassNo,
    pub(crate) name: Option<String>,
}

/// Stores who is above an object. The caller has opened a transaction.
pub(crate) fn insert(
    connection: &Connection,
    object_no: ObjectNo,
    id: &ObjectId,
    lineage: &Lineage,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO kin (ancestor, distance, id, object_no) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    for (ancestor, distance) in lineage.ancestors().iter().zip(1_i64..) {
        let (ancestor, id) = (&ancestor.id.as_bytes()[..], &id.as_bytes()[..]);
        insert.execute(params![ancestor, distance, id, object_no.0])?;
    }
    Ok(())
}

/// Deletes what says who is above an object. Its row must still be there.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "SELECT id, lineage FROM objects WHERE object_no = ?1 AND lineage IS NOT NULL";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([object_no.0])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let (id, lineage): ([u8; ObjectId::BYTES], Vec<u8>) = (row.get(0)?, row.get(1)?);
    // Damaged bytes lead to no rows that could be deleted.
    let Some(lineage) = Lineage::decode(&lineage) else { return Ok(()) };
    let sql = "DELETE FROM kin WHERE ancestor = ?1 AND distance = ?2 AND id = ?3";
    let mut delete = connection.prepare_cached(sql)?;
    for (ancestor, distance) in lineage.ancestors().iter().zip(1_i64..) {
        delete.execute(params![&ancestor.id.as_bytes()[..], distance, &id[..]])?;
    }
    Ok(())
}

/// The numbers of all stored objects below `ancestor`, however deep. A row whose number is another object's leads nowhere:
/// what is below is deleted with its ancestor.
pub(crate) fn below(
    connection: &Connection,
    ancestor: &ObjectId,
) -> rusqlite::Result<Vec<ObjectNo>> {
    let sql =
        "SELECT k.object_no FROM kin k JOIN objects o ON o.object_no = k.object_no AND o.id = k.id
        WHERE k.ancestor = ?1 ORDER BY k.distance, k.id";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map([&ancestor.as_bytes()[..]], |row| row.get(0).map(ObjectNo))?;
    rows.collect()
}

/// Stored children of `parent` in the order of their ids, at most `limit`. `after`: only those behind this id. A child that
/// was brought back to before its birth is not there.
pub(crate) fn children(
    connection: &Connection,
    parent: &ObjectId,
    after: Option<&ObjectId>,
    limit: usize,
) -> rusqlite::Result<Vec<Kin>> {
    let mut select = connection.prepare_cached(
        "SELECT k.id, o.class_no, o.name FROM kin k JOIN objects o ON o.object_no = k.object_no
         WHERE k.ancestor = ?1 AND k.distance = 1 AND k.id > ?2 AND o.id = k.id AND NOT EXISTS (
             SELECT 1 FROM snapshots s WHERE s.object_no = k.object_no
                 AND length(s.body) = length(?4) AND s.body = ?4)
         ORDER BY k.id LIMIT ?3",
    )?;
    let start: &[u8] = after.map_or(&[], |after| after.as_bytes());
    let gone = super::frame::gone();
    let kin = |row: &Row<'_>| {
        let id = ObjectId::from_bytes(row.get(0)?);
        Ok(Kin { id, class_no: ClassNo(row.get(1)?), name: row.get(2)? })
    };
    let parameters = params![&parent.as_bytes()[..], start, signed(limit as u64), gone];
    select.query_map(parameters, kin)?.collect()
}

/// Rows that contradict the objects' own, of each what is wrong with it.
pub(crate) fn wrong(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(
        "SELECT o.object_no, o.id, o.lineage FROM objects o WHERE o.lineage IS NOT NULL
         ORDER BY o.object_no",
    )?;
    let (mut found, mut known) = (Vec::new(), 0_i64);
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (number, id, bytes): (i64, [u8; ObjectId::BYTES], Vec<u8>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(lineage) = Lineage::decode(&bytes) else {
            found.push(format!("the ancestors of object number {number} are unreadable"));
            continue;
        };
        for (ancestor, distance) in lineage.ancestors().iter().zip(1_i64..) {
            let sql = "SELECT count(*) FROM kin WHERE ancestor = ?1 AND distance = ?2 AND id = ?3
                AND object_no = ?4";
            let key = params![&ancestor.id.as_bytes()[..], distance, &id[..], number];
            let count: i64 = connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?;
            known += count;
            if count == 0 {
                found.push(format!(
                    "object number {number} is below {}, and the index of children does not say so",
                    ancestor.id
                ));
            }
        }
    }
    let all: i64 = connection.query_row("SELECT count(*) FROM kin", [], |row| row.get(0))?;
    if all != known {
        let surplus = all - known;
        found.push(format!("{surplus} rows of the index of children belong to no stored child"));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "kin/tests.rs"]
mod tests;
