//! Objects over HTTP, against what a user would write by hand in axum: a handler that reads a counter in memory, one that makes a
//! synced transaction for each request, and one that stores all that wait in one.
//!
//! `read` and `write` are asked over HTTP/1.1 with JSON, `typed` over one connection of HTTP/2 by a typed client. Callers, servers
//! and baselines share the machine's cores, and callers cost the same for all of them.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod group_commit;
#[allow(dead_code, reason = "not every bench uses every part")]
mod handwritten;
#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;
mod served;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::Client;
use durable::prelude::*;

use group_commit::GroupCommit;
use handwritten::Handwritten;
use load::{PATTERNS, Pattern, Samples};
use report::{Goal, Options, Report, Row, median};

/// What is served.
#[derive(Default, DurableState)]
struct Counter {
    count: u64,
}

#[durable_object(name = "bench.Counter", http)]
impl Counter {
    /// Adds one.
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The count.
    #[rpc(http = "GET")]
    pub fn value(&self) -> u64 {
        self.count
    }
}

/// The same work, here and by hand.
struct Case {
    name: &'static str,
    /// What it is measured against: its name, where it is, what the ratio should be with many callers.
    baselines: Vec<(&'static str, SocketAddr, Goal)>,
    request: fn(usize) -> String,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("edge");
    let mut report = Report::new("edge", &options);
    let runtime = Runtime::builder(stores.dir().join("ours")).register::<Counter>().start().await;
    let runtime = runtime.expect("the store opens");
    let server = durable::http::serve(&runtime, ([127, 0, 0, 1], 0)).await;
    let server = server.expect("there is a free port");
    for pattern in PATTERNS {
        for case in cases(stores.dir()).await {
            if options.wants(&format!("{}/{}", case.name, pattern.name)) {
                report.note(&format!("{}/{}", case.name, pattern.name));
                measure(&options, server.address(), &case, pattern, &mut report).await;
            }
        }
        if options.wants(&format!("typed/{}", pattern.name)) {
            typed(&options, server.address(), pattern, &mut report).await;
        }
    }
    server.shutdown().await;
    runtime.shutdown().await.expect("the store closes");
    report.print();
}

async fn cases(dir: &Path) -> [Case; 2] {
    let by_hand = tempfile::tempdir_in(dir).expect("the directory can be written").keep();
    let transactions = Arc::new(Handwritten::open(&by_hand, 1_000, 1));
    let transactions = served::transactions(transactions).await;
    let groups = served::groups(GroupCommit::open(&by_hand)).await;
    [
        Case {
            name: "read",
            baselines: vec![(
                "axum, a counter in memory",
                served::atomic().await,
                Goal::AtLeast(0.7),
            )],
            request: |object| {
                format!("GET /bench.Counter/{object}/value HTTP/1.1\r\nhost: x\r\n\r\n")
            },
        },
        Case {
            name: "write",
            baselines: vec![
                ("axum, a transaction each", transactions, Goal::AtLeast(20.0)),
                ("axum, group commit", groups, Goal::AtLeast(0.6)),
            ],
            request: |object| {
                format!(
                    "POST /bench.Counter/{object}/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                     content-length: 2\r\n\r\n{{}}"
                )
            },
        },
    ]
}

async fn measure(
    options: &Options,
    ours: SocketAddr,
    case: &Case,
    pattern: Pattern,
    report: &mut Report<'_>,
) {
    let time = options.pick(Duration::from_secs(4), Duration::from_secs(1));
    let mut rounds: Vec<Vec<Samples>> = Vec::new();
    rounds.resize_with(1 + case.baselines.len(), Vec::new);
    // The first round warms both sides, and is not counted.
    for nth in 0..=options.pick(5, 3) {
        let all = case.baselines.iter().map(|(_, address, _)| *address);
        for (place, address) in std::iter::once(ours).chain(all).enumerate() {
            let samples = served::drive(address, pattern, time, case.request).await;
            if nth > 0 {
                rounds[place].push(samples);
            }
        }
    }
    for (place, (name, _, goal)) in case.baselines.iter().enumerate() {
        let row = |metric, read: fn(&Samples) -> f64, goal| Row {
            case: format!("{}/{}", case.name, pattern.name),
            metric,
            ours: median(rounds[0].iter().map(read)),
            baseline: median(rounds[place + 1].iter().map(read)),
            baseline_name: name,
            goal,
        };
        let goal = Some(*goal).filter(|_| pattern.callers > 1);
        report.push(row("calls_per_second", Samples::per_second, goal));
        report.push(row("p50_us", |samples| samples.percentile_us(50), None));
        report.push(row("p99_us", |samples| samples.percentile_us(99), None));
    }
}

/// Reads by a typed client, against reads over HTTP/1.1.
async fn typed(options: &Options, ours: SocketAddr, pattern: Pattern, report: &mut Report<'_>) {
    let time = options.pick(Duration::from_secs(4), Duration::from_secs(1));
    let client = Client::connect(&format!("http://{ours}"));
    let counters = (0..pattern.objects).map(|object| client.get::<Counter>(object.to_string()));
    let counters: Arc<[_]> = counters.collect();
    let request: fn(usize) -> String =
        |object| format!("GET /bench.Counter/{object}/value HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut by_stub, mut by_hand) = (Vec::new(), Vec::new());
    for nth in 0..=options.pick(5, 3) {
        let counters = Arc::clone(&counters);
        let call = move |object: usize| {
            let counter = counters[object].clone();
            async move {
                counter.value().await.expect("the server answers");
            }
        };
        let samples = load::drive(pattern, time, call).await;
        let plain = served::drive(ours, pattern, time, request).await;
        if nth > 0 {
            by_stub.push(samples);
            by_hand.push(plain);
        }
    }
    for (metric, read) in [
        ("calls_per_second", Samples::per_second as fn(&Samples) -> f64),
        ("p99_us", |samples: &Samples| samples.percentile_us(99)),
    ] {
        report.push(Row {
            case: format!("typed/{}", pattern.name),
            metric,
            ours: median(by_stub.iter().map(read)),
            baseline: median(by_hand.iter().map(read)),
            baseline_name: "the same in JSON, a connection each",
            goal: None,
        });
    }
}
