//! Sends of objects to objects, durable at both ends, against two transactions by hand; how long a send takes to its
//! effect; what a call pays for the calls that it stands behind; and what it pays for an idempotency key.
//!
//! `sends/…` counts effects that are durable, of one pair of objects and of a thousand: `1x1` one caller, who waits for the
//! sync of each of his turns, so that he is two transactions by hand at best twice over; `64x1` and `64x1000` as many callers.
//! `latency` is from the answer of the turn that has sent to the durable effect. `chain` compares a call made in a turn that
//! ten calls have led to with one made in a turn that was called from outside.
//! `keyed/…` compares durable calls that each have a key of their own with calls without one, of `1x1` and `64x1000`.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod load;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;
mod two_transactions;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use durable::prelude::*;
use tokio::sync::{Notify, Semaphore};

use load::{PATTERNS, Pattern, Samples, drive, nanos_between};
use report::{Goal, Options, Report, Row, median};
use two_transactions::TwoTransactions;

/// The least that sends are against two transactions each.
const RATE: Goal = Goal::AtLeast(10.0);

/// The most that a call of a long chain is against one of a short.
const OF_CHAIN: Goal = Goal::AtMost(1.05);

/// The least that calls with keys are against calls without: what a key costs is a row of the same commit.
const OF_KEYS: Goal = Goal::AtLeast(0.95);

/// How long the chain is.
const DEPTH: u32 = 10;

/// Sends that are on their way at once, so that what waits in the outbox does not grow with the time of a round.
const ON_THE_WAY: usize = 1_024;

/// What is free of those.
static ROOM: Semaphore = Semaphore::const_new(ON_THE_WAY);

/// Requests so far: each has a name of its own.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Is told of each effect. One who then reads its object is answered when the effect is durable.
static CAME: Notify = Notify::const_new();

/// Sends and gets.
#[derive(Default, DurableState)]
struct Post {
    sent: u64,
    came: u64,
}

#[durable_object(name = "bench.Post")]
impl Post {
    /// Changes this object and another one.
    pub fn pass(&mut self, cx: &mut Context<'_, Self>, to: String) -> u64 {
        self.sent += 1;
        cx.send(cx.get::<Post>(&to).take(self.sent));
        self.sent
    }

    /// What is sent.
    pub fn take(&mut self, number: u64) {
        assert!(self.came < number, "sends of one pair come in order, and once");
        self.came = number;
        ROOM.add_permits(1);
        CAME.notify_waiters();
    }

    /// The last that has come.
    pub fn came(&self) -> u64 {
        self.came
    }
}

/// Calls the next one, and the last one calls again and again.
#[derive(Default, DurableState)]
struct Link {
    value: u64,
}

#[durable_object(name = "bench.Link")]
impl Link {
    /// The nanoseconds of `calls` calls of a leaf, made by the turn that so many calls have led to.
    pub async fn time(&self, cx: &Context<'_, Self>, depth: u32, calls: u32) -> Result<u64, Error> {
        if depth > 1 {
            let next = cx.get::<Link>(format!("link-{}", depth - 1));
            return match next.time(depth - 1, calls).await {
                Ok(nanos) => Ok(nanos),
                Err(CallError::Rejected(error) | CallError::Failed(error)) => Err(error),
            };
        }
        let leaf = cx.get::<Link>("leaf");
        let begun = Instant::now();
        for _ in 0..calls {
            leaf.value().await?;
        }
        Ok(begun.elapsed().as_nanos() as u64)
    }

    pub fn value(&self) -> u64 {
        self.value
    }
}

/// Takes payments.
#[derive(Default, DurableState)]
struct Till {
    cents: u64,
}

#[durable_object(name = "bench.Till")]
impl Till {
    pub fn pay(&mut self, cents: u64) -> u64 {
        self.cents += cents;
        self.cents
    }
}

/// Whether calls have keys.
#[derive(Clone, Copy)]
enum Keys {
    None,
    Unique,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("messages");
    let mut report = Report::new("messages", &options);
    for pattern in PATTERNS {
        let case = format!("sends/{}", pattern.name);
        if options.wants(&case) {
            report.note(&case);
            sends(&options, &stores.dir().join(case.replace('/', "-")), pattern, &mut report).await;
        }
    }
    if options.wants("latency") {
        report.note("latency");
        latency(&options, &stores.dir().join("latency"), &mut report).await;
    }
    if options.wants("chain") {
        report.note("chain");
        chain(&options, &stores.dir().join("chain"), &mut report).await;
    }
    // An object keeps only so many results, so that as many callers on one would soon be turned away.
    for pattern in PATTERNS.into_iter().filter(|pattern| pattern.name != "64x1") {
        let case = format!("keyed/{}", pattern.name);
        if options.wants(&case) {
            report.note(&case);
            keyed(&options, &stores.dir().join(case.replace('/', "-")), pattern, &mut report).await;
        }
    }
    report.print();
}

async fn start(dir: &Path) -> Runtime {
    // A store that an earlier run left behind would be measured with its size, which this run does not know.
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).expect("the directory can be written");
    let builder = Runtime::builder(dir.join("ours"));
    let builder = builder.register::<Post>().register::<Link>().register::<Till>();
    builder.idle(Duration::from_secs(86_400)).start().await.expect("the store opens")
}

/// So many pairs, as the stubs of both ends.
fn pairs(runtime: &Runtime, count: usize) -> Arc<[(PostStub, PostStub)]> {
    let stub = |end, nth| runtime.get::<Post>(format!("{end}-{nth}"));
    (0..count).map(|nth| (stub("source", nth), stub("target", nth))).collect()
}

async fn sends(options: &Options, dir: &Path, pattern: Pattern, report: &mut Report<'_>) {
    let runtime = start(dir).await;
    let by_hand = TwoTransactions::open(dir, pattern.objects);
    let pairs = pairs(&runtime, pattern.objects);
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(500));
    // The first ones make files longer, and find nothing in memory.
    let _ = send_for(time / 4, pattern, &pairs).await;
    let _ = by_hand.drive(pattern, time / 4);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.pick(5, 3) {
        theirs.push(by_hand.drive(pattern, time).whole.per_second());
        ours.push(send_for(time, pattern, &pairs).await);
    }
    runtime.shutdown().await.expect("the store closes");
    report.push(Row {
        case: format!("sends/{}", pattern.name),
        metric: "effects_per_s",
        ours: median(ours),
        baseline: median(theirs),
        baseline_name: "two transactions each",
        goal: (pattern.callers > 1).then_some(RATE),
    });
}

/// Effects in each second, from the first call until the last effect is durable.
async fn send_for(time: Duration, pattern: Pattern, pairs: &Arc<[(PostStub, PostStub)]>) -> f64 {
    let begun = Instant::now();
    let callers = Arc::clone(pairs);
    let sent = drive(pattern, time, move |target| {
        let call = callers[target].0.pass(format!("target-{target}"));
        async move {
            ROOM.acquire().await.expect("it is never closed").forget();
            call.await.expect("a source answers");
        }
    })
    .await;
    let all = ROOM.acquire_many(ON_THE_WAY as u32).await.expect("it is never closed");
    // Reads are answered when what they have seen is durable.
    let reads = pairs.iter().map(|(_, target)| target.came().into_future());
    for read in futures_util::future::join_all(reads).await {
        read.expect("a target answers");
    }
    drop(all);
    sent.count() / begun.elapsed().as_secs_f64()
}

async fn latency(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let pattern = PATTERNS[0];
    let runtime = start(dir).await;
    let by_hand = TwoTransactions::open(dir, pattern.objects);
    let pairs = pairs(&runtime, pattern.objects);
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(500));
    let _ = wait_for_effects(time / 4, &pairs[0]).await;
    let _ = by_hand.drive(pattern, time / 4);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.pick(5, 3) {
        theirs.push(by_hand.drive(pattern, time).second);
        ours.push(wait_for_effects(time, &pairs[0]).await);
    }
    runtime.shutdown().await.expect("the store closes");
    for (metric, percent) in [("p50_us", 50), ("p99_us", 99)] {
        let read = |rounds: &[Samples]| median(rounds.iter().map(|r| r.percentile_us(percent)));
        report.push(Row {
            case: "latency/1x1".to_owned(),
            metric,
            ours: read(&ours),
            baseline: read(&theirs),
            baseline_name: "the second transaction by hand",
            goal: None,
        });
    }
}

/// One send after another, and how long each took from the answer of its turn until its effect was durable.
async fn wait_for_effects(time: Duration, (source, target): &(PostStub, PostStub)) -> Samples {
    let begun = Instant::now();
    let mut nanos = Vec::new();
    while begun.elapsed() < time {
        let came = CAME.notified();
        let number = source.pass("target-0".to_owned()).await.expect("a source answers");
        let answered = Instant::now();
        came.await;
        let seen = target.came().await.expect("a target answers");
        nanos.push(nanos_between(answered, Instant::now()));
        assert_eq!(seen, number, "it is this one that has come");
    }
    Samples::new(nanos, begun.elapsed())
}

async fn chain(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let runtime = start(dir).await;
    let calls = options.pick(500_000, 100_000);
    let (mut plain, mut short, mut long) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 0..=options.pick(9, 5) {
        let figures = (
            outside(&runtime, calls).await,
            inside(&runtime, 1, calls).await,
            inside(&runtime, DEPTH, calls).await,
        );
        // The first round finds nothing in memory.
        if nth > 0 {
            plain.push(figures.0);
            short.push(figures.1);
            long.push(figures.2);
        }
    }
    runtime.shutdown().await.expect("the store closes");
    let (plain, short, long) = (median(plain), median(short), median(long));
    for (case, ours, baseline, baseline_name, goal) in [
        (
            format!("chain/{DEPTH}"),
            long,
            short,
            "a call of a turn called from outside",
            Some(OF_CHAIN),
        ),
        ("chain/1".to_owned(), short, plain, "a call from outside", None),
    ] {
        report.push(Row { case, metric: "ns_per_call", ours, baseline, baseline_name, goal });
    }
}

/// The nanoseconds of a call from outside. In a task, as turns are.
async fn outside(runtime: &Runtime, calls: u32) -> f64 {
    let leaf = runtime.get::<Link>("leaf");
    let called = tokio::spawn(async move {
        let begun = Instant::now();
        for _ in 0..calls {
            leaf.value().await.expect("a leaf answers");
        }
        begun.elapsed()
    });
    called.await.expect("the caller ends").as_nanos() as f64 / f64::from(calls)
}

/// The nanoseconds of a call inside a turn that so many calls have led to.
async fn inside(runtime: &Runtime, depth: u32, calls: u32) -> f64 {
    let first = runtime.get::<Link>(format!("link-{depth}"));
    let nanos = first.time(depth, calls).await.expect("the links answer");
    nanos as f64 / f64::from(calls)
}

async fn keyed(options: &Options, dir: &Path, pattern: Pattern, report: &mut Report<'_>) {
    let runtime = start(dir).await;
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(500));
    let (mut plain, mut with_keys) = (Vec::new(), Vec::new());
    for round in 0..options.pick(7, 5) {
        // Others in each round: one keeps only so many results.
        let till = |nth| runtime.get::<Till>(format!("till-{round}-{nth}"));
        let tills: Arc<[TillStub]> = (0..pattern.objects).map(till).collect();
        for keys in [Keys::None, Keys::Unique] {
            let _ = pay_for(time / 4, pattern, &tills, keys).await;
        }
        plain.push(pay_for(time, pattern, &tills, Keys::None).await);
        with_keys.push(pay_for(time, pattern, &tills, Keys::Unique).await);
    }
    runtime.shutdown().await.expect("the store closes");
    report.push(Row {
        case: format!("keyed/{}", pattern.name),
        metric: "calls_per_s",
        ours: median(with_keys),
        baseline: median(plain),
        baseline_name: "calls without a key",
        goal: Some(OF_KEYS),
    });
}

/// Durable calls in each second. Whoever calls knows his request by a name, whether it goes with the call or not.
async fn pay_for(time: Duration, pattern: Pattern, tills: &Arc<[TillStub]>, keys: Keys) -> f64 {
    let tills = Arc::clone(tills);
    let paid = drive(pattern, time, move |target| {
        let name = format!("order-{:016x}", REQUESTS.fetch_add(1, Ordering::Relaxed));
        let call = tills[target].pay(1);
        let call = match keys {
            Keys::None => call,
            Keys::Unique => call.idempotency_key(name),
        };
        async move {
            call.await.expect("a till answers");
        }
    });
    paid.await.per_second()
}
