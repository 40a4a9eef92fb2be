//! Copies a data directory, shard by shard, while others may use it.
//!
//! Why a copy is whole or refused: the first file that is written says that the copy is not whole, everybody refuses a
//! directory that says so, and it is replaced, atomically, when every shard has been copied and synced. Why each shard is
//! one moment: SQLite reads all of it in one transaction. Why nothing is overwritten: the target is empty, its lock is held
//! from before the first look to the end, and SQLite refuses to copy into a file that has bytes.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::lock;
use super::manifest::Manifest;
use super::rows::{meta, object, unsigned};
use super::shared::{DirectoryLock, closed};
use super::sqlite::{self, Checkpoint, Fault, Place, Role};
use super::store::{check_meta, failed, shard_place};
use crate::error::{Code, Error, Outcome};
use crate::host::Host;
use crate::inspection::Backup;

/// A directory that is being filled with a copy of another.
pub(super) struct Copier {
    host: Host,
    to: PathBuf,
    manifest: Manifest,
    made: Backup,
    /// Held until the copy is whole or given up.
    _lock: DirectoryLock,
}

impl Copier {
    /// Makes the target and says there that it is not whole.
    ///
    /// # Errors
    /// `backup.exists`, `storage.locked`, `storage.full`, `storage.failed`.
    pub(super) fn begin(host: &Host, manifest: Manifest, to: &Path) -> Result<Self, Error> {
        let folder = to.join("shards");
        refuse_others(host, to, &[])?;
        host.disk.create_dir_all(&folder).map_err(|cause| unmade(to, cause))?;
        let lock = lock::take(host, to)?;
        // Somebody may have begun to use it before it was locked.
        refuse_others(host, to, &["LOCK", "shards"])?;
        refuse_others(host, &folder, &[])?;
        let path = to.join("durable.toml");
        let written = host.disk.write_atomically(&path, Manifest::copying().as_bytes());
        written.map_err(|cause| unmade(to, cause))?;
        let made = Backup { shards: 0, objects: 0, bytes: 0 };
        Ok(Copier { host: host.clone(), to: to.to_owned(), manifest, made, _lock: lock })
    }

    /// Which shard comes next. `None`: all have been copied.
    pub(super) fn next(&self) -> Option<u16> {
        Some(self.made.shards).filter(|next| *next < self.manifest.shards)
    }

    /// Copies the next shard, out of a connection that nobody else uses, and makes the copy durable.
    pub(super) fn copy(&mut self, source: &Place, connection: &Connection) -> Result<(), Error> {
        let index = self.made.shards;
        let target = shard_place(&self.host, &self.to.join("shards"), index);
        let path = target.path.to_str().ok_or_else(|| {
            let path = target.path.display();
            Code::ConfigInvalid.error(format!("the path {path} is not UTF-8; choose another"))
        })?;
        let copied = connection.execute("VACUUM INTO ?1", [path]);
        copied.map_err(|cause| uncopied(source, &target, &cause))?;
        let settled = settle(&target).map_err(|cause| uncopied(source, &target, &cause))?;
        check_meta(&target, &settled, index, &self.manifest)?;
        let counted = count(&settled);
        let (objects, bytes) = counted.map_err(|cause| uncopied(source, &target, &cause))?;
        let Backup { shards, objects: all_objects, bytes: all_bytes } = &mut self.made;
        (*shards, *all_objects, *all_bytes) =
            (*shards + 1, *all_objects + objects, *all_bytes + bytes);
        Ok(())
    }

    /// Says that the copy is whole.
    pub(super) fn finish(self) -> Result<Backup, Error> {
        assert!(self.next().is_none(), "a copy is whole when every shard has been copied");
        let (folder, path) = (self.to.join("shards"), self.to.join("durable.toml"));
        self.host.disk.sync_dir(&folder).map_err(|cause| unmade(&self.to, cause))?;
        let written = self.host.disk.write_atomically(&path, self.manifest.encode().as_bytes());
        written.map_err(|cause| unmade(&self.to, cause))?;
        Ok(self.made)
    }
}

/// Makes a shard of what SQLite has copied: a log instead of a journal, and everything synced. When the connection closes,
/// no log is left.
fn settle(target: &Place) -> rusqlite::Result<Connection> {
    let connection = target.open(Role::Creator)?;
    // The copy was made under a journal, whose name may come back after a power cut and would take everything back. The
    // directory is synced when all shards are there, and with it that the journal is gone.
    meta::next_boot(&connection)?;
    sqlite::checkpoint(&connection, Checkpoint::Truncate)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(connection)
}

/// Objects and bytes of a shard.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pages = connection.pragma_query_value(None, "page_count", |row| unsigned(row, 0))?;
    let page = connection.pragma_query_value(None, "page_size", |row| unsigned(row, 0))?;
    Ok((object::count(connection)?, pages * page))
}

/// Refuses a directory in which there is anything but `ours`.
fn refuse_others(host: &Host, folder: &Path, ours: &[&str]) -> Result<(), Error> {
    let exists = |what: &str| {
        let path = folder.display();
        Code::BackupExists
            .error(format!("{path} {what}; choose a directory that is empty or does not exist yet"))
    };
    let names = match host.disk.names_in(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
            return Err(exists("is not a directory"));
        }
        names => names.map_err(|cause| failed(folder, cause))?,
    };
    match names.unwrap_or_default().iter().find(|name| !ours.contains(&name.as_str())) {
        Some(name) => Err(exists(&format!("holds `{name}`, and nothing is overwritten"))),
        None => Ok(()),
    }
}

fn unmade(to: &Path, cause: io::Error) -> Error {
    failed(to, cause).with_outcome(Outcome::NotStarted)
}

/// Why a shard was not copied.
fn uncopied(source: &Place, target: &Place, cause: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::OperationInterrupted;

    if cause.sqlite_error_code() == Some(OperationInterrupted) {
        return closed();
    }
    let (code, next) = match Fault::of(cause) {
        Fault::Full => (Code::StorageFull, "free space on the target's disk"),
        Fault::Damaged => (Code::StorageCorrupt, "verify the source"),
        Fault::Unsynced | Fault::Row | Fault::Failed => {
            (Code::StorageFailed, "check the disks of both")
        }
    };
    let (from, to) = (source.path.display(), target.path.display());
    let text =
        format!("copying {from} to {to} failed: {cause}; {next}, delete the target and copy again");
    code.error(text).with_outcome(Outcome::NotStarted)
}
