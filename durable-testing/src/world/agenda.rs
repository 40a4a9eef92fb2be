//! What is due when: the one queue that the order of everything in a world comes from.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::World;
use crate::chance::Stream;

/// Something that happens at its time, on the world's thread, when every task is idle.
pub(crate) type Act = Box<dyn FnOnce(&Arc<World>) + Send>;

/// All that is due later. Of what is due at one instant, chance says what comes first.
pub(crate) struct Agenda {
    due: BinaryHeap<Due>,
    count: u64,
    chance: Stream,
    /// Longest time that something takes which takes a little, in nanoseconds: drawn once, so that some worlds are
    /// crowded and some are calm.
    spread_ns: u64,
}

struct Due {
    at_ns: u64,
    tie: u64,
    /// Makes the order total.
    number: u64,
    /// Whether anybody still wants it. It is looked at before time moves on to it.
    is_wanted: Option<Box<dyn Fn() -> bool + Send>>,
    act: Act,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |due: &Due| (due.at_ns, due.tie, due.number);
        key(other).cmp(&key(self))
    }
}

impl Agenda {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Stream::new(seed, 11);
        let spread_ns =
            [2_000, 50_000, 1_000_000][usize::try_from(chance.below(3)).expect("small")];
        Agenda { due: BinaryHeap::new(), count: 0, chance, spread_ns }
    }

    /// A short time: usually below the world's spread, now and then much longer.
    pub(crate) fn a_little_ns(&mut self) -> u64 {
        match self.chance.below(32) {
            0 => self.chance.below(self.spread_ns * 20),
            1..=3 => 0,
            _ => self.chance.below(self.spread_ns),
        }
    }

    pub(crate) fn push(
        &mut self,
        at_ns: u64,
        is_wanted: Option<Box<dyn Fn() -> bool + Send>>,
        act: Act,
    ) {
        self.count += 1;
        let (tie, number) = (self.chance.draw(), self.count);
        self.due.push(Due { at_ns, tie, number, is_wanted, act });
    }

    /// When the next thing is due that somebody wants. `None`: nothing is.
    pub(crate) fn next_ns(&mut self) -> Option<u64> {
        while let Some(due) = self.due.peek() {
            if due.is_wanted.as_ref().is_none_or(|is_wanted| is_wanted()) {
                return Some(due.at_ns);
            }
            self.due.pop();
        }
        None
    }

    pub(crate) fn pop(&mut self) -> Option<Act> {
        self.due.pop().map(|due| due.act)
    }
}
