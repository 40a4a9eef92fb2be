//! What becomes of a call with an idempotency key: whether it runs, and whether there is room for what it gives.

use crate::keyed::{ArgsDigest, KeptResult};
use crate::limits::{RESULTS_BYTES_MAX, RESULTS_MAX};
use crate::time::WallMs;

/// What a call is, to a result that is kept under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The one that gave it, made again: the result answers it.
    Repeat,
    /// A call of another method: it is refused.
    OtherMethod,
    /// One with other arguments: it is refused.
    OtherArgs,
}

/// Compares them. A result that is [over](is_over) is compared with nothing: its call is as one that was never made.
pub(crate) fn compare(kept: &KeptResult, (method, args): (&str, ArgsDigest)) -> Match {
    if kept.method != method {
        Match::OtherMethod
    } else if kept.args != args {
        Match::OtherArgs
    } else {
        Match::Repeat
    }
}

/// Whether a result is kept no longer: calls do not find it, and commits sweep it.
pub(crate) fn is_over(until: WallMs, now: WallMs) -> bool {
    until <= now
}

/// Whether one more result may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// Some that were counted are over meanwhile: they are to be counted anew.
    Unsure,
    /// Not before this time.
    Full {
        until: WallMs,
    },
}

/// How many results an object keeps, at most: those that have gone since they were counted are not taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) results: u64,
    pub(crate) bytes: u64,
    /// When the first of them is over. `None`: there are none.
    pub(crate) first_until: Option<WallMs>,
}

impl Count {
    /// Asked before the turn of a call: nobody is told too late that there is no room.
    pub(crate) fn room(&self, now: WallMs) -> Room {
        if self.results < RESULTS_MAX && self.bytes < RESULTS_BYTES_MAX {
            return Room::Enough;
        }
        let until = self.first_until.expect("what is full keeps something");
        if is_over(until, now) { Room::Unsure } else { Room::Full { until } }
    }

    /// One more is kept.
    pub(crate) fn add(&mut self, bytes: u64, until: WallMs) {
        self.results += 1;
        self.bytes += bytes;
        self.first_until = Some(self.first_until.map_or(until, |first| first.min(until)));
    }

    /// Those of both.
    pub(crate) fn with(self, other: Count) -> Count {
        let first_until = match (self.first_until, other.first_until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let (results, bytes) = (self.results + other.results, self.bytes + other.bytes);
        Count { results, bytes, first_until }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::limits::RESULTS_SWEPT_BY_COMMIT;

    #[test]
    fn a_call_is_the_one_that_gave_a_result_or_it_is_not() {
        let args = ArgsDigest::of;
        let (method, reply) = ("deposit".to_owned(), vec![1]);
        let kept = KeptResult { method, args: args(b"5"), reply };
        let table = [
            ("deposit", b"5", Match::Repeat),
            ("deposit", b"6", Match::OtherArgs),
            ("withdraw", b"5", Match::OtherMethod),
            ("withdraw", b"6", Match::OtherMethod),
        ];
        for (method, bytes, expected) in table {
            assert_eq!(compare(&kept, (method, args(bytes))), expected, "{method} {bytes:?}");
        }
    }

    #[test]
    fn a_result_lasts_until_its_time_and_not_longer() {
        for (until, now, over) in [(5, 4, false), (5, 5, true), (5, 6, true), (0, 0, true)] {
            assert_eq!(is_over(WallMs(until), WallMs(now)), over, "{until} at {now}");
        }
    }

    #[test]
    fn there_is_room_below_both_bounds_and_else_when_the_first_is_over() {
        let count = |results, bytes| Count { results, bytes, first_until: Some(WallMs(9)) };
        let table = [
            (count(RESULTS_MAX - 1, RESULTS_BYTES_MAX - 1), 1, Room::Enough),
            (count(RESULTS_MAX, 0), 8, Room::Full { until: WallMs(9) }),
            (count(1, RESULTS_BYTES_MAX), 8, Room::Full { until: WallMs(9) }),
            (count(RESULTS_MAX, 0), 9, Room::Unsure),
            (count(1, RESULTS_BYTES_MAX), 9, Room::Unsure),
            (Count::default(), 9, Room::Enough),
        ];
        for (count, now, room) in table {
            assert_eq!(count.room(WallMs(now)), room, "{count:?} at {now}");
        }
    }

    #[test]
    fn what_is_added_and_what_is_put_together_is_counted_once() {
        let mut count = Count::default();
        count.add(3, WallMs(7));
        count.add(4, WallMs(5));
        assert_eq!(count, Count { results: 2, bytes: 7, first_until: Some(WallMs(5)) });
        let mut other = Count::default();
        assert_eq!(count.with(other), count);
        assert_eq!(other.with(count), count);
        other.add(1, WallMs(4));
        let both = Count { results: 3, bytes: 8, first_until: Some(WallMs(4)) };
        assert_eq!(count.with(other), both);
    }

    /// A commit that keeps one sweeps several that are over: whatever the pace, there are never more rows than results
    /// that may be kept.
    #[test]
    fn what_commits_sweep_keeps_up_with_what_they_add() {
        let (keep, rows_max) = (100, 60);
        let mut rows = VecDeque::new();
        let mut now = 0;
        for round in 0..2_000_u64 {
            // Bursts, with long rests between them.
            now += if round % 70 == 0 { 90 } else { round % 2 };
            let kept = rows.iter().filter(|until| !is_over(WallMs(**until), WallMs(now))).count();
            if kept >= rows_max {
                continue;
            }
            for _ in 0..RESULTS_SWEPT_BY_COMMIT {
                rows.pop_front_if(|until| is_over(WallMs(*until), WallMs(now)));
            }
            rows.push_back(now + keep);
            assert!(rows.len() <= rows_max, "{} rows at {now}", rows.len());
        }
        assert!(!rows.is_empty());
    }
}
