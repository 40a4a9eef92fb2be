//! Calls that come: whether they may wait here.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{Refused, Slot, State};
use crate::host::Event;
use crate::kernel::admission;
use crate::kernel::rate::Bucket;
use crate::object::{Object, PendingCall};

/// What is kept of an object to whom more comes than to others. Most have none.
#[derive(Debug)]
pub(super) struct Crowd {
    /// What is left of its rate. `None`: its class has none.
    bucket: Option<Bucket>,
}

impl<O: Object> Slot<O> {
    /// Queues a call and sees to it that an activation serves it.
    pub(crate) fn enqueue(self: &Arc<Self>, call: &Arc<PendingCall<O>>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.life.is_abandoned() {
            return Err(Refused::Abandoned);
        }
        if let Some(error) = &state.refusal {
            return Err(Refused::Quarantined(error.clone()));
        }
        let inbox_max = self.group.inbox_calls_max();
        if admission::enter(state.inbox.len(), inbox_max).is_err() {
            // Those whose callers have left only take up room.
            state.inbox.retain(|call| call.is_waiting());
            let waiting = state.inbox.len();
            if admission::enter(waiting, inbox_max).is_err() {
                return Err(Refused::Full(waiting));
            }
        }
        self.take_of_rate(&mut state)?;
        let is_held = call.nested().is_some() && state.is_held();
        let overtakes = self.overtakes(&mut state, call)?;
        if overtakes {
            state.push_front(call);
        } else {
            state.inbox.push_back(Arc::clone(call));
        }
        let waiting = state.inbox.len();
        self.wake(state);
        self.host().report(|| Event::Queued {
            object: &self.id,
            call: call.number(),
            overtakes,
            is_held,
            waiting,
            waiting_max: self.group.inbox_calls_max(),
            rate: O::CLASS.rate,
            class_max: O::CLASS.in_flight,
        });
        Ok(())
    }

    /// Takes a call's part of the object's rate. Calls that nobody waits for take none: they are not refused.
    ///
    /// # Errors
    /// [`Refused::TooSoon`].
    fn take_of_rate(&self, state: &mut MutexGuard<'_, State<O>>) -> Result<(), Refused> {
        let Some(rate) = &O::CLASS.rate else { return Ok(()) };
        let now = self.host().clock.now();
        let crowd = state.crowd.get_or_insert_with(|| Box::new(Crowd { bucket: None }));
        let bucket = crowd.bucket.get_or_insert_with(|| Bucket::full(rate, now));
        bucket.take(rate, now).map_err(|until| Refused::TooSoon(until - now))
    }
}
