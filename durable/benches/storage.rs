//! Turns that use SQL, against what a user would write by hand: a file and a connection for each
//! object, `synchronous=FULL`.
//!
//! `commits_per_s` compares durable inserts in each second, `device_bytes_per_commit` what is
//! written to the device meanwhile, the file system's own included; `insert_p50_us`,
//! `select_p50_us` and `cold_p50_us` one call, the last of an object that is not in memory;
//! `bytes_per_open_object` what an open database adds to the process; `vs_packed` the same inserts against commits of
//! objects that are a struct only. The cases `kv/…` are turns with one put or get, `disk` is what small objects take,
//! and those called `history` say what keeping the past costs.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod keys;
mod load;
mod memory;
mod own_file;
mod packed;
mod past;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::prelude::*;

use load::{Pattern, Samples, drive, nanos_between};
use memory::resident_bytes;
use own_file::OwnFiles;
use packed::{Packed, PackedStub};
use report::{Goal, Options, Report, Row, median};

pub(crate) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, who TEXT)";
pub(crate) const INSERT: &str = "INSERT INTO visits (who) VALUES (?)";
pub(crate) const SELECT: &str = "SELECT max(id) FROM visits";
pub(crate) const WHO: &str = "somebody with a name of forty characters";

const PATTERNS: [Pattern; 3] = [
    Pattern { name: "sql/1x1", callers: 1, objects: 1 },
    Pattern { name: "sql/64x64", callers: 64, objects: 64 },
    Pattern { name: "sql/64x1000", callers: 64, objects: 1_000 },
];

#[derive(Default, DurableState)]
struct Visits {
    /// Nothing of it changes, so only pages are stored.
    unused: u64,
}

#[durable_object(name = "bench.Visits")]
impl Visits {
    /// Makes the table, and the first row.
    pub fn open(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        cx.sql().exec(TABLE, ())?;
        cx.sql().exec(INSERT, [WHO]).map(drop)
    }

    /// Adds a row.
    pub fn insert(&mut self, cx: &mut Context<'_, Self>) -> Result<i64, Error> {
        Ok(cx.sql().exec(INSERT, [WHO])?.last_insert_rowid)
    }

    /// Reads a row.
    pub fn select(&self, cx: &Context<'_, Self>) -> Result<i64, Error> {
        cx.sql().query_one(SELECT, ())
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("storage");
    let mut report = Report::new("storage", &options);
    for pattern in PATTERNS {
        if options.wants(pattern.name) {
            report.note(pattern.name);
            let dir = stores.dir().join(pattern.name.replace('/', "-"));
            measure(&options, &dir, pattern, &mut report).await;
        }
    }
    keys::measure(&options, stores.dir(), &mut report).await;
    if options.wants("disk") {
        packed::measure_disk(&options, stores.dir(), &mut report).await;
    }
    for (pattern, is_sql) in past::PATTERNS {
        if options.wants(pattern.name) {
            report.note(pattern.name);
            let dir = stores.dir().join(pattern.name.replace('/', "-"));
            past::measure(&options, &dir, (pattern, is_sql), &mut report).await;
        }
    }
    report.print();
}

/// The rounds of one case.
#[derive(Default)]
struct Rounds {
    ours: Vec<(Samples, f64)>,
    packed: Vec<Samples>,
    by_hand: Vec<(Samples, f64)>,
}

async fn measure(options: &Options, dir: &Path, pattern: Pattern, report: &mut Report<'_>) {
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).expect("the directory can be written");
    let before = resident_bytes();
    let by_hand = OwnFiles::open(dir, pattern.objects);
    let by_hand_bytes = resident_bytes() - before;
    let runtime = Runtime::builder(dir.join("ours"))
        .register::<Visits>()
        .register::<Packed>()
        .idle(Duration::from_secs(86_400))
        .start()
        .await
        .expect("the store opens");
    let stubs: Arc<[VisitsStub]> =
        (0..pattern.objects).map(|nth| runtime.get::<Visits>(format!("v-{nth}"))).collect();
    for stub in &*stubs {
        stub.open().await.expect("an object makes its table");
    }
    evict_all(&runtime, &stubs).await;
    let before = resident_bytes();
    for stub in &*stubs {
        stub.select().await.expect("an object reads");
    }
    let ours_bytes = resident_bytes() - before;
    let packed: Arc<[PackedStub]> =
        (0..pattern.objects).map(|nth| runtime.get::<Packed>(format!("p-{nth}"))).collect();
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(400));
    insert_ours(pattern, time / 4, &stubs).await;
    packed::add(pattern, time / 4, &packed).await;
    by_hand.drive(pattern, time / 4);
    let mut rounds = Rounds::default();
    for _ in 0..options.pick(5, 3) {
        let written = device_bytes(dir);
        let samples = by_hand.drive(pattern, time);
        rounds.by_hand.push((samples, device_bytes(dir) - written));
        let written = device_bytes(dir);
        let samples = insert_ours(pattern, time, &stubs).await;
        rounds.ours.push((samples, device_bytes(dir) - written));
        rounds.packed.push(packed::add(pattern, time, &packed).await);
    }
    tell(&rounds, pattern, report);
    let case = pattern.name.to_owned();
    let row = |metric, ours: f64, baseline: f64| Row {
        case: case.clone(),
        metric,
        ours,
        baseline,
        baseline_name: "a file each, FULL",
        goal: None,
    };
    if pattern.objects == 1 {
        let select = select_ours(time, &stubs[0]).await.percentile_us(50);
        report.push(row("select_p50_us", select, by_hand.select(time).percentile_us(50)));
    } else {
        let objects = pattern.objects as f64;
        let (ours, theirs) = (ours_bytes / objects, by_hand_bytes / objects);
        report.push(row("bytes_per_open_object", ours, theirs));
        let ours = cold_ours(time, &runtime, &stubs).await.percentile_us(50);
        report.push(row("cold_p50_us", ours, by_hand.open_and_select(time).percentile_us(50)));
    }
    runtime.shutdown().await.expect("the store closes");
}

fn tell(rounds: &Rounds, pattern: Pattern, report: &mut Report<'_>) {
    let middle = |rounds: &[(Samples, f64)], read: fn(&(Samples, f64)) -> f64| {
        median(rounds.iter().map(read))
    };
    let is_shared = pattern.callers > 1;
    let mut row = |metric, read: fn(&(Samples, f64)) -> f64, goal: Option<Goal>| {
        report.push(Row {
            case: pattern.name.to_owned(),
            metric,
            ours: middle(&rounds.ours, read),
            baseline: middle(&rounds.by_hand, read),
            baseline_name: "a file each, FULL",
            goal: goal.filter(|_| is_shared),
        });
    };
    row("commits_per_s", |round| round.0.per_second(), Some(Goal::AtLeast(1.3)));
    row("device_bytes_per_commit", |round| round.1 / round.0.count(), Some(Goal::AtMost(0.2)));
    row("insert_p50_us", |round| round.0.percentile_us(50), None);
    row("insert_p99_us", |round| round.0.percentile_us(99), None);
    report.push(Row {
        case: pattern.name.to_owned(),
        metric: "vs_packed",
        ours: median(rounds.ours.iter().map(|round| round.0.per_second())),
        baseline: median(rounds.packed.iter().map(Samples::per_second)),
        baseline_name: "structs only",
        goal: is_shared.then_some(Goal::AtLeast(0.3)),
    });
}

/// Bytes that were ever written to the device that `dir` is on, the file system's own included, by whomever: nobody else
/// should write while this is measured.
fn device_bytes(dir: &Path) -> f64 {
    let device = std::fs::metadata(dir).expect("the directory is there").dev();
    // As Linux packs them for devices of this age.
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    let sectors = stat.ok().and_then(|stat| stat.split_whitespace().nth(6)?.parse::<f64>().ok());
    sectors.map_or(f64::NAN, |sectors| sectors * 512.0)
}

async fn insert_ours(pattern: Pattern, time: Duration, stubs: &Arc<[VisitsStub]>) -> Samples {
    let stubs = Arc::clone(stubs);
    drive(pattern, time, move |target| {
        let call = stubs[target].insert();
        async move {
            call.await.expect("an object takes the row");
        }
    })
    .await
}

async fn select_ours(time: Duration, stub: &VisitsStub) -> Samples {
    let begun = Instant::now();
    let (mut nanos, mut now) = (Vec::new(), begun);
    while now - begun < time {
        stub.select().await.expect("an object reads");
        let done = Instant::now();
        nanos.push(nanos_between(now, done));
        now = done;
    }
    Samples::new(nanos, begun.elapsed())
}

async fn cold_ours(time: Duration, runtime: &Runtime, stubs: &[VisitsStub]) -> Samples {
    let begun = Instant::now();
    let mut nanos = Vec::new();
    while begun.elapsed() < time {
        evict_all(runtime, stubs).await;
        for stub in stubs {
            let called = Instant::now();
            stub.select().await.expect("an object reads");
            nanos.push(nanos_between(called, Instant::now()));
        }
    }
    Samples::new(nanos, begun.elapsed())
}

async fn evict_all(runtime: &Runtime, stubs: &[VisitsStub]) {
    for stub in stubs {
        runtime.evict(stub.id().expect("a stub of here")).await.expect("an id of here");
    }
}
