//! The root of a world's tokio runtime: it lets one thing happen, waits until every task is idle, and lets the next happen.
//!
//! It relies on tokio polling the future of `block_on` only when no task is left to run, which it does when the event
//! interval is never reached; `tests/sim/tokio.rs` guards that. tokio's paused clock counts whole milliseconds; between
//! two of them the world's own clock goes on alone.

#![allow(clippy::disallowed_methods, reason = "this is what the world's clock is made of")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::World;
use crate::failure::Failure;

/// When nothing is due for so long, nothing ever will be. Shorter than the longest time of tokio's timers.
const FOREVER: Duration = Duration::from_secs(700 * 86_400);

/// A call that waits for so long in which neither a caller nor the runtime does anything is never answered: 25 hours.
const STILL_NS: u64 = 25 * 3_600 * 1_000_000_000;

/// Things that happen in one world before it counts as one that goes round in circles.
const STEPS_MAX: u64 = 20_000_000;

const MS: u64 = 1_000_000;

/// Runs `body` in `world` to its end. `None`: the world failed before.
pub(crate) fn drive<T>(world: &Arc<World>, body: impl Future<Output = T>) -> Option<T> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .event_interval(u32::MAX)
        .build()
        .expect("a runtime without threads and without input can always be built");
    let ended = tokio.block_on(async {
        Driver {
            world,
            body: Box::pin(body),
            bell: Arc::new(Bell {
                is_rung: AtomicBool::new(true),
                root: parking_lot::Mutex::default(),
            }),
            began: Instant::now(),
            rest: Box::pin(tokio::time::sleep(FOREVER)),
        }
        .await
    });
    world.end_all();
    ended
}

struct Driver<'w, F> {
    world: &'w Arc<World>,
    body: Pin<Box<F>>,
    bell: Arc<Bell>,
    began: Instant,
    /// Until the next thing is due.
    rest: Pin<Box<tokio::time::Sleep>>,
}

/// Wakes the body, which the driver polls itself.
struct Bell {
    is_rung: AtomicBool,
    root: parking_lot::Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_rung.store(true, Ordering::Release);
        let root = self.root.lock().take();
        if let Some(root) = root {
            root.wake();
        }
    }
}

impl<T, F: Future<Output = T>> Future for Driver<'_, F> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let world = this.world;
        world.is_in_turn.store(false, Ordering::Release);
        world.move_to(nanos(this.began.elapsed()));
        if world.failure().is_some() {
            return Poll::Ready(None);
        }
        *this.bell.root.lock() = Some(cx.waker().clone());
        if this.bell.is_rung.swap(false, Ordering::AcqRel) {
            let waker = Waker::from(Arc::clone(&this.bell));
            if let Poll::Ready(value) = this.body.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(Some(value));
            }
            world.look_after_node();
            // The tasks that it woke run before anything else happens.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        *world.root.lock() = Some(cx.waker().clone());
        this.go_on(cx)
    }
}

impl<T, F: Future<Output = T>> Driver<'_, F> {
    /// Lets the next thing happen, or rests until it is due.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let world = self.world;
        let next_ns = world.agenda.lock().next_ns();
        let tokio_ns = nanos(self.began.elapsed());
        let Some(next_ns) = next_ns else {
            return self.rest_until(FOREVER, cx, |world| world.fail(world.stuck()));
        };
        if next_ns / MS > tokio_ns / MS {
            let at = Duration::from_millis(next_ns / MS);
            return self.rest_until(at, cx, |_| {});
        }
        let is_still = next_ns.saturating_sub(world.stirred_ns()) > STILL_NS;
        if is_still && world.are_callers_waiting() {
            world.fail(world.stuck());
            return Poll::Ready(None);
        }
        world.move_to(next_ns);
        let step = world.step.fetch_add(1, Ordering::AcqRel) + 1;
        if step > STEPS_MAX {
            world.fail(Failure::livelock(step));
            return Poll::Ready(None);
        }
        let act = world.agenda.lock().pop();
        act.expect("what is due was looked at")(world);
        world.look_after_node();
        world.strike(step);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn rest_until(
        &mut self,
        at: Duration,
        cx: &mut Context<'_>,
        then: impl FnOnce(&World),
    ) -> Poll<Option<T>> {
        self.rest.as_mut().reset(self.began + at);
        if self.rest.as_mut().poll(cx).is_ready() {
            then(self.world);
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
