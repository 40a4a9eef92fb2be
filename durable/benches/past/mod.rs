//! What keeping the past costs: a class with history against the same class without.
//!
//! `commits_per_s` compares durable commits in each second, `device_bytes_per_commit` what is written to the device
//! meanwhile, `stored_bytes_per_commit` how much the data directory has grown. Cases with `sql` add a row to a table, the
//! others change a struct of 64 bytes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::prelude::*;

use crate::load::{Pattern, Samples, drive};
use crate::report::{Options, Report, Row, median};
use crate::{INSERT, TABLE, WHO, device_bytes};

/// What is measured.
pub(crate) const PATTERNS: [(Pattern, bool); 4] = [
    (Pattern { name: "history/1x1", callers: 1, objects: 1 }, false),
    (Pattern { name: "history/64x1000", callers: 64, objects: 1_000 }, false),
    (Pattern { name: "history/sql/1x1", callers: 1, objects: 1 }, true),
    (Pattern { name: "history/sql/64x1000", callers: 64, objects: 1_000 }, true),
];

macro_rules! classes {
    ($($module:ident: $name:literal $($history:ident)?;)*) => { $(
        mod $module {
            use durable::prelude::*;

            use super::{INSERT, TABLE, WHO};

            #[derive(Default, DurableState)]
            pub(crate) struct Counted {
                count: u64,
                filler: String,
            }

            #[durable_object(name = $name $(, $history)?, visibility = "pub(crate)")]
            impl Counted {
                pub fn open(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
                    self.filler = "f".repeat(54);
                    cx.sql().exec(TABLE, ()).map(drop)
                }

                pub fn count(&mut self) -> u64 {
                    self.count += 1;
                    self.count
                }

                pub fn insert(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
                    cx.sql().exec(INSERT, [WHO]).map(drop)
                }
            }
        }
    )* };
}

classes! {
    with: "bench.With" history;
    without: "bench.Without";
}

/// A running store, and the objects of one class in it.
struct Side<S> {
    runtime: Runtime,
    stubs: Arc<[S]>,
}

/// The rounds of one side: what was done, and bytes of the device and of the directory.
type Rounds = Vec<(Samples, f64, f64)>;

macro_rules! side {
    ($module:ident, $stub:ty, $dir:expr, $pattern:expr) => {{
        let builder = Runtime::builder($dir).register::<$module::Counted>();
        let builder = builder.idle(Duration::from_secs(86_400));
        let runtime = builder.start().await.expect("the store opens");
        let names = (0..$pattern.objects).map(|nth| format!("c-{nth}"));
        let stubs: Arc<[$stub]> = names.map(|name| runtime.get::<$module::Counted>(name)).collect();
        for stub in &*stubs {
            stub.open().await.expect("an object makes its table");
        }
        Side { runtime, stubs }
    }};
}

macro_rules! run {
    ($side:expr, $pattern:expr, $is_sql:expr, $time:expr) => {{
        let stubs = Arc::clone(&$side.stubs);
        let is_sql = $is_sql;
        drive($pattern, $time, move |target| {
            let (insert, count) = (stubs[target].insert(), stubs[target].count());
            async move {
                if is_sql {
                    insert.await.expect("an object takes the row");
                } else {
                    count.await.expect("an object counts");
                }
            }
        })
        .await
    }};
}

pub(crate) async fn measure(
    options: &Options,
    dir: &Path,
    (pattern, is_sql): (Pattern, bool),
    report: &mut Report<'_>,
) {
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).expect("the directory can be written");
    let (ours, theirs) = (dir.join("with"), dir.join("without"));
    let with = side!(with, with::CountedStub, &ours, pattern);
    let without = side!(without, without::CountedStub, &theirs, pattern);
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(400));
    run!(with, pattern, is_sql, time / 4);
    run!(without, pattern, is_sql, time / 4);
    let (mut kept, mut plain) = (Rounds::new(), Rounds::new());
    for _ in 0..options.pick(5, 3) {
        let before = (device_bytes(dir), stored(&theirs));
        let samples = run!(without, pattern, is_sql, time);
        plain.push((samples, device_bytes(dir) - before.0, stored(&theirs) - before.1));
        let before = (device_bytes(dir), stored(&ours));
        let samples = run!(with, pattern, is_sql, time);
        kept.push((samples, device_bytes(dir) - before.0, stored(&ours) - before.1));
    }
    tell((&kept, &plain), pattern, report);
    with.runtime.shutdown().await.expect("the store closes");
    without.runtime.shutdown().await.expect("the store closes");
}

fn tell((kept, plain): (&Rounds, &Rounds), pattern: Pattern, report: &mut Report<'_>) {
    let middle =
        |rounds: &Rounds, read: fn(&(Samples, f64, f64)) -> f64| median(rounds.iter().map(read));
    let mut row = |metric, read: fn(&(Samples, f64, f64)) -> f64| {
        report.push(Row {
            case: pattern.name.to_owned(),
            metric,
            ours: middle(kept, read),
            baseline: middle(plain, read),
            baseline_name: "without history",
            goal: None,
        });
    };
    row("commits_per_s", |round| round.0.per_second());
    row("commit_p50_us", |round| round.0.percentile_us(50));
    row("device_bytes_per_commit", |round| round.1 / round.0.count());
    row("stored_bytes_per_commit", |round| round.2 / round.0.count());
}

/// Bytes of the shards' databases, their logs not counted.
fn stored(dir: &Path) -> f64 {
    let entries = std::fs::read_dir(dir.join("shards")).expect("a data directory");
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let is_database = entry.path().extension().is_some_and(|extension| extension == "db");
        is_database.then(|| entry.metadata().map_or(0, |file| file.len()))
    });
    sizes.sum::<u64>() as f64
}
