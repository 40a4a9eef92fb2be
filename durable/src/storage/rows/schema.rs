//! The schemas that states were written with, once per class and fingerprint, so that an old state
//! can be read by name.
//!
//! Layout: `class_no`, `fingerprint` (the u64's bits as a signed integer), `schema` the writer's
//! encoded schema.
//!
//! Never reuse: a row is never deleted while a snapshot may carry its fingerprint, nor changed, but for one whose bytes do
//! not have its fingerprint, by code that has the schema.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use crate::state::Fingerprint;
use crate::storage::numbers::ClassNo;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS schemas (
    class_no INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    schema BLOB NOT NULL,
    PRIMARY KEY (class_no, fingerprint)
) STRICT";

/// Adds a schema. One that is there already stays as it is: equal fingerprints mean equal layouts.
pub(crate) fn add(
    connection: &Connection,
    class_no: ClassNo,
    fingerprint: Fingerprint,
    schema: &[u8],
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO schemas (class_no, fingerprint, schema) VALUES (?1, ?2, ?3)
        ON CONFLICT DO NOTHING";
    connection.execute(sql, params![class_no.0, stored(fingerprint), schema]).map(drop)
}

/// Puts a schema where a damaged one stands.
pub(crate) fn mend(
    connection: &Connection,
    class_no: ClassNo,
    fingerprint: Fingerprint,
    schema: &[u8],
) -> rusqlite::Result<()> {
    let sql = "UPDATE schemas SET schema = ?3 WHERE class_no = ?1 AND fingerprint = ?2";
    connection.execute(sql, params![class_no.0, stored(fingerprint), schema]).map(drop)
}

/// Which schemas are stored of which classes, whatever their bytes.
pub(crate) fn known(connection: &Connection) -> rusqlite::Result<BTreeSet<(ClassNo, Fingerprint)>> {
    let mut select = connection.prepare("SELECT class_no, fingerprint FROM schemas")?;
    let rows = select.query_map([], |row| {
        let print: i64 = row.get(1)?;
        Ok((ClassNo(row.get(0)?), Fingerprint(print.cast_unsigned())))
    })?;
    rows.collect()
}

/// Every schema that states of each class were written with.
pub(crate) type Known = BTreeMap<ClassNo, BTreeMap<Fingerprint, Vec<u8>>>;

/// What is stored.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Known> {
    let mut select = connection.prepare("SELECT class_no, fingerprint, schema FROM schemas")?;
    let mut rows = select.query([])?;
    let mut known = Known::new();
    while let Some(row) = rows.next()? {
        let (class_no, print): (u32, i64) = (row.get(0)?, row.get(1)?);
        let schemas = known.entry(ClassNo(class_no)).or_default();
        schemas.insert(Fingerprint(print.cast_unsigned()), row.get(2)?);
    }
    Ok(known)
}
/// The schema of a fingerprint. `None`: no such state was ever written by this class.
pub(crate) fn get(
    connection: &Connection,
    class_no: ClassNo,
    fingerprint: Fingerprint,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT schema FROM schemas WHERE class_no = ?1 AND fingerprint = ?2";
    let key = params![class_no.0, stored(fingerprint)];
    connection.query_row(sql, key, |row| row.get(0)).optional()
}

fn stored(fingerprint: Fingerprint) -> i64 {
    fingerprint.0.cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    proptest! {
        #[test]
        fn a_schema_round_trips_and_stays(class_no: u32, print: u64, schema: Vec<u8>) {
            let connection = in_memory();
            let (class_no, print) = (ClassNo(class_no), Fingerprint(print));
            prop_assert!(all(&connection).expect("read").is_empty());
            add(&connection, class_no, print, &schema).expect("added");
            add(&connection, class_no, print, b"another").expect("there already");
            let other = ClassNo(class_no.0 ^ 1);
            add(&connection, other, print, b"another class").expect("added");
            let found = all(&connection).expect("read").remove(&class_no).expect("of this class");
            prop_assert_eq!(found, BTreeMap::from([(print, schema)]));
            mend(&connection, class_no, print, b"mended").expect("there already");
            let found = all(&connection).expect("read").remove(&class_no).expect("of this class");
            prop_assert_eq!(found, BTreeMap::from([(print, b"mended".to_vec())]));
            prop_assert_eq!(&all(&connection).expect("read")[&other][&print], b"another class");
        }
    }
}
