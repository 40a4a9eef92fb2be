//! One world: a node that runs the shipped runtime, its disk, its clock, its callers, and everything that goes wrong,
//! all drawn from one seed.
//!
//! Everything in it happens on one thread. Locks are there because the runtime's host must be `Sync`; they are never
//! held while anything outside of the world is called.

mod agenda;
mod audit;
mod calls;
mod copies;
mod driver;
mod faults;
mod host;
mod life;
mod node;
mod witness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use durable::RuntimeBuilder;
use parking_lot::Mutex;

pub(crate) use self::agenda::Act;
use self::agenda::Agenda;
use self::calls::Calls;
pub(crate) use self::calls::Outside;
pub(crate) use self::driver::drive;
use self::faults::FaultState;
pub(crate) use self::host::Sleep;
#[cfg(feature = "http")]
pub(crate) use self::life::Life;
use self::node::Node;
pub(crate) use self::witness::turn_entropy;
use crate::check::drain::Drain;
use crate::check::family::Families;
use crate::check::promises::Promises;
use crate::check::supervision::Trees;
use crate::check::waits::Waits;
use crate::check::work::Work;
use crate::disk::{Image, SimDisk};
use crate::failure::Failure;
#[cfg(feature = "http")]
use crate::network::Network;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::view::Invariants;

/// The wall clock at the beginning of every world: 2026-01-01, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct WorldSpec {
    pub(crate) seed: u64,
    /// Adds the classes and settings of the program that is tested, as the node runs it first.
    pub(crate) runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
    /// `None`: faults are drawn from the seed.
    pub(crate) plan: Option<Plan>,
    /// What the disk holds at the beginning. Empty: the node's first start creates everything.
    pub(crate) image: Arc<Image>,
    /// Whether the node runs its tree.
    pub(crate) is_supervised: bool,
    /// Whether calls between objects take the way through the codec.
    pub(crate) is_wired: bool,
    /// Whether a method may panic without that being a failure.
    pub(crate) may_panic: bool,
    /// Whether a method may read the operating system's clock.
    pub(crate) may_read_clock: bool,
}

/// One world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) spec: WorldSpec,
    now_ns: AtomicU64,
    wall_shift_ms: AtomicI64,
    step: AtomicU64,
    agenda: Mutex<Agenda>,
    /// Wakes the driver, which is the root of everything.
    root: Mutex<Option<Waker>>,
    node: Mutex<Node>,
    /// The program that the next start of the node runs.
    program: Mutex<fn(RuntimeBuilder) -> RuntimeBuilder>,
    calls: Mutex<Calls>,
    faults: Mutex<FaultState>,
    /// The handle of the present life.
    disk: Mutex<SimDisk>,
    pub(crate) trace: Mutex<Trace>,
    pub(crate) promises: Mutex<Promises>,
    trees: Mutex<Trees>,
    families: Mutex<Families>,
    drain: Mutex<Drain>,
    waits: Mutex<Waits>,
    work: Mutex<Work>,
    #[cfg(feature = "http")]
    pub(crate) network: Mutex<Network>,
    pub(crate) invariants: Mutex<Invariants>,
    failure: Mutex<Option<Failure>>,
    /// What should happen in some world, and whether it did in this one.
    sometimes: Mutex<Vec<(String, bool)>>,
    /// A method of the user's runs.
    is_in_turn: AtomicBool,
    /// When a caller or the runtime last did something.
    stirred_ns: AtomicU64,
}

impl World {
    pub(crate) fn new(spec: WorldSpec) -> Arc<Self> {
        let seed = spec.seed;
        let disk = SimDisk::holding(seed, &spec.image);
        let world = Arc::new(World {
            seed,
            now_ns: AtomicU64::new(0),
            wall_shift_ms: AtomicI64::new(0),
            step: AtomicU64::new(0),
            agenda: Mutex::new(Agenda::new(seed)),
            root: Mutex::new(None),
            node: Mutex::new(Node::default()),
            program: Mutex::new(spec.runtime),
            calls: Mutex::new(Calls::default()),
            faults: Mutex::new(FaultState::new(seed)),
            disk: Mutex::new(disk.clone()),
            trace: Mutex::new(Trace::default()),
            promises: Mutex::new(Promises::default()),
            trees: Mutex::default(),
            families: Mutex::default(),
            drain: Mutex::default(),
            waits: Mutex::default(),
            work: Mutex::default(),
            #[cfg(feature = "http")]
            network: Mutex::new(Network::new(seed)),
            invariants: Mutex::new(Invariants::default()),
            failure: Mutex::new(None),
            sometimes: Mutex::default(),
            is_in_turn: AtomicBool::new(false),
            stirred_ns: AtomicU64::new(0),
            spec,
        });
        let clock = Arc::downgrade(&world);
        disk.wall_ms_by(move || clock.upgrade().map_or(EPOCH_MS, |world| world.wall_ms()));
        let syncs = Arc::downgrade(&world);
        disk.on_sync(move |synced| {
            if let Some(world) = syncs.upgrade() {
                world.promises.lock().synced(&synced.path);
                world.slow_down(synced.delay);
            }
        });
        world
    }

    /// Time since the world began, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Acquire)
    }

    /// Time goes on to `at_ns`; it never goes back.
    fn move_to(&self, at_ns: u64) {
        self.now_ns.fetch_max(at_ns, Ordering::AcqRel);
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        let shift = self.wall_shift_ms.load(Ordering::Acquire);
        (EPOCH_MS + self.now_ns() / 1_000_000).saturating_add_signed(shift)
    }

    /// The wall clock jumps.
    pub(crate) fn jump(&self, by_ms: i64) {
        self.wall_shift_ms.fetch_add(by_ms, Ordering::AcqRel);
        self.note("clock.jumped", format!("{by_ms} ms"));
    }

    /// How many things the driver has let happen.
    pub(crate) fn step(&self) -> u64 {
        self.step.load(Ordering::Acquire)
    }

    pub(crate) fn disk(&self) -> SimDisk {
        self.disk.lock().clone()
    }

    /// Something is due at `at_ns`.
    pub(crate) fn at(&self, at_ns: u64, act: impl FnOnce(&Arc<World>) + Send + 'static) {
        self.put(at_ns, None, Box::new(act));
    }

    /// Something is due at `at_ns`, if it is still wanted by then.
    fn at_if(
        &self,
        at_ns: u64,
        is_wanted: impl Fn() -> bool + Send + 'static,
        act: impl FnOnce(&Arc<World>) + Send + 'static,
    ) {
        self.put(at_ns, Some(Box::new(is_wanted)), Box::new(act));
    }

    fn put(&self, at_ns: u64, is_wanted: Option<Box<dyn Fn() -> bool + Send>>, act: Act) {
        self.agenda.lock().push(at_ns, is_wanted, act);
        let root = self.root.lock().take();
        if let Some(root) = root {
            root.wake();
        }
    }

    /// Something is due after `delay_ns` and a little more.
    pub(crate) fn soon(&self, delay_ns: u64, act: impl FnOnce(&Arc<World>) + Send + 'static) {
        let little_ns = self.agenda.lock().a_little_ns();
        self.at(self.now_ns() + delay_ns + little_ns, act);
    }

    /// The time after a little.
    #[cfg(feature = "http")]
    pub(crate) fn in_a_little_ns(&self) -> u64 {
        self.now_ns() + self.agenda.lock().a_little_ns()
    }

    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Sleep::until(Arc::downgrade(self), self.now_ns().saturating_add(nanos))
    }

    /// Something went wrong. The first thing that does is what the world fails with.
    pub(crate) fn fail(&self, failure: Failure) {
        let mut first = self.failure.lock();
        if first.is_none() {
            self.note("FAILED", failure.to_string());
            *first = Some(failure);
        }
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Something that should happen in some world did, or did not, in this one.
    pub(crate) fn remember(&self, name: &str, has_happened: bool) {
        self.sometimes.lock().push((name.to_owned(), has_happened));
    }

    pub(crate) fn remembered(&self) -> Vec<(String, bool)> {
        self.sometimes.lock().clone()
    }

    /// Writes something into the trace.
    pub(crate) fn note(&self, point: &'static str, text: impl Into<String>) {
        self.trace.lock().note(self.now_ns(), point, text.into());
    }

    /// A caller or the runtime does something. Time must not have gone back since the last time.
    fn stir(&self) {
        let now_ns = self.now_ns();
        let before_ns = self.stirred_ns.swap(now_ns, Ordering::AcqRel);
        if before_ns > now_ns {
            self.fail(Failure::new(
                "clock",
                format!("it went back from {before_ns} to {now_ns} ns"),
            ));
        }
    }

    /// When a caller or the runtime last did something.
    fn stirred_ns(&self) -> u64 {
        self.stirred_ns.load(Ordering::Acquire)
    }

    /// Whether a method of the user's runs at this moment, as far as that is known.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.is_in_turn.load(Ordering::Acquire)
    }
}
