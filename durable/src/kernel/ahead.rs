//! How far the file of a write-ahead log reaches beyond what is in it.

use crate::limits::{LOG_AHEAD_BYTES_MAX, LOG_AHEAD_BYTES_MIN};

/// The length of a log's file, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    length: u64,
}

impl Ahead {
    /// How many bytes more the file should have before the next commit, if it has `used`. `None`: it reaches far enough. A log
    /// that has grown is made longer by more: small ones stay small.
    pub(crate) fn wants(&self, used: u64) -> Option<u64> {
        let is_short = used.saturating_add(LOG_AHEAD_BYTES_MIN / 2) > self.length;
        is_short.then(|| used.clamp(LOG_AHEAD_BYTES_MIN, LOG_AHEAD_BYTES_MAX))
    }

    /// It is so long now.
    pub(crate) fn is(&mut self, length: u64) {
        self.length = length;
    }

    /// It could not be made longer by so much, which is not tried again until so much more is used.
    pub(crate) fn gave_up(&mut self, used: u64, by: u64) {
        self.length = used.saturating_add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_longer_than_its_log_by_more_the_longer_that_is() {
        let (mut ahead, mut steps, mut bytes) = (Ahead::default(), 0, 0);
        for used in (0..64 * LOG_AHEAD_BYTES_MAX).step_by(1_000) {
            if let Some(by) = ahead.wants(used) {
                (steps, bytes) = (steps + 1, bytes + by);
                ahead.is(bytes);
            }
            assert!(bytes >= used + LOG_AHEAD_BYTES_MIN / 2, "the next commit has room");
            assert!(bytes <= (3 * used).max(used + 2 * LOG_AHEAD_BYTES_MAX), "{bytes} for {used}");
        }
        assert!(steps < 80, "it is made longer rarely: {steps}");
    }

    #[test]
    fn a_log_that_starts_over_has_room_and_a_full_disk_is_not_asked_at_each_commit() {
        let mut ahead = Ahead::default();
        ahead.is(10 * LOG_AHEAD_BYTES_MAX);
        assert_eq!(ahead.wants(1_000), None);
        let mut full = Ahead::default();
        let by = full.wants(1_000).expect("it is short");
        full.gave_up(1_000, by);
        assert_eq!(full.wants(2_000), None);
        assert!(full.wants(1_000 + by).is_some(), "and then again");
    }
}
