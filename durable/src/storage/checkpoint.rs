//! Keeps the write-ahead log short: copies it into the database beside the writer, so that it can
//! start over.
//!
//! SQLite lets the log start over when a write begins while all of it has been copied. Under load
//! that moment never comes by itself: whatever the checkpointer copies, the writer has appended
//! meanwhile. So the checkpointer copies until a short rest is left, and the writer finishes that
//! rest between two batches.
//!
//! Measured on two cores with other work beside, 64 submitters, 64-byte states: in 60 s and 1.45
//! million commits to 200,000 objects the log reached 49 MiB; in runs of a few seconds to 1,000
//! objects 16 to 20 MiB, little more than the length at which copying begins.

use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::shared::{DirectoryLock, Shared};
use super::sqlite::{self, Checkpoint, Fault, Role};
use crate::host::{Event, Lane, LaneWork, Step};
use crate::limits::{CHECKPOINT_PASSES_MAX, FINISH_SHARE, RESTART_WAIT};

/// The work of a checkpointer lane.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    /// `None`: nobody has asked for a checkpoint yet.
    connection: Option<Connection>,
    /// Passes since the last request.
    passes: u32,
    /// Let go after the connection is closed: fields are dropped in their order.
    _lock: Arc<DirectoryLock>,
}

impl Checkpointer {
    pub(super) fn new(shared: Arc<Shared>, lock: Arc<DirectoryLock>) -> Self {
        Checkpointer { shared, connection: None, passes: 0, _lock: lock }
    }

    /// Copies what can be copied and gives the pages that are left.
    fn copy(&mut self) -> u32 {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.shared.place.open(Role::Checkpointer) {
                Ok(connection) => connection,
                Err(cause) => {
                    let error = self.shared.place.error(&cause, "opening");
                    tracing::warn!(%error, "the write-ahead log was not copied");
                    return 0;
                }
            },
        };
        let rest = run(&self.shared, &connection, Checkpoint::Passive);
        self.connection = Some(connection);
        rest
    }
}

impl LaneWork for Checkpointer {
    fn step(&mut self) -> Step {
        if self.passes == 0 && !self.shared.take_checkpoint_request() {
            return Step::Idle;
        }
        self.passes += 1;
        let rest = self.copy();
        if rest > self.shared.log_pages / FINISH_SHARE && self.passes < CHECKPOINT_PASSES_MAX {
            return Step::Again;
        }
        self.passes = 0;
        Step::Again
    }
}

/// Has the writer's connection tell after each commit how long the log is.
pub(super) fn follow_log(shared: &Arc<Shared>, writer: &mut Connection) -> rusqlite::Result<()> {
    let shared = Arc::clone(shared);
    writer.wal_hook(Some(move |_: &mut Wal, pages: i32| {
        shared.set_log_length(u32::try_from(pages).unwrap_or_default());
        Ok(())
    }))
}

/// What the writer does about the log between two batches.
pub(super) fn tend(shared: &Shared, connection: &Connection, checkpointer: &dyn Lane) {
    // Looking takes no lock and reads no file, but a statement.
    if !shared.is_log_long() {
        return;
    }
    let Ok(log) = sqlite::checkpoint(connection, Checkpoint::Look) else { return };
    if log.pages < shared.log_pages {
        return;
    }
    if shared.is_copied() {
        // Whoever waits for the log to start over waits for the end of the backup.
        if log.rest() > shared.log_pages && shared.request_checkpoint() {
            checkpointer.poke();
        }
    } else if log.pages >= shared.restart_from() {
        restart(shared, connection);
    } else if log.rest() <= shared.log_pages / FINISH_SHARE {
        run(shared, connection, Checkpoint::Passive);
    } else if shared.request_checkpoint() {
        checkpointer.poke();
    }
}

/// Lets the log start over, if nobody reads it for long.
fn restart(shared: &Shared, connection: &Connection) {
    // Another process may read for minutes, and every commit would wait as long as this does.
    let waits = connection.busy_timeout(RESTART_WAIT);
    if waits.is_ok() {
        run(shared, connection, Checkpoint::Restart);
    }
    if connection.busy_timeout(sqlite::BUSY_TIMEOUT).is_err() {
        tracing::warn!("a connection's patience could not be set");
    }
    let length = sqlite::checkpoint(connection, Checkpoint::Look).map_or(0, |log| log.pages);
    shared.set_restart_from(length);
}

/// Runs one checkpoint and gives the pages that are left; 0 if it failed, because trying again at
/// once is of no use.
pub(super) fn run(shared: &Shared, connection: &Connection, mode: Checkpoint) -> u32 {
    if shared.stopped().is_some() {
        return 0;
    }
    shared.host.report(|| Event::Checkpointing { shard: shared.index });
    match sqlite::checkpoint(connection, mode) {
        Ok(log) if log.busy => 0,
        Ok(log) => log.rest(),
        Err(cause) => {
            let error = shared.place.error(&cause, "copying the log of");
            match Fault::of(&cause) {
                // The kernel forgets the pages of a failed sync, so the next checkpoint would
                // believe that they are on disk and let go of the only copy.
                Fault::Unsynced | Fault::Damaged => drop(shared.stop(error)),
                // Everything is still in the log; the next request copies it again.
                Fault::Full | Fault::Failed | Fault::Row => {
                    tracing::warn!(%error, "the write-ahead log was not copied");
                }
            }
            0
        }
    }
}
