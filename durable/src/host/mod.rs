//! The only door outside: clocks, entropy, disk, tasks and lanes, as one value that is passed.
//!
//! Nothing above may reach for the operating system in another way, so a simulation that passes a
//! [`Host`] of its own runs the very code that ships. Only `os.rs` knows the operating system.

mod director;
mod net;
mod os;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Context;

pub use crate::kv::KvChange;
pub use crate::sql::SqlChange;
pub use crate::time::{MonoNs, WallMs};

pub use self::director::{Director, Event, Tended, TurnEnd};
#[cfg(feature = "http")]
pub use self::net::Dialer;
pub use self::net::Net;
pub use futures_util::future::BoxFuture;

/// What the runtime runs on. Cheap to clone; every clone is the same host.
#[derive(Clone)]
pub struct Host {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
    /// Where files live.
    pub disk: Arc<dyn Disk>,
    /// What runs futures.
    pub tasks: Arc<dyn Tasks>,
    /// What runs work that blocks on the disk.
    pub lanes: Arc<dyn Lanes>,
    /// What reaches other machines.
    pub net: Net,
    /// How many threads can work at once, at least 1. More actors and lanes for one thing than that are of no use.
    pub parallelism: usize,
    /// What the data directory's lock says of its holder.
    pub process_id: u32,
    /// Who watches and steers. `None`: nobody, as in every program that ships.
    pub director: Option<Arc<dyn Director>>,
}

impl Host {
    /// The operating system.
    ///
    /// # Panics
    /// Outside of a tokio runtime: tasks are spawned on the runtime that this is called in.
    pub fn os() -> Self {
        os::host()
    }

    /// The operating system, for work that only blocks on the disk. It has no timers and runs no tasks, so it needs no
    /// tokio runtime.
    pub fn os_without_tasks() -> Self {
        os::host_without_tasks()
    }

    /// Reports to the director, if there is one; `event` is not built otherwise.
    pub(crate) fn report<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        if let Some(director) = &self.director {
            director.saw(&event());
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Tells and awaits time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the host started; never goes back.
    fn now(&self) -> MonoNs;

    /// The time of day; may jump in either direction.
    fn wall(&self) -> WallMs;

    /// Ends at `at` or later; at once if that is past.
    fn sleep_until(&self, at: MonoNs) -> BoxFuture<'static, ()>;
}

/// Gives random bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Overwrites all of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Files outside of the databases, and the name of the file system that SQLite opens databases on.
pub trait Disk: Send + Sync {
    /// Creates `path` and its missing parents, and makes their directory entries durable.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable. SQLite does not say when it could not.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// All bytes of a file, `None` if there is no such file.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// The names of the files and directories in `path`, in their order; `None` if there is no such directory.
    fn names_in(&self, path: &Path) -> io::Result<Option<Vec<String>>>;

    /// Writes so many zeros behind the end of a file that there is, and gives how long it is then. They need not be durable.
    fn lengthen(&self, path: &Path, by: u64) -> io::Result<u64>;

    /// Replaces a file durably: after a crash it holds the earlier bytes or these, never a mixture.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Takes the exclusive lock of a file and then writes `contents` into it, so that others can
    /// say who holds it.
    ///
    /// The lock ends with the guard or with the process. Inner `Err`: another holds it; these are
    /// the holder's contents.
    fn lock(&self, path: &Path, contents: &str) -> io::Result<Result<LockGuard, String>>;

    /// The name of the VFS that databases are opened on; `None`: SQLite's own.
    fn sqlite_vfs(&self) -> Option<&str>;
}

/// Holds a file's lock for as long as it lives.
pub type LockGuard = Box<dyn Send + Sync>;

/// Runs futures to their end, with nobody waiting for them.
pub trait Tasks: Send + Sync {
    /// Starts `task`. May be called on any thread.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Whether the task that is polled here, `caller`, may do a piece of what one of these would do next: it runs where they
    /// do, and has not done so much in its turn already that others should come first.
    fn lends(&self, caller: &mut Context<'_>) -> bool;
}

/// Starts lanes.
pub trait Lanes: Send + Sync {
    /// Starts a lane that runs `work` whenever it is poked. `name`: for debuggers.
    fn start(&self, name: &str, work: Box<dyn LaneWork>) -> io::Result<Arc<dyn Lane>>;
}

/// What a lane does. It runs on no particular thread, one step at a time, and blocks only in calls
/// to the disk.
pub trait LaneWork: Send {
    /// Does a bounded piece of what waits.
    fn step(&mut self) -> Step;
}

/// What a lane does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More may wait: step again.
    Again,
    /// Nothing waits: rest until poked.
    Idle,
}

/// A running lane, as those see it who hand it work.
pub trait Lane: Send + Sync {
    /// Says that there is work. Work that was handed over before this call is seen by a step that
    /// begins after it.
    fn poke(&self);

    /// Steps until idle, then ends the lane and drops its work. Returns after that, except on the
    /// lane's own thread, where it returns at once and the lane ends after its current step. Later
    /// calls do nothing.
    fn stop(&self);
}
