//! What a turn hands to its shard: what it changed, and what may happen once that is durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::numbers::{ClassNo, CommitSeq, Epoch, ObjectNo};
use crate::due::Alarm;
use crate::error::Error;
use crate::history::Cause;
use crate::id::{Lineage, ObjectId, Placement};
use crate::kv::KvChange;
use crate::send::{NewSend, SendId, SendsView};
use crate::storage::rows::dead_letter::NewLetter;
use crate::storage::rows::result::ResultWrite;
use crate::storage::rows::schedule::SchedulesRow;
use crate::storage::rows::sql::SqlWrite;

/// What one turn changed; stored as a whole or not at all.
pub(crate) struct WriteSet {
    /// The fence of the activation that the turn ran in.
    pub(crate) fence: Arc<Fence>,
    /// As [`Loaded`](super::Loaded) said.
    pub(crate) object_no: ObjectNo,
    /// Number of this commit in its object, 1 for the first. It is stored only over the commit
    /// before it.
    pub(crate) commit_no: u64,
    /// Present until the object is known to be stored, or if its name became known. `None`: nothing
    /// new.
    pub(crate) birth: Option<Box<Birth>>,
    /// The object's whole state, as a [frame](super::frame). `None`: it is what the commit before left; a first commit
    /// always has one.
    pub(crate) snapshot: Option<Arc<[u8]>>,
    /// What was done to the object's KV, each key once. Empty: nothing.
    pub(crate) kv: Vec<KvChange>,
    /// What was done to the object's database. `None`: nothing.
    pub(crate) sql: Option<Box<SqlWrite>>,
    /// What became of the object's alarm. `None`: nothing.
    pub(crate) alarm: Option<Box<AlarmWrite>>,
    /// What became of the object's schedules. `None`: nothing.
    pub(crate) schedules: Option<Box<ScheduleWrite>>,
    /// What it did about sends. `None`: nothing.
    pub(crate) sends: Option<Box<SendWrite>>,
    /// What is kept of the call's result. `None`: nothing.
    pub(crate) result: Option<Arc<ResultWrite>>,
    /// Nothing of the object is left; it is the last write set of its activation.
    pub(crate) erases: bool,
    /// Why the object commits. `None`: its class keeps no history.
    pub(crate) history: Option<Cause>,
    /// Runs when the outcome is known. `None`: nobody waits.
    pub(crate) release: Option<Arc<dyn Release>>,
}

impl WriteSet {
    /// How much of what waits it is.
    pub(super) fn bytes(&self) -> usize {
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.len());
        let sql = self.sql.as_ref().map_or(0, |sql| sql.bytes());
        let letter = self.alarm.as_ref().and_then(|alarm| alarm.letter.as_ref());
        let letter = letter.map_or(0, NewLetter::bytes);
        let schedules = self.schedules.as_ref().map_or(0, |schedules| schedules.bytes());
        let sends = self.sends.as_ref().map_or(0, |sends| sends.bytes());
        let result = self.result.as_ref().map_or(0, |result| result.bytes());
        snapshot
            + sql
            + letter
            + schedules
            + sends
            + result
            + self.kv.iter().map(KvChange::bytes).sum::<usize>()
    }
}

/// What a turn did to its object's alarm.
#[derive(Clone, Debug)]
pub(crate) struct AlarmWrite {
    /// Whose it is, for those who hear of it once it is durable.
    pub(crate) id: ObjectId,
    pub(crate) class_no: ClassNo,
    /// The alarm that is set from here on. `None`: none is.
    pub(crate) alarm: Option<Alarm>,
    /// What the alarm has become that was set before. `None`: no dead letter.
    pub(crate) letter: Option<NewLetter>,
    /// The object's dead letter that is gone from here on. `None`: all stay.
    pub(crate) removed: Option<i64>,
}

/// What a turn did to its object's schedules.
#[derive(Clone, Debug)]
pub(crate) struct ScheduleWrite {
    /// Whose they are, for those who hear of it once it is durable.
    pub(crate) id: ObjectId,
    pub(crate) class_no: ClassNo,
    /// All that are set from here on. `None`: none is.
    pub(crate) row: Option<SchedulesRow>,
    /// What a run has become that has failed. `None`: no dead letter.
    pub(crate) letter: Option<NewLetter>,
    /// The object's dead letter that is gone from here on. `None`: all stay.
    pub(crate) removed: Option<i64>,
}

impl ScheduleWrite {
    fn bytes(&self) -> usize {
        let row = self.row.as_ref().map_or(0, |row| row.body.len());
        row + self.letter.as_ref().map_or(0, NewLetter::bytes)
    }
}

/// What a turn did about sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SendWrite {
    /// In the order in which they were made.
    pub(crate) made: Vec<NewSend>,
    /// Those that it takes back, as far as they wait.
    pub(crate) taken_back: Vec<SendId>,
    /// The one whose effect the turn is. `None`: it is no send's.
    pub(crate) received: Option<SendId>,
    /// What that has become instead, which has failed too often. `None`: no dead letter.
    pub(crate) letter: Option<NewLetter>,
}

impl SendWrite {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        let SendWrite { made, taken_back, received, letter } = self;
        made.is_empty() && taken_back.is_empty() && received.is_none() && letter.is_none()
    }

    /// As one who watches sees it. `None`: there is nothing.
    pub(crate) fn view(&self) -> Option<SendsView> {
        let SendWrite { made, taken_back, received, .. } = self;
        let (made, taken_back) = (made.iter().map(NewSend::view).collect(), taken_back.clone());
        (!self.is_empty()).then_some(SendsView { made, taken_back, received: *received })
    }

    fn bytes(&self) -> usize {
        let made: usize = self.made.iter().map(|send| send.body.len()).sum();
        made + self.letter.as_ref().map_or(0, NewLetter::bytes)
    }
}

/// Who an object is, stored with its first commit.
#[derive(Clone, Debug)]
pub(crate) struct Birth {
    pub(crate) id: ObjectId,
    pub(crate) class_no: ClassNo,
    /// `None`: only its id is known.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) placement: Placement,
    /// `None`: it has no parent.
    pub(crate) lineage: Option<Lineage>,
}

/// Ties the commits of one activation together: once one has failed, all later ones fail with the
/// same error.
///
/// The activation's memory holds what the failed commit would have stored, so nothing that is built
/// on it may be stored or shown.
#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) epoch: Epoch,
    /// Empty: every commit so far was stored, or is still on its way.
    pub(crate) broken: OnceLock<Error>,
    /// Place of the activation's newest commit; 0: none yet.
    submitted: AtomicU64,
    /// The object's newest row of the log, as the writer has stored it for this activation, so that it need not look.
    /// [`UNKNOWN`]: it has stored none.
    log_end: AtomicU64,
}

/// Stands for an end of the log that was not looked at.
const UNKNOWN: u64 = u64::MAX;

impl Fence {
    /// `epoch`: one of [`Shard::next_epoch`](super::Shard::next_epoch).
    pub(crate) fn new(epoch: Epoch) -> Arc<Self> {
        Arc::new(Fence {
            epoch,
            broken: OnceLock::new(),
            submitted: AtomicU64::new(0),
            log_end: AtomicU64::new(UNKNOWN),
        })
    }

    /// The error that every commit fails with from here on, if there is one.
    ///
    /// A reader that finds its commit below the watermark asks this afterwards: the watermark also
    /// passes failed commits, but only after their fences broke.
    pub(crate) fn broken(&self) -> Option<&Error> {
        self.broken.get()
    }

    /// Place of the activation's newest commit.
    pub(crate) fn submitted(&self) -> CommitSeq {
        CommitSeq(self.submitted.load(Ordering::Acquire))
    }

    /// The activation's newest commit has this place.
    pub(super) fn set_submitted(&self, seq: CommitSeq) {
        self.submitted.store(seq.0, Ordering::Release);
    }

    /// The object's newest row of the log. `None`: the writer has stored none for this activation.
    pub(super) fn log_end(&self) -> Option<u64> {
        Some(self.log_end.load(Ordering::Relaxed)).filter(|end| *end != UNKNOWN)
    }

    /// The writer has stored this row of the log, or is about to: if it fails, the fence breaks.
    pub(super) fn set_log_end(&self, end: u64) {
        self.log_end.store(end, Ordering::Relaxed);
    }

    /// Breaks the fence, unless it is broken already: the first failure is the cause of all others.
    pub(crate) fn break_with(&self, error: &Error) {
        self.broken.get_or_init(|| error.clone());
    }
}

/// What waits for an outcome: replies, and a read that saw a change which was not yet durable.
///
/// Runs on the writer lane with no lock held, so it must not block; a panic in it is caught and
/// costs nobody else.
pub(crate) trait Release: Send + Sync {
    /// `Ok`: this and everything of the activation before it is durable. `Err`: nothing of it may
    /// be shown.
    fn release(&self, durable: Result<(), &Error>);
}
