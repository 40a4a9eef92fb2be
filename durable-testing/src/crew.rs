//! Those who call: clients of a test, each with chances of its own.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use parking_lot::Mutex;

use crate::chance::Stream;
use crate::sim::Sim;

/// Salt of what clients draw from.
const CLIENTS: u64 = 0x636c_6965_6e74;

/// One who calls, among those of [`Sim::clients`].
pub struct Crew {
    sim: Sim,
    number: u64,
    chance: Mutex<Stream>,
}

impl Crew {
    pub(crate) fn new(sim: Sim, number: u64) -> Self {
        let seed = sim.seed();
        Crew { sim, number, chance: Mutex::new(Stream::new(seed ^ CLIENTS, number)) }
    }

    /// Which of the clients it is, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The world that it is in.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// A number in `range`, each as likely as any other.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn int(&self, range: Range<u64>) -> u64 {
        assert!(!range.is_empty(), "no number is in {range:?}");
        range.start + self.chance.lock().below(range.end - range.start)
    }

    /// Whether a chance of `percent` in a hundred comes true.
    pub fn chance(&self, percent: u64) -> bool {
        self.int(0..100) < percent
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'c, T>(&self, choices: &'c [T]) -> &'c T {
        let index = self.int(0..choices.len() as u64);
        &choices[usize::try_from(index).expect("it is the place of one of them")]
    }

    /// Two different ones of `choices`.
    ///
    /// # Panics
    /// If there are fewer than two.
    pub fn pick_two<'c, T>(&self, choices: &'c [T]) -> (&'c T, &'c T) {
        let count = choices.len() as u64;
        let first = self.int(0..count);
        let second = (first + self.int(1..count)) % count;
        let at = |index| &choices[usize::try_from(index).expect("it is the place of one of them")];
        (at(first), at(second))
    }

    /// Waits for a time below `longest`.
    pub async fn sleep(&self, longest: Duration) {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.sim.advance(Duration::from_nanos(self.int(0..nanos))).await;
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("number", &self.number).finish_non_exhaustive()
    }
}
