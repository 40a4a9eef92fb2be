//! Classes by number. Every shard has every class, with the same number, so that a shard can be
//! moved alone.
//!
//! Layout of `classes`: `class_no` from 1; `name` the class's stored identity, NULL if it was
//! deleted; `origin` what the ids of its objects are made with; `changes` how often its name was
//! changed, by which the newest of several shards' rows is known. Of `class_changes`: which change,
//! the name that the class has had since, and the wall clock.
//!
//! Never reuse: a number and an origin stay with their class, also when the class is deleted.

use rusqlite::{Connection, params};

use super::{signed, unsigned};
use crate::kernel::lifecycle::Class;
use crate::state::Fingerprint;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS classes (
    class_no INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    origin TEXT NOT NULL UNIQUE,
    changes INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS class_changes (
    class_no INTEGER NOT NULL,
    change INTEGER NOT NULL,
    name TEXT,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (class_no, change)
) STRICT";

/// A class as it is made known to the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassRow<'a> {
    /// The class's stored identity.
    pub(crate) name: &'a str,
    /// Of the schema that states are written with from here on.
    pub(crate) fingerprint: Fingerprint,
    /// That schema, encoded.
    pub(crate) schema: &'a [u8],
    /// Whether the past of its objects is kept.
    pub(crate) keeps_history: bool,
}

/// Stores classes as they are to be, in place of those that differ. The caller has opened a transaction.
pub(crate) fn write(
    connection: &Connection,
    differing: &[&Class],
    now: WallMs,
) -> rusqlite::Result<()> {
    // First of all they let go of their names, of which one may be another's now.
    for Class { class_no, .. } in differing {
        connection
            .execute("UPDATE classes SET name = NULL WHERE class_no = ?1", params![class_no])?;
    }
    for Class { class_no, name, origin, changes } in differing {
        let changes = signed(*changes);
        connection.execute(
            "INSERT INTO classes (class_no, name, origin, changes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (class_no) DO UPDATE SET name = ?2, changes = ?4",
            params![class_no, name, origin, changes],
        )?;
        connection.execute(
            "INSERT INTO class_changes (class_no, change, name, at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![class_no, changes, name, signed(now.0)],
        )?;
    }
    Ok(())
}

/// All classes, by number.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Class>> {
    let mut select = connection
        .prepare("SELECT class_no, name, origin, changes FROM classes ORDER BY class_no")?;
    let rows = select.query_map([], |row| {
        Ok(Class {
            class_no: row.get(0)?,
            name: row.get(1)?,
            origin: row.get(2)?,
            changes: unsigned(row, 3)?,
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    fn class(class_no: u32, name: Option<String>, origin: &str) -> Class {
        Class { class_no, name, origin: origin.to_owned(), changes: 0 }
    }

    proptest! {
        #[test]
        fn a_class_round_trips_and_changes(class_no in 1_u32.., name: String, next: Option<String>) {
            let connection = in_memory();
            let first = class(class_no, Some(name), "origin");
            write(&connection, &[&first], WallMs(5)).expect("stored");
            prop_assert_eq!(all(&connection).expect("read"), vec![first.clone()]);
            let second = Class { name: next, changes: 1, ..first };
            write(&connection, &[&second], WallMs(6)).expect("stored");
            prop_assert_eq!(all(&connection).expect("read"), vec![second]);
        }
    }

    #[test]
    fn names_change_hands_and_origins_stay() {
        let connection = in_memory();
        let old = class(1, Some("bank.Account".to_owned()), "bank.Account");
        write(&connection, &[&old], WallMs(5)).expect("stored");
        let gone = Class { name: None, changes: 1, ..old };
        let new = class(2, Some("bank.Account".to_owned()), "bank.Account#2");
        write(&connection, &[&new, &gone], WallMs(6)).expect("stored");
        assert_eq!(all(&connection).expect("read"), [gone, new]);
        let stolen = class(3, None, "bank.Account");
        assert!(write(&connection, &[&stolen], WallMs(7)).is_err(), "an origin is one class's");
    }
}
