//! The host that ships: the operating system and the tokio runtime. The one file that may call
//! either.

#![allow(clippy::disallowed_methods)]

#[cfg(feature = "http")]
mod dialer;

use std::cell::Cell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Handle, Id};
use tokio::task::coop;
use tokio::time::Instant;

use super::{
    BoxFuture, Clock, Disk, Entropy, Host, Lane, LaneWork, Lanes, LockGuard, Net, Step, Tasks,
};
use crate::time::{MonoNs, WallMs};

pub(super) fn host() -> Host {
    Host {
        clock: Arc::new(OsClock { start: Instant::now(), tasks: Handle::current() }),
        entropy: Arc::new(OsEntropy),
        disk: Arc::new(OsDisk),
        tasks: Arc::new(OsTasks(Handle::current())),
        lanes: Arc::new(OsLanes),
        net: net(),
        parallelism: thread::available_parallelism().map_or(1, usize::from),
        process_id: std::process::id(),
        director: None,
    }
}

pub(super) fn host_without_tasks() -> Host {
    Host {
        clock: Arc::new(OsClockAlone { start: Instant::now() }),
        entropy: Arc::new(OsEntropy),
        disk: Arc::new(OsDisk),
        tasks: Arc::new(NoTasks),
        lanes: Arc::new(OsLanes),
        net: Net::none(),
        parallelism: thread::available_parallelism().map_or(1, usize::from),
        process_id: std::process::id(),
        director: None,
    }
}

#[cfg(feature = "http")]
fn net() -> Net {
    Net::new(dialer::OsDialer)
}

#[cfg(not(feature = "http"))]
fn net() -> Net {
    Net::none()
}

/// Tells tokio's time, which is the operating system's unless a test has paused it.
struct OsClock {
    start: Instant,
    /// Drives the timers, also of callers on threads that know no tokio.
    tasks: Handle,
}

impl Clock for OsClock {
    fn now(&self) -> MonoNs {
        MonoNs::default() + self.start.elapsed()
    }

    fn wall(&self) -> WallMs {
        wall()
    }

    fn sleep_until(&self, at: MonoNs) -> BoxFuture<'static, ()> {
        let _entered = self.tasks.enter();
        match self.start.checked_add(Duration::from_nanos(at.0)) {
            Some(end) => Box::pin(tokio::time::sleep_until(end)),
            // Past the end of the clock: that time never comes.
            None => Box::pin(std::future::pending()),
        }
    }
}

fn wall() -> WallMs {
    // A clock that stands before 1970 is wrong anyway; zero keeps the order of later times.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Tells the time and has no timers.
struct OsClockAlone {
    start: Instant,
}

impl Clock for OsClockAlone {
    fn now(&self) -> MonoNs {
        MonoNs::default() + self.start.elapsed()
    }

    fn wall(&self) -> WallMs {
        wall()
    }

    fn sleep_until(&self, _: MonoNs) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Runs nothing.
struct NoTasks;

impl Tasks for NoTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // Whoever waits for the task learns that it is gone.
        drop(task);
    }

    fn lends(&self, _: &mut Context<'_>) -> bool {
        false
    }
}

struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

struct OsTasks(Handle);

/// How often a thread believes that it is where it was.
const LOOK_EVERY: u8 = 64;

thread_local! {
    /// Where this thread was when it looked, and how often that is still believed: a look touches what all threads share.
    static HERE: Cell<(Option<Id>, u8)> = const { Cell::new((None, 0)) };
}

impl Tasks for OsTasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn lends(&self, caller: &mut Context<'_>) -> bool {
        let here = match HERE.get() {
            (_, 0) => {
                HERE.set((Handle::try_current().ok().map(|here| here.id()), LOOK_EVERY));
                HERE.get().0
            }
            (here, left) => {
                HERE.set((here, left - 1));
                here
            }
        };
        here == Some(self.0.id())
            && coop::has_budget_remaining()
            && pin!(coop::consume_budget()).poll(caller).is_ready()
    }
}

struct OsDisk;

/// What files are made longer with.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl Disk for OsDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            // A process that made it, or renamed a file into its parent, may have died before that was durable.
            return match parent(path).map_or(Ok(()), sync_dir) {
                // Whoever may not read the parent did not make the directory either.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                synced => synced,
            };
        }
        if let Some(parent) = parent(path) {
            self.create_dir_all(parent)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            made => made?,
        }
        parent(path).map_or(Ok(()), sync_dir)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_dir(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn names_in(&self, path: &Path) -> io::Result<Option<Vec<String>>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(Some(names))
    }

    fn lengthen(&self, path: &Path, by: u64) -> io::Result<u64> {
        let mut file = OpenOptions::new().append(true).open(path)?;
        let mut left = by;
        while left > 0 {
            let piece = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            file.write_all(&ZEROS[..piece])?;
            left -= piece as u64;
        }
        file.stream_position()
    }

    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temporary: PathBuf = path.with_file_name(name);
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        parent(path).map_or(Ok(()), sync_dir)
    }

    fn lock(&self, path: &Path, contents: &str) -> io::Result<Result<LockGuard, String>> {
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = Vec::new();
                file.take(4_096).read_to_end(&mut holder)?;
                return Ok(Err(String::from_utf8_lossy(&holder).into_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Written only under the lock: the losers of a race must not overwrite the holder's words.
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(contents.as_bytes())?;
        Ok(Ok(Box::new(Locked(file))))
    }

    fn sqlite_vfs(&self) -> Option<&str> {
        None
    }
}

/// A file with its lock.
struct Locked(File);

impl Drop for Locked {
    /// Said in words: a process that another thread is just starting has copies of all open files for a moment, and with the
    /// file alone the lock would be held until the last of them is closed.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of a data directory ends with its file");
        }
    }
}

/// The directory that names `path`; `None` for a root.
fn parent(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Makes the entries of a directory durable. Where directories cannot be opened, their entries need
/// no sync.
fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

struct OsLanes;

impl Lanes for OsLanes {
    fn start(&self, name: &str, work: Box<dyn LaneWork>) -> io::Result<Arc<dyn Lane>> {
        // Born poked, so that work which was handed over before the start is seen.
        let signal =
            Arc::new(Signal { state: AtomicU8::new(POKED), stopping: AtomicBool::new(false) });
        let seen = signal.clone();
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&seen, work))?;
        let handle = thread.thread().clone();
        Ok(Arc::new(OsLane { signal, handle, thread: Mutex::new(Some(thread)) }))
    }
}

/// The thread steps and has not been poked since it last looked.
const RUNNING: u8 = 0;
/// Work has been handed over that no step has looked for yet.
const POKED: u8 = 1;
/// The thread sleeps, or is about to.
const PARKED: u8 = 2;

struct Signal {
    state: AtomicU8,
    /// The lane ends when it is idle next.
    stopping: AtomicBool,
}

/// A lane on a thread of its own.
struct OsLane {
    signal: Arc<Signal>,
    handle: thread::Thread,
    /// `None`: the thread has ended and was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn run(signal: &Signal, mut work: Box<dyn LaneWork>) {
    loop {
        // Taken back before the step looks: a poke that comes from here on makes another round.
        signal.state.swap(RUNNING, Ordering::AcqRel);
        // Read before the step as well: what was handed over before the stop is finished by this
        // round.
        let stopping = signal.stopping.load(Ordering::Acquire);
        while work.step() == Step::Again {}
        if stopping {
            // A panic while the work is dropped must not look like a panic of the process's main
            // thread.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
            return;
        }
        let parked =
            signal.state.compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Acquire);
        while parked.is_ok() && signal.state.load(Ordering::Acquire) == PARKED {
            thread::park();
        }
    }
}

impl OsLane {
    fn is_own_thread(&self) -> bool {
        let own: ThreadId = self.handle.id();
        thread::current().id() == own
    }
}

impl Lane for OsLane {
    fn poke(&self) {
        if self.signal.state.swap(POKED, Ordering::AcqRel) == PARKED {
            self.handle.unpark();
        }
    }

    fn stop(&self) {
        self.signal.stopping.store(true, Ordering::Release);
        self.poke();
        if self.is_own_thread() {
            return;
        }
        // Held while joining, so that a second caller returns no earlier than the first.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic of the work was reported by the panic hook, and dropping the work told
            // whoever waits for it.
            let _ = thread.join();
        }
    }
}

impl Drop for OsLane {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
#[path = "os/tests.rs"]
mod tests;
