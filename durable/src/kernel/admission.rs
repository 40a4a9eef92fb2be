//! Whether a call may enter: the runtime is open, and neither the runtime nor the object has too much to do.

/// Why a call may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The runtime takes no more calls.
    Closed,
    /// As many calls as may are in flight in the runtime.
    RuntimeFull,
    /// As many calls as may wait at the object.
    ObjectFull,
}

/// Decides for the runtime. `in_flight`: calls that have not been answered, without this one.
pub(crate) fn enter_runtime(
    is_closed: bool,
    in_flight: usize,
    in_flight_max: usize,
) -> Result<(), Refusal> {
    if is_closed {
        Err(Refusal::Closed)
    } else if in_flight >= in_flight_max {
        Err(Refusal::RuntimeFull)
    } else {
        Ok(())
    }
}

/// Decides for the object. `waiting`: calls in its inbox, without this one.
pub(crate) fn enter_inbox(waiting: usize, inbox_max: usize) -> Result<(), Refusal> {
    if waiting >= inbox_max { Err(Refusal::ObjectFull) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_refuses_at_its_own_limit() {
        assert_eq!(enter_runtime(false, 7, 8), Ok(()));
        assert_eq!(enter_runtime(false, 8, 8), Err(Refusal::RuntimeFull));
        assert_eq!(enter_runtime(true, 0, 8), Err(Refusal::Closed));
        assert_eq!(enter_runtime(true, 9, 8), Err(Refusal::Closed));
        assert_eq!(enter_inbox(3, 4), Ok(()));
        assert_eq!(enter_inbox(4, 4), Err(Refusal::ObjectFull));
    }
}
