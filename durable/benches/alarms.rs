//! Alarms and schedules: what setting one costs a turn, how many fire in a second; how late alarms
//! are, what a herd of a million overdue ones does to calls, and what a million that wait cost a
//! start and a process.
//!
//! Starts and memory are read in processes of their own, so that no allocator and no cache has seen
//! another measurement.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
mod memory;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use durable::prelude::*;
use durable::{AlarmInfo, WallMs};

use load::{Pattern, Samples, drive};
use memory::resident_bytes;
use report::{Goal, Options, Report, Row, median};

/// Alarms that wait, and objects without any beside them.
const WAITING: usize = 1_000_000;

/// Alarms of the cases in which they fire.
const FIRED: usize = 20_000;

/// Tells a process that it is to take one reading: what of, where, of how many.
const READING: &str = "--reading";

/// Handlers that have run in this process.
static RUNG: AtomicUsize = AtomicUsize::new(0);

/// How late each of them was, in milliseconds.
static LATE_MS: Mutex<Vec<f64>> = Mutex::new(Vec::new());

#[derive(Default, DurableState)]
struct Bell {
    count: u64,
}

#[durable_object(name = "bench.Bell", visibility = "")]
impl Bell {
    pub fn add(&mut self) {
        self.count += 1;
    }

    /// The same, and sets the alarm.
    pub fn add_and_set(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        self.count += 1;
        cx.alarm().set(WallMs(at + self.count));
    }

    /// The same, and sets a schedule.
    pub fn add_and_plan(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        self.count += 1;
        cx.schedule("bench").once(WallMs(at + self.count)).call(cx.me().rung());
    }

    /// What the schedule runs.
    pub fn rung(&mut self) {
        RUNG.fetch_add(1, Ordering::AcqRel);
    }

    #[alarm]
    fn ring(&mut self, cx: &mut Context<'_, Self>, info: AlarmInfo) {
        LATE_MS.lock().expect("no handler panics").push((cx.now().0 - info.scheduled_at.0) as f64);
        RUNG.fetch_add(1, Ordering::AcqRel);
    }
}

/// What is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Alarm,
    Schedule,
}

impl Kind {
    async fn set(self, bell: &BellStub, at: u64) {
        let done = match self {
            Kind::Nothing => bell.add().await,
            Kind::Alarm => bell.add_and_set(at).await,
            Kind::Schedule => bell.add_and_plan(at).await,
        };
        done.expect("the call is answered");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_millis() as u64
}

/// A time that no run sees.
fn far() -> u64 {
    now_ms() + 10 * 365 * 86_400_000
}

async fn start(dir: &Path, alarms_per_second: u32) -> Runtime {
    let builder = Runtime::builder(dir).register::<Bell>().alarms_per_second(alarms_per_second);
    builder.idle(Duration::from_millis(100)).start().await.expect("the store opens")
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, what, dir, count] = args.as_slice()
        && flag == READING
    {
        let count = count.parse().expect("the parent wrote a number");
        let figure = read(what, Path::new(dir), count).await;
        writeln!(io::stdout(), "{figure}").expect("the parent reads");
        return;
    }
    let options = Options::from_args();
    let stores = options.stores("alarms");
    let mut report = Report::new("alarms", &options);
    if options.wants("set") {
        set(&options, stores.dir(), &mut report, (Kind::Alarm, "set/64x1000")).await;
        set(&options, stores.dir(), &mut report, (Kind::Schedule, "set-schedule/64x1000")).await;
    }
    if options.wants("fire") {
        fire(&options, stores.dir(), &mut report, (Kind::Alarm, "fire/cold")).await;
        fire(&options, stores.dir(), &mut report, (Kind::Schedule, "fire-schedule/cold")).await;
    }
    if options.wants("late") {
        late(&options, stores.dir(), &mut report).await;
    }
    if options.wants("waiting") {
        waiting(&options, stores.dir(), &mut report);
    }
    if options.wants("herd") {
        herd(&options, stores.dir(), &mut report).await;
    }
    report.print();
}

const PATTERN: Pattern = Pattern { name: "64x1000", callers: 64, objects: 1_000 };

async fn calls(runtime: &Runtime, time: Duration, pattern: Pattern, kind: Kind) -> Samples {
    let (runtime, far) = (runtime.clone(), far());
    drive(pattern, time, move |target| {
        let bell = runtime.get::<Bell>(format!("call/{target}"));
        async move { kind.set(&bell, far).await }
    })
    .await
}

async fn set(options: &Options, dir: &Path, report: &mut Report<'_>, (kind, case): (Kind, &str)) {
    report.note(case);
    let runtime = start(&dir.join(case.replace('/', "-")), 5_000).await;
    let time = options.pick(Duration::from_secs(3), Duration::from_secs(1));
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for nth in 0..=options.pick(5, 3) {
        let plain_round = calls(&runtime, time, PATTERN, Kind::Nothing).await.per_second();
        let our_round = calls(&runtime, time, PATTERN, kind).await.per_second();
        if nth > 0 {
            plain.push(plain_round);
            ours.push(our_round);
        }
    }
    runtime.shutdown().await.expect("the store closes");
    report.push(Row {
        case: case.to_owned(),
        metric: "calls_per_s",
        ours: median(ours),
        baseline: median(plain),
        baseline_name: "the same turn without it",
        goal: None,
    });
}

/// Makes objects called `{prefix}/0` and so on, 256 at a time. `at`: when what each sets is due.
async fn fill(
    runtime: &Runtime,
    prefix: &str,
    (kind, count): (Kind, usize),
    at: impl Fn(usize) -> u64,
) {
    for begin in (0..count).step_by(256) {
        let calls = (begin..count.min(begin + 256)).map(|nth| {
            let bell = runtime.get::<Bell>(format!("{prefix}/{nth}"));
            let at = at(nth);
            async move { kind.set(&bell, at).await }
        });
        futures_util::future::join_all(calls).await;
    }
}

async fn until_rung(count: usize) {
    while RUNG.load(Ordering::Acquire) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn fire(options: &Options, dir: &Path, report: &mut Report<'_>, (kind, case): (Kind, &str)) {
    let count = options.pick(FIRED, FIRED / 4);
    let (mut ours, mut called) = (Vec::new(), Vec::new());
    for round in 0..options.pick(3, 1) {
        report.note(case);
        let dir = dir.join(format!("{}-{round}", case.replace('/', "-")));
        let due = now_ms() + options.pick(4_000, 2_000);
        let runtime = start(&dir, 5_000).await;
        fill(&runtime, "bell", (kind, count), |_| due).await;
        runtime.shutdown().await.expect("the store closes");
        while now_ms() <= due + count as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        RUNG.store(0, Ordering::Release);
        let begun = Instant::now();
        let runtime = start(&dir, 1_000_000).await;
        until_rung(count).await;
        ours.push(count as f64 / begun.elapsed().as_secs_f64());
        runtime.shutdown().await.expect("the store closes");
        let runtime = start(&dir, 5_000).await;
        let begun = Instant::now();
        fill(&runtime, "bell", (Kind::Nothing, count), |_| 0).await;
        called.push(count as f64 / begun.elapsed().as_secs_f64());
        runtime.shutdown().await.expect("the store closes");
    }
    report.push(Row {
        case: case.to_owned(),
        metric: "fired_per_s",
        ours: median(ours),
        baseline: median(called),
        baseline_name: "calls to as many cold objects, 256 at a time",
        goal: None,
    });
}

/// The value that `percent` percent stay within.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

async fn late(options: &Options, dir: &Path, report: &mut Report<'_>) {
    report.note("late");
    let runtime = start(&dir.join("late"), 5_000).await;
    let count = options.pick(5_000, 2_000);
    let first = now_ms() + 3_000;
    fill(&runtime, "bell", (Kind::Alarm, count), |nth| first + nth as u64).await;
    assert!(now_ms() < first, "all are set before the first is due");
    RUNG.store(0, Ordering::Release);
    LATE_MS.lock().expect("no handler panics").clear();
    until_rung(count).await;
    let mut late = std::mem::take(&mut *LATE_MS.lock().expect("no handler panics"));
    runtime.shutdown().await.expect("the store closes");
    for (metric, percent, goal) in [("p50_ms", 50, None), ("p99_ms", 99, Some(Goal::AtMost(1.0)))] {
        report.push(Row {
            case: "late/1000-a-second".to_owned(),
            metric,
            ours: percentile(&mut late, percent),
            baseline: 10.0,
            baseline_name: "the goal",
            goal,
        });
    }
}

/// A store of so many objects whose alarms wait for a time that no run sees. It is made once.
fn many(dir: &Path, report: &Report<'_>, count: usize) -> PathBuf {
    let many = dir.join(format!("many-{count}"));
    if !many.exists() {
        report.note(&format!("filling a store with {count} alarms"));
        reading("fill-alarms", &many, count);
    }
    many
}

/// Makes all alarms of a store overdue that nobody runs: their times are rows.
fn make_overdue(dir: &Path) {
    let shard = rusqlite::Connection::open(dir.join("shards/000.db")).expect("the shard is there");
    let first = (now_ms() - 3_600_000) as i64;
    let sql = "UPDATE alarms SET due_ms = ?1 + object_no % 1000000, scheduled_ms = ?1";
    shard.execute(sql, [first]).expect("they are there");
    shard.pragma_update(None, "wal_checkpoint", "TRUNCATE").expect("no log is left");
}

async fn herd(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let count = options.pick(WAITING, FIRED);
    let dir = many(dir, report, count);
    report.note("herd");
    let time = options.pick(Duration::from_secs(20), Duration::from_secs(2));
    let pattern = Pattern { name: "8x1000", callers: 8, objects: 1_000 };
    let runtime = start(&dir, 5_000).await;
    let _ = calls(&runtime, time / 4, pattern, Kind::Nothing).await;
    let quiet = calls(&runtime, time, pattern, Kind::Nothing).await;
    runtime.shutdown().await.expect("the store closes");
    make_overdue(&dir);
    RUNG.store(0, Ordering::Release);
    let begun = Instant::now();
    let runtime = start(&dir, 5_000).await;
    let busy = calls(&runtime, time, pattern, Kind::Nothing).await;
    let (rung, since) = (RUNG.load(Ordering::Acquire), begun.elapsed());
    assert!(rung < count, "the herd outlasts the measurement");
    runtime.shutdown().await.expect("the store closes");
    report.push(Row {
        case: format!("herd-{count}/8x1000"),
        metric: "p99_us",
        ours: busy.percentile_us(99),
        baseline: quiet.percentile_us(99),
        baseline_name: "the same calls while no alarm is due",
        goal: Some(Goal::AtMost(5.0)),
    });
    report.push(Row {
        case: format!("herd-{count}/8x1000"),
        metric: "fired_per_s",
        ours: rung as f64 / since.as_secs_f64(),
        baseline: 5_000.0,
        baseline_name: "the rate that is asked for",
        goal: None,
    });
}

fn waiting(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let count = options.pick(WAITING, WAITING / 10);
    let (many, none) = (many(dir, report, count), dir.join("none"));
    report.note(&format!("filling a store with {count} objects"));
    reading("fill-none", &none, count);
    report.note("waiting");
    for (metric, what, goal) in [("start_ms", "start", 1.2), ("rss_bytes", "memory", 1.05)] {
        let (mut ours, mut baseline) = (Vec::new(), Vec::new());
        for _ in 0..options.pick(7, 3) {
            baseline.push(reading(what, &none, count));
            ours.push(reading(what, &many, count));
        }
        report.push(Row {
            case: format!("waiting/{count}"),
            metric,
            ours: median(ours),
            baseline: median(baseline),
            baseline_name: "as many objects without alarms",
            goal: Some(Goal::AtMost(goal)),
        });
    }
}

/// A figure that a process of its own takes.
fn reading(what: &str, dir: &Path, count: usize) -> f64 {
    let program = std::env::current_exe().expect("a process knows its program");
    let output = Command::new(program)
        .args([READING, what])
        .arg(dir)
        .arg(count.to_string())
        .output()
        .expect("the bench can be run again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse().expect("a number")
}

async fn read(what: &str, dir: &Path, count: usize) -> f64 {
    let begun = Instant::now();
    let runtime = start(dir, 5_000).await;
    let started_ms = begun.elapsed().as_secs_f64() * 1e3;
    let figure = match what {
        "fill-alarms" | "fill-none" => {
            let far = far();
            let kind = if what == "fill-alarms" { Kind::Alarm } else { Kind::Nothing };
            fill(&runtime, "bell", (kind, count), |nth| far + nth as u64).await;
            0.0
        }
        "start" => started_ms,
        "memory" => {
            // What is read of the index is read by then.
            runtime.get::<Bell>("bell/0").add().await.expect("the call is answered");
            tokio::time::sleep(Duration::from_millis(300)).await;
            resident_bytes()
        }
        other => panic!("there is no reading {other}"),
    };
    runtime.shutdown().await.expect("the store closes");
    figure
}
