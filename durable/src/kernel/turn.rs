//! Which turn begins next: writes alone, reads together, in the order in which the calls came.

use crate::class::Access;
use crate::kernel::activation::EndWish;

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

/// What the decision looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Reads that run.
    pub(crate) readers: usize,
    /// What the first waiting call wants; `None`: none waits.
    pub(crate) head: Option<Access>,
    /// `None`: nobody wants the activation to end.
    pub(crate) end_wish: Option<EndWish>,
    /// Whether the activation has taken a call.
    pub(crate) has_served: bool,
}

/// Decides.
///
/// The queue is never overtaken, so a waiting write is not starved: no read that came after it begins before it. An
/// activation takes at least one of the calls that wait before it ends, so that a queue shrinks however often somebody
/// wants the object out of memory.
pub(crate) fn next(sight: Sight) -> Next {
    let Sight { readers, head, end_wish, has_served } = sight;
    let is_ending = match end_wish {
        None => false,
        Some(EndWish::Soon) => has_served || head.is_none(),
        Some(EndWish::Drained) => head.is_none(),
    };
    match (readers, head) {
        (0, _) if is_ending => Next::End,
        (_, _) if is_ending => Next::AwaitReader,
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

    const NONE: Sight = Sight { readers: 0, head: None, end_wish: None, has_served: false };
    const READ: Option<Access> = Some(Access::Read);
    const WRITE: Option<Access> = Some(Access::Write);

    #[test]
    fn reads_overlap_and_writes_are_alone() {
        let table = [
            (0, READ, Next::BeginRead),
            (3, READ, Next::BeginRead),
            (0, WRITE, Next::BeginWrite),
            (1, WRITE, Next::AwaitReader),
            (0, None, Next::AwaitCall),
            (2, None, Next::AwaitReaderOrCall),
        ];
        for (readers, head, expected) in table {
            assert_eq!(next(Sight { readers, head, ..NONE }), expected, "{readers} {head:?}");
        }
    }

    #[test]
    fn an_activation_that_is_to_end_soon_ends_after_its_first_turn() {
        let soon = Sight { end_wish: Some(EndWish::Soon), ..NONE };
        assert_eq!(next(soon), Next::End, "nobody waits");
        assert_eq!(next(Sight { head: WRITE, ..soon }), Next::BeginWrite);
        let served = Sight { has_served: true, ..soon };
        assert_eq!(next(Sight { head: WRITE, ..served }), Next::End);
        assert_eq!(next(Sight { head: READ, readers: 1, ..served }), Next::AwaitReader);
    }

    #[test]
    fn an_activation_that_is_to_drain_serves_all_that_wait() {
        let drained = Sight { end_wish: Some(EndWish::Drained), has_served: true, ..NONE };
        assert_eq!(next(Sight { head: READ, ..drained }), Next::BeginRead);
        assert_eq!(next(Sight { readers: 1, ..drained }), Next::AwaitReader);
        assert_eq!(next(drained), Next::End);
    }
}
