//! Callers that call in a closed loop for a while, and how long their calls took.

use std::future::Future;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// How many callers call how many objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// The pattern's name in reports.
    pub(crate) name: &'static str,
    pub(crate) callers: usize,
    pub(crate) objects: usize,
}

/// The patterns of every bench of calls.
#[allow(dead_code, reason = "not every bench uses them")]
pub(crate) const PATTERNS: [Pattern; 3] = [
    Pattern { name: "1x1", callers: 1, objects: 1 },
    Pattern { name: "64x1", callers: 64, objects: 1 },
    Pattern { name: "64x1000", callers: 64, objects: 1_000 },
];

impl Pattern {
    /// The object that a caller's `nth` call goes to. Callers start apart from each other and walk
    /// over all objects.
    pub(crate) fn target(&self, caller: usize, nth: usize) -> usize {
        (caller * self.objects / self.callers + nth) % self.objects
    }
}

/// What the calls of one round took.
#[derive(Debug)]
pub(crate) struct Samples {
    /// One entry for each call, in nanoseconds, in no order.
    nanos: Vec<u32>,
    elapsed: Duration,
}

impl Samples {
    /// Joins the calls of all callers; sorts them, so that percentiles are look-ups.
    pub(crate) fn new(mut nanos: Vec<u32>, elapsed: Duration) -> Self {
        assert!(!nanos.is_empty(), "a round makes at least one call");
        nanos.sort_unstable();
        Samples { nanos, elapsed }
    }

    /// Calls that were answered.
    #[allow(dead_code, reason = "not every bench counts them")]
    pub(crate) fn count(&self) -> f64 {
        self.nanos.len() as f64
    }

    /// Calls that were answered in each second.
    pub(crate) fn per_second(&self) -> f64 {
        self.nanos.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time in microseconds that `percent` percent of the calls stayed within.
    pub(crate) fn percentile_us(&self, percent: usize) -> f64 {
        let at = (self.nanos.len() * percent / 100).min(self.nanos.len() - 1);
        f64::from(self.nanos[at]) / 1_000.0
    }
}

/// Lets `pattern.callers` tasks call for `time`. `call` makes a caller's `nth` call, and completes
/// when it is answered.
pub(crate) async fn drive<C, F>(pattern: Pattern, time: Duration, call: C) -> Samples
where
    C: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let end = begun + time;
    let mut callers = JoinSet::new();
    for caller in 0..pattern.callers {
        let call = call.clone();
        callers.spawn(async move {
            let mut nanos = Vec::with_capacity(1 << 16);
            let mut now = Instant::now();
            for nth in 0.. {
                call(pattern.target(caller, nth)).await;
                let answered = Instant::now();
                nanos.push(nanos_between(now, answered));
                now = answered;
                if now >= end {
                    break;
                }
            }
            nanos
        });
    }
    let nanos = callers.join_all().await.concat();
    Samples::new(nanos, begun.elapsed())
}

/// Lets as many threads call as the pattern has callers, all from one moment on, and gives what each has found, with how long all
/// took. Threads, because a commit of a hand-written store blocks; tasks would only add to its cost.
#[allow(dead_code, reason = "not every bench has a store that blocks")]
pub(crate) fn on_threads<T: Send>(
    pattern: Pattern,
    call: impl Fn(usize) -> T + Sync,
) -> (Vec<T>, Duration) {
    let ready = Barrier::new(pattern.callers + 1);
    thread::scope(|scope| {
        let (ready, call) = (&ready, &call);
        let begin = |caller| {
            scope.spawn(move || {
                ready.wait();
                call(caller)
            })
        };
        let callers: Vec<_> = (0..pattern.callers).map(begin).collect();
        ready.wait();
        let begun = Instant::now();
        let found = callers.into_iter().map(|caller| caller.join().expect("a caller ends"));
        (found.collect(), begun.elapsed())
    })
}

/// The nanoseconds from one moment to another; four seconds and more are all the same.
pub(crate) fn nanos_between(from: Instant, to: Instant) -> u32 {
    u32::try_from((to - from).as_nanos()).unwrap_or(u32::MAX)
}
