//! Runs one world, on a thread that nothing else has run on.

use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread;

use durable::RuntimeBuilder;
use futures_util::FutureExt;

use crate::chance::Stream;
use crate::disk::{Image, seed_sqlite};
use crate::failure::{Failure, last_panic, remember_panics};
use crate::intercept::{self, Misuse, Wards};
use crate::plan::Plan;
use crate::process;
use crate::report::{Report, Verdict};
use crate::result::{IntoResult, TestResult};
use crate::sim::Sim;
use crate::simulation::Simulation;
use crate::world::{World, WorldSpec, drive};

/// Salt of the entropy that third-party code gets.
const THIRD_PARTIES: u64 = 31;

/// One of so many worlds begins with an empty disk, so that its node creates everything.
const NEW_EVERY: u64 = 4;

/// Salt of whether a world does.
const BEGINNING: u64 = 41;

/// What is to be run.
pub(crate) struct Job<'a, B> {
    simulation: &'a Simulation,
    runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
    body: &'a B,
    /// What a node leaves that was started once and did nothing: what most worlds begin with. Empty if it cannot start.
    image: Arc<Image>,
    /// It makes that image: no tasks of the program run, which would store something.
    is_first: bool,
}

impl<'a, B> Job<'a, B> {
    /// Runs a first world, in which nothing happens. What code sets up once in a process is there then, and need not be
    /// set up in the process of each world.
    pub(crate) fn new(
        simulation: &'a Simulation,
        runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
        body: &'a B,
    ) -> Self {
        process::tidy_memory();
        let first = thread::scope(|scope| scope.spawn(|| first_image(runtime)).join());
        process::tidy_memory();
        let image = Arc::new(first.unwrap_or_default());
        Job { simulation, runtime, body, image, is_first: false }
    }

    /// What the world with this seed begins with.
    fn image(&self, seed: u64) -> Arc<Image> {
        match Stream::new(seed, BEGINNING).below(NEW_EVERY) {
            0 => Arc::default(),
            _ => Arc::clone(&self.image),
        }
    }
}

/// The disk of a node that was started and shut down.
fn first_image(runtime: fn(RuntimeBuilder) -> RuntimeBuilder) -> Image {
    let (simulation, body) = (Simulation::new(), async |_: Sim| {});
    let (simulation, body, image) = (&simulation, &body, Arc::default());
    let job = Job { simulation, runtime, body, image, is_first: true };
    let mut image = Image::new();
    run_watched(&job, 0, Some(&Plan::none()), false, |world| {
        if world.failure().is_none() {
            image = world.disk().contents();
        }
    });
    image
}

/// Runs one world.
pub(crate) fn run_world<F, R, B>(
    job: &Job<'_, B>,
    seed: u64,
    plan: Option<&Plan>,
    wants_trace: bool,
) -> Report
where
    B: Fn(Sim) -> F,
    F: Future<Output = R>,
    R: IntoResult,
{
    run_watched(job, seed, plan, wants_trace, |_| {})
}

/// Runs one world, and shows what is left of it.
fn run_watched<F, R, B>(
    job: &Job<'_, B>,
    seed: u64,
    plan: Option<&Plan>,
    wants_trace: bool,
    at_end: impl FnOnce(&World),
) -> Report
where
    B: Fn(Sim) -> F,
    F: Future<Output = R>,
    R: IntoResult,
{
    let world_began = remember_panics();
    seed_sqlite(seed);
    let simulation = job.simulation;
    let world = World::new(WorldSpec {
        seed,
        runtime: job.runtime,
        plan: plan.cloned(),
        image: job.image(seed),
        is_supervised: !job.is_first,
        is_wired: simulation.is_wired,
        may_panic: simulation.may_panic,
        may_read_clock: simulation.may_read_clock,
    });
    let entropy = RefCell::new(Stream::new(seed, THIRD_PARTIES));
    let entered = intercept::enter(Rc::new(Guard { world: Arc::downgrade(&world), entropy }));
    let scope = drive(&world, whole(&world, simulation, job.body));
    drop(entered);
    drop(world_began);
    at_end(&world);
    report(&world, scope, wants_trace)
}

/// What a test got through.
struct Scope {
    verdict: Verdict,
    ops: u64,
    passes: Vec<(String, u64)>,
}

async fn whole<F, R, B>(world: &Arc<World>, simulation: &Simulation, body: &B) -> Scope
where
    B: Fn(Sim) -> F,
    F: Future<Output = R>,
    R: IntoResult,
{
    world.start_node();
    world.wait_until_up().await;
    if simulation.crash_everywhere {
        world.carry_out(world.spec.plan.clone().unwrap_or_default());
    }
    let first_op = world.disk().ops();
    let ended = AssertUnwindSafe(body(Sim::of_world(world))).catch_unwind().await;
    let passes = world.passes().into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    let ops = world.disk().ops() - first_op;
    let verdict = match ended {
        Ok(result) => judge(world, result.into_result()),
        Err(_) => Verdict::Failed { check: "panic".to_owned(), text: last_panic() },
    };
    if !matches!(verdict, Verdict::Failed { .. }) {
        finish(world).await;
    }
    Scope { verdict, ops, passes }
}

fn judge(world: &World, result: TestResult) -> Verdict {
    match result {
        Ok(()) => Verdict::Passed,
        Err(error) if world.has_struck() && world.is_excuse(error.text()) => {
            Verdict::GaveUp(error.text().to_owned())
        }
        Err(error) => {
            Verdict::Failed { check: error.check().to_owned(), text: error.text().to_owned() }
        }
    }
}

/// Lets the node end in good order, and looks at what it leaves behind.
async fn finish(world: &Arc<World>) {
    world.switch_off();
    if let Err(text) = world.settle().await {
        world.fail(Failure::new("heal", text));
        return;
    }
    world.trust_disk();
    if world.shut_down().await {
        world.audit();
    }
}

fn report(world: &Arc<World>, scope: Option<Scope>, wants_trace: bool) -> Report {
    let (mut verdict, mut ops, mut passes) = (Verdict::Passed, 0, Vec::new());
    if let Some(scope) = scope {
        (verdict, ops, passes) = (scope.verdict, scope.ops, scope.passes);
    }
    // What a check of the world found weighs more than what the test says about it.
    if let Some(Failure { check, text }) = world.failure() {
        verdict = Verdict::Failed { check, text };
    }
    let trace = world.trace.lock();
    Report {
        verdict,
        hash: trace.hash(),
        plan: world.plan().to_string(),
        sometimes: world.remembered(),
        passes,
        ops,
        steps: world.step(),
        trace: if wants_trace { trace.text() } else { String::new() },
        is_lost: false,
    }
}

/// What third-party code in a world is given.
struct Guard {
    world: Weak<World>,
    entropy: RefCell<Stream>,
}

impl Wards for Guard {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.borrow_mut().fill(bytes);
    }

    fn monotonic_ns(&self) -> u64 {
        self.world.upgrade().map_or(0, |world| world.now_ns())
    }

    fn wall_ns(&self) -> u64 {
        self.world.upgrade().map_or(0, |world| world.wall_ms() * 1_000_000)
    }

    fn misused(&self, misuse: Misuse) {
        let Some(world) = self.world.upgrade() else { return };
        if misuse == Misuse::Clock && world.spec.may_read_clock {
            return;
        }
        let place = intercept::place();
        if misuse == Misuse::Clock && place.is_none() {
            // No code of the user's is among those who wanted to know.
            return;
        }
        let place = place.unwrap_or_else(|| "a place that cannot be told".to_owned());
        world.fail(Failure::new("misuse", match misuse {
            Misuse::Clock => format!("a method read the operating system's clock, at {place}; use `cx.now()`"),
            Misuse::Sleep => format!("a thread was put to sleep, at {place}; await `tokio::time::sleep`"),
            Misuse::Thread => format!(
                "a thread was started, at {place}: a world has one thread only; await what is to be done"
            ),
        }));
    }

    fn is_watching(&self) -> bool {
        // Between two tasks tokio reads the clock for itself.
        tokio::task::try_id().is_some()
            && self.world.upgrade().is_some_and(|world| world.is_in_turn())
    }
}
