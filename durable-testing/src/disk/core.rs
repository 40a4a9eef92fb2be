//! The disk itself: every operation that a process can ask for, with the fence, the count and the
//! faults before it. It knows no SQLite.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dice::Dice;
use super::fault::{FaultKind, Target};
use super::names::{Ino, Node, normalize};
use super::state::{Hooks, State, Subject};
use super::{OpKind, Synced};

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk is dead, or the handle is of an earlier life.
    Dead,
    /// `EIO`.
    Io,
    /// `ENOSPC`.
    Full,
    /// The name, or the directory that should hold it, does not exist.
    NotFound,
    /// A directory is where a file is wanted, or the other way round.
    WrongKind,
    /// The name exists and must not.
    Exists,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Dead => io::Error::other("the simulated disk is dead"),
            Failure::Io => io::Error::other("simulated input/output error"),
            Failure::Full => {
                io::Error::new(io::ErrorKind::StorageFull, "no space left on the simulated disk")
            }
            Failure::NotFound => io::ErrorKind::NotFound.into(),
            Failure::WrongKind => io::ErrorKind::IsADirectory.into(),
            Failure::Exists => io::ErrorKind::AlreadyExists.into(),
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenHow {
    /// Makes the file if it is missing.
    pub(crate) create: bool,
    /// With `create`: refuses a file that exists.
    pub(crate) exclusive: bool,
}

/// The disk of one simulated machine, through all of its lives.
pub(crate) struct Core {
    state: Mutex<State>,
}

impl Core {
    pub(super) fn new(seed: u64) -> Self {
        Core { state: Mutex::new(State::new(seed)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a predicate of a fault leaves the state as it was: it runs before any change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the disk is dead for handles of that life.
    pub(crate) fn check(&self, life: u64) -> Result<(), Failure> {
        self.state().check(life)
    }

    /// Opens a file and tells whether it was created.
    pub(crate) fn open(&self, life: u64, path: &Path, how: OpenHow) -> Result<Ino, Failure> {
        let path = normalize(path);
        let mut state = self.state();
        state.check(life)?;
        let ino = match state.names.get(&path) {
            Some(Node::Dir) => return Err(Failure::WrongKind),
            Some(Node::File(_)) if how.create && how.exclusive => return Err(Failure::Exists),
            Some(Node::File(ino)) => ino,
            None if how.create => state.create(life, &path)?,
            None => return Err(Failure::NotFound),
        };
        state.file(ino).open += 1;
        Ok(ino)
    }

    /// A file that no name leads to and that ends when it is closed.
    pub(crate) fn open_nameless(&self, life: u64) -> Result<Ino, Failure> {
        let mut state = self.state();
        state.check(life)?;
        let ino = state.new_file(Arc::from(Path::new("/nameless")));
        state.file(ino).open += 1;
        Ok(ino)
    }

    pub(crate) fn close(&self, life: u64, ino: Ino) {
        let mut state = self.state();
        // A crash has closed the files of earlier lives already.
        if state.life() == life {
            state.file(ino).open -= 1;
            state.free_unreachable(ino);
        }
    }

    /// Shows the bytes from `at` on, at most `len`: fewer at the end of the file.
    pub(crate) fn read<R>(
        &self,
        life: u64,
        ino: Ino,
        at: usize,
        len: usize,
        show: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Failure> {
        let mut state = self.state();
        state.check(life)?;
        let strike = state.strike(Target::Read, ino);
        let image = state.file(ino).image();
        let from = at.min(image.len());
        let bytes = &image[from..image.len().min(at.saturating_add(len))];
        match strike.kind {
            Some(FaultKind::ShortRead) => Ok(show(&bytes[..bytes.len() / 2])),
            Some(_) => Err(Failure::Io),
            None => Ok(show(bytes)),
        }
    }

    pub(crate) fn len(&self, life: u64, ino: Ino) -> Result<usize, Failure> {
        let mut state = self.state();
        state.check(life)?;
        Ok(state.file(ino).image().len())
    }

    pub(crate) fn write(
        &self,
        life: u64,
        ino: Ino,
        at: usize,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let mut state = self.state();
        state.count(life, OpKind::Write, Subject::File(ino))?;
        let strike = state.strike(Target::Write, ino);
        let Some(kind) = strike.kind else {
            state.file(ino).write(at, bytes);
            return Ok(());
        };
        // The kernel writes what it can before it gives up.
        let sectors = bytes.len() / 512;
        let written = 512 * Dice(&mut || state.partial.draw()).below(sectors + 1);
        if written > 0 && written < bytes.len() {
            state.file(ino).write(at, &bytes[..written]);
        }
        Err(if kind == FaultKind::NoSpace { Failure::Full } else { Failure::Io })
    }

    /// Writes zeros behind the end of a file. Nothing depends on that it works, so faults wait for writes of which something does.
    pub(crate) fn lengthen(&self, life: u64, ino: Ino, by: usize) -> Result<usize, Failure> {
        let mut state = self.state();
        state.count(life, OpKind::Write, Subject::File(ino))?;
        let length = state.file(ino).image().len();
        state.file(ino).write(length, &vec![0; by]);
        Ok(length + by)
    }

    pub(crate) fn truncate(&self, life: u64, ino: Ino, len: usize) -> Result<(), Failure> {
        let mut state = self.state();
        state.count(life, OpKind::Truncate, Subject::File(ino))?;
        state.file(ino).resize(len);
        Ok(())
    }

    /// Makes the bytes and the length of a file durable; not its name.
    pub(crate) fn sync(&self, life: u64, ino: Ino) -> Result<(), Failure> {
        let mut state = self.state();
        state.count(life, OpKind::Sync, Subject::File(ino))?;
        let strike = state.strike(Target::Sync, ino);
        let outcome = match strike.kind {
            Some(FaultKind::SyncError) => {
                state.file(ino).lose();
                Err(Failure::Io)
            }
            Some(_) => Ok(()),
            None => {
                state.file(ino).settle();
                Ok(())
            }
        };
        let path = state.file(ino).path.clone();
        self.told(state, life, path, strike.delay)?;
        outcome
    }

    /// Makes the names in the directory of `path` durable.
    pub(crate) fn sync_parent(&self, life: u64, path: &Path) -> Result<(), Failure> {
        path.parent().map_or(Ok(()), |parent| self.sync_dir(life, parent))
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&self, life: u64, dir: &Path) -> Result<(), Failure> {
        let mut state = self.state();
        let path: Arc<Path> = Arc::from(dir);
        state.count(life, OpKind::SyncDir, Subject::Name(&path))?;
        let op = state.ops;
        let strike = state.faults.strike(Target::SyncDir, &path, op);
        let outcome = match strike.kind {
            // Names are journalled, so unlike bytes they wait for the next sync.
            Some(FaultKind::DirSyncError) => Err(Failure::Io),
            Some(_) => Ok(()),
            None => {
                state.names.sync(dir);
                Ok(())
            }
        };
        self.told(state, life, path, strike.delay)?;
        outcome
    }

    /// Makes the name that a file was opened by durable, and its neighbours'.
    pub(crate) fn sync_parent_of(&self, life: u64, ino: Ino) -> Result<(), Failure> {
        self.check(life)?;
        let path = self.state().file(ino).path.clone();
        self.sync_parent(life, &path)
    }

    /// Tells the world of a sync, with the disk unlocked. Fails if it crashed the disk meanwhile.
    fn told(
        &self,
        state: MutexGuard<'_, State>,
        life: u64,
        path: Arc<Path>,
        delay: Duration,
    ) -> Result<(), Failure> {
        let Some(on_sync) = state.hooks.on_sync.clone() else { return Ok(()) };
        let op = state.ops;
        drop(state);
        on_sync(&Synced { path, op, delay });
        self.check(life)
    }

    pub(crate) fn unlink(&self, life: u64, path: &Path) -> Result<(), Failure> {
        let path = normalize(path);
        let mut state = self.state();
        state.check(life)?;
        let node = state.names.get(&path).ok_or(Failure::NotFound)?;
        let Node::File(ino) = node else { return Err(Failure::WrongKind) };
        state.count(life, OpKind::Unlink, Subject::Name(&path))?;
        state.names.remove(path, node);
        state.free_unreachable(ino);
        Ok(())
    }

    /// Moves a file, over another one if there is one.
    pub(super) fn rename(&self, life: u64, from: &Path, to: &Path) -> Result<(), Failure> {
        let (from, to) = (normalize(from), normalize(to));
        let mut state = self.state();
        state.check(life)?;
        let node = state.names.get(&from).ok_or(Failure::NotFound)?;
        let Node::File(ino) = node else { return Err(Failure::WrongKind) };
        if state.names.get(&to) == Some(Node::Dir) {
            return Err(Failure::WrongKind);
        }
        state.count(life, OpKind::Rename, Subject::Name(&from))?;
        state.file(ino).path = to.clone();
        state.names.rename(from, to, node);
        Ok(())
    }

    /// Makes a directory; its parent exists.
    pub(super) fn make_dir(&self, life: u64, path: &Path) -> Result<(), Failure> {
        let path = normalize(path);
        let mut state = self.state();
        state.count(life, OpKind::Create, Subject::Name(&path))?;
        match state.names.get(&path) {
            Some(_) => Err(Failure::Exists),
            None if !state.names.has_parent(&path) => Err(Failure::NotFound),
            None => {
                state.names.add(path, Node::Dir);
                Ok(())
            }
        }
    }

    /// What `path` is; the length if it is a file.
    pub(crate) fn stat(&self, life: u64, path: &Path) -> Result<Stat, Failure> {
        let path = normalize(path);
        let mut state = self.state();
        state.check(life)?;
        Ok(match state.names.get(&path) {
            None => Stat::Missing,
            Some(Node::Dir) => Stat::Dir,
            Some(Node::File(ino)) => Stat::File { len: state.file(ino).image().len() },
        })
    }

    /// The names of what is in a directory, in their order.
    pub(super) fn names_in(&self, life: u64, path: &Path) -> Result<Vec<String>, Failure> {
        let path = normalize(path);
        let state = self.state();
        state.check(life)?;
        match state.names.get(&path).ok_or(Failure::NotFound)? {
            Node::File(_) => Err(Failure::WrongKind),
            Node::Dir => Ok(state.names.names_in(&path)),
        }
    }

    /// All bytes of a file.
    pub(super) fn read_all(&self, life: u64, path: &Path) -> Result<Vec<u8>, Failure> {
        let path = normalize(path);
        let mut state = self.state();
        state.check(life)?;
        let ino = match state.names.get(&path).ok_or(Failure::NotFound)? {
            Node::File(ino) => ino,
            Node::Dir => return Err(Failure::WrongKind),
        };
        match state.strike(Target::ReadAll, ino).kind {
            Some(_) => Err(Failure::Io),
            None => Ok(state.file(ino).image().to_vec()),
        }
    }

    /// Bytes for SQLite.
    pub(crate) fn entropy(&self, bytes: &mut [u8]) {
        let mut state = self.state();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&state.entropy.draw().to_le_bytes()[..chunk.len()]);
        }
    }

    pub(super) fn hooks(&self) -> Hooks {
        self.state().hooks.clone()
    }
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stat {
    Missing,
    Dir,
    File { len: usize },
}
