//! Objects that are nothing but a small struct: how fast they commit beside objects with tables, and what they take on disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::prelude::*;

use crate::WHO;
use crate::load::{Pattern, Samples, drive};
use crate::report::{Goal, Options, Report, Row};

/// What a small object may take on disk beyond its payload, in bytes.
const BYTES_BEYOND_PAYLOAD: f64 = 300.0;

/// An object of one row.
#[derive(Default, DurableState)]
pub(crate) struct Packed {
    count: u64,
    who: String,
}

#[durable_object(name = "bench.Packed")]
impl Packed {
    /// Changes the state.
    pub fn add(&mut self) -> u64 {
        if self.who.is_empty() {
            WHO.clone_into(&mut self.who);
        }
        self.count += 1;
        self.count
    }
}

/// Commits of packed objects for `time`.
pub(crate) async fn add(pattern: Pattern, time: Duration, stubs: &Arc<[PackedStub]>) -> Samples {
    let stubs = Arc::clone(stubs);
    drive(pattern, time, move |target| {
        let call = stubs[target].add();
        async move {
            call.await.expect("an object counts");
        }
    })
    .await
}

/// Fills a store with small objects, and looks at its files.
pub(crate) async fn measure_disk(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let objects = options.pick(100_000, 10_000);
    report.note("disk");
    let runtime = Runtime::builder(dir.join("small")).register::<Packed>();
    let runtime = runtime.idle(Duration::from_millis(100)).start().await.expect("the store opens");
    let stubs: Vec<_> =
        (0..objects).map(|nth| runtime.get::<Packed>(format!("user-{nth:06}"))).collect();
    let stubs = Arc::<[PackedStub]>::from(stubs);
    let pattern = Pattern { name: "disk", callers: 64, objects };
    fill(pattern, &stubs).await;
    runtime.shutdown().await.expect("the store closes");
    let shards = std::fs::read_dir(dir.join("small/shards")).expect("the store is there");
    let sizes = shards.map(|file| file.and_then(|file| file.metadata()).expect("a file").len());
    let bytes = sizes.sum::<u64>() as f64 / objects as f64;
    let payload = 1.0 + 1.0 + WHO.len() as f64;
    let mut row = |metric, ours, baseline, baseline_name, goal| {
        report.push(Row { case: "disk".to_owned(), metric, ours, baseline, baseline_name, goal });
    };
    row("bytes_per_object", bytes, payload, "payload", None);
    let beyond = bytes - payload;
    row("bytes_beyond", beyond, BYTES_BEYOND_PAYLOAD, "goal", Some(Goal::AtMost(1.0)));
}

/// One commit of each object.
async fn fill(pattern: Pattern, stubs: &Arc<[PackedStub]>) {
    let share = pattern.objects.div_ceil(pattern.callers);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..pattern.callers {
        let stubs = Arc::clone(stubs);
        callers.spawn(async move {
            for stub in stubs.iter().skip(caller * share).take(share) {
                stub.add().await.expect("an object counts");
            }
        });
    }
    callers.join_all().await;
}
