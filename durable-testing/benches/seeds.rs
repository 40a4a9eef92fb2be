//! Worlds per second: a hundred calls and two crashes, against the same calls without crashes.
//!
//! The case `process` runs each world in a forked process, as tests do; `thread` on a thread of this process; `fork`
//! tells what a process costs that does nothing, against a thread that does nothing.
//!
//! One world runs at a time, and a process waits while its child works, so all of it is one core's. `worlds_per_s` goes
//! by the time that has passed, `worlds_per_cpu_s` by the processor time that was used, which other programs do not
//! disturb as much.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock")]

#[path = "../../durable/benches/report/mod.rs"]
#[allow(dead_code, reason = "no store is kept here")]
mod report;
mod standard;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use durable_testing::bench::{self, Ran, Task};
use durable_testing::plan::Plan;
use durable_testing::{Sim, Simulation};

use report::{Goal, Options, Report, Row, median};

/// Worlds per second that a core should do, each in a process.
const WORLDS_PER_S: f64 = if cfg!(debug_assertions) { 100.0 } else { 500.0 };

/// How Linux counts processor time for those who ask, whatever the kernel's own clock.
const TICKS_PER_S: f64 = 100.0;

/// Seeds of one round, at most.
const ROUND_SEEDS: u64 = 1_000_000;

/// A figure of a round: its name, and how it is read off.
type Metric = (&'static str, fn(&Round) -> f64);

/// How often something was done in a round.
#[derive(Clone, Copy)]
struct Round {
    per_s: f64,
    /// NaN where the system does not tell processor times.
    per_cpu_s: f64,
    /// The share of worlds that met both crashes.
    crashed: f64,
}

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("seeds", &options);
    let (simulation, test) = (Simulation::new(), standard::test as fn(Sim) -> _);
    let task = Task::new(&simulation, standard::classes, &test);
    for (case, how) in [("process", Task::in_process as How<'_, _>), ("thread", Task::in_thread)] {
        if options.wants(case) {
            report.note(case);
            measure(&options, case, |seed, plan| how(&task, seed, plan), &mut report);
        }
    }
    if options.wants("fork") {
        report.note("fork");
        measure_fork(&options, &mut report);
    }
    report.print();
}

/// How a world is run.
type How<'a, F> = fn(&Task<'a, fn(Sim) -> F>, u64, &Plan) -> Ran;

fn measure(
    options: &Options,
    case: &str,
    world: impl Fn(u64, &Plan) -> Ran,
    report: &mut Report<'_>,
) {
    let worlds = |number: u64, time: Duration, plan: fn(u64) -> Plan| {
        round(time, number * ROUND_SEEDS, |seed| {
            let ran = world(seed, &plan(seed));
            assert!(ran.failed.is_none(), "seed {seed}: {ran:?}");
            ran.sometimes.iter().any(|(name, has)| name == standard::BOTH && *has)
        })
    };
    let calm = |_| Plan { faults: Vec::new() };
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(400));
    // The first worlds find nothing in memory.
    worlds(0, time / 4, standard::crashes);
    let (mut ours, mut calms) = (Vec::new(), Vec::new());
    for number in 1..=options.pick(7, 3) {
        calms.push(worlds(number, time, calm));
        ours.push(worlds(number, time, standard::crashes));
    }
    let both = median(ours.iter().map(|round| round.crashed));
    assert!(both > 0.95, "only {both} of the worlds met both crashes: plan them earlier");
    tell(case, ["worlds_per_s", "worlds_per_cpu_s"], &ours, (&calms, "no crashes"), report);
    if case == "process" {
        report.push(Row {
            case: case.to_owned(),
            metric: "vs_goal",
            ours: median(ours.iter().map(|round| round.per_s)),
            baseline: WORLDS_PER_S,
            baseline_name: "goal",
            goal: Some(Goal::AtLeast(1.0)),
        });
    }
}

fn measure_fork(options: &Options, report: &mut Report<'_>) {
    let time = options.pick(Duration::from_secs(1), Duration::from_millis(200));
    let (mut forks, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..options.pick(7, 3) {
        threads.push(round(time, 0, |_| thread::spawn(|| ()).join().is_ok()));
        forks.push(round(time, 0, |_| bench::fork()));
    }
    tell("fork", ["forks_per_s", "forks_per_cpu_s"], &forks, (&threads, "thread"), report);
}

fn tell(
    case: &str,
    [per_s, per_cpu_s]: [&'static str; 2],
    ours: &[Round],
    (baseline, baseline_name): (&[Round], &'static str),
    report: &mut Report<'_>,
) {
    let metrics: [Metric; 2] = [(per_s, |round| round.per_s), (per_cpu_s, |round| round.per_cpu_s)];
    for (metric, read) in metrics {
        report.push(Row {
            case: case.to_owned(),
            metric,
            ours: median(ours.iter().map(read)),
            baseline: median(baseline.iter().map(read)),
            baseline_name,
            goal: None,
        });
    }
}

/// Does something with one seed after another until the time has passed.
fn round(time: Duration, first: u64, mut once: impl FnMut(u64) -> bool) -> Round {
    let (began, cpu_before_s) = (Instant::now(), cpu_s());
    let (mut count, mut yes) = (0, 0);
    while began.elapsed() < time {
        yes += u64::from(once(first + count));
        count += 1;
    }
    let count = count as f64;
    Round {
        per_s: count / began.elapsed().as_secs_f64(),
        per_cpu_s: count / (cpu_s() - cpu_before_s),
        crashed: yes as f64 / count,
    }
}

/// Processor time that this process has used, with those of its children that have ended. NaN if nobody tells.
fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The process's name comes second, in brackets, and may have spaces in it. Behind it are the state and ten numbers,
    // and then the four times: here and in the kernel, its own and its children's.
    let times = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(4));
    let ticks = times.and_then(|times| times.map(|time| time.parse::<f64>().ok()).sum());
    ticks.unwrap_or(f64::NAN) / TICKS_PER_S
}
