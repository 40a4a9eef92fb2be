//! The disk as the runtime's host gives it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::PoisonError;

use durable::host::{Disk, LockGuard};

use super::{Failure, Ino, Life, OpenHow, SimDisk, Stat, normalize};

/// An open file that is closed when it goes.
struct Opened<'a> {
    life: &'a Life,
    ino: Ino,
}

impl<'a> Opened<'a> {
    /// `create`: it is made if it is missing.
    fn at(life: &'a Life, path: &Path, create: bool) -> Result<Self, Failure> {
        let how = OpenHow { create, exclusive: false };
        Ok(Opened { life, ino: life.core.open(life.number, path, how)? })
    }

    /// Replaces everything, as two operations.
    fn rewrite(&self, bytes: &[u8]) -> Result<(), Failure> {
        let Opened { life, ino } = self;
        if life.core.len(life.number, *ino)? > 0 {
            life.core.truncate(life.number, *ino, 0)?;
        }
        life.core.write(life.number, *ino, 0, bytes)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.life.core.close(self.life.number, self.ino);
    }
}

/// Does what the operating system's disk does, step by step, so that a crash can come between any
/// two steps.
impl Disk for SimDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let Life { core, number, .. } = &*self.life;
        let path = normalize(path);
        match core.stat(*number, &path)? {
            // A process that made it may have died before its name was durable.
            Stat::Dir => return Ok(core.sync_parent(*number, &path)?),
            Stat::File { .. } => return Err(io::ErrorKind::AlreadyExists.into()),
            Stat::Missing => {}
        }
        if let Some(parent) = path.parent() {
            self.create_dir_all(parent)?;
        }
        match core.make_dir(*number, &path) {
            // Another thread was quicker.
            Err(Failure::Exists) if core.stat(*number, &path)? == Stat::Dir => {}
            made => made?,
        }
        Ok(core.sync_parent(*number, &path)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Ok(self.life.core.sync_dir(self.life.number, &normalize(path))?)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match self.life.core.read_all(self.life.number, path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn names_in(&self, path: &Path) -> io::Result<Option<Vec<String>>> {
        match self.life.core.names_in(self.life.number, path) {
            Ok(names) => Ok(Some(names)),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn lengthen(&self, path: &Path, by: u64) -> io::Result<u64> {
        let Life { core, number, .. } = &*self.life;
        let file = Opened::at(&self.life, &normalize(path), false)?;
        let by = usize::try_from(by).map_err(io::Error::other)?;
        Ok(core.lengthen(*number, file.ino, by)? as u64)
    }

    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let Life { core, number, .. } = &*self.life;
        let path = normalize(path);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = Opened::at(&self.life, &temporary, true)?;
        file.rewrite(bytes)?;
        core.sync(*number, file.ino)?;
        core.rename(*number, &temporary, &path)?;
        Ok(core.sync_parent(*number, &path)?)
    }

    fn lock(&self, path: &Path, contents: &str) -> io::Result<Result<LockGuard, String>> {
        let Life { core, number, .. } = &*self.life;
        let file = Opened::at(&self.life, path, true)?;
        let mut held = self.life.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&file.ino) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Ok(Err(core.read(*number, file.ino, 0, 4_096, text)?));
        }
        // Under the table's lock, so that the losers of a race see whole contents.
        file.rewrite(contents.as_bytes())?;
        held.insert(file.ino);
        let ino = file.ino;
        // The guard closes the file.
        std::mem::forget(file);
        Ok(Ok(Box::new(Held { life: self.life.clone(), ino })))
    }

    fn sqlite_vfs(&self) -> Option<&str> {
        Some(self.life.vfs.name())
    }
}

/// A lock that [`Disk::lock`] gave.
struct Held {
    life: Arc<Life>,
    ino: Ino,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.life.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ino);
        self.life.core.close(self.life.number, self.ino);
    }
}
