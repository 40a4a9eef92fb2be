//! The log of what commits have changed in objects' databases, in the order of time: the commits of all objects of a
//! shard stand behind each other, so that those of one group share pages.
//!
//! Layout of `sql_log`: `log_no` only rises, with gaps; `object_no`; `commit_no` of the commit; `before_no` the object's
//! row before this one, 0 if it never had one; `deltas` CRC-32C (u32) of the four columns before it (i64 each) and the
//! rest, then envelope version (u8), pages of the database (u32), and for each page that changed its number (u32) and how
//! many ranges follow (u16), each with its offset, its length (u16, both) and its bytes; 0 ranges stand for the whole page,
//! which follows. The first row since the last fold that names a page has it whole. All numbers are little-endian.
//!
//! An object's rows are a chain: `log_end` of its snapshot leads to the newest, `before_no` from there to the older ones.
//! Those up to the number that the head of its pages names are folded: nothing is read of them, and a sweep takes them
//! away, the oldest first.
//!
//! Never reuse: an envelope version keeps its meaning for ever, and the checksum stays at the beginning, so that damage is
//! never taken for a newer version. A number that a row had is given to no other.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::PageError;
use crate::kernel::pages::{Delta, Replayed};
use crate::limits::SQL_PAGES_MAX;
use crate::sql::Page;
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::rest::Rest;
use crate::storage::rows::{signed, unsigned};

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS sql_log (
    log_no INTEGER PRIMARY KEY,
    object_no INTEGER NOT NULL,
    commit_no INTEGER NOT NULL,
    before_no INTEGER NOT NULL,
    deltas BLOB NOT NULL
) STRICT";

const ENVELOPE: u8 = 1;
const CRC_BYTES: usize = 4;

/// Bits of the end of a chain that check the others.
const CHECK_BITS: u32 = 16;

/// Numbers of rows are below it: the end of a chain has no room for others. A row that has another one is damaged, and is
/// not counted from.
pub(crate) const NUMBERS_END: u64 = 1 << (63 - CHECK_BITS);

/// The columns of a row before its deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) log_no: u64,
    pub(crate) object_no: ObjectNo,
    pub(crate) commit_no: u64,
    /// The object's row before it. 0: it never had one.
    pub(crate) before_no: u64,
}

impl Head {
    fn checksum(&self, row: &[u8]) -> u32 {
        let Head { log_no, object_no, commit_no, before_no } = self;
        let columns = [signed(*log_no), object_no.0, signed(*commit_no), signed(*before_no)];
        let head =
            columns.iter().fold(0, |crc, column| crc32c::crc32c_append(crc, &column.to_le_bytes()));
        crc32c::crc32c_append(head, &row[CRC_BYTES..])
    }
}

/// The deltas of a row for these changes of a database that has `count` pages afterwards, but for their checksum.
pub(crate) fn encode(count: u32, deltas: &[(u32, Delta<Page>)]) -> Vec<u8> {
    let mut row = vec![0; CRC_BYTES];
    row.push(ENVELOPE);
    row.extend(count.to_le_bytes());
    for (number, delta) in deltas {
        row.extend(number.to_le_bytes());
        match delta {
            Delta::Whole(page) => {
                row.extend([0; 2]);
                row.extend_from_slice(page);
            }
            Delta::Ranges(ranges, page) => {
                row.extend(short(ranges.len()));
                for range in ranges {
                    row.extend(short(range.start));
                    row.extend(short(range.len()));
                    row.extend_from_slice(&page[range.clone()]);
                }
            }
        }
    }
    row
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("a page is small").to_le_bytes()
}

/// Writes the checksum of a row. Shorter ones than a checksum stay as they are.
pub(crate) fn seal(head: &Head, row: &mut [u8]) {
    if row.len() >= CRC_BYTES {
        let crc = head.checksum(row);
        row[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

/// What a row of the log says: how many pages the database has, and how they changed.
pub(crate) type LogRow = (u32, Vec<(u32, Replayed<Page>)>);

/// Reads a stored row.
pub(crate) fn open(head: &Head, row: &[u8]) -> Result<LogRow, PageError> {
    if row.len() < CRC_BYTES || row[..CRC_BYTES] != head.checksum(row).to_le_bytes() {
        return Err(PageError::LogChecksum { row: head.log_no });
    }
    read(head.log_no, row)
}

/// Reads the deltas of row `log_no`, whose checksum fits or was not written yet.
pub(crate) fn read(log_no: u64, row: &[u8]) -> Result<LogRow, PageError> {
    let mut rest = Rest(row.get(CRC_BYTES..).unwrap_or_default());
    let read = (|| {
        let envelope = rest.u8()?;
        if envelope != ENVELOPE {
            return Some(Err(PageError::Envelope { found: envelope }));
        }
        let count = rest.u32().filter(|count| *count <= SQL_PAGES_MAX)?;
        let mut pages = Vec::new();
        while !rest.0.is_empty() {
            let number = rest.u32().filter(|number| (1..=SQL_PAGES_MAX).contains(number))?;
            pages.push((number, rest.page()?));
        }
        Some(Ok((count, pages)))
    })();
    read.unwrap_or(Err(PageError::LogMeaning { row: log_no }))
}

/// How the end of an object's chain is stored: the number of its newest row, 0 if it never had one, and a check of it,
/// because a row that is not the newest would be whole as well, and so would an empty database. Never 0 itself.
pub(crate) fn seal_end(object_no: ObjectNo, log_no: u64) -> i64 {
    assert!(log_no < NUMBERS_END, "rows are fewer than 2^47");
    signed(log_no << CHECK_BITS) | i64::from(check(object_no, log_no))
}

fn check(object_no: ObjectNo, log_no: u64) -> u16 {
    let crc =
        crc32c::crc32c_append(crc32c::crc32c(&object_no.0.to_le_bytes()), &log_no.to_le_bytes());
    u16::try_from(crc & 0xffff).expect("16 bits").max(1)
}

/// The newest row of an object. 0: it never had one.
pub(crate) fn end(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Result<u64, PageError>> {
    let sql = "SELECT log_end FROM snapshots WHERE object_no = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let stored = select.query_row([object_no.0], |row| row.get::<_, i64>(0)).optional()?;
    Ok(stored.map_or(Ok(0), |stored| open_end(object_no, stored)))
}

/// The objects whose chain leads to a row, or to where nobody knows.
pub(super) fn ends(connection: &Connection) -> rusqlite::Result<Vec<ObjectNo>> {
    let mut select = connection.prepare("SELECT object_no, log_end FROM snapshots")?;
    let ends = select.query_map([], |row| Ok((ObjectNo(row.get(0)?), row.get(1)?)))?;
    let leads = |(object_no, end)| (open_end(object_no, end) != Ok(0)).then_some(object_no);
    ends.map(|end| end.map(leads)).filter_map(Result::transpose).collect()
}

/// The end of a chain with the check that fits it, so that a fuzzer gets past it.
pub(crate) fn reseal_end(object_no: ObjectNo, stored: i64) -> i64 {
    seal_end(object_no, u64::try_from(stored >> CHECK_BITS).unwrap_or(0))
}

fn open_end(object_no: ObjectNo, stored: i64) -> Result<u64, PageError> {
    let log_no = u64::try_from(stored >> CHECK_BITS).unwrap_or(0);
    if stored == seal_end(object_no, log_no) { Ok(log_no) } else { Err(PageError::LogEnd) }
}

/// The highest number that a row has or had, but for rows that a sweep has taken away, which never are the newest.
pub(crate) fn highest(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT max(coalesce((SELECT max(log_no) FROM sql_log WHERE log_no < ?1), 0),
        coalesce((SELECT erased_log FROM meta), 0), 0)";
    connection.prepare_cached(sql)?.query_row([signed(NUMBERS_END)], number)
}

/// The highest number that a row has; 0: there is none.
pub(crate) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT max(coalesce((SELECT max(log_no) FROM sql_log WHERE log_no < ?1), 0), 0)";
    connection.prepare_cached(sql)?.query_row([signed(NUMBERS_END)], |row| unsigned(row, 0))
}

/// A number that numbers of rows can go on from.
fn number(row: &Row<'_>) -> rusqlite::Result<u64> {
    let number = unsigned(row, 0)?;
    if number + 1 < NUMBERS_END {
        Ok(number)
    } else {
        Err(rusqlite::Error::IntegralValueOutOfRange(0, signed(number)))
    }
}

/// Stores rows, each in a buffer with its checksum.
pub(super) struct Writes<'c> {
    insert: CachedStatement<'c>,
    sealed: Vec<u8>,
}

impl<'c> Writes<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let insert = connection.prepare_cached(
            "INSERT INTO sql_log (log_no, object_no, commit_no, before_no, deltas)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        Ok(Writes { insert, sealed: Vec::new() })
    }

    pub(super) fn insert(&mut self, head: &Head, deltas: &[u8]) -> rusqlite::Result<()> {
        self.sealed.clear();
        self.sealed.extend_from_slice(deltas);
        seal(head, &mut self.sealed);
        let Head { log_no, object_no, commit_no, before_no } = head;
        let numbers = (signed(*log_no), object_no.0, signed(*commit_no), signed(*before_no));
        let row = params![numbers.0, numbers.1, numbers.2, numbers.3, self.sealed];
        self.insert.execute(row).map(drop)
    }
}

/// Reads an object's rows behind `folded`, the oldest first, each with its bytes.
pub(super) fn load(
    connection: &Connection,
    object_no: ObjectNo,
    folded: u64,
) -> rusqlite::Result<Result<Vec<(usize, LogRow)>, PageError>> {
    let mut at = match end(connection, object_no)? {
        Ok(end) => end,
        Err(error) => return Ok(Err(error)),
    };
    let mut log = Vec::new();
    if at <= folded {
        return Ok(Ok(log));
    }
    let mut select = connection.prepare_cached(
        "SELECT log_no, object_no, commit_no, before_no, deltas FROM sql_log WHERE log_no = ?1",
    )?;
    while at > folded {
        let mut rows = select.query([signed(at)])?;
        let Some(row) = rows.next()? else { return Ok(Err(PageError::LogGap { row: at })) };
        let deltas = row.get_ref(4)?.as_blob()?;
        // No row has a negative number, so one that has is damaged.
        let Ok(head) = read_head(row) else {
            return Ok(Err(PageError::LogChecksum { row: at }));
        };
        match open(&head, deltas) {
            // Whole, and not one that a chain leads to.
            Ok(_) if head.object_no != object_no || head.before_no >= at => {
                return Ok(Err(PageError::LogMeaning { row: at }));
            }
            Ok(row) => log.push((deltas.len(), row)),
            Err(error) => return Ok(Err(error)),
        }
        at = head.before_no;
    }
    log.reverse();
    Ok(Ok(log))
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        log_no: unsigned(row, 0)?,
        object_no: ObjectNo(row.get(1)?),
        commit_no: unsigned(row, 2)?,
        before_no: unsigned(row, 3)?,
    })
}

/// Deletes an object's rows, also those that are folded: the chain leads to all of them that no sweep took away. If it
/// does not, they are looked for.
pub(super) fn erase(
    connection: &Connection,
    object_no: ObjectNo,
    folded: Option<u64>,
) -> rusqlite::Result<()> {
    let end = end(connection, object_no)?;
    remember(connection, end.unwrap_or(0).max(newest(connection)?))?;
    let (Ok(end), Some(folded)) = (end, folded) else {
        return erase_all(connection, object_no);
    };
    let mut select = connection
        .prepare_cached("SELECT before_no FROM sql_log WHERE log_no = ?1 AND object_no = ?2")?;
    let mut delete = connection.prepare_cached("DELETE FROM sql_log WHERE log_no = ?1")?;
    let mut at = end;
    while at > 0 {
        let before = select.query_row(params![signed(at), object_no.0], |row| row.get::<_, i64>(0));
        match before.optional()?.map(u64::try_from) {
            Some(Ok(before)) if before < at => {
                delete.execute([signed(at)])?;
                at = before;
            }
            None if at <= folded => break,
            _ => return erase_all(connection, object_no),
        }
    }
    Ok(())
}

fn erase_all(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sql_log WHERE object_no = ?1", [object_no.0]).map(drop)
}

/// The number of a row that is erased is never given again: a fold may have named it.
fn remember(connection: &Connection, log_no: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE meta SET erased_log = max(erased_log, ?1) WHERE one = 1";
    connection.prepare_cached(sql)?.execute([signed(log_no)]).map(drop)
}

/// A row, as a sweep looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) log_no: u64,
    pub(crate) object_no: ObjectNo,
    pub(crate) bytes: u64,
}

/// Rows behind `after` and before `until`, the oldest first, at most `limit`.
pub(crate) fn seen(
    connection: &Connection,
    (after, until): (u64, u64),
    limit: usize,
) -> rusqlite::Result<Vec<Seen>> {
    let mut select = connection.prepare_cached(
        "SELECT log_no, object_no, length(deltas) FROM sql_log WHERE log_no > ?1 AND log_no < ?2
         ORDER BY log_no LIMIT ?3",
    )?;
    let rows =
        select.query_map(params![signed(after), signed(until), signed(limit as u64)], |row| {
            Ok(Seen {
                log_no: unsigned(row, 0)?,
                object_no: ObjectNo(row.get(1)?),
                bytes: unsigned(row, 2)?,
            })
        })?;
    rows.collect()
}

/// Deletes the rows from `first` to `last`.
pub(crate) fn delete(connection: &Connection, first: u64, last: u64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM sql_log WHERE log_no BETWEEN ?1 AND ?2";
    connection.prepare_cached(sql)?.execute([signed(first), signed(last)]).map(drop)
}
