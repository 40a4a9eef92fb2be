//! The backup of an open data directory: a lane of its own, that is started for it and ends with it.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::InterruptHandle;
use tokio::sync::oneshot;

use super::copy::Copier;
use super::manifest::Manifest;
use super::shared::{DirectoryLock, Shared, closed};
use super::sqlite::Role;
use super::store::Store;
use crate::error::{Code, Error, Outcome};
use crate::host::{Event, Host, Lane, LaneWork, Step};
use crate::inspection::Backup;

/// The backup that is under way, if there is one.
#[derive(Default)]
pub(super) struct BackupSlot(Mutex<Option<Running>>);

struct Running {
    task: Arc<Task>,
    lane: Arc<dyn Lane>,
}

/// What a backup and those who want it, or its end, share.
#[derive(Default)]
struct Task {
    /// Nobody wants it any more.
    is_cut: AtomicBool,
    is_over: AtomicBool,
    /// Of the connection that is read. `None`: none is.
    interrupt: Mutex<Option<InterruptHandle>>,
}

impl Task {
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        if let Some(interrupt) = &*lock(&self.interrupt) {
            interrupt.interrupt();
        }
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

impl BackupSlot {
    /// Cuts the backup off and waits until it has let go of everything.
    pub(super) fn close(&self) {
        let running = lock(&self.0).take();
        if let Some(Running { task, lane }) = running {
            task.cut();
            lane.stop();
        }
    }
}

impl fmt::Debug for BackupSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupSlot").finish_non_exhaustive()
    }
}

impl Store {
    /// Copies the directory to `to` while everything goes on. Dropping the future cuts the copy off.
    ///
    /// # Errors
    /// `backup.running`, `runtime.closed`, and those of [`Copier`].
    pub(crate) async fn backup(&self, to: PathBuf) -> Result<Backup, Error> {
        let (wanted, answered) = self.start_backup(to)?;
        let made = answered.await.unwrap_or_else(|_| Err(closed()));
        // It has nothing left to do, so this waits for nothing but the end of its thread.
        wanted.lane.stop();
        made
    }

    fn start_backup(&self, to: PathBuf) -> Result<(Wanted, Answered), Error> {
        let directory = lock(&self.lock).clone().ok_or_else(closed)?;
        let mut slot = lock(&self.backup.0);
        if let Some(running) = &*slot
            && !running.task.is_over.load(Ordering::Acquire)
        {
            return Err(Code::BackupRunning
                .error("a backup of this runtime is under way; begin another when it has ended"));
        }
        let (answer, answered) = oneshot::channel();
        let task = Arc::new(Task::default());
        let shards: Vec<_> = self.shards().iter().map(|shard| shard.shared().clone()).collect();
        let host = shards.first().expect("there is a shard").host.clone();
        let count = u16::try_from(shards.len()).expect("shards are counted in 16 bits");
        let manifest = Manifest { id_key: *self.id_key(), shards: count };
        let stage = Stage::Wanted { manifest, to };
        let answer = Some(answer);
        let work = Work { host, shards, stage, task: task.clone(), answer, _lock: directory };
        let host = work.host.clone();
        let lane = host.lanes.start("backup", Box::new(work)).map_err(|cause| {
            let text =
                format!("a thread for the backup cannot be started: {cause}; raise the limit");
            Code::StorageFailed.error(text).with_source(cause).with_outcome(Outcome::NotStarted)
        })?;
        *slot = Some(Running { task: task.clone(), lane: lane.clone() });
        Ok((Wanted { task, lane }, answered))
    }
}

type Answered = oneshot::Receiver<Result<Backup, Error>>;

/// Held by whoever waits for a backup.
struct Wanted {
    task: Arc<Task>,
    lane: Arc<dyn Lane>,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.task.cut();
    }
}

/// The work of the lane.
struct Work {
    host: Host,
    shards: Vec<Arc<Shared>>,
    stage: Stage,
    task: Arc<Task>,
    /// `None`: the answer was given.
    answer: Option<oneshot::Sender<Result<Backup, Error>>>,
    /// Let go when nothing is read any more.
    _lock: Arc<DirectoryLock>,
}

enum Stage {
    Wanted { manifest: Manifest, to: PathBuf },
    Copying(Copier),
    Over,
}

impl Work {
    /// One shard, or what comes before and after them. `None`: there is more to do.
    fn advance(&mut self) -> Option<Result<Backup, Error>> {
        if self.task.is_cut() {
            return Some(Err(closed()));
        }
        let stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return Some(Err(closed())),
            Stage::Wanted { manifest, to } => Copier::begin(&self.host, manifest, &to),
            Stage::Copying(mut copier) => match copier.next() {
                None => return Some(copier.finish()),
                Some(index) => self.copy(&mut copier, index).map(|()| copier),
            },
        };
        match stage {
            Ok(copier) => {
                self.stage = Stage::Copying(copier);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn copy(&self, copier: &mut Copier, index: u16) -> Result<(), Error> {
        let shared = &self.shards[usize::from(index)];
        if let Some(error) = shared.stopped() {
            return Err(error.clone().with_outcome(Outcome::NotStarted));
        }
        self.host.report(|| Event::Copying { shard: index });
        let place = &shared.place;
        let opened = place.open(Role::Reader);
        let connection = opened.map_err(|cause| place.error(&cause, "opening"))?;
        *lock(&self.task.interrupt) = Some(connection.get_interrupt_handle());
        let _copied = Copied::new(shared);
        let copied = copier.copy(place, &connection);
        *lock(&self.task.interrupt) = None;
        copied
    }

    fn end(&mut self, made: Result<Backup, Error>) {
        // The target's lock first: whoever is answered may use the target.
        self.stage = Stage::Over;
        self.task.is_over.store(true, Ordering::Release);
        if let Some(answer) = self.answer.take() {
            // Nobody may wait any more.
            let _ = answer.send(made);
        }
    }
}

impl LaneWork for Work {
    fn step(&mut self) -> Step {
        if self.answer.is_none() {
            return Step::Idle;
        }
        if let Some(made) = self.advance() {
            self.end(made);
        }
        Step::Again
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.end(Err(closed()));
    }
}

/// While it lives, the shard's log is not waited for.
struct Copied<'s>(&'s Shared);

impl<'s> Copied<'s> {
    fn new(shared: &'s Shared) -> Self {
        shared.set_copied(true);
        Copied(shared)
    }
}

impl Drop for Copied<'_> {
    fn drop(&mut self) {
        self.0.set_copied(false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
