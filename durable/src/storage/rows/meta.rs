//! The one row that says what a shard's database is.
//!
//! Layout: `format` the format of the whole file; `shard` its index and `shards` their count;
//! `store` 16 bytes that tell data directories apart; `boot` how often it was opened; `erased_no`
//! the highest number of an object that was erased, `erased_log` of a row of `sql_log` that was, 0 if
//! none was.
//!
//! Never reuse: the table, its row 1 and the column `format` stay in every later format, so that
//! any code can say which format it meets. `boot` only rises: epochs are made of it. So do
//! `erased_no` and `erased_log`: numbers of objects and of rows are counted from them.

use rusqlite::{Connection, OptionalExtension, params};

use super::{signed, unsigned};
use crate::storage::numbers::ObjectNo;

/// The format that this code writes, of the shards and of `durable.toml` alike.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL,
    store BLOB NOT NULL,
    boot INTEGER NOT NULL,
    erased_no INTEGER NOT NULL,
    erased_log INTEGER NOT NULL
) STRICT";

/// What a shard's database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) format: u64,
    pub(crate) shard: u64,
    pub(crate) shards: u64,
    pub(crate) store: [u8; 16],
    pub(crate) boot: u64,
}

impl Meta {
    /// Stores it in a new database.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let row = params![
            signed(self.format),
            signed(self.shard),
            signed(self.shards),
            &self.store[..],
            signed(self.boot)
        ];
        let sql = "INSERT OR REPLACE INTO meta (one, format, shard, shards, store, boot, erased_no,
            erased_log) VALUES (1, ?1, ?2, ?3, ?4, ?5, 0, 0)";
        connection.execute(sql, row).map(drop)
    }

    /// `None`: there is no such row.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Option<Meta>> {
        let sql = "SELECT format, shard, shards, store, boot FROM meta WHERE one = 1";
        let read = connection.query_row(sql, [], |row| {
            Ok(Meta {
                format: unsigned(row, 0)?,
                shard: unsigned(row, 1)?,
                shards: unsigned(row, 2)?,
                store: row.get(3)?,
                boot: unsigned(row, 4)?,
            })
        });
        read.optional()
    }

    /// The format alone, which every format has. `None`: there is no such row.
    pub(crate) fn read_format(connection: &Connection) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT format FROM meta WHERE one = 1";
        connection.query_row(sql, [], |row| unsigned(row, 0)).optional()
    }
}

/// Counts one more boot and gives its number.
pub(crate) fn next_boot(connection: &Connection) -> rusqlite::Result<u64> {
    // Two statements: one with `RETURNING` commits when its row is dropped, and a commit that fails there tells nobody.
    connection.execute("UPDATE meta SET boot = boot + 1 WHERE one = 1", [])?;
    connection.query_row("SELECT boot FROM meta WHERE one = 1", [], |row| unsigned(row, 0))
}

/// The highest numbers that an erased object, and an erased row of `sql_log`, had.
pub(crate) fn erased(connection: &Connection) -> rusqlite::Result<(ObjectNo, i64)> {
    let sql = "SELECT erased_no, erased_log FROM meta WHERE one = 1";
    connection.query_row(sql, [], |row| Ok((ObjectNo(row.get(0)?), row.get(1)?)))
}

/// The number of an object that is erased is never given again.
pub(crate) fn remember_number(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<()> {
    let sql = "UPDATE meta SET erased_no = max(erased_no, ?1) WHERE one = 1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    const MAX: u64 = i64::MAX as u64;

    proptest! {
        #[test]
        fn the_row_round_trips(
            format in 0..=MAX, shard in 0..=MAX, shards in 0..=MAX, boot in 0..MAX, store: [u8; 16],
        ) {
            let meta = Meta { format, shard, shards, store, boot };
            let connection = in_memory();
            meta.write(&connection).expect("stored");
            prop_assert_eq!(Meta::read(&connection).expect("read"), Some(meta));
            prop_assert_eq!(next_boot(&connection).expect("counted"), boot + 1);
            prop_assert_eq!(Meta::read_format(&connection).expect("read"), Some(format));
        }
    }
}
