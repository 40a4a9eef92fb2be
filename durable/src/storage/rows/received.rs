//! Sends that have taken effect, or are dead letters, and may still be delivered again: so that it
//! is not done twice.
//!
//! Layout: `shard`, `epoch` and `number` of the send's [id](crate::send::SendId). A row is stored by
//! the commit that the send's effect is, and taken away once the send has durably left its outbox,
//! so that there are never more than deliveries that may be under way; what a crash leaves is taken
//! away by the next start.
//!
//! It does not hang on the object that the send has called, which its effect may have erased.
//!
//! Never reuse: an id is one send's for ever.

use rusqlite::{Connection, Row};

use super::{signed, unsigned};
use crate::send::SendId;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS received (
    shard INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (shard, epoch, number)
) STRICT, WITHOUT ROWID";

/// Stores that one has been received.
///
/// # Errors
/// Also if it was before: then it is not to have a second effect.
pub(crate) fn insert(connection: &Connection, id: SendId) -> rusqlite::Result<()> {
    let sql = "INSERT INTO received (shard, epoch, number) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(key(id)).map(drop)
}

/// Whether one has been received.
pub(crate) fn has(connection: &Connection, id: SendId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM received WHERE shard = ?1 AND epoch = ?2 AND number = ?3";
    connection.prepare_cached(sql)?.exists(key(id))
}

/// Forgets one.
pub(crate) fn remove(connection: &Connection, id: SendId) -> rusqlite::Result<()> {
    let sql = "DELETE FROM received WHERE shard = ?1 AND epoch = ?2 AND number = ?3";
    connection.prepare_cached(sql)?.execute(key(id)).map(drop)
}

/// What is true of the columns of every id.
const IS_ID: &str = "shard BETWEEN 0 AND 65535 AND epoch >= 0 AND number BETWEEN 0 AND 4294967295";

/// All of them that can be ids.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<SendId>> {
    let sql = format!("SELECT shard, epoch, number FROM received WHERE {IS_ID} ORDER BY 1, 2, 3");
    let mut select = connection.prepare(&sql)?;
    let read = |row: &Row<'_>| {
        Ok(SendId { shard: row.get(0)?, epoch: unsigned(row, 1)?, number: row.get(2)? })
    };
    select.query_map([], read)?.collect()
}

/// What is wrong with those that cannot.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = format!("SELECT shard, epoch, number FROM received WHERE NOT ({IS_ID})");
    let mut select = connection.prepare(&sql)?;
    let found = select.query_map([], |row| {
        let (shard, epoch, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("send {shard}-{epoch}-{number} was received, and there can be none"))
    })?;
    found.collect()
}

fn key(id: SendId) -> [i64; 3] {
    let SendId { shard, epoch, number } = id;
    [shard.into(), signed(epoch), number.into()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    proptest! {
        #[test]
        fn what_is_received_round_trips(shard: u16, epoch in 0..=i64::MAX as u64, number: u32) {
            let (connection, id) = (in_memory(), SendId { shard, epoch, number });
            prop_assert!(!has(&connection, id).expect("read"));
            insert(&connection, id).expect("stored");
            prop_assert!(has(&connection, id).expect("read"));
            prop_assert!(insert(&connection, id).is_err(), "it has been received");
            prop_assert_eq!(all(&connection).expect("read"), vec![id]);
            remove(&connection, id).expect("removed");
            prop_assert_eq!(all(&connection).expect("read"), vec![]);
        }
    }
}
