//! One file for every kind of stored row: its layout, its SQL, its codec, and what must never be
//! used again.
//!
//! A table that has been released is never given another meaning, a column is never taken away or
//! used for something else, and a number that once stood for something never stands for anything
//! else.

pub(crate) mod alarm;
pub(crate) mod class;
pub(crate) mod dead_letter;
pub(crate) mod due;
pub(crate) mod frame;
pub(crate) mod history;
pub(crate) mod kin;
pub(crate) mod kv;
pub(crate) mod meta;
pub(crate) mod object;
pub(crate) mod outbox;
pub(crate) mod quarantine;
pub(crate) mod received;
mod rest;
pub(crate) mod result;
pub(crate) mod schedule;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod sql;

use rusqlite::Connection;

use self::outbox::SendNotice;
use super::numbers::ObjectNo;
use crate::id::ObjectId;

/// Every table of a shard, in the order of creation.
const TABLES: [&str; 17] = [
    meta::TABLE,
    class::TABLE,
    object::TABLE,
    snapshot::TABLE,
    schema::TABLE,
    kv::TABLE,
    sql::TABLE,
    sql::log::TABLE,
    history::TABLE,
    alarm::TABLE,
    dead_letter::TABLE,
    quarantine::TABLE,
    kin::TABLE,
    schedule::TABLE,
    outbox::TABLE,
    received::TABLE,
    result::TABLE,
];

/// Creates the tables that are missing. The caller has opened a transaction.
pub(crate) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    TABLES.iter().try_for_each(|table| connection.execute_batch(table))
}

/// What else has gone with an object.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The objects below it.
    pub(crate) below: Vec<ObjectNo>,
    /// What that means for those who deliver sends.
    pub(crate) told: Vec<SendNotice>,
    /// Sends that waited.
    pub(crate) sends: u64,
}

/// Deletes everything that hangs on an object's number, and remembers the number. The caller has opened a transaction.
fn erase(connection: &Connection, object_no: ObjectNo, gone: &mut Gone) -> rusqlite::Result<()> {
    kv::erase(connection, object_no)?;
    sql::erase(connection, object_no)?;
    history::erase(connection, object_no)?;
    alarm::DUES.erase(connection, object_no)?;
    dead_letter::erase(connection, object_no)?;
    schedule::DUES.erase(connection, object_no)?;
    result::erase(connection, object_no)?;
    gone.sends += outbox::erase(connection, object_no, &mut gone.told)?;
    snapshot::erase(connection, object_no)?;
    kin::erase(connection, object_no)?;
    object::erase(connection, object_no)?;
    meta::remember_number(connection, object_no)
}

/// Deletes everything that hangs on an object, and on all objects below it, whether it is stored itself or not. The caller
/// has opened a transaction.
pub(crate) fn erase_tree(
    connection: &Connection,
    object_no: ObjectNo,
    id: &ObjectId,
) -> rusqlite::Result<Gone> {
    quarantine::erase_tree(connection, id)?;
    let mut gone = Gone::default();
    let below = kin::below(connection, id)?;
    below.iter().try_for_each(|object_no| erase(connection, *object_no, &mut gone))?;
    erase(connection, object_no, &mut gone)?;
    gone.below = below;
    Ok(gone)
}

/// A column that holds an unsigned number; negative ones are never written, so one means damage.
pub(crate) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A number as SQLite stores it. All our counters stay below 2^63.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("counters stay below 2^63")
}

#[cfg(test)]
pub(crate) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    create_tables(&connection).expect("our own tables");
    connection
}
