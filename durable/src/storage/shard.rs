//! One shard: a database with one writer lane, a few reader lanes and a checkpointer lane, and the
//! queues before them.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::batch::Item;
use super::checkpoint::{Checkpointer, follow_log};
use super::history::Sweep;
use super::jobs::{Job, Page};
use super::notices::Heard;
use super::numbers::{ClassNo, CommitSeq, Epoch, ObjectNo};
use super::outbox::{Answer as SendAnswer, Chore as SendChore};
use super::quarantines::Chore;
use super::reader::{Patience, ReadConnection, Reader};
use super::rows::alarm::StoredAlarm;
use super::rows::dead_letter::StoredLetter;
use super::rows::kin::{self, Kin};
use super::rows::outbox::StoredSend;
use super::rows::quarantine;
use super::rows::result::StoredResults;
use super::rows::schedule::StoredSchedules;
use super::rows::schema;
use super::rows::sql::{PageError, StoredSql};
use super::shared::{DirectoryLock, Shared, closed, readers_of};
use super::sqlite::{Place, Role};
use super::stored::{After, KvAsk, KvRows, Listed, Loaded};
use super::write_set::{Fence, Release, WriteSet};
use super::writer::Writer;
use crate::error::{Code, Error};
use crate::host::{Host, Lane};
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Kind, Place as AlarmPlace};
use crate::kernel::history::Bounds;
use crate::kernel::lifecycle::Class;
use crate::kernel::reads::ReadPath;
use crate::limits::{KV_KEYS_AT_ONCE_MAX, LIST_PAGE_MAX};
use crate::send::SendId;
use crate::sql::Page as SqlPage;
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

    /// Reads what is stored of an object. It sees every commit whose place the watermark had passed
    /// when it was asked.
    ///
    /// The read is under way when this returns; dropping the future only drops the answer.
    pub(crate) fn load(
        &self,
        id: &ObjectId,
        class_no: ClassNo,
    ) -> impl Future<Output = Result<Loaded, Error>> + Send + 'static + use<> {
        let loaded = self.read_at_once(|connection| connection.try_load(id, class_no));
        self.or_ask(loaded, |answer| Job::Load { id: *id, class_no, answer }).end()
    }

    /// Reads what is stored under an object's keys, as [`load`](Self::load) does.
    pub(crate) fn read_kv(
        &self,
        object_no: ObjectNo,
        ask: KvAsk,
    ) -> impl Future<Output = Result<KvRows, Error>> + Send + 'static + use<> {
        let is_long = match &ask {
            KvAsk::Values(keys) | KvAsk::Keys(keys) => keys.len() > KV_KEYS_AT_ONCE_MAX,
            KvAsk::Page { .. } => false,
        };
        let read = if is_long {
            None
        } else {
            self.read_at_once(|connection| connection.try_kv(object_no, &ask))
        };
        self.or_ask(read, |answer| Job::Kv { object_no, ask, answer }).end()
    }

    /// Reads what is stored of an object's database, without its pages, on the caller's thread. It sees every commit whose
    /// place the watermark has passed.
    pub(crate) fn read_sql(
        &self,
        object_no: ObjectNo,
    ) -> Result<Result<StoredSql, PageError>, Error> {
        self.read_here(|connection, patience| connection.sql(object_no, patience))
    }

    /// Reads a stored page of an object's database, as [`read_sql`](Self::read_sql) does.
    pub(crate) fn read_sql_page(
        &self,
        object_no: ObjectNo,
        number: u32,
    ) -> Result<Result<SqlPage, PageError>, Error> {
        self.read_here(|connection, patience| connection.sql_page(object_no, number, patience))
    }

    /// Reads on the caller's thread: through a connection that is free, or through the first one when it is.
    fn read_here<T>(
        &self,
        read: impl Fn(&ReadConnection, Patience) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let free = self.read_connections.iter().find_map(|free| read(free, Patience::None));
        let first = || read(&self.read_connections[0], Patience::Wait);
        free.or_else(first).unwrap_or_else(|| Err(closed()))
    }

    /// What was read at once, or what a lane is asked for.
    fn or_ask<T>(
        &self,
        read: Option<Result<T, Error>>,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job,
    ) -> Reading<T> {
        read.map_or_else(
            || {
                let (answer, answered) = oneshot::channel();
                self.ask(job(answer));
                Reading::Asked(answered)
            },
            Reading::Done,
        )
    }

    /// Reads on the caller's thread, if reads have been quick and a connection is free.
    fn read_at_once<T>(&self, read: impl FnMut(&Arc<ReadConnection>) -> Option<T>) -> Option<T> {
        let path = || self.read_path.lock().unwrap_or_else(PoisonError::into_inner);
        if !path().is_at_once() {
            return None;
        }
        let begun = self.shared.host.clock.now();
        let read = self.read_connections.iter().find_map(read);
        path().on_read(self.shared.host.clock.now() - begun);
        read
    }

    /// Reads whatever `read` reads, in one moment, on a reader lane. It sees every commit whose place the watermark had
    /// passed when it was asked.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Other(Box::new(move |reads| {
            // Whoever no longer waits does not need to be told.
            let _ = answer.send(reads.read(read));
        })));
        answered.await.unwrap_or_else(|_| Err(closed()))
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

    /// Stored children of an object in the order of their ids, at most `limit`, behind one of them.
    pub(crate) fn children(
        &self,
        parent: ObjectId,
        after: Option<ObjectId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Kin>, Error>> + Send + use<'_> {
        self.read(move |connection| kin::children(connection, &parent, after.as_ref(), limit))
    }

    /// Whether anything is stored below an object.
    pub(crate) fn has_kin(
        &self,
        ancestor: ObjectId,
    ) -> impl Future<Output = Result<bool, Error>> + Send + use<'_> {
        self.read(move |connection| {
            let is_bare = kin::below(connection, &ancestor)?.is_empty()
                && quarantine::below(connection, &ancestor)?.is_empty();
            Ok(!is_bare)
        })
    }

    /// One page of the stored objects of a class, at most `limit` of those whose names begin with
    /// `prefix`.
    pub(crate) fn list(
        &self,
        class_no: ClassNo,
        prefix: Arc<str>,
        after: Option<After>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, Error>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        let page = Page { class_no, prefix, after, limit: limit.min(LIST_PAGE_MAX) };
        self.ask(Job::List { page, answer });
        async move { answered.await.unwrap_or_else(|_| Err(closed())) }
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

    /// Objects in the order in which their alarms, or their first schedules, are due, and whether there are no more. It sees
    /// every commit that a notice was taken of.
    pub(crate) fn read_alarms(
        &self,
        kind: Kind,
        after: Option<AlarmPlace>,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<Alarmed>, bool), Error>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Alarms { kind, after, limit, answer });
        async move { answered.await.unwrap_or_else(|_| Err(closed())) }
    }

    /// The alarm that is stored of an object, read on the caller's thread.
    pub(crate) fn read_alarm(&self, id: &ObjectId) -> Result<Option<StoredAlarm>, Error> {
        self.read_here(|connection, patience| connection.alarm(id, patience))
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

    /// Quarantined objects, of one class if one is named, in the order of their ids.
    pub(crate) async fn read_quarantines(
        &self,
        class_no: Option<ClassNo>,
        after: Option<ObjectId>,
        limit: usize,
    ) -> Result<Vec<quarantine::Found>, Error> {
        // What came of earlier calls is to be seen; what cannot be stored is told to whom it concerns.
        let _ = self.tend_quarantine(Chore::Nothing).await;
        self.read(move |connection| quarantine::list(connection, class_no, after, limit)).await
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

    /// The schedules that are stored of an object, read on the caller's thread. `None`: it has none.
    pub(crate) fn read_schedules(&self, id: &ObjectId) -> Result<Option<StoredSchedules>, Error> {
        self.read_here(|connection, patience| connection.schedules(id, patience))
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

    /// A send that waits, with at most `limit` in all of its pair that wait behind it, and about so many bytes of them, read on
    /// the caller's thread. Empty: it does not wait.
    pub(crate) fn read_sends(
        &self,
        first: i64,
        limits: (usize, usize),
    ) -> Result<Vec<StoredSend>, Error> {
        self.read_here(|connection, patience| connection.sends((first, limits), patience))
    }

    /// Whether a send waits in this shard, read on the caller's thread.
    pub(crate) fn has_send(&self, id: SendId) -> Result<bool, Error> {
        self.read_here(|connection, patience| connection.has_send(id, patience))
    }

    /// Whether a send has been received by an object of this shard, read on the caller's thread.
    pub(crate) fn has_received(&self, id: SendId) -> Result<bool, Error> {
        self.read_here(|connection, patience| connection.has_received(id, patience))
    }

    /// Which results an object keeps, read on the caller's thread.
    pub(crate) fn read_results(&self, object_no: ObjectNo) -> Result<StoredResults, Error> {
        self.read_here(|connection, patience| connection.results(object_no, patience))
    }

    /// A sealed chunk of them, read on the caller's thread. `None`: there is none of that number.
    pub(crate) fn read_results_chunk(
        &self,
        object_no: ObjectNo,
        number: u64,
    ) -> Result<Option<Arc<[u8]>>, Error> {
        self.read_here(|connection, patience| {
            connection.results_chunk((object_no, number), patience)
        })
    }

    /// One dead letter, read on the caller's thread.
    pub(crate) fn read_letter(&self, letter_no: i64) -> Result<Option<StoredLetter>, Error> {
        self.read_here(|connection, patience| connection.letter(letter_no, patience))
    }

    /// Dead letters after one number, in the order of their numbers.
    pub(crate) fn read_letters(
        &self,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StoredLetter>, Error>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Letters { after, limit, answer });
        async move { answered.await.unwrap_or_else(|_| Err(closed())) }
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

/// A read that is under way.
enum Reading<T> {
    Done(Result<T, Error>),
    Asked(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Reading<T> {
    async fn end(self) -> Result<T, Error> {
        match self {
            Reading::Done(read) => read,
            Reading::Asked(answered) => answered.await.unwrap_or_else(|_| Err(closed())),
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
