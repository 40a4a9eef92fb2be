mod sweep;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use durable::host::Disk;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::disk::{Crash, Fault, FaultKind, SimDisk, seed_sqlite};

const DB: &str = "/data/000.db";

fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/data")).expect("a directory");
    disk
}

fn connect(disk: &SimDisk) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let vfs = disk.sqlite_vfs().expect("it has one");
    let connection = Connection::open_with_flags_and_vfs(DB, flags, vfs)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A connection in WAL mode.
fn wal(disk: &SimDisk, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection = connect(disk)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    assert_eq!(mode, "wal");
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "BEGIN; CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY, body BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         INSERT OR IGNORE INTO total VALUES (1, 0); COMMIT",
    )
}

/// One transaction over several pages.
fn commit(connection: &Connection, n: u32) -> rusqlite::Result<()> {
    let all = connection.unchecked_transaction()?;
    let mut insert = all.prepare_cached("INSERT INTO rows VALUES (?1, zeroblob(?2))")?;
    insert.execute((n, 100 + n * 397 % 3_000))?;
    all.prepare_cached("UPDATE total SET n = n + 1")?.execute([])?;
    drop(insert);
    all.commit()
}

/// The commits that are stored, after everything was checked that SQLite can check.
fn stored(connection: &Connection) -> rusqlite::Result<Vec<u32>> {
    let verdict: String =
        connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    assert_eq!(verdict, "ok");
    let has_rows: bool = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'rows'",
        [],
        |row| row.get(0),
    )?;
    if !has_rows {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare("SELECT n FROM rows ORDER BY n")?;
    let rows: Vec<u32> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let total: u32 = connection.query_row("SELECT n FROM total", [], |row| row.get(0))?;
    assert_eq!(rows_len(total), rows.len(), "a transaction is stored whole");
    Ok(rows)
}

fn rows_len(count: u32) -> usize {
    usize::try_from(count).expect("few")
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(bool, i64, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}

fn code(failed: rusqlite::Result<()>) -> i32 {
    let Err(rusqlite::Error::SqliteFailure(cause, _)) = failed else { panic!("{failed:?}") };
    cause.extended_code
}

#[test]
fn readers_and_a_checkpointer_work_beside_a_writer() {
    let disk = new_disk(1);
    let writer = wal(&disk, "FULL").expect("open");
    create(&writer).expect("created");
    let reader = wal(&disk, "FULL").expect("open");
    let checkpointer = wal(&disk, "FULL").expect("open");
    commit(&writer, 1).expect("stored");
    reader.execute_batch("BEGIN").expect("begun");
    assert_eq!(stored(&reader).expect("read"), [1]);
    commit(&writer, 2).expect("stored");
    assert_eq!(stored(&reader).expect("read"), [1], "a reader keeps its snapshot");
    let (busy, pages, copied) = checkpoint(&checkpointer, "PASSIVE").expect("run");
    assert!(!busy && copied < pages, "the reader keeps {pages} pages from being copied");
    let refused = writer.execute_batch("BEGIN IMMEDIATE").and_then(|()| commit_beside(&disk));
    assert_eq!(refused.expect_err("locked").sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    writer.execute_batch("ROLLBACK").expect("ended");
    reader.execute_batch("COMMIT").expect("ended");
    assert_eq!(stored(&reader).expect("read"), [1, 2]);
    let (busy, pages, copied) = checkpoint(&checkpointer, "TRUNCATE").expect("run");
    assert_eq!((busy, pages, copied), (false, 0, 0));
    assert_eq!(disk.contents()[Path::new("/data/000.db-wal")].len(), 0);
    commit(&writer, 3).expect("stored");
    assert_eq!(stored(&reader).expect("read"), [1, 2, 3]);
}

/// A second writer, which does not wait.
fn commit_beside(disk: &SimDisk) -> rusqlite::Result<()> {
    let second = wal(disk, "FULL")?;
    second.busy_timeout(std::time::Duration::ZERO)?;
    second.execute_batch("BEGIN IMMEDIATE")
}

#[test]
fn connections_on_several_threads_see_whole_commits() {
    let disk = new_disk(1);
    disk.on_sleep(|_| thread::yield_now());
    let writer = wal(&disk, "FULL").expect("open");
    create(&writer).expect("created");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = wal(&disk, "FULL").expect("open");
                let mut last = 0;
                while !is_done.load(Ordering::Acquire) {
                    reader.execute_batch("BEGIN").expect("begun");
                    let rows = stored(&reader).expect("read").len();
                    reader.execute_batch("COMMIT").expect("ended");
                    assert!(rows >= last, "time goes forward");
                    last = rows;
                }
            });
        }
        scope.spawn(|| {
            let checkpointer = wal(&disk, "FULL").expect("open");
            while !is_done.load(Ordering::Acquire) {
                checkpoint(&checkpointer, "PASSIVE").expect("run");
            }
        });
        (1..=200).for_each(|n| commit(&writer, n).expect("stored"));
        is_done.store(true, Ordering::Release);
    });
    assert_eq!(stored(&writer).expect("read").len(), 200);
}

#[test]
fn a_full_disk_fails_the_commit_and_nothing_else() {
    let mut failed_commits = 0;
    for write in 1..120 {
        let disk = new_disk(write);
        let writer = wal(&disk, "FULL").expect("open");
        create(&writer).expect("created");
        disk.arm(Fault::new(FaultKind::NoSpace).at(write));
        let mut acknowledged = Vec::new();
        for n in 1..=12 {
            match commit(&writer, n) {
                Ok(()) => acknowledged.push(n),
                Err(error) => {
                    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DiskFull));
                    failed_commits += 1;
                    if !writer.is_autocommit() {
                        writer.execute_batch("ROLLBACK").expect("rolled back");
                    }
                }
            }
            if n % 5 == 0 {
                // A checkpoint that finds no space leaves the log as it is.
                let _ = checkpoint(&writer, "PASSIVE");
            }
        }
        assert_eq!(stored(&writer).expect("read"), acknowledged);
        disk.crash(Crash::PowerDropAll, &mut || 0);
        let disk = disk.revive();
        assert_eq!(stored(&wal(&disk, "FULL").expect("open")).expect("read"), acknowledged);
    }
    assert!(failed_commits > 50, "{failed_commits}");
}

#[test]
fn errors_have_the_codes_that_a_real_disk_gives() {
    let disk = new_disk(1);
    let writer = wal(&disk, "FULL").expect("open");
    create(&writer).expect("created");
    commit(&writer, 1).expect("stored");
    disk.arm(Fault::new(FaultKind::WriteError));
    assert_eq!(code(commit(&writer, 2)), ffi::SQLITE_IOERR_WRITE);
    disk.arm(Fault::new(FaultKind::SyncError));
    assert_eq!(code(commit(&writer, 2)), ffi::SQLITE_IOERR_FSYNC);
    disk.arm(Fault::new(FaultKind::ReadError));
    let reader = wal(&disk, "FULL");
    assert!(matches!(reader, Err(rusqlite::Error::SqliteFailure(_, _))), "its first read fails");
    let reader = wal(&disk, "FULL").expect("once only");
    disk.arm(Fault::new(FaultKind::ShortRead).on(|path| path.ends_with("000.db-wal")));
    let short = reader.query_row("SELECT n FROM total", [], |row| row.get::<_, i64>(0));
    assert!(short.is_err(), "half of a page in the log: {short:?}");
    assert_eq!(stored(&reader).expect("once only"), [1]);
    let fired: Vec<_> = disk.take_fired().iter().map(|fired| fired.kind.name()).collect();
    assert_eq!(fired, ["write_error", "sync_error", "read_error", "short_read"]);
}

#[test]
fn connections_of_an_earlier_life_change_nothing() {
    let disk = new_disk(1);
    let old = wal(&disk, "FULL").expect("open");
    create(&old).expect("created");
    commit(&old, 1).expect("stored");
    let idle = connect(&disk).expect("open");
    idle.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).expect("set");
    assert_eq!(stored(&idle).expect("read"), [1]);
    old.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    disk.crash(Crash::Process, &mut || 0);
    let new = disk.revive();
    let writer = wal(&new, "FULL").expect("open");
    commit(&writer, 2).expect("the lock went with its life");
    let before = new.digest();
    assert!(
        old.execute("UPDATE total SET n = 9", [])
            .and(old.execute_batch("COMMIT").map(|()| 0))
            .is_err()
    );
    assert!(commit(&idle, 3).is_err());
    assert!(connect(&disk).and_then(|late| stored(&late)).is_err(), "nor can it open files");
    drop((old, idle));
    assert_eq!(new.digest(), before);
    assert_eq!(stored(&writer).expect("read"), [1, 2]);
}

#[test]
fn a_vfs_ends_with_the_last_handle_and_file_of_its_life() {
    let disk = new_disk(1);
    let name = disk.sqlite_vfs().expect("it has one").to_owned();
    let file = wal(&disk, "FULL").expect("open");
    let memory = Connection::open_with_flags_and_vfs(
        ":memory:",
        OpenFlags::SQLITE_OPEN_READ_WRITE,
        name.as_str(),
    );
    let memory = memory.expect("open");
    disk.wall_ms_by(|| 1_735_689_599_000);
    let now = |connection: &Connection| -> String {
        connection.query_row("SELECT datetime('now')", [], |row| row.get(0)).expect("a time")
    };
    assert_eq!(now(&memory), "2024-12-31 23:59:59");
    drop(disk);
    create(&file).expect("a connection keeps its life");
    drop(file);
    assert_eq!(now(&memory), "1970-01-01 00:00:00", "safe, with nothing behind it");
    let gone = Connection::open_with_flags_and_vfs(DB, OpenFlags::default(), name.as_str());
    assert!(gone.is_err_and(|error| error.to_string().contains("no such vfs")));
}

#[test]
fn a_panic_in_a_callback_is_an_error_and_no_more() {
    let disk = new_disk(1);
    let writer = wal(&disk, "FULL").expect("open");
    create(&writer).expect("created");
    let is_angry = Arc::new(AtomicBool::new(true));
    let shared = is_angry.clone();
    disk.on_sync(move |_| assert!(!shared.load(Ordering::Relaxed), "on purpose"));
    assert_eq!(code(commit(&writer, 1)), ffi::SQLITE_IOERR_FSYNC);
    is_angry.store(false, Ordering::Relaxed);
    commit(&writer, 2).expect("stored");
}

/// A world with faults and two crashes, as a number.
fn world(seed: u64) -> u64 {
    seed_sqlite(seed);
    let mut disk = new_disk(seed);
    let mut random = seed;
    for life in 0..3 {
        disk.die_at_op(disk.ops() + 60 + seed % 7);
        let worked = wal(&disk, "FULL").and_then(|writer| {
            create(&writer)?;
            let done = u32::try_from(stored(&writer)?.len()).expect("few");
            (done + 1..done + 30).try_for_each(|n| commit(&writer, n))
        });
        assert!(worked.is_err(), "life {life} ends early");
        disk.crash(Crash::PowerTorn, &mut || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random
        });
        disk = disk.revive();
    }
    disk.digest()
}

const CHILD: &str = "DURABLE_VFS_TEST_SEED";

/// In processes of its own: SQLite's generator is one for a process, and other tests draw from it.
#[test]
#[allow(clippy::print_stdout)]
fn the_same_seed_gives_the_same_bytes() {
    if let Ok(seed) = std::env::var(CHILD) {
        let seed = seed.parse().expect("a number");
        let digest = world(seed);
        assert_eq!(world(seed), digest, "a second time in one process");
        println!("digest {digest:016x}");
        return;
    }
    let name = concat!(module_path!(), "::the_same_seed_gives_the_same_bytes");
    let (_, name) = name.split_once("::").expect("a crate");
    let run = |seed: &str| {
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, seed);
        let output = child.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_once("digest ").expect("it ran").1[..16].to_owned()
    };
    let first = run("1");
    assert_eq!(run("1"), first);
    assert_ne!(run("2"), first);
}
