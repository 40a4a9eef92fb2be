//! When a queue that lets nobody in is looked through for calls that nobody waits for any more: seldom enough that whoever is
//! refused pays for a part of it only, and often enough that whoever is, and comes again when told to, is refused by the living.

use crate::limits::{RETRY_AFTER, SWEPT_PER_REFUSAL};
use crate::time::MonoNs;

/// The looks at one queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    /// When it was last looked through. `None`: never.
    at: Option<MonoNs>,
    /// How often somebody was about to be refused since then.
    refusals: usize,
}

impl Sweep {
    /// Somebody is about to be refused. Gives whether the queue, which has this length, is looked through before.
    pub(crate) fn is_due(&mut self, length: usize, now: MonoNs) -> bool {
        self.refusals += 1;
        let is_paid = self.refusals.saturating_mul(SWEPT_PER_REFUSAL) >= length;
        let is_due = is_paid || self.at.is_none_or(|at| now - at >= RETRY_AFTER);
        if is_due {
            *self = Sweep { at: Some(now), refusals: 0 };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_queue_is_always_looked_through_and_a_long_one_now_and_then() {
        const MS: u64 = 1_000_000;
        let length = 4 * SWEPT_PER_REFUSAL;
        // How long the queue is, when somebody is refused, and whether it is looked through.
        let table = [
            (length, 0, true),
            (length, 1, false),
            (length, 1, false),
            (length, 1, false),
            (length, 2, true),
            (length, 3, false),
            (length, 51, false),
            (length, 52, true),
            (SWEPT_PER_REFUSAL, 52, true),
            (SWEPT_PER_REFUSAL, 52, true),
            (SWEPT_PER_REFUSAL + 1, 52, false),
            (SWEPT_PER_REFUSAL + 1, 52, true),
        ];
        let mut sweep = Sweep::default();
        for (nth, (length, at, expected)) in table.into_iter().enumerate() {
            assert_eq!(sweep.is_due(length, MonoNs(at * MS)), expected, "refusal {nth}");
        }
    }
}
