//! Calls that wait for commits before they leave.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Address, Way};
use crate::error::Error;
use crate::object::{Arrived, Object, PendingCall};
use crate::storage::Release;

/// A call made inside a turn, which leaves when the changes that the turn may have seen are durable. The lane lets such
/// calls go in the order in which they were made.
pub(super) struct Departure<O: Object> {
    pub(super) address: Address<O>,
    pub(super) pending: Arc<PendingCall<O>>,
}

impl<O: Object> Release for Departure<O> {
    fn release(&self, durable: Result<(), &Error>) {
        match (durable, self.address.way()) {
            (Ok(()), Ok(Way::Here(target))) => {
                if target.deliver(&self.pending, None) == Arrived::Unseen {
                    target.slot().recall();
                }
            }
            (Ok(()), Ok(Way::Away(_))) => unreachable!("only calls from here wait for a shard"),
            (Err(error), _) => self.pending.answer(Err(error.clone())),
            (_, Err(error)) => self.pending.answer(Err(error)),
        }
        self.address.0.departing.fetch_sub(1, Ordering::AcqRel);
    }
}
