//! The output gate: whether what a turn answers may leave now.

use crate::class::Durability;

/// What to do with an answer that changes nothing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything that the turn could have seen is durable: it may leave.
    Open,
    /// It leaves when the commits before it are durable, or fails with them.
    Behind,
}

/// Decides. `submitted`: the activation's newest commit; `durable`: the shard's watermark, read *before* `is_broken`.
///
/// An answer that is relaxed does not wait, but is never of a state that is known to be lost.
///
/// A failed commit also lies below the watermark, so a broken activation keeps its answers behind the gate, where they
/// fail with the commit's error.
pub(crate) fn decide(
    submitted: u64,
    durable: u64,
    is_broken: bool,
    durability: Durability,
) -> Gate {
    let is_behind = durable < submitted && durability == Durability::Synced;
    if is_behind || is_broken { Gate::Behind } else { Gate::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leaves_only_when_all_it_saw_is_durable() {
        let synced = |submitted, durable, is_broken| {
            decide(submitted, durable, is_broken, Durability::Synced)
        };
        assert_eq!(synced(0, 0, false), Gate::Open);
        assert_eq!(synced(5, 5, false), Gate::Open);
        assert_eq!(synced(5, 9, false), Gate::Open);
        assert_eq!(synced(5, 4, false), Gate::Behind);
        assert_eq!(synced(5, 5, true), Gate::Behind);
    }

    #[test]
    fn a_relaxed_answer_waits_only_to_fail() {
        assert_eq!(decide(5, 4, false, Durability::Relaxed), Gate::Open);
        assert_eq!(decide(5, 4, true, Durability::Relaxed), Gate::Behind);
        assert_eq!(decide(5, 5, true, Durability::Relaxed), Gate::Behind);
    }
}
