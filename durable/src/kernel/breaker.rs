//! When so many of a class's objects fail that the class itself does.
//!
//! It counts objects, not failures: one that fails again and again is its own affair, however often it does.

use std::collections::{BTreeMap, VecDeque};

use crate::id::ObjectId;
use crate::quarantine::BreakerRule;
use crate::time::MonoNs;

/// The objects of one class that have failed lately.
#[derive(Debug)]
pub(crate) struct Breaker {
    rule: BreakerRule,
    /// When each failed last.
    failing: BTreeMap<ObjectId, MonoNs>,
    /// All failures of the window, oldest first.
    failures: VecDeque<(MonoNs, ObjectId)>,
}

/// How much of a class has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) failing: usize,
    /// Of so many that were in use, the failing ones included.
    pub(crate) of: usize,
}

impl Breaker {
    pub(crate) fn new(rule: BreakerRule) -> Self {
        Breaker { rule, failing: BTreeMap::new(), failures: VecDeque::new() }
    }

    /// An object has failed, while so many were in memory. Gives how much of the class has, if that is too much; then it
    /// begins anew. One that failed exactly a window ago still counts.
    pub(crate) fn on_failure(
        &mut self,
        id: ObjectId,
        in_memory: usize,
        now: MonoNs,
    ) -> Option<Share> {
        let BreakerRule { share_percent, objects_min, window } = self.rule;
        while let Some((at, oldest)) =
            self.failures.front().copied().filter(|(at, _)| now - *at > window)
        {
            self.failures.pop_front();
            if self.failing.get(&oldest) == Some(&at) {
                self.failing.remove(&oldest);
            }
        }
        self.failing.insert(id, now);
        self.failures.push_back((now, id));
        let failing = self.failing.len();
        let of = in_memory.max(failing);
        let is_share = failing.saturating_mul(100) > of.saturating_mul(share_percent as usize);
        if failing < objects_min || !is_share {
            return None;
        }
        self.failing.clear();
        self.failures.clear();
        Some(Share { failing, of })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn breaker() -> Breaker {
        let window = Duration::from_secs(10);
        Breaker::new(BreakerRule { share_percent: 50, objects_min: 3, window })
    }

    fn object(number: u8) -> ObjectId {
        ObjectId::from_bytes([number; ObjectId::BYTES])
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn more_than_the_share_fails_the_class_and_exactly_the_share_does_not() {
        let mut breaker = breaker();
        for number in 0..3 {
            assert_eq!(breaker.on_failure(object(number), 6, at(0)), None, "{number} of 6");
        }
        assert_eq!(breaker.on_failure(object(3), 6, at(0)), Some(Share { failing: 4, of: 6 }));
        assert_eq!(breaker.on_failure(object(3), 6, at(0)), None, "it begins anew");
    }

    #[test]
    fn fewer_than_the_least_count_never_fail_it_nor_does_one_alone() {
        let mut breaker = breaker();
        for _ in 0..1_000 {
            assert_eq!(breaker.on_failure(object(1), 1, at(0)), None);
        }
        assert_eq!(breaker.on_failure(object(2), 1, at(0)), None);
        assert_eq!(breaker.on_failure(object(3), 1, at(0)), Some(Share { failing: 3, of: 3 }));
    }

    #[test]
    fn a_failure_counts_up_to_the_windows_edge_and_a_later_one_of_the_same_object_renews_it() {
        let mut first = breaker();
        first.on_failure(object(1), 0, at(0));
        first.on_failure(object(2), 0, at(5_000));
        assert!(first.on_failure(object(3), 0, at(10_000)).is_some(), "exactly a window");
        let mut late = breaker();
        late.on_failure(object(1), 0, at(0));
        late.on_failure(object(2), 0, at(5_000));
        assert_eq!(late.on_failure(object(3), 0, at(10_001)), None);
        assert_eq!(late.on_failure(object(2), 0, at(14_000)), None);
        assert!(late.on_failure(object(4), 0, at(20_000)).is_some(), "the second has failed again");
    }
}
