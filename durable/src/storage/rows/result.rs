//! Results of calls that carried an idempotency key, for those who make the same call again.
//!
//! Layout: `object_no`; `key` 1 to 255 bytes of UTF-8; `until_ms` wall clock from which on nobody gets
//! it; `bytes` of key and body together; `body` a [frame](super::frame) of state version 1 and
//! fingerprint 0 around the call's method, a hash of its arguments, and what it returned. The index
//! `results_by_until` gives those of an object in the order in which they are over, with their sizes.
//!
//! A row is stored by the commit of its call's effect. Those that are over are taken away by later
//! commits that store one, a few by each.
//!
//! Never reuse: a body is written once. In it a field is added at the end only, with another state
//! version.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::frame::{self, Codec, HEADER_BYTES, Header};
use super::{signed, unsigned};
use crate::codec;
use crate::kernel::keyed::Count;
use crate::keyed::KeptResult;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, RESULTS_SWEPT_BY_COMMIT};
use crate::state::Fingerprint;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS results (
    object_no INTEGER NOT NULL,
    key TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (object_no, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_by_until ON results (object_no, until_ms, bytes)";

const VERSION: u32 = 1;

/// A result as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredResult {
    /// From then on nobody gets it.
    pub(crate) until: WallMs,
    /// Not looked into.
    pub(crate) body: Arc<[u8]>,
}

/// A result that a commit stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultWrite {
    pub(crate) key: Arc<str>,
    /// When the turn ended that gave it: what is over by then is in nobody's way.
    pub(crate) now: WallMs,
    pub(crate) result: StoredResult,
}

impl ResultWrite {
    /// What it adds to what its object keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.result.body.len()
    }
}

/// Why a stored body cannot be used.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Newer code wrote it.
    Newer(String),
    Damaged(String),
}

/// Encodes a result.
pub(crate) fn encode(result: &KeptResult) -> Arc<[u8]> {
    let body = codec::encode(result, HEADER_BYTES, usize::MAX);
    let mut body = body.expect("a result that is kept is plain data");
    let header =
        Header { codec: Codec::Postcard, state_version: VERSION, fingerprint: Fingerprint(0) };
    frame::finish(header, &mut body);
    body.into()
}

/// The result in a stored body.
pub(crate) fn decode(body: &[u8]) -> Result<KeptResult, Unreadable> {
    let (header, payload) = frame::decode(body).map_err(|error| {
        let text = error.to_string();
        if error.is_newer() { Unreadable::Newer(text) } else { Unreadable::Damaged(text) }
    })?;
    if header.state_version != VERSION {
        let found = header.state_version;
        let text = format!("its layout has version {found}, this code knows up to {VERSION}");
        return Err(Unreadable::Newer(text));
    }
    codec::decode(payload).map_err(Unreadable::Damaged)
}

/// Stores one, and takes some away that are over.
///
/// # Errors
/// Also if the object keeps one under the same key that is not over: then its call is not to have a
/// second effect.
pub(crate) fn insert(
    connection: &Connection,
    object_no: ObjectNo,
    write: &ResultWrite,
) -> rusqlite::Result<()> {
    let now = signed(write.now.min(WallMs::MAX).0);
    let sql = "DELETE FROM results WHERE object_no = ?1 AND key = ?2 AND until_ms <= ?3";
    connection.prepare_cached(sql)?.execute(params![object_no.0, &*write.key, now])?;
    let sql = "DELETE FROM results WHERE object_no = ?1 AND key IN (
        SELECT key FROM results INDEXED BY results_by_until
        WHERE object_no = ?1 AND until_ms <= ?2 ORDER BY until_ms LIMIT ?3)";
    connection.prepare_cached(sql)?.execute(params![object_no.0, now, RESULTS_SWEPT_BY_COMMIT])?;
    let sql = "INSERT INTO results (object_no, key, until_ms, bytes, body)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let StoredResult { until, body } = &write.result;
    let (until, bytes) = (signed(until.min(&WallMs::MAX).0), signed(write.bytes() as u64));
    let row = params![object_no.0, &*write.key, until, bytes, &body[..]];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// What an object keeps under a key, over or not. `None`: nothing.
pub(crate) fn find(
    connection: &Connection,
    object_no: ObjectNo,
    key: &str,
) -> rusqlite::Result<Option<StoredResult>> {
    let sql = "SELECT until_ms, body FROM results WHERE object_no = ?1 AND key = ?2";
    let read = |row: &Row<'_>| {
        let body = Arc::from(row.get_ref(1)?.as_blob()?);
        Ok(StoredResult { until: WallMs(unsigned(row, 0)?), body })
    };
    connection.prepare_cached(sql)?.query_row(params![object_no.0, key], read).optional()
}

/// What an object keeps, over or not, in the order of keys, at most `limit`.
pub(crate) fn list(
    connection: &Connection,
    object_no: ObjectNo,
    limit: usize,
) -> rusqlite::Result<Vec<(String, StoredResult)>> {
    let mut select = connection.prepare(
        "SELECT key, until_ms, body FROM results WHERE object_no = ?1 ORDER BY key LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| {
        let key = String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned();
        let body = Arc::from(row.get_ref(2)?.as_blob()?);
        Ok((key, StoredResult { until: WallMs(unsigned(row, 1)?), body }))
    };
    select.query_map(params![object_no.0, signed(limit as u64)], read)?.collect()
}

/// What an object keeps that is not over.
pub(crate) fn count(
    connection: &Connection,
    object_no: ObjectNo,
    now: WallMs,
) -> rusqlite::Result<Count> {
    let sql = "SELECT count(*), coalesce(sum(bytes), 0), min(until_ms)
        FROM results INDEXED BY results_by_until WHERE object_no = ?1 AND until_ms > ?2";
    let now = signed(now.min(WallMs::MAX).0);
    connection.prepare_cached(sql)?.query_row(params![object_no.0, now], |row| {
        let first: Option<i64> = row.get(2)?;
        let first_until = first.is_some().then(|| unsigned(row, 2).map(WallMs)).transpose()?;
        Ok(Count { results: unsigned(row, 0)?, bytes: unsigned(row, 1)?, first_until })
    })
}

/// Deletes everything that an object keeps.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM results WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

/// The objects that rows are of and that are not there.
pub(crate) fn orphans(connection: &Connection) -> rusqlite::Result<Vec<ObjectNo>> {
    let sql = "SELECT DISTINCT object_no FROM results
        WHERE object_no NOT IN (SELECT object_no FROM objects) ORDER BY object_no";
    let mut select = connection.prepare(sql)?;
    select.query_map([], |row| row.get(0).map(ObjectNo))?.collect()
}

/// What is wrong with rows that cannot be used, and whose they are.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<(ObjectNo, String)>> {
    let mut select =
        connection.prepare("SELECT object_no, key, until_ms, bytes, body FROM results")?;
    let (mut rows, mut found) = (select.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        let object_no = ObjectNo(row.get(0)?);
        let key = row.get_ref(1)?.as_bytes()?;
        let (until, bytes): (i64, i64) = (row.get(2)?, row.get(3)?);
        let body = row.get_ref(4)?.as_blob()?;
        let shown = String::from_utf8_lossy(key);
        let shown = shown.escape_debug();
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) || str::from_utf8(key).is_err() {
            let what = format!("a result is kept under `{shown}`, which is no key");
            found.push((object_no, what));
        }
        if until < 0 || u64::try_from(bytes) != Ok((key.len() + body.len()) as u64) {
            let what = format!(
                "the result of `{shown}` is kept until {until} ms with {bytes} bytes, and has {}",
                key.len() + body.len()
            );
            found.push((object_no, what));
        }
        if let Err(Unreadable::Newer(text) | Unreadable::Damaged(text)) = decode(body) {
            found.push((object_no, format!("the result of `{shown}`: {text}")));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "result/tests.rs"]
mod tests;
