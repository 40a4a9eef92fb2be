//! How a test is to be run: how many seeds, where, and what is allowed in it.

use std::fmt;
use std::future::Future;

use durable::RuntimeBuilder;

use crate::plan::Plan;
use crate::result::IntoResult;
use crate::runner;
use crate::sim::Sim;

/// Worlds that a test runs unless it says otherwise.
const SEEDS: u32 = 100;

/// The settings of a simulated test.
///
/// ```
/// use durable::prelude::*;
/// use durable_testing::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Counter { count: u64 }
///
/// #[durable_object(name = "doc.Counter")]
/// impl Counter {
///     pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count }
/// }
///
/// let passed = Simulation::new().seeds(5).explore(
///     |builder| builder.register::<Counter>(),
///     async |sim: Sim| -> TestResult {
///         let counter = sim.get::<Counter>("visits");
///         counter.add(2).await?;
///         sim.power_cut().await;
///         assert_eq!(counter.add(1).await?, 3);
///         Ok(())
///     },
/// );
/// assert!(passed.is_ok());
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until a test is run with them"]
pub struct Simulation {
    pub(crate) seeds: u32,
    pub(crate) crash_everywhere: bool,
    pub(crate) is_wired: bool,
    pub(crate) is_real: bool,
    pub(crate) may_panic: bool,
    pub(crate) may_read_clock: bool,
    /// Run before all others: their seeds and plans.
    pub(crate) worlds: Vec<(u64, Plan)>,
}

impl Default for Simulation {
    fn default() -> Self {
        Simulation {
            seeds: SEEDS,
            crash_everywhere: false,
            is_wired: false,
            is_real: false,
            may_panic: false,
            may_read_clock: false,
            worlds: Vec::new(),
        }
    }
}

impl Simulation {
    /// A hundred seeds, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs this many worlds, each with a seed of its own.
    pub fn seeds(mut self, seeds: u32) -> Self {
        self.seeds = seeds;
        self
    }

    /// Instead of drawing faults, runs the test once for every operation of its disk and every [point](crate::points)
    /// that it passes, and crashes there: as a process that is killed, as a power cut, and as a power cut that tears
    /// what was being written.
    pub fn crash_everywhere(mut self) -> Self {
        self.crash_everywhere = true;
        self
    }

    /// Sends calls between objects through the codec, as if they were on different machines.
    pub fn wire(mut self) -> Self {
        self.is_wired = true;
        self
    }

    /// Also runs the test once on this machine: real time, real threads, a real disk.
    pub fn real(mut self) -> Self {
        self.is_real = true;
        self
    }

    /// Methods may panic. Otherwise a panic fails the world.
    pub fn allow_panics(mut self) -> Self {
        self.may_panic = true;
        self
    }

    /// Methods may ask the operating system for the time, which then is the world's. Otherwise that fails the world, and
    /// says where it was done.
    pub fn allow_clock(mut self) -> Self {
        self.may_read_clock = true;
        self
    }

    /// Runs these worlds before all others. `text`: a line for each, `seed:plan` as replays have it, and anything behind
    /// a space; lines that begin with `#` say nothing.
    ///
    /// # Panics
    /// If a line is neither.
    pub fn worlds(mut self, text: &str) -> Self {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let world = line.split(' ').next().unwrap_or_default();
            let parsed = runner::world_of(world);
            self.worlds.push(parsed.unwrap_or_else(|why| panic!("`{line}` is no world: {why}")));
        }
        self
    }

    /// Runs one world in a thread of this process, with the faults that its seed draws, and gives its trace, line by line.
    ///
    /// # Errors
    /// The world failed.
    pub fn trace<F, R, B>(
        self,
        seed: u64,
        runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
        body: B,
    ) -> Result<String, Failed>
    where
        B: Fn(Sim) -> F + Sync,
        F: Future<Output = R>,
        R: IntoResult,
    {
        runner::trace(&self, seed, runtime, &body)
    }

    /// Runs the test as the attribute does: a process for each world, replays, shrinking, a report.
    ///
    /// To be called once in a test function, from which the closure must come: its name is the name under which the test
    /// is run again.
    ///
    /// # Panics
    /// If a world fails.
    pub fn check<F, R, B>(self, runtime: fn(RuntimeBuilder) -> RuntimeBuilder, body: B)
    where
        B: Fn(Sim) -> F,
        F: Future<Output = R>,
        R: IntoResult,
    {
        let place = runner::Place::of::<B>();
        runner::run(place, self, runtime, body);
    }

    /// Runs the test in threads of this process, without replaying or storing anything, and gives the first failure.
    /// For tests that expect one.
    ///
    /// # Errors
    /// The first seed that failed.
    pub fn explore<F, R, B>(
        self,
        runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
        body: B,
    ) -> Result<(), Failed>
    where
        B: Fn(Sim) -> F + Sync,
        F: Future<Output = R>,
        R: IntoResult,
    {
        runner::explore(&self, runtime, &body)
    }
}

/// A world that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// How many worlds were run before it.
    pub passed: u32,
    /// Which check it is: `P1` to `P11` for the promises, `panic`, `stuck`, `history`, `heal`, `test`, or the name of an
    /// invariant.
    pub check: String,
    /// What was wrong.
    pub text: String,
    /// What was planned to go wrong.
    pub plan: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { seed, check, text, plan, .. } = self;
        write!(f, "seed {seed:x}, {check}: {text}; faults: {plan}")
    }
}
