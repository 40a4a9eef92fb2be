//! A class that fails as a whole: its supervisor decides what follows; without one it is closed for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::directory::{ClassGroup, Group};
use crate::error::{Code, Error};
use crate::host::Event;
use crate::kernel::breaker::Share;
use crate::kernel::restart::{Decision, Exit, ExitReason};
use crate::limits::BREAKER_COOL_DOWN;
use crate::object::{Object, Slot};
use crate::time::MonoNs;

/// What [`Group::door`] holds while the class takes calls.
pub(super) const OPEN: u64 = 0;

/// What it holds while its supervisor has stopped it. In between: until when it cools down, in nanoseconds.
pub(super) const STOPPED: u64 = u64::MAX;

impl<O: Object> Group<O> {
    /// Why the class serves nobody. `None`: it does.
    pub(crate) fn stopped(&self) -> Option<Error> {
        match self.door().load(Ordering::Acquire) {
            OPEN => None,
            STOPPED => Some(Code::ClassStopped.error(format!(
                "class {} is stopped by its supervisor; call again when that has started it",
                O::CLASS.name
            ))),
            until => {
                let left = MonoNs(until) - self.host().clock.now();
                if left.is_zero() {
                    // Whoever comes first opens it; a supervisor may have closed it since.
                    let opened = self.door().compare_exchange(
                        until,
                        OPEN,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    );
                    if opened.is_ok() {
                        self.service().tell_of_class(O::CLASS.name, &Decision::ClassReopened);
                    }
                    return None;
                }
                let text = format!(
                    "class {} is closed for {left:?} more, because too many of its objects failed; \
                     mend the cause that the log names and call again later",
                    O::CLASS.name
                );
                Some(Code::ClassFailing.error(text).with_retry_after(left))
            }
        }
    }

    /// Somebody waits for an object that is not in memory. One who has come while the class was closed is turned away: it is
    /// waited for that nothing of it is in memory.
    pub(crate) fn begin(&self, slot: &Arc<Slot<O>>) {
        match self.stopped() {
            None => self.start(slot),
            Some(error) => {
                self.enter(slot);
                slot.turn_away(&error.with_object(slot.label()));
            }
        }
    }

    /// So many of its objects have failed that the class has.
    pub(super) fn fail(self: &Arc<Self>, Share { failing, of }: Share, reason: &str) {
        let class = O::CLASS.name;
        let decision = Decision::ClassFailing { failing, of, reason: reason.to_owned() };
        self.service().tell_of_class(class, &decision);
        self.host().report(|| Event::ClassFailed { class });
        let text = format!("{failing} of {of} objects failed, the last one with: {reason}");
        let exit = Exit::new(ExitReason::Error, text);
        if self.service().fail_class(class, exit) {
            return;
        }
        let until = self.host().clock.now() + BREAKER_COOL_DOWN;
        let closed =
            self.door().compare_exchange(OPEN, until.0, Ordering::AcqRel, Ordering::Relaxed);
        if closed.is_ok() {
            let decision = Decision::ClassCooling { delay: BREAKER_COOL_DOWN };
            self.service().tell_of_class(class, &decision);
            // What is in memory goes on from its last commit afterwards.
            let group = Arc::clone(self);
            self.host().tasks.spawn(Box::pin(async move { group.drain().await }));
        }
    }
}
