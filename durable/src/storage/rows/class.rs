//! Classes by number. Every shard has every class, with the same number, so that a shard can be
//! moved alone.
//!
//! Layout: `class_no` from 1; `name` the class's stored identity.
//!
//! Never reuse: a number stays with its name, also when no code knows the class any more.

use rusqlite::{Connection, params};

use crate::state::Fingerprint;
use crate::storage::numbers::ClassNo;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS classes (
    class_no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
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
}

/// Adds a class, unless it is there already. Fails if the number or the name is another class's.
pub(crate) fn add(connection: &Connection, class_no: ClassNo, name: &str) -> rusqlite::Result<()> {
    let sql = "SELECT count(*) FROM classes WHERE class_no = ?1 AND name = ?2";
    let present: i64 = connection.query_row(sql, params![class_no.0, name], |row| row.get(0))?;
    if present == 0 {
        let sql = "INSERT INTO classes (class_no, name) VALUES (?1, ?2)";
        connection.execute(sql, params![class_no.0, name])?;
    }
    Ok(())
}

/// A class that a shard has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) class_no: ClassNo,
    pub(crate) name: String,
    /// Of a schema that states were written with. `None`: no schema was ever added.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// All classes, by number; one with several schemas comes once for each.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Known>> {
    let mut select = connection.prepare(
        "SELECT class_no, name, fingerprint FROM classes LEFT JOIN schemas USING (class_no)
         ORDER BY class_no, fingerprint",
    )?;
    let rows = select.query_map([], |row| {
        let print: Option<i64> = row.get(2)?;
        Ok(Known {
            class_no: ClassNo(row.get(0)?),
            name: row.get(1)?,
            fingerprint: print.map(|print| Fingerprint(print.cast_unsigned())),
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    proptest! {
        #[test]
        fn a_class_round_trips(class_no in 1_u32.., name: String) {
            let connection = in_memory();
            add(&connection, ClassNo(class_no), &name).expect("added");
            add(&connection, ClassNo(class_no), &name).expect("there already");
            let known = Known { class_no: ClassNo(class_no), name, fingerprint: None };
            prop_assert_eq!(all(&connection).expect("read"), vec![known]);
        }
    }

    #[test]
    fn a_number_and_a_name_stay_together() {
        let connection = in_memory();
        add(&connection, ClassNo(1), "bank.Account").expect("added");
        assert!(add(&connection, ClassNo(1), "shop.Cart").is_err());
        assert!(add(&connection, ClassNo(2), "bank.Account").is_err());
    }
}
