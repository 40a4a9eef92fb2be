//! Sends that wait: one row for each, from the commit that makes it until it is over.
//!
//! Layout: `send_no` counted from 1, in the order in which sends were stored; `epoch` and `number`
//! of its [id](crate::send::SendId); `object_no` of the object that it goes with, NULL if no turn has
//! made it, or one that erased its object; `pair` what stands for its source and its target, NULL if
//! it has a delay and waits for no other; `target` the 32 bytes of the object's id, and `class_no` of
//! it; `due_ms` wall clock from which on it may be delivered, 0 at once, NULL while an earlier one
//! of its pair is there; `retries` how many runs have failed; `body` a [frame](super::frame) of state
//! version 1 and fingerprint 0 around the call.
//!
//! The first row of a pair always says when it is due.
//!
//! Never reuse: a `send_no`, which SQLite counts, is not given again, nor is an epoch with a number.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::due::in_order;
use super::frame::{self, Codec, HEADER_BYTES, Header};
use super::{signed, unsigned};
use crate::codec;
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Notice, Place};
use crate::kernel::outbox::{AT_ONCE, first_due, pair};
use crate::send::{NewSend, SendId, SentCall};
use crate::state::Fingerprint;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS outbox (
    send_no INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    object_no INTEGER,
    pair INTEGER,
    target BLOB NOT NULL,
    class_no INTEGER NOT NULL,
    due_ms INTEGER,
    retries INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_id ON outbox (epoch, number);
CREATE INDEX IF NOT EXISTS outbox_by_object ON outbox (object_no) WHERE object_no IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_by_due ON outbox (due_ms, send_no) WHERE due_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_by_pair ON outbox (pair, send_no) WHERE pair IS NOT NULL";

const VERSION: u32 = 1;

/// A send that waits, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredSend {
    pub(crate) send_no: i64,
    /// It may be delivered, and is not behind another.
    pub(crate) is_first: bool,
    /// Of its id; the shard is where it is stored.
    pub(crate) epoch: u64,
    pub(crate) number: u32,
    pub(crate) target: ObjectId,
    /// Of the target.
    pub(crate) class_no: u32,
    /// Runs that have failed.
    pub(crate) retries: u32,
    /// Not looked into.
    pub(crate) body: Vec<u8>,
}

/// Encodes the call of a send.
pub(crate) fn encode(call: &SentCall) -> Arc<[u8]> {
    let body = codec::encode(call, HEADER_BYTES, usize::MAX);
    let mut body = body.expect("a call that is kept is plain data");
    let header =
        Header { codec: Codec::Postcard, state_version: VERSION, fingerprint: Fingerprint(0) };
    frame::finish(header, &mut body);
    body.into()
}

/// The call in a stored body.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn decode(body: &[u8]) -> Result<SentCall, String> {
    let (header, payload) = frame::decode(body).map_err(|error| error.to_string())?;
    if header.state_version != VERSION {
        return Err(format!(
            "its layout has version {}, this code knows up to {VERSION}",
            header.state_version
        ));
    }
    let call: SentCall = codec::decode(payload)?;
    if !call.lineage.is_empty() && call.lineage().is_none() {
        return Err("its target's parents are none".to_owned());
    }
    Ok(call)
}

/// What a change of a row means for those who deliver.
pub(crate) type SendNotice = (i64, Notice);

/// The statements that write sends, looked up once per transaction.
pub(crate) struct Writes<'c> {
    insert: CachedStatement<'c>,
    is_behind: CachedStatement<'c>,
    find: CachedStatement<'c>,
    remove: CachedStatement<'c>,
    first: CachedStatement<'c>,
    set: CachedStatement<'c>,
    connection: &'c Connection,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            insert: connection.prepare_cached(
                "INSERT INTO outbox
                     (epoch, number, object_no, pair, target, class_no, due_ms, retries, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)",
            )?,
            is_behind: connection.prepare_cached("SELECT 1 FROM outbox WHERE pair = ?1 LIMIT 1")?,
            find: connection.prepare_cached(
                "SELECT send_no, due_ms, retries, class_no, target, pair
                 FROM outbox WHERE epoch = ?1 AND number = ?2",
            )?,
            remove: connection.prepare_cached("DELETE FROM outbox WHERE send_no = ?1")?,
            first: connection.prepare_cached(
                "SELECT send_no, due_ms, retries, class_no, target
                 FROM outbox WHERE pair = ?1 ORDER BY send_no LIMIT 1",
            )?,
            set: connection
                .prepare_cached("UPDATE outbox SET due_ms = ?2, retries = ?3 WHERE send_no = ?1")?,
            connection,
        })
    }

    /// Stores a new one. `owner`: the object that it goes with. `None`: it stays whoever is erased.
    pub(crate) fn insert(
        &mut self,
        send: &NewSend,
        owner: Option<ObjectNo>,
        told: &mut Vec<SendNotice>,
    ) -> rusqlite::Result<()> {
        let NewSend { id, source, target, class_no, until, body } = send;
        let pair = until.is_none().then(|| pair(source.as_ref(), target));
        let is_behind = match pair {
            Some(pair) => self.is_behind.exists([pair])?,
            None => false,
        };
        let due = first_due(*until, is_behind);
        self.insert.execute(params![
            signed(id.epoch),
            id.number,
            owner.map(|owner| owner.0),
            pair,
            &target.as_bytes()[..],
            class_no,
            due.map(|due| signed(due.0)),
            &body[..],
        ])?;
        if let Some(due) = due {
            let object_no = self.connection.last_insert_rowid();
            let place = Place { due, object_no };
            let waits = Alarmed { place, set_by: 0, class_no: *class_no, id: *target };
            told.push((object_no, Notice::Set(waits)));
        }
        Ok(())
    }

    /// Takes one away, if it is there, and lets the next of its pair be delivered. Whether it was there.
    pub(crate) fn remove(
        &mut self,
        id: SendId,
        told: &mut Vec<SendNotice>,
    ) -> rusqlite::Result<bool> {
        let key = params![signed(id.epoch), id.number];
        let found = self.find.query_row(key, |row| Ok((row.get::<_, i64>(0)?, row.get(5)?)));
        let Some((send_no, pair)) = found.optional()? else { return Ok(false) };
        self.remove.execute([send_no])?;
        told.push((send_no, Notice::Cleared));
        let pair: Option<i64> = pair;
        if let Some(pair) = pair {
            self.promote(pair, told)?;
        }
        Ok(true)
    }

    /// The first of a pair may be delivered. One that cannot be read stays as it is, with those behind it: this transaction
    /// is also of others.
    fn promote(&mut self, pair: i64, told: &mut Vec<SendNotice>) -> rusqlite::Result<()> {
        let first = self.first.query_row([pair], |row| {
            Ok((row.get_ref(1)?.as_i64_or_null()?.is_some(), waiting(row, AT_ONCE).ok()))
        });
        let Some((may_be_delivered, first)) = first.optional()? else { return Ok(()) };
        if let Some(first) = first.filter(|_| !may_be_delivered) {
            let Place { due, object_no } = first.place;
            self.set.execute(params![object_no, signed(due.0), signed(first.set_by)])?;
            told.push((object_no, Notice::Set(first)));
        }
        Ok(())
    }

    /// One has failed so often, if it is there and can be read, and may be delivered again from `due` on. Whether it was.
    pub(crate) fn again(
        &mut self,
        id: SendId,
        (due, retries): (WallMs, u32),
        told: &mut Vec<SendNotice>,
    ) -> rusqlite::Result<bool> {
        let key = params![signed(id.epoch), id.number];
        let found = self.find.query_row(key, |row| Ok(waiting(row, due).ok())).optional()?;
        let Some(waiting) = found.flatten() else { return Ok(false) };
        let object_no = waiting.place.object_no;
        self.set.execute(params![object_no, signed(due.min(WallMs::MAX).0), retries])?;
        told.push((object_no, Notice::Set(Alarmed { set_by: retries.into(), ..waiting })));
        Ok(true)
    }
}

/// A row of `send_no`, `due_ms`, `retries`, `class_no` and `target`, as one who waits; it may be delivered from `due` on.
fn waiting(row: &Row<'_>, due: WallMs) -> rusqlite::Result<Alarmed> {
    Ok(Alarmed {
        place: Place { due, object_no: row.get(0)? },
        set_by: unsigned(row, 2)?,
        class_no: row.get(3)?,
        id: ObjectId::from_bytes(row.get(4)?),
    })
}

/// One of them, then those of its pair that wait behind it, in their order: at most `limit`, and not many more bytes than
/// `bytes`. Empty: it is not there. One behind it that cannot be read ends them.
pub(crate) fn train(
    connection: &Connection,
    send_no: i64,
    (limit, bytes): (usize, usize),
) -> rusqlite::Result<Vec<StoredSend>> {
    let mut select = connection.prepare_cached(
        "SELECT send_no, epoch, number, target, retries, body, due_ms IS NOT NULL, class_no, pair
         FROM outbox WHERE send_no = ?1",
    )?;
    let first = select.query_row([send_no], |row| Ok((stored(row)?, row.get(8)?))).optional()?;
    let Some((first, pair)) = first else { return Ok(Vec::new()) };
    let (pair, mut size): (Option<i64>, _) = (pair, first.body.len());
    let mut train = vec![first];
    let Some(pair) = pair.filter(|_| limit > 1) else { return Ok(train) };
    let mut select = connection.prepare_cached(
        "SELECT send_no, epoch, number, target, retries, body, due_ms IS NOT NULL, class_no
         FROM outbox WHERE pair = ?1 AND send_no > ?2 ORDER BY send_no",
    )?;
    let mut rows = select.query([pair, send_no])?;
    while train.len() < limit && size < bytes {
        let Some(Ok(next)) = rows.next()?.map(stored) else { break };
        let is_behind =
            !next.is_first && (next.class_no, next.target) == (train[0].class_no, train[0].target);
        if !is_behind {
            break;
        }
        size += next.body.len();
        train.push(next);
    }
    Ok(train)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSend> {
    Ok(StoredSend {
        send_no: row.get(0)?,
        epoch: unsigned(row, 1)?,
        number: row.get(2)?,
        target: ObjectId::from_bytes(row.get(3)?),
        retries: row.get(4)?,
        body: row.get(5)?,
        is_first: row.get(6)?,
        class_no: row.get(7)?,
    })
}

/// Whether one waits.
pub(crate) fn has(connection: &Connection, id: SendId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM outbox WHERE epoch = ?1 AND number = ?2";
    connection.prepare_cached(sql)?.exists(params![signed(id.epoch), id.number])
}

/// How many wait.
pub(crate) fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM outbox", [], |row| unsigned(row, 0))
}

/// Those that may be delivered, in the order in which they are due, at most `limit`, and whether there are no more. `after`:
/// only what comes later.
pub(crate) fn due(
    connection: &Connection,
    after: Option<Place>,
    limit: usize,
) -> rusqlite::Result<(Vec<Alarmed>, bool)> {
    let Place { due, object_no } = after.unwrap_or(Place { due: WallMs(0), object_no: i64::MIN });
    let mut select = connection.prepare_cached(
        "SELECT send_no, due_ms, retries, class_no, target FROM outbox
         WHERE due_ms IS NOT NULL AND (due_ms, send_no) > (?1, ?2) ORDER BY due_ms, send_no",
    )?;
    let found = |row: &Row<'_>| waiting(row, WallMs(unsigned(row, 1)?));
    in_order(select.query(params![signed(due.0), object_no])?, limit, found)
}

/// Takes away those that go with an object, and lets others be delivered that may have waited for them. How many there were.
pub(crate) fn erase(
    connection: &Connection,
    object_no: ObjectNo,
    told: &mut Vec<SendNotice>,
) -> rusqlite::Result<u64> {
    let mut select =
        connection.prepare_cached("SELECT send_no, pair FROM outbox WHERE object_no = ?1")?;
    let found = select.query_map([object_no.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: Vec<(i64, Option<i64>)> = found.collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        return Ok(0);
    }
    let sql = "DELETE FROM outbox WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0])?;
    told.extend(found.iter().map(|(send_no, _)| (*send_no, Notice::Cleared)));
    let mut pairs: Vec<i64> = found.iter().filter_map(|(_, pair)| *pair).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut writes = Writes::prepare(connection)?;
    pairs.into_iter().try_for_each(|pair| writes.promote(pair, told))?;
    Ok(found.len() as u64)
}

/// Takes away those to objects of a class. How many there were.
pub(crate) fn erase_class(connection: &Connection, class_no: u32) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM outbox WHERE class_no = ?1", [class_no])
}

/// Whom one calls, to be compared with the classes that there are: its number, its class and its target.
pub(crate) fn targets(connection: &Connection) -> rusqlite::Result<Vec<(i64, u32, ObjectId)>> {
    let sql = "SELECT send_no, class_no, target FROM outbox
        WHERE length(target) = 32 AND class_no BETWEEN 0 AND 4294967295 ORDER BY send_no";
    let mut select = connection.prepare(sql)?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, ObjectId::from_bytes(row.get(2)?)));
    select.query_map([], read)?.collect()
}

/// What is wrong with those that cannot be read, or that nothing would ever deliver.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(
        "SELECT send_no, due_ms, retries, class_no, target, body, epoch, number,
             pair IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM outbox e WHERE e.pair = o.pair AND e.send_no < o.send_no),
             CASE WHEN object_no NOT IN (SELECT object_no FROM objects) THEN object_no END
         FROM outbox o ORDER BY send_no",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let send_no: i64 = row.get(0)?;
        let due = row.get_ref(1)?.as_i64_or_null()?;
        let is_first: bool = row.get(8)?;
        let orphan: Option<i64> = row.get(9)?;
        let is_wrong = |row: &Row<'_>| -> rusqlite::Result<()> {
            waiting(row, AT_ONCE)?;
            let _: u32 = row.get(2)?;
            unsigned(row, 6)?;
            let _: u32 = row.get(7)?;
            due.map_or(Ok(()), |_| unsigned(row, 1).map(drop))
        };
        let wrong = match (is_wrong(row), decode(row.get_ref(5)?.as_blob()?)) {
            (Err(cause), _) => cause.to_string(),
            (_, Err(text)) => text,
            _ if is_first && due.is_none() => {
                "it waits for one before it, and there is none".to_owned()
            }
            _ => match orphan {
                Some(owner) => format!("it goes with object number {owner}, and there is none"),
                None => continue,
            },
        };
        found.push(format!("send {send_no}: {wrong}"));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
