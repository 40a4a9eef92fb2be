//! A store of many cold objects, made once and used again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use durable::prelude::*;
use tokio::task::JoinSet;

use crate::load::{Samples, nanos_between};

/// Longer than any bench, so that objects leave memory only when a bench says so.
const NEVER_IDLE: Duration = Duration::from_secs(86_400);

/// Callers that fill a store. Many, because all that wait share one sync.
const FILLING_CALLERS: usize = 1_024;

/// Objects in memory while a store is filled: they are not called again, and a million of them
/// would need gigabytes.
const FILLING_RESIDENT_MAX: usize = 8_192;

/// A small object, as most are.
#[derive(Default, DurableState)]
pub(crate) struct Account {
    cents: u64,
    owner: String,
}

#[durable_object(name = "bench.Account")]
impl Account {
    /// Gives the account its first state.
    pub fn open(&mut self, owner: String, cents: u64) {
        self.owner = owner;
        self.cents = cents;
    }

    /// The balance in cents.
    pub fn balance(&self) -> u64 {
        self.cents
    }
}

/// The name of the account `nth`.
pub(crate) fn name(nth: usize) -> String {
    format!("account-{nth:07}")
}

/// The directory in `dir` of a store with `objects` accounts; filled here unless an earlier run did
/// it.
pub(crate) async fn filled(dir: &Path, objects: usize) -> PathBuf {
    let store = dir.join(format!("accounts-{objects}"));
    let mark = dir.join(format!("accounts-{objects}.filled"));
    if mark.exists() {
        return store;
    }
    // A run that was stopped half-way leaves a store that is half full.
    if store.exists() {
        fs::remove_dir_all(&store).expect("an unfinished store can be removed");
    }
    let runtime = start(&store, FILLING_RESIDENT_MAX).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..FILLING_CALLERS {
        let (runtime, next) = (runtime.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= objects {
                    break;
                }
                let account = runtime.get::<Account>(name(nth));
                account
                    .open(format!("owner of {nth}"), nth as u64)
                    .await
                    .expect("an account opens");
            }
        });
    }
    callers.join_all().await;
    runtime.shutdown().await.expect("a store closes");
    fs::write(mark, "").expect("the directory can be written");
    store
}

/// Starts a runtime whose objects stay in memory until `resident_max` others are in use.
pub(crate) async fn start(store: &Path, resident_max: usize) -> Runtime {
    Runtime::builder(store)
        .register::<Account>()
        .idle(NEVER_IDLE)
        .resident_max(resident_max)
        .start()
        .await
        .expect("the store opens")
}

/// Calls each of the accounts once, from `callers` tasks at once, so that each comes into memory.
pub(crate) async fn activate(runtime: &Runtime, accounts: Vec<usize>, callers: usize) -> Samples {
    let accounts = Arc::new(accounts);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (runtime, accounts, next) = (runtime.clone(), Arc::clone(&accounts), Arc::clone(&next));
        tasks.spawn(async move {
            let mut nanos = Vec::new();
            while let Some(&nth) = accounts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let called = Instant::now();
                let balance = runtime.get::<Account>(name(nth)).balance().await;
                nanos.push(nanos_between(called, Instant::now()));
                assert_eq!(balance.expect("an account answers"), nth as u64);
            }
            nanos
        });
    }
    let nanos = tasks.join_all().await.concat();
    Samples::new(nanos, begun.elapsed())
}

/// Takes the accounts out of memory.
pub(crate) async fn evict(runtime: &Runtime, accounts: Vec<usize>) {
    for nth in accounts {
        let id = runtime.get::<Account>(name(nth)).id().expect("the name is short");
        runtime.evict(id).await.expect("an idle object can leave");
    }
}
