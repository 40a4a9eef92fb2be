//! Bringing cold objects into memory, out of a store of a million, against raw ractor actors that
//! read a row as they start.
//!
//! `cold` makes 64 first calls at a time, `cold/1` one after the other. Ours includes the call and
//! its answer, the baseline ends when the actor has started.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;
mod rows;
mod store;

use std::sync::Arc;

use durable::prelude::*;

use load::Samples;
use report::{Goal, Options, Report, Row, median};
use rows::Rows;
use store::{activate, evict, filled, name, start};

/// Objects in the store.
const OBJECTS: usize = 1_000_000;

/// Activations of one round. All of them stay in memory until it ends.
const ROUND: usize = 10_000;

/// The cases: their names, and how many callers make first calls at once.
const CASES: [(&str, usize); 2] = [("cold", 64), ("cold/1", 1)];

/// A figure of a round: its name, how it is read off, what it should be.
type Metric = (&'static str, fn(&Samples) -> f64, Option<Goal>);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("activation");
    let objects = options.pick(OBJECTS, OBJECTS / 10);
    let mut report = Report::new("activation", &options);
    report.note(&format!("filling a store with {objects} objects, unless it is there"));
    let store = filled(stores.dir(), objects).await;
    let rows = Arc::new(Rows::open(stores.dir(), objects, name));
    let runtime = start(&store, 2 * ROUND).await;
    let mut shuffle = Shuffle::new(objects);
    for (case, callers) in CASES {
        if options.wants(case) {
            report.note(case);
            measure(&options, &runtime, &rows, &mut shuffle, (case, callers), &mut report).await;
        }
    }
    runtime.shutdown().await.expect("the store closes");
    report.print();
}

async fn measure(
    options: &Options,
    runtime: &Runtime,
    rows: &Arc<Rows>,
    shuffle: &mut Shuffle,
    (case, callers): (&str, usize),
    report: &mut Report<'_>,
) {
    let round = options.pick(ROUND, ROUND / 5);
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    // The first round warms the caches of both, and is not counted.
    for nth in 0..=options.pick(5, 3) {
        let chosen = shuffle.take(round);
        let names = chosen.iter().map(|&nth| name(nth)).collect();
        let raw_round = rows.activate(names, callers).await;
        let our_round = activate(runtime, chosen.clone(), callers).await;
        evict(runtime, chosen).await;
        if nth > 0 {
            raw.push(raw_round);
            ours.push(our_round);
        }
    }
    let metrics: [Metric; 2] = [
        ("us_per_activation", |round| 1e6 / round.per_second(), Some(Goal::AtMost(2.0))),
        ("p99_us", |round| round.percentile_us(99), None),
    ];
    for (metric, read, goal) in metrics {
        report.push(Row {
            case: case.to_owned(),
            metric,
            ours: median(ours.iter().map(read)),
            baseline: median(raw.iter().map(read)),
            baseline_name: "ractor spawn + indexed read",
            goal: goal.filter(|_| callers > 1),
        });
    }
}

/// The numbers of the objects in a random order that is the same in every run.
struct Shuffle {
    numbers: Vec<usize>,
    seed: u64,
}

impl Shuffle {
    fn new(count: usize) -> Self {
        Shuffle { numbers: (0..count).collect(), seed: 0x9E37_79B9_7F4A_7C15 }
    }

    /// Numbers that were not taken before.
    fn take(&mut self, count: usize) -> Vec<usize> {
        assert!(count <= self.numbers.len(), "the store has fewer objects than the rounds need");
        let next = |_| {
            // Xorshift: one line, and random enough to defeat every cache.
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            self.numbers.swap_remove(self.seed as usize % self.numbers.len())
        };
        (0..count).map(next).collect()
    }
}
