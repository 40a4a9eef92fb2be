//! What objects that own objects may do, checked on every run: no child is in memory without its parent, and hooks hear of
//! the ends that there were, once.
//!
//! Whom a crash restarts, and in which order children go, is checked where [supervisors](super::supervision) are: an object
//! with children is one. That a deletion takes all below along is checked with the [promises](super::promises).

use std::collections::{BTreeMap, BTreeSet};

use durable::ObjectId;
use durable::host::{Event, TurnEnd};

use crate::failure::Failure;

type Verdict = Result<(), Failure>;

/// The objects of a node that own objects, or watch some.
#[derive(Debug, Default)]
pub(crate) struct Families {
    /// In memory.
    here: BTreeSet<ObjectId>,
    /// Children in memory: their parents, and as which run.
    joined: BTreeMap<ObjectId, (ObjectId, u64)>,
    /// The parents of all that have any, in memory or not.
    owners: BTreeMap<ObjectId, ObjectId>,
    /// In memory, and have crashed.
    failing: BTreeSet<ObjectId>,
    /// Parent, child and run of those that have gone like that, and that nobody was told of.
    untold: BTreeSet<(ObjectId, ObjectId, u64)>,
    /// Objects that have ended at some time, by a crash or for good.
    ended: BTreeSet<ObjectId>,
}

fn broken(text: String) -> Verdict {
    Err(Failure::new("family", text))
}

impl Families {
    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        let owners = std::mem::take(&mut self.owners);
        *self = Families { owners, ..Families::default() };
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Activating { object, .. } => {
                self.here.insert(*object);
                Ok(())
            }
            Event::Joined { object, parent, run } => self.join(object, parent, run),
            Event::Died { object, .. } => {
                self.failing.insert(*object);
                Ok(())
            }
            Event::TurnEnded { object, ended: TurnEnd::Erased, .. } => {
                self.ended.insert(*object);
                Ok(())
            }
            Event::Submitted { object, erases: true, .. } => {
                self.ended.insert(*object);
                match self.joined.iter().find(|(_, (parent, _))| parent == object) {
                    None => Ok(()),
                    Some((child, _)) => {
                        broken(format!("{object} is erased while its child {child} is in memory"))
                    }
                }
            }
            Event::TurnBegan { object, .. } => match self.owners.get(object) {
                Some(parent) if !self.joined.contains_key(object) => {
                    broken(format!("{object} runs a turn without its parent {parent}"))
                }
                _ => Ok(()),
            },
            Event::Gone { object, .. } => self.go(object),
            Event::Heard { object, about, run } => self.hear(object, about, run),
            _ => Ok(()),
        }
    }

    fn join(&mut self, object: &ObjectId, parent: &ObjectId, run: u64) -> Verdict {
        if !self.here.contains(parent) {
            return broken(format!("{object} comes below {parent}, which is not in memory"));
        }
        self.owners.insert(*object, *parent);
        if let Some((_, other)) = self.joined.insert(*object, (*parent, run)) {
            return broken(format!("{object} comes as run {run} while run {other} is there"));
        }
        Ok(())
    }

    fn go(&mut self, object: &ObjectId) -> Verdict {
        self.here.remove(object);
        let has_failed = self.failing.remove(object);
        if has_failed {
            self.ended.insert(*object);
        }
        if let Some((parent, run)) = self.joined.remove(object)
            && has_failed
        {
            self.untold.insert((parent, *object, run));
        }
        let orphan = self.joined.iter().find(|(_, (parent, _))| parent == object);
        if let Some((orphan, _)) = orphan {
            return broken(format!("{object} leaves memory while its child {orphan} is there"));
        }
        // What its activation was not told it is never told.
        self.untold.retain(|(parent, ..)| parent != object);
        Ok(())
    }

    fn hear(&mut self, object: &ObjectId, about: &ObjectId, run: u64) -> Verdict {
        if run == 0 {
            return match self.ended.contains(about) {
                true => Ok(()),
                false => {
                    broken(format!("{object} hears of the end of {about}, which has not ended"))
                }
            };
        }
        if self.untold.remove(&(*object, *about, run)) {
            return Ok(());
        }
        broken(format!(
            "{object} hears of the end of run {run} of its child {about}, which has not crashed, or was told"
        ))
    }
}
