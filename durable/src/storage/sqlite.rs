//! Opening connections, and what SQLite's errors mean for a shard.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Code, Error};
use crate::host::Host;
use crate::limits::SHARD_PAGE_BYTES;

/// How long a connection waits for another one of this process. Only class registration and a
/// checkpoint that the writer waits for ever meet; a longer wait means that a foreign process works
/// in the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Marks the file as ours, for `file(1)` and the like: `DURA`.
const APPLICATION_ID: i32 = 0x4455_5241;

/// Where a shard's database is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// `None`: SQLite's own.
    vfs: Option<String>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Creates the file if it is missing, and then is its writer.
    Creator,
    /// Opens a file, gets it ready, and then applies write sets.
    Writer,
    /// Only reads.
    Reader,
    /// Only moves pages from the log into the file.
    Checkpointer,
}

impl Place {
    pub(super) fn new(host: &Host, path: &Path) -> Self {
        Place { path: path.to_owned(), vfs: host.disk.sqlite_vfs().map(str::to_owned) }
    }

    /// A connection that is set up for its role.
    pub(super) fn open(&self, role: Role) -> rusqlite::Result<Connection> {
        let access = match role {
            Role::Creator => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Role::Writer | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = self.connect(access)?;
        self.configure(&connection, role)?;
        Ok(connection)
    }

    /// An existing file as it is, for a look. Nothing is set up, so nothing is asked of the file.
    pub(super) fn look(&self) -> rusqlite::Result<Connection> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn connect(&self, access: OpenFlags) -> rusqlite::Result<Connection> {
        // Every connection belongs to one lane or sits behind a lock, so SQLite's own mutexes only
        // cost.
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.path, flags, vfs.as_str()),
            None => Connection::open_with_flags(&self.path, flags),
        }
    }

    fn configure(&self, connection: &Connection, role: Role) -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // The last connection would checkpoint on close, even after a failed sync, when nothing may be
        // written any more.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_prepared_statement_cache_capacity(32);
        // Without it a statement is compiled anew whenever another value is bound to it, in case the
        // value would change its plan.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // An I/O error in a mapped page is a signal that kills the process; a read call gives an error
        // instead.
        connection.pragma_update(None, "mmap_size", 0)?;
        if role == Role::Reader {
            // What a listing sorts.
            return connection.pragma_update(None, "temp_store", "memory");
        }
        self.configure_writes(connection, role)
    }

    /// What makes an acknowledged write survive a power cut.
    fn configure_writes(&self, connection: &Connection, role: Role) -> rusqlite::Result<()> {
        let mode: String = if role == Role::Creator {
            connection.pragma_update(None, "page_size", SHARD_PAGE_BYTES)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            // Kept in the file, so that only the creator asks for it. SQLite answers with what it gave.
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?
        } else {
            connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?
        };
        require(&mode, "wal", "journal_mode")?;
        // Every commit syncs the log, and every checkpoint the file.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        require(&level.to_string(), "2", "synchronous")?;
        if role == Role::Checkpointer {
            return Ok(());
        }
        // Checkpoints have a lane of their own; inside of a commit they would delay its replies.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // In KiB: the inner pages of the trees and the pages of one batch.
        connection.pragma_update(None, "cache_size", -32_768)
    }

    /// What an error means, in words for people.
    pub(super) fn error(&self, error: &rusqlite::Error, doing: &str) -> Error {
        let path = self.path.display();
        let (code, next) = match Fault::of(error) {
            Fault::Full => (Code::StorageFull, "free space on the disk and call again"),
            Fault::Unsynced => {
                (Code::StorageSyncFailed, "check the disk, then restart the process")
            }
            Fault::Damaged => {
                (Code::StorageCorrupt, "check the disk and restore the file from a backup")
            }
            Fault::Row if error.sqlite_error().is_none() => (
                Code::StorageCorrupt,
                "verify the directory, and restore what is damaged from a backup",
            ),
            Fault::Row | Fault::Failed => (Code::StorageFailed, "check the disk and call again"),
        };
        code.error(format!("{doing} {path} failed: {error}; {next}"))
    }
}

/// Refuses a setting that SQLite did not take: everything above relies on it.
fn require(found: &str, wanted: &str, setting: &str) -> rusqlite::Result<()> {
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
        Some(format!("{setting} is `{found}` where `{wanted}` is needed")),
    ))
}

/// What an error of SQLite means for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No space is left.
    Full,
    /// A sync failed: what was written before may be lost, and a later sync would not tell.
    Unsynced,
    /// The file is damaged.
    Damaged,
    /// One row cannot be written or read; others can.
    Row,
    /// Anything else, such as an I/O error.
    Failed,
}

impl Fault {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        use rusqlite::ffi;

        let rusqlite::Error::SqliteFailure(cause, _) = error else {
            // A value that the codec of its row cannot have written.
            return Fault::Row;
        };
        match cause.extended_code {
            ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => return Fault::Unsynced,
            ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => return Fault::Damaged,
            _ => {}
        }
        match cause.extended_code & 0xff {
            ffi::SQLITE_FULL => Fault::Full,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => Fault::Damaged,
            ffi::SQLITE_CONSTRAINT | ffi::SQLITE_TOOBIG | ffi::SQLITE_MISMATCH => Fault::Row,
            _ => Fault::Failed,
        }
    }
}

/// How a checkpoint treats those who are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// Does nothing, but tells how long the log is.
    Look,
    /// Copies what it can without waiting for anybody.
    Passive,
    /// Waits for others, copies everything, and lets the log start over.
    Restart,
    /// Like `Restart`, and cuts the log to nothing.
    Truncate,
}

/// How far the log has been copied into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// Whether somebody was in the way.
    pub(super) busy: bool,
    /// Pages in the log.
    pub(super) pages: u32,
    /// How many of them are in the file as well.
    pub(super) copied: u32,
}

impl Log {
    /// Pages that are only in the log.
    pub(super) fn rest(self) -> u32 {
        self.pages.saturating_sub(self.copied)
    }
}

/// Runs a checkpoint. It syncs the log, copies, and syncs the file.
pub(super) fn checkpoint(connection: &Connection, mode: Checkpoint) -> rusqlite::Result<Log> {
    let mut pragma = connection.prepare_cached(match mode {
        Checkpoint::Look => "PRAGMA wal_checkpoint(NOOP)",
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    })?;
    pragma.query_row([], |row| {
        // SQLite says -1 while there is no log.
        let pages = |column| row.get(column).map(|pages: i64| u32::try_from(pages).unwrap_or(0));
        let busy: i64 = row.get(0)?;
        Ok(Log { busy: busy != 0, pages: pages(1)?, copied: pages(2)? })
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn every_error_has_its_meaning() {
        for (code, fault) in [
            (ffi::SQLITE_FULL, Fault::Full),
            (ffi::SQLITE_IOERR_FSYNC, Fault::Unsynced),
            (ffi::SQLITE_IOERR_DIR_FSYNC, Fault::Unsynced),
            (ffi::SQLITE_IOERR_WRITE, Fault::Failed),
            (ffi::SQLITE_CORRUPT_INDEX, Fault::Damaged),
            (ffi::SQLITE_NOTADB, Fault::Damaged),
            (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, Fault::Row),
            (ffi::SQLITE_TOOBIG, Fault::Row),
            (ffi::SQLITE_BUSY, Fault::Failed),
            (ffi::SQLITE_NOMEM, Fault::Failed),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(Fault::of(&error), fault, "{error}");
        }
        assert_eq!(Fault::of(&rusqlite::Error::InvalidQuery), Fault::Row);
    }
}
