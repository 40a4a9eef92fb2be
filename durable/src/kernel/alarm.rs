//! Which alarms fire next, how fast, and what follows on a run that failed. The schedules of an object are to a calendar
//! what an alarm is: the object is due when the first of them is.
//!
//! The stored index has all alarms in the order in which they fire. Of each shard a [`Calendar`] holds the beginning of that
//! order, so memory does not grow with the alarms that are set; notices of commits keep it true. What it says is only ever
//! a reason to ask the object, which knows its alarm, so a stale entry costs a look and a missing one would cost an alarm:
//! whatever is not certain is kept or read again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::due::{Alarm, AlarmSpec};
use crate::id::ObjectId;
use crate::limits::{ALARM_DOUBLINGS_MAX, ALARM_HOLD, ALARM_HOLD_DOUBLINGS_MAX};
use crate::time::{MonoNs, WallMs};

/// What wakes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Its alarm.
    Alarm,
    /// The first of its schedules.
    Schedule,
    /// A send that another has made. Each send is an object to its calendar.
    Send,
}

/// Where an alarm stands in the order in which alarms fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) due: WallMs,
    pub(crate) object_no: i64,
}

/// An object whose alarm is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarmed {
    pub(crate) place: Place,
    /// The object's commit that set it.
    pub(crate) set_by: u64,
    pub(crate) class_no: u32,
    pub(crate) id: ObjectId,
}

/// What a durable commit did to an object's alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Set(Alarmed),
    Cleared,
}

/// What became of an alarm that was fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fired {
    /// A commit has used it up, or counted the failure; its notice came before.
    Settled,
    /// Nothing was stored: it is fired again later, unless a notice says otherwise.
    Postponed,
}

/// The alarms of one shard, as far as they are held in memory.
#[derive(Debug)]
pub(crate) struct Calendar {
    window_max: usize,
    /// The first of those that were never postponed, in their order.
    fresh: BTreeMap<Place, Alarmed>,
    /// Those that were postponed, by when they may fire again. They do not keep the fresh ones from being read.
    held: BTreeMap<Place, Waiting>,
    objects: BTreeMap<i64, State>,
    /// Every stored alarm up to here is held. `None`: nothing was read.
    read_to: Option<Place>,
    /// Every stored alarm is held.
    is_all: bool,
    /// One that was postponed is not held any more; from then on everything is read again. `None`: all are.
    restart_at: Option<WallMs>,
    /// When the clock was looked at last.
    seen: WallMs,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    alarmed: Alarmed,
    /// How often it was postponed.
    holds: u32,
}

/// What the calendar knows of an object.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Its alarm is among the fresh ones.
    Fresh(Place),
    /// Its alarm is held back.
    Held(Place),
    /// Its alarm was fired. `next`: what a notice has said since; `None`: none came.
    Firing { fired: Waiting, next: Option<Notice> },
}

impl Calendar {
    /// `window_max`: fresh alarms that wait in memory at most, and as many that are held back.
    pub(crate) fn new(window_max: usize) -> Self {
        Calendar {
            window_max,
            fresh: BTreeMap::new(),
            held: BTreeMap::new(),
            objects: BTreeMap::new(),
            read_to: None,
            is_all: false,
            restart_at: None,
            seen: WallMs(0),
        }
    }

    /// A commit of an object is durable that changed its alarm.
    pub(crate) fn on_notice(&mut self, object_no: i64, notice: Notice) {
        match self.objects.get_mut(&object_no) {
            Some(State::Firing { next, .. }) => *next = Some(notice),
            _ => self.follow(object_no, notice),
        }
    }

    /// Where the next read begins, if one is wanted: `Some(None)` is the very beginning.
    pub(crate) fn wants_read(&self) -> Option<Option<Place>> {
        let is_wanted = !self.is_all && self.fresh.len() < self.window_max.div_ceil(2);
        is_wanted.then_some(self.read_to)
    }

    /// The rows that follow on [`wants_read`](Self::wants_read). Every notice of a commit before the read was given before.
    /// Alarms of classes that are not known wait in storage.
    pub(crate) fn on_read(
        &mut self,
        rows: &[Alarmed],
        is_last: bool,
        is_known: impl Fn(u32) -> bool,
    ) {
        if let Some(last) = rows.last() {
            self.read_to = Some(last.place);
        }
        self.is_all = is_last;
        for alarmed in rows.iter().filter(|alarmed| is_known(alarmed.class_no)) {
            self.meet(alarmed);
        }
    }

    /// What is stored of an object: at least as new as every notice that was given, also where one was lost.
    fn meet(&mut self, alarmed: &Alarmed) {
        let object_no = alarmed.place.object_no;
        let known = match self.objects.get_mut(&object_no) {
            None => None,
            Some(State::Firing { fired, next }) => {
                if alarmed.set_by > fired.alarmed.set_by {
                    *next = Some(Notice::Set(*alarmed));
                }
                return;
            }
            Some(State::Fresh(place)) => self.fresh.get(place).map(|known| known.set_by),
            Some(State::Held(place)) => self.held.get(place).map(|held| held.alarmed.set_by),
        };
        if known.is_none_or(|set_by| alarmed.set_by > set_by) {
            self.forget(object_no);
            self.wait(*alarmed);
        }
    }

    /// Forgets what waits: it is all to be read again.
    pub(crate) fn restart(&mut self) {
        self.fresh.clear();
        self.held.clear();
        self.objects.retain(|_, state| match state {
            State::Fresh(_) | State::Held(_) => false,
            State::Firing { next, .. } => {
                *next = None;
                true
            }
        });
        (self.read_to, self.is_all, self.restart_at) = (None, false, None);
    }

    /// When the first alarm may fire, or something is to be read again. `None`: nothing waits.
    pub(crate) fn wakes_at(&self) -> Option<WallMs> {
        let fresh = self.fresh.keys().next().map(|place| place.due);
        let held = self.held.keys().next().map(|place| place.due);
        fresh.into_iter().chain(held).chain(self.restart_at).min()
    }

    /// The wall clock shows `now`.
    pub(crate) fn look(&mut self, now: WallMs) {
        if now < self.seen {
            // Times that were counted from the clock as it was mean nothing.
            for (_, held) in std::mem::take(&mut self.held) {
                self.hold(held.alarmed.place, held);
            }
            self.restart_at = self.restart_at.map(|_| now);
        }
        self.seen = now;
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart();
        }
    }

    /// Takes the first alarm, if it may fire.
    pub(crate) fn fire(&mut self, now: WallMs) -> Option<Alarmed> {
        let fresh = self.fresh.keys().next().copied();
        let held = self.held.keys().next().copied();
        let first = fresh.into_iter().chain(held).min().filter(|place| place.due <= now)?;
        let fired = match self.fresh.remove(&first) {
            Some(alarmed) => Waiting { alarmed, holds: 0 },
            None => self.held.remove(&first).expect("it was just seen"),
        };
        assert!(fired.alarmed.place.due <= now, "no alarm fires before its time");
        self.objects.insert(first.object_no, State::Firing { fired, next: None });
        Some(fired.alarmed)
    }

    /// Fires one together with another, whether it is due or not. `false`: it is being fired.
    pub(crate) fn fire_along(&mut self, alarmed: Alarmed) -> bool {
        let object_no = alarmed.place.object_no;
        if matches!(self.objects.get(&object_no), Some(State::Firing { .. })) {
            return false;
        }
        self.forget(object_no);
        let fired = Waiting { alarmed, holds: 0 };
        self.objects.insert(object_no, State::Firing { fired, next: None });
        true
    }

    /// What became of an alarm that was fired.
    pub(crate) fn on_fired(&mut self, object_no: i64, end: Fired, now: WallMs) {
        let Some(State::Firing { fired, next }) = self.objects.remove(&object_no) else {
            panic!("an alarm ends that was not fired")
        };
        match (next, end) {
            (Some(notice), _) => self.follow(object_no, notice),
            (None, Fired::Settled) => {}
            (None, Fired::Postponed) => {
                let hold = ALARM_HOLD * (1 << fired.holds.min(ALARM_HOLD_DOUBLINGS_MAX));
                let ready = later(now, hold).max(fired.alarmed.place.due);
                let held = Waiting { holds: fired.holds.saturating_add(1), ..fired };
                self.hold(Place { due: ready, object_no }, held);
            }
        }
    }

    /// What kept this object from being run is gone: what was postponed for it may fire at once, and what is being fired waits
    /// no longer than after a first failure.
    pub(crate) fn release(&mut self, id: &ObjectId, now: WallMs) {
        for state in self.objects.values_mut() {
            match state {
                State::Firing { fired, .. } if fired.alarmed.id == *id => fired.holds = 0,
                _ => {}
            }
        }
        let is_its = |held: &Waiting| held.alarmed.id == *id;
        let released: Vec<_> = self.held.extract_if(.., |_, held| is_its(held)).collect();
        for (_, Waiting { alarmed, .. }) in released {
            let ready = Place { due: alarmed.place.due.max(now), ..alarmed.place };
            self.hold(ready, Waiting { alarmed, holds: 0 });
        }
        // Some that were postponed may not be held.
        self.restart_at = self.restart_at.map(|_| now);
    }

    /// Does what a notice says, of an object whose alarm is not being fired.
    fn follow(&mut self, object_no: i64, notice: Notice) {
        self.forget(object_no);
        if let Notice::Set(alarmed) = notice
            && (self.is_all || self.read_to.is_some_and(|to| alarmed.place <= to))
        {
            self.wait(alarmed);
        }
    }

    fn forget(&mut self, object_no: i64) {
        match self.objects.remove(&object_no) {
            Some(State::Fresh(place)) => drop(self.fresh.remove(&place)),
            Some(State::Held(place)) => drop(self.held.remove(&place)),
            Some(State::Firing { .. }) | None => {}
        }
    }

    fn wait(&mut self, alarmed: Alarmed) {
        let place = alarmed.place;
        self.objects.insert(place.object_no, State::Fresh(place));
        self.fresh.insert(place, alarmed);
        if self.fresh.len() <= self.window_max {
            return;
        }
        let (last, _) = self.fresh.pop_last().expect("one was just put in");
        self.objects.remove(&last.object_no);
        // It stands behind every other, and is read again when its turn comes.
        let before = Place { object_no: last.object_no.saturating_sub(1), ..last };
        self.read_to = Some(self.read_to.map_or(before, |to| to.min(before)));
        self.is_all = false;
    }

    fn hold(&mut self, ready: Place, held: Waiting) {
        self.objects.insert(ready.object_no, State::Held(ready));
        self.held.insert(ready, held);
        if self.held.len() <= self.window_max {
            return;
        }
        let (last, _) = self.held.pop_last().expect("one was just put in");
        self.objects.remove(&last.object_no);
        // Its place in the index may have been passed.
        self.restart_at = Some(self.restart_at.map_or(last.due, |at| at.min(last.due)));
    }
}

/// A wall clock after `wait`; a part of a millisecond counts as a whole one.
fn later(now: WallMs, wait: Duration) -> WallMs {
    let ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    WallMs(now.0.saturating_add(ms))
}

/// How many alarms may be fired in a second: those of a long time that was slept through come all at once.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// Alarms that may be fired now, up to a tenth of a second's.
    left: u32,
    left_max: u32,
    /// What came before is counted in `left`.
    since: MonoNs,
}

impl Pace {
    /// `per_second`: at least 1.
    pub(crate) fn new(per_second: u32, now: MonoNs) -> Self {
        let left_max = per_second.div_ceil(10);
        let interval = Duration::from_secs(1) / per_second;
        Pace { interval, left: left_max, left_max, since: now }
    }

    /// Takes the right to fire one more. `Err`: when there is one again.
    pub(crate) fn take(&mut self, now: MonoNs) -> Result<(), MonoNs> {
        let earned = (now - self.since).as_nanos() / self.interval.as_nanos().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(self.left_max);
        self.since =
            if self.left == self.left_max { now } else { self.since + self.interval * earned };
        if self.left == 0 {
            return Err(self.since + self.interval);
        }
        self.left -= 1;
        Ok(())
    }
}

/// What follows on a run of a handler that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Another run.
    Again(Alarm),
    /// A dead letter, after so many runs.
    Dead { attempts: u32 },
}

/// Decides. `now`: when it failed; `chance`: any number, each as likely as any other.
pub(crate) fn after_failure(
    alarm: Alarm,
    spec: &AlarmSpec,
    now: WallMs,
    chance: u64,
) -> AfterFailure {
    let attempts = alarm.retries.saturating_add(1);
    if attempts > spec.retries {
        return AfterFailure::Dead { attempts };
    }
    let delay = spec.delay.saturating_mul(1 << alarm.retries.min(ALARM_DOUBLINGS_MAX));
    let most_ns = delay.as_nanos() / 4;
    let jitter_ns = (most_ns * u128::from(chance)) >> 64;
    let jitter = Duration::from_nanos(u64::try_from(jitter_ns).unwrap_or(u64::MAX));
    AfterFailure::Again(Alarm { due: later(now, delay + jitter), retries: attempts, ..alarm })
}

#[cfg(test)]
#[path = "alarm/tests.rs"]
mod tests;
