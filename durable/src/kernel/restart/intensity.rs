//! How often a supervisor has restarted lately, and whether that is too often.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::MonoNs;

/// The budget of restarts.
///
/// # Source
/// OTP's list of times. Ours counts nanoseconds where OTP's counts whole seconds.
#[derive(Debug)]
pub(crate) struct Intensity {
    max: u32,
    period: Duration,
    /// The restarts of the last period, oldest first; never more than `max` and one.
    times: VecDeque<MonoNs>,
}

impl Intensity {
    pub(crate) fn new(max: u32, period: Duration) -> Self {
        Intensity { max, period, times: VecDeque::new() }
    }

    /// Counts a restart. Gives whether it may be made. One that is exactly a period old still counts.
    pub(crate) fn add(&mut self, now: MonoNs) -> bool {
        let period = self.period;
        while self.times.front().is_some_and(|time| now - *time > period) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.times.len() <= self.max as usize
    }

    /// How many may be made, and in which time.
    pub(crate) fn bound(&self) -> (u32, Duration) {
        (self.max, self.period)
    }

    /// Restarts that the last one was counted with, itself included.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.times.len()).expect("one more than a u32 is never kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn a_restart_counts_up_to_the_periods_edge_and_not_beyond() {
        let second = Duration::from_secs(1);
        let mut edge = Intensity::new(1, second);
        assert!(edge.add(at(0)));
        assert!(!edge.add(at(1_000)), "exactly a period later the first still counts");
        let mut beyond = Intensity::new(1, second);
        assert!(beyond.add(at(0)));
        assert!(beyond.add(MonoNs(1_000_000_001)), "a nanosecond later it does not");
        assert_eq!(beyond.count(), 1);
    }

    #[test]
    fn an_intensity_of_zero_allows_nothing() {
        assert!(!Intensity::new(0, Duration::from_secs(9)).add(at(0)));
    }
}
