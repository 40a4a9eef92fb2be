//! Ten times as many calls as there is room for, for five minutes. Nothing may grow, and as much is served as at the peak.
//!
//! The peak is found with callers that wait for their answers. Then ten times as many calls are made in each second, whatever
//! becomes of them, each with a deadline. `memory` computes and stores nothing, `durable` computes as long and stores 4 KiB. Half of
//! the machine's cores serve, the others call, at the peak and beyond it. The memory of the last fifth is compared with that of the
//! second one.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
mod memory;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;

use std::collections::BTreeMap;
use std::future::{IntoFuture, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use durable::prelude::*;
use durable::{Call, CallFuture};
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::JoinSet;

use load::{Pattern, Samples, drive, nanos_between};
use memory::resident_bytes;
use report::{Goal, Options, Report, Row, median};

/// How many times the peak is offered.
const TIMES: f64 = 10.0;

const OBJECTS: usize = 64;

/// How many callers are tried, one number after the other, to find the peak.
const CALLERS: [usize; 5] = [16, 64, 256, 1_024, 4_096];

/// The share of the most that was seen with which callers are enough.
const ENOUGH: f64 = 0.95;

/// How long whoever calls waits for an answer.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long it waits at the peak: as long as it takes, with the same timer.
const ENDLESS: Duration = Duration::from_secs(600);

const TICK: Duration = Duration::from_millis(1);

/// What a source that was held up still makes up for.
const BEHIND_MAX: Duration = Duration::from_millis(20);

/// Calls that a source makes before it lets others have its thread.
const CALLS_AT_ONCE: u32 = 32;

/// One of so many refusals is timed.
const TIMED_EVERY: u64 = 64;

/// Parts of the time, of which the second and the last are compared, and how often memory is looked at in each.
const PARTS: usize = 5;
const LOOKS: usize = 20;

/// Rounds of a computation, about twenty microseconds of it.
const ROUNDS: u64 = 12_000;

/// Bytes that a durable turn stores, so that the disk has to do with it, too.
const NOTE_BYTES: usize = 4_096;

#[derive(Default, DurableState)]
struct Counter {
    count: u64,
    note: String,
}

#[durable_object(name = "bench.Counter", visibility = "")]
impl Counter {
    pub fn add(&mut self) -> u64 {
        if self.note.is_empty() {
            self.note = "n".repeat(NOTE_BYTES);
        }
        self.count += work(self.count) & 1;
        self.count += 1;
        self.count
    }

    pub fn compute(&mut self) -> u64 {
        work(self.count)
    }
}

/// What a turn computes.
fn work(seed: u64) -> u64 {
    let mut dice = seed + 0x9e37_79b9_7f4a_7c15;
    for _ in 0..black_box(ROUNDS) {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
    }
    dice
}

type Answer = Result<u64, Error>;

/// Which of the two methods is called.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    call: fn(&CounterStub) -> Call<Counter, Answer>,
}

const CASES: [Case; 2] = [
    Case { name: "durable", call: CounterStub::add },
    Case { name: "memory", call: CounterStub::compute },
];

fn main() {
    let options = Options::from_args();
    let stores = options.stores("overload");
    let mut report = Report::new("overload", &options);
    let threads = (std::thread::available_parallelism().map_or(2, usize::from) / 2).max(1);
    let (serving, calling) = (tokio(threads), tokio(threads));
    for case in CASES {
        if options.wants(case.name) {
            report.note(case.name);
            let builder = Runtime::builder(stores.dir().join(case.name)).register::<Counter>();
            let start = builder.idle(Duration::from_secs(86_400)).start();
            let runtime = serving.block_on(start).expect("the store opens");
            calling.block_on(measure(&options, &runtime, (case, threads), &mut report));
            serving.block_on(runtime.shutdown()).expect("the store closes");
        }
    }
    report.print();
}

fn tokio(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("threads")
}

/// `sources`: how many tasks make the calls of the overload.
async fn measure(
    options: &Options,
    runtime: &Runtime,
    (case, sources): (Case, usize),
    report: &mut Report<'_>,
) {
    let names = (0..OBJECTS).map(|nth| format!("counter-{nth}"));
    let stubs: Arc<[CounterStub]> = names.map(|name| runtime.get::<Counter>(name)).collect();
    let round = options.pick(Duration::from_secs(5), Duration::from_secs(1));
    let callers = enough(case, round, &stubs).await;
    let mut peaks = vec![at_peak(case, callers, round, &stubs).await];
    let peak = peaks[0].per_second();
    report.note(&format!("{}: {callers} callers, {peak:.0} calls/s", case.name));
    let time = options.pick(Duration::from_secs(300), Duration::from_secs(10));
    let (tally, looks) = overload((case, sources), (peak * TIMES, time), &stubs).await;
    peaks.push(at_peak(case, callers, round, &stubs).await);
    peaks.push(at_peak(case, callers, round, &stubs).await);
    tell(case, &peaks, (&tally, &looks, time), report);
}

/// How many callers are enough for the most that can be served.
async fn enough(case: Case, round: Duration, stubs: &Arc<[CounterStub]>) -> usize {
    let mut found = Vec::new();
    at_peak(case, CALLERS[0], round / 4, stubs).await;
    for callers in CALLERS {
        found.push((callers, at_peak(case, callers, round, stubs).await.per_second()));
    }
    let most = found.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let enough = found.iter().find(|(_, rate)| *rate >= ENOUGH * most);
    enough.expect("one of them was the most").0
}

async fn at_peak(
    case: Case,
    callers: usize,
    time: Duration,
    stubs: &Arc<[CounterStub]>,
) -> Samples {
    let stubs = Arc::clone(stubs);
    let pattern = Pattern { name: case.name, callers, objects: OBJECTS };
    drive(pattern, time, move |target| {
        let call = (case.call)(&stubs[target]).timeout(ENDLESS);
        async move {
            call.await.expect("a counter answers");
        }
    })
    .await
}

/// What has become of calls.
#[derive(Default)]
struct Tally {
    offered: u64,
    answered: Times,
    refusals: Times,
    /// By code.
    failed: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.offered += other.offered;
        self.answered.add(&other.answered);
        self.refusals.add(&other.refusals);
        for (code, count) in &other.failed {
            *self.failed.entry(code).or_default() += count;
        }
    }

    fn fails(&mut self, error: &Error) {
        *self.failed.entry(error.code()).or_default() += 1;
    }
}

/// Offers so many calls in each second for a while. Gives what has become of them, and what memory there was meanwhile.
async fn overload(
    (case, count): (Case, usize),
    (per_second, time): (f64, Duration),
    stubs: &Arc<[CounterStub]>,
) -> (Tally, Vec<f64>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let mut sources = JoinSet::new();
    for _ in 0..count {
        let rate = per_second / count as f64;
        let source = Source {
            case,
            stubs: Arc::clone(stubs),
            rate,
            turns: Arc::clone(&turns),
            is_over: Arc::clone(&is_over),
        };
        sources.spawn(source.run());
    }
    let mut looks = Vec::new();
    for _ in 0..PARTS * LOOKS {
        tokio::time::sleep(time / (PARTS * LOOKS) as u32).await;
        looks.push(resident_bytes());
    }
    is_over.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for part in sources.join_all().await {
        tally.add(&part);
    }
    (tally, looks)
}

/// Makes calls at a pace, whatever becomes of them.
struct Source {
    case: Case,
    stubs: Arc<[CounterStub]>,
    /// Calls in each second.
    rate: f64,
    /// Whose turn it is to be called.
    turns: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

/// Calls that were not refused, each with the time at which it was made.
type Waiting = FuturesUnordered<Pin<Box<dyn Future<Output = (Instant, Answer)> + Send>>>;

impl Source {
    async fn run(self) -> Tally {
        let (mut tally, mut waiting) = (Tally::default(), Waiting::new());
        let mut ticks = tokio::time::interval(TICK);
        let mut since = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let ended = poll_fn(|task| {
                if ticks.poll_tick(task).is_ready() {
                    return Poll::Ready(None);
                }
                match waiting.poll_next_unpin(task) {
                    Poll::Ready(Some(ended)) => Poll::Ready(Some(ended)),
                    _ => Poll::Pending,
                }
            });
            match ended.await {
                Some(ended) => settle(&mut tally, ended),
                None => {
                    let now = Instant::now();
                    let due = (now - since).min(BEHIND_MAX);
                    since = now;
                    let calls = (due.as_secs_f64() * self.rate) as u32;
                    self.offer(calls, &mut tally, &mut waiting).await;
                }
            }
        }
        while let Some(ended) = waiting.next().await {
            settle(&mut tally, ended);
        }
        tally
    }

    async fn offer(&self, calls: u32, tally: &mut Tally, waiting: &mut Waiting) {
        let first = self.turns.fetch_add(u64::from(calls), Ordering::Relaxed);
        for nth in 0..calls {
            let stub = &self.stubs[(first + u64::from(nth)) as usize % OBJECTS];
            tally.offered += 1;
            let is_timed = tally.offered.is_multiple_of(TIMED_EVERY);
            let begun = Instant::now();
            let mut call = (self.case.call)(stub).timeout(PATIENCE).into_future();
            match poll_once(&mut call).await {
                Poll::Ready(Ok(_)) => tally.answered.push(nanos_between(begun, Instant::now())),
                Poll::Ready(Err(error)) => {
                    tally.fails(&error);
                    drop(error);
                    if is_timed {
                        tally.refusals.push(nanos_between(begun, Instant::now()));
                    }
                }
                Poll::Pending => waiting.push(Box::pin(async move { (begun, call.await) })),
            }
            if nth % CALLS_AT_ONCE == CALLS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
                while let Some(Some(ended)) = waiting.next().now_or_never() {
                    settle(tally, ended);
                }
            }
        }
    }
}

async fn poll_once(call: &mut CallFuture<Counter, Answer>) -> Poll<Answer> {
    poll_fn(|task| Poll::Ready(Pin::new(&mut *call).poll(task))).await
}

fn settle(tally: &mut Tally, (begun, answer): (Instant, Answer)) {
    match answer {
        Ok(_) => tally.answered.push(nanos_between(begun, Instant::now())),
        Err(error) => tally.fails(&error),
    }
}

/// How long calls took, in as much memory however many there are: counts by the time's leading bits.
struct Times(Vec<u64>);

impl Default for Times {
    fn default() -> Self {
        Times(vec![0; 32 << Times::BITS])
    }
}

impl Times {
    /// Bits beside the first, for an error of 3 percent at most.
    const BITS: u32 = 5;

    fn push(&mut self, nanos: u32) {
        let shift = (32 - nanos.leading_zeros()).saturating_sub(Self::BITS + 1);
        self.0[((shift << Self::BITS) + (nanos >> shift)) as usize] += 1;
    }

    fn add(&mut self, other: &Times) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    fn percentile_us(&self, percent: u64) -> f64 {
        let (mut left, bits) = (self.count() * percent / 100, Self::BITS);
        for (at, count) in self.0.iter().enumerate() {
            if *count > left {
                let shift = (at >> bits).saturating_sub(1);
                let nanos = (at - (shift << bits)) << shift;
                return nanos as f64 / 1_000.0;
            }
            left -= count;
        }
        f64::NAN
    }
}

fn tell(
    case: Case,
    peaks: &[Samples],
    (tally, looks, time): (&Tally, &[f64], Duration),
    report: &mut Report<'_>,
) {
    let at_peak = |read: &dyn Fn(&Samples) -> f64| median(peaks.iter().map(read));
    let seconds = time.as_secs_f64();
    let (peak, offered) = (at_peak(&Samples::per_second), tally.offered as f64 / seconds);
    let mut row = |metric, ours, baseline, baseline_name, goal| {
        report.push(Row {
            case: case.name.to_owned(),
            metric,
            ours,
            baseline,
            baseline_name,
            goal,
        });
    };
    let answered = tally.answered.count() as f64 / seconds;
    row("answered_per_s", answered, peak, "peak", Some(Goal::AtLeast(0.9)));
    row("offered_per_s", offered, peak, "peak", Some(Goal::AtLeast(0.9 * TIMES)));
    for (code, count) in &tally.failed {
        let metric = match *code {
            "object.overloaded" => "object_overloaded_per_s",
            "runtime.overloaded" => "runtime_overloaded_per_s",
            "call.expired" => "call_expired_per_s",
            other => panic!("nobody has reason to say {other}"),
        };
        row(metric, *count as f64 / seconds, offered, "offered", None);
    }
    let (median_us, late_us) = (|round: &Samples| round.percentile_us(50), 99);
    row("p50_us", tally.answered.percentile_us(50), at_peak(&median_us), "peak", None);
    let late = |round: &Samples| round.percentile_us(late_us);
    row("p99_us", tally.answered.percentile_us(99), at_peak(&late), "peak", None);
    let refusal = tally.refusals.percentile_us(50);
    row("refusal_us", refusal, 1e6 / peak, "one call's share at the peak", None);
    let part = looks.len() / PARTS;
    let (early, late) = (&looks[part..2 * part], &looks[looks.len() - part..]);
    let megabytes = |looks: &[f64]| median(looks.iter().map(|bytes| bytes / 1e6));
    let goal = Some(Goal::AtMost(1.1));
    row("resident_mb", megabytes(late), megabytes(early), "second fifth", goal);
}
