//! The reads that wait for a lane.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::numbers::{ClassNo, ObjectNo};
use super::reader::ReadConnection;
use super::rows::dead_letter::StoredLetter;
use super::stored::{After, KvAsk, KvRows, Listed, Loaded};
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Kind, Place};

/// Which part of a class's listing is asked for.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) class_no: ClassNo,
    pub(super) prefix: Arc<str>,
    /// `None`: from the beginning.
    pub(super) after: Option<After>,
    pub(super) limit: usize,
}

/// Objects in the order in which they are due, and whether there are no more.
pub(super) type AlarmRows = (Vec<Alarmed>, bool);

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// One read that waits for a lane.
pub(super) enum Job {
    Load {
        id: ObjectId,
        class_no: ClassNo,
        answer: Answer<Loaded>,
    },
    List {
        page: Page,
        answer: Answer<Vec<Listed>>,
    },
    Alarms {
        kind: Kind,
        after: Option<Place>,
        limit: usize,
        answer: Answer<AlarmRows>,
    },
    Letters {
        after: i64,
        limit: usize,
        answer: Answer<Vec<StoredLetter>>,
    },
    Kv {
        object_no: ObjectNo,
        ask: KvAsk,
        answer: Answer<KvRows>,
    },
    /// Whatever it does with the connection.
    Other(Box<dyn FnOnce(&ReadConnection) + Send>),
}

/// The reads that wait, shared by the reader lanes of a shard.
pub(super) struct Jobs(Mutex<Queue>);

struct Queue {
    /// Every read belongs to a call or a listing in flight.
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
        queue.waiting.push_back(job);
        queue.resting.pop()
    }

    /// The next job, or `None`, and then `reader` rests until it is poked.
    pub(super) fn take(&self, reader: usize) -> Option<Job> {
        let mut queue = self.lock();
        let job = queue.waiting.pop_front();
        if job.is_none() && !queue.resting.contains(&reader) {
            queue.resting.push(reader);
        }
        job
    }

    pub(super) fn leave(&self, reader: usize) {
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
