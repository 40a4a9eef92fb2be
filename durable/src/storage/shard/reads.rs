//! What a shard is asked for: on the caller's thread where that is quick, on a reader lane otherwise.

use std::future::Future;
use std::sync::{Arc, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shard;
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Kind, Place as AlarmPlace};
use crate::limits::{KV_KEYS_AT_ONCE_MAX, LIST_PAGE_MAX};
use crate::send::SendId;
use crate::sql::Page as SqlPage;
use crate::storage::jobs::{Job, Page};
use crate::storage::numbers::{ClassNo, ObjectNo};
use crate::storage::quarantines::Chore;
use crate::storage::reader::{Patience, ReadConnection};
use crate::storage::rows::alarm::StoredAlarm;
use crate::storage::rows::dead_letter::StoredLetter;
use crate::storage::rows::kin::{self, Kin};
use crate::storage::rows::outbox::StoredSend;
use crate::storage::rows::quarantine;
use crate::storage::rows::result::StoredResults;
use crate::storage::rows::schedule::StoredSchedules;
use crate::storage::rows::sql::{PageError, StoredSql};
use crate::storage::shared::closed;
use crate::storage::stored::{After, KvAsk, KvRows, Listed, Loaded};

impl Shard {
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
    pub(super) fn read_here<T>(
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
    pub(in crate::storage) async fn read<T: Send + 'static>(
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

    /// The schedules that are stored of an object, read on the caller's thread. `None`: it has none.
    pub(crate) fn read_schedules(&self, id: &ObjectId) -> Result<Option<StoredSchedules>, Error> {
        self.read_here(|connection, patience| connection.schedules(id, patience))
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
