//! One shard: a database with one writer lane, a few reader lanes and a checkpointer lane, and the
//! queues before them.

mod reads;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::batch::Item;
use super::checkpoint::{Checkpointer, follow_log};
use super::history::Sweep;
use super::jobs::Job;
use super::notices::Heard;
use super::numbers::{CommitSeq, Epoch, ObjectNo};
use super::outbox::{Answer as SendAnswer, Chore as SendChore};
use super::quarantines::Chore;
use super::reader::{ReadConnection, Reader};
use super::rows::quarantine;
use super::rows::schema;
use super::shared::{DirectoryLock, Shared, closed, readers_of};
use super::sqlite::{Place, Role};
use super::write_set::{Fence, Release, WriteSet};
use super::writer::Writer;
use crate::error::{Code, Error};
use crate::host::{Host, Lane};
use crate::id::ObjectId;
use crate::kernel::alarm::Kind;
use crate::kernel::history::Bounds;
use crate::kernel::lifecycle::Class;
use crate::kernel::reads::ReadPath;
use crate::time::WallMs;

/// What a shard's file said when it was opened.
pub(super) struct Opened {
    pub(super) index: u16,
    pub(super) place: Place,
    pub(super) connection: Connection,
    pub(super) classes: Vec<Class>,
    pub(super) schemas: schema::Known,
    /// The highest number in use.
    pub(super) highest: ObjectNo,
    /// Number of this boot.
    pub(super) boot: u64,
    /// Whether any alarm is set, and any schedule.
    pub(super) has_alarms: [bool; 2],
    /// How many sends wait.
    pub(super) outbox: u64,
    /// Whether it holds anything of the past of its objects.
    pub(super) has_past: bool,
    pub(super) quarantines: Vec<quarantine::Found>,
}

/// What the shards of a store are started with.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) log_pages: u32,
    pub(super) bounds: Bounds,
    /// Rung when the first row of a past comes.
    pub(super) bell: Arc<Notify>,
}

/// One shard of the store.
pub(crate) struct Shard {
    shared: Arc<Shared>,
    writer: Arc<dyn Lane>,
    readers: Vec<Arc<dyn Lane>>,
    read_connections: Vec<Arc<ReadConnection>>,
    read_path: Mutex<ReadPath>,
    checkpointer: Arc<dyn Lane>,
    epoch: AtomicU64,
    /// By kind.
    has_alarms: [bool; 3],
}

impl Shard {
    /// Starts the lanes of a shard whose file is ready.
    pub(super) fn start(
        host: &Host,
        opened: Opened,
        lock: &Arc<DirectoryLock>,
        settings: &Settings,
    ) -> Result<Shard, Error> {
        let Opened { index, place, mut connection, highest, boot, has_past, .. } = opened;
        let (outbox, [has_alarm, has_schedule]) = (opened.outbox, opened.has_alarms);
        let Settings { log_pages, bounds, bell } = settings.clone();
        let sweep = Sweep::new(bounds, !has_past, bell);
        let shared = Arc::new(Shared::new(host, (index, log_pages), place, highest, sweep));
        shared.count_sends(outbox.cast_signed());
        follow_log(&shared, &mut connection)
            .map_err(|cause| shared.place.error(&cause, "opening"))?;
        let open =
            |role| shared.place.open(role).map_err(|cause| shared.place.error(&cause, "opening"));
        let start = |name: &str, work| {
            host.lanes.start(&format!("{name}-{index:03}"), work).map_err(|cause| {
                let text = format!(
                    "a thread for shard {index} cannot be started: {cause}; raise the limit"
                );
                Code::StorageFailed.error(text).with_source(cause)
            })
        };
        let work = Checkpointer::new(shared.clone(), lock.clone());
        let checkpointer = start("checkpoint", Box::new(work))?;
        let count = readers_of(host);
        let mut read_connections = Vec::with_capacity(count);
        let mut readers = Vec::with_capacity(count);
        for reader in 0..count {
            let connection = ReadConnection::new(shared.clone(), open(Role::Reader)?, lock.clone());
            read_connections.push(connection.clone());
            readers.push(start("read", Box::new(Reader::new(connection, reader)))?);
        }
        let work = Writer::new(shared.clone(), connection, checkpointer.clone(), lock.clone());
        let writer = start("write", Box::new(work))?;
        let epoch = AtomicU64::new(Epoch::of_boot(boot).0);
        Ok(Shard {
            shared,
            writer,
            readers,
            checkpointer,
            epoch,
            read_connections,
            read_path: Mutex::default(),
            has_alarms: [has_alarm, has_schedule, outbox > 0],
        })
    }

    /// Whether anything of the past of its objects may be stored.
    pub(crate) fn has_past(&self) -> bool {
        !self.shared.sweep.is_empty()
    }

    /// Takes away what is too old, or too much, of the past of all objects. Gives when the oldest that is left falls due;
    /// `None`: nothing is left.
    pub(crate) fn sweep(
        &self,
    ) -> impl Future<Output = Result<Option<WallMs>, Error>> + Send + 'static + use<> {
        // One that has stopped takes no more writes.
        let is_needed = self.has_past() && self.shared.stopped().is_none();
        let asked = is_needed.then(|| self.shared.sweep.ask());
        if asked.is_some() {
            self.writer.poke();
        }
        async move {
            match asked {
                Some(swept) => swept.await.unwrap_or_else(|_| Err(closed())),
                None => Ok(None),
            }
        }
    }

    /// A number that no object has, for one that is about to be stored.
    pub(crate) fn new_object_no(&self) -> ObjectNo {
        self.shared.next_object_no()
    }

    /// Whether one was set when the file was opened.
    pub(crate) fn has_alarms(&self, kind: Kind) -> bool {
        self.has_alarms[kind as usize]
    }

    /// From here on it is remembered what durable commits do to alarms and schedules.
    pub(crate) fn listen_to_alarms(&self) {
        self.shared.alarms.listen();
    }

    /// What durable commits have done to alarms and schedules since this was asked last. `waker`: woken when there is more.
    pub(crate) fn take_notices(&self, waker: &Waker) -> Heard {
        self.shared.alarms.take(waker)
    }

    /// Has something done about a quarantine. It is durable when the future ends; it is done if that is dropped, too.
    pub(crate) fn tend_quarantine(
        &self,
        chore: Chore,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        self.shared.quarantines.push((chore, answer));
        self.writer.poke();
        async move { answered.await.unwrap_or_else(|_| Err(closed())) }
    }

    /// What waits because its object did not run is fired anew: its alarm and its schedules.
    pub(crate) fn remind(&self, id: ObjectId) -> Result<(), Error> {
        for (kind, found) in
            self.read_here(|connection, patience| connection.wakes(&id, patience))?
        {
            self.shared.alarms.remind(kind, found);
        }
        Ok(())
    }

    /// An object may run again, of whatever shard: sends to it that wait here leave.
    pub(crate) fn release_sends(&self, target: ObjectId) {
        self.shared.alarms.release(target);
    }

    /// Has something done about sends. `answer` is called by the writer, when it is durable, and dropped if nobody writes.
    pub(crate) fn tend_send(&self, chore: SendChore, answer: SendAnswer) {
        self.shared.sends.push((chore, answer));
        self.writer.poke();
    }

    /// As [`tend_send`](Self::tend_send), for somebody who waits. Gives whether there was something to do about.
    pub(crate) fn tended_send(
        &self,
        chore: SendChore,
    ) -> impl Future<Output = Result<bool, Error>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        self.tend_send(
            chore,
            Box::new(|done| {
                // Whoever no longer waits does not need to be told.
                let _ = answer.send(done);
            }),
        );
        async move {
            let gone = || closed().with_outcome(crate::error::Outcome::Unknown);
            answered.await.unwrap_or_else(|_| Err(gone()))
        }
    }

    /// How many sends wait.
    pub(crate) fn outbox(&self) -> u64 {
        self.shared.outbox()
    }

    /// Why the shard takes nothing any more. `None`: it works.
    pub(crate) fn stopped(&self) -> Option<&Error> {
        self.shared.stopped()
    }

    /// The epoch of a new activation: higher than all before, also those of earlier processes, at
    /// the cost of one atomic.
    pub(crate) fn next_epoch(&self) -> Epoch {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let count = epoch & ((1 << Epoch::COUNT_BITS) - 1);
        assert!(count != 0, "a process has fewer than 2^{} activations", Epoch::COUNT_BITS);
        Epoch(epoch)
    }

    /// Hands over a turn's changes; the release tells the outcome. Never blocks and never fails.
    pub(crate) fn submit(&self, write: WriteSet) -> CommitSeq {
        assert!(write.commit_no > 0, "commits of an object are counted from 1");
        assert!(
            write.commit_no > 1 || write.snapshot.is_some() || write.erases,
            "a first commit has a state"
        );
        let (seq, late) = self.shared.queue_write(write);
        self.handed_over(late);
        seq
    }

    /// Releases when everything that was submitted before is settled: `Ok` if all of the fence's
    /// commits were stored.
    pub(crate) fn release_after(&self, fence: &Arc<Fence>, release: Arc<dyn Release>) {
        let late = self.shared.queue_barrier(fence, release);
        self.handed_over(late);
    }

    /// The watermark: every commit up to this place is settled and was released. One that failed
    /// has broken its fence before the watermark passed it, so look at the watermark first and at
    /// the fence second.
    pub(crate) fn durable(&self) -> CommitSeq {
        self.shared.durable()
    }

    /// Whether so many bytes wait for the disk that an activation should let its commits settle before it goes on.
    pub(crate) fn is_heavy(&self) -> bool {
        self.shared.is_heavy()
    }

    /// Whether it takes nothing more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.shared.stopped().is_some()
    }

    /// Finishes what waits, ends the lanes, and leaves a file without a log. A second call does
    /// nothing.
    pub(super) fn close(&self) {
        self.readers.iter().for_each(|reader| reader.stop());
        self.checkpointer.stop();
        // The last one to let go of the file, so that it can leave it without a log.
        self.writer.stop();
    }

    fn ask(&self, job: Job) {
        if let Some(reader) = self.shared.jobs.push(job) {
            self.readers[reader].poke();
        }
    }

    /// What its lanes share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Which of the directory's shards it is.
    pub(crate) fn index(&self) -> u16 {
        self.shared.index
    }

    /// Wakes the writer, or fails what came after its end.
    fn handed_over(&self, late: Option<Item>) {
        match late {
            None => self.writer.poke(),
            Some(item) => {
                let stopped = self.shared.stopped().cloned();
                let error = stopped.unwrap_or_else(closed);
                item.fail(&error.with_outcome(crate::error::Outcome::RolledBack));
            }
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("path", &self.shared.place.path).finish_non_exhaustive()
    }
}
