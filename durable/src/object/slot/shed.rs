//! Calls that nobody waits for any more, and calls that nobody would wait for long enough: the first take up no room where
//! others want it, and the second are refused at once.

use std::sync::Arc;
use std::time::Duration;

use super::{INBOX_KEPT, Slot, State};
use crate::limits::PACE_WAITING_MIN;
use crate::object::{Object, PendingCall};
use crate::time::MonoNs;

/// Calls that were taken out because their time is over. They are told when it is dropped, which is not done under a lock.
pub(super) struct Overdue<O: Object>(Vec<Arc<PendingCall<O>>>);

impl<O: Object> Overdue<O> {
    pub(super) fn new() -> Self {
        Overdue(Vec::new())
    }

    pub(super) fn extend(&mut self, calls: impl IntoIterator<Item = Arc<PendingCall<O>>>) {
        self.0.extend(calls);
    }
}

impl<O: Object> Drop for Overdue<O> {
    fn drop(&mut self) {
        for call in &self.0 {
            call.expire();
        }
    }
}

/// Why a call would not begin in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooLate {
    /// Calls that wait before it.
    pub(crate) waiting: usize,
    /// How long it would wait.
    pub(crate) wait: Duration,
    /// How long its caller waits.
    pub(crate) time: Duration,
}

impl<O: Object> Slot<O> {
    /// Takes calls out of the inbox that nobody waits for: the first of them, and now and then all.
    pub(super) fn shed(&self, state: &mut State<O>, overdue: &mut Overdue<O>) {
        let now = self.host().clock.now();
        if !state.crowd().pace.is_fresh(now) {
            state.crowd().pace.forget();
        }
        let length = state.inbox.len();
        let has_moved = if state.crowd().sweep.is_due(length, now) {
            state.keep_only(|call| stays(call, now, overdue))
        } else {
            state.skip_until(|call| stays(call, now, overdue))
        };
        state.look_again(has_moved);
    }

    /// Takes all calls out of the inbox that nobody waits for. Not the one that an object in quarantine is let run for: it is
    /// the activation that says what becomes of it.
    pub(crate) fn shed_all(self: &Arc<Self>) {
        let mut overdue = Overdue::new();
        let mut state = self.state.lock();
        if state.inbox.is_empty() || state.trial.is_some() {
            return;
        }
        let now = self.host().clock.now();
        let has_moved = state.keep_only(|call| stays(call, now, &mut overdue));
        state.look_again(has_moved);
        if has_moved && state.has_line() {
            self.settle_line(state, None);
        }
    }

    /// What was taken from the inbox begins no turn.
    pub(super) fn was_no_turn(&self) {
        if let Some(crowd) = &mut self.state.lock().crowd {
            crowd.pace.skipped();
        }
    }
}

impl<O: Object> State<O> {
    /// Reads may come first that could not begin behind calls that were taken out.
    fn look_again(&mut self, has_moved: bool) {
        if has_moved && let Some(waker) = self.beside_waker.take() {
            waker.wake();
        }
    }

    /// No calls wait.
    pub(super) fn rests(&mut self) {
        self.inbox.shrink_to(INBOX_KEPT);
        if let Some(crowd) = &mut self.crowd {
            crowd.pace.rests();
        }
    }

    /// Whether one more call would begin within `time`, as far as anybody can tell.
    pub(super) fn in_time(&mut self, time: Duration) -> Result<(), TooLate> {
        let waiting = self.inbox.len();
        if waiting < PACE_WAITING_MIN {
            return Ok(());
        }
        match self.crowd().pace.too_long(waiting, time) {
            Some(wait) => Err(TooLate { waiting, wait, time }),
            None => Ok(()),
        }
    }
}

/// Whether somebody waits for a call.
fn stays<O: Object>(call: &Arc<PendingCall<O>>, now: MonoNs, overdue: &mut Overdue<O>) -> bool {
    if call.is_overdue(now) {
        overdue.extend([Arc::clone(call)]);
        return false;
    }
    call.is_waiting()
}
