//! The databases of objects, in pages: those that a fold has stored, one row each, and the [`log`] of what commits have
//! changed since.
//!
//! Layout of `sql_pages`: `place` the object's number times 2^24 plus the page's, from 1; `page` CRC-32C (u32,
//! little-endian) of the place (i64, little-endian) and the rest, then the page, 1,024 bytes. Page 0 is the head: CRC as
//! above, envelope version (u8), pages of the database (u32), number of the commit that folded last (u64), the newest
//! number that any row of the log had then (u64, all little-endian). There is a head if there are pages, and a row for each
//! page from 1 to the count.
//!
//! Never reuse: an envelope version keeps its meaning for ever, and checksums stay at the beginning, so that damage is
//! never taken for a newer version.

pub(crate) mod log;

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};

use self::log::{Head, LogRow};
use super::rest::Rest;
use crate::kernel::pages::PageOverlay;
use crate::limits::{SQL_PAGE_BYTES, SQL_PAGES_MAX};
use crate::sql::Page;
use crate::storage::numbers::ObjectNo;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS sql_pages (
    place INTEGER PRIMARY KEY,
    page BLOB NOT NULL
) STRICT";

const ENVELOPE: u8 = 1;
const CRC_BYTES: usize = 4;

/// Bits of a place that number a page.
pub(crate) const NUMBER_BITS: u32 = 24;

/// Objects' numbers are below it, so that all places are numbers of rows.
pub(crate) const NUMBERS_END: i64 = 1 << (63 - NUMBER_BITS);

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
    LogChecksum { row: u64 },
    /// A row of the log is missing.
    LogGap { row: u64 },
    /// A row of the log is whole and says what no log says.
    LogMeaning { row: u64 },
    /// So many rows of the log are the object's, and no other row leads to them.
    LogStray { rows: u64 },
    /// The head is whole, and was stored when the shard had counted further than it has.
    FoldAhead { row: u64 },
    /// Where its log ends is not what was stored.
    LogEnd,
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
            PageError::LogStray { rows } => write!(f, "{rows} rows of its log lead nowhere"),
            PageError::FoldAhead { row } => {
                write!(f, "its head says that rows up to {row} are folded, no row had that number")
            }
            PageError::LogEnd => write!(f, "the checksum of its log's end is wrong"),
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
    /// A row of the log, but for its checksum.
    Log { deltas: Vec<u8> },
    /// All of these pages, in place of the log.
    Fold { count: u32, pages: Vec<(u32, Page)> },
}

impl SqlWrite {
    /// How much it adds to what waits for the disk.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            SqlWrite::Log { deltas } => deltas.len(),
            SqlWrite::Fold { pages, .. } => pages.len() * SQL_PAGE_BYTES,
        }
    }
}

/// Where a page is.
pub(crate) fn place(object_no: ObjectNo, number: u32) -> i64 {
    assert!(number < 1 << NUMBER_BITS, "an object has fewer pages");
    let object = object_no.0.checked_mul(1 << NUMBER_BITS).expect("objects are fewer than 2^39");
    object | i64::from(number)
}

/// Whether an object can have this number. No other has pages, whatever a damaged row says.
pub(crate) fn is_possible(object_no: ObjectNo) -> bool {
    (0..NUMBERS_END).contains(&object_no.0)
}

/// The row in front of the pages.
pub(crate) fn head(object_no: ObjectNo, count: u32, commit_no: u64, log_no: u64) -> Vec<u8> {
    let mut head = vec![ENVELOPE];
    head.extend(count.to_le_bytes());
    head.extend(commit_no.to_le_bytes());
    head.extend(log_no.to_le_bytes());
    seal(place(object_no, 0), &head)
}

fn number_of(place: i64) -> u32 {
    u32::try_from(place & ((1 << NUMBER_BITS) - 1)).expect("24 bits")
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

/// Rows of the log that a run of commits is about to store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The object's newest row. 0: it never had one.
    pub(crate) end: u64,
    /// The highest number that was given to a row of any object.
    pub(crate) highest: u64,
}

/// The statements that write pages, looked up when the first of a batch needs them.
pub(crate) struct Writes<'c> {
    connection: &'c Connection,
    log: log::Writes<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes { connection, log: log::Writes::prepare(connection)? })
    }

    /// Stores what commit `commit_no` of an object did. `chain`: goes on with each row of the log; `None`: there are none.
    pub(crate) fn write(
        &mut self,
        object_no: ObjectNo,
        commit_no: u64,
        write: &SqlWrite,
        chain: Option<&mut Chain>,
    ) -> rusqlite::Result<()> {
        match write {
            SqlWrite::Log { deltas } => {
                let chain = chain.expect("a run with rows of the log has a chain");
                let (log_no, before_no) = (chain.highest + 1, chain.end);
                self.log.insert(&Head { log_no, object_no, commit_no, before_no }, deltas)?;
                *chain = Chain { end: log_no, highest: log_no };
                Ok(())
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
        // Of what is stored: after a crash, numbers are counted from it or from a higher one. A row of this object that a
        // sweep has taken away is not above it, even if the rows behind that are erased.
        let log_no = log::highest(self.connection)?;
        put.execute(params![place(object_no, 0), head(object_no, count, commit_no, log_no)])?;
        for (number, page) in pages {
            let key = place(object_no, *number);
            put.execute(params![key, seal(key, page)])?;
        }
        let last = place(object_no, (1 << NUMBER_BITS) - 1);
        self.connection
            .prepare_cached("DELETE FROM sql_pages WHERE place > ?1 AND place <= ?2")?
            .execute([place(object_no, count), last])
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
    let fold = match fold(connection, object_no)? {
        Ok(fold) => fold,
        Err(error) => return Ok(Err(error)),
    };
    // The next row would have a number that counts as folded.
    if fold.log_no > 0 && fold.log_no > log::highest(connection)? {
        return Ok(Err(PageError::FoldAhead { row: fold.log_no }));
    }
    let log = log::load(connection, object_no, fold.log_no)?;
    Ok(log.map(|log| StoredSql { count: fold.count, log }))
}

/// What the last fold of an object left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fold {
    /// Pages. 0: there was no fold.
    pub(crate) count: u32,
    /// The object's rows of the log up to this number are folded.
    pub(crate) log_no: u64,
}

/// What the last fold of an object left.
pub(crate) fn fold(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Result<Fold, PageError>> {
    if !is_possible(object_no) {
        return Ok(Ok(Fold::default()));
    }
    let key = place(object_no, 0);
    let row = page_row(connection, key)?;
    Ok(row.map_or(Ok(Fold::default()), |row| open_head(key, &row)))
}

/// Reads the row in front of the pages.
pub(crate) fn open_head(key: i64, row: &[u8]) -> Result<Fold, PageError> {
    let mut rest = Rest(open(key, row)?);
    match rest.u8() {
        Some(ENVELOPE) => match (rest.u32(), rest.u64(), rest.u64()) {
            (Some(pages), ..) if pages > SQL_PAGES_MAX => Err(PageError::Count { pages }),
            (Some(count), Some(_), Some(log_no)) => Ok(Fold { count, log_no }),
            _ => Err(PageError::Checksum { number: 0 }),
        },
        Some(found) => Err(PageError::Envelope { found }),
        None => Err(PageError::Checksum { number: 0 }),
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

/// The numbers that databases hang on, whether there are such objects or not, each with how many of its rows of the log
/// are not folded.
pub(crate) fn owners(connection: &Connection) -> rusqlite::Result<BTreeMap<ObjectNo, u64>> {
    let mut owners: BTreeMap<_, _> =
        log::ends(connection)?.into_iter().map(|object_no| (object_no, 0)).collect();
    let mut select = connection.prepare("SELECT DISTINCT place >> 24 FROM sql_pages")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        owners.insert(ObjectNo(row.get(0)?), 0);
    }
    let mut select =
        connection.prepare("SELECT object_no, log_no FROM sql_log ORDER BY object_no")?;
    let mut rows = select.query([])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let object_no = ObjectNo(row.get(0)?);
        // A negative number is no row's: nothing has folded it.
        let log_no = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(u64::MAX);
        let folded = match last {
            Some((of, folded)) if of == object_no => folded,
            _ => fold(connection, object_no)?.map_or(0, |fold| fold.log_no),
        };
        last = Some((object_no, folded));
        *owners.entry(object_no).or_default() += u64::from(log_no > folded);
    }
    Ok(owners)
}

/// Reads everything of an object's database. `rows`: how many rows of the log are to be found.
pub(crate) fn check(
    connection: &Connection,
    object_no: ObjectNo,
    rows: u64,
) -> rusqlite::Result<Result<(), PageError>> {
    let StoredSql { count, log } = match load(connection, object_no)? {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let mut overlay = PageOverlay::<Page>::new(count);
    let read = log.len() as u64;
    for (row, (bytes, (count, pages))) in (1..).zip(log) {
        if overlay.replay((count, bytes), pages).is_err() {
            return Ok(Err(PageError::LogMeaning { row }));
        }
    }
    for number in 1..=count {
        if let Err(error) = page(connection, object_no, number)? {
            return Ok(Err(error));
        }
    }
    let rows = rows.saturating_sub(read);
    Ok(if rows == 0 { Ok(()) } else { Err(PageError::LogStray { rows }) })
}

/// Deletes an object's database.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let folded = fold(connection, object_no)?.ok().map(|fold| fold.log_no);
    log::erase(connection, object_no, folded)?;
    if !is_possible(object_no) {
        return Ok(());
    }
    let ends = [place(object_no, 0), place(ObjectNo(object_no.0 + 1), 0)];
    let sql = "DELETE FROM sql_pages WHERE place >= ?1 AND place < ?2";
    connection.prepare_cached(sql)?.execute(ends).map(drop)
}

#[cfg(test)]
#[path = "sql/tests.rs"]
mod tests;
