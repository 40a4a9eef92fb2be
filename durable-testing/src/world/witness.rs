//! The runtime's director in a world: writes down what happens, checks it, and strikes where a fault was planned.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use durable::host::{BoxFuture, Director, Entropy, Event, TurnEnd};
use durable::{ObjectId, WallMs};

use super::World;
use super::host::{Drawn, Sleep};
use super::life::Life;
use crate::failure::Failure;

/// Salt of what turns draw from.
const TURNS: u64 = 0x7475_726e;

pub(super) struct Witness {
    world: Weak<World>,
    life: Arc<Life>,
}

impl Witness {
    pub(super) fn new(world: &Arc<World>, life: &Arc<Life>) -> Self {
        Witness { world: Arc::downgrade(world), life: Arc::clone(life) }
    }

    /// The world, if this life can still be seen in it.
    fn world(&self) -> Option<Arc<World>> {
        self.world.upgrade().filter(|_| self.life.is_alive())
    }
}

impl Director for Witness {
    fn saw(&self, event: &Event<'_>) {
        if let Some(world) = self.world() {
            world.saw(event);
        }
    }

    fn pass(&self, _: &ObjectId) -> Option<BoxFuture<'static, ()>> {
        let world = self.world()?;
        let delay_ns = world.hesitate_ns()?;
        Some(Box::pin(Sleep::until(self.world.clone(), world.now_ns() + delay_ns)))
    }

    fn number_call(&self) -> u64 {
        self.world.upgrade().map_or(1, |world| world.calls.lock().ledger.next_number())
    }

    fn entropy(&self, call: u64) -> Arc<dyn Entropy> {
        let seed = self.world.upgrade().map_or(0, |world| world.seed);
        turn_entropy(seed, call)
    }

    fn is_wired(&self) -> bool {
        self.world.upgrade().is_some_and(|world| world.spec.is_wired)
    }
}

/// What the turn of a call draws from.
pub(crate) fn turn_entropy(seed: u64, call: u64) -> Arc<dyn Entropy> {
    Arc::new(Drawn::new(seed ^ TURNS, call))
}

impl World {
    /// An activation hesitates for so long before it looks for its next call; `None`: not at all.
    fn hesitate_ns(&self) -> Option<u64> {
        let little_ns = self.agenda.lock().a_little_ns();
        little_ns.is_multiple_of(4).then_some(little_ns)
    }

    /// Relaxed calls whose changes were lost may have happened or not.
    pub(super) fn loosen(&self) {
        let loosened = self.promises.lock().take_loosened();
        self.calls.lock().ledger.loosen(&loosened);
    }

    fn saw(self: &Arc<Self>, event: &Event<'_>) {
        let is_in_turn = matches!(event, Event::TurnBegan { .. } | Event::TurnTold { .. });
        self.is_in_turn.store(is_in_turn, Ordering::Release);
        self.stir();
        self.trace.lock().event(self.now_ns(), event);
        self.calls.lock().ledger.saw(self.step(), event);
        let verdict = self.promises.lock().saw(event, WallMs(self.wall_ms()), self.now_ns());
        let verdict = verdict.and_then(|()| self.trees.lock().saw(self.now_ns(), event));
        let verdict = verdict.and_then(|()| self.families.lock().saw(event));
        let verdict = verdict.and_then(|()| self.drain.lock().saw(self.now_ns(), event));
        let verdict = verdict.and_then(|()| self.waits.lock().saw(event));
        let verdict = verdict.and_then(|()| self.work.lock().saw(event));
        if let Err(failure) = verdict {
            self.fail(failure);
        }
        if let Event::Settled { is_durable: false, .. } = event {
            self.loosen();
        }
        match event {
            Event::TurnEnded { ended: TurnEnd::Panicked, .. } if !self.spec.may_panic => {
                let panic = crate::failure::last_panic();
                self.fail(Failure::panicked(panic));
            }
            Event::Settled { is_durable: true, .. } => self.check_invariants(),
            Event::Stopped { .. } => self.mend_soon(),
            _ => {}
        }
        self.strike_point(event.point());
    }
}
