//! A soak: 64 callers make 16,000 calls a second for ten minutes, and one in a hundred panics. Nothing may grow: tasks,
//! actors, memory, threads, file handles. And every object must have counted what was acknowledged, no more.
//!
//! The figures of the last fifth are compared with those of the second one; in the first, caches fill.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod memory;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;

use std::fs;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use durable::prelude::*;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use memory::resident_bytes;
use report::{Goal, Options, Report, Row, median};

const CALLERS: u64 = 64;

/// So many that chance alone brings none of them near the crashes for which it would be put into quarantine.
const OBJECTS: usize = 100_000;

/// What a caller does in each [`TICK`]. At a set pace as many objects are in memory at any time, however fast the machine is
/// just then.
const CALLS_PER_TICK: u32 = 25;

const TICK: Duration = Duration::from_millis(100);

/// One of so many calls panics.
const PANIC_EVERY: u64 = 100;

/// Parts of the time, of which the second and the last are compared.
const PARTS: usize = 5;

#[derive(Default, DurableState)]
struct Counter {
    count: u64,
}

#[durable_object(name = "bench.Counter", visibility = "")]
impl Counter {
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Counts, and crashes before that is stored.
    pub fn crash(&mut self) {
        self.count += 1;
        panic!("on purpose");
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}

/// What has happened so far.
#[derive(Default)]
struct Tally {
    is_over: AtomicBool,
    calls: AtomicU64,
    crashes: AtomicU64,
    /// Calls that failed in another way than they were meant to.
    surprises: AtomicU64,
}

/// What there is at one moment.
struct Sample {
    calls: f64,
    tasks: f64,
    objects: f64,
    bytes: f64,
    handles: f64,
    threads: f64,
}

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("soak", &options);
    let stores = options.stores("soak");
    panic::set_hook(Box::new(|_| {}));
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    tokio.block_on(soak(&options, &stores, &mut report));
    report.print();
}

async fn soak(options: &Options, stores: &report::Stores, report: &mut Report<'_>) {
    let time = options.pick(Duration::from_secs(600), Duration::from_secs(60));
    let builder = Runtime::builder(stores.dir()).register::<Counter>();
    let runtime = builder.start().await.expect("a start");
    let tally = Arc::new(Tally::default());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call_on(runtime.clone(), caller, Arc::clone(&tally)));
    }
    let mut samples = Vec::new();
    let count = 20 * PARTS;
    for _ in 0..count {
        tokio::time::sleep(time / count as u32).await;
        samples.push(sample(&runtime, &tally));
    }
    tally.is_over.store(true, Ordering::Relaxed);
    let counted = callers.join_all().await;
    let wrong = compare(&runtime, counted).await;
    runtime.shutdown().await.expect("an end");
    let crashes = tally.crashes.load(Ordering::Relaxed);
    let surprises = tally.surprises.load(Ordering::Relaxed);
    report.note(&format!(
        "{time:?}: {} calls, {crashes} panics, {surprises} calls that failed otherwise, {wrong} objects that counted wrongly",
        tally.calls.load(Ordering::Relaxed)
    ));
    assert_eq!((surprises, wrong), (0, 0), "calls failed that should not, or writes were lost");
    tell(&samples, report);
}

/// Calls until it is over, and gives how often each object has acknowledged.
async fn call_on(runtime: Runtime, caller: u64, tally: Arc<Tally>) -> Vec<u32> {
    let mut counted = vec![0; OBJECTS];
    let mut random = caller + 1;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for nth in 0_u32.. {
        if nth.is_multiple_of(CALLS_PER_TICK) {
            ticks.tick().await;
        }
        if tally.is_over.load(Ordering::Relaxed) {
            break;
        }
        // Xorshift: the same calls at every run, as far as one caller goes.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = (random >> 16) as usize % OBJECTS;
        let counter = runtime.get::<Counter>(format!("counter-{at}"));
        let is_right = if random.is_multiple_of(PANIC_EVERY) {
            tally.crashes.fetch_add(1, Ordering::Relaxed);
            counter.crash().await.is_err_and(|error| error.code() == "call.panicked")
        } else {
            let added = counter.add().await;
            counted[at] += u32::from(added.is_ok());
            added.is_ok()
        };
        tally.surprises.fetch_add(u64::from(!is_right), Ordering::Relaxed);
        tally.calls.fetch_add(1, Ordering::Relaxed);
    }
    counted
}

/// How many objects say something else than what they have acknowledged.
async fn compare(runtime: &Runtime, counted: Vec<Vec<u32>>) -> usize {
    let mut wrong = 0;
    for at in 0..OBJECTS {
        let wanted: u64 = counted.iter().map(|counted| u64::from(counted[at])).sum();
        let found = runtime.get::<Counter>(format!("counter-{at}")).count().await;
        wrong += usize::from(!found.is_ok_and(|found| found == wanted));
    }
    wrong
}

fn sample(runtime: &Runtime, tally: &Tally) -> Sample {
    let entries = |dir: &str| fs::read_dir(dir).expect("Linux tells").count() as f64;
    Sample {
        calls: tally.calls.load(Ordering::Relaxed) as f64,
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks() as f64,
        objects: runtime.resident_objects() as f64,
        bytes: resident_bytes(),
        handles: entries("/proc/self/fd"),
        threads: entries("/proc/self/task"),
    }
}

fn tell(samples: &[Sample], report: &mut Report<'_>) {
    let part = samples.len() / PARTS;
    let (early, late) = (&samples[part..2 * part], &samples[samples.len() - part..]);
    let mut push = |metric, read: fn(&Sample) -> f64, goal| {
        report.push(Row {
            case: "soak".to_owned(),
            metric,
            ours: median(late.iter().map(read)),
            baseline: median(early.iter().map(read)),
            baseline_name: "second fifth",
            goal: Some(goal),
        });
    };
    push("tasks", |sample| sample.tasks, Goal::AtMost(1.05));
    push("objects_in_memory", |sample| sample.objects, Goal::AtMost(1.05));
    push("resident_mb", |sample| sample.bytes / 1e6, Goal::AtMost(1.1));
    push("file_handles", |sample| sample.handles, Goal::AtMost(1.0));
    push("threads", |sample| sample.threads, Goal::AtMost(1.0));
    let rate = |part: &[Sample]| part[part.len() - 1].calls - part[0].calls;
    report.push(Row {
        case: "soak".to_owned(),
        metric: "calls",
        ours: rate(late),
        baseline: rate(early),
        baseline_name: "second fifth",
        goal: Some(Goal::AtLeast(0.9)),
    });
}
