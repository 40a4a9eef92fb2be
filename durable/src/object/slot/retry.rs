//! An object that could not come into memory for a reason that may have passed, and is tried again: those who wait for it stay
//! where they are, in their order, each for as long as it has time.

use std::future::poll_fn;
use std::task::Poll;

use super::Slot;
use crate::kernel::activation::EndWish;
use crate::kernel::retry::Next;
use crate::object::Object;

impl<O: Object> Slot<O> {
    /// The activation could not start, and is about to end. `is_passing`: the reason may pass by itself. Gives whether the next
    /// one is to try again.
    pub(crate) fn failed_to_start(&self, is_passing: bool) -> Next {
        let mut chance = [0; 8];
        if is_passing {
            self.host().entropy.fill(&mut chance);
        }
        let now = self.host().clock.now();
        self.state.lock().retry.on_failed(is_passing, now, u64::from_le_bytes(chance))
    }

    /// The activation has started, or what keeps it from that is not its own.
    pub(crate) fn forget_failed_starts(&self) {
        self.state.lock().retry.forget();
    }

    /// Waits until the object may be tried again, if it could not start. Gives whether it is to be tried: else it is to leave
    /// memory first. Whoever lets those who wait be served before it leaves does not wait for this.
    pub(crate) async fn rest(&self) -> bool {
        let clock = &self.host().clock;
        let next_at = self.state.lock().retry.next_at();
        if next_at <= clock.now() {
            return true;
        }
        let mut timer = clock.sleep_until(next_at);
        poll_fn(|task| {
            let mut state = self.state.lock();
            match state.life.end_wish() {
                Some(EndWish::Soon) => return Poll::Ready(false),
                Some(EndWish::Drained) => return Poll::Ready(true),
                None => state.idle.begin(task),
            }
            drop(state);
            timer.as_mut().poll(task).map(|()| true)
        })
        .await
    }
}
