//! Looks at the stored rows, past everything that the runtime has in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::ObjectId;
use durable::host::Disk;
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
                "SELECT o.id, s.commit_no, s.body, object_no
                 FROM objects o JOIN snapshots s USING (object_no)",
            )?;
            let mut kept = kept(&connection)?;
            let found = statement.query_map([], |row| {
                let id: [u8; ObjectId::BYTES] = row.get(0)?;
                let commit: i64 = row.get(1)?;
                let body: Vec<u8> = row.get(2)?;
                Ok(Stored {
                    object: ObjectId::from_bytes(id),
                    commit: u64::try_from(commit).unwrap_or_default(),
                    state: body.get(HEADER_BYTES..).unwrap_or_default().to_vec(),
                    rows: kept.remove(&row.get(3)?).unwrap_or_default(),
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
