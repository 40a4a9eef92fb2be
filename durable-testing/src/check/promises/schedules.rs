//! P6: the schedules of an object, by what its turns and commits were seen to do, and by counting their times one by one.

use std::collections::BTreeMap;

use durable::host::{Event, TurnEnd};
use durable::limits::{SCHEDULE_GRACE, SCHEDULE_QUEUE_MAX};
use durable::{AlarmSpec, Misfire, Overlap, ScheduleView, WallMs};

use super::alarms::Seen;
use super::{Promises, Stored, Verdict, broken};

/// What turns make of schedules, by name. `None`: they are taken back.
type Deeds = BTreeMap<String, Option<ScheduleView>>;

/// The schedules of one object.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    /// By commit. Those that did nothing to them are missing; all that are set from there on.
    changes: BTreeMap<u64, Vec<ScheduleView>>,
    /// What turns that run have done, by call; 0: a hook, or an operator.
    deeds: BTreeMap<u64, Deeds>,
    /// The run that is under way.
    running: Option<Run>,
    /// The run that has failed, until that is counted.
    failed: Option<Run>,
    /// What the commit of a call is to do, which has ended and was kept.
    wanted: BTreeMap<u64, (Deeds, Option<Run>)>,
}

/// A schedule that runs.
#[derive(Clone, Debug)]
struct Run {
    call: u64,
    /// As it runs. `None`: it runs for none of the times that it has missed.
    run: Option<ScheduleView>,
    before: ScheduleView,
    spec: AlarmSpec,
    /// Somebody wanted it, due or not.
    is_forced: bool,
}

/// A time that a schedule is to run for, and up to when it catches up.
type Aim = (WallMs, Option<WallMs>);

/// The times of a schedule from one of them up to a moment, counted one by one.
fn times(schedule: &ScheduleView, from: WallMs, until: WallMs) -> Vec<WallMs> {
    let mut found = vec![from];
    loop {
        let last = found.last().copied().unwrap_or(from);
        let more = schedule.when.next(last, 500);
        let count = more.len();
        found.extend(more.into_iter().take_while(|time| *time <= until));
        if count < 500
            || found.last().is_none_or(|newest| schedule.when.next(*newest, 1)[0] > until)
        {
            return found;
        }
    }
}

/// What a schedule that is due is to run for. `None`: for nothing.
fn aim(schedule: &ScheduleView, wall: WallMs) -> Option<Aim> {
    let from = schedule.scheduled_at;
    // A dead letter that is retried is due at once, by a clock that may have been set back since.
    let is_ahead = schedule.due < from;
    if schedule.retry_count > 0 || schedule.catches_up_to.is_some() || is_ahead {
        return Some((from, schedule.catches_up_to));
    }
    let until = WallMs(wall.0 - (schedule.due.0 - from.0));
    let missed = times(schedule, from, until);
    let last = *missed.last()?;
    match schedule.misfire {
        Misfire::All(count) => {
            let first = missed.len().saturating_sub(count as usize);
            Some((missed[first], Some(last)))
        }
        Misfire::Skip if u128::from(until.0 - last.0) > SCHEDULE_GRACE.as_millis() => None,
        _ => Some((last, None)),
    }
}

/// What is next when a run is over. `None`: nothing.
fn aim_after(run: &ScheduleView, wall: WallMs) -> Option<Aim> {
    let next = *run.when.next(run.scheduled_at, 1).first()?;
    if run.catches_up_to.is_some_and(|to| next <= to) {
        return Some((next, run.catches_up_to));
    }
    if next > wall {
        return Some((next, None));
    }
    let missed = times(run, next, wall);
    let last = *missed.last()?;
    match run.overlap {
        Overlap::Queue => {
            let first = missed.len().saturating_sub(SCHEDULE_QUEUE_MAX as usize);
            Some((missed[first], Some(last)))
        }
        _ => Some((*run.when.next(last, 1).first()?, None)),
    }
}

/// Whether a schedule is what is left of one that had to go on like this.
fn is_left(left: Option<&ScheduleView>, before: &ScheduleView, aim: Option<Aim>) -> bool {
    let (Some(left), Some((scheduled_at, catches_up_to))) = (left, aim) else {
        return left.is_none() && aim.is_none();
    };
    let mut wanted = before.clone();
    (wanted.scheduled_at, wanted.catches_up_to) = (scheduled_at, catches_up_to);
    (wanted.retry_count, wanted.due) = (0, left.due);
    let jitter = if catches_up_to.is_some() { 0 } else { before.jitter.as_millis() };
    let later = left.due.0.checked_sub(scheduled_at.0);
    *left == wanted && later.is_some_and(|later| u128::from(later) <= jitter)
}

fn find<'a>(all: &'a [ScheduleView], name: &str) -> Option<&'a ScheduleView> {
    all.iter().find(|view| view.name == name)
}

/// Whether all schedules but one are the same.
fn are_others_same(one: &[ScheduleView], other: &[ScheduleView], but: &str) -> bool {
    let others = |all: &[ScheduleView]| {
        all.iter().filter(|view| view.name != but).cloned().collect::<Vec<_>>()
    };
    others(one) == others(other)
}

impl Schedules {
    /// All that are set, as far as commits were handed over.
    fn newest(&self) -> &[ScheduleView] {
        self.changes.values().next_back().map_or(&[], Vec::as_slice)
    }

    fn after(&self, commit: u64) -> &[ScheduleView] {
        let change = self.changes.range(..=commit).next_back();
        change.map_or(&[], |(_, all)| all.as_slice())
    }

    /// A stored schedule that is due.
    fn overdue(&self, Seen { stored, wall, .. }: Seen<'_>) -> Option<&ScheduleView> {
        self.after(stored?).iter().find(|schedule| schedule.due <= wall)
    }

    fn dealt(&mut self, call: u64, name: &str, deed: Option<Option<&ScheduleView>>) {
        let deeds = self.deeds.entry(call).or_default();
        match deed {
            Some(deed) => drop(deeds.insert(name.to_owned(), deed.cloned())),
            None => drop(deeds.remove(name)),
        }
    }

    fn fires(&mut self, seen: Seen<'_>, run: Run) -> Verdict {
        let Seen { label, stored, wall } = seen;
        let Run { before, run: ran, .. } = &run;
        let name = &before.name;
        if find(self.newest(), name) != Some(before) {
            let text = format!("schedule {name} of {label} fires as {before:?}, which is not set");
            return broken("P6", text);
        }
        if before.due > wall && !run.is_forced {
            let due = before.due;
            let text = format!("schedule {name} of {label} fires at {wall}, and is due at {due}");
            return broken("P6", text);
        }
        let set_by = self.changes.keys().next_back().copied().unwrap_or_default();
        // What somebody wants stands behind the commit that set it: if that fails, so does this.
        if !run.is_forced && stored.is_none_or(|stored| set_by > stored) {
            let text = format!(
                "schedule {name} of {label} fires before commit {set_by}, which set it, is durable"
            );
            return broken("P6", text);
        }
        let aimed = ran.as_ref().map(|ran| (ran.scheduled_at, ran.catches_up_to));
        let next = Some((before.scheduled_at, before.catches_up_to));
        let wanted = match (run.is_forced, before.due > wall) {
            (true, true) => next,
            (true, false) => aim(before, wall).or(next),
            (false, _) => aim(before, wall),
        };
        if aimed != wanted {
            let text = format!(
                "schedule {name} of {label} runs at {wall} for {aimed:?}, and was to for {wanted:?}"
            );
            return broken("P6", text);
        }
        (self.failed, self.running) = (None, Some(run));
        Ok(())
    }

    pub(super) fn turn_ended(&mut self, call: u64, how: TurnEnd) {
        let deeds = self.deeds.remove(&call).unwrap_or_default();
        let run = self.running.take_if(|run| run.call == call);
        match how {
            TurnEnd::Kept => drop(self.wanted.insert(call, (deeds, run))),
            TurnEnd::Rejected | TurnEnd::Panicked if run.is_some() => self.failed = run,
            _ => {}
        }
    }

    /// A commit was handed over. `is_restore`: it brings a moment back.
    pub(super) fn submitted(
        &mut self,
        seen: Seen<'_>,
        (commit, call, is_restore): (u64, u64, bool),
        change: Option<&[ScheduleView]>,
    ) -> Verdict {
        let verdict = match self.wanted.remove(&call) {
            _ if is_restore && change.is_none_or(<[_]>::is_empty) => Ok(()),
            _ if call == 0 => self.uncalled(seen, change),
            Some((deeds, run)) => self.kept(seen, (&deeds, run.as_ref()), change),
            None if change.is_none() => Ok(()),
            None => {
                broken("P6", format!("schedules of {} change, and no turn did that", seen.label))
            }
        };
        if let Some(all) = change {
            self.changes.insert(commit, all.to_vec());
        }
        verdict
    }

    /// The commit of a turn.
    fn kept(
        &self,
        seen: Seen<'_>,
        (deeds, run): (&Deeds, Option<&Run>),
        change: Option<&[ScheduleView]>,
    ) -> Verdict {
        let before = self.newest();
        let after = change.unwrap_or(before);
        let ran = run.and_then(|run| run.run.as_ref());
        let mut names: Vec<&str> = before.iter().map(|view| view.name.as_str()).collect();
        names.extend(deeds.keys().map(String::as_str));
        names.extend(after.iter().map(|view| view.name.as_str()));
        for name in names {
            let (was, is) = (find(before, name), find(after, name));
            let is_right = match (deeds.get(name), ran.filter(|ran| ran.name == name)) {
                (Some(deed), _) => is == deed.as_ref(),
                (None, Some(ran)) => is_left(is, ran, aim_after(ran, seen.wall)),
                (None, None) => is == was,
            };
            if !is_right {
                let text = format!(
                    "schedule {name} of {} becomes {is:?}, it was {was:?}, ran as {ran:?}, and its turn made {:?}",
                    seen.label,
                    deeds.get(name)
                );
                return broken("P6", text);
            }
        }
        Ok(())
    }

    /// A commit of no turn: of a hook, of an operator, that counts a failure, or that passes missed times over.
    fn uncalled(&mut self, seen: Seen<'_>, change: Option<&[ScheduleView]>) -> Verdict {
        let Some(after) = change else { return Ok(()) };
        if let Some(deeds) = self.deeds.remove(&0).filter(|deeds| !deeds.is_empty()) {
            return self.kept(seen, (&deeds, None), change);
        }
        // What no method is found for fails without a turn.
        let Some(Run { run, before, spec, .. }) = self.failed.take().or(self.running.take()) else {
            let text =
                format!("schedules of {} become {after:?}, and no turn did that", seen.label);
            return broken("P6", text);
        };
        let (name, wall) = (&before.name, seen.wall);
        let is = find(after, name);
        let is_right = are_others_same(self.newest(), after, name)
            && match (&run, is) {
                (None, is) => {
                    let until = WallMs(wall.0 - (before.due.0 - before.scheduled_at.0));
                    let last = times(&before, before.scheduled_at, until).last().copied();
                    let next = last.and_then(|last| before.when.next(last, 1).first().copied());
                    is_left(is, &before, next.map(|next| (next, None)))
                }
                (Some(run), Some(is)) if is.scheduled_at == run.scheduled_at => {
                    let delay = spec.delay.as_millis() << run.retry_count.min(9);
                    let wait = u128::from(is.due.0.saturating_sub(wall.0));
                    let mut again = run.clone();
                    (again.retry_count, again.due) = (run.retry_count + 1, is.due);
                    *is == again
                        && run.retry_count < spec.retries
                        && (delay..=delay + delay / 4 + 1).contains(&wait)
                }
                (Some(run), is) => {
                    run.retry_count >= spec.retries && is_left(is, run, aim_after(run, wall))
                }
            };
        let text =
            format!("schedule {name} of {} failed as {run:?}, and becomes {is:?}", seen.label);
        if is_right { Ok(()) } else { broken("P6", text) }
    }

    /// This is the last commit that there is.
    pub(super) fn loaded(&mut self, commit: u64) {
        self.changes.retain(|no, _| *no <= commit);
        self.deeds.clear();
        self.wanted.clear();
        (self.running, self.failed) = (None, None);
    }

    /// Compares what is stored with what the commits up to the stored one did.
    pub(super) fn compare(&self, label: &str, stored: &Stored) -> Verdict {
        let Stored { commit, schedules, .. } = stored;
        let wanted = self.after(*commit);
        if schedules.as_deref() == Ok(wanted) {
            return Ok(());
        }
        let text = format!(
            "the schedules of {label} are stored as {schedules:?} at commit {commit}, and are {wanted:?}"
        );
        broken("P6", text)
    }
}

impl Promises {
    /// A schedule that is due, durable, and has not run.
    pub(super) fn overdue_schedule(&self, wall: WallMs) -> Option<String> {
        self.startable().find_map(|watch| {
            let seen = Seen { label: &watch.label, stored: watch.stored(), wall };
            let schedule = watch.schedules.overdue(seen)?;
            Some(format!(
                "schedule {} of {} is due since {}",
                schedule.name, watch.label, schedule.due
            ))
        })
    }

    /// The runtime reports something about schedules, or nothing that is checked.
    pub(super) fn saw_schedule(&mut self, event: &Event<'_>) -> Verdict {
        let wall = self.wall;
        match *event {
            Event::ScheduleDealt { object, call, name, schedule } => {
                self.watch(object).schedules.dealt(call, name, schedule);
            }
            Event::ScheduleFires { object, call, schedule, run, spec, is_forced } => {
                let watch = self.watch(object);
                let seen = Seen { label: &watch.label, stored: watch.stored(), wall };
                let (run, before) = (run.cloned(), schedule.clone());
                return watch.schedules.fires(seen, Run { call, run, before, spec, is_forced });
            }
            _ => {}
        }
        Ok(())
    }
}
