//! How long whoever has made a call waits for it.

use std::task::Context as TaskContext;

use super::{Address, Way};
use crate::object::{BoxFuture, Object};
use crate::time::MonoNs;

/// A caller's patience. A call that has its answer at once never has a timer.
pub(super) enum Patience {
    /// It waits as long as it takes, or its time was over.
    Endless,
    Until(MonoNs),
    Timed(BoxFuture<'static, ()>),
}

impl Patience {
    pub(super) fn until(deadline: Option<MonoNs>) -> Self {
        deadline.map_or(Patience::Endless, Patience::Until)
    }

    /// Whether the time is over, which it is once. If not, `task` is woken when it is.
    pub(super) fn is_over<O: Object>(
        &mut self,
        object: &Address<O>,
        task: &mut TaskContext<'_>,
    ) -> bool {
        if let (Patience::Until(deadline), Ok(Way::Here(target))) = (&*self, &object.0.way) {
            *self = Patience::Timed(target.group.host().clock.sleep_until(*deadline));
        }
        let Patience::Timed(timer) = self else { return false };
        let is_over = timer.as_mut().poll(task).is_ready();
        if is_over {
            *self = Patience::Endless;
        }
        is_over
    }
}
