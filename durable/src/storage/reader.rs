//! Reads of stored objects, by a lane or by a caller that finds a connection free.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::Connection;

use super::jobs::{AlarmRows, Job, Page};
use super::look::in_one_moment;
use super::numbers::{ClassNo, ObjectNo};
use super::rows::alarm::{self, StoredAlarm};
use super::rows::dead_letter::{self, StoredLetter};
use super::rows::outbox::{self, StoredSend};
use super::rows::result::StoredResults;
use super::rows::schedule::{self, StoredSchedules};
use super::rows::sql::{PageError, StoredSql};
use super::rows::{kv, object, received, result, sql};
use super::shared::{DirectoryLock, Shared, closed};
use super::sqlite::Fault;
use super::stored::{KvAsk, KvRows, Listed, Loaded};
use crate::error::{Code, Error, Outcome};
use crate::host::{LaneWork, Step};
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Kind, Place};
use crate::kernel::merge::Part;
use crate::limits::KV_PAGE_BYTES_MAX;
use crate::send::SendId;
use crate::sql::Page as SqlPage;

/// A connection that reads, used by its lane and by callers that find it free.
pub(super) struct ReadConnection {
    shared: Arc<Shared>,
    /// `None`: the shard was closed. The lock is let go after the connection: pairs are dropped in
    /// their order.
    open: Mutex<Option<(Connection, Arc<DirectoryLock>)>>,
}

impl ReadConnection {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        lock: Arc<DirectoryLock>,
    ) -> Arc<Self> {
        Arc::new(ReadConnection { shared, open: Mutex::new(Some((connection, lock))) })
    }

    /// Reads at once, unless somebody else is using the connection.
    pub(super) fn try_load(
        &self,
        id: &ObjectId,
        class_no: ClassNo,
    ) -> Option<Result<Loaded, Error>> {
        self.try_with(|connection| self.load(connection, id, class_no))
    }

    /// Reads at once, unless somebody else is using the connection.
    pub(super) fn try_kv(&self, object_no: ObjectNo, ask: &KvAsk) -> Option<Result<KvRows, Error>> {
        self.try_with(|connection| self.kv(connection, object_no, ask))
    }

    /// Reads what is stored of an object's database, without its pages. `None`: somebody else is using the connection, and
    /// it is not to be waited for.
    pub(super) fn sql(
        &self,
        object_no: ObjectNo,
        patience: Patience,
    ) -> Option<Result<Result<StoredSql, PageError>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            sql::load(connection, object_no).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads a page of an object's database, as [`sql`](Self::sql) does.
    pub(super) fn sql_page(
        &self,
        object_no: ObjectNo,
        number: u32,
        patience: Patience,
    ) -> Option<Result<Result<SqlPage, PageError>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            sql::page(connection, object_no, number).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads the alarm of an object, as [`sql`](Self::sql) reads its database.
    pub(super) fn alarm(
        &self,
        id: &ObjectId,
        patience: Patience,
    ) -> Option<Result<Option<StoredAlarm>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            alarm::of(connection, id).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads when an object has something to run, by itself, as [`sql`](Self::sql) reads its database.
    pub(super) fn wakes(
        &self,
        id: &ObjectId,
        patience: Patience,
    ) -> Option<Result<Vec<(Kind, Alarmed)>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            let alarm = alarm::DUES.of(connection, id).map_err(|cause| self.failed(&cause))?;
            let schedule =
                schedule::DUES.of(connection, id).map_err(|cause| self.failed(&cause))?;
            let kinds = [(Kind::Alarm, alarm), (Kind::Schedule, schedule)].into_iter();
            Ok(kinds.filter_map(|(kind, found)| Some((kind, found?))).collect())
        })
    }

    /// Reads the schedules of an object, as [`sql`](Self::sql) reads its database.
    pub(super) fn schedules(
        &self,
        id: &ObjectId,
        patience: Patience,
    ) -> Option<Result<Option<StoredSchedules>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            schedule::of(connection, id).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads one dead letter, as [`sql`](Self::sql) reads a database.
    pub(super) fn letter(
        &self,
        letter_no: i64,
        patience: Patience,
    ) -> Option<Result<Option<StoredLetter>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            dead_letter::get(connection, letter_no).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads sends that wait, one behind the other, as [`sql`](Self::sql) reads a database.
    pub(super) fn sends(
        &self,
        (first, limits): (i64, (usize, usize)),
        patience: Patience,
    ) -> Option<Result<Vec<StoredSend>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            outbox::train(connection, first, limits).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads whether a send waits, as [`sql`](Self::sql) reads a database.
    pub(super) fn has_send(&self, id: SendId, patience: Patience) -> Option<Result<bool, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            outbox::has(connection, id).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads whether a send has been received, as [`sql`](Self::sql) reads a database.
    pub(super) fn has_received(
        &self,
        id: SendId,
        patience: Patience,
    ) -> Option<Result<bool, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            received::has(connection, id).map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads which results an object keeps, as [`sql`](Self::sql) reads its database.
    pub(super) fn results(
        &self,
        object_no: ObjectNo,
        patience: Patience,
    ) -> Option<Result<StoredResults, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            // Of one commit.
            in_one_moment(connection, |connection| result::find(connection, object_no))
                .map_err(|cause| self.failed(&cause))
        })
    }

    /// Reads a sealed chunk of an object's results, as [`sql`](Self::sql) reads its database.
    pub(super) fn results_chunk(
        &self,
        (object_no, number): (ObjectNo, u64),
        patience: Patience,
    ) -> Option<Result<Option<Arc<[u8]>>, Error>> {
        self.with_patience(patience, |connection| {
            self.check_stopped()?;
            result::body(connection, object_no, number).map_err(|cause| self.failed(&cause))
        })
    }

    fn with_patience<T>(
        &self,
        patience: Patience,
        read: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Option<Result<T, Error>> {
        match patience {
            Patience::None => self.try_with(read),
            Patience::Wait => Some(self.with(read)),
        }
    }

    fn try_with<T>(&self, read: impl FnOnce(&Connection) -> T) -> Option<T> {
        let open = match self.open.try_lock() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        open.as_ref().map(|(connection, _)| read(connection))
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or_else(|| Err(closed()), |(connection, _)| read(connection))
    }

    fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn load(
        &self,
        connection: &Connection,
        id: &ObjectId,
        class_no: ClassNo,
    ) -> Result<Loaded, Error> {
        self.check_stopped()?;
        let found = object::load(connection, id).map_err(|cause| self.failed(&cause))?;
        match found {
            None => Ok(Loaded { object_no: self.shared.next_object_no(), stored: None }),
            Some((object_no, stored_class, stored)) if stored_class == class_no => {
                Ok(Loaded { object_no, stored: Some(stored) })
            }
            Some((object_no, stored_class, _)) => Err(Code::StorageCorrupt.error(format!(
                "object {object_no} of {} is stored as of class {stored_class}, its id says \
                 class {class_no}; restore the file from a backup",
                self.shared.place.path.display()
            ))),
        }
    }

    fn list(&self, connection: &Connection, page: &Page) -> Result<Vec<Listed>, Error> {
        self.check_stopped()?;
        let after = page.after.as_ref();
        let listed = object::list(connection, page.class_no, &page.prefix, after, page.limit);
        listed.map_err(|cause| self.failed(&cause))
    }

    fn alarms(
        &self,
        connection: &Connection,
        kind: Kind,
        (after, limit): (Option<Place>, usize),
    ) -> Result<AlarmRows, Error> {
        self.check_stopped()?;
        let read = match kind {
            Kind::Alarm => alarm::DUES.first(connection, after, limit),
            Kind::Schedule => schedule::DUES.first(connection, after, limit),
            Kind::Send => outbox::due(connection, after, limit),
        };
        read.map_err(|cause| self.failed(&cause))
    }

    fn letters(
        &self,
        connection: &Connection,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredLetter>, Error> {
        self.check_stopped()?;
        dead_letter::list(connection, after, limit).map_err(|cause| self.failed(&cause))
    }

    fn kv(
        &self,
        connection: &Connection,
        object_no: ObjectNo,
        ask: &KvAsk,
    ) -> Result<KvRows, Error> {
        self.check_stopped()?;
        let rows = match ask {
            KvAsk::Values(keys) => kv::find(connection, object_no, keys).map(|rows| (rows, true)),
            KvAsk::Keys(keys) => {
                kv::find_keys(connection, object_no, keys).map(|rows| (rows, true))
            }
            KvAsk::Page { range, order, rows_max } => {
                let max = kv::PageMax { rows: *rows_max, bytes: KV_PAGE_BYTES_MAX };
                kv::page(connection, object_no, range, *order, max)
            }
        };
        let (rows, is_last) = rows.map_err(|cause| self.failed(&cause))?;
        Ok(Part { rows, is_last })
    }

    /// Whatever `read` reads, in one moment, once the connection is free.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.with(|connection| {
            self.check_stopped()?;
            in_one_moment(connection, read).map_err(|cause| self.failed(&cause))
        })
    }

    fn check_stopped(&self) -> Result<(), Error> {
        match self.shared.stopped() {
            Some(error) => Err(error.clone().with_outcome(Outcome::NotStarted)),
            None => Ok(()),
        }
    }

    fn failed(&self, cause: &rusqlite::Error) -> Error {
        let place = &self.shared.place;
        match Fault::of(cause) {
            Fault::Damaged => self.shared.stop(place.error(cause, "reading from")),
            // One row holds what no commit has written; the others are still good.
            Fault::Row => Code::StorageCorrupt.error(format!(
                "a row of {} cannot be read: {cause}; restore the file from a backup",
                place.path.display()
            )),
            _ => place.error(cause, "reading from").with_outcome(Outcome::NotStarted),
        }
    }
}

/// What to do about a connection that somebody else is using.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Leave it.
    None,
    /// Wait for it: what runs in it is one read.
    Wait,
}

/// The work of a reader lane.
pub(super) struct Reader {
    connection: Arc<ReadConnection>,
    index: usize,
}

impl Reader {
    pub(super) fn new(connection: Arc<ReadConnection>, index: usize) -> Self {
        Reader { connection, index }
    }
}

impl LaneWork for Reader {
    fn step(&mut self) -> Step {
        let reads = &self.connection;
        match reads.shared.jobs.take(self.index) {
            None => return Step::Idle,
            // Nobody waits any more where the channel is closed.
            Some(Job::Load { id, class_no, answer }) if !answer.is_closed() => {
                let _ = answer.send(reads.with(|connection| reads.load(connection, &id, class_no)));
            }
            Some(Job::List { page, answer }) if !answer.is_closed() => {
                let _ = answer.send(reads.with(|connection| reads.list(connection, &page)));
            }
            Some(Job::Kv { object_no, ask, answer }) if !answer.is_closed() => {
                let read = reads.with(|connection| reads.kv(connection, object_no, &ask));
                let _ = answer.send(read);
            }
            Some(Job::Other(read)) => read(reads),
            Some(Job::Alarms { kind, after, limit, answer }) if !answer.is_closed() => {
                let read = reads.with(|connection| reads.alarms(connection, kind, (after, limit)));
                let _ = answer.send(read);
            }
            Some(Job::Letters { after, limit, answer }) if !answer.is_closed() => {
                let read = reads.with(|connection| reads.letters(connection, after, limit));
                let _ = answer.send(read);
            }
            Some(_) => {}
        }
        Step::Again
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.close();
        self.connection.shared.jobs.leave(self.index);
    }
}
