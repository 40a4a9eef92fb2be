//! A data directory without a runtime: to look at, to check, to copy.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::due::{DeadLetter, DeadLetterId, LetterFate};
use crate::error::{Code, Error};
use crate::history::{Bookmark, HistoryEntry};
use crate::host::Host;
use crate::inspection::{Backup, StoredClass, StoredObject, Summary, Verified};
use crate::limits::LIST_PAGE_MAX;
use crate::listing::Listed;
use crate::object::{
    alarm_taken, letter_unknown, letter_unreadable, schedules_full, schedules_torn,
};
use crate::rewind::check_limit;
use crate::storage::{After, Look, Refusal};

/// A data directory, seen from outside: what is stored in it, whether it is sound, and copies of it.
///
/// It needs no classes and no tokio, takes no lock and changes nothing but dead letters, so it works beside the process that runs the
/// directory, and on what a process has left that died. Its methods block on the disk. What they read is what was durable
/// when they read it, one moment for each shard.
///
/// ```
/// use durable::{DataDirectory, prelude::*};
///
/// #[derive(Default, DurableState)]
/// struct Counter { count: u64 }
///
/// #[durable_object(name = "doc.Counter")]
/// impl Counter {
///     pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let (data, saved, again) = (dir.path().join("data"), dir.path().join("saved"), dir.path().join("again"));
/// let runtime = Runtime::builder(&data).register::<Counter>().start().await?;
/// runtime.get::<Counter>("visits").add(2).await?;
/// runtime.backup(&saved).await?;                        // while everything goes on
/// # runtime.shutdown().await?;
///
/// let backup = DataDirectory::open(&saved)?;
/// assert!(backup.verify()?.is_sound());
/// let visits = backup.object("doc.Counter", "visits")?.expect("it was stored");
/// assert_eq!(visits.commits, 1);
///
/// DataDirectory::restore(&saved, &again)?;
/// let runtime = Runtime::builder(&again).register::<Counter>().start().await?;
/// assert_eq!(runtime.get::<Counter>("visits").add(1).await?, 3);
/// # runtime.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct DataDirectory {
    look: Look,
    path: PathBuf,
}

impl DataDirectory {
    /// The data directory at `path`, which a runtime has made, or a backup.
    ///
    /// # Errors
    /// `storage.missing` if there is none; `backup.incomplete`; `storage.newer`, `storage.corrupt`, `storage.failed` if what
    /// is there cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(Host::os_without_tasks(), path)
    }

    /// The same on another host than the operating system.
    #[doc(hidden)]
    pub fn open_on(host: Host, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = named(path.as_ref())?;
        Ok(DataDirectory { look: Look::open(host, path)?, path: path.to_owned() })
    }

    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies it to `to`, which must be empty or not exist; the copy is a data directory itself. See
    /// [`Runtime::backup`](crate::Runtime::backup), which does the same from inside.
    ///
    /// # Errors
    /// `backup.exists` if there is anything in `to`; `storage.locked` if somebody else writes there; `storage.full`,
    /// `storage.failed`, `storage.corrupt`. What was written until then says that it is not whole, and is refused by
    /// everybody: delete it.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Backup, Error> {
        self.look.backup(named(to.as_ref())?)
    }

    /// Copies the backup `from` to `to`, which must be empty or not exist, after it has been checked that every shard is
    /// there, belongs to the backup and is whole.
    ///
    /// The copy goes on where the backup was: the same ids, and higher epochs. Do not run it beside the directory that the
    /// backup was made of, as if they were one.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) for `from` and of [`backup`](Self::backup) for `to`; `storage.corrupt` names the first
    /// part of the backup that is wrong.
    pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Backup, Error> {
        Self::open(from)?.restore_to(to)
    }

    #[doc(hidden)]
    pub fn restore_to(&self, to: impl AsRef<Path>) -> Result<Backup, Error> {
        self.look.restore(named(to.as_ref())?)
    }

    /// Reads everything and says what is wrong: files, pages, checksums, ids, rows that lead nowhere. Takes as long as
    /// reading the directory takes, and while it reads a shard, the log of a process that writes to it grows.
    ///
    /// # Errors
    /// `storage.failed` if it cannot even be listed. What is wrong with its parts is not an error but the answer.
    pub fn verify(&self) -> Result<Verified, Error> {
        self.look.verify()
    }

    /// What it is, in a few numbers.
    ///
    /// # Errors
    /// `storage.corrupt`, `storage.failed`.
    pub fn summary(&self) -> Result<Summary, Error> {
        self.look.summary()
    }

    /// The classes that it knows, by number.
    ///
    /// # Errors
    /// `storage.corrupt`, `storage.failed`.
    pub fn classes(&self) -> Result<Vec<StoredClass>, Error> {
        self.look.classes()
    }

    /// One page of the objects of a class, in the order of a [`Listing`](crate::Listing).
    ///
    /// `prefix`: only names that begin with it; every object if it is empty. `after`: the last of the page before. `limit`:
    /// 1 to 1,000; a page that is shorter is the last.
    ///
    /// # Errors
    /// `class.unknown`; `config.invalid` for a limit out of range; `storage.corrupt`, `storage.failed`.
    pub fn objects(
        &self,
        class: &str,
        prefix: &str,
        after: Option<&Listed>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        if !(1..=LIST_PAGE_MAX).contains(&limit) {
            return Err(Code::ConfigInvalid.error(format!(
                "a page of {limit} objects was asked for, allowed are 1 to {LIST_PAGE_MAX}; ask for several pages"
            )));
        }
        let after = after.map(|last| After { name: last.name().map(Into::into), id: last.id() });
        let rows = self.look.objects(class, prefix, after.as_ref(), limit)?;
        Ok(rows.into_iter().map(|row| Listed::new(row.id, row.name)).collect())
    }

    /// One page of the dead letters of all objects, as [`Runtime::dead_letters`](crate::Runtime::dead_letters).
    ///
    /// # Errors
    /// `storage.corrupt`, `storage.failed`.
    pub fn dead_letters(&self, after: Option<DeadLetterId>) -> Result<Vec<DeadLetter>, Error> {
        self.look.dead_letters(after)
    }

    /// Sets the alarm again that a dead letter was, or the run of a schedule, or of a send with what that carried. It fires when a
    /// runtime is started; the letter is gone.
    ///
    /// # Errors
    /// `storage.locked` if a runtime holds the directory: ask it; `letter.unknown`; `letter.torn`, `letter.newer`; `alarm.taken`
    /// if the object has set another alarm since; `schedule.too_many`; `storage.*` if it cannot be stored.
    pub fn retry_dead_letter(&self, id: DeadLetterId) -> Result<(), Error> {
        self.tend_letter(id, LetterFate::Retried)
    }

    /// Takes a dead letter away.
    ///
    /// # Errors
    /// `storage.locked` if a runtime holds the directory: ask it; `letter.unknown`; `storage.*` if it cannot be stored.
    pub fn drop_dead_letter(&self, id: DeadLetterId) -> Result<(), Error> {
        self.tend_letter(id, LetterFate::Dropped)
    }

    fn tend_letter(&self, id: DeadLetterId, fate: LetterFate) -> Result<(), Error> {
        self.look.tend_letter(id, fate)?.map_err(|refusal| match refusal {
            Refusal::Unknown => letter_unknown(id),
            Refusal::Taken(present) => alarm_taken(id, present),
            Refusal::Full(count) => schedules_full(id, count),
            Refusal::Unreadable(text) => schedules_torn(&text),
            Refusal::Torn(error) => letter_unreadable(id, &error),
        })
    }

    /// What is stored of one object of a class. `who`: its id, or its name. `None`: no such object is stored.
    ///
    /// If several objects have the name, in different jurisdictions, it is the one in none, or else the first.
    ///
    /// # Errors
    /// `class.unknown`; `storage.corrupt`, `storage.failed`.
    pub fn object(&self, class: &str, who: &str) -> Result<Option<StoredObject>, Error> {
        self.look.object(class, who)
    }

    /// What the commits of one object of a class did, the newest first, as
    /// [`Runtime::history`](crate::Runtime::history) does. `who`: its id, or its name. `None`: no such object is stored, not
    /// even one that was brought back to before its first commit.
    ///
    /// # Errors
    /// `class.unknown`; `config.invalid` for a limit out of range; `bookmark.foreign`; `history.torn`, `history.newer`;
    /// `storage.corrupt`, `storage.failed`.
    pub fn history(
        &self,
        class: &str,
        who: &str,
        until: Option<&Bookmark>,
        limit: usize,
    ) -> Result<Option<Vec<HistoryEntry>>, Error> {
        check_limit(limit)?;
        self.look.history(class, who, until, limit)
    }
}

impl fmt::Debug for DataDirectory {
    /// Without the key: it is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Refuses a path that is none.
pub(crate) fn named(path: &Path) -> Result<&Path, Error> {
    if path.as_os_str().is_empty() {
        return Err(Code::ConfigInvalid
            .error("the directory's path is empty; name a directory, `.` for the present one"));
    }
    Ok(path)
}
