//! Which turn begins next: writes alone, reads together, in the order in which the calls came.

use crate::class::Access;

/// What an activation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take the call at the head of the queue and begin its read, beside the reads that run.
    BeginRead,
    /// Take the call at the head of the queue and begin its write; nothing else runs.
    BeginWrite,
    /// Wait until a running read ends. Nothing that comes meanwhile may begin.
    AwaitReader,
    /// Wait until a running read ends or a call comes.
    AwaitReaderOrCall,
    /// Nothing runs and nothing waits: wait for a call.
    AwaitCall,
    /// End the activation; nothing runs.
    End,
}

/// Decides. `readers`: reads that run; `head`: what the first waiting call wants, if one waits.
///
/// The queue is never overtaken, so a waiting write is not starved: no read that came after it begins before it.
pub(crate) fn next(readers: usize, head: Option<Access>, is_end_wanted: bool) -> Next {
    match (readers, head) {
        (0, _) if is_end_wanted => Next::End,
        (_, _) if is_end_wanted => Next::AwaitReader,
        (_, Some(Access::Read)) => Next::BeginRead,
        (0, Some(Access::Write)) => Next::BeginWrite,
        (_, Some(Access::Write)) => Next::AwaitReader,
        (0, None) => Next::AwaitCall,
        (_, None) => Next::AwaitReaderOrCall,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_overlap_and_writes_are_alone() {
        let table = [
            (0, Some(Access::Read), false, Next::BeginRead),
            (3, Some(Access::Read), false, Next::BeginRead),
            (0, Some(Access::Write), false, Next::BeginWrite),
            (1, Some(Access::Write), false, Next::AwaitReader),
            (0, None, false, Next::AwaitCall),
            (2, None, false, Next::AwaitReaderOrCall),
            (0, Some(Access::Write), true, Next::End),
            (0, None, true, Next::End),
            (1, Some(Access::Read), true, Next::AwaitReader),
        ];
        for (readers, head, is_end_wanted, expected) in table {
            assert_eq!(next(readers, head, is_end_wanted), expected, "{readers} {head:?}");
        }
    }
}
