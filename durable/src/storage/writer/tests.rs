//! They look at the files that a store leaves, and damage them.

#![allow(clippy::disallowed_methods)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::host::{Clock, Host};
use crate::id::{ObjectId, Placement};
use crate::kernel::history::Bounds;
use crate::kv::{KvChange, KvKey};
use crate::limits::{CHECKPOINT_PAGES, SHARD_PAGE_BYTES};
use crate::storage::history::Sweep;
use crate::storage::numbers::{ClassNo, Epoch, ObjectNo};
use crate::storage::rows::create_tables;
use crate::storage::sqlite::{self, Checkpoint, Place, Role};
use crate::storage::write_set::{Birth, Fence, Release, WriteSet};

/// Who was told what: the code of the error, if it was one.
type Told = (u32, Result<(), String>);

/// A key and what was done to it.
type Done<'a> = (&'a str, Option<&'a [u8]>);

type Log = Arc<Mutex<Vec<Told>>>;

/// A shard whose writer steps when the test says so.
struct Bench {
    shared: Arc<Shared>,
    writer: Writer,
    reader: Connection,
    log: Log,
    pokes: Arc<Pokes>,
    seq: u64,
    _directory: tempfile::TempDir,
}

#[derive(Default)]
struct Pokes(AtomicUsize);

impl Lane for Pokes {
    fn poke(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn stop(&self) {}
}

struct Logged(u32, Log);

impl Release for Logged {
    fn release(&self, durable: Result<(), &Error>) {
        let outcome = durable.map_err(|error| error.code().to_owned());
        self.1.lock().expect("no panic").push((self.0, outcome));
        assert_ne!(self.0, PANICS, "on purpose");
    }
}

/// The waiter that panics.
const PANICS: u32 = 666;

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let host = runtime.block_on(async { Host::os() });
        let place = Place::new(&host, &directory.path().join("000.db"));
        let control = place.open(Role::Creator).expect("created");
        create_tables(&control).expect("our own tables");
        let sweep = Sweep::new(Bounds { keep_ms: 1_000, bytes: 1_000 }, true, Arc::default());
        let shared =
            Arc::new(Shared::new(&host, (0, CHECKPOINT_PAGES), place.clone(), ObjectNo(0), sweep));
        let mut connection = place.open(Role::Writer).expect("opened");
        checkpoint::follow_log(&shared, &mut connection).expect("a hook");
        let pokes = Arc::<Pokes>::default();
        let writer = Writer::new(shared.clone(), connection, pokes.clone(), Arc::new(Box::new(())));
        let log = Arc::default();
        Bench { shared, writer, reader: control, log, pokes, seq: 0, _directory: directory }
    }

    fn submit(&mut self, fence: &Arc<Fence>, object: i64, commit_no: u64, waiter: u32) {
        self.submit_body(fence, object, commit_no, waiter, &waiter.to_le_bytes());
    }

    fn submit_body(
        &mut self,
        fence: &Arc<Fence>,
        object: i64,
        commit_no: u64,
        waiter: u32,
        body: &[u8],
    ) {
        self.submit_rows(fence, object, commit_no, waiter, (Some(body), &[]));
    }

    fn submit_rows(
        &mut self,
        fence: &Arc<Fence>,
        object: i64,
        commit_no: u64,
        waiter: u32,
        (body, rows): (Option<&[u8]>, &[Done<'_>]),
    ) {
        let id = ObjectId::from_bytes([u8::try_from(object % 100).expect("small"); 32]);
        let birth = Birth {
            id,
            class_no: ClassNo(1),
            name: None,
            placement: Placement::new(),
            lineage: None,
        };
        self.seq += 1;
        let write = WriteSet {
            fence: fence.clone(),
            object_no: ObjectNo(object),
            commit_no,
            birth: (commit_no == 1).then(|| Box::new(birth)),
            snapshot: body.map(Arc::from),
            kv: rows.iter().map(change).collect(),
            sql: None,
            alarm: None,
            schedules: None,
            sends: None,
            result: None,
            erases: false,
            history: None,
            release: Some(Arc::new(Logged(waiter, self.log.clone()))),
        };
        self.writer.waiting.push_back(Item::write(write, CommitSeq(self.seq)));
    }

    fn barrier(&mut self, fence: &Arc<Fence>, waiter: u32) {
        let release = Arc::new(Logged(waiter, self.log.clone()));
        self.writer.waiting.push_back(Item::barrier(fence, release));
    }

    /// Runs the writer until it is idle and gives the outcomes, in order.
    fn run(&mut self) -> Vec<Told> {
        while self.writer.step() == Step::Again {}
        std::mem::take(&mut self.log.lock().expect("no panic"))
    }

    fn stored(&self, object: i64) -> Option<(u64, u32)> {
        let sql = "SELECT commit_no, body FROM snapshots WHERE object_no = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 4]>(1)?));
        let row = self.reader.query_row(sql, [object], read).ok()?;
        Some((u64::try_from(row.0).expect("small"), u32::from_le_bytes(row.1)))
    }

    /// Everything that is stored under keys, as `object/key=value`.
    fn rows(&self) -> String {
        let sql = "SELECT object_no, key, value FROM kv ORDER BY object_no, key";
        let mut select = self.reader.prepare(sql).expect("a table");
        let rows = select.query_map([], |row| {
            let (key, value): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            let (key, value) = (String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
            Ok(format!("{}/{key}={value}", row.get::<_, i64>(0)?))
        });
        let rows: Result<Vec<_>, _> = rows.expect("a query").collect();
        rows.expect("rows").join(" ")
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.reader.query_row(&sql, [], |row| row.get(0)).expect("a table")
    }
}

fn change((key, value): &Done<'_>) -> KvChange {
    let key = KvKey::new(key.as_bytes()).expect("a key");
    KvChange { key, value: value.map(Arc::from) }
}

fn fence(epoch: u64) -> Arc<Fence> {
    Fence::new(Epoch(epoch))
}

fn ok(waiter: u32) -> Told {
    (waiter, Ok(()))
}

fn failed(waiter: u32, code: &str) -> Told {
    (waiter, Err(code.into()))
}

#[test]
fn a_batch_stores_the_last_state_of_each_object_and_releases_in_order() {
    let mut bench = Bench::new();
    let (a, b) = (fence(1), fence(2));
    bench.submit(&b, 2, 1, 10);
    bench.submit(&a, 1, 1, 11);
    bench.barrier(&b, 12);
    bench.submit(&b, 2, 2, 13);
    bench.submit(&a, 1, 2, 14);
    bench.submit(&b, 2, 3, 15);
    assert_eq!(bench.run(), [ok(10), ok(11), ok(12), ok(13), ok(14), ok(15)]);
    assert_eq!((bench.stored(1), bench.stored(2)), (Some((2, 14)), Some((3, 15))));
    assert_eq!(bench.count("objects"), 2);
    assert_eq!(bench.shared_durable(), 5);
    bench.submit(&a, 1, 3, 16);
    assert_eq!(bench.run(), [ok(16)]);
    assert_eq!(bench.stored(1), Some((3, 16)));
}

impl Bench {
    fn shared_durable(&self) -> u64 {
        self.shared.durable().0
    }
}

#[test]
fn a_stale_activation_fails_alone_and_for_good() {
    let mut bench = Bench::new();
    let (old, new, other) = (fence(1), fence(2), fence(3));
    bench.submit(&old, 1, 1, 10);
    bench.run();
    bench.submit(&new, 1, 2, 20);
    bench.submit(&old, 1, 2, 11);
    bench.submit(&other, 7, 1, 30);
    bench.barrier(&old, 12);
    bench.barrier(&new, 21);
    let fenced = "storage.fenced";
    assert_eq!(bench.run(), [ok(20), failed(11, fenced), ok(30), failed(12, fenced), ok(21)]);
    assert_eq!(bench.stored(1), Some((2, 20)));
    bench.submit(&old, 1, 3, 13);
    bench.barrier(&old, 14);
    bench.submit(&new, 1, 3, 22);
    assert_eq!(bench.run(), [failed(13, fenced), failed(14, fenced), ok(22)]);
    assert_eq!(bench.stored(1), Some((3, 22)));
}

#[test]
fn a_commit_that_was_stored_before_its_fence_broke_is_released_as_durable() {
    let mut bench = Bench::new();
    let (old, new) = (fence(1), fence(2));
    bench.submit(&old, 1, 1, 10);
    bench.submit(&new, 1, 2, 20);
    bench.submit(&old, 1, 2, 11);
    bench.submit(&new, 1, 3, 21);
    assert_eq!(bench.run(), [ok(10), ok(20), failed(11, "storage.fenced"), ok(21)]);
    assert_eq!(bench.stored(1), Some((3, 21)));
}

#[test]
fn two_first_commits_of_one_id_leave_one_object() {
    let mut bench = Bench::new();
    let (a, b) = (fence(1), fence(2));
    // Objects 1 and 101 have one id in this bench.
    bench.submit(&a, 1, 1, 10);
    bench.submit(&b, 101, 1, 20);
    bench.submit(&b, 101, 2, 21);
    let fenced = "storage.fenced";
    assert_eq!(bench.run(), [ok(10), failed(20, fenced), failed(21, fenced)]);
    assert_eq!((bench.count("objects"), bench.count("snapshots")), (1, 1));
}

#[test]
fn a_gap_in_the_commits_of_an_activation_is_refused() {
    let mut bench = Bench::new();
    let a = fence(1);
    bench.submit(&a, 1, 1, 10);
    bench.submit(&a, 1, 3, 11);
    let fenced = "storage.fenced";
    assert_eq!(bench.run(), [failed(10, fenced), failed(11, fenced)]);
    assert_eq!(bench.count("objects"), 0);
}

#[test]
fn a_full_disk_fails_its_batch_leaves_nothing_and_the_shard_goes_on() {
    let mut bench = Bench::new();
    let (a, b, c) = (fence(1), fence(2), fence(3));
    bench.submit(&a, 1, 1, 10);
    bench.run();
    let pages: i64 =
        bench.reader.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
    let limit = |bench: &Bench, pages: i64| {
        bench.writer.connection.pragma_update(None, "max_page_count", pages).expect("a limit");
    };
    limit(&bench, pages);
    bench.submit(&a, 1, 2, 11);
    bench.submit_body(&b, 2, 1, 20, &[0; 100_000]);
    bench.barrier(&a, 12);
    bench.barrier(&c, 30);
    let full = "storage.full";
    assert_eq!(bench.run(), [failed(11, full), failed(20, full), failed(12, full), ok(30)]);
    assert_eq!((bench.stored(1), bench.count("objects")), (Some((1, 10)), 1));
    assert!(bench.shared.stopped().is_none());
    limit(&bench, 1_000_000);
    let next = fence(4);
    bench.submit(&a, 1, 2, 13);
    bench.submit(&next, 1, 2, 40);
    assert_eq!(bench.run(), [failed(13, full), ok(40)]);
    assert_eq!(bench.stored(1), Some((2, 40)));
}

#[test]
fn a_stopped_shard_fails_everyone_and_stores_nothing() {
    let mut bench = Bench::new();
    let (a, b) = (fence(1), fence(2));
    bench.submit(&a, 1, 1, 10);
    bench.run();
    bench.shared.stop(Code::StorageSyncFailed.error("the disk is gone; restart"));
    bench.submit(&a, 1, 2, 11);
    bench.barrier(&b, 20);
    let gone = "storage.sync_failed";
    assert_eq!(bench.run(), [failed(11, gone), failed(20, gone)]);
    assert_eq!((bench.stored(1), bench.shared_durable()), (Some((1, 10)), 1));
    assert_eq!(a.broken().expect("broken").outcome(), Outcome::RolledBack);
}

#[test]
fn a_damaged_file_stops_the_shard() {
    let mut bench = Bench::new();
    let a = fence(1);
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'";
    let page: i64 = bench.reader.query_row(root, [], |row| row.get(0)).expect("a page");
    sqlite::checkpoint(&bench.reader, Checkpoint::Truncate).expect("all of it is in the file");
    let path = &bench.shared.place.path;
    let mut file = std::fs::read(path).expect("readable");
    let start = usize::try_from(page - 1).expect("small") * SHARD_PAGE_BYTES as usize;
    file[start..start + SHARD_PAGE_BYTES as usize].fill(0xff);
    std::fs::write(path, file).expect("ruined");
    bench.submit(&a, 1, 1, 10);
    bench.barrier(&fence(2), 20);
    let corrupt = "storage.corrupt";
    assert_eq!(bench.run(), [failed(10, corrupt), failed(20, corrupt)]);
    assert!(bench.shared.stopped().is_some());
}

#[test]
fn a_waiter_that_panics_costs_nobody_else() {
    let mut bench = Bench::new();
    let a = fence(1);
    bench.submit(&a, 1, 1, PANICS);
    bench.submit(&a, 1, 2, 11);
    while bench.writer.step() == Step::Again {}
    assert_eq!(bench.stored(1), Some((2, 11)));
    assert_eq!(bench.shared_durable(), 2);
}

#[test]
fn large_states_are_committed_in_several_batches() {
    let mut bench = Bench::new();
    let a = fence(1);
    let large = vec![7; 2 * 1024 * 1024];
    for commit_no in 1..=20 {
        bench.submit_body(&a, 1, commit_no, u32::try_from(commit_no).expect("small"), &large);
    }
    assert_eq!(bench.writer.step(), Step::Again);
    assert_eq!(bench.shared_durable(), 0, "it is stored, and nobody was told");
    assert_eq!(bench.writer.step(), Step::Again);
    let first = bench.shared_durable();
    assert!((1..20).contains(&first), "{first} of 20 were taken at once");
    assert_eq!(bench.run().len(), 20);
}

#[test]
fn an_item_that_comes_after_the_end_is_failed() {
    let bench = Bench::new();
    let Bench { shared, writer, log, .. } = bench;
    drop(writer);
    assert!(shared.stopped().is_none());
    let release = Arc::new(Logged(1, log.clone()));
    let item = shared.push_for_tests(Item::barrier(&fence(1), release)).expect("given back");
    item.fail(&closed());
    assert_eq!(*log.lock().expect("no panic"), [failed(1, "runtime.closed")]);
}

#[test]
fn the_log_starts_over_once_the_writer_finished_a_short_rest() {
    let mut bench = Bench::new();
    let a = fence(1);
    let mut commit_no = 0;
    let mut longest = 0;
    for _ in 0..300 {
        commit_no += 1;
        let body = vec![u8::try_from(commit_no % 251).expect("small"); 400_000];
        bench.submit_body(&a, 1, commit_no, 1, &body);
        assert_eq!(bench.run(), [ok(1)]);
        longest =
            longest.max(sqlite::checkpoint(&bench.reader, Checkpoint::Look).expect("a look").pages);
        if bench.pokes.0.swap(0, Ordering::AcqRel) > 0 {
            // What the checkpointer lane would do.
            assert!(bench.shared.take_checkpoint_request());
            checkpoint::run(&bench.shared, &bench.reader, Checkpoint::Passive);
        }
    }
    assert!(longest < 2 * CHECKPOINT_PAGES, "the log grew to {longest} pages");
}

#[test]
fn the_writer_itself_bounds_a_log_that_nobody_copies() {
    let mut bench = Bench::new();
    let a = fence(1);
    let body = vec![1; 2 * 1024 * 1024];
    let mut longest = 0;
    for commit_no in 1..=300 {
        bench.submit_body(&a, 1, commit_no, 1, &body);
        assert_eq!(bench.run(), [ok(1)]);
        longest =
            longest.max(sqlite::checkpoint(&bench.reader, Checkpoint::Look).expect("a look").pages);
    }
    assert!(longest < 17 * CHECKPOINT_PAGES, "the log grew to {longest} pages");
}

/// A log that grew within its file stays within it, and what was made room with is no frame to those who read it anew.
#[test]
fn the_log_has_room_in_its_file_before_it_needs_it() {
    let mut bench = Bench::new();
    let a = fence(1);
    let length = |bench: &Bench| {
        let log = bench.shared.place.path.with_extension("db-wal");
        std::fs::metadata(log).expect("there is a log").len()
    };
    let (mut lengths, body) = (Vec::new(), vec![7; 900]);
    for commit_no in 1..=400 {
        bench.submit_body(&a, 1, commit_no, 1, &body);
        assert_eq!(bench.run(), [ok(1)]);
        let pages = sqlite::checkpoint(&bench.reader, Checkpoint::Look).expect("a look").pages;
        let used = u64::from(pages) * u64::from(SHARD_PAGE_BYTES + 24);
        lengths.push(length(&bench));
        assert!(length(&bench) > used, "{used} bytes are used of {lengths:?}");
    }
    lengths.dedup();
    assert!((2..10).contains(&lengths.len()), "it was made longer now and then: {lengths:?}");
    assert_eq!(bench.count("objects"), 1, "and it is read as it was written");
}

#[test]
fn the_clock_of_the_host_stamps_births() {
    let mut bench = Bench::new();
    bench.submit(&fence(1), 1, 1, 10);
    let before = bench.shared.host.clock.wall();
    bench.run();
    let born: i64 =
        bench.reader.query_row("SELECT born_ms FROM objects", [], |row| row.get(0)).expect("a row");
    assert!(u64::try_from(born).expect("after 1970") >= before.0);
    let _: &dyn Clock = bench.shared.host.clock.as_ref();
}

#[test]
fn a_run_stores_its_last_state_and_the_last_of_what_was_done_to_each_key() {
    let mut bench = Bench::new();
    let (a, b) = (fence(1), fence(2));
    let body = |waiter: u32| waiter.to_le_bytes();
    bench.submit_rows(&a, 1, 1, 10, (Some(&body(10)), &[("k", Some(b"1")), ("l", Some(b"1"))]));
    bench.submit_rows(&b, 2, 1, 20, (Some(&body(20)), &[("k", Some(b"other"))]));
    bench.submit_rows(&a, 1, 2, 11, (None, &[("k", None), ("m", Some(b"2"))]));
    bench.submit_rows(&a, 1, 3, 12, (None, &[("l", None), ("k", Some(b"3"))]));
    assert_eq!(bench.run(), [ok(10), ok(20), ok(11), ok(12)]);
    assert_eq!(bench.stored(1), Some((3, 10)), "the state is that of the first commit");
    assert_eq!(bench.rows(), "1/k=3 1/m=2 2/k=other");
    bench.submit_rows(&a, 1, 4, 13, (None, &[("m", None), ("none", None)]));
    assert_eq!(bench.run(), [ok(13)]);
    assert_eq!(bench.stored(1), Some((4, 10)));
    assert_eq!(bench.rows(), "1/k=3 2/k=other");
    bench.submit(&a, 1, 5, 14);
    assert_eq!(bench.run(), [ok(14)]);
    assert_eq!(bench.stored(1), Some((5, 14)));
}

#[test]
fn a_stale_activation_stores_no_rows() {
    let mut bench = Bench::new();
    let (old, new) = (fence(1), fence(2));
    bench.submit(&old, 1, 1, 10);
    bench.run();
    bench.submit_rows(&new, 1, 2, 20, (None, &[("k", Some(b"new"))]));
    bench.submit_rows(&old, 1, 2, 11, (None, &[("k", Some(b"old")), ("l", Some(b"old"))]));
    bench.submit_rows(&new, 1, 3, 21, (None, &[("m", Some(b"new"))]));
    let fenced = failed(11, "storage.fenced");
    assert_eq!(bench.run(), [ok(20), fenced, ok(21)]);
    assert_eq!(bench.rows(), "1/k=new 1/m=new");
}

#[test]
fn a_row_that_cannot_be_written_fails_its_own_run_and_leaves_nothing_of_it() {
    let mut bench = Bench::new();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON kv WHEN new.key = CAST('no' AS BLOB)
        BEGIN SELECT RAISE(ABORT, 'refused'); END";
    bench.reader.execute_batch(refuse).expect("a trigger");
    let (a, b, c) = (fence(1), fence(2), fence(3));
    bench.submit(&c, 3, 1, 30);
    assert_eq!(bench.run(), [ok(30)]);
    let body = [7; 4];
    bench.submit_rows(&a, 1, 1, 10, (Some(&body), &[("k", Some(b"1"))]));
    bench.submit_rows(&b, 2, 1, 20, (Some(&body), &[("a", Some(b"1")), ("no", Some(b"1"))]));
    bench.submit_rows(&b, 2, 2, 21, (None, &[("z", Some(b"1"))]));
    bench.submit_rows(&c, 3, 2, 31, (Some(&body), &[("a", Some(b"1")), ("no", Some(b"1"))]));
    bench.submit_rows(&a, 1, 2, 11, (None, &[("l", Some(b"1"))]));
    bench.submit(&fence(4), 4, 1, 40);
    let refused = "storage.failed";
    let expected =
        [ok(10), failed(20, refused), failed(21, refused), failed(31, refused), ok(11), ok(40)];
    assert_eq!(bench.run(), expected);
    assert_eq!(bench.rows(), "1/k=1 1/l=1");
    assert_eq!((bench.stored(2), bench.stored(3)), (None, Some((1, 30))));
    assert_eq!(bench.count("objects"), 3, "objects 1, 3 and 4");
}

#[test]
fn large_rows_are_committed_in_several_batches() {
    let mut bench = Bench::new();
    let a = fence(1);
    bench.submit(&a, 1, 1, 1);
    bench.run();
    let large = vec![7; 2 * 1024 * 1024];
    for commit_no in 2..=21 {
        bench.submit_rows(&a, 1, commit_no, 2, (None, &[("k", Some(&large))]));
    }
    while bench.shared_durable() == 1 {
        assert_eq!(bench.writer.step(), Step::Again);
    }
    let first = bench.shared_durable();
    assert!((2..21).contains(&first), "{first} of 21 were taken at once");
    assert_eq!(bench.run().len(), 20);
}
