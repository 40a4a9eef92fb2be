//! The baseline that a user would write by hand: a SQLite file for each object, each with a
//! connection of its own, `synchronous=FULL`, one transaction for each call.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::load::{Pattern, Samples, nanos_between, on_threads};
use crate::{INSERT, SELECT, TABLE};

/// The hand-written store.
#[derive(Debug)]
pub(crate) struct OwnFiles {
    dir: PathBuf,
    connections: Vec<Mutex<Connection>>,
}

impl OwnFiles {
    /// Opens a new store in `dir` with a file for each object.
    pub(crate) fn open(dir: &Path, objects: usize) -> Self {
        let dir = dir.join("own-files");
        std::fs::create_dir_all(&dir).expect("the directory can be written");
        let make = |object| {
            let connection = connect(&dir, object);
            connection.execute_batch(TABLE).expect("a new file takes the schema");
            insert(&connection);
            Mutex::new(connection)
        };
        let connections = (0..objects).map(make).collect();
        OwnFiles { dir, connections }
    }

    /// Lets threads insert for `time`.
    pub(crate) fn drive(&self, pattern: Pattern, time: Duration) -> Samples {
        let (nanos, elapsed) = on_threads(pattern, |caller| {
            for_a_while(time, |nth| insert(&self.lock(pattern.target(caller, nth))))
        });
        Samples::new(nanos.concat(), elapsed)
    }

    /// Reads of one object, one after another.
    pub(crate) fn select(&self, time: Duration) -> Samples {
        let begun = Instant::now();
        let nanos = for_a_while(time, |_| {
            let _ = select(&self.lock(0));
        });
        Samples::new(nanos, begun.elapsed())
    }

    /// Reads, each of an object whose file is opened for it.
    pub(crate) fn open_and_select(&self, time: Duration) -> Samples {
        let begun = Instant::now();
        let objects = self.connections.len();
        let nanos = for_a_while(time, |nth| {
            // The store's own connection is there as well, so that the close leaves the log alone.
            let _ = select(&connect(&self.dir, nth % objects));
        });
        Samples::new(nanos, begun.elapsed())
    }

    fn lock(&self, object: usize) -> std::sync::MutexGuard<'_, Connection> {
        self.connections[object].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(dir: &Path, object: usize) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = dir.join(format!("{object}.db"));
    let connection = Connection::open_with_flags(file, flags).expect("the file opens");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        .expect("the file takes the settings");
    connection
}

fn insert(connection: &Connection) {
    let mut insert = connection.prepare_cached(INSERT).expect("the table exists");
    insert.execute([crate::WHO]).expect("the disk takes the commit");
}

fn select(connection: &Connection) -> i64 {
    let mut select = connection.prepare_cached(SELECT).expect("the table exists");
    select.query_row([], |row| row.get(0)).expect("the row exists")
}

/// Calls for `time`, and gives what each call took.
pub(crate) fn for_a_while(time: Duration, mut call: impl FnMut(usize)) -> Vec<u32> {
    let begun = Instant::now();
    let (mut nanos, mut now) = (Vec::new(), begun);
    for nth in 0.. {
        call(nth);
        let done = Instant::now();
        nanos.push(nanos_between(now, done));
        now = done;
        if now - begun >= time {
            break;
        }
    }
    nanos
}
