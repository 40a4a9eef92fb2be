//! Values under keys: one put or one get a turn, against one file, one connection behind a mutex, one durable transaction
//! for each put.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use durable::prelude::*;
use rusqlite::{Connection, OptionalExtension, params};

use crate::WHO;
use crate::load::{Pattern, Samples, drive};
use crate::own_file::for_a_while;
use crate::report::{Options, Report, Row, median};

const PATTERNS: [Pattern; 2] = [
    Pattern { name: "kv/1x1", callers: 1, objects: 1 },
    Pattern { name: "kv/64x1000", callers: 64, objects: 1_000 },
];

/// Keys of an object.
const KEYS: u64 = 100;

/// An object of keys.
#[derive(Default, DurableState)]
pub(crate) struct Drawer {
    /// Nothing of it changes, so only values are stored.
    unused: u64,
}

#[durable_object(name = "bench.Drawer")]
impl Drawer {
    /// Puts a value.
    pub fn put(&mut self, cx: &mut Context<'_, Self>, nth: u64) -> Result<(), Error> {
        cx.kv().put(key(nth), &(nth, WHO))
    }

    /// Gets a value.
    pub async fn get(&self, cx: &Context<'_, Self>, nth: u64) -> Result<bool, Error> {
        Ok(cx.kv().get::<(u64, String)>(key(nth)).await?.is_some())
    }
}

fn key(nth: u64) -> String {
    format!("line/{:03}", nth % KEYS)
}

/// Measures each pattern that is asked for.
pub(crate) async fn measure(options: &Options, dir: &Path, report: &mut Report<'_>) {
    for pattern in PATTERNS {
        if options.wants(pattern.name) {
            report.note(pattern.name);
            let dir = dir.join(pattern.name.replace('/', "-"));
            measure_one(options, &dir, pattern, report).await;
        }
    }
}

async fn measure_one(options: &Options, dir: &Path, pattern: Pattern, report: &mut Report<'_>) {
    std::fs::create_dir_all(dir).expect("the directory can be written");
    let by_hand = ByHand::open(dir);
    let runtime = Runtime::builder(dir.join("ours")).register::<Drawer>();
    let runtime = runtime.start().await.expect("the store opens");
    let stubs: Arc<[DrawerStub]> =
        (0..pattern.objects).map(|nth| runtime.get::<Drawer>(format!("d-{nth}"))).collect();
    let time = options.pick(Duration::from_secs(2), Duration::from_millis(400));
    put_ours(pattern, time / 4, &stubs).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.pick(5, 3) {
        theirs.push(by_hand.put(pattern, time));
        ours.push(put_ours(pattern, time, &stubs).await);
    }
    let mut row = |metric, ours: f64, baseline: f64| {
        let (case, baseline_name) = (pattern.name.to_owned(), "a transaction each");
        report.push(Row { case, metric, ours, baseline, baseline_name, goal: None });
    };
    let middle = |rounds: &[Samples], read: fn(&Samples) -> f64| median(rounds.iter().map(read));
    let per_second = Samples::per_second;
    row("puts_per_s", middle(&ours, per_second), middle(&theirs, per_second));
    let p50 = |samples: &Samples| samples.percentile_us(50);
    row("put_p50_us", middle(&ours, p50), middle(&theirs, p50));
    let get = get_ours(pattern, time, &stubs).await;
    let by_hand = by_hand.get(pattern, time);
    row("gets_per_s", get.per_second(), by_hand.per_second());
    row("get_p50_us", get.percentile_us(50), by_hand.percentile_us(50));
    runtime.shutdown().await.expect("the store closes");
}

async fn put_ours(pattern: Pattern, time: Duration, stubs: &Arc<[DrawerStub]>) -> Samples {
    let (stubs, begun) = (Arc::clone(stubs), Instant::now());
    drive(pattern, time, move |target| {
        let call = stubs[target].put(begun.elapsed().subsec_nanos().into());
        async move {
            call.await.expect("an object takes the value");
        }
    })
    .await
}

async fn get_ours(pattern: Pattern, time: Duration, stubs: &Arc<[DrawerStub]>) -> Samples {
    let (stubs, begun) = (Arc::clone(stubs), Instant::now());
    drive(pattern, time, move |target| {
        let call = stubs[target].get(begun.elapsed().subsec_nanos().into());
        async move {
            call.await.expect("an object reads");
        }
    })
    .await
}

/// What a user would write by hand.
struct ByHand(Mutex<Connection>);

impl ByHand {
    fn open(dir: &Path) -> Self {
        let connection = Connection::open(dir.join("by-hand.db")).expect("the file opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE IF NOT EXISTS lines (object INTEGER, key TEXT, value BLOB, PRIMARY KEY (object, key)) WITHOUT ROWID",
            )
            .expect("a new file takes the schema");
        ByHand(Mutex::new(connection))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, pattern: Pattern, time: Duration) -> Samples {
        self.drive(pattern, time, |connection, object, nth| {
            let value = postcard::to_stdvec(&(nth, WHO)).expect("it is plain data");
            let mut put = connection
                .prepare_cached("INSERT OR REPLACE INTO lines VALUES (?1, ?2, ?3)")
                .expect("the table exists");
            put.execute(params![object, key(nth), value]).expect("the disk takes the commit");
        })
    }

    fn get(&self, pattern: Pattern, time: Duration) -> Samples {
        self.drive(pattern, time, |connection, object, nth| {
            let mut get = connection
                .prepare_cached("SELECT value FROM lines WHERE object = ?1 AND key = ?2")
                .expect("the table exists");
            let found = get.query_row(params![object, key(nth)], |row| row.get::<_, Vec<u8>>(0));
            let found = found.optional().expect("the file can be read");
            let read = found.map(|value| postcard::from_bytes::<(u64, String)>(&value));
            assert!(read.is_none_or(|read| read.is_ok()), "the row was written here");
        })
    }

    fn drive(&self, pattern: Pattern, time: Duration, call: fn(&Connection, i64, u64)) -> Samples {
        let begun = Instant::now();
        let nanos = thread::scope(|scope| {
            let caller = |caller| {
                scope.spawn(move || {
                    for_a_while(time, |nth| {
                        let target = pattern.target(caller, nth) as i64;
                        call(&self.lock(), target, begun.elapsed().subsec_nanos().into());
                    })
                })
            };
            let callers: Vec<_> = (0..pattern.callers).map(caller).collect();
            let nanos = callers.into_iter().map(|caller| caller.join().expect("a caller ends"));
            nanos.collect::<Vec<_>>().concat()
        });
        Samples::new(nanos, begun.elapsed())
    }
}
