//! The past of objects: for each stored run of commits of an object one row, with what the run replaced.
//!
//! Layout: `object_no`; `commit_no` of the run's last commit; `after_no` of the commit before its first, 0 if there was
//! none; `at_ms` wall clock; `total` bytes of `body` of this row and of those that the object had before it; `body` CRC-32C
//! (u32) of the five columns before it (i64 each) and the rest, then envelope version (u8), cause (u8), epoch of the run
//! (u64), epoch of the commit before it (u64), its wall clock (u64, all bits set: not known), the method's name (u16 for its
//! length, and UTF-8), and three parts. *Struct*: 0 if the run left it as it was, or 1, a length (u32) and the frame that
//! was stored, without bytes if the object did not exist. *Keys*: how many (u32), and for each its length (u16), its bytes,
//! and 0 if it was not there, or 1, a length (u32) and its value. *Database*: 0 if it stayed as it was, or 1, how many pages
//! it had (u32), and to the end of the row, for each page that was another, its number (u32), how many ranges of it follow
//! (u16), each with its offset, its length (u16, both) and the bytes that it had; 0 ranges stand for the whole page, which
//! follows. All numbers are little-endian.
//!
//! An object's rows are a chain: `after_no` of a row is `commit_no` of the one before it, and `commit_no` of the last one is
//! that of the object's snapshot.
//!
//! Never reuse: an envelope version or a cause keeps its meaning for ever, and the checksum stays at the beginning, so that
//! damage is never taken for a newer version.

use std::borrow::Cow;
use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rest::Rest;
use super::{signed, unsigned};
use crate::history::Cause;
use crate::kernel::history::Kept;
use crate::kernel::pages::Replayed;
use crate::kv::{Framed, KvKey};
use crate::limits::{KV_KEY_BYTES_MAX, SQL_PAGES_MAX};
use crate::sql::Page;
use crate::storage::numbers::{ClassNo, ObjectNo};
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS history (
    object_no INTEGER NOT NULL,
    commit_no INTEGER NOT NULL,
    after_no INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    total INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (object_no, commit_no)
) STRICT, WITHOUT ROWID";

const ENVELOPE: u8 = 1;
const CRC_BYTES: usize = 4;

/// Stands for a time that is not known.
const NO_TIME: u64 = u64::MAX;

/// The columns of a row before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) object_no: ObjectNo,
    /// The last commit of the run.
    pub(crate) commit_no: u64,
    /// The commit before its first. 0: there was none.
    pub(crate) after_no: u64,
    pub(crate) at: WallMs,
    /// Bytes of the bodies of this row and of those before it.
    pub(crate) total: u64,
}

/// What a row says of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) cause: Cause,
    pub(crate) epoch: u64,
    /// Of the commit before the run; 0: there was none.
    pub(crate) after_epoch: u64,
    /// When that was stored. `None`: it is not known.
    pub(crate) after_at: Option<WallMs>,
    pub(crate) undo: Undo,
}

/// What a run of commits replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Undo {
    /// The snapshot's body as it was; empty: the object did not exist. `None`: it stayed as it was.
    pub(crate) snapshot: Option<Framed>,
    /// Values that changed, as they were stored, in the order of keys. An inner `None`: the key was not there.
    pub(crate) kv: Vec<(KvKey, Option<Framed>)>,
    /// `None`: the database stayed as it was.
    pub(crate) sql: Option<UndoSql>,
}

/// What a database was before a run of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UndoSql {
    pub(crate) count: u32,
    /// How the pages that it had were other than those that it has, in the order of their numbers.
    pub(crate) pages: Vec<(u32, Replayed<Page>)>,
}

/// Why a stored row cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PastError {
    /// The checksum does not fit the bytes.
    Checksum { commit_no: u64 },
    /// Whole, but it says what no row says.
    Meaning { commit_no: u64 },
    /// Whole, but in an envelope, or with a cause, that this code does not know.
    Newer { commit_no: u64 },
    /// The row that ends with this commit is missing.
    Gap { commit_no: u64 },
}

impl PastError {
    /// Whether newer code wrote it, as opposed to damage.
    pub(crate) fn is_newer(self) -> bool {
        matches!(self, PastError::Newer { .. })
    }
}

impl fmt::Display for PastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PastError::Checksum { commit_no } => {
                write!(f, "the checksum of the row of commit {commit_no} is wrong")
            }
            PastError::Meaning { commit_no } => {
                write!(f, "the row of commit {commit_no} cannot be followed")
            }
            PastError::Newer { commit_no } => {
                write!(
                    f,
                    "the row of commit {commit_no} is of newer code, this code knows envelope {ENVELOPE}"
                )
            }
            PastError::Gap { commit_no } => write!(f, "the row of commit {commit_no} is missing"),
        }
    }
}

impl Head {
    fn checksum(&self, body: &[u8]) -> u32 {
        let Head { object_no, commit_no, after_no, at, total } = self;
        let columns =
            [object_no.0, signed(*commit_no), signed(*after_no), signed(at.0), signed(*total)];
        let head =
            columns.iter().fold(0, |crc, column| crc32c::crc32c_append(crc, &column.to_le_bytes()));
        crc32c::crc32c_append(head, &body[CRC_BYTES..])
    }
}

/// The body of a row, but for its checksum.
pub(crate) fn encode(past: &Past) -> Vec<u8> {
    let Past { cause, epoch, after_epoch, after_at, undo } = past;
    let (number, method): (u8, &str) = match cause {
        Cause::Method(name) => (1, name),
        Cause::Activation => (2, ""),
        Cause::Restore => (3, ""),
        Cause::Fork => (4, ""),
        Cause::Alarm => (5, ""),
    };
    let mut body = vec![0; CRC_BYTES];
    body.extend([ENVELOPE, number]);
    let after_at = after_at.map_or(NO_TIME, |at| at.0);
    [*epoch, *after_epoch, after_at].iter().for_each(|number| body.extend(number.to_le_bytes()));
    body.extend(short(method.len()));
    body.extend_from_slice(method.as_bytes());
    write_value(undo.snapshot.as_deref(), &mut body);
    body.extend(long(undo.kv.len()));
    for (key, value) in &undo.kv {
        body.extend(short(key.len()));
        body.extend_from_slice(key);
        write_value(value.as_deref(), &mut body);
    }
    let Some(UndoSql { count, pages }) = &undo.sql else {
        body.push(0);
        return body;
    };
    body.push(1);
    body.extend(count.to_le_bytes());
    for (number, page) in pages {
        body.extend(number.to_le_bytes());
        write_page(page, &mut body);
    }
    body
}

fn write_value(value: Option<&[u8]>, to: &mut Vec<u8>) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        to.extend(long(value.len()));
        to.extend_from_slice(value);
    }
}

fn write_page(page: &Replayed<Page>, to: &mut Vec<u8>) {
    match page {
        Replayed::Whole(page) => {
            to.extend([0; 2]);
            to.extend_from_slice(page);
        }
        Replayed::Ranges(ranges) => {
            to.extend(short(ranges.len()));
            for (start, bytes) in ranges {
                to.extend(short(*start));
                to.extend(short(bytes.len()));
                to.extend_from_slice(bytes);
            }
        }
    }
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("keys, names and pages are small").to_le_bytes()
}

fn long(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("what one batch stores is small").to_le_bytes()
}

/// Writes the checksum of a body. Shorter ones than a checksum stay as they are.
pub(crate) fn seal(head: &Head, body: &mut [u8]) {
    if body.len() >= CRC_BYTES {
        let crc = head.checksum(body);
        body[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

/// What a whole row says.
pub(crate) fn open(head: &Head, body: &[u8]) -> Result<Past, PastError> {
    let commit_no = head.commit_no;
    let stored = body.get(..CRC_BYTES).ok_or(PastError::Checksum { commit_no })?;
    if stored != head.checksum(body).to_le_bytes() {
        return Err(PastError::Checksum { commit_no });
    }
    let mut rest = Rest(&body[CRC_BYTES..]);
    // Only after the checksum: a flipped bit in the version is damage, not newer code.
    match (rest.u8(), rest.u8()) {
        (Some(ENVELOPE), Some(cause @ 1..=5)) => {
            past(cause, &mut rest).ok_or(PastError::Meaning { commit_no })
        }
        (Some(_), Some(_)) => Err(PastError::Newer { commit_no }),
        _ => Err(PastError::Meaning { commit_no }),
    }
}

fn past(cause: u8, rest: &mut Rest<'_>) -> Option<Past> {
    let (epoch, after_epoch, after_at) = (rest.u64()?, rest.u64()?, rest.u64()?);
    let length = rest.u16()?;
    let method = std::str::from_utf8(rest.take(length)?).ok()?;
    let cause = match cause {
        1 => Cause::Method(Cow::Owned(method.to_owned())),
        // Nothing else has a name.
        _ if !method.is_empty() => return None,
        2 => Cause::Activation,
        3 => Cause::Restore,
        4 => Cause::Fork,
        _ => Cause::Alarm,
    };
    let snapshot = rest.value()?;
    let mut kv = Vec::new();
    for _ in 0..rest.u32()? {
        let length = rest.u16().filter(|length| (1..=KV_KEY_BYTES_MAX).contains(length))?;
        kv.push((KvKey::stored(rest.take(length)?), rest.value()?));
    }
    let sql = match rest.u8()? {
        0 if rest.0.is_empty() => None,
        1 => Some(undo_sql(rest)?),
        _ => return None,
    };
    let after_at = (after_at != NO_TIME).then_some(WallMs(after_at));
    Some(Past { cause, epoch, after_epoch, after_at, undo: Undo { snapshot, kv, sql } })
}

/// What a database was, to the end of the row.
fn undo_sql(rest: &mut Rest<'_>) -> Option<UndoSql> {
    let count = rest.u32().filter(|count| *count <= SQL_PAGES_MAX)?;
    let mut pages = Vec::new();
    while !rest.0.is_empty() {
        let number = rest.u32().filter(|number| (1..=count).contains(number))?;
        pages.push((number, rest.page()?));
    }
    Some(UndoSql { count, pages })
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        object_no: ObjectNo(row.get(0)?),
        commit_no: unsigned(row, 1)?,
        after_no: unsigned(row, 2)?,
        at: WallMs(unsigned(row, 3)?),
        total: unsigned(row, 4)?,
    })
}

/// Stores a row.
pub(crate) fn insert(connection: &Connection, head: &Head, body: &[u8]) -> rusqlite::Result<()> {
    let Head { object_no, commit_no, after_no, at, total } = head;
    let sql = "INSERT INTO history (object_no, commit_no, after_no, at_ms, total, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (at, total) = (signed(at.0), signed(*total));
    let row = params![object_no.0, signed(*commit_no), signed(*after_no), at, total, body];
    connection.prepare_cached(sql)?.execute(row).map(drop)
}

/// The newest row of an object, without its body.
pub(crate) fn newest(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT object_no, commit_no, after_no, at_ms, total FROM history
        WHERE object_no = ?1 ORDER BY commit_no DESC LIMIT 1";
    connection.prepare_cached(sql)?.query_row([object_no.0], read_head).optional()
}

/// The oldest rows of an object, at most `limit`, as far as keeping them goes, each with its commit.
pub(crate) fn oldest(
    connection: &Connection,
    object_no: ObjectNo,
    limit: usize,
) -> rusqlite::Result<(Vec<u64>, Vec<Kept>)> {
    let sql = "SELECT commit_no, at_ms, total, length(body) FROM history
        WHERE object_no = ?1 ORDER BY commit_no LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let (mut commits, mut kept) = (Vec::new(), Vec::new());
    let mut rows = select.query(params![object_no.0, signed(limit as u64)])?;
    while let Some(row) = rows.next()? {
        commits.push(unsigned(row, 0)?);
        let (at, total, bytes) = (WallMs(unsigned(row, 1)?), unsigned(row, 2)?, unsigned(row, 3)?);
        kept.push(Kept { at, bytes, total });
    }
    Ok((commits, kept))
}

/// Takes an object's rows away up to this commit. Gives how many.
pub(crate) fn expire(
    connection: &Connection,
    object_no: ObjectNo,
    upto: u64,
) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM history WHERE object_no = ?1 AND commit_no <= ?2";
    connection.prepare_cached(sql)?.execute(params![object_no.0, signed(upto)])
}

/// The first object behind `after` that has rows.
pub(crate) fn next_object(
    connection: &Connection,
    after: ObjectNo,
) -> rusqlite::Result<Option<ObjectNo>> {
    let sql = "SELECT object_no FROM history WHERE object_no > ?1 ORDER BY object_no LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row([after.0], |row| row.get(0).map(ObjectNo)).optional()
}

/// Whether there is any row.
pub(crate) fn has_rows(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM history LIMIT 1")?.exists([])
}

/// Objects of a class that have rows, at most `limit`.
pub(crate) fn some_of(
    connection: &Connection,
    class_no: ClassNo,
    limit: u32,
) -> rusqlite::Result<Vec<ObjectNo>> {
    let sql = "SELECT object_no FROM objects o WHERE class_no = ?1
        AND EXISTS (SELECT 1 FROM history h WHERE h.object_no = o.object_no) LIMIT ?2";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map(params![class_no.0, limit], |row| row.get(0).map(ObjectNo))?;
    rows.collect()
}

/// Takes all rows of an object away.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM history WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

/// How a walk over rows goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    On,
    End,
}

/// Shows an object's rows to `visit`, the newest first, from the one that ends with commit `from` on, with the bytes of
/// each body. Ends with the first that cannot be used. Gives the commit that the last one begins after.
pub(crate) fn walk_back(
    connection: &Connection,
    object_no: ObjectNo,
    from: u64,
    mut visit: impl FnMut(&Head, Past, u64) -> Walk,
) -> rusqlite::Result<Result<u64, PastError>> {
    let sql = "SELECT object_no, commit_no, after_no, at_ms, total, body FROM history
        WHERE object_no = ?1 AND commit_no <= ?2 ORDER BY commit_no DESC";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![object_no.0, signed(from)])?;
    let mut expected = from;
    while let Some(row) = rows.next()? {
        let head = read_head(row)?;
        if head.commit_no != expected {
            return Ok(Err(PastError::Gap { commit_no: expected }));
        }
        let body = row.get_ref(5)?.as_blob()?;
        let past = match open(&head, body) {
            Ok(past) if head.after_no < head.commit_no => past,
            Ok(_) => return Ok(Err(PastError::Meaning { commit_no: head.commit_no })),
            Err(error) => return Ok(Err(error)),
        };
        expected = head.after_no;
        if visit(&head, past, body.len() as u64) == Walk::End {
            break;
        }
    }
    Ok(Ok(expected))
}

#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
