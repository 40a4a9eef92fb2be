//! Calls that come: whether they may wait here.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::shed::Overdue;
use super::{Arrived, Refused, Slot, State};
use crate::host::Event;
use crate::kernel::admission;
use crate::kernel::rate::Bucket;
use crate::object::{Object, PendingCall};
use crate::time::MonoNs;

impl<O: Object> Slot<O> {
    /// Queues a call and sees to it that an activation serves it. One that waits for room and finds none waits in line; but a
    /// turn that makes it has it queued here, whether there is room or not: what it waits for may be waiting for the turn.
    ///
    /// `time`: within which its turn is to begin, or it is refused. `None`: it is not refused for that.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        call: &Arc<PendingCall<O>>,
        time: Option<Duration>,
    ) -> Result<Arrived, Refused> {
        let mut overdue = Overdue::new();
        let mut state = self.open_door()?;
        let is_inside = call.nested().is_some();
        if call.is_patient() && !is_inside {
            self.line_up(state, call);
            return Ok(Arrived::Seen);
        }
        if state.has_line() && !is_inside {
            self.shed(&mut state, &mut overdue);
            self.settle_line(state, None);
            state = self.open_door()?;
            if state.has_line() {
                return Err(Refused::Behind(state.line()));
            }
        }
        let inbox_max = self.group.inbox_calls_max();
        if !call.is_patient() {
            self.find_room(&mut state, time.filter(|_| !is_inside), &mut overdue)?;
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
        let was_idle = state.idle.end();
        self.begin(state);
        self.report_queued(call.number(), (overtakes, is_held), (waiting, waiting_max));
        Ok(if was_idle { Arrived::Unseen } else { Arrived::Seen })
    }

    /// The object's state, if calls may come.
    fn open_door(&self) -> Result<MutexGuard<'_, State<O>>, Refused> {
        let state = self.state.lock();
        if state.life.is_abandoned() {
            return Err(Refused::Abandoned);
        }
        match &state.refusal {
            Some(error) => Err(Refused::Quarantined(error.clone())),
            None => Ok(state),
        }
    }

    /// Finds room in the inbox for one more call.
    ///
    /// # Errors
    /// [`Refused::Full`], or [`Refused::TooLate`] if it would not begin within `time`.
    fn find_room(
        &self,
        state: &mut State<O>,
        time: Option<Duration>,
        overdue: &mut Overdue<O>,
    ) -> Result<(), Refused> {
        let max = self.group.inbox_calls_max();
        let look = |state: &mut State<O>| match admission::enter(state.inbox.len(), max) {
            Ok(()) => time.map_or(Ok(()), |time| state.in_time(time).map_err(Refused::TooLate)),
            Err(waiting) => Err(Refused::Full(waiting)),
        };
        look(state).or_else(|_| {
            // Those who are not waited for any more only take up room.
            self.shed(state, overdue);
            look(state)
        })
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
