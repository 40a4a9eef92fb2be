//! The data directory: takes its lock, checks that its files belong together, and starts its
//! shards.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::Notify;

use super::backup::BackupSlot;
use super::classes::{self, Declared, Named};
use super::lock;
use super::manifest::{self, Manifest};
use super::numbers::{ClassNo, Epoch, ObjectNo};
use super::outbox as sends;
use super::rows::meta::{self, FORMAT, Meta};
use super::rows::quarantine::{self, DamagedQuarantine as Damaged, Found};
use super::rows::{alarm, class, create_tables, history, object, outbox, schedule, schema};
use super::shard::{Opened, Settings, Shard};
use super::shared::DirectoryLock;
use super::sqlite::{self, Checkpoint, Place, Role};
use super::stored::{After, Listed};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::id::ObjectId;
use crate::kernel::history::Bounds;
use crate::limits::{LIST_PAGE_MAX, SHARDS, SLOTS};

/// An open data directory. Dropping it closes it.
pub(crate) struct Store {
    id_key: [u8; 32],
    shards: Vec<Arc<Shard>>,
    classes: BTreeMap<String, Named>,
    /// Those of objects that were quarantined at the start, until their classes have taken them.
    quarantines: Mutex<Vec<Found>>,
    /// Rung when the first row of a past comes, and when the store is closed.
    bell: Arc<Notify>,
    /// The backup that is under way.
    pub(super) backup: BackupSlot,
    /// `None`: the store was closed.
    pub(super) lock: Mutex<Option<Arc<DirectoryLock>>>,
}

impl Store {
    /// Opens a data directory, and creates what is missing of a new one. Blocks on the disk.
    ///
    /// `config`: says how many shards a new directory gets, and how long logs may be.
    ///
    /// # Errors
    /// `storage.locked`, `storage.newer`, `storage.corrupt`, `storage.full`, `storage.failed`,
    /// `storage.sync_failed`; `class.taken`; `config.invalid` if `shards` is out of range or not what the
    /// directory was created with.
    pub(crate) fn open(
        host: &Host,
        directory: &Path,
        config: &Config,
        declared: Declared<'_>,
    ) -> Result<Self, Error> {
        let Config { shards, log_pages, history, .. } = *config;
        if let Some(shards) = shards.filter(|shards| !(1..=SLOTS).contains(shards)) {
            return Err(Code::ConfigInvalid.error(format!(
                "{shards} shards are asked for, possible are 1 to {SLOTS}; change the setting"
            )));
        }
        let folder = directory.join("shards");
        host.disk.create_dir_all(&folder).map_err(|cause| failed(&folder, cause))?;
        let lock = Arc::new(lock::take(host, directory)?);
        let path = directory.join("durable.toml");
        let stored = host.disk.read(&path).map_err(|cause| failed(&path, cause))?;
        let stored = stored.map(|bytes| Manifest::decode(&path, &bytes)).transpose()?;
        let files = Files { host, folder, path };
        let (manifest, mut opened) = match stored {
            Some(manifest) => files.open_all(manifest, shards)?,
            None => files.create_all(shards.unwrap_or(SHARDS))?,
        };
        let classes = classes::settle(&mut opened, declared, host.clock.wall())?;
        sends::sweep(&mut opened)?;
        let quarantines =
            opened.iter_mut().flat_map(|shard| std::mem::take(&mut shard.quarantines));
        let quarantines: Vec<_> = quarantines.collect();
        for Damaged { name, what, .. } in
            quarantines.iter().filter_map(|found| found.as_ref().err())
        {
            tracing::error!(name, what, "a quarantine cannot be read; its object does not run");
        }
        let bounds = Bounds { keep_ms: history.keep_ms(), bytes: history.bytes_per_object };
        let bell = Arc::new(Notify::new());
        let settings = Settings { log_pages, bounds, bell: Arc::clone(&bell) };
        let shards = opened
            .into_iter()
            .map(|shard| Shard::start(host, shard, &lock, &settings).map(Arc::new));
        Ok(Store {
            id_key: manifest.id_key,
            shards: shards.collect::<Result<_, _>>()?,
            classes,
            quarantines: Mutex::new(quarantines),
            bell,
            backup: BackupSlot::default(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// The secret that ids are made with.
    pub(crate) fn id_key(&self) -> &[u8; 32] {
        &self.id_key
    }

    /// Rung when the first row of a past comes, and when the store is closed.
    pub(crate) fn bell(&self) -> &Arc<Notify> {
        &self.bell
    }

    /// Whether anything of the past of objects is stored.
    pub(crate) fn has_past(&self) -> bool {
        self.shards.iter().any(|shard| shard.has_past())
    }

    /// The objects of a class that were quarantined at the start. Gives them once. `owns`: whether an id is one of the class,
    /// which is asked where the row cannot be read.
    pub(crate) fn take_quarantines(
        &self,
        class_no: ClassNo,
        owns: impl Fn(&ObjectId) -> bool,
    ) -> Vec<Found> {
        let mut all = self.quarantines.lock().unwrap_or_else(PoisonError::into_inner);
        let (its, others) = all.drain(..).partition(|found| match found {
            Ok(stored) => stored.class_no == class_no,
            Err(Damaged { id, .. }) => id.as_ref().is_some_and(&owns),
        });
        *all = others;
        its
    }

    /// The shard that owns an id's slot.
    pub(crate) fn shard(&self, id: &ObjectId) -> &Arc<Shard> {
        let index = usize::from(id.slot()) * self.shards.len() / usize::from(SLOTS);
        &self.shards[index]
    }

    /// All shards, by index.
    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// A class. `None`: neither the directory nor this start knows it.
    pub(crate) fn class(&self, name: &str) -> Option<&Named> {
        self.classes.get(name)
    }

    /// What the class with this number is called. `None`: it was deleted.
    pub(crate) fn class_called(&self, class_no: ClassNo) -> Option<String> {
        let named = self.classes.iter().find(|(_, named)| named.class_no == class_no);
        named.map(|(name, _)| name.clone())
    }

    /// One page of the stored objects of a class over all shards: names bytewise, nameless objects
    /// first, then by id.
    ///
    /// `prefix`: only names that begin with it; every object if it is empty. `after`: the last row
    /// of the page before. A page that is shorter than `limit` and [`LIST_PAGE_MAX`] is the last
    /// one.
    pub(crate) fn list(
        &self,
        class_no: ClassNo,
        prefix: &Arc<str>,
        after: Option<&After>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send + 'static + use<> {
        let ask = |shard: &Arc<Shard>| shard.list(class_no, prefix.clone(), after.cloned(), limit);
        let pages: Vec<_> = self.shards.iter().map(ask).collect();
        async move {
            let mut merged = Vec::new();
            for page in pages {
                merged.append(&mut page.await?);
            }
            // `None` comes before every name, as NULL does in SQLite, and text compares bytewise in
            // both.
            merged.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
            merged.truncate(limit.min(LIST_PAGE_MAX));
            Ok(merged)
        }
    }

    /// Finishes what waits, ends the lanes, leaves files without logs, and lets go of the
    /// directory. Blocks until all of that is done. Later reads and writes fail with
    /// `runtime.closed`; a second call does nothing.
    pub(crate) fn close(&self) {
        self.backup.close();
        self.bell.notify_one();
        self.shards.iter().for_each(|shard| shard.close());
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    /// Without the key: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// The files of a data directory while it is being opened.
struct Files<'a> {
    host: &'a Host,
    folder: PathBuf,
    /// Of `durable.toml`.
    path: PathBuf,
}

impl Files<'_> {
    fn place(&self, index: u16) -> Place {
        shard_place(self.host, &self.folder, index)
    }

    /// Opens what `durable.toml` says there is; nothing is created.
    fn open_all(
        &self,
        manifest: Manifest,
        shards: Option<u16>,
    ) -> Result<(Manifest, Vec<Opened>), Error> {
        if let Some(asked) = shards.filter(|asked| *asked != manifest.shards) {
            return Err(Code::ConfigInvalid.error(format!(
                "{asked} shards are asked for, {} was created with {}; ask for {} or leave the \
                 setting out",
                self.path.display(),
                manifest.shards,
                manifest.shards
            )));
        }
        let open = |index| {
            let place = self.place(index);
            renew_log(self.host, &place)?;
            let opened = place.open(Role::Writer);
            let connection = opened.map_err(|cause| unopened(&place, &self.path, &cause))?;
            check_meta(&place, &connection, index, &manifest)?;
            open_shard(index, place, connection)
        };
        let opened = (0..manifest.shards).map(open).collect::<Result<_, _>>()?;
        self.sync_names()?;
        Ok((manifest, opened))
    }

    /// Makes it durable that the databases and their new logs are there. SQLite tries to, and says nothing if it fails.
    fn sync_names(&self) -> Result<(), Error> {
        self.host.disk.sync_dir(&self.folder).map_err(|cause| failed(&self.folder, cause))
    }

    /// Creates the shards and, last of all, `durable.toml`. What a crash left of an earlier try is
    /// used again.
    fn create_all(&self, shards: u16) -> Result<(Manifest, Vec<Opened>), Error> {
        self.refuse_orphans(shards)?;
        let mut manifest = Manifest { id_key: [0; 32], shards };
        self.host.entropy.fill(&mut manifest.id_key);
        let create = |index| {
            let place = self.place(index);
            renew_log(self.host, &place)?;
            let mut connection =
                place.open(Role::Creator).map_err(|cause| place.error(&cause, "creating"))?;
            create_shard(&mut connection, index, &manifest)
                .map_err(|cause| place.error(&cause, "creating"))?;
            open_shard(index, place, connection)
        };
        let opened = (0..shards).map(create).collect::<Result<_, _>>()?;
        self.sync_names()?;
        let text = manifest.encode();
        let written = self.host.disk.write_atomically(&self.path, text.as_bytes());
        written.map_err(|cause| failed(&self.path, cause))?;
        Ok((manifest, opened))
    }

    /// Without `durable.toml` there must be no objects: a new key would make all of them
    /// unreachable.
    fn refuse_orphans(&self, shards: u16) -> Result<(), Error> {
        for index in 0..SLOTS {
            let place = self.place(index);
            let Ok(file) = probe(&place) else {
                if index >= shards {
                    return Ok(());
                }
                continue;
            };
            let found = file.map_err(|cause| place.error(&cause, "reading from"))?;
            if found {
                return Err(Code::StorageCorrupt.error(format!(
                    "{} is missing, but {} holds objects; restore it from a backup",
                    self.path.display(),
                    place.path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Why a shard that must be there cannot be opened. `manifest`: the path of `durable.toml`.
pub(super) fn unopened(place: &Place, manifest: &Path, cause: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, Unknown};

    // An empty file opens, but not with the settings that every shard has from its creation on.
    if !matches!(cause.sqlite_error_code(), Some(CannotOpen | Unknown)) {
        return place.error(cause, "opening");
    }
    Code::StorageCorrupt.error(format!(
        "{} is missing, not a shard, or not permitted to this process: {cause}; {} says that \
         it exists, so mend its permissions, or restore it from a backup",
        place.path.display(),
        manifest.display()
    ))
}

/// Where a shard is. `folder`: the directory's `shards`.
pub(super) fn shard_place(host: &Host, folder: &Path, index: u16) -> Place {
    Place::new(host, &folder.join(format!("{index:03}.db")))
}

/// There is no such file.
struct NoFile;

/// Whether an existing file holds objects. Outer `Err`: there is no such file.
fn probe(place: &Place) -> Result<rusqlite::Result<bool>, NoFile> {
    let connection = match place.look() {
        Ok(connection) => connection,
        Err(cause) if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            return Err(NoFile);
        }
        Err(cause) => return Ok(Err(cause)),
    };
    Ok(holds_objects(&connection))
}

fn holds_objects(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'objects'";
    if connection.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
        return Ok(false);
    }
    Ok(object::highest(connection)? > ObjectNo(0))
}

fn create_shard(
    connection: &mut Connection,
    index: u16,
    manifest: &Manifest,
) -> rusqlite::Result<()> {
    let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    create_tables(&all)?;
    let meta = Meta {
        format: FORMAT.into(),
        shard: index.into(),
        shards: manifest.shards.into(),
        store: manifest.store(),
        boot: 0,
    };
    meta.write(&all)?;
    all.commit()
}

/// Checks that a file is the shard that it is named as, of the directory that it lies in.
pub(super) fn check_meta(
    place: &Place,
    connection: &Connection,
    index: u16,
    manifest: &Manifest,
) -> Result<(), Error> {
    let corrupt = |what: String| {
        let path = place.path.display();
        Code::StorageCorrupt.error(format!("{path} {what}; restore it from a backup"))
    };
    let unreadable = |cause: rusqlite::Error| match sqlite::Fault::of(&cause) {
        // A file without our tables, an empty one for example.
        sqlite::Fault::Failed
            if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) =>
        {
            corrupt(format!("is not a shard: {cause}"))
        }
        sqlite::Fault::Row => corrupt(format!("is damaged: {cause}")),
        _ => place.error(&cause, "reading from"),
    };
    let format = Meta::read_format(connection).map_err(unreadable)?;
    let format = format.ok_or_else(|| corrupt("does not say its format".into()))?;
    manifest::check_format(&place.path, format)?;
    let meta = Meta::read(connection).map_err(unreadable)?.expect("the row was just read");
    if meta.store != manifest.store() {
        return Err(corrupt("belongs to another data directory".into()));
    }
    if (meta.shard, meta.shards) != (index.into(), manifest.shards.into()) {
        return Err(corrupt(format!(
            "is shard {} of {}, in its place belongs shard {index} of {}",
            meta.shard, meta.shards, manifest.shards
        )));
    }
    Ok(())
}

/// Makes durable what a log shows that was left behind, by giving it another file.
///
/// After a sync that failed, the system takes for synced what is not, and no later sync covers it. Copied from such a log,
/// the database would be newer than the log that a power cut leaves, and SQLite would put older pages of it back over some
/// of the newer ones.
pub(super) fn renew_log(host: &Host, place: &Place) -> Result<(), Error> {
    let mut name = place.path.as_os_str().to_owned();
    name.push("-wal");
    let path = PathBuf::from(name);
    match host.disk.read(&path).map_err(|cause| failed(&path, cause))? {
        Some(log) if !log.is_empty() => {
            let renewed = host.disk.write_atomically(&path, &log);
            renewed.map_err(|cause| failed(&path, cause))
        }
        _ => Ok(()),
    }
}

/// Makes durable what the file shows, counts the boot, and finds where counting goes on.
fn open_shard(index: u16, place: Place, connection: Connection) -> Result<Opened, Error> {
    let opened = (|| {
        // The log is durable, whoever left it; copied into the database and synced there, it is not
        // needed any more. It is cut off, and the boot's count is the first commit of another, whose
        // sync makes both durable.
        let log = sqlite::checkpoint(&connection, Checkpoint::Truncate)?;
        let boot = meta::next_boot(&connection)?;
        let classes = (class::all(&connection)?, schema::all(&connection)?);
        let numbers = (object::highest(&connection)?, history::has_rows(&connection)?);
        let has_alarms =
            [alarm::DUES.is_any_set(&connection)?, schedule::DUES.is_any_set(&connection)?];
        let waiting = (has_alarms, outbox::count(&connection)?, quarantine::all(&connection)?);
        Ok((boot, log, numbers, waiting, classes))
    })();
    let (boot, log, (highest, has_past), (has_alarms, outbox, quarantines), (classes, schemas)) =
        opened.map_err(|cause| place.error(&cause, "opening"))?;
    if boot >= Epoch::BOOTS_MAX {
        return Err(Code::StorageCorrupt.error(format!(
            "{} says that it was opened {boot} times, possible are {}; restore it from a backup",
            place.path.display(),
            Epoch::BOOTS_MAX
        )));
    }
    if log.busy || log.rest() > 0 {
        return Err(Code::StorageLocked.error(format!(
            "{} is open in another program; close that program and start again",
            place.path.display()
        )));
    }
    Ok(Opened {
        index,
        place,
        connection,
        classes,
        schemas,
        highest,
        boot,
        has_alarms,
        outbox,
        has_past,
        quarantines,
    })
}

/// What an error of the disk, outside of the databases, means.
pub(super) fn failed(path: &Path, cause: io::Error) -> Error {
    let (code, next) = match cause.kind() {
        io::ErrorKind::StorageFull => (Code::StorageFull, "free space on the disk"),
        _ => (Code::StorageFailed, "check the directory's permissions and the disk"),
    };
    let text = format!("{} cannot be used: {cause}; {next}, then start again", path.display());
    code.error(text).with_source(cause)
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
