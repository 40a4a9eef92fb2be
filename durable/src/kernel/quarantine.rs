//! When an object that has failed runs again: at once, after a rest, or not until a call that is let through has shown
//! that it can.
//!
//! One machine for each object that has failed lately; objects that have not have none. It knows nothing of calls or disks.

use std::time::Duration;

use crate::kernel::restart::Intensity;
use crate::limits::{
    CRASH_REST, CRASH_REST_DOUBLINGS_MAX, PROBATION, QUARANTINE_DELAY, QUARANTINE_DELAY_MAX,
};
use crate::quarantine::{CrashBudget, Sentence};
use crate::time::{MonoNs, WallMs};

/// What the machine may not get for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: MonoNs,
    pub(crate) wall: WallMs,
    /// Any number, each as likely as any other.
    pub(crate) chance: u64,
}

/// What follows on a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may run again after this rest.
    Restart(Duration),
    /// It may not run.
    Quarantine(Sentence),
}

/// Whether an activation may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Go,
    /// It may when this time has come.
    Rest(MonoNs),
    /// It may, for one call.
    Trial,
    Refuse,
    /// It may not, until somebody releases it: nobody knows what it was shut in for.
    Unreadable,
}

/// An object that has failed lately.
#[derive(Debug)]
pub(crate) struct Ward {
    crashes: Intensity,
    phase: Phase,
    /// No activation starts before.
    rests_until: MonoNs,
    /// When it failed last, or was let out.
    touched: MonoNs,
}

#[derive(Debug)]
enum Phase {
    /// It runs, and its crashes are counted.
    Counted,
    Closed(Sentence),
    /// A call was let through.
    Trial(Sentence),
    /// It runs, and its next crash is one too many.
    Probation(Sentence),
    /// What is stored of its quarantine cannot be read, for this reason.
    Unreadable(String),
}

impl Ward {
    pub(crate) fn new(budget: CrashBudget) -> Self {
        let crashes = Intensity::new(budget.crashes, budget.period);
        let start = MonoNs(0);
        Ward { crashes, phase: Phase::Counted, rests_until: start, touched: start }
    }

    /// One whose quarantine was stored. `is_other_code`: it was shut in by other code than runs here.
    pub(crate) fn stored(budget: CrashBudget, sentence: Sentence, is_other_code: bool) -> Self {
        let retry_at = if is_other_code { WallMs(0) } else { sentence.retry_at };
        Ward { phase: Phase::Closed(Sentence { retry_at, ..sentence }), ..Ward::new(budget) }
    }

    /// One that is stored, and what it was shut in for cannot be read.
    pub(crate) fn unreadable(budget: CrashBudget, what: String) -> Self {
        Ward { phase: Phase::Unreadable(what), ..Ward::new(budget) }
    }

    /// Why it does not run. `None`: it may, or nobody can say.
    pub(crate) fn sentence(&self) -> Option<&Sentence> {
        match &self.phase {
            Phase::Closed(sentence) | Phase::Trial(sentence) => Some(sentence),
            Phase::Counted | Phase::Probation(_) | Phase::Unreadable(_) => None,
        }
    }

    /// Why nobody can say what it was shut in for. `None`: its sentence is known, or it may run.
    pub(crate) fn damage(&self) -> Option<&str> {
        if let Phase::Unreadable(what) = &self.phase { Some(what) } else { None }
    }

    /// Whether it is quarantined.
    pub(crate) fn is_shut(&self) -> bool {
        self.sentence().is_some() || self.damage().is_some()
    }

    /// Whether nothing need be known of it any more.
    pub(crate) fn is_over(&self, now: MonoNs) -> bool {
        let (_, period) = self.crashes.bound();
        match self.phase {
            Phase::Counted => now - self.touched > period,
            Phase::Probation(_) => now - self.touched > PROBATION,
            Phase::Closed(_) | Phase::Trial(_) | Phase::Unreadable(_) => false,
        }
    }

    /// It has crashed, or has failed to start as it may not do next time.
    pub(crate) fn on_crash(&mut self, at: Moment, reason: &str) -> Verdict {
        if self.is_over(at.now) {
            self.phase = Phase::Counted;
        }
        self.touched = at.now;
        let is_within = self.crashes.add(at.now);
        if is_within && matches!(self.phase, Phase::Counted) {
            let rest = rest(self.crashes.count(), at.chance);
            self.rests_until = at.now + rest;
            return Verdict::Restart(rest);
        }
        self.shut_in(at, reason)
    }

    /// It cannot be loaded, and trying again does not help.
    pub(crate) fn on_unloadable(&mut self, at: Moment, reason: &str) -> Verdict {
        self.touched = at.now;
        self.shut_in(at, reason)
    }

    fn shut_in(&mut self, at: Moment, reason: &str) -> Verdict {
        assert!(self.damage().is_none(), "what does not run does not fail");
        let (since, delay, failed_trials) = match &self.phase {
            Phase::Counted | Phase::Unreadable(_) => (at.wall, QUARANTINE_DELAY, 0),
            Phase::Closed(before) | Phase::Trial(before) | Phase::Probation(before) => {
                let delay = (before.delay * 2).min(QUARANTINE_DELAY_MAX);
                (before.since, delay, before.failed_trials.saturating_add(1))
            }
        };
        let delay_ms = u64::try_from(delay.as_millis()).expect("a delay is short");
        let retry_at = WallMs(at.wall.0.saturating_add(delay_ms));
        let reason = reason.to_owned();
        let sentence = Sentence { reason, since, retry_at, delay, failed_trials };
        self.phase = Phase::Closed(sentence.clone());
        Verdict::Quarantine(sentence)
    }

    /// An activation is to start.
    pub(crate) fn admit(&mut self, now: MonoNs, wall: WallMs) -> Admission {
        match &mut self.phase {
            Phase::Trial(_) => Admission::Refuse,
            Phase::Unreadable(_) => Admission::Unreadable,
            Phase::Closed(sentence) => {
                // The clock may have been set back: nobody waits for longer than the delay.
                let left = sentence.left(wall);
                if left > Duration::ZERO {
                    let left_ms = u64::try_from(left.as_millis()).expect("a delay is short");
                    sentence.retry_at = WallMs(wall.0 + left_ms);
                    return Admission::Refuse;
                }
                self.phase = Phase::Trial(sentence.clone());
                Admission::Trial
            }
            Phase::Counted | Phase::Probation(_) if now < self.rests_until => {
                Admission::Rest(self.rests_until)
            }
            Phase::Counted | Phase::Probation(_) => Admission::Go,
        }
    }

    /// The call that was let through has ended without a crash. Whether there was one.
    pub(crate) fn on_passed(&mut self, now: MonoNs) -> bool {
        let Phase::Trial(sentence) = &self.phase else { return false };
        self.phase = Phase::Probation(sentence.clone());
        (self.touched, self.rests_until) = (now, now);
        true
    }

    /// The call that was let through has shown nothing: something else failed.
    pub(crate) fn on_undecided(&mut self) {
        if let Phase::Trial(sentence) = &self.phase {
            self.phase = Phase::Closed(sentence.clone());
        }
    }

    /// Somebody wants the next call to be let through. Whether it is quarantined.
    pub(crate) fn retry(&mut self) -> bool {
        if let Phase::Closed(sentence) = &mut self.phase {
            sentence.retry_at = WallMs(0);
        }
        self.is_shut()
    }
}

/// How long an object rests after the crash of that number within the period: the first time it does not.
fn rest(crashes: u32, chance: u64) -> Duration {
    let Some(doublings) = crashes.checked_sub(2) else { return Duration::ZERO };
    let rest = CRASH_REST * (1 << doublings.min(CRASH_REST_DOUBLINGS_MAX));
    let jitter_ns = (rest.as_nanos() / 4 * u128::from(chance)) >> 64;
    rest + Duration::from_nanos(u64::try_from(jitter_ns).unwrap_or(0))
}

#[cfg(test)]
#[path = "quarantine/tests.rs"]
mod tests;
