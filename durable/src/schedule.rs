//! Schedules as plain data: what is stored of one, and what one sees of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;
use crate::time::WallMs;
use crate::when::When;

/// What becomes of times of a schedule at which nothing ran: the process was down, or the object could not start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Misfire {
    /// It runs once, for the last of them.
    #[default]
    Once,
    /// It runs for each of them, one after another, the oldest first: for so many at most, and then for the last.
    All(u32),
    /// It runs for none of them. One that is at most [`SCHEDULE_GRACE`](crate::limits::SCHEDULE_GRACE) late was not missed.
    Skip,
}

/// What becomes of times of a schedule that come while its run for an earlier one is under way: until that has succeeded, or
/// has used up its retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Overlap {
    /// Nothing.
    #[default]
    Skip,
    /// They wait, and it runs for each when the one before is over: for the last
    /// [`SCHEDULE_QUEUE_MAX`](crate::limits::SCHEDULE_QUEUE_MAX) of them.
    Queue,
}

/// A schedule of an object, as one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleView {
    /// What it is called; each of an object's has a name of its own.
    pub name: String,
    /// When it runs.
    pub when: When,
    /// The method that it calls, by its name on wires.
    pub method: String,
    /// The time that it runs for next, or is running for.
    pub scheduled_at: WallMs,
    /// When that run is, at the earliest: later by the jitter, or because a run has failed.
    pub due: WallMs,
    /// How many runs for that time have failed.
    pub retry_count: u32,
    /// Times up to this one have been put off and are caught up with, one after another. `None`: there are none.
    pub catches_up_to: Option<WallMs>,
    /// What becomes of times that it misses.
    pub misfire: Misfire,
    /// What becomes of times that come while it runs.
    pub overlap: Overlap,
    /// How much later than its time each run may be, so that many schedules of one time do not run at once.
    pub jitter: Duration,
}

/// The run of a schedule that a turn is. Comes from [`Context::scheduled`](crate::Context::scheduled).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// What the schedule is called.
    pub name: String,
    /// The time that it runs for, which is later than now if somebody wanted it to run at once. A retry has the time of the
    /// first try.
    pub scheduled_at: WallMs,
    /// How many runs for that time have failed; 0 for the first.
    pub retry_count: u32,
}

impl ScheduleView {
    /// The next times that it is to run for, at most `count`; the first is [`scheduled_at`](Self::scheduled_at).
    pub fn next(&self, count: usize) -> Vec<WallMs> {
        let mut times = vec![self.scheduled_at];
        times.extend(self.when.next(self.scheduled_at, count.saturating_sub(1)));
        times.truncate(count);
        times
    }
}

/// A schedule as it is stored. Fields are added at the end only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) name: String,
    pub(crate) when: When,
    pub(crate) misfire: Misfire,
    pub(crate) overlap: Overlap,
    pub(crate) jitter_ms: u64,
    pub(crate) target: Target,
    /// The method's name on wires.
    pub(crate) method: String,
    /// Encoded.
    pub(crate) args: Vec<u8>,
    /// The time that it runs for next.
    pub(crate) scheduled: WallMs,
    /// When that run is, at the earliest.
    pub(crate) due: WallMs,
    /// Runs for it that failed; more than 0: it is under way.
    pub(crate) retries: u32,
    /// Times up to this one were put off, and none of them is missed or skipped any more. 0: there are none.
    pub(crate) put_off_to: WallMs,
    /// What travels with its runs, if it is a send that was a dead letter. `None`: it is none, and nothing does.
    pub(crate) sent: Option<Metadata>,
}

/// Who is called. A variant keeps its place for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// The object whose schedule it is.
    Me,
}

impl Schedule {
    pub(crate) fn info(&self) -> ScheduleInfo {
        let (name, scheduled_at) = (self.name.clone(), self.scheduled);
        ScheduleInfo { name, scheduled_at, retry_count: self.retries }
    }

    pub(crate) fn view(&self) -> ScheduleView {
        ScheduleView {
            name: self.name.clone(),
            when: self.when.clone(),
            method: self.method.clone(),
            scheduled_at: self.scheduled,
            due: self.due,
            retry_count: self.retries,
            catches_up_to: Some(self.put_off_to).filter(|to| *to >= self.scheduled),
            misfire: self.misfire,
            overlap: self.overlap,
            jitter: Duration::from_millis(self.jitter_ms),
        }
    }
}
