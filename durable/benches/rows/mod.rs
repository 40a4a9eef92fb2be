//! The baseline of a cold activation: an actor of ractor that reads its state by one indexed read
//! as it starts.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinSet;

use crate::load::{Samples, nanos_between};

/// Connections that read; one for each worker of the bench's runtime, so that no read waits for
/// another one.
const READERS: usize = 2;

/// A table of rows with a text key.
#[derive(Debug)]
pub(crate) struct Rows {
    readers: [Mutex<Connection>; READERS],
}

impl Rows {
    /// Opens the table of `objects` rows in `dir`; filled here unless an earlier run did it.
    pub(crate) fn open(dir: &Path, objects: usize, name: fn(usize) -> String) -> Self {
        let file = dir.join(format!("rows-{objects}.db"));
        fill(&file, objects, name);
        let reader = |_| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Mutex::new(Connection::open_with_flags(&file, flags).expect("the table opens"))
        };
        Rows { readers: std::array::from_fn(reader) }
    }

    /// The row's number, which is all that a small object holds.
    fn read(&self, name: &str, nth: usize) -> u64 {
        let reader = self.readers[nth % READERS].lock().unwrap_or_else(PoisonError::into_inner);
        let body: Vec<u8> = reader
            .prepare_cached("SELECT body FROM rows WHERE name = ?1")
            .and_then(|mut select| select.query_row([name], |row| row.get(0)))
            .expect("the row exists");
        let (cents, _owner): (u64, String) = postcard::from_bytes(&body).expect("filled here");
        cents
    }

    /// Spawns an actor for each of the names, from `callers` tasks at once; stops them all at the
    /// end.
    pub(crate) async fn activate(self: &Arc<Self>, names: Vec<String>, callers: usize) -> Samples {
        let names = Arc::new(names);
        let next = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let (table, names, next) = (Arc::clone(self), Arc::clone(&names), Arc::clone(&next));
            tasks.spawn(async move {
                let (mut nanos, mut actors) = (Vec::new(), Vec::new());
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let called = Instant::now();
                    let start = Start { table: Arc::clone(&table), name: name.clone(), caller };
                    let (actor, _stopped) =
                        Actor::spawn(None, Stored, start).await.expect("an actor starts");
                    nanos.push(nanos_between(called, Instant::now()));
                    actors.push(actor);
                }
                (nanos, actors)
            });
        }
        let (nanos, actors): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().unzip();
        let elapsed = begun.elapsed();
        for actor in actors.iter().flatten() {
            actor.stop(None);
        }
        Samples::new(nanos.concat(), elapsed)
    }
}

/// An actor whose state comes from the table.
struct Stored;

/// What an actor starts from.
struct Start {
    table: Arc<Rows>,
    name: String,
    /// Chooses the connection.
    caller: usize,
}

impl Actor for Stored {
    type Msg = ();
    type State = u64;
    type Arguments = Start;

    async fn pre_start(
        &self,
        _myself: ActorRef<()>,
        start: Start,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(start.table.read(&start.name, start.caller))
    }
}

/// One transaction, so that a table is either filled or absent.
fn fill(file: &Path, objects: usize, name: fn(usize) -> String) {
    let mut connection = Connection::open(file).expect("the directory can be written");
    connection.pragma_update(None, "journal_mode", "WAL").expect("a database has a journal");
    if connection.table_exists(None, "rows").expect("the schema can be read") {
        return;
    }
    let transaction = connection.transaction().expect("nobody else writes");
    transaction
        .execute_batch("CREATE TABLE rows (name TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT")
        .expect("a new file takes the schema");
    let mut insert = transaction
        .prepare("INSERT INTO rows (name, body) VALUES (?1, ?2)")
        .expect("the table exists");
    for nth in 0..objects {
        let body = postcard::to_stdvec(&(nth as u64, format!("owner of {nth}")))
            .expect("a row is plain data");
        insert.execute((name(nth), body)).expect("the row can be written");
    }
    drop(insert);
    transaction.commit().expect("the disk takes the commit");
}
