//! The promises, one file each, attacked through the public API.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

mod activation;
mod backup;
mod capacity;
mod certainty;
mod damage;
mod damage_sends;
mod deadlines;
mod deletion;
mod drain;
mod durability;
mod endings;
mod evolution;
mod face;
mod failing_classes;
mod family;
mod faults;
mod history;
mod idempotency;
mod ids;
mod interceptors;
mod kinship;
mod kv;
mod lifecycle;
mod listing;
mod lock;
mod metadata;
mod overload;
mod p01_power;
mod p01_survives;
mod p02_all_or_nothing;
mod p03_one_at_a_time;
mod p04_nothing_leaves_early;
mod p05_in_order;
mod p06_alarms;
mod p06_schedules;
mod p07_sends;
mod p08_a_crash_costs_one_call;
mod p09_poison_stays_put;
mod p10_bad_state_is_never_overwritten;
mod p11_bounded;
mod p13_deadlocks;
mod retries;
mod runtime;
mod schedules_by_hand;
mod shedding;
mod spawned_work;
mod sql;
mod sql_kills;
mod sql_migrations;
mod streams;
mod supervision;
mod supervision_events;
mod together;

use durable::prelude::*;

/// A number that can be added to, read, and broken in every way that the promises speak of.
#[derive(Default, DurableState)]
pub struct Counter {
    count: u64,
}

#[durable_object(name = "test.Counter")]
impl Counter {
    /// Adds and gives the new count.
    pub fn add(&mut self, n: u64) -> u64 {
        self.count += n;
        self.count
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes `&mut self` and changes nothing.
    pub fn touch(&mut self) -> u64 {
        self.count
    }

    /// Changes the count and then refuses.
    pub fn add_and_refuse(&mut self, n: u64) -> Result<u64, String> {
        self.count += n;
        Err(format!("refused {n}"))
    }

    /// Changes the count and then panics.
    pub fn add_and_panic(&mut self, n: u64) -> u64 {
        self.count += n;
        panic!("asked to, at {}", self.count)
    }

    /// Panics in a read.
    pub fn read_and_panic(&self) -> u64 {
        panic!("asked to")
    }

    /// Adds, after a pause in the middle of the turn.
    pub async fn add_slowly(&mut self, n: u64, pause_ms: u64) -> u64 {
        let before = self.count;
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        self.count = before + n;
        self.count
    }
}

/// A runtime on the directory of one that was dropped in the middle of its work, which lets go of it a moment later.
pub async fn after_another(builder: impl Fn() -> durable::RuntimeBuilder) -> Runtime {
    loop {
        match builder().start().await {
            Err(error) if error.code() == "storage.locked" => tokio::task::yield_now().await,
            started => return started.unwrap(),
        }
    }
}

/// A runtime with [`Counter`] in `dir`.
pub async fn counters(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Counter>().start().await.expect("the runtime starts")
}

/// How many rows hang on objects in `dir`, over all tables.
pub fn rows_of_objects(dir: &std::path::Path) -> i64 {
    let shard = rusqlite::Connection::open(dir.join("shards/000.db")).expect("it is there");
    let tables = [
        "objects",
        "snapshots",
        "kv",
        "sql_pages",
        "sql_log",
        "history",
        "alarms",
        "schedules",
        "dead_letters",
        "quarantines",
        "kin",
    ];
    let count = |table| {
        let count = format!("SELECT count(*) FROM {table}");
        shard.query_row(&count, [], |row| row.get::<_, i64>(0)).expect("counted")
    };
    tables.into_iter().map(count).sum()
}
