//! What one group commit takes, and in which order it is applied and released. It knows nothing of
//! SQLite.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::notices::Committed;
use super::numbers::{CommitSeq, ObjectNo};
use super::rows::result::ResultWrite;
use super::rows::sql::SqlWrite;
use super::write_set::{AlarmWrite, Birth, Fence, Release, ScheduleWrite, SendWrite, WriteSet};
use crate::error::Error;
use crate::history::Cause;
use crate::kv::KvChange;
use crate::limits::{BATCH_BYTES_MAX, BATCH_WRITE_SETS_MAX};

/// What waits in a shard: a write set, or a barrier that waits for those before it.
pub(super) struct Item {
    fence: Arc<Fence>,
    release: Option<Arc<dyn Release>>,
    /// `None`: a barrier.
    change: Option<Change>,
    /// Its change was not applied, because its fence is broken.
    failed: bool,
}

/// The part of a write set that is stored.
pub(super) struct Change {
    pub(super) seq: CommitSeq,
    pub(super) object_no: ObjectNo,
    pub(super) commit_no: u64,
    pub(super) birth: Option<Box<Birth>>,
    /// `None`: the state stays as it is.
    pub(super) snapshot: Option<Arc<[u8]>>,
    kv: Vec<KvChange>,
    sql: Option<Box<SqlWrite>>,
    alarm: Option<Box<AlarmWrite>>,
    schedules: Option<Box<ScheduleWrite>>,
    sends: Option<Box<SendWrite>>,
    result: Option<Arc<ResultWrite>>,
    erases: bool,
    history: Option<Cause>,
    bytes: usize,
}

impl Change {
    /// What those hear of it who fire alarms.
    pub(super) fn committed(&self) -> Committed<'_> {
        let Change { object_no, commit_no, erases, .. } = *self;
        let (alarm, schedules) = (self.alarm.as_deref(), self.schedules.as_deref());
        Committed { object_no, commit_no, alarm, schedules, erases }
    }

    /// What it did to its object's schedules, with its number.
    fn schedules(&self) -> Option<(u64, &ScheduleWrite)> {
        self.schedules.as_deref().map(|schedules| (self.commit_no, schedules))
    }

    /// What it did about sends, with its number.
    fn sends(&self) -> Option<(u64, &SendWrite)> {
        self.sends.as_deref().map(|sends| (self.commit_no, sends))
    }

    /// What it did to its object's alarm, with its number.
    fn alarm(&self) -> Option<(u64, &AlarmWrite)> {
        self.alarm.as_deref().map(|alarm| (self.commit_no, alarm))
    }
}

impl Item {
    pub(super) fn write(write: WriteSet, seq: CommitSeq) -> Self {
        let bytes = write.bytes();
        let WriteSet {
            fence,
            object_no,
            commit_no,
            birth,
            snapshot,
            kv,
            sql,
            alarm,
            schedules,
            sends,
            result,
            erases,
            history,
            release,
        } = write;
        let change = Some(Change {
            seq,
            object_no,
            commit_no,
            birth,
            snapshot,
            kv,
            sql,
            alarm,
            schedules,
            sends,
            result,
            erases,
            history,
            bytes,
        });
        Item { fence, release, change, failed: false }
    }

    pub(super) fn barrier(fence: &Arc<Fence>, release: Arc<dyn Release>) -> Self {
        Item { fence: fence.clone(), release: Some(release), change: None, failed: false }
    }

    /// Ends it without having applied it.
    pub(super) fn fail(&self, error: &Error) {
        self.fence.break_with(error);
        self.release(Err(self.fence.broken().unwrap_or(error)));
    }

    fn release(&self, durable: Result<(), &Error>) {
        if let Some(release) = &self.release {
            // One waiter's panic, reported by the panic hook, must not keep the others from their
            // outcome.
            let _ = catch_unwind(AssertUnwindSafe(|| release.release(durable)));
        }
    }
}

/// The items of one group commit.
#[derive(Default)]
pub(super) struct Batch {
    /// In the order of submission.
    items: Vec<Item>,
    /// The changes to apply, by object and then by submission: pages are then touched in the order
    /// of the file.
    order: Vec<(ObjectNo, u32)>,
}

/// Changes of one activation that follow each other in a batch. Only the last state of them is
/// stored, and the last of what was done to each key.
pub(super) struct Run<'a> {
    pub(super) fence: &'a Arc<Fence>,
    /// The commit that must be stored before; 0: none.
    pub(super) after: u64,
    pub(super) last: &'a Change,
    /// The newest state among them. `None`: the stored one stays.
    pub(super) snapshot: Option<&'a [u8]>,
    /// What was done to each key last, in the order of keys. Empty: nothing.
    pub(super) kv: Vec<&'a KvChange>,
    /// What was done to the object's database, each with its commit, in the order of commits. Empty: nothing.
    pub(super) sql: Vec<(u64, &'a SqlWrite)>,
    /// What was done to its alarm, each with its commit, in the order of commits. Empty: nothing.
    pub(super) alarms: Vec<(u64, &'a AlarmWrite)>,
    /// What was done to its schedules, each with its commit, in the order of commits. Empty: nothing.
    pub(super) schedules: Vec<(u64, &'a ScheduleWrite)>,
    /// What was done about sends, each with its commit, in the order of commits. Empty: nothing.
    pub(super) sends: Vec<(u64, &'a SendWrite)>,
    /// What is kept of results, in the order of commits. Empty: nothing.
    pub(super) results: Vec<&'a ResultWrite>,
    /// The newest birth among them. `None`: the object's row stays as it is.
    pub(super) birth: Option<&'a Birth>,
    /// Whether each commit is the successor of the one before, as it must be.
    pub(super) consecutive: bool,
}

impl Run<'_> {
    /// Whether it stores more than a state.
    pub(super) fn has_rows(&self) -> bool {
        self.erases()
            || !self.kv.is_empty()
            || !self.sql.is_empty()
            || !self.alarms.is_empty()
            || !self.schedules.is_empty()
            || !self.sends.is_empty()
            || self.results.iter().any(|write| write.has_rows())
            || self.cause().is_some()
    }

    /// How many rows of the log of databases it stores.
    pub(super) fn logs(&self) -> u64 {
        let is_log = |(_, write): &&(u64, &SqlWrite)| matches!(write, SqlWrite::Log { .. });
        self.sql.iter().filter(is_log).count() as u64
    }

    /// Why the last of its commits was made. `None`: its class keeps no history.
    pub(super) fn cause(&self) -> Option<&Cause> {
        self.last.history.as_ref()
    }

    /// Whether nothing of the object is left.
    pub(super) fn erases(&self) -> bool {
        self.last.erases
    }
}

impl Batch {
    /// Moves what waits longest into an empty batch, as much as one group commit takes. Gives its
    /// bytes.
    pub(super) fn take(&mut self, waiting: &mut VecDeque<Item>) -> usize {
        assert!(self.items.is_empty(), "the batch before this one has been released");
        self.order.clear();
        let mut bytes = 0;
        while let Some(item) = waiting.front() {
            let size = item.change.as_ref().map_or(0, |change| change.bytes);
            let full = bytes + size > BATCH_BYTES_MAX || self.items.len() >= BATCH_WRITE_SETS_MAX;
            if full && !self.items.is_empty() {
                break;
            }
            bytes += size;
            let mut item = waiting.pop_front().expect("the front was looked at");
            if let Some(change) = &item.change {
                item.failed = item.fence.broken().is_some();
                if !item.failed {
                    let index = u32::try_from(self.items.len()).expect("a batch is small");
                    self.order.push((change.object_no, index));
                }
            }
            self.items.push(item);
        }
        self.order.sort_unstable();
        bytes
    }

    /// Whether there is anything to store.
    pub(super) fn has_changes(&self) -> bool {
        !self.order.is_empty()
    }

    /// The run that begins at `start` of the order, `None` at its end.
    pub(super) fn run_at(&self, start: usize) -> Option<Range<usize>> {
        let (object_no, first) = *self.order.get(start)?;
        let fence = &self.items[first as usize].fence;
        let same = |(no, index): &&(ObjectNo, u32)| {
            *no == object_no && Arc::ptr_eq(&self.items[*index as usize].fence, fence)
        };
        Some(start..start + self.order[start..].iter().take_while(same).count())
    }

    /// What a run stores. `None`: its activation has failed earlier in this batch.
    pub(super) fn run(&self, range: Range<usize>) -> Option<Run<'_>> {
        let first = &self.items[self.order[range.start].1 as usize];
        if first.fence.broken().is_some() {
            return None;
        }
        let changes = || self.order[range.clone()].iter().map(|(_, index)| self.change(*index));
        let last = changes().next_back().expect("a run has a change");
        let first_no = changes().next().expect("a run has a change").commit_no;
        let births = || changes().filter_map(|change| change.birth.as_deref());
        let named = births().rfind(|birth| birth.name.is_some());
        let snapshots = || changes().filter_map(|change| change.snapshot.as_deref());
        Some(Run {
            fence: &first.fence,
            after: first_no.saturating_sub(1),
            last,
            snapshot: snapshots().next_back(),
            kv: newest(changes().flat_map(|change| &change.kv)),
            sql: since_fold(changes()),
            alarms: changes().filter_map(Change::alarm).collect(),
            schedules: changes().filter_map(Change::schedules).collect(),
            sends: changes().filter_map(Change::sends).collect(),
            results: changes().filter_map(|change| change.result.as_deref()).collect(),
            birth: named.or_else(|| births().next_back()),
            consecutive: first_no > 0
                && changes().zip(first_no..).all(|(change, number)| change.commit_no == number),
        })
    }

    /// Breaks the fence of a run; nothing of the run has been stored.
    pub(super) fn fail_run(&mut self, range: Range<usize>, error: Option<&Error>) {
        for (_, index) in &self.order[range] {
            let item = &mut self.items[*index as usize];
            item.failed = true;
            if let Some(error) = error {
                item.fence.break_with(error);
            }
        }
    }

    /// Tells everyone the outcome, in the order of submission, and empties the batch. `Err`:
    /// nothing was stored. `tell`: hears of each write set before those who wait for it, and whether it is durable.
    ///
    /// Gives the last write set's place, `None` if there were only barriers.
    pub(super) fn release(
        &mut self,
        stored: Result<(), &Error>,
        tell: &mut dyn FnMut(&Change, bool),
    ) -> Option<CommitSeq> {
        if let Err(error) = stored {
            // All fences first: a waiter that learns of the failure must find every other one
            // broken as well.
            let changed = self.items.iter().filter(|item| item.change.is_some());
            changed.for_each(|item| item.fence.break_with(error));
        }
        let last = self.items.iter().rev().find_map(|item| item.change.as_ref());
        let last = last.map(|change| change.seq);
        for item in self.items.drain(..) {
            // A change that was stored before its fence broke, in the same batch, is durable all
            // the same.
            let settled = item.change.is_some() && !item.failed && stored.is_ok();
            let broken = if settled { None } else { item.fence.broken() };
            if let Some(change) = &item.change {
                tell(change, settled);
            }
            item.release(broken.map_or(Ok(()), Err));
        }
        last
    }

    /// Ends every item, barriers included, because the shard takes no more writes.
    pub(super) fn fail_all(&mut self, error: &Error) {
        self.items.iter().for_each(|item| item.fence.break_with(error));
        self.items.drain(..).for_each(|item| item.fail(error));
    }

    fn change(&self, index: u32) -> &Change {
        let change = self.items[index as usize].change.as_ref();
        change.expect("only changes are in the order")
    }
}

/// What is to be stored of what was done to a database: a fold stands for everything before it. Allocates nothing if
/// nothing was done.
fn since_fold<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<(u64, &'a SqlWrite)> {
    let mut writes = Vec::new();
    for change in changes {
        let Some(write) = change.sql.as_deref() else { continue };
        if matches!(write, SqlWrite::Fold { .. }) {
            writes.clear();
        }
        writes.push((change.commit_no, write));
    }
    writes
}

/// The last of the changes of each key, in the order of keys. Allocates nothing if there are none.
fn newest<'a>(changes: impl Iterator<Item = &'a KvChange>) -> Vec<&'a KvChange> {
    let mut newest: Vec<_> = changes.collect();
    newest.sort_by(|one, other| one.key.cmp(&other.key));
    // The sort keeps the order of submission among the changes of one key.
    newest.dedup_by(|later, kept| {
        let is_same = later.key == kept.key;
        if is_same {
            *kept = *later;
        }
        is_same
    });
    newest
}
