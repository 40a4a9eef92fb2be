//! The output gate: whether what a turn answers may leave now.

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
/// A failed commit also lies below the watermark, so a broken activation keeps its answers behind the gate, where they
/// fail with the commit's error.
pub(crate) fn decide(submitted: u64, durable: u64, is_broken: bool) -> Gate {
    if durable >= submitted && !is_broken { Gate::Open } else { Gate::Behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leaves_only_when_all_it_saw_is_durable() {
        assert_eq!(decide(0, 0, false), Gate::Open);
        assert_eq!(decide(5, 5, false), Gate::Open);
        assert_eq!(decide(5, 9, false), Gate::Open);
        assert_eq!(decide(5, 4, false), Gate::Behind);
        assert_eq!(decide(5, 5, true), Gate::Behind);
    }
}
