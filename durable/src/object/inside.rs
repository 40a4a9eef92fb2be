//! Turns that run, as the calls see them that are made inside of them.
//!
//! While a turn is polled its thread knows it, so a call knows where it comes from, whatever stub it is made through: whom
//! it would wait for, and how much time its caller has left. A turn that calls nothing leaves no trace outside of its
//! thread.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;

use crate::class::{Access, MethodSpec};
use crate::cut::CutOff;
use crate::error::{Code, Error, Outcome};
use crate::id::ObjectId;
use crate::kernel::waits::{Asked, Entered, Link, Running, TurnNo, WaitGraph, WaitNo};
use crate::object::call::expired;
use crate::object::{BoxFuture, Object, PendingCall, Slot};
use crate::time::MonoNs;

/// Who waits for whom in one runtime. Taken with the lock of an object's place or without any; under it no other is taken.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<WaitGraph>);

/// A turn, as its thread knows it while it is polled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside {
    /// Tells its runtime from others of the process.
    runtime: usize,
    object: ObjectId,
    method: &'static MethodSpec,
    /// Until when its caller waits. `None`: as long as it takes.
    deadline: Option<MonoNs>,
    /// For the host's director; 0 in a hook.
    call: u64,
    /// The call that it is the turn of. `None`: no turn waits for that.
    serves: Option<WaitNo>,
    /// 0: it has called nothing.
    number: TurnNo,
}

thread_local! {
    /// `None`: no turn is polled on this thread.
    static INSIDE: Cell<Option<Inside>> = const { Cell::new(None) };
    /// The runtime of that turn; 0: there is none. Most calls come from outside of turns, and look no further.
    static RUNTIME: Cell<usize> = const { Cell::new(0) };
}

impl Inside {
    /// The turn of a call.
    pub(super) fn of_call<O: Object>(slot: &Slot<O>, call: &PendingCall<O>) -> Self {
        let (deadline, serves) = (call.deadline(), call.nested().and_then(Nested::wait));
        Inside { deadline, serves, ..Self::of_none(slot, call.spec(), call.number()) }
    }

    /// A turn that nobody has called.
    pub(super) fn of_none<O: Object>(
        slot: &Slot<O>,
        method: &'static MethodSpec,
        call: u64,
    ) -> Self {
        let runtime = identity(slot.group().waits());
        Inside { runtime, object: slot.id(), method, deadline: None, call, serves: None, number: 0 }
    }

    /// Polls something that belongs to the turn.
    pub(super) fn poll<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        RUNTIME.set(self.runtime);
        let _back = Back { before: INSIDE.replace(Some(*self)), inside: self };
        poll()
    }

    fn running(&self) -> Running {
        let Inside { object, method, serves, .. } = *self;
        Running { object, access: method.access, method: method.name, serves }
    }
}

fn identity(waits: &Arc<Waits>) -> usize {
    Arc::as_ptr(waits).addr()
}

/// A turn that runs: what polls it says so to its thread.
pub(super) struct Stand<'w> {
    waits: &'w Waits,
    inside: Inside,
}

impl<'w> Stand<'w> {
    pub(super) fn new(waits: &'w Waits, inside: Inside) -> Self {
        Stand { waits, inside }
    }

    pub(super) fn poll<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        self.inside.poll(poll)
    }
}

impl Drop for Stand<'_> {
    fn drop(&mut self) {
        if self.inside.number > 0 {
            self.waits.0.lock().leave(self.inside.number);
        }
    }
}

/// Gives the thread back what it knew before.
struct Back<'i> {
    before: Option<Inside>,
    inside: &'i mut Inside,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        RUNTIME.set(self.before.map_or(0, |before| before.runtime));
        if let Some(inside) = INSIDE.replace(self.before) {
            self.inside.number = inside.number;
        }
    }
}

/// How the future of a turn ended.
pub(super) enum Ran<T> {
    Returned(T),
    /// It ran over its limit, or its caller's time was over, and it was cut off.
    Late,
    Panicked(Box<dyn Any + Send>),
}

/// Runs a turn of a call until it ends, or has not ended within its class's limit, or when its caller's time is over. A turn
/// that does not wait is never late.
pub(super) async fn run_called<O: Object, T>(
    slot: &Slot<O>,
    call: &PendingCall<O>,
    turn: BoxFuture<'_, T>,
) -> Ran<T> {
    let limit = slot.group().turn_limit();
    run_until(slot, Inside::of_call(slot, call), (limit, &|| call.expire()), turn).await
}

/// Runs a turn that nobody has called until it ends, or has not ended within `limit`. A turn that does not wait is never late.
pub(super) async fn run_limited<O: Object, T>(
    slot: &Slot<O>,
    inside: Inside,
    limit: Duration,
    turn: BoxFuture<'_, T>,
) -> Ran<T> {
    run_until(slot, inside, (limit, &|| false), turn).await
}

/// Runs a turn until it ends, has not ended within `limit`, or `expires` at the deadline of its caller. One whose caller
/// has gone does not expire, and has all of its limit.
async fn run_until<O: Object, T>(
    slot: &Slot<O>,
    inside: Inside,
    (limit, expires): (Duration, &(dyn Fn() -> bool + Sync)),
    turn: BoxFuture<'_, T>,
) -> Ran<T> {
    let mut deadline = inside.deadline;
    let mut stand = Stand::new(slot.group().waits(), inside);
    // It goes before its stand does, and so do the calls that it has made.
    let mut turn = AssertUnwindSafe(turn).catch_unwind();
    // Until when it may run, and the timer of the next moment that is looked at.
    let mut time_over: Option<(MonoNs, BoxFuture<'static, ()>)> = None;
    poll_fn(|task| match stand.poll(|| turn.poll_unpin(task)) {
        Poll::Ready(Ok(returned)) => Poll::Ready(Ran::Returned(returned)),
        Poll::Ready(Err(panic)) => Poll::Ready(Ran::Panicked(panic)),
        Poll::Pending => {
            let clock = &slot.host().clock;
            let (until, timer) = time_over.get_or_insert_with(|| {
                let until = clock.now() + limit;
                deadline = deadline.filter(|deadline| *deadline < until);
                (until, clock.sleep_until(deadline.unwrap_or(until)))
            });
            loop {
                ready!(timer.as_mut().poll(task));
                if deadline.take().is_none_or(|_| expires()) {
                    return Poll::Ready(Ran::Late);
                }
                *timer = clock.sleep_until(*until);
            }
        }
    })
    .await
}

/// The error of a call whose turn was cut off.
pub(super) fn late<O: Object>(
    slot: &Slot<O>,
    call: &PendingCall<O>,
    method: &'static str,
) -> Error {
    if call.has_expired() { expired(Outcome::RolledBack) } else { overlong(slot, method) }
}

/// The error of a turn that ran over its class's limit.
pub(super) fn overlong<O: Object>(slot: &Slot<O>, method: &'static str) -> Error {
    let (label, limit) = (slot.label(), slot.group().turn_limit());
    tracing::error!(object = label, method, ?limit, "a turn ran over its limit and was cut off");
    let (class, id, object) = (O::CLASS.name, slot.id(), label.clone());
    let cut = CutOff::Turn { class, id, object, method, schedule: None };
    Code::CallOverlong
        .error(format!(
            "`{method}` of {label} had not ended after {limit:?} and was cut off, its changes were undone; \
             mend what it waits for, or give its class more time with `turn_limit`"
        ))
        .with_object(label)
        .with_cut(vec![cut])
}

/// What a call knows of the turn that makes it.
#[derive(Debug)]
pub(crate) struct Nested {
    waits: Arc<Waits>,
    turn: TurnNo,
    stage: Mutex<Stage>,
    /// Nothing that runs alone was before it in the queue, so that it begins beside the reads that run, even if the object is
    /// to leave memory: one of them may be waiting for it.
    begins_beside: AtomicBool,
}

/// Where a call is on its way.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It has not reached a queue.
    Leaving,
    /// The turn waits for it.
    Waits(WaitNo),
    /// It has its answer, or nobody wants that.
    Over,
}

/// The turn that makes a call, for the call.
pub(crate) struct CallingTurn {
    pub(crate) nested: Box<Nested>,
    pub(crate) deadline: Option<MonoNs>,
    /// For the host's director; 0 in a hook.
    pub(crate) call: u64,
}

/// The turn of the runtime with these waits that is polled on this thread, which is about to call something. `None`: there
/// is none.
pub(super) fn join(waits: &Arc<Waits>) -> Option<Inside> {
    if RUNTIME.get() != identity(waits) {
        return None;
    }
    let mut inside = INSIDE.get()?;
    if inside.number == 0 {
        inside.number = waits.0.lock().enter(inside.running());
        INSIDE.set(Some(inside));
    }
    Some(inside)
}

/// The turn of the runtime with these waits that is polled on this thread. `None`: there is none.
pub(crate) fn calling_turn(waits: &Arc<Waits>) -> Option<CallingTurn> {
    let inside = join(waits)?;
    let nested = Nested {
        waits: Arc::clone(waits),
        turn: inside.number,
        stage: Mutex::new(Stage::Leaving),
        begins_beside: AtomicBool::new(false),
    };
    let nested = Box::new(nested);
    Some(CallingTurn { nested, deadline: inside.deadline, call: inside.call })
}

/// Whether a turn of any runtime is polled on this thread.
pub(crate) fn is_in_turn() -> bool {
    RUNTIME.get() != 0
}

/// What is called, and what stands before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) object: ObjectId,
    pub(crate) method: &'static MethodSpec,
    pub(crate) is_behind_write: bool,
}

impl Nested {
    /// It is about to be queued, under the lock of the object's place. Gives whether it goes before all others.
    ///
    /// # Errors
    /// The chain of calls that leads back to it, if it would wait for itself.
    pub(crate) fn queue(&self, aim: Aim) -> Result<bool, Vec<Link>> {
        let Aim { object, method, is_behind_write } = aim;
        let MethodSpec { access, name, is_reentrant, .. } = *method;
        let asked = Asked { object, access, method: name, is_reentrant, is_behind_write };
        let mut stage = self.stage.lock();
        let Stage::Leaving = *stage else { return Ok(false) };
        let overtakes = match self.waits.0.lock().call(self.turn, asked)? {
            Entered::Waits(wait) => {
                *stage = Stage::Waits(wait);
                false
            }
            Entered::Overtakes(wait) => {
                *stage = Stage::Waits(wait);
                true
            }
            Entered::Unwanted => false,
        };
        let begins_beside = access == Access::Read && (overtakes || !is_behind_write);
        self.begins_beside.store(begins_beside, Ordering::Relaxed);
        Ok(overtakes)
    }

    /// Nothing that runs alone is before it in the queue any more; under the lock of the object's place.
    pub(crate) fn comes_next(&self) {
        let was_next = self.begins_beside.swap(true, Ordering::Relaxed);
        if let (false, Some(wait)) = (was_next, self.wait()) {
            self.waits.0.lock().comes_next(wait);
        }
    }

    /// It is taken from the queue, under the lock of the object's place.
    pub(crate) fn begun(&self) {
        if let Some(wait) = self.wait() {
            self.waits.0.lock().begun(wait);
        }
    }

    /// It has its answer, or nobody wants that.
    pub(crate) fn over(&self) {
        if let Stage::Waits(wait) = std::mem::replace(&mut *self.stage.lock(), Stage::Over) {
            self.waits.0.lock().over(wait);
        }
    }

    pub(crate) fn begins_beside(&self) -> bool {
        self.begins_beside.load(Ordering::Relaxed)
    }

    fn wait(&self) -> Option<WaitNo> {
        match *self.stage.lock() {
            Stage::Waits(wait) => Some(wait),
            Stage::Leaving | Stage::Over => None,
        }
    }
}
