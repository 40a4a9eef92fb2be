//! When an object is tried again that could not come into memory for a reason that may have passed.
//!
//! One machine for each object that is tried again; all others have none. It knows nothing of calls, disks or reasons.

use std::time::Duration;

use crate::limits::{START_DELAY, START_TRIES_MAX};
use crate::time::MonoNs;

/// How often an object was tried since it was last in memory, and when it may be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    /// 0: it is not being tried again.
    failed: u32,
    /// It is not tried before, unless somebody waits for the end of that.
    next_at: MonoNs,
}

/// What follows when it could not come into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is tried again; it has failed so often.
    Again { failed: u32 },
    /// It is not: those who wait are told that it was tried so often.
    GiveUp { failed: u32 },
}

impl Retry {
    /// It could not. `is_passing`: the reason may pass by itself. `chance`: any number, each as likely as any other.
    pub(crate) fn on_failed(&mut self, is_passing: bool, now: MonoNs, chance: u64) -> Next {
        let failed = self.failed + 1;
        assert!(failed <= START_TRIES_MAX, "it was given up after {START_TRIES_MAX} tries");
        if !is_passing || failed == START_TRIES_MAX {
            *self = Retry::default();
            return Next::GiveUp { failed };
        }
        *self = Retry { failed, next_at: now + delay(failed, chance) };
        Next::Again { failed }
    }

    /// Since when it may be tried, or from when on.
    pub(crate) fn next_at(&self) -> MonoNs {
        self.next_at
    }

    /// It is in memory, or nobody waits for it any more.
    pub(crate) fn forget(&mut self) {
        *self = Retry::default();
    }
}

/// How long it is left alone when it has failed so often: twice as long each time, and up to a quarter more, so that many that
/// failed together do not come back together.
fn delay(failed: u32, chance: u64) -> Duration {
    let delay = START_DELAY * (1 << (failed - 1));
    let jitter_ns = (delay.as_nanos() / 4 * u128::from(chance)) >> 64;
    delay + Duration::from_nanos(u64::try_from(jitter_ns).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// When it is tried after each failure, if all tries fail at once; and how often it was tried.
    fn tried(chance: u64) -> (Vec<u64>, u32) {
        let (mut retry, mut now, mut waits) = (Retry::default(), MonoNs(7 * MS), Vec::new());
        loop {
            match retry.on_failed(true, now, chance) {
                Next::Again { failed } => {
                    waits.push(retry.next_at().0 - now.0);
                    assert_eq!(usize::try_from(failed), Ok(waits.len()));
                    now = retry.next_at();
                }
                Next::GiveUp { failed } => return (waits, failed),
            }
        }
    }

    #[test]
    fn it_is_tried_a_few_times_after_twice_as_long_each_time() {
        let (waits, failed) = tried(0);
        assert_eq!(waits, [10 * MS, 20 * MS, 40 * MS, 80 * MS]);
        assert_eq!(failed, START_TRIES_MAX);
    }

    #[test]
    fn chance_adds_up_to_a_quarter() {
        let (waits, _) = tried(u64::MAX);
        for (wait, least) in waits.iter().zip([10 * MS, 20 * MS, 40 * MS, 80 * MS]) {
            assert!((least + least / 4 - 1..=least + least / 4).contains(wait), "{wait}");
        }
        let (all, _) = tried(u64::MAX / 2);
        assert!(all.iter().sum::<u64>() < 250 * MS, "callers do not wait for long: {all:?}");
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        let mut retry = Retry::default();
        assert_eq!(retry.on_failed(false, MonoNs(1), 0), Next::GiveUp { failed: 1 });
        assert_eq!(retry, Retry::default());
        retry.on_failed(true, MonoNs(1), 0);
        assert_eq!(retry.on_failed(false, MonoNs(1), 0), Next::GiveUp { failed: 2 });
        assert_eq!(retry, Retry::default());
    }

    #[test]
    fn whoever_comes_after_it_was_given_up_or_was_there_has_all_tries() {
        let (mut retry, all) = (Retry::default(), tried(0));
        for _ in 0..START_TRIES_MAX {
            retry.on_failed(true, MonoNs(7 * MS), 0);
        }
        assert_eq!((retry.next_at(), tried(0)), (MonoNs(0), all));
        retry.on_failed(true, MonoNs(1), 0);
        retry.forget();
        assert_eq!(retry.on_failed(true, MonoNs(1), 0), Next::Again { failed: 1 });
    }
}
