//! The baseline that a user would write by hand: a message is a row of an outbox, stored with the change of its
//! sender, and a second transaction applies it to its target and takes it away. Both are synced.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::load::{Pattern, Samples, nanos_between, on_threads};

/// One SQLite file, one connection behind a mutex.
#[derive(Debug)]
pub(crate) struct TwoTransactions {
    connection: Mutex<Connection>,
}

/// How long each half of the callers' messages took.
pub(crate) struct Halves {
    /// From the beginning of the first transaction to the end of the second.
    pub(crate) whole: Samples,
    /// The second transaction.
    pub(crate) second: Samples,
}

impl TwoTransactions {
    /// Opens a new store in `dir`, with so many senders and as many targets.
    pub(crate) fn open(dir: &Path, pairs: usize) -> Self {
        let connection =
            Connection::open(dir.join("by-hand.db")).expect("the directory can be written");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE objects (name TEXT NOT NULL UNIQUE, count INTEGER NOT NULL) STRICT;
                 CREATE TABLE outbox (number INTEGER PRIMARY KEY, target TEXT NOT NULL, body BLOB NOT NULL) STRICT;",
            )
            .expect("a new file takes the schema");
        {
            let mut insert = connection
                .prepare("INSERT INTO objects (name, count) VALUES (?1, 0)")
                .expect("the table exists");
            let names = (0..pairs).flat_map(|pair| [source(pair), target(pair)]);
            let all = connection.unchecked_transaction().expect("nobody else writes");
            for name in names {
                insert.execute([name]).expect("the row is new");
            }
            all.commit().expect("the disk takes the commit");
        }
        TwoTransactions { connection: Mutex::new(connection) }
    }

    /// One transaction, synced.
    fn commit<T>(&self, change: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .expect("nobody else writes");
        let done = change(&transaction).expect("the rows can be written");
        transaction.commit().expect("the disk takes the commit");
        done
    }

    /// The sender changes, and its message is in the outbox. Returns the message's number.
    fn send(&self, pair: usize) -> i64 {
        self.commit(|connection| {
            count_up(connection, &source(pair))?;
            connection
                .prepare_cached("INSERT INTO outbox (target, body) VALUES (?1, ?2)")?
                .execute((target(pair), [7_u8; 16]))?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// The target changes, and the message is gone.
    fn deliver(&self, number: i64) {
        self.commit(|connection| {
            let whom: String = connection
                .prepare_cached("SELECT target FROM outbox WHERE number = ?1")?
                .query_row([number], |row| row.get(0))?;
            count_up(connection, &whom)?;
            let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE number = ?1")?;
            delete.execute([number])
        });
    }

    /// Lets threads send for `time`; each delivers what it has sent.
    pub(crate) fn drive(&self, pattern: Pattern, time: Duration) -> Halves {
        let (nanos, elapsed) = on_threads(pattern, |caller| self.send_for(time, pattern, caller));
        let (whole, second): (Vec<_>, Vec<_>) = nanos.into_iter().unzip();
        Halves {
            whole: Samples::new(whole.concat(), elapsed),
            second: Samples::new(second.concat(), elapsed),
        }
    }

    fn send_for(&self, time: Duration, pattern: Pattern, caller: usize) -> (Vec<u32>, Vec<u32>) {
        let begun = Instant::now();
        let (mut whole, mut second) = (Vec::new(), Vec::new());
        let mut now = begun;
        for nth in 0.. {
            let number = self.send(pattern.target(caller, nth));
            let sent = Instant::now();
            self.deliver(number);
            let done = Instant::now();
            whole.push(nanos_between(now, done));
            second.push(nanos_between(sent, done));
            now = done;
            if now - begun >= time {
                break;
            }
        }
        (whole, second)
    }
}

fn count_up(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
    let sql = "UPDATE objects SET count = count + 1 WHERE name = ?1";
    connection.prepare_cached(sql)?.execute([name])
}

fn source(pair: usize) -> String {
    format!("source-{pair}")
}

fn target(pair: usize) -> String {
    format!("target-{pair}")
}
