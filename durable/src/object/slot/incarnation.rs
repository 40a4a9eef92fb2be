//! An object in memory, as its supervisor and the eviction see it.

use std::sync::Arc;

use super::{Slot, gone, kin};
use crate::kernel::activation::{Action, EndWish};
use crate::kernel::residency::Use;
use crate::object::Object;
use crate::time::MonoNs;

/// A running activation, as its supervisor sees it.
pub(crate) trait Incarnation: Send + Sync {
    /// The activation is gone, with everything that it held.
    fn on_exit(self: Arc<Self>);
    /// The runtime is going: nothing is started any more, and whoever waits is told.
    fn on_abandon(&self);
    /// The object as logs call it.
    fn label(&self) -> String;
}

impl<O: Object> Incarnation for Slot<O> {
    fn on_exit(self: Arc<Self>) {
        let mut state = self.state.lock();
        if state.life.is_abandoned() {
            return;
        }
        state.idle.forget();
        state.beside_waker = None;
        (state.has_served, state.refusal, state.writing) = (false, None, None);
        state.is_failing = false;
        state.reading.clear();
        if let Some(crowd) = &mut state.crowd {
            crowd.pace.forget();
        }
        let was_on_trial = state.trial.take().is_some();
        let crash = state.crash.take().map(|exit| *exit);
        let is_dead = std::mem::take(&mut state.was_erased) || crash.is_some();
        let untied = self.untie(&mut state, is_dead);
        // A class that is stopped serves the calls that wait, and is not woken by children of its objects.
        let stopped = state.ties.as_mut().filter(|ties| ties.is_wanted()).and_then(|ties| {
            let error = self.group.stopped()?;
            Some((std::mem::take(&mut ties.wanting), error))
        });
        let are_calls_waiting = state.ties.as_ref().is_some_and(|ties| ties.is_wanted())
            || !state.inbox.is_empty()
            || state.has_unattended_line()
            || !state.firings.is_empty()
            || !state.visits.is_empty()
            || !state.errands.is_empty();
        if !are_calls_waiting {
            state.retry.forget();
        }
        let action = state.life.on_exit(are_calls_waiting);
        let waiters = std::mem::take(&mut state.exit_waiters);
        drop(state);
        if was_on_trial {
            self.group.undecided(&self);
        }
        self.group.left();
        self.part(untied, crash);
        if let Some((wanting, error)) = stopped {
            self.refuse_children(wanting, &error.with_object(Slot::label(&self)));
        }
        for waiter in waiters {
            // Whoever no longer waits does not need to be told.
            let _ = waiter.send(());
        }
        if action == Action::Start {
            self.group.start(&self);
        }
    }

    fn on_abandon(&self) {
        let mut state = self.state.lock();
        let was_resident = state.life.on_abandon();
        state.idle.forget();
        let mut calls = std::mem::take(&mut state.inbox);
        calls.extend(state.take_line());
        let visits = std::mem::take(&mut state.visits);
        let waiters = std::mem::take(&mut state.exit_waiters);
        let errands = std::mem::take(&mut state.errands);
        let firings = std::mem::take(&mut state.firings);
        let ties = state.ties.take();
        drop(state);
        drop((waiters, visits, errands, firings, ties));
        for call in calls {
            call.answer(Err(gone()));
        }
        if was_resident {
            self.group.left();
        }
    }

    fn label(&self) -> String {
        Slot::label(self)
    }
}

/// An object in memory, as the eviction sees it.
pub(crate) trait Resident: Send + Sync {
    /// How its activation number `incarnation` is used.
    fn current_use(&self, incarnation: u64) -> Use;
    /// Ends its activation if it is idle. Whether it was.
    fn evict_if_idle(&self) -> bool;
}

impl<O: Object> Resident for Slot<O> {
    fn current_use(&self, incarnation: u64) -> Use {
        let state = self.state.lock();
        if !state.life.is_live() || state.life.incarnation() != incarnation {
            Use::Gone
        } else if state.life.is_idle() && !state.has_work() {
            let (own, children) = (Use::IdleSince(state.idle_since), kin::children(&state.ties));
            drop(state);
            kin::use_with(own, children)
        } else {
            Use::Busy
        }
    }

    fn evict_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        let children = kin::children(&state.ties);
        if !children.is_empty() {
            drop(state);
            // One that is called in this moment lets its turn end before it goes.
            if kin::use_with(Use::IdleSince(MonoNs(0)), children) == Use::Busy {
                return false;
            }
            state = self.state.lock();
        }
        if !state.life.is_idle() || state.has_work() {
            return false;
        }
        state.life.on_evict(EndWish::Soon);
        let waker = state.idle.wake();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}
