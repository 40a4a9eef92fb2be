//! Where a cold object is read: at once on the caller's thread, or on a reader lane.
//!
//! A read that finds its pages in memory takes microseconds, less than waking a lane. One that must go to the disk would
//! hold a thread that runs turns. Which it will be cannot be known before, but slow reads come in company: after one,
//! the next reads go to the lanes, and then one is tried again.

use std::time::Duration;

/// From here on a read counts as one that went to the disk.
const SLOW: Duration = Duration::from_micros(300);

/// Reads that go to the lanes after a slow one.
const READS_AFTER_SLOW: u32 = 16;

/// The machine; one for each shard.
#[derive(Debug, Default)]
pub(crate) struct ReadPath {
    /// Reads that still go to the lanes; 0: the next is read at once.
    to_lanes: u32,
}

impl ReadPath {
    /// Whether the next read is made at once.
    pub(crate) fn is_at_once(&mut self) -> bool {
        if self.to_lanes == 0 {
            return true;
        }
        self.to_lanes -= 1;
        false
    }

    /// A read that was made at once took this long.
    pub(crate) fn on_read(&mut self, took: Duration) {
        if took >= SLOW {
            self.to_lanes = READS_AFTER_SLOW;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_reads_stay_at_once_and_a_slow_one_sends_the_next_to_the_lanes() {
        let mut path = ReadPath::default();
        for _ in 0..1_000 {
            assert!(path.is_at_once());
            path.on_read(Duration::from_micros(5));
        }
        path.on_read(SLOW);
        for _ in 0..READS_AFTER_SLOW {
            assert!(!path.is_at_once());
        }
        assert!(path.is_at_once(), "one is tried again");
    }
}
