//! In-process calls that change nothing, against the same calls of raw ractor actors.
//!
//! The cases `1x1`, `64x1`, `64x1000` call a `&self` method; `…/mut` calls a `&mut self` method
//! that leaves the state as it is.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod load;
mod raw_actor;
mod report;

use std::sync::Arc;
use std::time::Duration;

use durable::prelude::*;
use ractor::{ActorRef, RpcReplyPort};

use load::{PATTERNS, Pattern, Samples, drive};
use raw_actor::Message;
use report::{Goal, Options, Report, Row, median};

/// The least share of the baseline's calls, and the most of its median time.
const RATE: Goal = Goal::AtLeast(0.8);
const MEDIAN_TIME: Goal = Goal::AtMost(1.3);

/// A figure of a round: its name, how it is read off, what it should be.
type Metric = (&'static str, fn(&Samples) -> f64, Option<Goal>);

#[derive(Default, DurableState)]
struct Counter {
    value: u64,
}

#[durable_object(name = "bench.Counter")]
impl Counter {
    /// The value.
    pub fn read(&self) -> u64 {
        self.value
    }

    /// The value, through a method that could have changed it.
    pub fn touch(&mut self) -> u64 {
        self.value
    }
}

/// Which of the two methods is called.
#[derive(Clone, Copy)]
struct Method {
    /// What the case's name ends with.
    suffix: &'static str,
    ours: fn(&CounterStub) -> durable::Call<Counter, Result<u64, Error>>,
    raw: fn(RpcReplyPort<u64>) -> Message,
}

const METHODS: [Method; 2] = [
    Method { suffix: "", ours: CounterStub::read, raw: Message::Read },
    Method { suffix: "/mut", ours: CounterStub::touch, raw: Message::Touch },
];

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("calls");
    let runtime = Runtime::builder(stores.dir().join("calls"))
        .register::<Counter>()
        .idle(Duration::from_secs(86_400))
        .start()
        .await
        .expect("the store opens");
    let mut report = Report::new("calls", &options);
    for pattern in PATTERNS {
        for method in METHODS {
            let case = format!("{}{}", pattern.name, method.suffix);
            if options.wants(&case) {
                report.note(&case);
                measure(&options, &runtime, pattern, method, &mut report).await;
            }
        }
    }
    runtime.shutdown().await.expect("the store closes");
    report.print();
}

async fn measure(
    options: &Options,
    runtime: &Runtime,
    pattern: Pattern,
    method: Method,
    report: &mut Report<'_>,
) {
    let stubs: Arc<[CounterStub]> =
        (0..pattern.objects).map(|nth| runtime.get::<Counter>(format!("counter-{nth}"))).collect();
    let mut actors = Vec::new();
    for _ in 0..pattern.objects {
        actors.push(raw_actor::spawn(0).await);
    }
    let actors: Arc<[ActorRef<Message>]> = actors.into();
    let time = options.pick(Duration::from_secs(1), Duration::from_millis(200));
    // The first calls find nothing in memory, neither objects nor instructions.
    call_ours(pattern, time / 4, &stubs, method).await;
    call_raw(pattern, time / 4, &actors, method).await;

    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..options.pick(7, 3) {
        raw.push(call_raw(pattern, time, &actors, method).await);
        ours.push(call_ours(pattern, time, &stubs, method).await);
    }
    for actor in &*actors {
        actor.stop(None);
    }
    let metrics: [Metric; 3] = [
        ("calls_per_s", Samples::per_second, Some(RATE)),
        ("p50_us", |round| round.percentile_us(50), Some(MEDIAN_TIME)),
        ("p99_us", |round| round.percentile_us(99), None),
    ];
    for (metric, read, goal) in metrics {
        report.push(Row {
            case: format!("{}{}", pattern.name, method.suffix),
            metric,
            ours: median(ours.iter().map(read)),
            baseline: median(raw.iter().map(read)),
            baseline_name: "ractor",
            goal,
        });
    }
}

async fn call_ours(
    pattern: Pattern,
    time: Duration,
    stubs: &Arc<[CounterStub]>,
    method: Method,
) -> Samples {
    let stubs = Arc::clone(stubs);
    drive(pattern, time, move |target| {
        let call = (method.ours)(&stubs[target]);
        async move {
            call.await.expect("a counter answers");
        }
    })
    .await
}

async fn call_raw(
    pattern: Pattern,
    time: Duration,
    actors: &Arc<[ActorRef<Message>]>,
    method: Method,
) -> Samples {
    let actors = Arc::clone(actors);
    drive(pattern, time, move |target| {
        let actor = actors[target].clone();
        async move {
            raw_actor::call(actor, method.raw).await;
        }
    })
    .await
}
