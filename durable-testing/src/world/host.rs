//! The world as the runtime's host gives it: clock, entropy, tasks and lanes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use durable::WallMs;
#[cfg(feature = "http")]
use durable::host::Dialer;
use durable::host::{
    BoxFuture, Clock, Entropy, Host, Lane, LaneWork, Lanes, MonoNs, Net, Step, Tasks,
};
#[cfg(feature = "http")]
use durable::socket::{Goal, Wire};
use parking_lot::Mutex;

use super::World;
use super::life::Life;
use super::witness::Witness;
use crate::chance::Stream;

/// A host for one life of the node.
pub(super) fn host(world: &Arc<World>, life: &Arc<Life>) -> Host {
    let part = Part { world: Arc::downgrade(world), life: Arc::clone(life) };
    Host {
        clock: Arc::new(part.clone()),
        entropy: Arc::new(Drawn::new(world.seed, 100 + life.number)),
        disk: Arc::new(life.disk.clone()),
        tasks: Arc::new(part.clone()),
        lanes: Arc::new(part),
        net: net(world, life),
        parallelism: 1,
        process_id: 1,
        director: Some(Arc::new(Witness::new(world, life))),
    }
}

#[cfg(feature = "http")]
fn net(world: &Arc<World>, life: &Arc<Life>) -> Net {
    Net::new(Part { world: Arc::downgrade(world), life: Arc::clone(life) })
}

#[cfg(not(feature = "http"))]
fn net(_: &Arc<World>, _: &Arc<Life>) -> Net {
    Net::none()
}

/// What belongs to one life of the node.
#[derive(Clone)]
struct Part {
    world: Weak<World>,
    life: Arc<Life>,
}

impl Part {
    fn world(&self) -> Option<Arc<World>> {
        self.world.upgrade()
    }
}

impl Clock for Part {
    fn now(&self) -> MonoNs {
        // A clock that goes back is found where it matters to somebody.
        MonoNs(self.world().map_or(0, |world| world.now_ns().saturating_sub(self.life.began_ns)))
    }

    fn wall(&self) -> WallMs {
        WallMs(self.world().map_or(0, |world| world.wall_ms()))
    }

    fn sleep_until(&self, at: MonoNs) -> BoxFuture<'static, ()> {
        let at_ns = at.0.saturating_add(self.life.began_ns);
        Box::pin(Sleep::until(self.world.clone(), at_ns))
    }
}

#[cfg(feature = "http")]
impl Dialer for Part {
    fn dial(&self, goal: Goal) -> BoxFuture<'static, Result<Box<dyn Wire>, String>> {
        match self.world() {
            Some(world) => world.dial(&self.life, goal),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// Random bytes from the seed.
pub(crate) struct Drawn(Mutex<Stream>);

impl Drawn {
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Drawn(Mutex::new(Stream::new(seed, salt)))
    }
}

impl Entropy for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill(bytes);
    }
}

#[cfg(feature = "http")]
impl World {
    /// Starts a task of the node's.
    pub(crate) fn spawn_on(self: &Arc<Self>, life: &Arc<Life>, task: BoxFuture<'static, ()>) {
        Part { world: Arc::downgrade(self), life: Arc::clone(life) }.spawn(task);
    }
}

impl Tasks for Part {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let fenced = Fenced { life: Arc::clone(&self.life), task: Some(task) };
        #[expect(clippy::disallowed_methods, reason = "this is what the host spawns with")]
        drop(tokio::spawn(fenced));
    }

    fn lends(&self, _: &mut Context<'_>) -> bool {
        self.life.lends()
    }
}

/// A task that ends with its life.
struct Fenced {
    life: Arc<Life>,
    task: Option<BoxFuture<'static, ()>>,
}

impl Future for Fenced {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.life.is_alive() {
            self.task = None;
        }
        let Some(task) = &mut self.task else { return Poll::Ready(()) };
        task.as_mut().poll(cx)
    }
}

/// Ends at a time of the world.
pub(crate) struct Sleep {
    world: Weak<World>,
    at_ns: u64,
    /// `None`: not asked yet.
    bell: Option<Arc<Bell>>,
}

/// Rings once.
#[derive(Default)]
struct Bell {
    has_rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Sleep {
    pub(crate) fn until(world: Weak<World>, at_ns: u64) -> Self {
        Sleep { world, at_ns, bell: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The world is gone: nothing is waited for any more.
        let Some(world) = self.world.upgrade() else { return Poll::Pending };
        if self.bell.is_none() {
            if world.now_ns() >= self.at_ns {
                return Poll::Ready(());
            }
            let bell = Arc::new(Bell::default());
            let (ringing, wanted) = (Arc::downgrade(&bell), Arc::downgrade(&bell));
            let is_wanted = move || wanted.strong_count() > 0;
            world.at_if(self.at_ns, is_wanted, move |_| {
                let Some(bell) = ringing.upgrade() else { return };
                bell.has_rung.store(true, Ordering::Release);
                let waker = bell.waker.lock().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            });
            self.bell = Some(bell);
        }
        let bell = self.bell.as_ref().expect("it was just made");
        if bell.has_rung.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *bell.waker.lock() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Lanes for Part {
    fn start(&self, _: &str, work: Box<dyn LaneWork>) -> io::Result<Arc<dyn Lane>> {
        let lane = Arc::new_cyclic(|me| SimLane {
            me: me.clone(),
            part: self.clone(),
            state: Mutex::new(LaneState { work: Some(work), is_due: false, is_stopping: false }),
        });
        self.life.keep(&lane);
        // Work may have been handed over before the start.
        lane.poke();
        Ok(lane)
    }
}

/// A lane without a thread: each of its steps is something that is due.
pub(super) struct SimLane {
    me: Weak<SimLane>,
    part: Part,
    state: Mutex<LaneState>,
}

struct LaneState {
    /// `None`: it is stepping, or has ended.
    work: Option<Box<dyn LaneWork>>,
    /// A step is on the agenda.
    is_due: bool,
    is_stopping: bool,
}

impl SimLane {
    fn step(&self) {
        if !self.part.life.is_alive() {
            return;
        }
        let work = {
            let mut state = self.state.lock();
            state.is_due = false;
            state.work.take()
        };
        let Some(mut work) = work else { return };
        let step = work.step();
        let mut state = self.state.lock();
        if state.is_stopping {
            drop(state);
            finish(work);
            return;
        }
        state.work = Some(work);
        drop(state);
        if step == Step::Again {
            self.poke();
        }
    }

    /// The life is over: its connections close when its disk is dead already.
    pub(super) fn discard(&self) {
        let work = self.state.lock().work.take();
        drop(work);
    }
}

/// Steps until nothing waits, then drops the work.
fn finish(mut work: Box<dyn LaneWork>) {
    while work.step() == Step::Again {}
}

impl Lane for SimLane {
    fn poke(&self) {
        let Some(world) = self.part.world() else { return };
        let mut state = self.state.lock();
        if state.is_due || !self.part.life.is_alive() {
            return;
        }
        state.is_due = true;
        drop(state);
        let me = self.me.clone();
        let delay_ns = self.part.life.lane_delay_ns();
        world.soon(delay_ns, move |_| {
            if let Some(lane) = me.upgrade() {
                lane.step();
            }
        });
    }

    fn stop(&self) {
        let work = {
            let mut state = self.state.lock();
            state.is_stopping = true;
            state.work.take()
        };
        // `None`: it was stopped before, or stops after the step that it is in.
        if let Some(work) = work {
            finish(work);
        }
    }
}
