//! The writer lane of a shard: one transaction and one sync for everything that waits, then the
//! releases.
//!
//! Why a released `Ok` is durable: a release runs only after `COMMIT` returned without an error,
//! and with `synchronous=FULL` that is after the log, the commit's frame included, was synced. Why
//! nothing that failed can come back: an error inside of the transaction rolls it back before its
//! frame is written, and an error whose effect is unknown stops the shard, so that nobody is told
//! either way until the file was opened again.

mod later;
mod tables;

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;

use self::tables::Tables;
use super::ahead;
use super::batch::{Batch, Change, Item, Run};
use super::checkpoint;
use super::history::{self, Pass, Present};
use super::log::Log;
use super::notices::Committed;
use super::numbers::{CommitSeq, ObjectNo};
use super::quarantines;
use super::rows::Gone;
use super::rows::outbox::SendNotice;
use super::shared::{DirectoryLock, Shared, closed};
use super::sqlite::{self, Checkpoint, Fault};
use crate::error::{Code, Error, Outcome};
use crate::host::{Event, Lane, LaneWork, Step};
use crate::kernel::ahead::Ahead;
use crate::limits::HISTORY_SWEEP_BATCHES;
use crate::time::WallMs;

/// The work of a writer lane.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    /// Copies the log while this lane goes on.
    pub(super) checkpointer: Arc<dyn Lane>,
    /// Taken from the shard's queue, older than what is in it.
    waiting: VecDeque<Item>,
    batch: Batch,
    /// What became of the batch, until those who wait for it are told. `None`: nothing was stored since.
    stored: Option<Result<(), Error>>,
    applied: Applied,
    /// The sweep over the past that is under way. `None`: none is.
    pass: Option<Pass>,
    /// The last step was about sends.
    has_tended: bool,
    /// Batches since it had its turn.
    batches: u32,
    memory: Memory,
    /// Let go after the connection is closed: fields are dropped in their order.
    _lock: Arc<DirectoryLock>,
}

/// What the writer remembers from one batch to the next.
struct Memory {
    log: Log,
    /// How long the file of the write-ahead log is.
    ahead: Ahead,
    /// Those whose past is kept, as they are stored.
    present: Present,
}

/// What a batch has done beside what its write sets say.
#[derive(Default)]
struct Applied {
    /// Objects that were erased with the one above them.
    erased_below: Vec<ObjectNo>,
    /// What it means for those who deliver sends.
    told: Vec<SendNotice>,
    /// How many sends more wait.
    more: i64,
}

impl Applied {
    fn on_gone(&mut self, Gone { below, told, sends }: Gone) {
        self.erased_below.extend(below);
        self.told.extend(told);
        self.more -= sends.cast_signed();
    }
}

/// Where a transaction failed.
enum Failure {
    /// Before `COMMIT`: nothing of it can be in the file.
    Before(rusqlite::Error),
    /// In `COMMIT`: it may be in the log.
    Commit(rusqlite::Error),
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        checkpointer: Arc<dyn Lane>,
        lock: Arc<DirectoryLock>,
    ) -> Self {
        Writer {
            memory: Memory {
                log: Log::new(shared.log_pages),
                ahead: Ahead::default(),
                present: Present::default(),
            },
            shared,
            connection,
            checkpointer,
            waiting: VecDeque::new(),
            batch: Batch::default(),
            stored: None,
            applied: Applied::default(),
            pass: None,
            has_tended: false,
            batches: 0,
            _lock: lock,
        }
    }

    /// Stores the batch. `Err`: nothing of it was stored, or that is unknown and the shard has
    /// stopped.
    fn store(&mut self) -> Result<(), Error> {
        if !self.batch.has_changes() {
            return Ok(());
        }
        let now = self.shared.host.clock.wall();
        let (batch, memory) = (&mut self.batch, &mut self.memory);
        let failure = match transact(&self.shared, &self.connection, (batch, memory), now) {
            Ok(applied) => {
                self.applied = applied;
                return Ok(());
            }
            Err(failure) => failure,
        };
        self.memory.log.on_failed();
        self.memory.present.clear();
        Err(self.failed(&failure))
    }

    /// What a failed transaction means: nothing of it was stored, or that is unknown and the shard stops.
    fn failed(&self, failure: &Failure) -> Error {
        let (cause, in_commit) = match failure {
            Failure::Before(cause) => (cause, false),
            Failure::Commit(cause) => (cause, true),
        };
        let error = self.shared.place.error(cause, "writing to");
        let fault = Fault::of(cause);
        if in_commit && fault != Fault::Full {
            // Whether the commit's frame reached the log, or will, cannot be said.
            let error = Code::StorageSyncFailed.error(error.message());
            let is_damaged = fault == Fault::Damaged;
            return self.shared.stop(if is_damaged { damaged(&error) } else { error });
        }
        if matches!(fault, Fault::Unsynced | Fault::Damaged) {
            return self.shared.stop(error);
        }
        // SQLite has rolled back by itself after some errors; after the others it must be told.
        if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
            return self.shared.stop(error);
        }
        error
    }
}

impl Writer {
    /// Stores what has become of quarantines, in a transaction of their own.
    fn tend_quarantines(&mut self) {
        let chores = self.shared.quarantines.take();
        let stopped = self.shared.stopped().cloned();
        let store = || {
            let applied = quarantines::apply(&self.connection, &chores);
            let stored = applied.map_err(Failure::Before).and_then(|()| self.commit());
            stored.map_err(|failure| self.failed(&failure))
        };
        let stored = stopped.map_or_else(store, Err);
        quarantines::answer(chores, stored);
    }

    fn commit(&self) -> Result<(), Failure> {
        let commit = self.connection.prepare_cached("COMMIT").map_err(Failure::Before)?;
        { commit }.execute([]).map(drop).map_err(Failure::Commit)
    }
}

/// The same failure, when the file turned out to be damaged while the commit was on its way.
fn damaged(error: &Error) -> Error {
    Code::StorageCorrupt.error(error.message()).with_outcome(Outcome::Unknown)
}

impl Writer {
    /// Tells everyone what became of the batch.
    fn release(&mut self, stored: Result<(), Error>) {
        if let (Err(error), Some(_)) = (&stored, self.shared.stopped()) {
            self.batch.fail_all(error);
            return;
        }
        let Shared { host, index, alarms, .. } = &*self.shared;
        let Applied { erased_below, told, more } = std::mem::take(&mut self.applied);
        self.shared.count_sends(more);
        for object_no in erased_below {
            alarms.tell(Committed {
                object_no,
                commit_no: 0,
                alarm: None,
                schedules: None,
                erases: true,
            });
        }
        let mut tell = |change: &Change, is_durable| {
            let place = change.seq.0;
            host.report(|| Event::Settled { shard: *index, place, is_durable });
            if is_durable {
                alarms.tell(change.committed());
            }
        };
        alarms.tell_sends(told);
        let last: Option<CommitSeq> = self.batch.release(stored.as_ref().map(drop), &mut tell);
        if let Some(seq) = last {
            self.shared.advance(seq);
        }
        checkpoint::tend(&self.shared, &self.connection, self.checkpointer.as_ref());
    }
}

impl Writer {
    /// Does a piece of the sweep over the past, if one is wanted. Whether it did.
    fn sweep(&mut self) -> bool {
        let Some(mut pass) = self.pass.take().or_else(|| self.shared.sweep.begin()) else {
            return false;
        };
        let stopped = self.shared.stopped().cloned();
        match stopped.map_or_else(|| self.sweep_piece(&mut pass), Err) {
            Ok(false) => self.pass = Some(pass),
            Ok(true) => self.shared.sweep.end(pass, Ok(())),
            Err(error) => {
                tracing::warn!(%error, "the past was not shortened");
                self.shared.sweep.end(pass, Err(error));
            }
        }
        true
    }

    /// A transaction of its own. Gives whether the sweep is over.
    fn sweep_piece(&mut self, pass: &mut Pass) -> Result<bool, Error> {
        let around = (self.shared.sweep.bounds, self.shared.host.clock.wall());
        let swept = (|| {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            history::piece(&self.connection, pass, around)
        })();
        let swept =
            swept.map_err(Failure::Before).and_then(|is_over| self.commit().map(|()| is_over));
        swept.map_err(|failure| self.failed(&failure))
    }
}

impl LaneWork for Writer {
    /// Stores a batch, and in the next step tells those who wait for it: between the two it is durable and nobody knows.
    fn step(&mut self) -> Step {
        if let Some(stored) = self.stored.take() {
            self.release(stored);
            return Step::Again;
        }
        if self.shared.quarantines.is_wanted() {
            self.tend_quarantines();
            return Step::Again;
        }
        if self.shared.sends.is_wanted() && !std::mem::replace(&mut self.has_tended, true) {
            self.tend_sends();
            return Step::Again;
        }
        // Whoever commits has a turn between those who deliver.
        self.has_tended = false;
        if self.waiting.is_empty() {
            self.shared.take_waiting(&mut self.waiting);
        }
        if self.waiting.is_empty() || self.batches >= HISTORY_SWEEP_BATCHES {
            self.batches = 0;
            let has_swept = self.sweep();
            if self.waiting.is_empty() {
                let is_busy = has_swept || self.shared.sends.is_wanted();
                return if is_busy { Step::Again } else { Step::Idle };
            }
        }
        self.batches += 1;
        let bytes = self.batch.take(&mut self.waiting);
        self.shared.settle_bytes(bytes);
        if let Some(error) = self.shared.stopped() {
            // Never attempted, so unlike the commit that failed it is known to have had no effect.
            self.batch.fail_all(&error.clone().with_outcome(Outcome::RolledBack));
            return Step::Again;
        }
        self.stored = Some(self.store());
        self.shared.host.report(|| Event::Stored { shard: self.shared.index });
        Step::Again
    }
}

impl Drop for Writer {
    /// Tells whoever still waits: those who came after the last step, or everyone if a step
    /// panicked.
    fn drop(&mut self) {
        if let Some(stored) = self.stored.take() {
            self.release(stored);
        }
        let cut = Code::StorageFailed.error(format!(
            "the writer of {} ended in the middle of a commit; restart the process",
            self.shared.place.path.display()
        ));
        let panicked = std::thread::panicking();
        let error =
            if panicked { self.shared.stop(cut.with_outcome(Outcome::Unknown)) } else { closed() };
        self.batch.fail_all(&error);
        self.shared.close_queue(&mut self.waiting);
        self.shared.sweep.close();
        self.shared.quarantines.close();
        self.shared.sends.close();
        let later = error.with_outcome(Outcome::RolledBack);
        self.waiting.drain(..).for_each(|item| item.fail(&later));
        // After a failed sync the log holds the only copy that can be trusted; the next start reads
        // it again.
        if self.shared.stopped().is_none()
            && let Err(error) = sqlite::checkpoint(&self.connection, Checkpoint::Truncate)
        {
            tracing::warn!(%error, "the last checkpoint failed; the next start makes it");
        }
    }
}

fn transact(
    shared: &Shared,
    connection: &Connection,
    (batch, memory): (&mut Batch, &mut Memory),
    now: WallMs,
) -> Result<Applied, Failure> {
    let applied = apply_all(shared, connection, (batch, memory), now).map_err(Failure::Before)?;
    let commit = connection.prepare_cached("COMMIT").map_err(Failure::Before)?.execute([]);
    commit.map(|_| applied).map_err(Failure::Commit)
}

/// Applies every run of the batch inside of a new transaction. A run that fails alone fails its own
/// fence only.
fn apply_all(
    shared: &Shared,
    connection: &Connection,
    (batch, memory): (&mut Batch, &mut Memory),
    now: WallMs,
) -> rusqlite::Result<Applied> {
    // The write lock is taken at once: one that is taken later can fail halfway.
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut tables = Tables::prepare(connection, &shared.sweep, memory)?;
    let mut start = 0;
    while let Some(range) = batch.run_at(start) {
        start = range.end;
        let Some(run) = batch.run(range.clone()) else {
            batch.fail_run(range, None);
            continue;
        };
        let error = match tables.apply(&run, now) {
            Ok(true) => continue,
            Ok(false) => fenced(shared, &run),
            Err(error) if Fault::of(&error) == Fault::Row && !connection.is_autocommit() => {
                tables.take_back(&run)?;
                shared.place.error(&error, "writing one object to")
            }
            Err(error) => return Err(error),
        };
        batch.fail_run(range, Some(&error));
    }
    tables.memory.log.sweep(connection)?;
    ahead::make_room(shared, &mut tables.memory.ahead);
    Ok(tables.applied)
}

fn fenced(shared: &Shared, run: &Run<'_>) -> Error {
    Code::StorageFenced.error(format!(
        "object {} of {} is not at commit {} of epoch {} or earlier, another activation has \
         committed; call again",
        run.last.object_no,
        shared.place.path.display(),
        run.after,
        run.fence.epoch
    ))
}

#[cfg(test)]
#[path = "writer/tests.rs"]
mod tests;
