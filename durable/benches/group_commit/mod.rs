//! The baseline that a user would write by hand who knows that a sync is what costs: one thread with one connection takes all
//! changes that wait, and stores them in one transaction.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

/// Changes that wait, at most. As many as there are callers, and more.
const WAITING_MAX: usize = 1_024;

/// The way to the thread.
#[derive(Clone, Debug)]
pub(crate) struct GroupCommit {
    changes: SyncSender<Change>,
}

/// One is to be added to a row, whose new count is awaited.
type Change = (String, oneshot::Sender<u64>);

impl GroupCommit {
    /// Opens a new store in `dir`, and starts its thread, which ends with the last of these.
    pub(crate) fn open(dir: &Path) -> Self {
        let connection = Connection::open(dir.join("group-commit.db"));
        let connection = connection.expect("the directory can be written");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE counters (name TEXT NOT NULL UNIQUE, count INTEGER NOT NULL) STRICT;",
            )
            .expect("a new file takes the schema");
        let (changes, received) = sync_channel(WAITING_MAX);
        thread::spawn(move || commit_all(&connection, &received));
        GroupCommit { changes }
    }

    /// Adds one to a row, and gives what it is then, once that is on the disk.
    pub(crate) async fn add(&self, name: String) -> u64 {
        let (answer, answered) = oneshot::channel();
        self.changes.send((name, answer)).expect("the thread runs");
        answered.await.expect("the thread answers")
    }
}

fn commit_all(connection: &Connection, changes: &Receiver<Change>) {
    while let Ok(first) = changes.recv() {
        let group = connection.unchecked_transaction().expect("nobody else writes");
        let mut add = connection
            .prepare_cached(
                "INSERT INTO counters (name, count) VALUES (?1, 1)
                 ON CONFLICT (name) DO UPDATE SET count = count + 1 RETURNING count",
            )
            .expect("the table exists");
        let mut answers = Vec::new();
        for (name, answer) in std::iter::once(first).chain(changes.try_iter()) {
            let count: i64 =
                add.query_row([name], |row| row.get(0)).expect("the row can be written");
            answers.push((answer, count.unsigned_abs()));
        }
        group.commit().expect("the disk takes the commit");
        for (answer, count) in answers {
            // Whoever has asked may be gone.
            let _ = answer.send(count);
        }
    }
}
