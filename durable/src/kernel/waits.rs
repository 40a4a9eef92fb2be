//! Who waits for whom among turns that call objects: finds the call that would wait for itself.
//!
//! A turn comes here with its first call, and is known by a number that is never given twice. An object whose running turn
//! is not here waits for nobody, so no circle leads through it. A circle can only be closed by a new call: whatever else
//! happens takes a wait away, or turns one for all that runs at an object into one for a single turn.

use std::collections::{BTreeMap, VecDeque};

use crate::class::Access;
use crate::id::ObjectId;

/// The number of a turn, from 1.
pub(crate) type TurnNo = u64;

/// A call that a turn waits for: the turn, and a number that is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaitNo {
    from: TurnNo,
    number: u64,
}

/// All turns that have called something, and what they wait for.
#[derive(Debug, Default)]
pub(crate) struct WaitGraph {
    turns: BTreeMap<TurnNo, Running>,
    /// The turns of each object that has any here, in the order in which they came.
    at: BTreeMap<ObjectId, Vec<TurnNo>>,
    waits: BTreeMap<WaitNo, Wait>,
    /// The last number that was given to a turn or a call.
    last: u64,
}

/// A turn that runs on an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub(crate) object: ObjectId,
    pub(crate) access: Access,
    pub(crate) method: &'static str,
    /// The call that it is the turn of. `None`: no turn waits for that.
    pub(crate) serves: Option<WaitNo>,
}

/// A call that a turn makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) object: ObjectId,
    pub(crate) access: Access,
    pub(crate) method: &'static str,
    /// It is a read that may overtake writes that wait, if they would otherwise wait for each other.
    pub(crate) is_reentrant: bool,
    /// Something that runs alone is to begin before it.
    pub(crate) is_behind_write: bool,
}

/// How a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// In the queue, behind what came before.
    Waits(WaitNo),
    /// Before everything in the queue: a turn that runs beside it waits for it.
    Overtakes(WaitNo),
    /// The turn has ended, so nobody waits for the call.
    Unwanted,
}

/// A step of a chain of calls: a turn, or a call that waits behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) object: ObjectId,
    pub(crate) method: &'static str,
    /// The method of the same object that it waits for. `None`: it runs, or is the call that closes the circle.
    pub(crate) behind: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    object: ObjectId,
    access: Access,
    method: &'static str,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued {
        is_behind_write: bool,
    },
    /// Its turn runs, or has ended. `None`: that waits for nobody.
    Begun(Option<TurnNo>),
}

impl WaitGraph {
    /// A turn is about to make its first call.
    pub(crate) fn enter(&mut self, turn: Running) -> TurnNo {
        self.last += 1;
        let number = self.last;
        if let Some(wait) = turn.serves.and_then(|serves| self.waits.get_mut(&serves)) {
            wait.phase = Phase::Begun(Some(number));
        }
        self.at.entry(turn.object).or_default().push(number);
        self.turns.insert(number, turn);
        number
    }

    /// A turn has ended, and with it all that it waits for.
    pub(crate) fn leave(&mut self, turn: TurnNo) {
        let Some(Running { object, .. }) = self.turns.remove(&turn) else { return };
        let waits: Vec<_> = self.waits_of(turn).map(|(wait, _)| *wait).collect();
        for wait in waits {
            self.waits.remove(&wait);
        }
        let turns = self.at.get_mut(&object).expect("a turn is at its object");
        turns.retain(|other| *other != turn);
        if turns.is_empty() {
            self.at.remove(&object);
        }
    }

    /// A turn makes a call, which is about to be queued.
    ///
    /// # Errors
    /// The chain of calls that leads back to it, if it would wait for itself.
    pub(crate) fn call(&mut self, from: TurnNo, asked: Asked) -> Result<Entered, Vec<Link>> {
        if !self.turns.contains_key(&from) {
            return Ok(Entered::Unwanted);
        }
        let Asked { object, access, method, is_reentrant, is_behind_write } = asked;
        let phase = Phase::Queued { is_behind_write };
        let wait = Wait { object, access, method, phase };
        let Some(chain) = self.chain(from, &wait) else {
            return Ok(Entered::Waits(self.add(from, wait)));
        };
        // If a read runs there no write does, and only the order of the queue is in the way of one more.
        let first = self.turns[chain.first().expect("a circle has a turn")];
        let beside = Wait { phase: Phase::Queued { is_behind_write: false }, ..wait };
        let is_sound = access == Access::Read && first.access == Access::Read;
        if is_reentrant && is_sound && self.chain(from, &beside).is_none() {
            return Ok(Entered::Overtakes(self.add(from, beside)));
        }
        Err(self.links(&chain, &wait))
    }

    fn add(&mut self, from: TurnNo, wait: Wait) -> WaitNo {
        self.last += 1;
        let number = WaitNo { from, number: self.last };
        self.waits.insert(number, wait);
        number
    }

    fn waits_of(&self, from: TurnNo) -> impl Iterator<Item = (&WaitNo, &Wait)> {
        let (first, last) = (WaitNo { from, number: 0 }, WaitNo { from, number: u64::MAX });
        self.waits.range(first..=last)
    }

    /// Nothing that runs alone is before the call any more.
    pub(crate) fn comes_next(&mut self, wait: WaitNo) {
        if let Some(Wait { phase: Phase::Queued { is_behind_write }, .. }) =
            self.waits.get_mut(&wait)
        {
            *is_behind_write = false;
        }
    }

    /// The call was taken from its queue.
    pub(crate) fn begun(&mut self, wait: WaitNo) {
        if let Some(wait) = self.waits.get_mut(&wait) {
            wait.phase = Phase::Begun(None);
        }
    }

    /// The call has its answer, or nobody wants it any more.
    pub(crate) fn over(&mut self, wait: WaitNo) {
        self.waits.remove(&wait);
    }

    /// Nothing runs that calls.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.waits.is_empty() && self.at.is_empty()
    }

    /// The turns that must end before a call can.
    fn ends_before(&self, wait: &Wait) -> Vec<TurnNo> {
        let runs = |turn: &TurnNo| self.turns.contains_key(turn);
        match wait.phase {
            Phase::Begun(turn) => turn.into_iter().filter(runs).collect(),
            Phase::Queued { is_behind_write } => {
                let is_alone = wait.access == Access::Write || is_behind_write;
                let is_awaited =
                    |turn: &TurnNo| is_alone || self.turns[turn].access == Access::Write;
                let there = self.at.get(&wait.object).into_iter().flatten().copied();
                there.filter(is_awaited).collect()
            }
        }
    }

    /// The shortest chain of turns, each of which waits for the next, from one that `wait` waits for to the one that makes
    /// it.
    fn chain(&self, from: TurnNo, wait: &Wait) -> Option<Vec<TurnNo>> {
        // Of each turn that is found: which turn waits for it. 0: the new call does.
        let mut found = BTreeMap::new();
        let mut next = VecDeque::new();
        for turn in self.ends_before(wait) {
            found.insert(turn, 0);
            next.push_back(turn);
        }
        while let Some(turn) = next.pop_front() {
            if turn == from {
                let above = |turn: &TurnNo| Some(found[turn]).filter(|turn| *turn > 0);
                let mut chain: Vec<_> = std::iter::successors(Some(turn), above).collect();
                chain.reverse();
                return Some(chain);
            }
            for (_, other) in self.waits_of(turn) {
                for awaited in self.ends_before(other) {
                    found.entry(awaited).or_insert_with(|| {
                        next.push_back(awaited);
                        turn
                    });
                }
            }
        }
        None
    }

    /// A chain as people read it, from the turn that `last` waits for to `last`.
    fn links(&self, chain: &[TurnNo], last: &Wait) -> Vec<Link> {
        let mut links = Vec::new();
        let mut before = 0;
        for turn in chain {
            let Running { object, method, .. } = self.turns[turn];
            let mut link = Link { object, method, behind: None };
            let call =
                self.waits_of(before).find(|(_, wait)| self.ends_before(wait).contains(turn));
            if let Some((_, Wait { method: called, phase: Phase::Queued { .. }, .. })) = call {
                link = Link { object, method: called, behind: Some(method) };
            }
            links.push(link);
            before = *turn;
        }
        links.push(Link { object: last.object, method: last.method, behind: None });
        links
    }
}

#[cfg(test)]
mod tests;
