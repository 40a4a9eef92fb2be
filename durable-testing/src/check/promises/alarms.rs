//! P6: the alarm of an object, by what its turns and commits were seen to do.

use std::collections::BTreeMap;
use std::time::Duration;

use durable::host::{Event, TurnEnd};
use durable::{AlarmSpec, AlarmView, WallMs};

use super::{Promises, Stored, Verdict, broken};

/// How much of a delay is added to it at most.
const JITTER: u64 = 4;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 10)
}

/// The alarm of one object.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// By commit. Those that did nothing to it are missing; `None`: none is set from there on.
    changes: BTreeMap<u64, Option<AlarmView>>,
    /// What turns that run have done, by call; 0: a hook.
    deeds: BTreeMap<u64, Option<WallMs>>,
    /// The handler that runs: its call, and its alarm.
    running: Option<(u64, Tried)>,
    /// What an operator makes of it, until that is handed over.
    tended: Option<Option<AlarmView>>,
    /// The alarm whose handler has failed, until that is counted.
    failed: Option<Tried>,
    /// What the commit of a call is to do, which has ended and was kept.
    wanted: BTreeMap<u64, Option<Option<AlarmView>>>,
}

/// An alarm whose handler runs, or has failed, and what follows then.
type Tried = (AlarmView, AlarmSpec);

/// A handler is about to begin.
#[derive(Clone, Copy)]
pub(super) struct Fires {
    pub(super) call: u64,
    pub(super) alarm: AlarmView,
    pub(super) spec: AlarmSpec,
    pub(super) is_forced: bool,
}

/// Where a check stands.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) label: &'a str,
    /// The newest commit that is known to be on the disk. `None`: not known since the last crash.
    pub(super) stored: Option<u64>,
    /// The world's own wall clock.
    pub(super) wall: WallMs,
}

fn set_to(at: WallMs) -> impl Fn(&AlarmView) -> bool {
    move |view| (view.due, view.scheduled_at, view.retry_count) == (at, at, 0)
}

impl Alarms {
    /// The alarm that is set, as far as commits were handed over.
    fn newest(&self) -> Option<AlarmView> {
        self.changes.values().next_back().copied().flatten()
    }

    /// The alarm after a commit.
    fn after(&self, commit: u64) -> Option<AlarmView> {
        self.changes.range(..=commit).next_back().and_then(|(_, alarm)| *alarm)
    }

    /// The stored alarm, if it is due.
    pub(super) fn overdue(&self, Seen { stored, wall, .. }: Seen<'_>) -> Option<AlarmView> {
        self.after(stored?).filter(|alarm| alarm.due <= wall)
    }

    pub(super) fn dealt(&mut self, call: u64, at: Option<Option<WallMs>>) {
        match at {
            Some(at) => self.deeds.insert(call, at),
            None => self.deeds.remove(&call),
        };
    }

    pub(super) fn tended(&mut self, alarm: Option<AlarmView>) {
        self.tended = Some(alarm);
    }

    /// A handler is about to begin.
    pub(super) fn fires(
        &mut self,
        seen: Seen<'_>,
        Fires { call, alarm, spec, is_forced }: Fires,
    ) -> Verdict {
        let Seen { label, stored, wall } = seen;
        if self.newest() != Some(alarm) {
            let text = format!(
                "the alarm of {label} fires for {}, and what is set is {:?}",
                alarm.due,
                self.newest().map(|alarm| alarm.due)
            );
            return broken("P6", text);
        }
        if !is_forced && alarm.due > wall {
            let text = format!("the alarm of {label} fires at {wall}, and is due at {}", alarm.due);
            return broken("P6", text);
        }
        let set_by = self.changes.keys().next_back().copied().unwrap_or_default();
        if !is_forced && stored.is_none_or(|stored| set_by > stored) {
            let text = format!(
                "the alarm of {label} fires before commit {set_by}, which set it, is durable"
            );
            return broken("P6", text);
        }
        self.failed = None;
        self.running = Some((call, (alarm, spec)));
        Ok(())
    }

    pub(super) fn turn_ended(&mut self, call: u64, how: TurnEnd) {
        let deed = self.deeds.remove(&call);
        let before = self.newest();
        let is_handler = self.running.filter(|(running, _)| *running == call);
        if is_handler.is_some() {
            self.running = None;
        }
        if how != TurnEnd::Kept {
            if let (Some((_, tried)), TurnEnd::Rejected | TurnEnd::Panicked) = (is_handler, how) {
                self.failed = Some(tried);
            }
            return;
        }
        let changed = match (deed, is_handler) {
            (None, None) => None,
            (None, Some(_)) => Some(None),
            (Some(deed), handler) => match (deed, before) {
                (Some(at), Some(before)) if handler.is_none() && set_to(at)(&before) => None,
                (None, None) if handler.is_none() => None,
                (deed, _) => Some(deed),
            },
        };
        let view = |at| AlarmView::at(at);
        self.wanted.insert(call, changed.map(|at| at.map(view)));
    }

    /// A commit was handed over.
    pub(super) fn submitted(
        &mut self,
        seen: Seen<'_>,
        (commit, call): (u64, u64),
        change: Option<Option<AlarmView>>,
    ) -> Verdict {
        let label = seen.label;
        let verdict = match self.wanted.remove(&call) {
            _ if call == 0 => self.uncalled(seen, change),
            None if change.is_none() => Ok(()),
            Some(wanted) if wanted == change => Ok(()),
            wanted => broken(
                "P6",
                format!(
                    "commit {commit} of {label} makes {change:?} of its alarm, its turn made {:?}",
                    wanted.flatten()
                ),
            ),
        };
        if let Some(alarm) = change {
            self.changes.insert(commit, alarm);
        }
        verdict
    }

    /// A commit of no call: of a hook, or that counts a failure.
    fn uncalled(&mut self, seen: Seen<'_>, change: Option<Option<AlarmView>>) -> Verdict {
        let label = seen.label;
        let Some(alarm) = change else { return Ok(()) };
        if let Some(tended) = self.tended.take() {
            let text = format!(
                "an operator makes {tended:?} of the alarm of {label}, and {alarm:?} is stored"
            );
            return if tended == alarm { Ok(()) } else { broken("P6", text) };
        }
        if let Some(deed) = self.deeds.remove(&0) {
            let is_it = match (deed, alarm) {
                (Some(at), Some(alarm)) => set_to(at)(&alarm),
                (deed, alarm) => deed.is_none() && alarm.is_none(),
            };
            let text = format!("a hook of {label} leaves another alarm than is stored");
            return if is_it { Ok(()) } else { broken("P6", text) };
        }
        let Some((failed, spec)) = self.failed.take() else {
            let text = format!("the alarm of {label} becomes {alarm:?}, and no turn did that");
            return broken("P6", text);
        };
        // What it is after its last run is a dead letter.
        let Some(retry) = alarm else {
            return if failed.retry_count >= spec.retries {
                Ok(())
            } else {
                let text = format!(
                    "the alarm of {label} is given up after {} retries",
                    failed.retry_count
                );
                broken("P6", text)
            };
        };
        let delay_ms = ms(spec.delay) << failed.retry_count.min(9);
        let earliest = seen.wall.0 + delay_ms;
        let is_right = retry.scheduled_at == failed.scheduled_at
            && retry.retry_count == failed.retry_count + 1
            && (earliest..=earliest + delay_ms / JITTER + 1).contains(&retry.due.0);
        let text = format!("a failed alarm of {label}, {failed:?}, is tried again as {retry:?}");
        if is_right { Ok(()) } else { broken("P6", text) }
    }

    /// This is the last commit that there is.
    pub(super) fn loaded(&mut self, commit: u64) {
        self.changes.retain(|no, _| *no <= commit);
        self.deeds.clear();
        self.wanted.clear();
        (self.running, self.failed, self.tended) = (None, None, None);
    }

    /// Compares what is stored with what the commits up to the stored one did.
    pub(super) fn compare(&self, label: &str, stored: &Stored) -> Verdict {
        let Stored { commit, alarm, .. } = stored;
        let wanted = self.after(*commit);
        if wanted == *alarm {
            return Ok(());
        }
        broken(
            "P6",
            format!(
                "the alarm of {label} is stored as {alarm:?} at commit {commit}, and is {wanted:?}"
            ),
        )
    }
}

impl Promises {
    /// An alarm that is due, durable, and not used up, a schedule that is due, or a send.
    ///
    /// Gives the promise, and what breaks it.
    pub(crate) fn overdue(&self, wall: WallMs) -> Option<(&'static str, String)> {
        let overdue = self.overdue_alarm(wall).or_else(|| self.overdue_schedule(wall));
        let overdue = overdue.map(|text| ("P6", format!("{text}, and has not fired")));
        overdue.or_else(|| Some(("P7", self.overdue_send(wall)?)))
    }

    /// What is known of objects that can run what is due: one that cannot start, or does not run, waits.
    pub(super) fn startable(&self) -> impl Iterator<Item = &super::Watch> {
        let all = self.objects.iter();
        let startable =
            all.filter(|(id, watch)| !watch.is_unstartable && !self.wards.may_be_shut(id));
        startable.map(|(_, watch)| watch)
    }

    /// Whether an object can run what is due.
    pub(super) fn is_startable(&self, object: &durable::ObjectId) -> bool {
        let is_unstartable = self.objects.get(object).is_some_and(|watch| watch.is_unstartable);
        !is_unstartable && !self.may_be_shut(object)
    }

    fn overdue_alarm(&self, wall: WallMs) -> Option<String> {
        self.startable().find_map(|watch| {
            let seen = Seen { label: &watch.label, stored: watch.stored(), wall };
            let alarm = watch.alarms.overdue(seen)?;
            Some(format!("the alarm of {} is due since {}", watch.label, alarm.due))
        })
    }

    /// The runtime reports something about alarms, or nothing that is checked.
    pub(super) fn saw_alarm(&mut self, event: &Event<'_>) -> Verdict {
        let wall = self.wall;
        match *event {
            Event::AlarmDealt { object, call, at } => self.watch(object).alarms.dealt(call, at),
            Event::LetterTended { object, alarm } => self.watch(object).alarms.tended(alarm),
            Event::AlarmFires { object, call, alarm, spec, is_forced } => {
                let watch = self.watch(object);
                let seen = Seen { label: &watch.label, stored: watch.stored(), wall };
                return watch.alarms.fires(seen, Fires { call, alarm, spec, is_forced });
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen<'static> = Seen { label: "a.B(c)", stored: Some(1), wall: WallMs(100) };

    /// An alarm for `due` that commit 1 has set.
    fn set(due: u64) -> Alarms {
        let mut alarms = Alarms::default();
        alarms.dealt(5, Some(Some(WallMs(due))));
        alarms.turn_ended(5, TurnEnd::Kept);
        let change = Some(Some(AlarmView::at(WallMs(due))));
        alarms.submitted(SEEN, (1, 5), change).expect("it is what the turn did");
        alarms
    }

    fn fires(alarm: AlarmView, is_forced: bool) -> Fires {
        Fires { call: 6, alarm, spec: AlarmSpec::new(), is_forced }
    }

    fn says(verdict: Verdict, text: &str) {
        let failure = verdict.expect_err("it is broken").to_string();
        assert!(failure.contains("P6") && failure.contains(text), "{failure}");
    }

    #[test]
    fn an_alarm_that_fires_as_it_should_is_believed() {
        let mut alarms = set(100);
        let alarm = AlarmView::at(WallMs(100));
        assert_eq!(alarms.overdue(SEEN), Some(alarm));
        alarms.fires(SEEN, fires(alarm, false)).expect("it is due");
        alarms.turn_ended(6, TurnEnd::Kept);
        alarms.submitted(SEEN, (2, 6), Some(None)).expect("it is used up");
        assert_eq!(alarms.overdue(Seen { stored: Some(2), ..SEEN }), None);
    }

    #[test]
    fn an_alarm_that_fires_early_or_unset_or_undurable_is_caught() {
        says(set(101).fires(SEEN, fires(AlarmView::at(WallMs(101)), false)), "is due at");
        set(101).fires(SEEN, fires(AlarmView::at(WallMs(101)), true)).expect("it is forced");
        says(set(90).fires(SEEN, fires(AlarmView::at(WallMs(91)), false)), "what is set");
        let none = Seen { stored: Some(0), ..SEEN };
        says(set(90).fires(none, fires(AlarmView::at(WallMs(90)), false)), "is durable");
    }

    #[test]
    fn an_alarm_of_a_turn_that_failed_is_caught() {
        let mut alarms = Alarms::default();
        alarms.dealt(5, Some(Some(WallMs(7))));
        alarms.turn_ended(5, TurnEnd::Rejected);
        says(alarms.submitted(SEEN, (1, 0), Some(Some(AlarmView::at(WallMs(7))))), "no turn did");
    }

    #[test]
    fn a_handler_whose_re_arm_is_lost_is_caught() {
        let mut alarms = set(90);
        alarms.fires(SEEN, fires(AlarmView::at(WallMs(90)), false)).expect("it is due");
        alarms.dealt(6, Some(Some(WallMs(90))));
        alarms.turn_ended(6, TurnEnd::Kept);
        says(alarms.submitted(SEEN, (2, 6), Some(None)), "its turn made");
    }

    #[test]
    fn an_alarm_that_is_used_up_by_nobody_is_caught() {
        says(set(90).submitted(SEEN, (2, 0), Some(None)), "no turn did");
    }

    #[test]
    fn a_failure_that_is_miscounted_is_caught() {
        let failed = || {
            let mut alarms = set(90);
            alarms.fires(SEEN, fires(AlarmView::at(WallMs(90)), false)).expect("it is due");
            alarms.turn_ended(6, TurnEnd::Rejected);
            alarms
        };
        let retry = |due, retry_count| {
            let mut view = AlarmView::at(WallMs(90));
            (view.due, view.retry_count) = (WallMs(due), retry_count);
            Some(Some(view))
        };
        failed().submitted(SEEN, (2, 0), retry(2_200, 1)).expect("as it should be");
        says(failed().submitted(SEEN, (2, 0), retry(2_200, 0)), "is tried again");
        says(failed().submitted(SEEN, (2, 0), retry(2_000, 1)), "is tried again");
        says(failed().submitted(SEEN, (2, 0), Some(None)), "given up");
    }
}
