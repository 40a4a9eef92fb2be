//! Calls that come: whether they may wait here.

use std::sync::Arc;

use super::{Refused, Slot, State};
use crate::host::Event;
use crate::kernel::admission;
use crate::kernel::rate::Bucket;
use crate::object::{Object, PendingCall};
use crate::time::MonoNs;

impl<O: Object> Slot<O> {
    /// Queues a call and sees to it that an activation serves it. One that waits for room and finds none waits in line; but a
    /// turn that makes it has it queued here, whether there is room or not: what it waits for may be waiting for the turn.
    pub(crate) fn enqueue(self: &Arc<Self>, call: &Arc<PendingCall<O>>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.life.is_abandoned() {
            return Err(Refused::Abandoned);
        }
        if let Some(error) = &state.refusal {
            return Err(Refused::Quarantined(error.clone()));
        }
        let is_inside = call.nested().is_some();
        if call.is_patient() && !is_inside {
            self.line_up(state, call);
            return Ok(());
        }
        if state.has_line() && !is_inside {
            return Err(Refused::Behind(state.line()));
        }
        let inbox_max = self.group.inbox_calls_max();
        if !call.is_patient() && admission::enter(state.inbox.len(), inbox_max).is_err() {
            // Those whose callers have left only take up room.
            state.inbox.retain(|call| call.is_waiting());
            let waiting = state.inbox.len();
            if admission::enter(waiting, inbox_max).is_err() {
                return Err(Refused::Full(waiting));
            }
        }
        self.take_of_rate(&mut state).map_err(Refused::TooSoon)?;
        let is_held = is_inside && state.is_held();
        let overtakes = self.overtakes(&mut state, call)?;
        if call.is_patient()
            && let Ok(permit) = self.group.permit()
        {
            call.give(permit);
        }
        if overtakes {
            state.push_front(call);
        } else {
            state.inbox.push_back(Arc::clone(call));
        }
        let waiting = state.inbox.len();
        let waiting_max = if call.is_patient() { waiting.max(inbox_max) } else { inbox_max };
        self.wake(state);
        self.report_queued(call.number(), (overtakes, is_held), (waiting, waiting_max));
        Ok(())
    }

    /// Tells the director of a call that is queued.
    pub(super) fn report_queued(
        &self,
        call: u64,
        (overtakes, is_held): (bool, bool),
        (waiting, waiting_max): (usize, usize),
    ) {
        self.host().report(|| Event::Queued {
            object: &self.id,
            call,
            overtakes,
            is_held,
            waiting,
            waiting_max,
            rate: O::CLASS.rate,
            class_max: O::CLASS.in_flight,
        });
    }

    /// Takes a call's part of the object's rate. Calls that nobody waits for take none: they are not refused.
    ///
    /// # Errors
    /// When there will be enough for the next one.
    pub(super) fn take_of_rate(&self, state: &mut State<O>) -> Result<(), MonoNs> {
        let Some(rate) = &O::CLASS.rate else { return Ok(()) };
        let now = self.host().clock.now();
        state.crowd().bucket.get_or_insert_with(|| Bucket::full(rate, now)).take(rate, now)
    }
}
