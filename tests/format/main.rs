//! Every released format stays readable: a data directory that was written once, and is kept as it was.
//!
//! `DURABLE_WRITE_GOLDEN=1 cargo test -p tests --test format` writes the directory of the present format, for the day on
//! which it changes; the earlier ones stay.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use durable::WallMs;
use durable::prelude::*;

/// A state of every kind of field.
#[derive(Clone, Debug, Default, PartialEq, DurableState)]
pub struct Everything {
    text: String,
    numbers: (u8, i64, u64, f64),
    maybe: Option<bool>,
    list: Vec<Part>,
    map: BTreeMap<String, Part>,
}

#[derive(Clone, Debug, PartialEq, DurableState)]
pub enum Part {
    Unit,
    Tuple(u32, String),
    Struct { bytes: Vec<u8> },
}

#[durable_object(name = "golden.Everything", version = 3, history, alarm_retries = 0)]
impl Everything {
    pub fn set(&mut self, to: Everything) {
        *self = to;
    }

    pub fn get(&self) -> Everything {
        self.clone()
    }

    /// Sets the alarm to a time that never comes.
    pub fn wait(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        cx.alarm().set(WallMs(at));
    }

    /// Plans what never comes.
    pub fn plan(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        cx.schedule("late").once(WallMs(at)).call(cx.me().waits());
    }

    pub fn plans(&self, cx: &Context<'_, Self>) -> Option<u64> {
        cx.schedule("late").get().map(|late| late.due.0)
    }

    pub fn waits(&self, cx: &Context<'_, Self>) -> Option<u64> {
        cx.alarm().get().map(|alarm| alarm.due.0)
    }

    /// Never succeeds.
    pub fn refuse(&mut self) -> Result<(), String> {
        Err("it never does".to_owned())
    }

    /// Never succeeds.
    #[alarm]
    fn ring(&mut self) -> Result<(), String> {
        Err("it never does".to_owned())
    }

    /// Keeps one of each kind of value under keys.
    pub fn keep(&mut self, cx: &mut Context<'_, Self>, part: Part) -> Result<(), Error> {
        cx.kv().put_bytes("bytes", [0, 1, 0xff])?;
        cx.kv().put("part", &part)
    }

    /// Keeps rows in tables: of odd objects so many that their pages are folded, and some in the log after that.
    pub fn tabulate(&mut self, cx: &mut Context<'_, Self>, rows: i64) -> Result<(), Error> {
        cx.sql()
            .exec("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT, c BLOB)", ())?;
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO t (b, c) SELECT 'row ' || i, zeroblob(90) FROM n";
        cx.sql().exec(sql, [rows]).map(drop)
    }

    /// How many rows there are, the sum of their numbers, and how long their texts are.
    pub fn tabulated(&self, cx: &Context<'_, Self>) -> Result<(i64, i64, i64), Error> {
        cx.sql().query_one("SELECT count(*), sum(a), sum(length(b)) FROM t", ())
    }

    /// The keys, the bytes and the part.
    pub async fn kept(
        &self,
        cx: &Context<'_, Self>,
    ) -> Result<(Vec<String>, Vec<u8>, Part), Error> {
        let (mut keys, mut list) = (Vec::new(), cx.kv().list());
        while let Some((key, _)) = list.next_bytes().await? {
            keys.push(key.to_string());
        }
        let bytes = cx.kv().get_bytes("bytes").await?.unwrap_or_default();
        let part = cx.kv().get("part").await?.unwrap_or(Part::Unit);
        Ok((keys, bytes, part))
    }
}

fn part(n: u8) -> Part {
    Part::Tuple(u32::from(n) * 1_000, "tuple".into())
}

fn sample(n: u8) -> Everything {
    let part = part(n);
    Everything {
        text: format!("object {n}, ümläut"),
        numbers: (n, -i64::from(n), u64::MAX, 0.5),
        maybe: n.is_multiple_of(2).then_some(true),
        list: vec![Part::Unit, part.clone(), Part::Struct { bytes: vec![n; 3] }],
        map: BTreeMap::from([("a".into(), part), ("b".into(), Part::Unit)]),
    }
}

/// A time in the year 2100, by which nobody reads this.
const LATE: u64 = 4_102_444_800_000;

/// How many rows each turn adds.
fn tables(n: u8) -> [i64; 3] {
    [3, if n == 3 { 800 } else { 5 }, 2]
}

fn tabulated(turns: &[i64]) -> (i64, i64, i64) {
    let rows: i64 = turns.iter().sum();
    let lengths = |turn: &i64| (1..=*turn).map(|i| format!("row {i}").len() as i64).sum::<i64>();
    (rows, rows * (rows + 1) / 2, turns.iter().map(lengths).sum())
}

fn golden(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("format/v{format}"))
}

async fn open(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<Everything>().start().await.unwrap()
}

async fn write_golden(dir: &Path) {
    let runtime = Runtime::builder(dir).register::<Everything>().shards(2).start().await.unwrap();
    for n in 0..8 {
        let object = runtime.get::<Everything>(format!("named/{n}"));
        object.set(sample(n)).await.unwrap();
        object.keep(part(n)).await.unwrap();
        for rows in tables(n) {
            object.tabulate(rows).await.unwrap();
        }
        object.wait(LATE).idempotency_key(format!("wait-{n}")).await.unwrap();
        // So many that a chunk of them is sealed.
        for more in 10..if n == 5 { 40 } else { 10 } {
            object.wait(LATE).idempotency_key(format!("wait-{n}-{more}")).await.unwrap();
        }
        object.plan(LATE).await.unwrap();
        // In sixty years, by which nobody reads this either.
        let sixty_years = std::time::Duration::from_secs(60 * 365 * 86_400);
        object.wait(1).metadata("tenant", "acme").send_after(sixty_years).await.unwrap();
        if n == 5 {
            let failed = runtime.run_alarm(object.id().unwrap()).await.unwrap_err();
            assert_eq!(failed.code(), "alarm.failed");
        }
    }
    let call = runtime.get::<Everything>("named/6").refuse();
    call.metadata("tenant", "acme").send().await.unwrap();
    while runtime.dead_letters(None).await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    runtime.shutdown().await.unwrap();
    drop(runtime);
    fs::remove_file(dir.join("LOCK")).unwrap();
    for entry in fs::read_dir(dir.join("shards")).unwrap() {
        let path = entry.unwrap().path();
        // An empty log and its index, which are made anew.
        if path.extension().is_some_and(|extension| extension != "db") {
            fs::remove_file(path).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn the_golden_directory_of_format_1_reads_and_goes_on() {
    if std::env::var_os("DURABLE_WRITE_GOLDEN").is_some() {
        write_golden(&golden(1)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&golden(1), dir.path());
    let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
    assert_eq!((found.objects, found.keys), (8, 16));
    let runtime = open(dir.path()).await;
    let listed = runtime.list::<Everything>().prefix("named/").page().await.unwrap();
    assert_eq!(listed.len(), 8);
    for (n, listed) in (0..).zip(&listed) {
        assert_eq!(listed.name(), Some(format!("named/{n}").as_str()));
        let stub = runtime.get_by_id::<Everything>(listed.id()).unwrap();
        assert_eq!(stub.get().await.unwrap(), sample(n));
        let keys = vec!["bytes".to_owned(), "part".to_owned()];
        assert_eq!(stub.kept().await.unwrap(), (keys, vec![0, 1, 0xff], part(n)));
        assert_eq!(stub.tabulated().await.unwrap(), tabulated(&tables(n)));
        assert_eq!(stub.waits().await.unwrap(), (n != 5).then_some(LATE));
        assert_eq!(stub.plans().await.unwrap(), Some(LATE));
        let named = runtime.get::<Everything>(format!("named/{n}"));
        assert_eq!(named.id().unwrap(), listed.id(), "the names lead to the same ids");
        named.set(sample(n + 100)).await.unwrap();
        named.keep(part(n + 100)).await.unwrap();
        named.tabulate(100).await.unwrap();
    }
    // The past of the golden directory leads back to before its last turns.
    let object = runtime.get::<Everything>("named/3");
    let id = object.id().unwrap();
    let past = runtime.history(id, None, 100).await.unwrap();
    let causes: Vec<_> = past.iter().rev().map(|entry| entry.cause.to_string()).collect();
    let golden = ["set", "keep", "tabulate", "tabulate", "tabulate", "wait", "plan"];
    assert_eq!(causes, [&golden[..], &["set", "keep", "tabulate"]].concat());
    let undo = runtime.restore_to(id, &past[5].before).await.unwrap();
    assert_eq!(object.get().await.unwrap(), sample(3));
    assert_eq!(object.kept().await.unwrap().2, part(3));
    assert_eq!(object.tabulated().await.unwrap(), tabulated(&tables(3)[..2]));
    runtime.restore_to(id, &undo).await.unwrap();
    let mut letters = runtime.dead_letters(None).await.unwrap();
    letters.sort_by(|one, next| one.name.cmp(&next.name));
    let [letter, of_send] = &letters[..] else { panic!("{letters:?}") };
    let tenant = of_send.metadata.as_ref().unwrap().get("tenant");
    assert_eq!((of_send.name.as_deref(), tenant), (Some("named/6"), Some("acme")));
    assert_eq!((letter.name.as_deref(), letter.error.as_str()), (Some("named/5"), "it never does"));
    assert_eq!((letter.attempts, letter.scheduled_at), (1, WallMs(LATE)));
    runtime.retry_dead_letter(letter.id).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = open(dir.path()).await;
    let object = runtime.get::<Everything>("named/3");
    assert_eq!(object.get().await.unwrap(), sample(103));
    assert_eq!(object.kept().await.unwrap().2, part(103));
    assert_eq!(object.tabulated().await.unwrap(), tabulated(&[3, 800, 2, 100]));
}

#[tokio::test]
async fn the_present_code_writes_the_golden_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write_golden(dir.path()).await;
    let frames = "SELECT name, body FROM objects JOIN snapshots USING (object_no)";
    assert_eq!(stored(dir.path(), frames), stored(&golden(1), frames));
    let values = "SELECT name || ' ' || hex(key), value FROM objects JOIN kv USING (object_no)";
    assert_eq!(stored(dir.path(), values), stored(&golden(1), values));
    assert_eq!(stored(dir.path(), values).len(), 16);
    let schemas =
        "SELECT name || ' ' || fingerprint, schema FROM schemas JOIN classes USING (class_no)";
    assert_eq!(stored(dir.path(), schemas), stored(&golden(1), schemas));
    assert_eq!(stored(dir.path(), schemas).len(), 1);
    // Of the pages only where they are: SQLite writes its own version into the first one.
    let places = "SELECT name || ' ' || (place & 0xffffff), x'' FROM objects
        JOIN sql_pages ON place >> 24 = object_no";
    assert_eq!(stored(dir.path(), places), stored(&golden(1), places));
    assert!(stored(dir.path(), places).len() > 90, "one of them was folded");
    let log = "SELECT name || ' ' || commit_no, CAST(length(deltas) AS BLOB)
        FROM objects JOIN sql_log USING (object_no)";
    assert_eq!(stored(dir.path(), log), stored(&golden(1), log));
    assert!(stored(dir.path(), log).len() >= 8, "and all go on in the log");
    // Of the past the struct and the keys: what pages were has SQLite's version in it, and rows have times.
    let past =
        "SELECT name || ' ' || commit_no || ' ' || after_no, CAST(substr(body, 5, 2) || substr(body, 31) AS BLOB)
        FROM objects JOIN history USING (object_no) WHERE commit_no < 3";
    assert_eq!(stored(dir.path(), past), stored(&golden(1), past));
    assert_eq!(stored(dir.path(), past).len(), 16);
}

#[tokio::test]
async fn the_present_code_writes_the_golden_alarms() {
    let dir = tempfile::tempdir().unwrap();
    write_golden(dir.path()).await;
    let alarms =
        "SELECT name || ' ' || due_ms || ' ' || scheduled_ms || ' ' || retries || ' ' || set_by,
        x'' FROM objects JOIN alarms USING (object_no)";
    assert_eq!(stored(dir.path(), alarms), stored(&golden(1), alarms));
    assert_eq!(stored(dir.path(), alarms).len(), 7);
    let schedules = "SELECT name || ' ' || due_ms || ' ' || set_by, body
        FROM objects JOIN schedules USING (object_no)";
    assert_eq!(stored(dir.path(), schedules), stored(&golden(1), schedules));
    assert_eq!(stored(dir.path(), schedules).len(), 8);
    // But for the time before what travels with it, which is counted from when it was written.
    let sends = "SELECT name || ' ' || (pair IS NULL) || ' ' || retries || ' ' || outbox.number,
        CAST(substr(outbox.body, 21, length(outbox.body) - 39) || substr(outbox.body, -13) AS BLOB)
        FROM objects JOIN outbox ON target = id";
    assert_eq!(stored(dir.path(), sends), stored(&golden(1), sends));
    assert_eq!(stored(dir.path(), sends).len(), 8);
    // But for checksums, and the time of the first one, which is counted from when it was written.
    let results = "SELECT name, CAST(substr(results, 21, 7) || substr(results, 34, 60) AS BLOB)
        FROM objects JOIN snapshots USING (object_no) WHERE length(results) < 200";
    assert_eq!(stored(dir.path(), results), stored(&golden(1), results));
    assert_eq!(stored(dir.path(), results).len(), 7);
    let sealed =
        "SELECT name || ' ' || chunk_no || ' ' || length(body), CAST(substr(digests, 21) AS BLOB)
        FROM objects JOIN results USING (object_no)";
    assert_eq!(stored(dir.path(), sealed), stored(&golden(1), sealed));
    assert_eq!(stored(dir.path(), sealed).len(), 1);
    // But for when a send was to leave, which is when it was written.
    let letters = "SELECT objects.name || ' ' || kind || ' ' || attempts || ' ' || iif(kind = 3, '', scheduled_ms),
        CAST(error || ' ' || coalesce(hex(metadata), '') AS BLOB) FROM objects JOIN dead_letters USING (object_no)";
    assert_eq!(stored(dir.path(), letters), stored(&golden(1), letters));
    assert_eq!(stored(dir.path(), letters).len(), 2);
}

/// What is stored by name, over all shards: another directory has another key, and so spreads its names otherwise.
fn stored(dir: &Path, sql: &str) -> BTreeMap<String, Vec<u8>> {
    let copied = tempfile::tempdir().unwrap();
    copy(dir, copied.path());
    let mut found = BTreeMap::new();
    for shard in ["000", "001"] {
        let path = copied.path().join(format!("shards/{shard}.db"));
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut select = connection.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        found.extend(rows.map(Result::unwrap));
    }
    found
}
