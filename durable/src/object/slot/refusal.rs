//! Those who wait for an object that does not run, and those who come.

use std::collections::VecDeque;
use std::sync::Arc;

use super::kin::Wanting;
use super::{Slot, State, Trial, Visit};
use crate::error::Error;
use crate::host::Event;
use crate::kernel::activation::{Action, EndWish};
use crate::object::call::Begin;
use crate::object::{Firing, Object, PendingCall, Rung};

impl<O: Object> Slot<O> {
    /// Its one call is let through, or one child if only those wait, and all others are told `error`. Whether there is one.
    pub(crate) fn begin_trial(self: &Arc<Self>, error: &Error) -> bool {
        let mut state = self.state.lock();
        let is_first = |(ahead, _): &(usize, Firing)| *ahead == 0;
        let firing = state.firings.front().is_some_and(is_first).then(|| state.firings.pop_front());
        let firing = firing.flatten();
        let call = if firing.is_none() { state.inbox.pop_front() } else { None };
        let wanting = state.ties.as_mut().map(|ties| &mut ties.wanting);
        let wanting = wanting.filter(|wanting| !wanting.is_empty());
        let is_turn = firing.is_some() || call.is_some();
        let child = wanting.filter(|_| !is_turn).map(|wanting| wanting.remove(0));
        if !is_turn && child.is_none() {
            return false;
        }
        state.trial = Some(if is_turn { Trial::Turn } else { Trial::Start });
        let refused = state.refuse(error);
        state.firings.extend(firing);
        state.inbox.extend(call);
        if let Some(ties) = &mut state.ties {
            ties.wanting.extend(child);
        }
        drop(state);
        refused.tell(self, error);
        true
    }

    /// What it was tried for is forgotten: everybody is served again.
    pub(crate) fn end_trial(&self) {
        let mut state = self.state.lock();
        if state.trial.take().is_some() {
            state.refusal = None;
        }
    }

    /// A turn has ended and not crashed. If it was the one call that was let through, everybody is served again, before its
    /// caller is told and may call again.
    pub(crate) fn turn_ended_well(&self) {
        if !self.group.knows_of_faults() {
            return;
        }
        let mut state = self.state.lock();
        if state.trial == Some(Trial::Turn) && state.has_served {
            (state.trial, state.refusal) = (None, None);
            drop(state);
            self.group.on_passed(self);
        }
    }

    /// Takes the message of a call whose turn may begin. `None`: nobody waits for it any more.
    pub(crate) fn take(&self, call: &PendingCall<O>) -> Option<O::Call> {
        match call.begin(|| self.host().clock.now()) {
            Begin::Run(message) => Some(message),
            Begin::Skip => {
                let (object, call) = (self.id_ref(), call.number());
                self.host().report(|| Event::Skipped { object, call });
                self.was_no_turn();
                self.turn_skipped();
                None
            }
        }
    }

    /// A turn that was to begin does not: its caller has left, or what was due no longer is. If it is what was let through,
    /// nothing was shown, and the activation ends, so that the next call is let through in its place.
    pub(crate) fn turn_skipped(&self) {
        if !self.group.knows_of_faults() {
            return;
        }
        let mut state = self.state.lock();
        if state.trial == Some(Trial::Turn) {
            state.has_served = false;
            state.life.on_evict(EndWish::Soon);
        }
    }

    /// Everybody who waits for the object itself is told `error`. Whether something else is to be done to it.
    pub(crate) fn refuse_calls(self: &Arc<Self>, error: &Error) -> bool {
        let mut state = self.state.lock();
        if state.errands.is_empty() {
            return false;
        }
        let refused = state.refuse(error);
        drop(state);
        refused.tell(self, error);
        true
    }

    /// Whoever calls from here on is told `error`. Those who wait are told when the activation is gone.
    pub(crate) fn refuse_from_here(&self, error: Error) {
        self.state.lock().refusal = Some(error);
    }

    /// Calls queue again.
    pub(crate) fn accept_calls(&self) {
        self.state.lock().refusal = None;
    }

    /// Somebody wants the next call to be let through. One that meets an activation which ends queues for the next one, at
    /// whose start it is decided who that is; an activation that runs goes on refusing.
    pub(crate) fn accept_for_the_next(&self) {
        let mut state = self.state.lock();
        if state.life.is_ending() {
            state.refusal = None;
        }
    }

    /// The activation that was to start does not: everybody who waits is told `error`.
    pub(crate) fn turn_away(self: &Arc<Self>, error: &Error) {
        let mut state = self.state.lock();
        if state.life.is_abandoned() {
            return;
        }
        let refused = state.refuse(error);
        state.refusal = None;
        state.retry.forget();
        let has_errands = !state.errands.is_empty();
        let action = state.life.on_exit(has_errands);
        let waiters = std::mem::take(&mut state.exit_waiters);
        drop(state);
        self.group.left();
        refused.tell(self, error);
        for waiter in waiters {
            // Whoever no longer waits does not need to be told.
            let _ = waiter.send(());
        }
        if action == Action::Start {
            self.group.start(self);
        }
    }
}

impl<O: Object> State<O> {
    /// Nobody else is served from here on. Gives those who wait.
    fn refuse(&mut self, error: &Error) -> Waiting<O> {
        self.refusal = Some(error.clone());
        self.take_waiting()
    }

    pub(super) fn take_waiting(&mut self) -> Waiting<O> {
        let mut calls = std::mem::take(&mut self.inbox);
        calls.extend(self.take_line());
        Waiting {
            calls,
            visits: std::mem::take(&mut self.visits),
            firings: std::mem::take(&mut self.firings),
            children: self
                .ties
                .as_mut()
                .map(|ties| std::mem::take(&mut ties.wanting))
                .unwrap_or_default(),
        }
    }
}

/// Those who wait for an object.
pub(super) struct Waiting<O: Object> {
    calls: VecDeque<Arc<PendingCall<O>>>,
    visits: Vec<Visit<O>>,
    firings: VecDeque<(usize, Firing)>,
    /// Of them, who waits to be let in.
    children: Vec<Wanting>,
}

impl<O: Object> Waiting<O> {
    /// Without the lock: it wakes them.
    pub(super) fn tell(self, slot: &Arc<Slot<O>>, error: &Error) {
        drop(self.visits);
        slot.refuse_children(self.children, error);
        for (_, firing) in self.firings {
            firing.end(Rung::Postponed(error.clone()));
        }
        for call in self.calls {
            call.answer(Err(error.clone()));
        }
    }
}
