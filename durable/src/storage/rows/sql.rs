//! The databases of objects, in pages: those that a fold has stored, one row each, and the log of what commits have
//! changed since.
//!
//! Layout of `sql_pages`: `place` the object's number times 2^24 plus the page's, from 1; `page` CRC-32C (u32,
//! little-endian) of the place (i64, little-endian) and the rest, then the page, 1,024 bytes. Page 0 is the head: CRC as
//! above, envelope version (u8), pages of the database (u32, little-endian), number of the commit that folded last (u64,
//! little-endian). There is a head if there are pages, and a row for each page from 1 to the count.
//!
//! Layout of `sql_log`: `place` the object's number times 2^24 plus the row's, from 1 without a gap since the last fold;
//! `commit_no` of the commit; `deltas` CRC-32C (u32, little-endian) of the place, `commit_no` (both i64, little-endian)
//! and the rest, then envelope version (u8), pages of the database (u32, little-endian), and for each page that changed
//! its number (u32, little-endian) and how many ranges follow (u16, little-endian), each with its offset, its length
//! (u16, little-endian, both) and its bytes; 0 ranges stand for the whole page, which follows. The first row since the
//! last fold that names a page has it whole.
//!
//! Never reuse: an envelope version keeps its meaning for ever, and checksums stay at the beginning, so that damage is
//! never taken for a newer version.

use std::fmt;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::rest::Rest;
use super::{signed, unsigned};
use crate::kernel::pages::{Delta, Replayed};
use crate::limits::{SQL_PAGE_BYTES, SQL_PAGES_MAX};
use crate::sql::Page;
use crate::storage::numbers::ObjectNo;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS sql_pages (
    place INTEGER PRIMARY KEY,
    page BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sql_log (
    place INTEGER PRIMARY KEY,
    commit_no INTEGER NOT NULL,
    deltas BLOB NOT NULL
) STRICT";

const ENVELOPE: u8 = 1;
const CRC_BYTES: usize = 4;

/// Bits of a place that number a page or a row of the log.
pub(crate) const NUMBER_BITS: u32 = 24;

/// Why stored pages cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageError {
    /// There is no such page.
    Missing { number: u32 },
    /// It is not as long as a page.
    Length { number: u32, bytes: usize },
    /// The checksum of a page, or of the head if it is 0, does not fit the bytes.
    Checksum { number: u32 },
    /// The checksum of a row of the log does not fit the bytes.
    LogChecksum { row: u32 },
    /// A row of the log is missing.
    LogGap { row: u32 },
    /// A row of the log is whole and says what no log says.
    LogMeaning { row: u32 },
    /// The head is whole and says that there are more pages than there may be.
    Count { pages: u32 },
    /// Whole, but in an envelope that this code does not know.
    Envelope { found: u8 },
}

impl PageError {
    /// Whether newer code wrote it, as opposed to damage.
    pub(crate) fn is_newer(self) -> bool {
        matches!(self, PageError::Envelope { .. })
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::Missing { number } => write!(f, "page {number} is missing"),
            PageError::Length { number, bytes } => {
                write!(f, "page {number} has {bytes} bytes, a page has {SQL_PAGE_BYTES}")
            }
            PageError::Checksum { number: 0 } => write!(f, "the checksum of its head is wrong"),
            PageError::Checksum { number } => write!(f, "the checksum of page {number} is wrong"),
            PageError::LogChecksum { row } => {
                write!(f, "the checksum of row {row} of its log is wrong")
            }
            PageError::LogGap { row } => write!(f, "row {row} of its log is missing"),
            PageError::LogMeaning { row } => write!(f, "row {row} of its log cannot be followed"),
            PageError::Count { pages } => {
                write!(f, "its head says {pages} pages, there may be {SQL_PAGES_MAX}")
            }
            PageError::Envelope { found } => {
                write!(f, "its envelope has version {found}, this code knows up to {ENVELOPE}")
            }
        }
    }
}

/// What one commit stores of an object's database.
#[derive(Debug)]
pub(crate) enum SqlWrite {
    /// Row `row` of the log.
    Log { row: u32, deltas: Vec<u8> },
    /// All of these pages, in place of the log.
    Fold { count: u32, pages: Vec<(u32, Page)> },
}

impl SqlWrite {
    /// How much it adds to what waits for the disk.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            SqlWrite::Log { deltas, .. } => deltas.len(),
            SqlWrite::Fold { pages, .. } => pages.len() * SQL_PAGE_BYTES,
        }
    }
}

/// Where a page or a row of the log is.
pub(crate) fn place(object_no: ObjectNo, number: u32) -> i64 {
    assert!(number < 1 << NUMBER_BITS, "an object has fewer pages and rows");
    let object = object_no.0.checked_mul(1 << NUMBER_BITS).expect("objects are fewer than 2^39");
    object | i64::from(number)
}

/// The row of the log for these changes of a database that has `count` pages afterwards.
pub(crate) fn seal_log(
    place: i64,
    commit_no: u64,
    count: u32,
    deltas: &[(u32, Delta<Page>)],
) -> Vec<u8> {
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
    let crc = log_checksum(place, commit_no, &row);
    row[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    row
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("a page is small").to_le_bytes()
}

/// What a row of the log says: how many pages the database has, and how they changed.
pub(crate) type LogRow = (u32, Vec<(u32, Replayed<Page>)>);

/// Reads a row of the log.
pub(crate) fn open_log(place: i64, commit_no: u64, row: &[u8]) -> Result<LogRow, PageError> {
    let number = number_of(place);
    if row.len() < CRC_BYTES || crc(row) != log_checksum(place, commit_no, row) {
        return Err(PageError::LogChecksum { row: number });
    }
    let mut rest = Rest(&row[CRC_BYTES..]);
    let read = (|| {
        let envelope = rest.take(1)?[0];
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
    read.unwrap_or(Err(PageError::LogMeaning { row: number }))
}

fn number_of(place: i64) -> u32 {
    u32::try_from(place & ((1 << NUMBER_BITS) - 1)).expect("24 bits")
}

fn crc(row: &[u8]) -> u32 {
    u32::from_le_bytes(row[..CRC_BYTES].try_into().expect("four bytes"))
}

fn log_checksum(place: i64, commit_no: u64, row: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&place.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &signed(commit_no).to_le_bytes());
    crc32c::crc32c_append(crc, &row[CRC_BYTES..])
}

fn checksum(place: i64, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), rest)
}

fn seal(place: i64, rest: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(CRC_BYTES + rest.len());
    row.extend(checksum(place, rest).to_le_bytes());
    row.extend_from_slice(rest);
    row
}

fn open(place: i64, row: &[u8]) -> Result<&[u8], PageError> {
    let (stored, rest) = row.split_at_checked(CRC_BYTES).unwrap_or_default();
    if stored == checksum(place, rest).to_le_bytes() {
        Ok(rest)
    } else {
        Err(PageError::Checksum { number: number_of(place) })
    }
}

/// Writes the checksum that fits a page, so that a fuzzer gets past it. Shorter bytes stay as they are.
pub(crate) fn reseal(place: i64, row: &mut [u8]) {
    if row.len() >= CRC_BYTES {
        let crc = checksum(place, &row[CRC_BYTES..]);
        row[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

/// As [`reseal`], for a row of the log.
pub(crate) fn reseal_log(place: i64, commit_no: u64, row: &mut [u8]) {
    if row.len() >= CRC_BYTES {
        let crc = log_checksum(place, commit_no, row);
        row[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The statements that write pages, looked up when the first of a batch needs them.
pub(crate) struct Writes<'c> {
    connection: &'c Connection,
    log: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let log = connection
            .prepare_cached("INSERT INTO sql_log (place, commit_no, deltas) VALUES (?1, ?2, ?3)")?;
        Ok(Writes { connection, log })
    }

    /// Stores what commit `commit_no` of an object did.
    pub(crate) fn write(
        &mut self,
        object_no: ObjectNo,
        commit_no: u64,
        write: &SqlWrite,
    ) -> rusqlite::Result<()> {
        match write {
            SqlWrite::Log { row, deltas } => {
                let key = place(object_no, *row);
                self.log.execute(params![key, signed(commit_no), deltas]).map(drop)
            }
            SqlWrite::Fold { count, pages } => self.fold(object_no, commit_no, *count, pages),
        }
    }

    fn fold(
        &mut self,
        object_no: ObjectNo,
        commit_no: u64,
        count: u32,
        pages: &[(u32, Page)],
    ) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached(
            "INSERT INTO sql_pages (place, page) VALUES (?1, ?2)
             ON CONFLICT (place) DO UPDATE SET page = excluded.page",
        )?;
        let mut head = vec![ENVELOPE];
        head.extend(count.to_le_bytes());
        head.extend(commit_no.to_le_bytes());
        let key = place(object_no, 0);
        put.execute(params![key, seal(key, &head)])?;
        for (number, page) in pages {
            let key = place(object_no, *number);
            put.execute(params![key, seal(key, page)])?;
        }
        let last = place(object_no, (1 << NUMBER_BITS) - 1);
        self.connection
            .prepare_cached("DELETE FROM sql_pages WHERE place > ?1 AND place <= ?2")?
            .execute([place(object_no, count), last])?;
        self.connection
            .prepare_cached("DELETE FROM sql_log WHERE place BETWEEN ?1 AND ?2")?
            .execute([key, last])
            .map(drop)
    }
}

/// What is stored of an object's database, without its pages.
#[derive(Debug)]
pub(crate) struct StoredSql {
    /// Pages that the last fold left; 0: none was yet.
    pub(crate) count: u32,
    /// Rows of the log, each with its bytes.
    pub(crate) log: Vec<(usize, LogRow)>,
}

/// Reads what is stored of an object's database, without its pages.
pub(crate) fn load(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Result<StoredSql, PageError>> {
    let key = place(object_no, 0);
    let count = match page_row(connection, key)?.map(|row| open_head(key, &row)).transpose() {
        Ok(count) => count.unwrap_or(0),
        Err(error) => return Ok(Err(error)),
    };
    let mut select = connection.prepare_cached(
        "SELECT place, commit_no, deltas FROM sql_log WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
    )?;
    let mut rows = select.query([key, place(object_no, (1 << NUMBER_BITS) - 1)])?;
    let mut log = Vec::new();
    while let Some(row) = rows.next()? {
        let (at, commit_no, deltas) = (row.get(0)?, unsigned(row, 1)?, row.get_ref(2)?.as_blob()?);
        let expected = u32::try_from(log.len()).expect("24 bits") + 1;
        if number_of(at) != expected {
            return Ok(Err(PageError::LogGap { row: expected }));
        }
        match open_log(at, commit_no, deltas) {
            Ok(row) => log.push((deltas.len(), row)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(StoredSql { count, log }))
}

/// Reads the row in front of the pages: how many pages the last fold left.
pub(crate) fn open_head(key: i64, row: &[u8]) -> Result<u32, PageError> {
    let mut rest = Rest(open(key, row)?);
    match rest.take(1) {
        Some([ENVELOPE]) => match rest.u32() {
            Some(pages) if pages > SQL_PAGES_MAX => Err(PageError::Count { pages }),
            Some(pages) => Ok(pages),
            None => Err(PageError::Checksum { number: 0 }),
        },
        Some([found]) => Err(PageError::Envelope { found: *found }),
        _ => Err(PageError::Checksum { number: 0 }),
    }
}

/// A page that a fold has stored.
pub(crate) fn page(
    connection: &Connection,
    object_no: ObjectNo,
    number: u32,
) -> rusqlite::Result<Result<Page, PageError>> {
    let key = place(object_no, number);
    let Some(row) = page_row(connection, key)? else {
        return Ok(Err(PageError::Missing { number }));
    };
    Ok(open_page(key, &row))
}

/// Reads the row of a page.
pub(crate) fn open_page(key: i64, row: &[u8]) -> Result<Page, PageError> {
    open(key, row).and_then(|page| match page.len() {
        SQL_PAGE_BYTES => Ok(Page::from(page)),
        bytes => Err(PageError::Length { number: number_of(key), bytes }),
    })
}

fn page_row(connection: &Connection, key: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select = connection.prepare_cached("SELECT page FROM sql_pages WHERE place = ?1")?;
    let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_blob()?.to_vec());
    select.query_row([key], read).optional()
}

/// The numbers that databases hang on, whether there are such objects or not.
pub(crate) fn owners(connection: &Connection) -> rusqlite::Result<Vec<ObjectNo>> {
    let mut select = connection.prepare(
        "SELECT place >> 24 FROM sql_pages UNION SELECT place >> 24 FROM sql_log ORDER BY 1",
    )?;
    let rows = select.query_map([], |row| row.get(0).map(ObjectNo))?;
    rows.collect()
}

/// Reads everything of an object's database.
pub(crate) fn check(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Result<(), PageError>> {
    let count = match load(connection, object_no)? {
        Ok(stored) => stored.count,
        Err(error) => return Ok(Err(error)),
    };
    for number in 1..=count {
        if let Err(error) = page(connection, object_no, number)? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Deletes an object's database.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let (first, end) = (place(object_no, 0), place(ObjectNo(object_no.0 + 1), 0));
    for sql in [
        "DELETE FROM sql_pages WHERE place >= ?1 AND place < ?2",
        "DELETE FROM sql_log WHERE place >= ?1 AND place < ?2",
    ] {
        connection.prepare_cached(sql)?.execute([first, end])?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "sql/tests.rs"]
mod tests;
