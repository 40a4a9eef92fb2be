//! The baseline that a user would write by hand: one SQLite file, one connection behind a mutex,
//! one durable transaction for each call; and the least that a durable call can cost, one row
//! written and synced.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};

use crate::load::{Pattern, Samples, nanos_between, on_threads};

/// What a row holds; the same fields as the measured object's state.
#[derive(Serialize, Deserialize)]
struct Account {
    version: u64,
    note: String,
}

/// The hand-written store.
#[derive(Debug)]
pub(crate) struct Handwritten {
    connection: Mutex<Connection>,
}

impl Handwritten {
    /// Opens a new store in `dir` with `objects` rows, whose notes have `note_bytes` bytes.
    pub(crate) fn open(dir: &Path, objects: usize, note_bytes: usize) -> Self {
        let connection = connect(&dir.join("handwritten.db"));
        for object in 0..objects {
            let account = Account { version: 0, note: "n".repeat(note_bytes) };
            put(&connection, object, &account);
        }
        Handwritten { connection: Mutex::new(connection) }
    }

    /// One call: reads the row, changes it, writes it, commits.
    pub(crate) fn bump(&self, object: usize) -> u64 {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .expect("nobody else writes");
        let mut account: Account = transaction
            .prepare_cached("SELECT body FROM accounts WHERE name = ?1")
            .and_then(|mut select| select.query_row([name(object)], |row| row.get(0)))
            .map(|body: Vec<u8>| postcard::from_bytes(&body).expect("the row was written here"))
            .expect("the row exists");
        account.version += 1;
        put(&transaction, object, &account);
        transaction.commit().expect("the disk takes the commit");
        account.version
    }

    /// Writes one row again and again for `time`, one synced commit each, and nothing else.
    pub(crate) fn raw_commits(&self, time: Duration) -> Samples {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body: Vec<u8> = connection
            .query_row("SELECT body FROM accounts WHERE rowid = 1", [], |row| row.get(0))
            .expect("the row exists");
        let mut update = connection
            .prepare("UPDATE accounts SET body = ?1 WHERE rowid = 1")
            .expect("the table exists");
        let begun = Instant::now();
        let (mut nanos, mut now) = (Vec::new(), begun);
        while now - begun < time {
            // A row that is written as it was would not be written at all. Only the note changes,
            // so it stays a row.
            let last = body.last_mut().expect("a note is not empty");
            *last = if *last == b'n' { b'm' } else { b'n' };
            update.execute([&body]).expect("the disk takes the commit");
            let done = Instant::now();
            nanos.push(nanos_between(now, done));
            now = done;
        }
        Samples::new(nanos, begun.elapsed())
    }

    /// Lets threads call for `time`.
    pub(crate) fn drive(&self, pattern: Pattern, time: Duration) -> Samples {
        let (nanos, elapsed) = on_threads(pattern, |caller| self.call_for(time, pattern, caller));
        Samples::new(nanos.concat(), elapsed)
    }

    fn call_for(&self, time: Duration, pattern: Pattern, caller: usize) -> Vec<u32> {
        let begun = Instant::now();
        let (mut nanos, mut now) = (Vec::new(), begun);
        for nth in 0.. {
            self.bump(pattern.target(caller, nth));
            let done = Instant::now();
            nanos.push(nanos_between(now, done));
            now = done;
            if now - begun >= time {
                break;
            }
        }
        nanos
    }
}

/// A connection as the documentation of SQLite advises for durable commits that are quick.
fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("the directory can be written");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE accounts (name TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;",
        )
        .expect("a new file takes the schema");
    connection
}

fn put(connection: &Connection, object: usize, account: &Account) {
    let body = postcard::to_stdvec(account).expect("an account is plain data");
    connection
        .prepare_cached(
            "INSERT INTO accounts (name, body) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET body = excluded.body",
        )
        .and_then(|mut upsert| upsert.execute((name(object), body)))
        .expect("the row can be written");
}

fn name(object: usize) -> String {
    format!("account-{object}")
}
