//! What is to be stored beside the commits of objects, until the writer comes to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What waits for the writer, in order.
pub(super) struct Chores<C> {
    is_wanted: AtomicBool,
    waiting: Mutex<Waiting<C>>,
}

struct Waiting<C> {
    chores: Vec<C>,
    /// The writer has ended.
    is_closed: bool,
}

impl<C> Default for Chores<C> {
    fn default() -> Self {
        let waiting = Waiting { chores: Vec::new(), is_closed: false };
        Chores { is_wanted: AtomicBool::new(false), waiting: Mutex::new(waiting) }
    }
}

impl<C> Chores<C> {
    /// It is dropped if nobody writes any more, with whatever it would answer by.
    pub(super) fn push(&self, chore: C) {
        let mut waiting = self.lock();
        if !waiting.is_closed {
            waiting.chores.push(chore);
            self.is_wanted.store(true, Ordering::Release);
            return;
        }
        // Outside of the lock: it may wake those who wait for an answer.
        drop(waiting);
        drop(chore);
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    pub(super) fn take(&self) -> Vec<C> {
        let mut waiting = self.lock();
        self.is_wanted.store(false, Ordering::Release);
        std::mem::take(&mut waiting.chores)
    }

    pub(super) fn close(&self) {
        let chores = {
            let mut waiting = self.lock();
            waiting.is_closed = true;
            std::mem::take(&mut waiting.chores)
        };
        // Outside of the lock, as above.
        drop(chores);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
