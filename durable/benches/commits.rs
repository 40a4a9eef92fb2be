//! Calls that change state and are durable when they are answered, against what a user would write
//! by hand and against the bare shard writer.
//!
//! `vs_handwritten` and `vs_bare_writer` compare calls in each second; `p50_us` and `p99_us`
//! compare a call's time with one raw synced commit of one row.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod handwritten;
mod load;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::bench::BareWriter;
use durable::prelude::*;

use handwritten::Handwritten;
use load::{PATTERNS, Pattern, Samples, drive};
use report::{Goal, Options, Report, Row, median};

/// Bytes of an encoded state beside its note: the version, and the length of the note.
const STATE_BYTES_BESIDE_NOTE: usize = 4;

/// How large a state is.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    bytes: usize,
}

const SIZES: [Size; 2] = [Size { name: "64B", bytes: 64 }, Size { name: "1KiB", bytes: 1_024 }];

/// A figure of a round: its name, how it is read off, what it should be.
type Metric = (&'static str, fn(&Samples) -> f64, Option<Goal>);

#[derive(Default, DurableState)]
struct Account {
    version: u64,
    note: String,
}

#[durable_object(name = "bench.Account")]
impl Account {
    /// Makes the state as large as the case asks for.
    pub fn write(&mut self, note: String) {
        self.note = note;
    }

    /// Changes the state.
    pub fn bump(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let options = Options::from_args();
    let stores = options.stores("commits");
    let mut report = Report::new("commits", &options);
    for size in SIZES {
        for pattern in PATTERNS {
            let case = format!("{}/{}", pattern.name, size.name);
            if options.wants(&case) {
                report.note(&case);
                let dir = stores.dir().join(case.replace('/', "-"));
                measure(&options, &dir, pattern, size, &mut report).await;
            }
        }
    }
    report.print();
}

/// The rounds of one case, of all that are compared.
#[derive(Default)]
struct Rounds {
    ours: Vec<Samples>,
    handwritten: Vec<Samples>,
    bare: Vec<Samples>,
    raw: Vec<Samples>,
}

async fn measure(
    options: &Options,
    dir: &Path,
    pattern: Pattern,
    size: Size,
    report: &mut Report<'_>,
) {
    // A store that an earlier run left behind would be measured with its size, which this run does
    // not know.
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).expect("the directory can be written");
    let note_bytes = size.bytes - STATE_BYTES_BESIDE_NOTE;
    let by_hand = Handwritten::open(dir, pattern.objects, note_bytes);
    let bare = Arc::new(
        BareWriter::open(&dir.join("bare"), pattern.objects).await.expect("the writer opens"),
    );
    let runtime = Runtime::builder(dir.join("ours"))
        .register::<Account>()
        .idle(Duration::from_secs(86_400))
        .start()
        .await
        .expect("the store opens");
    let stubs = accounts(&runtime, pattern.objects, note_bytes).await;

    let time = options.pick(Duration::from_secs(2), Duration::from_millis(400));
    // The first commits make files longer, and find nothing in memory.
    commit_ours(pattern, time / 4, &stubs).await;
    commit_bare(pattern, time / 4, &bare, size).await;
    by_hand.drive(pattern, time / 4);
    let mut rounds = Rounds::default();
    for _ in 0..options.pick(5, 3) {
        rounds.raw.push(by_hand.raw_commits(time / 2));
        rounds.handwritten.push(by_hand.drive(pattern, time));
        rounds.bare.push(commit_bare(pattern, time, &bare, size).await);
        rounds.ours.push(commit_ours(pattern, time, &stubs).await);
    }
    runtime.shutdown().await.expect("the store closes");
    tell(&rounds, pattern, size, report);
}

fn tell(rounds: &Rounds, pattern: Pattern, size: Size, report: &mut Report<'_>) {
    let middle = |rounds: &[Samples], read: fn(&Samples) -> f64| median(rounds.iter().map(read));
    let ours_per_s = middle(&rounds.ours, Samples::per_second);
    let handwritten_goal = match pattern.name {
        "64x1" => Some(Goal::AtLeast(8.0)),
        "64x1000" => Some(Goal::AtLeast(12.0)),
        _ => None,
    };
    let mut row = |metric, ours, baseline, baseline_name, goal| {
        let case = format!("{}/{}", pattern.name, size.name);
        report.push(Row { case, metric, ours, baseline, baseline_name, goal });
    };
    row(
        "vs_handwritten",
        ours_per_s,
        middle(&rounds.handwritten, Samples::per_second),
        "rusqlite, a transaction each",
        handwritten_goal,
    );
    row(
        "vs_bare_writer",
        ours_per_s,
        middle(&rounds.bare, Samples::per_second),
        "shard writer",
        (pattern.name == "64x1000").then_some(Goal::AtLeast(0.6)),
    );
    let times: [Metric; 2] = [
        ("p50_us", |round| round.percentile_us(50), Some(Goal::AtMost(1.5))),
        ("p99_us", |round| round.percentile_us(99), None),
    ];
    for (metric, read, goal) in times {
        let goal = goal.filter(|_| pattern.callers == 1);
        row(metric, middle(&rounds.ours, read), middle(&rounds.raw, read), "one FULL commit", goal);
    }
}

async fn accounts(runtime: &Runtime, count: usize, note_bytes: usize) -> Arc<[AccountStub]> {
    let stubs: Arc<[AccountStub]> =
        (0..count).map(|nth| runtime.get::<Account>(format!("account-{nth}"))).collect();
    for stub in &*stubs {
        stub.write("n".repeat(note_bytes)).await.expect("an account takes its note");
    }
    stubs
}

async fn commit_ours(pattern: Pattern, time: Duration, stubs: &Arc<[AccountStub]>) -> Samples {
    let stubs = Arc::clone(stubs);
    drive(pattern, time, move |target| {
        let call = stubs[target].bump();
        async move {
            call.await.expect("an account answers");
        }
    })
    .await
}

async fn commit_bare(
    pattern: Pattern,
    time: Duration,
    writer: &Arc<BareWriter>,
    size: Size,
) -> Samples {
    let writer = Arc::clone(writer);
    // Every commit has other bytes: a row that is written as it was would not be written at all.
    let version = Arc::new(AtomicU64::new(0));
    drive(pattern, time, move |target| {
        let writer = Arc::clone(&writer);
        let mut state = vec![b'n'; size.bytes];
        state[..8].copy_from_slice(&version.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        async move {
            writer.commit(target, &state).await.expect("the writer commits");
        }
    })
    .await
}
