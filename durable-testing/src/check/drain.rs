//! What a shutdown may do, checked on every one: no call from outside is let in any more, turns and tasks that have not
//! ended when its time is over are cut off and named, nothing else is, what a turn has changed that has not ended is not
//! handed over, it comes to its end, and nothing runs afterwards.
//!
//! It follows turns and tasks by itself. That what was answered is stored is checked with the [promises](super::promises)
//! when the node starts again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use durable::host::Event;
use durable::{Code, CutOff, Error, ObjectId};

use crate::failure::Failure;

type Verdict = Result<(), Failure>;

/// How long a shutdown may go on after it has cut off what did not end: its grace, and the last words with the disk.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// The shutdowns of a node.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Turns that run, by call. Hooks have none, and are not followed.
    turns: BTreeMap<u64, Turn>,
    /// Schedules that have fired and whose runs have not begun, by call.
    fired: BTreeMap<u64, String>,
    /// Tasks that run, by their paths and runs.
    tasks: BTreeSet<(String, u64)>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Turn {
    object: ObjectId,
    method: &'static str,
    /// `None`: it is no run of a schedule.
    schedule: Option<String>,
    /// Its activation has gone with it when its time was over.
    is_cut: bool,
}

impl Turn {
    fn is_named(&self, cut: &CutOff) -> bool {
        let own = (&self.object, self.method, self.schedule.as_deref());
        matches!(cut, CutOff::Turn { id, method, schedule, .. }
            if (id, *method, schedule.as_deref()) == own)
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    /// Nobody wants the node to end.
    #[default]
    Up,
    /// It is to end: since when, and until when turns have time, in nanoseconds.
    Stopping { began: u64, deadline: u64 },
    /// It says that it has ended.
    Ended,
}

fn broken(text: String) -> Verdict {
    Err(Failure::new("drain", text))
}

impl Drain {
    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        *self = Drain::default();
    }

    /// The node was asked to end, and turns have until `deadline`.
    pub(crate) fn stopping(&mut self, now: u64, deadline: u64) {
        self.phase = Phase::Stopping { began: now, deadline };
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, now: u64, event: &Event<'_>) -> Verdict {
        if matches!(self.phase, Phase::Ended) {
            return self.saw_afterwards(event);
        }
        let is_over = matches!(self.phase, Phase::Stopping { deadline, .. } if now >= deadline);
        match *event {
            Event::Sent { from: None, args: None, method, .. }
                if matches!(self.phase, Phase::Stopping { .. }) =>
            {
                let method = method.name;
                return broken(format!("a call of `{method}` is let in by a node that is to end"));
            }
            Event::ScheduleFires { call, schedule, run: Some(_), .. } => {
                self.fired.insert(call, schedule.name.clone());
            }
            Event::TurnBegan { object, call, method, .. } if call > 0 => {
                let (object, method) = (*object, method.name);
                let schedule = self.fired.remove(&call);
                self.turns.insert(call, Turn { object, method, schedule, is_cut: false });
            }
            Event::TurnEnded { call, .. } => drop(self.turns.remove(&call)),
            Event::Submitted { object, .. } => {
                let runs = |turn: &&Turn| turn.object == *object && !turn.is_cut;
                if let Some(turn) = self.turns.values().find(runs) {
                    return broken(format!("{turn:?} has not ended, and its object is stored"));
                }
            }
            Event::Gone { object, .. } if is_over => {
                let turns = self.turns.values_mut().filter(|turn| turn.object == *object);
                turns.for_each(|turn| turn.is_cut = true);
            }
            Event::Gone { object, .. } => self.turns.retain(|_, turn| turn.object != *object),
            Event::TaskBegan { supervisor, child, incarnation } => {
                self.tasks.insert((format!("{supervisor}/{child}"), incarnation));
            }
            // It was cut off, if it ends then.
            Event::TaskEnded { supervisor, child, incarnation } if !is_over => {
                self.tasks.remove(&(format!("{supervisor}/{child}"), incarnation));
            }
            _ => {}
        }
        Ok(())
    }

    fn saw_afterwards(&self, event: &Event<'_>) -> Verdict {
        match event {
            Event::TurnBegan { .. }
            | Event::TurnEnded { .. }
            | Event::Submitted { .. }
            | Event::TaskBegan { .. } => {
                broken(format!("the node has shut down, and goes on with {}", event.point()))
            }
            _ => Ok(()),
        }
    }

    /// The shutdown says that it is over.
    pub(crate) fn ended(&mut self, now: u64, how: &Result<(), Error>) -> Verdict {
        let Phase::Stopping { began, deadline } = std::mem::replace(&mut self.phase, Phase::Ended)
        else {
            return broken("the node has shut down, and nobody asked for it".to_owned());
        };
        let took = Duration::from_nanos(now - began);
        let given = Duration::from_nanos(deadline - began);
        if took > given + AFTERWARDS {
            return broken(format!("the shutdown took {took:?}, and its turns had {given:?}"));
        }
        let cut = match how {
            Ok(()) => &[],
            Err(error) if error.is(Code::ShutdownCut) => error.cut(),
            Err(error) => return broken(format!("the shutdown fails: {error}")),
        };
        if how.is_err() && (took < given || cut.is_empty()) {
            let text = format!("the shutdown has cut off {cut:?} after {took:?} of {given:?}");
            return broken(text);
        }
        self.named(cut)
    }

    /// What was cut off is what is named.
    fn named(&self, cut: &[CutOff]) -> Verdict {
        for turn in self.turns.values() {
            let is_named = cut.iter().any(|cut| match cut {
                CutOff::Turn { .. } => turn.is_named(cut),
                // The handler of an alarm is no method.
                CutOff::Activation { id, .. } => {
                    *id == turn.object && turn.method.starts_with("#[")
                }
                _ => false,
            });
            if !is_named {
                return broken(format!("{turn:?} has not ended, and is not in {cut:?}"));
            }
        }
        for (path, run) in &self.tasks {
            let is_named = cut.iter().any(|cut| {
                matches!(cut, CutOff::Task { path: named, incarnation, .. }
                    if named == path && incarnation == run)
            });
            if !is_named {
                return broken(format!("task {path} has not ended, and is not in {cut:?}"));
            }
        }
        let has_run = |cut: &CutOff| match cut {
            CutOff::Turn { .. } => self.turns.values().any(|turn| turn.is_named(cut)),
            CutOff::Task { path, incarnation, .. } => {
                self.tasks.contains(&(path.clone(), *incarnation))
            }
            _ => true,
        };
        match cut.iter().find(|cut| !has_run(cut)) {
            None => Ok(()),
            Some(cut) => broken(format!("{cut} is said to be cut off, and did not run")),
        }
    }
}
