//! What the lanes of a shard share: the queue before the writer, the watermark, and why the shard stopped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::batch::Item;
use super::history::Sweep;
use super::jobs::Jobs;
use super::notices::Notices;
use super::numbers::{CommitSeq, ObjectNo};
use super::outbox;
use super::quarantines::Chores;
use super::sqlite::Place;
use super::write_set::{Fence, Release, WriteSet};
use crate::error::{Code, Error};
use crate::host::{Event, Host, LockGuard};
use crate::limits::{LANE_BYTES_MAX, LOG_LENGTHS_MAX, READERS_PER_SHARD};

/// The lock of the data directory. Everyone who has a connection holds it, so it ends after the
/// last of them.
pub(super) type DirectoryLock = LockGuard;

/// What the lanes of a shard share.
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) host: Host,
    pub(super) index: u16,
    /// Length of the log from which it is copied into the database.
    pub(super) log_pages: u32,
    pub(super) jobs: Jobs,
    pub(super) sweep: Sweep,
    pub(super) alarms: Notices,
    pub(super) quarantines: Chores,
    pub(super) sends: outbox::Chores,
    /// Sends that wait.
    outbox: AtomicU64,
    queue: Mutex<Queue>,
    durable: AtomicU64,
    /// Bytes of the snapshots and rows that wait.
    waiting_bytes: AtomicUsize,
    /// Empty: the shard works.
    stopped: OnceLock<Error>,
    checkpoint_wanted: AtomicBool,
    /// Length of the log after the last commit, in pages.
    log_length: AtomicU32,
    /// Length of the log from which the writer waits until it can start over, in pages.
    restart_from: AtomicU32,
    /// A backup reads the shard at length, so that the log cannot start over meanwhile.
    is_copied: AtomicBool,
    /// The highest number that was given away.
    highest: AtomicI64,
}

/// What waits for the writer: at most one item for each call in flight, and two for each activation,
/// the commit of its start and the barrier of its end.
pub(super) struct Queue {
    waiting: VecDeque<Item>,
    /// Write sets that were ever submitted.
    submitted: u64,
    /// The writer has ended and takes nothing any more.
    closed: bool,
}

impl Queue {
    /// Appends an item, or gives it back if nobody would take it.
    fn push(&mut self, item: Item) -> Option<Item> {
        if self.closed {
            return Some(item);
        }
        self.waiting.push_back(item);
        None
    }
}

/// How many lanes read a shard.
pub(super) fn readers_of(host: &Host) -> usize {
    READERS_PER_SHARD.min(host.parallelism)
}

impl Shared {
    pub(super) fn new(
        host: &Host,
        (index, log_pages): (u16, u32),
        place: Place,
        highest: ObjectNo,
        sweep: Sweep,
    ) -> Self {
        Shared {
            place,
            host: host.clone(),
            index,
            log_pages,
            jobs: Jobs::new(readers_of(host)),
            sweep,
            alarms: Notices::default(),
            quarantines: Chores::default(),
            sends: outbox::Chores::default(),
            outbox: AtomicU64::new(0),
            queue: Mutex::new(Queue { waiting: VecDeque::new(), submitted: 0, closed: false }),
            durable: AtomicU64::new(0),
            waiting_bytes: AtomicUsize::new(0),
            stopped: OnceLock::new(),
            checkpoint_wanted: AtomicBool::new(false),
            log_length: AtomicU32::new(0),
            restart_from: AtomicU32::new(log_pages.saturating_mul(LOG_LENGTHS_MAX)),
            is_copied: AtomicBool::new(false),
            highest: AtomicI64::new(highest.0),
        }
    }

    /// Why the shard takes no writes and reads any more. `None`: it works.
    pub(super) fn stopped(&self) -> Option<&Error> {
        self.stopped.get()
    }

    /// Stops the shard for good and gives the reason, which is the earlier one if it was stopped
    /// already.
    pub(super) fn stop(&self, error: Error) -> Error {
        let reason = self.stopped.get_or_init(|| {
            tracing::error!(%error, "a shard stopped");
            self.host.report(|| Event::Stopped { shard: self.index, error: &error });
            error
        });
        reason.clone()
    }

    /// A number that no object has.
    pub(super) fn next_object_no(&self) -> ObjectNo {
        ObjectNo(self.highest.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How many sends wait.
    pub(super) fn outbox(&self) -> u64 {
        self.outbox.load(Ordering::Relaxed)
    }

    /// So many more sends wait, or less.
    pub(super) fn count_sends(&self, more: i64) {
        self.outbox.fetch_add(more.cast_unsigned(), Ordering::Relaxed);
    }

    /// Moves everything that waits into `taken`, which is empty.
    pub(super) fn take_waiting(&self, taken: &mut VecDeque<Item>) {
        assert!(taken.is_empty(), "older items are written first");
        std::mem::swap(&mut self.queue().waiting, taken);
    }

    /// Refuses all later items and appends the waiting ones to `taken`.
    pub(super) fn close_queue(&self, taken: &mut VecDeque<Item>) {
        let mut queue = self.queue();
        queue.closed = true;
        taken.append(&mut queue.waiting);
    }

    /// Appends a write set to the queue and gives its place; gives the item back if nobody would take it.
    pub(super) fn queue_write(&self, write: WriteSet) -> (CommitSeq, Option<Item>) {
        let mut queue = self.queue();
        queue.submitted += 1;
        let seq = CommitSeq(queue.submitted);
        write.fence.set_submitted(seq);
        self.waiting_bytes.fetch_add(write.bytes(), Ordering::Relaxed);
        (seq, queue.push(Item::write(write, seq)))
    }

    /// Appends a barrier to the queue; gives it back if nobody would take it.
    pub(super) fn queue_barrier(
        &self,
        fence: &Arc<Fence>,
        release: Arc<dyn Release>,
    ) -> Option<Item> {
        self.queue().push(Item::barrier(fence, release))
    }

    /// Snapshots and rows of so many bytes were taken by the writer.
    pub(super) fn settle_bytes(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether so many bytes wait that nobody should add to them without waiting.
    pub(super) fn is_heavy(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > LANE_BYTES_MAX
    }

    /// The watermark.
    pub(super) fn durable(&self) -> CommitSeq {
        CommitSeq(self.durable.load(Ordering::Acquire))
    }

    /// Moves the watermark. Only the writer does, in order.
    pub(super) fn advance(&self, seq: CommitSeq) {
        let before = self.durable.swap(seq.0, Ordering::AcqRel);
        assert!(before < seq.0, "the watermark only rises, it went from {before} to {seq}");
    }

    /// Asks for a checkpoint; `true` if nobody has asked yet.
    pub(super) fn request_checkpoint(&self) -> bool {
        !self.checkpoint_wanted.swap(true, Ordering::AcqRel)
    }

    pub(super) fn take_checkpoint_request(&self) -> bool {
        self.checkpoint_wanted.swap(false, Ordering::AcqRel)
    }

    /// A commit has left a log of so many pages.
    pub(super) fn set_log_length(&self, pages: u32) {
        self.log_length.store(pages, Ordering::Relaxed);
    }

    /// Pages in the log after the last commit.
    pub(super) fn log_length(&self) -> u32 {
        self.log_length.load(Ordering::Relaxed)
    }

    /// Whether the last commit left a log that is to be copied into the database.
    pub(super) fn is_log_long(&self) -> bool {
        self.log_length() >= self.log_pages
    }

    /// Length of the log from which the writer waits until it can start over.
    pub(super) fn restart_from(&self) -> u32 {
        self.restart_from.load(Ordering::Relaxed)
    }

    /// The writer has waited, and the log has `pages` pages: it waits again after so many more.
    pub(super) fn set_restart_from(&self, pages: u32) {
        let more = self.log_pages.saturating_mul(LOG_LENGTHS_MAX);
        self.restart_from.store(pages.saturating_add(more), Ordering::Relaxed);
    }

    /// Says whether a backup reads the shard at length.
    pub(super) fn set_copied(&self, is_copied: bool) {
        self.is_copied.store(is_copied, Ordering::Release);
    }

    /// Whether a backup reads the shard at length.
    pub(super) fn is_copied(&self) -> bool {
        self.is_copied.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn push_for_tests(&self, item: Item) -> Option<Item> {
        self.queue().push(item)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a write that comes too late is told.
pub(super) fn closed() -> Error {
    Code::RuntimeClosed.error("the data directory was closed; start the runtime again")
}
