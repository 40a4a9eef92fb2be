//! The order of the calls that wait: the order in which they came, but for reads that those wait for that run.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::{Refused, Slot, State, Work};
use crate::class::Access;
use crate::host::Event;
use crate::kernel::activation::EndWish;
use crate::object::inside::{Aim, Nested};
use crate::object::{Object, PendingCall};

impl<O: Object> Slot<O> {
    /// What still begins when the object in memory cannot be trusted any more: reads that came before it failed, and that
    /// reads which run may be waiting for.
    pub(crate) fn poll_beside(&self, task: &TaskContext<'_>) -> Poll<Work<O>> {
        let mut state = self.state.lock();
        state.is_failing = true;
        state.skip_those_who_left();
        if state.has_beside() {
            return Poll::Ready(Work::Read(self.pop(&mut state)));
        }
        state.beside_waker = Some(task.waker().clone());
        Poll::Pending
    }

    /// Takes the first call, which reads. `readers`: reads that run.
    pub(super) fn pop_read(&self, state: &mut State<O>, readers: usize) -> Arc<PendingCall<O>> {
        if readers == 0 && state.has_reads_behind && state.is_held_first() {
            self.host().report(|| Event::Held { object: &self.id });
        } else if readers == 0 {
            state.begin_reads();
        }
        self.pop(state)
    }

    /// Takes the first call.
    pub(super) fn pop(&self, state: &mut State<O>) -> Arc<PendingCall<O>> {
        let call = state.pop();
        let waiting = state.inbox.len();
        if let Some(crowd) = &mut state.crowd {
            crowd.pace.taken(waiting, call.made(), || self.host().clock.now());
        }
        call
    }

    /// Whether a call that is about to be queued goes before all that wait there. If it may begin at once, beside reads that
    /// run, the activation looks again.
    ///
    /// # Errors
    /// [`Refused::Circular`].
    pub(super) fn overtakes(
        &self,
        state: &mut State<O>,
        call: &PendingCall<O>,
    ) -> Result<bool, Refused> {
        let Some(nested) = call.nested() else { return Ok(false) };
        let has_moved = call.access() == Access::Read && state.forget_those_who_left();
        let (object, method, is_behind_write) = (self.id, call.spec(), state.has_write());
        state.has_reads_behind |= is_behind_write && call.access() == Access::Read;
        let aim = Aim { object, method, is_behind_write };
        let overtakes =
            nested.queue(aim).map_err(|chain| Refused::Circular(chain, state.is_held()))?;
        if (has_moved || nested.begins_beside())
            && let Some(waker) = state.beside_waker.take()
        {
            waker.wake();
        }
        Ok(overtakes)
    }
}

impl<O: Object> State<O> {
    /// Reads may begin that could not: one is about to while none runs, or what was before them is gone. Those that come
    /// first, up to what runs alone, begin beside each other.
    fn begin_reads(&mut self) {
        if !self.has_reads_behind {
            return;
        }
        let is_first = self.is_held_first();
        for (index, call) in self.inbox.iter().enumerate() {
            let is_behind = is_first || self.firings.iter().any(|(ahead, _)| *ahead <= index);
            if !call.is_waiting() {
                continue;
            }
            if is_behind || call.access() == Access::Write {
                return;
            }
            if let Some(nested) = call.nested() {
                nested.comes_next();
            }
        }
        self.has_reads_behind = false;
    }

    fn pop(&mut self) -> Arc<PendingCall<O>> {
        self.has_served = true;
        for (ahead, _) in &mut self.firings {
            *ahead = ahead.saturating_sub(1);
        }
        let call = self.inbox.pop_front().expect("the head was seen");
        if let Some(nested) = call.nested() {
            nested.begun();
        }
        call
    }

    /// Whether reads come first of which one begins beside those that run, whatever else is to be done.
    pub(super) fn has_beside(&self) -> bool {
        let mut reads = self.inbox.iter().take_while(|call| call.access() == Access::Read);
        reads.any(|call| call.nested().is_some_and(Nested::begins_beside))
    }

    /// Whether a call that is queued here waits for something that has the object to itself, or for its end.
    fn has_write(&self) -> bool {
        self.is_held() || self.inbox.iter().any(|call| call.access() == Access::Write)
    }

    /// Whether something else than a call comes first, and waits for the turns that run.
    pub(super) fn is_held(&self) -> bool {
        self.is_held_first() || !self.firings.is_empty()
    }

    /// Whether something that is no call comes before all calls.
    fn is_held_first(&self) -> bool {
        let (has_children, has_notice) = match &self.ties {
            Some(ties) => (ties.has_children(), !ties.notices.is_empty()),
            None => (false, false),
        };
        let is_ending = self.life.end_wish() == Some(EndWish::Soon) && !has_children;
        self.is_failing || has_notice || is_ending
    }

    /// Takes the first calls out whose callers have left: what comes after them need not wait for the reads that run.
    pub(super) fn skip_those_who_left(&mut self) {
        self.skip_until(|call| call.is_waiting());
    }

    /// Takes the first calls out, up to one that stays. Whether there were any.
    pub(super) fn skip_until(
        &mut self,
        mut stays: impl FnMut(&Arc<PendingCall<O>>) -> bool,
    ) -> bool {
        let mut has_moved = false;
        while self.inbox.front().is_some_and(|call| !stays(call)) {
            self.inbox.pop_front();
            for (ahead, _) in &mut self.firings {
                *ahead = ahead.saturating_sub(1);
            }
            has_moved = true;
        }
        if has_moved {
            self.begin_reads();
        }
        has_moved
    }

    /// Takes the calls out whose callers have left: a read need not wait behind them. Whether there were any.
    fn forget_those_who_left(&mut self) -> bool {
        self.keep_only(|call| call.is_waiting())
    }

    /// Takes the calls out that do not stay. Whether there were any.
    pub(super) fn keep_only(
        &mut self,
        mut stays: impl FnMut(&Arc<PendingCall<O>>) -> bool,
    ) -> bool {
        let mut index = 0;
        let mut gone = Vec::new();
        self.inbox.retain(|call| {
            let stays = stays(call);
            gone.extend((!stays).then_some(index));
            index += 1;
            stays
        });
        for (ahead, _) in &mut self.firings {
            *ahead -= gone.iter().filter(|index| **index < *ahead).count();
        }
        if !gone.is_empty() {
            self.begin_reads();
        }
        !gone.is_empty()
    }

    /// Queues a call before all others.
    pub(super) fn push_front(&mut self, call: &Arc<PendingCall<O>>) {
        self.inbox.push_front(Arc::clone(call));
        for (ahead, _) in &mut self.firings {
            *ahead += 1;
        }
    }
}
