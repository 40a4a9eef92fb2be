//! P11 by what a class says: no object takes more calls in a time than its rate, no class has more under way than it may, nobody
//! who waits for room is overtaken, and nobody is turned away where there is room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use durable::host::Event;
use durable::{Code, Error, ObjectId, Rate};

use super::{Verdict, broken};

/// Calls of an object that are remembered: what came before them was in a window of its own.
const REMEMBERED_MAX: usize = 256;

/// Up to so much room in an inbox it is known at any moment who takes it up; a longer one is looked through now and then.
const ROOM_KNOWN_MAX: usize = 64;

/// With so many calls before it, one that has little time may be turned away although there is room.
const CROWD: usize = 8;

/// What is known of classes and objects that are bounded.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// When calls came to objects that have a rate, in nanoseconds.
    came: BTreeMap<ObjectId, VecDeque<u64>>,
    /// Classes that bound what is under way, with how many may be.
    classes: BTreeMap<&'static str, u32>,
    /// Calls of these classes whose turns run.
    running: BTreeMap<u64, &'static str>,
    /// Classes of calls that were sent.
    sent: BTreeMap<u64, &'static str>,
    /// Calls of each object that wait for room, in the order in which they were made; those of turns do not wait for it.
    lines: BTreeMap<ObjectId, VecDeque<u64>>,
    /// Calls of turns.
    inside: BTreeSet<u64>,
    /// Objects of calls that were sent from outside of turns.
    aims: BTreeMap<u64, ObjectId>,
    /// Calls of each object that are queued there and have not begun.
    waiting: BTreeMap<ObjectId, BTreeSet<u64>>,
    /// How many calls may wait at an object. `None`: none has waited.
    room: Option<usize>,
}

impl Bounds {
    /// Nothing of the node's memory is left.
    pub(super) fn crashed(&mut self) {
        *self = Bounds::default();
    }

    /// The runtime reports something. `now_ns`: since the world began.
    pub(super) fn saw(&mut self, now_ns: u64, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Sent { object, class, call, within, from, is_patient, .. } => {
                self.sent.insert(call, class);
                if within.is_some() || from.is_some() {
                    self.inside.insert(call);
                } else {
                    self.aims.insert(call, *object);
                }
                if is_patient && !self.inside.contains(&call) {
                    self.lines.entry(*object).or_default().push_back(call);
                }
            }
            Event::Queued { object, call, rate, class_max, waiting_max, .. } => {
                self.gets_room(object, call)?;
                self.waiting.entry(*object).or_default().insert(call);
                self.room = Some(self.room.map_or(waiting_max, |room| room.min(waiting_max)));
                if let (Some(max), Some(class)) = (class_max, self.sent.get(&call)) {
                    self.classes.insert(class, max);
                }
                return rate.map_or(Ok(()), |rate| self.comes(object, rate, now_ns));
            }
            // With the object's place goes what is left of its rate.
            Event::Gone { object, .. } => drop(self.came.remove(object)),
            Event::TurnBegan { object, call, .. } => {
                self.no_longer_waits(object, call);
                return self.begins(call);
            }
            Event::Skipped { object, call } => {
                self.no_longer_waits(object, call);
                if let Some(line) = self.lines.get_mut(object) {
                    line.retain(|other| *other != call);
                }
            }
            Event::TurnEnded { call, .. } => drop(self.running.remove(&call)),
            Event::Answered { call, outcome } => {
                let turned_away =
                    outcome.err().map_or(Ok(()), |error| self.turned_away(call, error));
                self.is_over(call);
                return turned_away;
            }
            Event::Abandoned { call } => self.is_over(call),
            _ => {}
        }
        Ok(())
    }

    fn is_over(&mut self, call: u64) {
        self.sent.remove(&call);
        self.inside.remove(&call);
        self.lines.values_mut().for_each(|line| line.retain(|other| *other != call));
        match self.aims.remove(&call) {
            Some(object) => self.no_longer_waits(&object, call),
            None => {
                self.waiting.values_mut().for_each(|calls| calls.retain(|other| *other != call))
            }
        }
    }

    fn no_longer_waits(&mut self, object: &ObjectId, call: u64) {
        if let Some(calls) = self.waiting.get_mut(object) {
            calls.remove(&call);
        }
    }

    /// A call that an object has no room for finds as many before it as may wait, or those who came before and wait for room.
    fn turned_away(&self, call: u64, error: &Error) -> Verdict {
        let (Some(object), Some(room)) = (self.aims.get(&call), self.room) else { return Ok(()) };
        if !error.is(Code::ObjectOverloaded) || room > ROOM_KNOWN_MAX {
            return Ok(());
        }
        let there = self.waiting.get(object).map_or(0, BTreeSet::len);
        let has_line = self.lines.get(object).is_some_and(|line| !line.is_empty());
        if there < room.min(CROWD) && !has_line {
            let text = format!(
                "call #{call} is turned away from {object}, where {there} calls wait and {room} may: {error}"
            );
            return broken("P11", text);
        }
        Ok(())
    }

    /// Whoever waits for room is before all who came later.
    fn gets_room(&mut self, object: &ObjectId, call: u64) -> Verdict {
        let Some(line) = self.lines.get_mut(object) else { return Ok(()) };
        // One that leaves its turn only when its time is over comes, too, and nobody waits for it.
        if self.inside.contains(&call) || !self.sent.contains_key(&call) {
            return Ok(());
        }
        match line.front() {
            Some(first) if *first == call => drop(line.pop_front()),
            Some(first) => {
                let text =
                    format!("call #{call} gets room at {object} before #{first}, which waits");
                return broken("P11", text);
            }
            None => {}
        }
        Ok(())
    }

    /// In no window there are more calls than may come at once, and than come in evenly meanwhile.
    fn comes(&mut self, object: &ObjectId, rate: Rate, now_ns: u64) -> Verdict {
        let came = self.came.entry(*object).or_default();
        came.push_back(now_ns);
        if came.len() > REMEMBERED_MAX {
            came.pop_front();
        }
        for (index, from) in came.iter().enumerate() {
            let evenly = u128::from(now_ns - from) * u128::from(rate.calls);
            let most = u128::from(rate.burst) + evenly / rate.period.as_nanos();
            let there = came.len() - index;
            if there as u128 > most {
                let time = now_ns - from;
                let text =
                    format!("{there} calls came to {object} in {time} ns, at most {most} may");
                return broken("P11", text);
            }
        }
        Ok(())
    }

    /// Calls of turns that wait for room take more than there is, and are not counted.
    fn begins(&mut self, call: u64) -> Verdict {
        if self.inside.contains(&call) {
            return Ok(());
        }
        let Some(class) = self.sent.get(&call).copied() else { return Ok(()) };
        let Some(max) = self.classes.get(class).copied() else { return Ok(()) };
        self.running.insert(call, class);
        let running = self.running.values().filter(|other| **other == class).count();
        if running > max as usize {
            let text =
                format!("{running} turns of {class} run, at most {max} calls may be under way");
            return broken("P11", text);
        }
        Ok(())
    }
}
