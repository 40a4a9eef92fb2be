//! Quarantines: the objects that are kept from running, whether they were ever stored or not.
//!
//! Layout: `id` 32 bytes; `class_no`; `name` NULL if only the id is known; `jurisdiction` NULL if
//! it is in none, part of what the id is made of; `reason` what it failed with last; `since_ms` and
//! `retry_ms` wall clock, since when it does not run and from when on one call is let through;
//! `delay_ms` how long that was to wait; `failed_trials` how often a call was let through in vain;
//! `code` what tells the code apart that it failed in, as a signed integer; `lineage` NULL for an
//! object without a parent, else its [ancestors](crate::id::Lineage): it goes with them also if it
//! was never stored.
//!
//! A row that cannot be read says that its object does not run, and nothing else, until somebody takes
//! it away.
//!
//! Never reuse: a row says nothing of an object but that it does not run, so it may go and come.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::{signed, unsigned};
use crate::id::{Lineage, ObjectId};
use crate::quarantine::Sentence;
use crate::storage::numbers::ClassNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS quarantines (
    id BLOB PRIMARY KEY,
    class_no INTEGER NOT NULL,
    name TEXT,
    jurisdiction TEXT,
    reason TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    retry_ms INTEGER NOT NULL,
    delay_ms INTEGER NOT NULL,
    failed_trials INTEGER NOT NULL,
    code INTEGER NOT NULL,
    lineage BLOB
) STRICT, WITHOUT ROWID";

/// An object that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredQuarantine {
    pub(crate) id: ObjectId,
    pub(crate) class_no: ClassNo,
    /// `None`: only its id is known.
    pub(crate) name: Option<String>,
    /// `None`: it is in none.
    pub(crate) jurisdiction: Option<String>,
    pub(crate) sentence: Sentence,
    /// Tells the code apart that it failed in.
    pub(crate) code: u64,
    /// `None`: it has no parent.
    pub(crate) lineage: Option<Lineage>,
}

/// One whose row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedQuarantine {
    /// `None`: the row does not say whose it is.
    pub(crate) id: Option<ObjectId>,
    /// `None`: there is none, or it is no text.
    pub(crate) name: Option<String>,
    /// `None`: it has no parent, or that cannot be read.
    pub(crate) lineage: Option<Lineage>,
    /// What is wrong with the row.
    pub(crate) what: String,
}

/// What is found in a row.
pub(crate) type Found = Result<StoredQuarantine, DamagedQuarantine>;

/// Stores one, in the place of an earlier one of its object.
pub(crate) fn put(connection: &Connection, stored: &StoredQuarantine) -> rusqlite::Result<()> {
    let StoredQuarantine { id, class_no, name, jurisdiction, sentence, code, lineage } = stored;
    let Sentence { reason, since, retry_at, delay, failed_trials } = sentence;
    let delay_ms = i64::try_from(delay.as_millis()).expect("a delay is short");
    let sql = "INSERT OR REPLACE INTO quarantines
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let row = params![
        &id.as_bytes()[..],
        class_no.0,
        name,
        jurisdiction,
        reason,
        signed(since.0),
        signed(retry_at.0),
        delay_ms,
        failed_trials,
        code.cast_signed(),
        lineage.as_ref().map(Lineage::encode),
    ];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// Takes away that of an object. Whether there was one.
pub(crate) fn remove(connection: &Connection, id: &ObjectId) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM quarantines WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.execute([&id.as_bytes()[..]])? > 0)
}

/// The ids of those below an object, however deep, whether they are stored or not.
pub(crate) fn below(
    connection: &Connection,
    ancestor: &ObjectId,
) -> rusqlite::Result<Vec<ObjectId>> {
    let sql = "SELECT id, lineage FROM quarantines WHERE lineage IS NOT NULL ORDER BY id";
    let mut select = connection.prepare_cached(sql)?;
    let (mut rows, mut below) = (select.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        // What is damaged is nobody's child; it stays until somebody releases it.
        let Ok(Some(lineage)) = super::object::lineage(row, 1) else { continue };
        if lineage.ancestors().iter().any(|above| above.id == *ancestor) {
            below.push(ObjectId::from_bytes(row.get(0)?));
        }
    }
    Ok(below)
}

/// Takes away that of an object, and those of all below it.
pub(crate) fn erase_tree(connection: &Connection, id: &ObjectId) -> rusqlite::Result<()> {
    remove(connection, id)?;
    below(connection, id)?.iter().try_for_each(|id| remove(connection, id).map(drop))
}

/// Takes away those of a class.
pub(crate) fn erase_class(connection: &Connection, class_no: ClassNo) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM quarantines WHERE class_no = ?1", [class_no.0]).map(drop)
}

const COLUMNS: &str = "SELECT id, class_no, name, jurisdiction, reason, since_ms, retry_ms, \
                       delay_ms, failed_trials, code, lineage FROM quarantines";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredQuarantine> {
    let sentence = Sentence {
        reason: row.get(4)?,
        since: WallMs(unsigned(row, 5)?),
        retry_at: WallMs(unsigned(row, 6)?),
        delay: Duration::from_millis(unsigned(row, 7)?),
        failed_trials: row.get(8)?,
    };
    Ok(StoredQuarantine {
        id: ObjectId::from_bytes(row.get(0)?),
        class_no: ClassNo(row.get(1)?),
        name: row.get(2)?,
        jurisdiction: row.get(3)?,
        sentence,
        code: row.get::<_, i64>(9)?.cast_unsigned(),
        lineage: super::object::lineage(row, 10)?,
    })
}

fn found(row: &Row<'_>) -> Found {
    read(row).map_err(|cause| {
        let name = row.get_ref(2).ok().and_then(|name| name.as_bytes_or_null().ok()?);
        DamagedQuarantine {
            id: row.get(0).ok().map(ObjectId::from_bytes),
            name: name.map(|name| String::from_utf8_lossy(name).into_owned()),
            lineage: super::object::lineage(row, 10).ok().flatten(),
            what: cause.to_string(),
        }
    })
}

/// All of them.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Found>> {
    let mut select = connection.prepare(&format!("{COLUMNS} ORDER BY id"))?;
    let rows = select.query_map([], |row| Ok(found(row)))?;
    rows.collect()
}

/// Those after one id, in the order of their ids, at most `limit`, but for those whose rows do not say whose they are.
/// `class_no`: of this class only.
pub(crate) fn list(
    connection: &Connection,
    class_no: Option<ClassNo>,
    after: Option<ObjectId>,
    limit: usize,
) -> rusqlite::Result<Vec<Found>> {
    let sql = format!(
        "{COLUMNS} WHERE id > ?1 AND length(id) = {} AND (?2 IS NULL OR class_no = ?2) \
         ORDER BY id LIMIT ?3",
        ObjectId::BYTES
    );
    let after: &[u8] = after.as_ref().map_or(&[], |after| after.as_bytes());
    let mut select = connection.prepare_cached(&sql)?;
    let class_no = class_no.map(|class_no| class_no.0);
    let rows =
        select.query_map(params![after, class_no, signed(limit as u64)], |row| Ok(found(row)))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;
    use crate::id::Ancestor;

    const MAX: u64 = i64::MAX as u64;

    proptest! {
        #[test]
        fn a_quarantine_round_trips(
            bytes: [u8; ObjectId::BYTES], class_no: u32, name: Option<String>, reason: String,
            since in 0..=MAX, retry_at in 0..=MAX, delay_ms in 0..=MAX, failed_trials: u32, code: u64,
            jurisdiction: Option<String>, is_child: bool,
        ) {
            let (since, retry_at) = (WallMs(since), WallMs(retry_at));
            let delay = Duration::from_millis(delay_ms);
            let (id, class_no) = (ObjectId::from_bytes(bytes), ClassNo(class_no));
            let sentence = Sentence { reason, since, retry_at, delay, failed_trials };
            let above = Ancestor { id: ObjectId::from_bytes([7; ObjectId::BYTES]), name: None };
            let lineage = is_child.then(|| Lineage::below(above.clone(), None));
            let stored =
                StoredQuarantine { id, class_no, name, jurisdiction, sentence, code, lineage };
            let connection = in_memory();
            put(&connection, &stored).expect("stored");
            put(&connection, &stored).expect("stored again");
            prop_assert_eq!(all(&connection).expect("read"), vec![Ok(stored.clone())]);
            let list = |class_no, after| list(&connection, class_no, after, 9).expect("read");
            prop_assert_eq!(list(Some(class_no), None), vec![Ok(stored.clone())]);
            prop_assert_eq!(list(None, None), vec![Ok(stored)]);
            prop_assert_eq!(list(None, Some(id)), vec![]);
            prop_assert_eq!(list(Some(ClassNo(class_no.0 ^ 1)), None), vec![]);
            let below = |id| below(&connection, id).expect("read");
            prop_assert_eq!(below(&above.id), if is_child { vec![id] } else { vec![] });
            prop_assert_eq!(below(&id), vec![]);
            erase_tree(&connection, &above.id).expect("removed");
            prop_assert_eq!(remove(&connection, &id).expect("removed"), !is_child);
            prop_assert!(!remove(&connection, &id).expect("removed"));
            prop_assert_eq!(all(&connection).expect("read"), vec![]);
        }
    }
}
