//! An activation that waits for a call, and how it is woken.

use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use parking_lot::MutexGuard;

use super::{Slot, State};
use crate::kernel::activation::Action;
use crate::object::Object;
use crate::object::ends::End;
use crate::object::engine::{Driven, Engine};

/// Whether anybody looks at a call that is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a call that nobody looks at waits for ever"]
pub(crate) enum Arrived {
    Seen,
    /// The activation was idle, and is to be [driven](Slot::drive) or [recalled](Slot::recall).
    Unseen,
}

/// Whether the activation waits for a call.
#[derive(Debug, Default)]
pub(super) struct Idle {
    is_idle: bool,
    /// That of its actor. It is kept while a caller does what the actor would, which then need not be asked for it again.
    actor: Option<Waker>,
}

impl Idle {
    /// It waits from here on.
    pub(super) fn begin(&mut self, actor: &TaskContext<'_>) {
        self.is_idle = true;
        match &mut self.actor {
            Some(known) => known.clone_from(actor.waker()),
            none => *none = Some(actor.waker().clone()),
        }
    }

    /// It waits no more. Gives whether it did; then the actor is to be woken, or somebody does what it would.
    #[must_use = "nobody else wakes the actor"]
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_idle)
    }

    /// It waits no more. Gives who is to be woken. `None`: it did not wait, or whoever has ended that sees to it.
    pub(super) fn wake(&mut self) -> Option<Waker> {
        if self.end() { self.actor.take() } else { None }
    }

    /// Its waiting was [ended](Self::end), and nobody does what it would. Gives who is to be woken.
    pub(super) fn recall(&mut self) -> Option<Waker> {
        self.actor.take()
    }

    /// The activation is gone.
    pub(super) fn forget(&mut self) {
        *self = Idle::default();
    }
}

impl<O: Object> Slot<O> {
    /// What runs its turns while it is in memory.
    pub(in crate::object) fn engine(&self) -> &Engine<End> {
        &self.engine
    }

    /// Does in the place of an activation that was idle what it is to do next, if that is quick, or wakes it. Whoever calls this
    /// holds no lock that a turn may want, and is where turns may run.
    pub(crate) fn drive(&self) {
        if self.engine.drive(&*self.host().clock) == Driven::Left {
            self.recall();
        }
    }

    /// Wakes the activation, which was idle.
    pub(crate) fn recall(&self) {
        let actor = self.state.lock().idle.recall();
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// There is work: sees to it that an activation looks at it.
    pub(super) fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State<O>>) {
        let actor = state.idle.wake();
        self.begin(state);
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// There is work: sees to it that there is an activation.
    pub(super) fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, State<O>>) {
        let action = state.life.on_call();
        drop(state);
        if action == Action::Start {
            self.group.begin(self);
        }
    }
}
