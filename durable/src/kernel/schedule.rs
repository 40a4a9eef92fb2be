//! What a schedule that is due runs for, and what is left of it afterwards.

use std::collections::BTreeMap;

use crate::due::{Alarm, AlarmSpec};
use crate::kernel::alarm::{AfterFailure, after_failure};
use crate::limits::{SCHEDULE_ALL_MAX, SCHEDULE_GRACE, SCHEDULE_QUEUE_MAX};
use crate::schedule::{Misfire, Overlap, Schedule};
use crate::time::WallMs;

/// What a schedule that is due does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It runs, for what this says.
    Run(Schedule),
    /// It runs for none of the times that it has missed. This is what is left of it; `None`: nothing is.
    Pass(Option<Schedule>),
}

/// What follows on a run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Another run.
    Again(Schedule),
    /// A dead letter, after so many runs, and what is left of the schedule. `None`: nothing is.
    Dead { attempts: u32, left: Option<Schedule> },
}

/// Numbers, each as likely as any other, for those who need one.
pub(crate) type Chance<'a> = &'a mut dyn FnMut() -> u64;

/// A grace that is measured in the same unit as everything else.
const GRACE_MS: u64 = SCHEDULE_GRACE.as_millis() as u64;

impl Schedule {
    /// One that was due.
    pub(crate) fn on_due(&self, now: WallMs, chance: Chance<'_>) -> Due {
        assert!(self.due <= now, "no schedule runs before its time");
        if self.retries > 0 || self.scheduled <= self.put_off_to {
            return Due::Run(self.clone());
        }
        // All of its times are as late as this one is meant to be.
        let meant_ms = self.due.0.saturating_sub(self.scheduled.0);
        let until = WallMs(now.0.saturating_sub(meant_ms));
        let last = self.when.last(self.scheduled, until);
        let run = |scheduled| Schedule { scheduled, ..self.clone() };
        match self.misfire {
            Misfire::Once => Due::Run(run(last)),
            Misfire::Skip if until.0.saturating_sub(last.0) <= GRACE_MS => Due::Run(run(last)),
            Misfire::Skip => Due::Pass(self.from(self.when.after(until.max(last)), chance)),
            Misfire::All(count) => {
                let later = count.min(SCHEDULE_ALL_MAX).saturating_sub(1);
                let first = self.when.last_but(self.scheduled, until, later);
                Due::Run(Schedule { put_off_to: last, ..run(first) })
            }
        }
    }

    /// One that somebody wants to run, due or not: it runs for what it would next, also for a time that it would pass over.
    pub(crate) fn by_hand(&self, now: WallMs, chance: Chance<'_>) -> Schedule {
        if self.due > now {
            return self.clone();
        }
        match self.on_due(now, chance) {
            Due::Run(run) => run,
            Due::Pass(_) => self.clone(),
        }
    }

    /// What is left when the run is over. `None`: nothing is.
    pub(crate) fn after_run(&self, now: WallMs, chance: Chance<'_>) -> Option<Schedule> {
        let next = self.when.after(self.scheduled)?;
        if next <= self.put_off_to {
            return Some(Schedule { due: next, scheduled: next, retries: 0, ..self.clone() });
        }
        if next > now {
            return self.from(Some(next), chance);
        }
        match self.overlap {
            Overlap::Skip => self.from(self.when.after(now.max(self.scheduled)), chance),
            Overlap::Queue => {
                let put_off_to = self.when.last(next, now);
                let next = self.when.last_but(next, now, SCHEDULE_QUEUE_MAX - 1);
                Some(Schedule {
                    due: next,
                    scheduled: next,
                    retries: 0,
                    put_off_to,
                    ..self.clone()
                })
            }
        }
    }

    /// A run has failed. `now`: when.
    pub(crate) fn after_failure(
        &self,
        spec: &AlarmSpec,
        now: WallMs,
        chance: Chance<'_>,
    ) -> Failed {
        let alarm = Alarm { due: self.due, scheduled: self.scheduled, retries: self.retries };
        match after_failure(alarm, spec, now, chance()) {
            AfterFailure::Again(Alarm { due, retries, .. }) => {
                Failed::Again(Schedule { due, retries, ..self.clone() })
            }
            AfterFailure::Dead { attempts } => {
                Failed::Dead { attempts, left: self.after_run(now, chance) }
            }
        }
    }

    /// The same schedule, from this time on.
    fn from(&self, scheduled: Option<WallMs>, chance: Chance<'_>) -> Option<Schedule> {
        let scheduled = scheduled?;
        let due = jittered(scheduled, self.jitter_ms, chance);
        Some(Schedule { scheduled, due, retries: 0, put_off_to: WallMs(0), ..self.clone() })
    }
}

/// A time that is later by up to `jitter_ms`.
pub(crate) fn jittered(at: WallMs, jitter_ms: u64, chance: Chance<'_>) -> WallMs {
    if jitter_ms == 0 {
        return at;
    }
    let later = (u128::from(chance()) * (u128::from(jitter_ms) + 1)) >> 64;
    WallMs(at.0.saturating_add(u64::try_from(later).unwrap_or(jitter_ms))).min(WallMs::MAX)
}

/// The one that is due first, the earlier name first among equals. `None`: there are none.
pub(crate) fn first_due(schedules: &[Schedule]) -> Option<&Schedule> {
    schedules.iter().min_by_key(|schedule| (schedule.due, &schedule.name))
}

/// What is to become of schedules, by name. `None`: they are taken back.
pub(crate) type Deeds = BTreeMap<String, Option<Schedule>>;

/// All schedules of an object after some have been changed, in the order of their names.
pub(crate) fn changed(schedules: &[Schedule], deeds: &Deeds) -> Vec<Schedule> {
    let kept = schedules.iter().filter(|schedule| !deeds.contains_key(&schedule.name));
    let mut all: Vec<_> = kept.chain(deeds.values().flatten()).cloned().collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// All schedules of an object after one has become what is `left` of it.
pub(crate) fn replaced(
    schedules: &[Schedule],
    name: &str,
    left: Option<Schedule>,
) -> Vec<Schedule> {
    changed(schedules, &Deeds::from([(name.to_owned(), left)]))
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod tests;
