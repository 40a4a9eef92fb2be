//! An activation that waits for a call, and how it is woken.

use std::task::{Context as TaskContext, Waker};

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
