//! Memory: what an object costs while it is resident and idle, against a raw ractor actor; and what
//! a store of many cold objects costs a process, against a store of few.
//!
//! Each figure comes from a process of its own, so that no allocator has seen another measurement.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
mod memory;
#[allow(dead_code, reason = "not every bench uses every part")]
mod raw_actor;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;
#[allow(dead_code, reason = "not every bench uses every part")]
mod store;

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use memory::resident_bytes;
use report::{Goal, Options, Report, Row, median};
use store::{activate, evict, filled, start};

const RESIDENT: usize = 100_000;
const COLD_MANY: usize = 1_000_000;
const COLD_FEW: usize = 1_000;

/// Objects or actors that are made before the first reading, so that what every process has once is
/// not counted.
const BEFORE: usize = 1_000;

/// Tells a process that it is to take one reading: what of, where, of how many.
const READING: &str = "--reading";

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, what, dir, count] = args.as_slice()
        && flag == READING
    {
        let count = count.parse().expect("the parent wrote a number");
        let bytes = read(what, Path::new(dir), count).await;
        writeln!(io::stdout(), "{bytes}").expect("the parent reads");
        return;
    }
    let options = Options::from_args();
    let stores = options.stores("density");
    let mut report = Report::new("density", &options);
    if options.wants("resident") {
        resident(&options, stores.dir(), &mut report);
    }
    if options.wants("cold") {
        cold(&options, stores.dir(), &mut report);
    }
    report.print();
}

fn resident(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let count = options.pick(RESIDENT, RESIDENT / 10);
    report.note(&format!("filling a store with {} objects", count + BEFORE));
    reading("fill", dir, count + BEFORE);
    report.note("resident");
    let (ours, raw) =
        rounds(options, || (reading("resident", dir, count), reading("resident-raw", dir, count)));
    report.push(Row {
        case: "resident".to_owned(),
        metric: "bytes_per_object",
        ours,
        baseline: raw,
        baseline_name: "ractor",
        goal: Some(Goal::AtMost(1.5)),
    });
}

fn cold(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let many = options.pick(COLD_MANY, COLD_MANY / 10);
    report.note(&format!("filling stores with {many} and {COLD_FEW} objects"));
    reading("fill", dir, many);
    reading("fill", dir, COLD_FEW);
    // Used: the caches of the readers are full as well, which are bounded whatever the store holds.
    for (case, goal) in [("cold", Some(Goal::AtMost(1.05))), ("cold/used", None)] {
        report.note(case);
        let (ours, few) =
            rounds(options, || (reading(case, dir, many), reading(case, dir, COLD_FEW)));
        report.push(Row {
            case: case.to_owned(),
            metric: "rss",
            ours,
            baseline: few,
            baseline_name: "1,000 cold objects",
            goal,
        });
    }
}

/// The medians of both sides of a comparison.
fn rounds(options: &Options, round: impl Fn() -> (f64, f64)) -> (f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..options.pick(5, 3)).map(|_| round()).collect();
    (median(rounds.iter().map(|round| round.0)), median(rounds.iter().map(|round| round.1)))
}

/// Takes one reading in a process of its own.
fn reading(what: &str, dir: &Path, count: usize) -> f64 {
    let output = Command::new(std::env::current_exe().expect("a process knows its program"))
        .args([READING, what])
        .arg(dir)
        .arg(count.to_string())
        .output()
        .expect("the bench can start itself");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "reading `{what}` failed: {stderr}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a reading is a number")
}

/// The reading itself, in bytes.
async fn read(what: &str, dir: &Path, count: usize) -> f64 {
    match what {
        "fill" => {
            filled(dir, count).await;
            0.0
        }
        "resident" => resident_objects(dir, count).await,
        "resident-raw" => resident_actors(count).await,
        // One call, so that every part of the runtime has run.
        "cold" => cold_store(dir, count, 1).await,
        "cold/used" => cold_store(dir, count, COLD_FEW).await,
        other => unreachable!("the parent asks for no reading `{other}`"),
    }
}

async fn resident_objects(dir: &Path, count: usize) -> f64 {
    let store = filled(dir, count + BEFORE).await;
    let runtime = start(&store, count + BEFORE).await;
    activate(&runtime, (0..BEFORE).collect(), 64).await;
    let before = resident_bytes();
    activate(&runtime, (BEFORE..BEFORE + count).collect(), 64).await;
    let bytes = (resident_bytes() - before) / count as f64;
    runtime.shutdown().await.expect("the store closes");
    bytes
}

async fn resident_actors(count: usize) -> f64 {
    let mut actors = Vec::with_capacity(BEFORE + count);
    let mut before = 0.0;
    for nth in 0..BEFORE + count {
        if nth == BEFORE {
            before = resident_bytes();
        }
        let actor = raw_actor::spawn(nth as u64).await;
        raw_actor::call(actor.clone(), raw_actor::Message::Read).await;
        actors.push(actor);
    }
    (resident_bytes() - before) / count as f64
}

/// The memory of a process whose store has `count` objects, all cold: `used` of them, from all over
/// the store, were called and have left memory again.
async fn cold_store(dir: &Path, count: usize, used: usize) -> f64 {
    let store = filled(dir, count).await;
    let runtime = start(&store, count).await;
    let called: Vec<usize> = (0..used).map(|nth| nth * (count / used)).collect();
    activate(&runtime, called.clone(), 1).await;
    evict(&runtime, called).await;
    let bytes = resident_bytes();
    runtime.shutdown().await.expect("the store closes");
    bytes
}
