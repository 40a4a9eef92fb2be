//! P1 under power loss: the whole runtime on a disk that dies at every one of its operations, in several ways.
//!
//! After each death the runtime starts again on what is left, must hold everything that was acknowledged and nothing
//! that was refused, and must hold it still after a second power cut that comes at once.

use std::path::Path;
use std::sync::Arc;

use durable::host::Host;
use durable::prelude::*;
use durable_testing::disk::{Crash, Fault, FaultKind, SimDisk};

use super::{Counter, CounterStub};

const OBJECTS: usize = 3;
const ROUNDS: u64 = 4;

async fn start(disk: &SimDisk) -> Result<Runtime, Error> {
    let host = Host { disk: Arc::new(disk.clone()), ..Host::os() };
    Runtime::builder("/data/bank").register::<Counter>().host(host).start().await
}

fn counter(runtime: &Runtime, index: usize) -> CounterStub {
    runtime.get::<Counter>(format!("c{index}"))
}

/// Adds to a few objects until it is done or the disk dies; gives the counts that were acknowledged.
async fn work(disk: &SimDisk) -> [u64; OBJECTS] {
    let mut acknowledged = [0; OBJECTS];
    let Ok(runtime) = start(disk).await else { return acknowledged };
    for _ in 0..ROUNDS {
        for (index, acknowledged) in acknowledged.iter_mut().enumerate() {
            let counter = counter(&runtime, index);
            let _ = counter.add_and_refuse(1_000_000).await;
            if let Ok(count) = counter.add(1).await {
                *acknowledged = count;
            }
        }
    }
    // The end writes as well: the log is copied and cut off.
    let _ = runtime.shutdown().await;
    acknowledged
}

/// Starts on what is left, compares, and adds once more to each object; gives the counts that are acknowledged then.
async fn check(disk: &SimDisk, acknowledged: &[u64; OBJECTS], what: &str) -> [u64; OBJECTS] {
    let runtime = start(disk).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut counts = [0; OBJECTS];
    for (index, acknowledged) in acknowledged.iter().enumerate() {
        let counter = counter(&runtime, index);
        let count = counter.count().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(
            count >= *acknowledged,
            "{what}: {acknowledged} was acknowledged, {count} is there"
        );
        assert!(count <= ROUNDS + 2, "{what}: a refused change shows in {count}");
        counts[index] = counter.add(1).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    counts
}

/// Numbers that look random and are the same in every run.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[tokio::test]
async fn no_acknowledged_change_is_lost_whenever_the_disk_dies() {
    let whole = SimDisk::new(0);
    assert_eq!(work(&whole).await, [ROUNDS; OBJECTS], "nothing fails on a disk that works");
    let modes = [Crash::Process, Crash::PowerDropAll, Crash::PowerTorn];
    let mut deaths = 0;
    // Lanes are threads here, so that the last operations differ from run to run.
    for op in 1..=whole.ops() {
        for (nth, first) in modes.into_iter().enumerate() {
            let disk = SimDisk::new(op);
            disk.die_at_op(op);
            let acknowledged = work(&disk).await;
            deaths += usize::from(!disk.is_alive());
            disk.crash(first, &mut random(op * 3 + nth as u64));
            let disk = disk.revive();
            let what = format!("death at operation {op}, {first:?}");
            let acknowledged = check(&disk, &acknowledged, &what).await;
            disk.crash(Crash::PowerDropAll, &mut random(op));
            check(&disk.revive(), &acknowledged, &format!("{what}, then a power cut")).await;
        }
    }
    assert!(deaths as u64 > whole.ops(), "the disk died {deaths} times");
}

/// The test above has teeth: a disk that lies about its syncs loses what was acknowledged.
#[tokio::test]
async fn a_disk_that_lies_about_syncs_is_found_out() {
    let disk = SimDisk::new(7);
    disk.arm(
        Fault::new(FaultKind::LyingSync).lasting().on(|path: &Path| path.ends_with("000.db-wal")),
    );
    let runtime = start(&disk).await.unwrap();
    counter(&runtime, 0).add(1).await.unwrap();
    disk.crash(Crash::PowerDropAll, &mut random(7));
    drop(runtime);
    let runtime = start(&disk.revive()).await.unwrap();
    assert_eq!(counter(&runtime, 0).count().await.unwrap(), 0, "the acknowledged change is gone");
}

#[tokio::test]
async fn a_failed_sync_stops_the_shard_and_fails_everybody_who_waits() {
    let disk = SimDisk::new(7);
    let runtime = start(&disk).await.unwrap();
    counter(&runtime, 0).add(1).await.unwrap();
    disk.arm(Fault::new(FaultKind::SyncError).on(|path: &Path| path.ends_with("000.db-wal")));
    let (one, two) = (counter(&runtime, 0), counter(&runtime, 1));
    let (first, second) = tokio::join!(one.add(1), two.add(1));
    let codes = [first, second].map(|answer| answer.unwrap_err().code());
    assert_eq!(codes, ["storage.sync_failed"; 2]);
    // The disk works again; nothing is taken as if it had always worked.
    assert_eq!(counter(&runtime, 0).add(1).await.unwrap_err().code(), "storage.sync_failed");
    drop(runtime);
    let count = counter(&start(&disk).await.unwrap(), 0).count().await.unwrap();
    assert!((1..=2).contains(&count), "{count}");
}

/// After a sync that failed the system takes for synced what is not, and no later sync makes it so.
#[tokio::test]
async fn a_start_after_a_failed_sync_can_be_cut_off_anywhere() {
    let is_log = |path: &Path| path.ends_with("000.db-wal");
    let mut op = 0;
    loop {
        op += 1;
        let disk = SimDisk::new(op);
        let runtime = start(&disk).await.unwrap();
        counter(&runtime, 0).add(1).await.unwrap();
        runtime.shutdown().await.unwrap();
        let runtime = start(&disk).await.unwrap();
        // Both write the page of the states, and only the second those that say who is there.
        let acknowledged = [counter(&runtime, 0).add(1).await.unwrap(), 0, 0];
        disk.arm(Fault::new(FaultKind::SyncError).on(is_log));
        let error = counter(&runtime, 1).add(1).await.unwrap_err();
        assert_eq!(error.code(), "storage.sync_failed");
        disk.crash(Crash::Process, &mut random(op));
        drop(runtime);
        let disk = disk.revive();
        disk.die_at_op(disk.ops() + op);
        let started = start(&disk).await;
        let is_whole = disk.is_alive();
        disk.crash(Crash::PowerDropAll, &mut random(op));
        drop(started);
        let what = format!("death at operation {op} of the start after a failed sync");
        let disk = disk.revive();
        check(&disk, &acknowledged, &what).await;
        if is_whole {
            break;
        }
    }
    assert!(op > 5, "only {op} operations were cut off");
}

#[tokio::test]
async fn a_directory_that_cannot_be_synced_is_not_started_on() {
    let mut refused = 0;
    for fresh in [true, false] {
        for nth in 1.. {
            let disk = SimDisk::new(nth);
            if !fresh {
                start(&disk).await.unwrap().shutdown().await.unwrap();
            }
            disk.arm(Fault::new(FaultKind::DirSyncError).at(nth));
            let started = match start(&disk).await {
                Err(error) => {
                    assert!(error.code().starts_with("storage."), "{error}");
                    refused += 1;
                    // What it has left, another try uses.
                    start(&disk).await
                }
                started => started,
            };
            let runtime = started.unwrap();
            let acknowledged = [counter(&runtime, 0).add(1).await.unwrap(), 0, 0];
            let has_failed = !disk.take_fired().is_empty();
            disk.disarm();
            disk.crash(Crash::PowerDropAll, &mut random(nth));
            drop(runtime);
            check(&disk.revive(), &acknowledged, &format!("directory sync {nth} failed")).await;
            if !has_failed {
                break;
            }
        }
    }
    assert!(
        refused > 1,
        "SQLite does not say that a directory was not synced, so a start must look"
    );
}

#[tokio::test]
async fn a_full_disk_fails_the_call_and_the_object_goes_on_when_there_is_room() {
    let disk = SimDisk::new(7);
    let runtime = start(&disk).await.unwrap();
    counter(&runtime, 0).add(1).await.unwrap();
    disk.arm(Fault::new(FaultKind::NoSpace).on(|path: &Path| path.ends_with("000.db-wal")));
    let error = counter(&runtime, 0).add(1).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("storage.full", durable::Outcome::RolledBack));
    disk.disarm();
    assert_eq!(counter(&runtime, 0).add(1).await.unwrap(), 2);
}
