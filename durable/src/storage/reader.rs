//! Reads of stored objects: what is asked, what is answered, and the lanes that answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::numbers::{ClassNo, Epoch, ObjectNo};
use super::rows::object;
use super::shard::{DirectoryLock, Shared};
use super::sqlite::Fault;
use super::writer;
use crate::error::{Code, Error, Outcome};
use crate::host::{LaneWork, Step};
use crate::id::{ObjectId, Placement};
use crate::limits::LANE_ITEMS_MAX;

/// What is known of an object that is about to become active.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its number; a new one, and kept by nobody else, if the object is not stored.
    pub(crate) object_no: ObjectNo,
    /// `None`: the object is not stored.
    pub(crate) stored: Option<StoredObject>,
}

/// What is stored of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredObject {
    /// `None`: it never became known.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) placement: Placement,
    /// Epoch of the activation that committed last; 0 without a body.
    pub(crate) epoch: Epoch,
    /// Commits so far; 0 without a body.
    pub(crate) commit_no: u64,
    /// The state's [frame](super::frame), not looked into. `None`: the object has rows, but no
    /// state.
    pub(crate) body: Option<Arc<[u8]>>,
}

/// A place in a listing: everything up to this object has been listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// `None`: a nameless object; these come first.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) id: ObjectId,
}

/// One stored object in a listing. Listings are ordered by name, bytewise, nameless objects first,
/// then by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) id: ObjectId,
    pub(crate) placement: Placement,
}

/// Which part of a class's listing is asked for.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) class_no: ClassNo,
    pub(super) prefix: Arc<str>,
    /// `None`: from the beginning.
    pub(super) after: Option<After>,
    pub(super) limit: usize,
}

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One read that waits for a lane.
pub(super) enum Job {
    Load { id: ObjectId, class_no: ClassNo, answer: Answer<Loaded> },
    List { page: Page, answer: Answer<Vec<Listed>> },
}

/// The reads that wait, shared by the reader lanes of a shard.
pub(super) struct Jobs(Mutex<Queue>);

struct Queue {
    waiting: VecDeque<Job>,
    /// Readers that found nothing to do; one is taken off when it is poked.
    resting: Vec<usize>,
    /// Readers that still run. At 0 no job is taken any more.
    readers: usize,
}

impl Jobs {
    /// `readers`: how many lanes will be started.
    pub(super) fn new(readers: usize) -> Self {
        Jobs(Mutex::new(Queue { waiting: VecDeque::new(), resting: Vec::new(), readers }))
    }

    /// Hands over a job and says which lane to poke; `None`: one that is awake will see it. A job
    /// that comes after the end is dropped, and its asker finds the answer's channel closed.
    pub(super) fn push(&self, job: Job) -> Option<usize> {
        let mut queue = self.lock();
        if queue.readers == 0 {
            return None;
        }
        assert!(queue.waiting.len() < LANE_ITEMS_MAX, "every read belongs to a call in flight");
        queue.waiting.push_back(job);
        queue.resting.pop()
    }

    /// The next job, or `None`, and then `reader` rests until it is poked.
    fn take(&self, reader: usize) -> Option<Job> {
        let mut queue = self.lock();
        let job = queue.waiting.pop_front();
        if job.is_none() && !queue.resting.contains(&reader) {
            queue.resting.push(reader);
        }
        job
    }

    fn leave(&self, reader: usize) {
        let mut queue = self.lock();
        queue.resting.retain(|resting| *resting != reader);
        queue.readers -= 1;
        let orphans =
            if queue.readers == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() };
        drop(queue);
        // Dropped outside of the lock: it wakes those who wait for an answer.
        drop(orphans);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        let open = match self.open.try_lock() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        open.as_ref().map(|(connection, _)| self.load(connection, id, class_no))
    }

    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or_else(|| Err(writer::closed()), |(connection, _)| read(connection))
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
