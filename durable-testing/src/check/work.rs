//! Work that turns spawn, checked on every run: none begins for a turn that was undone, or before everything is durable that its
//! turn did or may have seen, and none is left when its object comes into memory again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use durable::ObjectId;
use durable::host::{Event, TurnEnd};

use crate::failure::Failure;

type Verdict = Result<(), Failure>;

/// The turns of a node that have ended, and the work that is under way.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// By call.
    turns: BTreeMap<u64, Turn>,
    /// The newest commit of each object, by shard and place in its order.
    newest: BTreeMap<ObjectId, (u16, u64)>,
    /// Commits that are durable.
    durable: BTreeSet<(u16, u64)>,
    running: BTreeMap<ObjectId, BTreeSet<u64>>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    object: ObjectId,
    ended: TurnEnd,
    /// The newest commit that it may have seen, or its own. `None`: its object had none.
    sees: Option<(u16, u64)>,
}

fn broken(text: String) -> Verdict {
    Err(Failure::promise("work", text))
}

impl Work {
    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        *self = Work::default();
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, event: &Event<'_>) -> Verdict {
        match *event {
            Event::TurnEnded { object, call, ended, .. } => {
                let sees = self.newest.get(object).copied();
                self.turns.insert(call, Turn { object: *object, ended, sees });
            }
            Event::Submitted { object, call, shard, place, .. } => {
                self.newest.insert(*object, (shard, place));
                if let Some(turn) = self.turns.get_mut(&call) {
                    turn.sees = Some((shard, place));
                }
            }
            Event::Settled { shard, place, is_durable: true } => {
                self.durable.insert((shard, place));
            }
            // The commits of the one before are settled, whatever became of them.
            Event::Activating { object, .. } => {
                self.newest.remove(object);
                if let Some(work) = self.running.get(object).filter(|work| !work.is_empty()) {
                    return broken(format!(
                        "work {work:?} of {object} is under way, and the activation is over that it is of"
                    ));
                }
            }
            Event::WorkBegan { object, call, work } => return self.began(object, call, work),
            // Of what no turn has done nothing is to be durable.
            Event::FramesLeave { call: 0, .. } => {}
            Event::FramesLeave { object, call } => {
                let name = format_args!("what {object} sends to sockets");
                return self.comes_after(object, call, name, &[TurnEnd::Kept, TurnEnd::Erased]);
            }
            Event::WorkEnded { object, work } => {
                if let Some(running) = self.running.get_mut(object) {
                    running.remove(&work);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn began(&mut self, object: &ObjectId, call: u64, work: u64) -> Verdict {
        self.running.entry(*object).or_default().insert(work);
        let name = format_args!("work {work} of {object}");
        self.comes_after(object, call, name, &[TurnEnd::Kept])
    }

    /// What a turn has left to be done begins, if the turn was kept and what it did and may have seen is durable.
    fn comes_after(
        &self,
        object: &ObjectId,
        call: u64,
        name: fmt::Arguments<'_>,
        ends: &[TurnEnd],
    ) -> Verdict {
        let Some(turn) = self.turns.get(&call).filter(|turn| turn.object == *object) else {
            return broken(format!("{name} begins, and no turn has spawned it"));
        };
        if !ends.contains(&turn.ended) {
            return broken(format!("{name} begins, and its turn, of call #{call}, was undone"));
        }
        match turn.sees {
            Some(place) if !self.durable.contains(&place) => {
                broken(format!("{name} begins, and its turn, of call #{call}, is not durable"))
            }
            _ => Ok(()),
        }
    }
}
