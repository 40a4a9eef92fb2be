//! What runs an object's turns: one future, which is polled by whoever has reason to.
//!
//! The object's actor has it, and polls it whenever it is woken. A caller that finds the object idle polls it too, instead
//! of waking the actor: what can be answered at once is answered without a switch of tasks. It is one future behind one
//! lock, so turns run one at a time and in their order, whoever polls.

use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use crate::host::Clock;
use crate::kernel::quick::{Drive, Quick};
use crate::object::BoxFuture;

/// Runs what comes to `T`.
pub(super) struct Engine<T> {
    seat: Mutex<Seat<T>>,
    /// The actor came while a caller was at it, and is to be woken.
    is_missed: AtomicBool,
}

/// Of whoever polls.
struct Seat<T> {
    turns: Turns<T>,
    quick: Quick,
    /// What wakes the actor. `None`: it has not polled yet.
    actor: Option<Waker>,
}

enum Turns<T> {
    /// There are none.
    Off,
    Run(BoxFuture<'static, T>),
    /// A caller has brought them to their end.
    Ended(Box<T>),
}

/// What has become of the work that a caller has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is left nobody else does"]
pub(super) enum Driven {
    /// It is done, as far as it can be now.
    Done,
    /// It is the actor's, which is to be woken.
    Left,
}

impl<T> Default for Engine<T> {
    fn default() -> Self {
        let seat = Seat { turns: Turns::Off, quick: Quick::default(), actor: None };
        Engine { seat: Mutex::new(seat), is_missed: AtomicBool::new(false) }
    }
}

impl<T> Engine<T> {
    /// Runs `turns` to their end, in the actor.
    ///
    /// # Cancel safety
    /// Dropping it drops `turns`; it waits for a caller that polls them, which takes as long as a turn that does not wait.
    pub(super) async fn run(&self, turns: BoxFuture<'static, T>) -> T {
        self.seat.lock().turns = Turns::Run(turns);
        let _off = Off(self);
        poll_fn(|task| self.poll(task)).await
    }

    fn poll(&self, task: &mut TaskContext<'_>) -> Poll<T> {
        let Some(mut seat) = self.sit_down() else { return Poll::Pending };
        let seat = &mut *seat;
        match &mut seat.actor {
            Some(known) => known.clone_from(task.waker()),
            none => *none = Some(task.waker().clone()),
        }
        match &mut seat.turns {
            Turns::Run(turns) => {
                let polled = turns.as_mut().poll(task);
                if polled.is_ready() {
                    seat.turns = Turns::Off;
                }
                polled
            }
            Turns::Ended(_) => match mem::replace(&mut seat.turns, Turns::Off) {
                Turns::Ended(ended) => Poll::Ready(*ended),
                _ => unreachable!("it was seen"),
            },
            Turns::Off => unreachable!("turns are polled until they end"),
        }
    }

    /// The actor's. `None`: a caller is there, and wakes the actor when it leaves.
    fn sit_down(&self) -> Option<MutexGuard<'_, Seat<T>>> {
        self.seat.try_lock().or_else(|| {
            self.is_missed.store(true, Ordering::Relaxed);
            // Either this sees that the seat is free, or whoever leaves it sees that somebody was missed.
            fence(Ordering::SeqCst);
            self.seat.try_lock()
        })
    }

    /// Does what the actor would do next, if that is quick. Whoever calls this holds no lock that a turn may want, and is where
    /// turns may run.
    pub(super) fn drive(&self, clock: &dyn Clock) -> Driven {
        let driven = match self.seat.try_lock() {
            Some(mut seat) => seat.drive(clock),
            None => return Driven::Left,
        };
        fence(Ordering::SeqCst);
        if self.is_missed.load(Ordering::Relaxed) {
            self.call_missed();
        }
        driven
    }

    /// Wakes the actor, which has come and found the seat taken. If it is taken again, whoever has it does that.
    #[cold]
    fn call_missed(&self) {
        let actor = {
            let Some(seat) = self.seat.try_lock() else { return };
            self.is_missed.store(false, Ordering::Relaxed);
            seat.actor.clone()
        };
        if let Some(actor) = actor {
            actor.wake();
        }
    }
}

impl<T> Seat<T> {
    fn drive(&mut self, clock: &dyn Clock) -> Driven {
        let (Turns::Run(turns), Some(actor)) = (&mut self.turns, &self.actor) else {
            return Driven::Left;
        };
        let since = match self.quick.next() {
            Drive::Leave => return Driven::Left,
            Drive::Run => None,
            Drive::Look => Some(clock.now()),
        };
        let polled = turns.as_mut().poll(&mut TaskContext::from_waker(actor));
        if let Some(since) = since {
            self.quick.took(clock.now() - since);
        }
        match polled {
            Poll::Pending => Driven::Done,
            Poll::Ready(ended) => {
                self.turns = Turns::Ended(Box::new(ended));
                Driven::Left
            }
        }
    }
}

/// Ends the turns when they are not run any more.
struct Off<'e, T>(&'e Engine<T>);

impl<T> Drop for Off<'_, T> {
    fn drop(&mut self) {
        let turns = {
            let mut seat = self.0.seat.lock();
            seat.actor = None;
            mem::replace(&mut seat.turns, Turns::Off)
        };
        drop(turns);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::limits::{DRIVE_LOOK_EVERY, DRIVE_TIME, DRIVE_TRIED_EVERY};
    use crate::time::{MonoNs, WallMs};

    /// Counts how often the actor is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A clock that goes on by so much with each look.
    struct Ticks(Mutex<(u64, Duration)>);

    impl Ticks {
        fn of(step: Duration) -> Self {
            Ticks(Mutex::new((0, step)))
        }
    }

    impl Clock for Ticks {
        fn now(&self) -> MonoNs {
            let mut ticks = self.0.lock();
            ticks.0 += u64::try_from(ticks.1.as_nanos()).expect("a short time");
            MonoNs(ticks.0)
        }

        fn wall(&self) -> WallMs {
            WallMs(0)
        }

        fn sleep_until(&self, _: MonoNs) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    /// Turns that are polled so often, then are over. `at`: what happens at each of their polls.
    fn turns(polls: usize, at: impl Fn() + Send + 'static) -> BoxFuture<'static, usize> {
        let mut polled = 0;
        Box::pin(poll_fn(move |_| {
            polled += 1;
            at();
            if polled == polls { Poll::Ready(polled) } else { Poll::Pending }
        }))
    }

    thread_local! {
        /// How an actor's poll in the middle of a caller's ended.
        static CAME: Cell<Option<bool>> = const { Cell::new(None) };
    }

    #[test]
    fn an_actor_that_comes_while_a_caller_is_there_is_woken_when_the_caller_leaves() {
        let engine: Arc<Engine<usize>> = Arc::default();
        let woken = Arc::<Woken>::default();
        let actor = Waker::from(Arc::clone(&woken));
        let comes = Arc::clone(&engine);
        let its = actor.clone();
        let is_first = AtomicBool::new(true);
        let turns = turns(9, move || {
            if !is_first.swap(false, Ordering::Relaxed) {
                CAME.set(Some(comes.poll(&mut TaskContext::from_waker(&its)).is_ready()));
            }
        });
        let mut run = pin!(engine.run(turns));
        let mut task = TaskContext::from_waker(&actor);
        assert!(run.as_mut().poll(&mut task).is_pending());
        assert_eq!(CAME.get(), None);
        assert_eq!(engine.drive(&Ticks::of(Duration::ZERO)), Driven::Done);
        assert_eq!(CAME.get(), Some(false), "the seat was taken");
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(run.as_mut().poll(&mut task).is_pending(), "and it is free again");
    }

    #[test]
    fn turns_that_end_at_a_callers_are_the_actors_to_end() {
        let (engine, woken) = (Engine::default(), Arc::<Woken>::default());
        let actor = Waker::from(woken);
        let mut task = TaskContext::from_waker(&actor);
        let clock = Ticks::of(Duration::ZERO);
        assert_eq!(engine.drive(&clock), Driven::Left, "there are no turns");
        let mut run = pin!(engine.run(turns(3, || ())));
        assert!(run.as_mut().poll(&mut task).is_pending());
        assert_eq!(engine.drive(&clock), Driven::Done);
        assert_eq!(engine.drive(&clock), Driven::Left, "the actor is to hear of it");
        assert_eq!(engine.drive(&clock), Driven::Left);
        assert_eq!(run.as_mut().poll(&mut task), Poll::Ready(3));
    }

    #[test]
    fn turns_that_take_long_are_left_to_the_actor() {
        let (engine, polled) = (Engine::default(), Arc::<Woken>::default());
        let actor = Waker::from(Arc::<Woken>::default());
        let counted = Arc::clone(&polled);
        let mut run = pin!(engine.run(turns(usize::MAX, move || counted.wake_by_ref())));
        assert!(run.as_mut().poll(&mut TaskContext::from_waker(&actor)).is_pending());
        let (quick, slow) = (Ticks::of(DRIVE_TIME), Ticks::of(2 * DRIVE_TIME));
        for _ in 0..DRIVE_LOOK_EVERY {
            assert_eq!(engine.drive(&quick), Driven::Done);
        }
        assert_eq!(engine.drive(&slow), Driven::Done, "it is looked at");
        let before = polled.0.load(Ordering::Relaxed);
        for _ in 1..DRIVE_TRIED_EVERY {
            assert_eq!(engine.drive(&quick), Driven::Left);
        }
        assert_eq!(polled.0.load(Ordering::Relaxed), before);
        assert_eq!(engine.drive(&quick), Driven::Done, "and is again");
        assert_eq!(engine.drive(&quick), Driven::Done);
    }

    #[test]
    fn turns_end_with_whatever_runs_them() {
        let (engine, held) = (Engine::default(), Arc::new(()));
        let of_turns = Arc::clone(&held);
        let actor = Waker::noop();
        {
            let turns = turns(9, move || drop(Arc::clone(&of_turns)));
            let mut run = pin!(engine.run(turns));
            assert!(run.as_mut().poll(&mut TaskContext::from_waker(actor)).is_pending());
            assert_eq!(Arc::strong_count(&held), 2);
        }
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(engine.drive(&Ticks::of(Duration::ZERO)), Driven::Left);
    }
}
