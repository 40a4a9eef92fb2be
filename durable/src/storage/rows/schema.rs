//! The schemas that states were written with, once per class and fingerprint, so that an old state
//! can be read by name.
//!
//! Layout: `class_no`, `fingerprint` (the u64's bits as a signed integer), `schema` the writer's
//! encoded schema.
//!
//! Never reuse: a row is never deleted while a snapshot may carry its fingerprint, nor changed, but for one whose bytes do
//! not have its fingerprint, by code that has the schema.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

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

/// Every schema that states of a class were written with.
pub(crate) fn all(
    connection: &Connection,
    class_no: ClassNo,
) -> rusqlite::Result<BTreeMap<Fingerprint, Vec<u8>>> {
    let sql = "SELECT fingerprint, schema FROM schemas WHERE class_no = ?1";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([class_no.0], |row| {
        let print: i64 = row.get(0)?;
        Ok((Fingerprint(print.cast_unsigned()), row.get(1)?))
    })?;
    rows.collect()
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
            prop_assert!(all(&connection, class_no).expect("read").is_empty());
            add(&connection, class_no, print, &schema).expect("added");
            add(&connection, class_no, print, b"another").expect("there already");
            let other = ClassNo(class_no.0 ^ 1);
            add(&connection, other, print, b"another class").expect("added");
            let found = all(&connection, class_no).expect("read");
            prop_assert_eq!(found, BTreeMap::from([(print, schema)]));
            mend(&connection, class_no, print, b"mended").expect("there already");
            let found = all(&connection, class_no).expect("read");
            prop_assert_eq!(found, BTreeMap::from([(print, b"mended".to_vec())]));
            prop_assert_eq!(&all(&connection, other).expect("read")[&print], b"another class");
        }
    }
}
