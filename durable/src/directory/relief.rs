//! Places among the calls that are under way, given back by calls whose time is over while they wait for an object and their
//! callers look elsewhere.
//!
//! Nobody looks for them until a place is wanted. Then all objects in memory are looked through, in a task of its own, and not
//! again for a while: whoever was refused, and comes again when told to, comes after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::directory::Group;
use crate::limits::{RELIEF_SHARE, RETRY_AFTER};
use crate::object::Object;
use crate::time::MonoNs;

/// When all objects of a runtime are looked through.
#[derive(Debug, Default)]
pub(crate) struct Relief {
    is_planned: AtomicBool,
    /// Not before this time, in nanoseconds of the host's clock.
    not_before: AtomicU64,
}

impl<O: Object> Group<O> {
    /// Somebody wants a place, and there is none.
    pub(super) fn relieve(&self) {
        if self.shared().relief.is_planned.swap(true, Ordering::AcqRel) {
            return;
        }
        let clock = Arc::clone(&self.host().clock);
        let not_before = MonoNs(self.shared().relief.not_before.load(Ordering::Acquire));
        // It keeps no runtime that is shut down.
        let registry = self.registry().clone();
        self.host().tasks.spawn(Box::pin(async move {
            if clock.now() < not_before {
                clock.sleep_until(not_before).await;
            }
            let Some(registry) = registry.upgrade() else { return };
            let began = clock.now();
            for group in registry.groups() {
                group.shed().await;
            }
            let ended = clock.now();
            let rest = ((ended - began) * RELIEF_SHARE).max(RETRY_AFTER / 2);
            let relief = &registry.shared().relief;
            relief.not_before.store((ended + rest).0, Ordering::Release);
            relief.is_planned.store(false, Ordering::Release);
        }));
    }
}
