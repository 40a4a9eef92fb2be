//! What the whole-system tests share: the classes of the simulated workload, a host whose writer can be held, and a
//! look at the stored rows.

pub mod alarms;
pub mod classes;
pub mod dials;
pub mod diary;
pub mod drain;
pub mod feeds;
pub mod keyed;
pub mod kin;
pub mod past;
pub mod poison;
pub mod press;
pub mod releases;
pub mod schedules;
pub mod sends;
pub mod sockets;
pub mod starts;
pub mod streams;
pub mod time;
pub mod together;
pub mod tree;
pub mod waits;
pub mod work;
pub mod workload;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use durable::host::{Host, Lane, LaneWork, Lanes, Step};
use rusqlite::functions::FunctionFlags;

/// Holds the writer lanes of a host: while it is closed nothing becomes durable.
#[derive(Clone, Debug, Default)]
pub struct WriterGate(Arc<(Mutex<Writers>, Condvar)>);

#[derive(Debug, Default)]
struct Writers {
    is_closed: bool,
    /// A writer stands at the closed gate.
    is_reached: bool,
    /// Steps that writers began.
    steps: usize,
}

impl WriterGate {
    /// The operating system's host, with its writers behind this gate.
    pub fn host(&self) -> Host {
        let os = Host::os();
        Host {
            lanes: Arc::new(GatedLanes { gate: self.clone(), lanes: Arc::clone(&os.lanes) }),
            ..os
        }
    }

    /// From now on nothing becomes durable.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Lets the writers go on.
    pub fn open(&self) {
        self.lock().is_closed = false;
        self.0.1.notify_all();
    }

    /// Whether a writer stands at the closed gate.
    pub fn is_reached(&self) -> bool {
        self.lock().is_reached
    }

    /// Steps that writers have taken so far.
    pub fn steps(&self) -> usize {
        self.lock().steps
    }

    fn lock(&self) -> MutexGuard<'_, Writers> {
        self.0.0.lock().expect("no test panics while it holds the gate")
    }

    fn pass(&self) {
        let mut writers = self.lock();
        while writers.is_closed {
            writers.is_reached = true;
            writers = self.0.1.wait(writers).expect("no test panics while it holds the gate");
        }
        writers.is_reached = false;
        writers.steps += 1;
    }
}

struct GatedLanes {
    gate: WriterGate,
    lanes: Arc<dyn Lanes>,
}

impl Lanes for GatedLanes {
    fn start(&self, name: &str, work: Box<dyn LaneWork>) -> io::Result<Arc<dyn Lane>> {
        let is_writer = name.contains("write");
        let work: Box<dyn LaneWork> =
            if is_writer { Box::new(GatedWork { gate: self.gate.clone(), work }) } else { work };
        self.lanes.start(name, work)
    }
}

struct GatedWork {
    gate: WriterGate,
    work: Box<dyn LaneWork>,
}

impl LaneWork for GatedWork {
    fn step(&mut self) -> Step {
        self.gate.pass();
        self.work.step()
    }
}

/// The first shard's database of a data directory, for tests that look at rows or damage them. Its SQL knows
/// `flipped(blob, byte)`: the same blob with every bit of that byte turned over, so that it is another one whatever it was.
pub fn first_shard(dir: &Path) -> rusqlite::Connection {
    let path: PathBuf = dir.join("shards").join("000.db");
    let shard = rusqlite::Connection::open(path).expect("the shard exists");
    shard
        .create_scalar_function("flipped", 2, FunctionFlags::SQLITE_DETERMINISTIC, |given| {
            let mut blob: Vec<u8> = given.get(0)?;
            let byte: u32 = given.get(1)?;
            blob[byte as usize] ^= 0xff;
            Ok(blob)
        })
        .expect("the name is free");
    shard
}

/// Every row of these tables of the first shard, each as its table and what is in these columns, with commas between them.
pub fn rows_of(dir: &Path, tables: &[(&str, &str)]) -> Vec<String> {
    let shard = first_shard(dir);
    let mut all = Vec::new();
    for (table, columns) in tables {
        let quoted: Vec<_> = columns.split(", ").map(|column| format!("quote({column})")).collect();
        let sql = format!("SELECT {} FROM {table}", quoted.join(" || ' ' || "));
        let mut select = shard.prepare(&sql).expect("there are such columns");
        let found = select.query_map([], |row| row.get::<_, String>(0)).expect("it is read");
        all.extend(found.map(|row| format!("{table} {}", row.expect("it is text"))));
    }
    all
}

/// How many objects are stored.
pub fn stored_objects(dir: &Path) -> i64 {
    first_shard(dir)
        .query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0))
        .expect("the snapshots can be counted")
}
