//! Looks at the stored rows, past everything that the runtime has in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::host::Disk;
use durable::{AlarmView, ObjectId, WallMs};
use rusqlite::{Connection, OpenFlags};

use super::World;
use super::node::DIR;
use crate::check::promises::Stored;
use crate::failure::Failure;

/// Bytes before the state in a stored frame.
const HEADER_BYTES: usize = durable::alone::FRAME_HEADER_BYTES;

impl World {
    /// Compares the stored rows with what was promised, and the invariants with the rows.
    pub(crate) fn audit(self: &Arc<Self>) {
        let rows = match self.rows_in(Path::new(DIR)) {
            Ok(rows) => rows,
            // A disk that may fail may fail here.
            Err(_) if self.may_disk_fail() => return,
            Err(error) => {
                self.fail(Failure::promise("P1", format!("the shards cannot be read: {error}")));
                return;
            }
        };
        let verdict = self.promises.lock().audit(&rows);
        if let Err(failure) = verdict {
            self.fail(failure);
        }
        self.check_invariants();
    }

    /// The rows of a data directory.
    pub(super) fn rows_in(&self, dir: &Path) -> rusqlite::Result<Vec<Stored>> {
        let disk = self.disk();
        let vfs = disk.sqlite_vfs().expect("a simulated disk has a VFS of its own").to_owned();
        let mut rows = Vec::new();
        for shard in 0.. {
            let path = dir.join(format!("shards/{shard:03}.db"));
            if disk.read(&path).is_ok_and(|file| file.is_none()) {
                break;
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags_and_vfs(&path, flags, vfs.as_str())?;
            connection.set_db_config(
                rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                true,
            )?;
            let mut statement = connection.prepare(
                "SELECT o.id, s.commit_no, s.body, object_no, a.due_ms, a.scheduled_ms, a.retries, t.body
                 FROM objects o JOIN snapshots s USING (object_no)
                     LEFT JOIN alarms a USING (object_no)
                     LEFT JOIN schedules t USING (object_no)",
            )?;
            let mut kept = kept(&connection)?;
            let mut databases = databases(&connection)?;
            let found = statement.query_map([], |row| {
                let id: [u8; ObjectId::BYTES] = row.get(0)?;
                let commit: i64 = row.get(1)?;
                let body: Vec<u8> = row.get(2)?;
                Ok(Stored {
                    object: ObjectId::from_bytes(id),
                    object_no: row.get(3)?,
                    commit: u64::try_from(commit).unwrap_or_default(),
                    state: body.get(HEADER_BYTES..).unwrap_or_default().to_vec(),
                    alarm: alarm(row)?,
                    schedules: durable::alone::schedules(row.get_ref(7)?.as_blob_or_null()?),
                    rows: kept.remove(&row.get(3)?).unwrap_or_default(),
                    pages: databases.remove(&row.get(3)?).unwrap_or_default().into_pages(),
                })
            })?;
            for row in found {
                rows.push(row?);
            }
            drop(statement);
            if let Some(object_no) = kept.keys().next() {
                let text = format!("object {object_no} of shard {shard} has keys and no state");
                self.fail(Failure::promise("P2", text));
            }
            if let Some(object_no) = databases.keys().next() {
                let text = format!("object {object_no} of shard {shard} has pages and no state");
                self.fail(Failure::promise("P2", text));
            }
        }
        Ok(rows)
    }

    /// Checks what must always hold.
    pub(super) fn check_invariants(&self) {
        let invariants = self.invariants.lock().clone();
        if invariants.is_empty() {
            return;
        }
        let broken = invariants.check(self.promises.lock().states());
        if let Some((name, why)) = broken {
            self.fail(Failure::new(name, why));
        }
    }
}

/// The alarm in a row of objects.
fn alarm(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<AlarmView>> {
    let wall = |column| {
        let ms: Option<i64> = row.get(column)?;
        Ok::<_, rusqlite::Error>(ms.map(|ms| WallMs(ms.unsigned_abs())))
    };
    let (Some(due), Some(scheduled_at)) = (wall(4)?, wall(5)?) else { return Ok(None) };
    let mut view = AlarmView::at(due);
    (view.scheduled_at, view.retry_count) = (scheduled_at, row.get(6)?);
    Ok(Some(view))
}

/// What is stored of an object's database.
#[derive(Default)]
struct Database {
    pages: BTreeMap<u32, Vec<u8>>,
    /// Pages that it has, by the newest of its rows that says so.
    count: u32,
    /// Rows of the log up to this number are in its pages.
    folded: i64,
    /// Why it cannot be put together. `None`: it can.
    fault: Option<String>,
}

/// Bytes of a page.
const PAGE_BYTES: usize = 1_024;

impl Database {
    fn into_pages(self) -> Result<BTreeMap<u32, Vec<u8>>, String> {
        let Database { pages, count, fault, .. } = self;
        if let Some(fault) = fault {
            return Err(fault);
        }
        match (1..=count).find(|number| !pages.contains_key(number)) {
            Some(number) => Err(format!("page {number} of {count} is missing")),
            None => Ok(pages),
        }
    }

    /// A row of `sql_pages`, as the disk format says.
    fn add_page(&mut self, number: u32, row: &[u8]) {
        match (number, row.get(4..).unwrap_or_default()) {
            (0, head) => {
                self.count = number_at(head, 1).unwrap_or_default();
                self.folded = number_at(head, 13).map_or(0, i64::from);
            }
            (number, page) => drop(self.pages.insert(number, page.to_vec())),
        }
    }

    /// The next row of `sql_log`, as the disk format says.
    fn follow(&mut self, row: &[u8]) -> Option<()> {
        self.count = number_at(row, 5)?;
        let mut rest = row.get(9..)?;
        while !rest.is_empty() {
            let (number, ranges) = (number_at(rest, 0)?, short_at(rest, 4)?);
            rest = &rest[6..];
            if ranges == 0 {
                self.pages.insert(number, rest.get(..PAGE_BYTES)?.to_vec());
                rest = &rest[PAGE_BYTES..];
            }
            for _ in 0..ranges {
                let (start, bytes) = (short_at(rest, 0)?, short_at(rest, 2)?);
                let new = rest.get(4..4 + bytes)?;
                self.pages.get_mut(&number)?.get_mut(start..start + bytes)?.copy_from_slice(new);
                rest = &rest[4 + bytes..];
            }
        }
        let count = self.count;
        self.pages.retain(|number, _| *number <= count);
        Some(())
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")))
}

fn short_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]).into())
}

/// The databases that are stored, by object.
fn databases(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Database>> {
    let mut databases = BTreeMap::<i64, Database>::new();
    let place = |place: i64| (place >> 24, u32::try_from(place & 0xff_ffff).expect("24 bits"));
    let mut statement = connection.prepare("SELECT place, page FROM sql_pages ORDER BY place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (object_no, number) = place(row.get(0)?);
        databases.entry(object_no).or_default().add_page(number, row.get_ref(1)?.as_blob()?);
    }
    let mut statement =
        connection.prepare("SELECT object_no, log_no, deltas FROM sql_log ORDER BY log_no")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (object_no, number) = (row.get(0)?, row.get::<_, i64>(1)?);
        let database = databases.entry(object_no).or_default();
        if number > database.folded && database.follow(row.get_ref(2)?.as_blob()?).is_none() {
            database.fault = Some(format!("row {number} of its log cannot be followed"));
        }
    }
    Ok(databases)
}

/// Values by key.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is stored under keys, by object.
fn kept(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Rows>> {
    let mut kept = BTreeMap::<i64, Rows>::new();
    let mut statement = connection.prepare("SELECT object_no, key, value FROM kv")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        kept.entry(row.get(0)?).or_default().insert(row.get(1)?, row.get(2)?);
    }
    Ok(kept)
}
