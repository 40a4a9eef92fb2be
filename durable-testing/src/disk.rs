//! The simulated disk: files in memory, of which a crash takes back what was not synced.
//!
//! A handle belongs to one *life* of the machine: from its start, or from [`SimDisk::revive`], to
//! its crash. Whoever still has a handle of an earlier life, or a connection that was opened by it,
//! gets errors and changes nothing, so a crash needs nobody's consent. What steers the disk works
//! through every handle.
//!
//! ```
//! use std::path::Path;
//!
//! use durable::host::Disk;
//! use durable_testing::disk::{Crash, SimDisk};
//!
//! let disk = SimDisk::new(1);
//! disk.create_dir_all(Path::new("data"))?;
//! // The fourth operation from here on is the rename, and the machine stops in it.
//! disk.die_at_op(disk.ops() + 4);
//! let path = Path::new("data/durable.toml");
//! assert!(disk.write_atomically(path, b"format = 1").is_err());
//! disk.crash(Crash::PowerTorn, &mut || 7);
//! let disk = disk.revive();
//! assert_eq!(disk.read(path)?, None);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What is assumed of a device: a sector of 512 bytes is written whole or not at all; bytes beside
//! a write keep their values when the power is cut (SQLite calls this `POWERSAFE_OVERWRITE` and
//! assumes it by default); before a sync anything may have happened in any order; after it, all of
//! it has. Nothing else is: the name of a new file is durable only after a sync of its directory.

mod core;
mod dice;
mod fault;
mod file;
mod host;
mod names;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use self::fault::{Fault, FaultKind, Fired};

pub(crate) use self::core::{Core, Failure, OpenHow, Stat};
use self::dice::Dice;
pub(crate) use self::names::{Ino, normalize};
use crate::chance::mix;
use crate::vfs::{FileTable, Registered};

pub use crate::vfs::seed_sqlite;

/// What time it is unless [`SimDisk::wall_ms_by`] says otherwise: 2000-01-01, in milliseconds since
/// 1970.
const WALL_MS: u64 = 946_684_800_000;

/// The bytes of files, by path.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A handle of a simulated disk. Cheap to clone; every clone is of the same life.
#[derive(Clone)]
pub struct SimDisk {
    life: Arc<Life>,
}

/// One life of the machine, as its processes see it.
pub(crate) struct Life {
    number: u64,
    core: Arc<Core>,
    /// Files that are locked by [`Disk::lock`](durable::host::Disk::lock).
    held: Mutex<BTreeSet<Ino>>,
    /// What SQLite's connections share.
    pub(crate) files: FileTable,
    /// The name under which SQLite finds this life.
    vfs: Registered,
}

/// What a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Only the process ended: everything that it wrote is there, and what was not synced can still
    /// be lost by a later power cut.
    Process,
    /// The power was cut: exactly what was synced is there.
    PowerDropAll,
    /// The power was cut: every change that was not synced is there, or not, or torn at sectors of
    /// 512 bytes, in no order.
    PowerTorn,
}

impl Crash {
    /// All of them, mildest first.
    pub const ALL: [Crash; 3] = [Crash::Process, Crash::PowerDropAll, Crash::PowerTorn];

    /// Its name in plans and timelines.
    pub fn name(self) -> &'static str {
        match self {
            Crash::Process => "process",
            Crash::PowerDropAll => "power_drop_all",
            Crash::PowerTorn => "power_torn",
        }
    }
}

/// An operation that is counted. Reading, opening what exists, locking and closing are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// A file or a directory was made.
    Create,
    /// Bytes were written.
    Write,
    /// A file was cut off or extended.
    Truncate,
    /// The bytes of a file were synced.
    Sync,
    /// The names in a directory were synced.
    SyncDir,
    /// A name was removed.
    Unlink,
    /// A name was moved.
    Rename,
}

/// The operation that the disk died in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its number, counted from 1 over all lives.
    pub op: u64,
    /// What it was.
    pub kind: OpKind,
    /// Of what file or directory.
    pub path: Arc<Path>,
}

/// A sync that took place, successful or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Of what file or directory.
    pub path: Arc<Path>,
    /// How many operations had been counted, this one included.
    pub op: u64,
    /// How much longer it takes than usual. Zero: no fault made it slow.
    pub delay: Duration,
}

impl SimDisk {
    /// An empty disk. `seed`: of what the disk draws by itself, which is how much of a failed write
    /// was written and what SQLite is given as entropy.
    pub fn new(seed: u64) -> Self {
        SimDisk { life: Life::begin(Arc::new(Core::new(seed)), 0) }
    }

    /// A disk that holds files, all of them durable. `image`: by path, as [`contents`](Self::contents) gives them.
    pub fn holding(seed: u64, image: &Image) -> Self {
        let disk = SimDisk::new(seed);
        disk.core().state().hold(image);
        disk
    }

    /// How many operations were done, over all lives.
    pub fn ops(&self) -> u64 {
        self.core().state().ops()
    }

    /// Makes the `op`-th operation, counted like [`ops`](Self::ops) from 1 over all lives, and
    /// everything after it fail; the operation itself changes nothing. The next if that one has
    /// passed. A crash takes it back.
    pub fn die_at_op(&self, op: u64) {
        self.core().state().die_at(Some(op));
    }

    /// Whether the disk answers handles of the present life.
    pub fn is_alive(&self) -> bool {
        self.core().state().is_alive()
    }

    /// What the disk died in. `None`: it did not die by itself, or was revived since.
    pub fn death(&self) -> Option<Death> {
        self.core().state().death()
    }

    /// Ends this life: locks are gone, every handle and every connection is dead. Drop connections
    /// only after this, or closing them still changes the disk.
    ///
    /// `random`: draws what survives, 64 even bits a call; not called unless the power is cut with
    /// torn writes.
    pub fn crash(&self, mode: Crash, random: &mut dyn FnMut() -> u64) {
        self.core().state().crash(mode, &mut Dice(random));
    }

    /// Begins the next life. All other handles stay dead.
    ///
    /// # Panics
    /// If the disk has not crashed since it was made or revived.
    #[must_use = "only the new handle works"]
    pub fn revive(&self) -> SimDisk {
        let core = self.core().clone();
        let number = {
            let mut state = core.state();
            state.revive();
            state.life()
        };
        SimDisk { life: Life::begin(core, number) }
    }

    /// Adds a fault to those that wait.
    pub fn arm(&self, fault: Fault) {
        self.core().state().faults.arm(fault);
    }

    /// Removes all faults: from here on the disk works.
    pub fn disarm(&self) {
        self.core().state().faults.disarm();
    }

    /// The faults that struck since this was last asked, in order; the first 4,096 of them.
    pub fn take_fired(&self) -> Vec<Fired> {
        std::mem::take(&mut self.core().state().faults.fired)
    }

    /// Calls `on_sync` in every sync, when it has done its work and before it returns. It may ask
    /// and steer the disk, also crash it; the sync then fails. It may not use the connection that
    /// syncs.
    pub fn on_sync(&self, on_sync: impl Fn(&Synced) + Send + Sync + 'static) {
        self.core().state().hooks.on_sync = Some(Arc::new(on_sync));
    }

    /// Calls `on_sleep` when SQLite wants to sleep because a connection is in the way of another.
    /// Without it such sleeps end at once.
    pub fn on_sleep(&self, on_sleep: impl Fn(Duration) + Send + Sync + 'static) {
        self.core().state().hooks.on_sleep = Some(Arc::new(on_sleep));
    }

    /// Where SQLite gets the time of day from, in milliseconds since 1970. Without it, it is always
    /// the beginning of the year 2000.
    pub fn wall_ms_by(&self, wall_ms: impl Fn() -> u64 + Send + Sync + 'static) {
        self.core().state().hooks.wall_ms = Some(Arc::new(wall_ms));
    }

    /// What reads would see of every file, by path; no fault strikes, and a dead disk answers too.
    pub fn contents(&self) -> Image {
        let state = self.core().state();
        state.contents().map(|(path, bytes)| (path.to_path_buf(), bytes.to_vec())).collect()
    }

    /// A number that two disks share only if they have the same [`contents`](Self::contents).
    pub fn digest(&self) -> u64 {
        let mut digest = 0;
        let mut add = |bytes: &[u8]| {
            digest = mix(digest ^ bytes.len() as u64);
            for chunk in bytes.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                digest = mix(digest.rotate_left(23) ^ u64::from_le_bytes(word));
            }
        };
        for (path, bytes) in self.core().state().contents() {
            add(path.as_os_str().as_encoded_bytes());
            add(bytes);
        }
        digest
    }

    fn core(&self) -> &Arc<Core> {
        &self.life.core
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SimDisk");
        shown.field("life", &self.life.number).field("vfs", &self.life.vfs.name());
        shown.field("ops", &self.ops()).finish_non_exhaustive()
    }
}

impl Life {
    fn begin(core: Arc<Core>, number: u64) -> Arc<Life> {
        Arc::new_cyclic(|life| Life {
            number,
            core,
            held: Mutex::default(),
            files: FileTable::default(),
            vfs: Registered::new(life.clone()),
        })
    }

    /// What every operation must say that it belongs to.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        self.core.hooks().wall_ms.map_or(WALL_MS, |wall_ms| wall_ms())
    }

    pub(crate) fn sleep(&self, duration: Duration) {
        if let Some(on_sleep) = self.core.hooks().on_sleep {
            on_sleep(duration);
        }
    }
}
