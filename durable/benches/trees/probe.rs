//! What is measured of a system with supervisors, and children that tell the time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// A system with supervisors.
pub(crate) trait Trees {
    /// One child crashes so often, each time when it is asked to: from there until its next run.
    fn latencies(&self, crashes: u32) -> Vec<Duration>;

    /// One child crashes so often, each time as soon as it runs: from its first run until the one after the last crash.
    fn restarts(&self, crashes: u32) -> Duration;

    /// One of so many children crashes: from there until all of them run again.
    fn one_for_all(&self, children: u32) -> Duration;

    /// From the order to start so many children until all of them run.
    fn start(&self, children: u32) -> Duration;
}

/// More restarts than any case makes in a [`PERIOD`].
#[allow(dead_code, reason = "of systems that take such a number")]
pub(crate) const INTENSITY: u32 = 1_000_000_000;

#[allow(dead_code, reason = "of systems that count by the second")]
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Between two crashes, so that each finds a system at rest.
const REST: Duration = Duration::from_millis(1);

/// A runtime with as many threads as tokio gives by itself.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// Why children end.
#[derive(Debug)]
pub(crate) struct Boom;

impl std::fmt::Display for Boom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("boom")
    }
}

impl std::error::Error for Boom {}

/// What the children of one measurement do, and what they have seen.
pub(crate) struct Probe {
    /// A child that runs crashes at once, until there were so many runs.
    crash_until: u32,
    runs: AtomicU32,
    /// A run has begun.
    pub(crate) began: Notify,
    /// The next crash is wanted.
    pub(crate) crash: Notify,
    first: Mutex<Option<Instant>>,
    last: Mutex<Option<Instant>>,
}

impl Probe {
    pub(crate) fn new(crash_until: u32) -> Self {
        Probe {
            crash_until,
            runs: AtomicU32::new(0),
            began: Notify::new(),
            crash: Notify::new(),
            first: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// A child runs; says whether it is to crash at once.
    pub(crate) fn runs(&self) -> bool {
        let runs = self.runs.fetch_add(1, Ordering::AcqRel) + 1;
        if runs == 1 {
            *self.first.lock().expect("no panic") = Some(Instant::now());
        }
        if runs < self.crash_until {
            return true;
        }
        *self.last.lock().expect("no panic") = Some(Instant::now());
        self.began.notify_one();
        false
    }

    /// Whether children are to crash at once still.
    #[allow(dead_code, reason = "not every system needs to ask")]
    pub(crate) fn is_crashing(&self) -> bool {
        self.runs.load(Ordering::Acquire) < self.crash_until
    }

    /// Waits for so many runs and gives the time of the last one.
    pub(crate) async fn until(&self, runs: u32) -> Instant {
        while self.runs.load(Ordering::Acquire) < runs {
            self.began.notified().await;
        }
        self.last.lock().expect("no panic").expect("there was a run")
    }

    /// When the first run began.
    pub(crate) fn first(&self) -> Instant {
        self.first.lock().expect("no panic").expect("there was a run")
    }
}

/// Has one child crash again and again, and measures each time how long it takes until it runs.
pub(crate) async fn crash_often(probe: &Probe, crashes: u32) -> Vec<Duration> {
    probe.until(1).await;
    let mut latencies = Vec::new();
    for crash in 1..=crashes {
        tokio::time::sleep(REST).await;
        let asked = Instant::now();
        probe.crash.notify_one();
        latencies.push(probe.until(1 + crash).await - asked);
    }
    latencies
}
