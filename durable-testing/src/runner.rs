//! Runs tests: which worlds, in which processes, and what is said about those that fail.

mod run;
mod seeds;
mod stored;
mod story;

use std::env;
use std::future::Future;
use std::time::Duration;

use durable::RuntimeBuilder;

pub(crate) use self::run::{Job, run_world};
use self::seeds::{Replay, Seeds};
use crate::plan::shrink::shrink;
use crate::plan::{Plan, PlannedFault, What, When};
use crate::process::{self, Forked};
use crate::report::{Report, Verdict};
use crate::result::IntoResult;
use crate::sim::Sim;
use crate::simulation::{Failed, Simulation};
use crate::{disk, real};

/// How long a world may take in real time.
const WORLD_MAX: Duration = Duration::from_secs(60);

/// One of so many worlds that pass is run again, to see that it has the same trace.
const TWIN_EVERY: u32 = 32;

/// Worlds that are run to make a plan smaller.
const SHRINK_RUNS_MAX: u32 = 120;

/// Where a test stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// `module_path!()`.
    pub module: &'static str,
    /// The function's name; with its path if the module is empty.
    pub test: &'static str,
    /// `CARGO_MANIFEST_DIR`.
    pub manifest_dir: &'static str,
    /// `file!()`.
    pub file: &'static str,
}

impl Place {
    /// The function that a closure stands in.
    pub(crate) fn of<B>() -> Self {
        Place { module: "", test: std::any::type_name::<B>(), manifest_dir: "", file: "" }
    }

    /// What libtest calls the test.
    pub(crate) fn name(&self) -> String {
        let path = if self.module.is_empty() {
            self.test.split("::{{closure}}").next().unwrap_or_default().to_owned()
        } else {
            format!("{}::{}", self.module, self.test)
        };
        path.split_once("::").map_or(path.clone(), |(_, name)| name.to_owned())
    }

    fn manifest_dir(&self) -> Option<String> {
        let known = Some(self.manifest_dir.to_owned()).filter(|dir| !dir.is_empty());
        known.or_else(|| env::var("CARGO_MANIFEST_DIR").ok())
    }
}

/// Runs a test and panics if it fails.
#[doc(hidden)]
pub fn run<F, R, B>(
    place: Place,
    simulation: Simulation,
    runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
    body: B,
) where
    B: Fn(Sim) -> F,
    F: Future<Output = R>,
    R: IntoResult,
{
    let name = place.name();
    if process::is_available() && !process::is_reexecuted() {
        if simulation.is_real {
            let seed = Seeds::of(&name, 1).base();
            let verdict = real::run(seed, runtime, &body);
            assert!(verdict.is_ok(), "{name} failed on a real machine: {verdict:?}");
        }
        in_a_quiet_process(&name);
        return;
    }
    let job = Job::new(&simulation, runtime, &body);
    let course = Course {
        name: &name,
        place: &place,
        one: &|seed, plan, wants_trace| in_a_process(|| run_world(&job, seed, plan, wants_trace)),
    };
    if let Err(story) = course.run(&simulation) {
        if process::is_reexecuted() {
            fail_here(&story);
        }
        panic!("{story}");
    }
}

/// Starts this test binary once more, for this test only.
fn in_a_quiet_process(name: &str) {
    let mut said = Vec::new();
    let status = process::reexec(name, &[], &mut |line| said.push(line.to_owned()));
    let story = said.iter().skip_while(|line| !line.starts_with(story::BEGIN));
    let story: Vec<_> = story.take_while(|line| !line.starts_with(story::END)).collect();
    match status {
        // A replay that passes has something to say as well.
        #[expect(clippy::print_stdout, reason = "a replay is run to be looked at")]
        Ok(status) if status.success() && !story.is_empty() => println!("{}", join(&story)),
        Ok(status) if status.success() => {}
        Ok(status) => {
            let all = || said.join("\n");
            let text = if story.is_empty() { all() } else { join(&story) };
            panic!("{text}\n({status})");
        }
        Err(error) => panic!("the test cannot be run in a process of its own: {error}"),
    }
}

/// Ends a process that runs only this test. A panic would not do: to a test that should panic it is a success.
fn fail_here(story: &str) -> ! {
    #[expect(clippy::print_stdout, reason = "whoever started this process reads it")]
    {
        // libtest has begun a line.
        println!("\n{story}");
    }
    std::process::exit(1)
}

fn join(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

/// Runs one world: its seed, its plan if it is given one, and whether its trace is wanted.
type One<'a> = &'a dyn Fn(u64, Option<&Plan>, bool) -> Report;

/// All the worlds of one test.
struct Course<'a> {
    name: &'a str,
    place: &'a Place,
    one: One<'a>,
}

impl Course<'_> {
    /// # Errors
    /// What there is to say about the first world that failed.
    fn run(&self, simulation: &Simulation) -> Result<(), String> {
        if let Some(Replay { seed, plan }) = seeds::replay()? {
            let report = (self.one)(seed, plan.as_ref(), true);
            return match report.failed() {
                Some(_) => Err(story::replayed(self.name, seed, &report)),
                None => {
                    #[expect(clippy::print_stdout, reason = "a replay is run to be looked at")]
                    {
                        println!("\n{}", story::replayed(self.name, seed, &report));
                    }
                    Ok(())
                }
            };
        }
        for stored in stored::read(self.place, self.name) {
            self.judge(
                stored.seed,
                Some(&stored.plan),
                (self.one)(stored.seed, Some(&stored.plan), false),
                0,
            )?;
        }
        for (seed, plan) in &simulation.worlds {
            self.judge(*seed, Some(plan), (self.one)(*seed, Some(plan), false), 0)?;
        }
        if simulation.crash_everywhere { self.everywhere() } else { self.seeds(simulation.seeds) }
    }

    fn seeds(&self, count: u32) -> Result<(), String> {
        let seeds = Seeds::of(self.name, count);
        let (mut gave_up, mut sometimes) = (0, Vec::<(String, bool)>::new());
        let mut run = 0;
        for (number, seed) in seeds.iter() {
            let report = (self.one)(seed, None, false);
            if number % TWIN_EVERY == 0 && report.failed().is_none() {
                self.twin(seed, &report)?;
            }
            for (name, has_happened) in &report.sometimes {
                match sometimes.iter_mut().find(|(known, _)| known == name) {
                    Some((_, known)) => *known |= has_happened,
                    None => sometimes.push((name.clone(), *has_happened)),
                }
            }
            gave_up += u32::from(matches!(report.verdict, Verdict::GaveUp(_)));
            self.judge(seed, None, report, number)?;
            run += 1;
        }
        if run > 0 && gave_up == run {
            return Err(story::plain(
                self.name,
                &format!("all {run} worlds gave up because of a fault before the test was over"),
            ));
        }
        match sometimes.iter().find(|(_, has_happened)| !has_happened) {
            Some((name, _)) => Err(story::plain(
                self.name,
                &format!("`{name}` has never happened in {run} worlds"),
            )),
            None => Ok(()),
        }
    }

    /// Crashes at every operation of the disk and every point, in every way.
    fn everywhere(&self) -> Result<(), String> {
        let seed = Seeds::of(self.name, 1).base();
        let whole = (self.one)(seed, Some(&Plan::none()), false);
        let (ops, passes) = (whole.ops, whole.passes.clone());
        self.judge(seed, Some(&Plan::none()), whole, 0)?;
        let at_ops = (1..=ops).map(When::Op);
        let at_points = passes.iter().flat_map(|(name, count)| {
            (1..=*count).map(move |nth| When::Gate { name: name.clone(), nth })
        });
        let mut number = 0;
        for when in at_ops.chain(at_points) {
            for mode in disk::Crash::ALL {
                let fault = PlannedFault::new(when.clone(), What::Crash(mode));
                let plan = Plan { faults: vec![fault] };
                number += 1;
                self.judge(seed, Some(&plan), (self.one)(seed, Some(&plan), false), number)?;
            }
        }
        Ok(())
    }

    /// Runs a world again, which must have the same trace.
    fn twin(&self, seed: u64, first: &Report) -> Result<(), String> {
        let again = (self.one)(seed, None, false);
        if again.hash == first.hash {
            return Ok(());
        }
        let (one, other) = ((self.one)(seed, None, true), (self.one)(seed, None, true));
        Err(story::parted(self.name, seed, &one.trace, &other.trace))
    }

    /// Passes a report that is good, and tells the story of one that is not. `given`: the plan, if it was not drawn.
    fn judge(
        &self,
        seed: u64,
        given: Option<&Plan>,
        report: Report,
        number: u32,
    ) -> Result<(), String> {
        let Some((check, _)) = report.failed() else { return Ok(()) };
        let check = check.to_owned();
        if report.is_lost {
            // It cannot say what was planned, and each run of it may take a minute.
            let plan = given.map(ToString::to_string);
            return Err(story::lost(self.name, seed, plan.as_deref(), &report));
        }
        let plan: Plan = report.plan.parse().unwrap_or_default();
        let fails = &mut |plan: &Plan| {
            (self.one)(seed, Some(plan), false).failed().is_some_and(|(other, _)| other == check)
        };
        let shrunk = shrink(&plan, SHRINK_RUNS_MAX, fails);
        let first = (self.one)(seed, Some(&shrunk.plan), true);
        let second = (self.one)(seed, Some(&shrunk.plan), false);
        let last = if first.failed().is_some() { &first } else { &report };
        let stored = stored::write(self.place, self.name, seed, &shrunk.plan, last);
        Err(story::failed(&story::Failing {
            name: self.name,
            seed,
            number,
            report: last,
            faults: (plan.faults.len(), &shrunk),
            is_same: first.hash == second.hash,
            stored: stored.as_deref(),
        }))
    }
}

/// Runs a world in a process of its own, or in a thread where there is no such thing.
fn in_a_process(world: impl FnOnce() -> Report) -> Report {
    if !process::is_available() {
        return world();
    }
    let work = || postcard::to_stdvec(&world()).expect("a report is plain data");
    match process::forked(WORLD_MAX, work) {
        Forked::Returned(bytes) => postcard::from_bytes(&bytes).unwrap_or_else(|error| {
            Report::lost("process", format!("its report is unreadable: {error}"))
        }),
        Forked::TimedOut => Report::lost(
            "livelock",
            format!("it has not ended within {WORLD_MAX:?}: something waits or spins for ever"),
        ),
        Forked::Died { signal, code, stderr } => Report::lost(
            "process",
            format!("its process ended with signal {signal:?}, code {code:?}: {stderr}"),
        ),
        Forked::Unavailable(error) => {
            Report::lost("process", format!("it could not be started: {error}"))
        }
    }
}

/// A world as people write it; without a plan nothing goes wrong in it.
pub(crate) fn world_of(text: &str) -> Result<(u64, Plan), String> {
    let Replay { seed, plan } = seeds::parse(text)?;
    Ok((seed, plan.unwrap_or_default()))
}

/// Runs a test in threads of this process and gives the first failure.
pub(crate) fn explore<F, R, B>(
    simulation: &Simulation,
    runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
    body: &B,
) -> Result<(), Failed>
where
    B: Fn(Sim) -> F + Sync,
    F: Future<Output = R>,
    R: IntoResult,
{
    let job = Job::new(simulation, runtime, body);
    for (passed, seed) in Seeds::of(std::any::type_name::<B>(), simulation.seeds).iter() {
        let report = in_a_thread(&job, seed, false);
        if let Some(failed) = failed(&report, seed, passed) {
            return Err(failed);
        }
    }
    Ok(())
}

/// Runs one world in a thread of this process and gives its trace.
pub(crate) fn trace<F, R, B>(
    simulation: &Simulation,
    seed: u64,
    runtime: fn(RuntimeBuilder) -> RuntimeBuilder,
    body: &B,
) -> Result<String, Failed>
where
    B: Fn(Sim) -> F + Sync,
    F: Future<Output = R>,
    R: IntoResult,
{
    let report = in_a_thread(&Job::new(simulation, runtime, body), seed, true);
    match failed(&report, seed, 0) {
        Some(failed) => Err(failed),
        None => Ok(report.trace),
    }
}

fn in_a_thread<F, R, B>(job: &Job<'_, B>, seed: u64, wants_trace: bool) -> Report
where
    B: Fn(Sim) -> F + Sync,
    F: Future<Output = R>,
    R: IntoResult,
{
    std::thread::scope(|scope| {
        let world = scope.spawn(|| run_world(job, seed, None, wants_trace));
        world.join().expect("a world catches its panics")
    })
}

fn failed(report: &Report, seed: u64, passed: u32) -> Option<Failed> {
    let (check, text) = report.failed()?;
    let (check, text) = (check.to_owned(), text.to_owned());
    Some(Failed { seed, passed, check, text, plan: report.plan.clone() })
}
