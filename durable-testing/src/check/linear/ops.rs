//! The calls of a history, as the search needs them: which must have happened and which may have.

use super::Recorded;
use super::table::ReplyId;
use crate::history::Outcome;

/// The calls that are to be ordered.
#[derive(Clone, Debug, Default)]
pub(super) struct Ops {
    /// Those that must have happened, in the order in which they were made.
    pub(super) required: Vec<Required>,
    /// Those that may have happened, in the order in which they were made.
    pub(super) optional: Vec<Optional>,
}

/// A call that must be placed, after all calls that ended before it began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Required {
    pub(super) call: usize,
    pub(super) began: u32,
    pub(super) ended: u32,
    /// Whether its method takes `&self`.
    pub(super) is_read: bool,
    pub(super) reply: Wanted,
}

/// What a placed call must have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Exactly what the history says.
    Of,
    /// Exactly this one.
    Is(ReplyId),
    /// Never right: the call is never placed, but what it would answer is noted.
    Noted,
}

/// A call that can be placed at any time after it began, or not at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Optional {
    pub(super) call: usize,
    pub(super) began: u32,
}

impl Ops {
    /// All calls of a history.
    pub(super) fn of(history: &[&Recorded]) -> Ops {
        let mut ops = Ops::default();
        for (call, recorded) in history.iter().enumerate() {
            let began = recorded.began();
            let is_read = recorded.is_read;
            match (&recorded.outcome, recorded.ended()) {
                (Outcome::Ok(_), Some(ended)) => {
                    let reply = Wanted::Of;
                    ops.required.push(Required { call, began, ended, is_read, reply });
                }
                (Outcome::NotDone(_), _) => {}
                // A read that nobody has an answer of left no trace.
                _ if is_read => {}
                _ => ops.optional.push(Optional { call, began }),
            }
        }
        ops.sort();
        ops
    }

    fn sort(&mut self) {
        self.required.sort_by_key(|op| op.began);
        self.optional.sort_by_key(|op| op.began);
    }

    /// What was known right after that event: later answers have not been given, and later calls
    /// have not been made.
    pub(super) fn until(&self, event: u32) -> Ops {
        let mut ops = Ops::default();
        for op in self.required.iter().filter(|op| op.began <= event) {
            if op.ended <= event {
                ops.required.push(*op);
            } else if !op.is_read {
                ops.optional.push(Optional { call: op.call, began: op.began });
            }
        }
        ops.optional.extend(self.optional.iter().filter(|op| op.began <= event));
        ops.sort();
        ops
    }

    /// Asks another answer of a call that was answered.
    pub(super) fn want(&mut self, call: usize, reply: Wanted) {
        let op = self.required.iter_mut().find(|op| op.call == call);
        op.expect("the call was answered by then").reply = reply;
    }

    /// With a call, or another one like it, that may have happened.
    pub(super) fn with_optional(&self, call: usize, began: u32) -> Ops {
        let mut ops = self.clone();
        ops.optional.push(Optional { call, began });
        ops.sort();
        ops
    }

    /// With a call that may have happened earlier than it was made.
    pub(super) fn with_began(&self, call: usize, began: u32) -> Ops {
        let mut ops = self.clone();
        for op in ops.required.iter_mut().filter(|op| op.call == call) {
            op.began = began;
        }
        ops.sort();
        ops
    }

    /// Without a call that was answered.
    pub(super) fn without(&self, call: usize) -> Ops {
        let mut ops = self.clone();
        ops.required.retain(|op| op.call != call);
        ops
    }

    /// Whether the call was answered.
    pub(super) fn is_required(&self, call: usize) -> bool {
        self.required.iter().any(|op| op.call == call)
    }
}
