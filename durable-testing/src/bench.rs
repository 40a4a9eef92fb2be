//! Worlds one by one, as the bench of their speed runs them: without drawing seeds, replaying, shrinking or telling.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use durable::RuntimeBuilder;

use crate::plan::Plan;
use crate::process::{self, Forked};
use crate::report::Report;
use crate::result::IntoResult;
use crate::runner::{Job, run_world};
use crate::sim::Sim;
use crate::simulation::Simulation;

/// How long a world may take in real time, as in a test.
const WORLD_MAX: Duration = Duration::from_secs(60);

/// What a world runs, again and again.
pub struct Task<'a, B> {
    job: Job<'a, B>,
}

/// What became of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// `None`: it passed.
    pub failed: Option<String>,
    /// A number that two worlds share only if the same happened in them.
    pub hash: u64,
    /// Operations that its disk did for the test.
    pub ops: u64,
    /// Things that happened.
    pub steps: u64,
    /// What the test said that should happen sometimes, and whether it did.
    pub sometimes: Vec<(String, bool)>,
}

impl<'a, F, R, B> Task<'a, B>
where
    B: Fn(Sim) -> F + Sync,
    F: Future<Output = R>,
    R: IntoResult,
{
    /// A test: its settings, the classes of its node, and what it does.
    pub fn new(
        simulation: &'a Simulation,
        runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
        body: &'a B,
    ) -> Self {
        Task { job: Job::new(simulation, runtime, body) }
    }

    /// Runs a world in a process of its own. The process that this is called in should be quiet: one thread and no
    /// other.
    pub fn in_process(&self, seed: u64, plan: &Plan) -> Ran {
        let work = || postcard::to_stdvec(&self.run(seed, plan)).expect("a report is plain data");
        match process::forked(WORLD_MAX, work) {
            Forked::Returned(bytes) => {
                Ran::of(postcard::from_bytes(&bytes).expect("a child says what a parent reads"))
            }
            lost => Ran::of(Report::lost("process", format!("{lost:?}"))),
        }
    }

    /// Runs a world on a thread of its own.
    pub fn in_thread(&self, seed: u64, plan: &Plan) -> Ran {
        let world = || self.run(seed, plan);
        let report = std::thread::scope(|scope| scope.spawn(world).join());
        Ran::of(report.expect("a world catches its panics"))
    }

    fn run(&self, seed: u64, plan: &Plan) -> Report {
        run_world(&self.job, seed, Some(plan), false)
    }
}

impl<B> fmt::Debug for Task<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl Ran {
    fn of(report: Report) -> Self {
        let failed = report.failed().map(|(check, text)| format!("{check}: {text}"));
        let Report { hash, ops, steps, sometimes, .. } = report;
        Ran { failed, hash, ops, steps, sometimes }
    }
}

/// Forks a process that does nothing, and waits for its end. Gives whether that went well.
pub fn fork() -> bool {
    matches!(process::forked(WORLD_MAX, Vec::new), Forked::Returned(_))
}
