//! Faults of the disk: what goes wrong, at which operation, how often.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many fired faults are kept for [`SimDisk::take_fired`](super::SimDisk::take_fired).
const FIRED_MAX: usize = 4_096;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// `EIO` on a read.
    ReadError,
    /// SQLite is given fewer bytes than the file has, the rest as zeros. Reads of whole files are
    /// not affected: they go on until the end.
    ShortRead,
    /// `EIO` on a write, some whole sectors of which may have been written.
    WriteError,
    /// `ENOSPC` on a write, some whole sectors of which may have been written.
    NoSpace,
    /// `EIO` on the sync of a file. What it should have made durable never will be, although reads
    /// still see it and the next sync succeeds: the kernel takes the pages for clean.
    SyncError,
    /// `EIO` on the sync of a directory. SQLite pays no attention to it after it has created a log.
    DirSyncError,
    /// The sync of a file or a directory takes that much longer, which only
    /// [`on_sync`](super::SimDisk::on_sync) is told.
    SlowSync(Duration),
    /// The sync of a file or a directory says that it succeeded, and makes nothing durable. No
    /// storage survives that; meant for tests that must fail.
    LyingSync,
}

impl FaultKind {
    /// Its name in plans and timelines.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::ReadError => "read_error",
            FaultKind::ShortRead => "short_read",
            FaultKind::WriteError => "write_error",
            FaultKind::NoSpace => "no_space",
            FaultKind::SyncError => "sync_error",
            FaultKind::DirSyncError => "dir_sync_error",
            FaultKind::SlowSync(_) => "slow_sync",
            FaultKind::LyingSync => "lying_sync",
        }
    }

    fn strikes(self, target: Target) -> bool {
        match self {
            FaultKind::ReadError => matches!(target, Target::Read | Target::ReadAll),
            FaultKind::ShortRead => target == Target::Read,
            FaultKind::WriteError | FaultKind::NoSpace => target == Target::Write,
            FaultKind::SyncError => target == Target::Sync,
            FaultKind::DirSyncError => target == Target::SyncDir,
            FaultKind::SlowSync(_) | FaultKind::LyingSync => {
                matches!(target, Target::Sync | Target::SyncDir)
            }
        }
    }
}

/// What can be struck.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Read,
    ReadAll,
    Write,
    Sync,
    SyncDir,
}

/// Says which paths a fault looks at.
type IsMeant = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// A fault that waits for its operation: by default the next one that it can strike, once, whatever
/// the path.
///
/// It stays armed over crashes. Operations on all paths that it looks at are counted together, from
/// the moment it was armed.
#[derive(Clone)]
#[must_use = "a fault does nothing until the disk is armed with it"]
pub struct Fault {
    kind: FaultKind,
    /// The first matching operation that is struck, from 1.
    first: u64,
    /// How many of them are struck.
    times: u64,
    /// `None`: every path.
    on: Option<IsMeant>,
    /// Matching operations until now.
    seen: u64,
}

impl Fault {
    /// A fault of that kind.
    pub fn new(kind: FaultKind) -> Self {
        Fault { kind, first: 1, times: 1, on: None, seen: 0 }
    }

    /// Lets the first matching operations pass and strikes the `first`-th, counted from 1.
    pub fn at(mut self, first: u64) -> Self {
        self.first = first.max(1);
        self
    }

    /// Strikes that many matching operations in a row.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Strikes until it is disarmed.
    pub fn lasting(self) -> Self {
        self.times(u64::MAX)
    }

    /// Looks only at paths of which `is_meant` says so. They begin with `/`. It runs while the disk
    /// is locked, so it must not call it.
    pub fn on(mut self, is_meant: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.on = Some(Arc::new(is_meant));
        self
    }

    fn is_struck(&mut self, target: Target, path: &Path) -> bool {
        if !self.kind.strikes(target) || self.on.as_ref().is_some_and(|on| !on(path)) {
            return false;
        }
        self.seen += 1;
        self.seen >= self.first && self.seen - self.first < self.times
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, first, times, on, seen } = self;
        let mut shown = f.debug_struct("Fault");
        shown.field("kind", kind).field("first", first).field("times", times).field("seen", seen);
        shown.field("has_path", &on.is_some()).finish()
    }
}

/// A fault that struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// What went wrong.
    pub kind: FaultKind,
    /// How many operations had been counted, this one included if it counts.
    pub op: u64,
    /// Of what file or directory.
    pub path: Arc<Path>,
}

/// All faults of a disk.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Fault>,
    pub(super) fired: Vec<Fired>,
}

/// What happens to one operation.
#[derive(Default)]
pub(super) struct Strike {
    /// `None`: nothing goes wrong.
    pub(super) kind: Option<FaultKind>,
    pub(super) delay: Duration,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// What the faults do to this operation. If several strike, the one that was armed first wins;
    /// delays add up.
    pub(super) fn strike(&mut self, target: Target, path: &Arc<Path>, op: u64) -> Strike {
        let mut strike = Strike::default();
        for fault in &mut self.armed {
            if !fault.is_struck(target, path) {
                continue;
            }
            match fault.kind {
                FaultKind::SlowSync(delay) => strike.delay += delay,
                kind if strike.kind.is_none() => strike.kind = Some(kind),
                _ => continue,
            }
            if self.fired.len() < FIRED_MAX {
                self.fired.push(Fired { kind: fault.kind, op, path: path.clone() });
            }
        }
        strike
    }
}
