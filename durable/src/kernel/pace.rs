//! How fast an object serves the calls that wait for it, and whether one more would be served in time.
//!
//! It is measured only while calls wait, and forgotten soon after: what was slow yesterday says nothing of today. Whatever is
//! not certain is taken for fast, because a call that is refused could perhaps have been served.

use std::time::Duration;

use crate::limits::{
    PACE_KEPT, PACE_LOOK_EVERY, PACE_SAMPLES_MIN, PACE_TIME, PACE_TURNS_MIN, PACE_WAITING_MIN,
    TURNS_PER_SLICE,
};
use crate::time::MonoNs;

/// How many times longer than it has time for a call would have to wait to be refused.
const CLEARLY: u32 = 2;

/// Parts of the difference by which the mean follows what is faster, and what is slower.
const FALLS_BY: u64 = 2;
const RISES_BY: u64 = 4;

/// The time between the beginnings of two turns, while calls wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// From when on calls wait whose turns are being measured. `None`: none does.
    since: Option<MonoNs>,
    /// Until when it was measured last.
    until: MonoNs,
    /// Calls that were taken since then.
    taken: u32,
    /// Of them, how many nobody waited for: no turn began.
    skipped: u32,
    mean_ns: u64,
    /// How many times it was measured; 0: the mean says nothing.
    samples: u32,
}

impl Pace {
    /// A call is taken from the queue, for its turn. `waiting`: calls that wait behind it. `made`: when it came, if that is known.
    pub(crate) fn taken(
        &mut self,
        waiting: usize,
        made: Option<MonoNs>,
        now: impl FnOnce() -> MonoNs,
    ) {
        self.taken = self.taken.saturating_add(1);
        let turns = self.taken.saturating_sub(self.skipped);
        let is_last = waiting == 0;
        let Some(since) = self.since else {
            if !is_last {
                // It has waited since it came, and after what was measured before.
                self.since = Some(made.unwrap_or_else(now).max(self.until));
            }
            (self.taken, self.skipped) = (u32::from(made.is_some()), 0);
            return;
        };
        // Where nobody has been served for so long, one more would not have been either.
        let has_none = is_last && self.taken as usize >= TURNS_PER_SLICE;
        let is_look = is_last
            || self.samples < PACE_SAMPLES_MIN
            || self.taken.is_multiple_of(PACE_LOOK_EVERY);
        if has_none || (is_look && turns >= PACE_TURNS_MIN) {
            // An object that has run its turns lets all others run theirs, which belongs to its pace.
            let now = now();
            if is_last || self.taken as usize >= TURNS_PER_SLICE || now - since >= PACE_TIME {
                self.learn((now - since) / turns.max(1));
                (self.until, self.since, self.taken, self.skipped) = (now, Some(now), 0, 0);
            }
        }
        if is_last {
            self.since = None;
        }
    }

    /// Nobody waits any more.
    pub(crate) fn rests(&mut self) {
        self.since = None;
    }

    /// Nobody waited for the call that was taken.
    pub(crate) fn skipped(&mut self) {
        self.skipped = self.skipped.saturating_add(1);
    }

    /// What comes next is not to be compared with what was.
    pub(crate) fn forget(&mut self) {
        *self = Pace::default();
    }

    fn learn(&mut self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.mean_ns = if self.samples == 0 {
            took
        } else if self.samples < PACE_SAMPLES_MIN {
            // The first ones may have been slow for a reason of their own.
            took.min(self.mean_ns)
        } else if took <= self.mean_ns {
            self.mean_ns - (self.mean_ns - took) / FALLS_BY
        } else {
            // However slow one turn is, those that wait may be as fast as those before it.
            let most = self.mean_ns.saturating_mul(2).max(1_000);
            self.mean_ns.saturating_add((took.min(most) - self.mean_ns) / RISES_BY)
        };
        self.samples = self.samples.saturating_add(1);
    }

    /// Whether what was measured holds at this time.
    pub(crate) fn is_fresh(&self, now: MonoNs) -> bool {
        self.since.is_some() || now - self.until <= PACE_KEPT
    }

    /// How long a call would wait behind so many others, if that is clearly longer than it has time for.
    pub(crate) fn too_long(&self, waiting: usize, time: Duration) -> Option<Duration> {
        if waiting < PACE_WAITING_MIN || self.samples < PACE_SAMPLES_MIN {
            return None;
        }
        let wait = Duration::from_nanos(self.mean_ns.saturating_mul(waiting as u64));
        (wait > time.saturating_mul(CLEARLY)).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pace after turns that take so many nanoseconds each.
    fn after(turns: impl IntoIterator<Item = u64>) -> Pace {
        let (mut pace, mut now) = (Pace::default(), 0);
        pace.taken(100, None, || MonoNs(now));
        for took in turns {
            now += took;
            pace.taken(100, None, || MonoNs(now));
        }
        pace
    }

    fn mean(turns: Vec<u64>) -> Duration {
        after(turns).too_long(1_000, ms(0)).expect("it is known") / 1_000
    }

    #[test]
    fn what_would_wait_twice_as_long_as_it_has_time_for_is_too_late() {
        let pace = after([10 * MS; 20]);
        // Calls that wait, what one more has time for, and how long it would wait if that is too long.
        let table = [
            (100, ms(499), Some(ms(1_000))),
            (100, ms(500), None),
            (8, ms(39), Some(ms(80))),
            (8, ms(40), None),
            // A handful is served before anybody knows better.
            (7, ms(1), None),
            (100, Duration::MAX, None),
        ];
        for (waiting, time, expected) in table {
            assert_eq!(pace.too_long(waiting, time), expected, "{waiting} {time:?}");
        }
        assert!(pace.too_long(usize::MAX, ms(1)).is_some());
    }

    #[test]
    fn nothing_is_too_late_before_enough_was_measured() {
        // How long turns take, and how many of them say enough.
        for (took, enough) in [(1_000 * MS, 16), (10 * MS, 20), (1_000, 128)] {
            let turns = |count| after(vec![took; count]).too_long(1_000_000, Duration::ZERO);
            assert_eq!(turns(enough - 1), None, "{took} ns");
            assert!(turns(enough).is_some(), "{took} ns");
        }
        let mut pace = after([1_000 * MS; 20]);
        // Nobody waits any more, and what was is soon forgotten.
        let now = 20_000 * MS;
        assert!(pace.is_fresh(MonoNs(u64::MAX)));
        pace.rests();
        assert!(pace.is_fresh(MonoNs(now - 4_000 * MS + 250 * MS)));
        assert!(!pace.is_fresh(MonoNs(now - 4_000 * MS + 251 * MS)));
        let mut pace = after([1_000 * MS; 20]);
        pace.forget();
        assert_eq!(pace.too_long(100, ms(1)), None);
    }

    #[test]
    fn a_turn_that_takes_long_once_says_little_of_those_that_wait() {
        let fast = vec![MS; 1_000];
        assert_eq!(mean(fast.clone()), ms(1));
        let one_slow = [fast.clone(), vec![60_000 * MS], vec![MS; 63]].concat();
        assert!(mean(one_slow) <= Duration::from_micros(1_250));
        let first_slow = [vec![60_000 * MS], vec![MS; 200]].concat();
        assert_eq!(mean(first_slow), ms(1));
        // What gets faster is believed at once, and what stays slow in time.
        let faster = [vec![100 * MS; 100], vec![MS; 448]].concat();
        assert!(mean(faster) < ms(3));
        let slower = [fast, vec![100 * MS; 400]].concat();
        assert!(mean(slower) > ms(80));
    }

    #[test]
    fn what_nobody_waits_for_is_no_turn() {
        let (mut pace, mut now) = (Pace::default(), 0);
        // One of two is skipped, which takes no time.
        for nth in 0..200 {
            pace.taken(100, None, || MonoNs(now));
            if nth % 2 == 0 {
                pace.skipped();
            } else {
                now += 10 * MS;
            }
        }
        assert_eq!(pace.too_long(100, ms(100)), Some(ms(1_000)));
    }

    #[test]
    fn an_object_that_lets_others_run_after_so_many_turns_is_as_slow_as_that_makes_it() {
        let slice = [vec![MS / 64; TURNS_PER_SLICE - 1], vec![MS / 64 + 63 * MS]].concat();
        let mean = mean(vec![slice; 20].concat());
        assert!(mean > ms(1) * 9 / 10 && mean < ms(1) * 11 / 10, "{mean:?}");
    }

    #[test]
    fn the_clock_is_seldom_looked_at_where_turns_are_fast() {
        let mut pace = after([1_000; 128]);
        let mut looks = 0;
        for nth in 1..=640_u32 {
            pace.taken(100, None, || {
                looks += 1;
                MonoNs(128_000 + u64::from(nth) * 1_000)
            });
        }
        assert_eq!(looks, 640 / PACE_LOOK_EVERY);
    }

    #[test]
    fn a_queue_of_which_nobody_was_served_in_time_says_how_slow_it_is() {
        let (mut pace, mut now) = (Pace::default(), 0);
        for _ in 0..2 {
            // A hundred come, and are taken when their time is over.
            let made = MonoNs(now);
            now += 60 * MS;
            for waiting in (0..100).rev() {
                pace.taken(waiting, Some(made), || MonoNs(now));
                pace.skipped();
            }
        }
        assert_eq!(pace.too_long(10, ms(50)), Some(ms(600)));
        // A few come at a time, and all are served at once.
        for _ in 0..10 {
            let made = MonoNs(now);
            now += MS;
            for waiting in (0..10).rev() {
                pace.taken(waiting, Some(made), || MonoNs(now));
            }
        }
        assert_eq!(pace.too_long(100, ms(50)), None);
    }

    #[test]
    fn turns_that_take_no_time_are_never_too_slow() {
        let pace = after([0; 200]);
        assert_eq!(pace.too_long(1_000, ms(1)), None);
    }
}
