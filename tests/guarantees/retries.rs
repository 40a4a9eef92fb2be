//! An object that cannot be read at once is tried again, while those who wait for it stay where they are: nobody hears of a
//! disk that has failed for a moment, nobody waits for long, and nothing runs twice.

use std::path::Path;
use std::sync::Arc;

use durable::host::Host;
use durable::limits::START_TRIES_MAX;
use durable::prelude::*;
use durable::{ErrorKind, Outcome};
use durable_testing::disk::{Fault, FaultKind, SimDisk};
use durable_testing::prelude::*;
use futures_util::future::{join, join_all};
use tests::starts::{Sleeper, SleeperStub, beds};

use super::Counter;
use tests::time::ms;

fn on_every_seed<F: Future<Output = TestResult>>(test: impl Fn(Sim) -> F) {
    Simulation::new().seeds(10).check(beds, test);
}

fn failure<T: std::fmt::Debug>(answer: Result<T, CallError<Error>>) -> Error {
    match answer.expect_err("it fails") {
        CallError::Rejected(error) | CallError::Failed(error) => error,
    }
}

/// One that has counted once, and is cold; what readers remember of it is no longer what is stored.
async fn cold(sim: &Sim) -> TestResult<SleeperStub> {
    let sleeper = sim.get::<Sleeper>("a");
    assert_eq!(sleeper.count().await.ok(), Some(1));
    sim.evict(&sleeper).await?;
    for other in ["b", "c", "d"] {
        assert!(sim.get::<Sleeper>(other).count().await.is_ok());
    }
    Ok(sleeper)
}

#[test]
fn reads_that_fail_for_a_moment_are_not_seen_and_nothing_runs_twice() {
    on_every_seed(async |sim: Sim| {
        for times in 1..u64::from(START_TRIES_MAX) {
            let sleeper = cold(&sim).await?;
            let began = sim.now();
            sim.fail_reads(times)?;
            assert_eq!(sleeper.count().await.ok(), Some(2), "{times} reads have failed");
            assert!(sim.now() - began >= ms(10), "it was tried again");
            assert_eq!(sleeper.turns().await?, (2, 2));
            for name in ["a", "b", "c", "d"] {
                sim.delete(&sim.get::<Sleeper>(name)).await?;
            }
        }
        sim.sometimes("it was tried four times", |trace| trace.count("start.failed") >= 10);
        Ok(())
    });
}

#[test]
fn a_disk_that_goes_on_failing_is_told_of_with_the_number_of_tries() {
    on_every_seed(async |sim: Sim| {
        let sleeper = cold(&sim).await?;
        let began = sim.now();
        sim.fail_reads(u64::MAX)?;
        let error = failure(sleeper.count().await);
        assert_eq!((error.code(), error.kind()), ("storage.failed", ErrorKind::Backoff));
        assert_eq!(
            (error.object(), error.outcome()),
            (Some("starts.Sleeper(a)"), Outcome::NotStarted)
        );
        let tries = format!("the object was tried {START_TRIES_MAX} times: ");
        assert!(error.message().starts_with(&tries), "{error}");
        let took = sim.now() - began;
        assert!(took >= ms(150) && took < ms(250), "{took:?}");
        sim.heal().await?;
        assert_eq!(sim.quarantined().await?, [], "it is not the object's fault");
        assert_eq!(sleeper.count().await.ok(), Some(2));
        Ok(())
    });
}

#[test]
fn a_call_has_the_time_that_it_has() {
    on_every_seed(async |sim: Sim| {
        let sleeper = cold(&sim).await?;
        let began = sim.now();
        sim.fail_reads(3)?;
        let (hasty, patient) =
            join(sleeper.count().timeout(ms(40)).into_future(), sleeper.count().into_future())
                .await;
        let error = failure(hasty);
        assert_eq!((error.code(), error.outcome()), ("call.expired", Outcome::NotStarted));
        assert_eq!(patient.ok(), Some(2), "the other one waits, and is the second to run");
        assert!(sim.now() - began >= ms(70), "three tries have failed");
        Ok(())
    });
}

#[test]
fn calls_that_wait_keep_their_order() {
    on_every_seed(async |sim: Sim| {
        let sleeper = cold(&sim).await?;
        sim.fail_reads(2)?;
        let (early, late) = join(join_all((0..4).map(|_| sleeper.count().into_future())), async {
            sim.advance(ms(5)).await;
            sleeper.count().await
        })
        .await;
        let counts: Vec<_> = early.into_iter().chain([late]).map(Result::ok).collect();
        assert_eq!(counts, [Some(2), Some(3), Some(4), Some(5), Some(6)]);
        Ok(())
    });
}

#[test]
fn an_object_that_rests_leaves_memory_at_once_and_its_calls_are_served() {
    on_every_seed(async |sim: Sim| {
        let sleeper = cold(&sim).await?;
        sim.fail_reads(4)?;
        let (count, waited) = join(sleeper.count().into_future(), async {
            // The fourth try is 40 to 50 ms after the third.
            sim.advance(ms(45)).await;
            let began = sim.now();
            sim.evict(&sleeper).await.map(|_| sim.now() - began)
        })
        .await;
        assert!(waited? < ms(5), "nobody waits for its rest");
        assert_eq!(count.ok(), Some(2), "and it is tried as often as before");
        Ok(())
    });
}

#[tokio::test]
async fn a_shutdown_waits_for_the_tries_and_not_for_the_rests() {
    let disk = SimDisk::new(5);
    let start = async || {
        let host = Host { disk: Arc::new(disk.clone()), ..Host::os() };
        Runtime::builder("/data").register::<Counter>().host(host).start().await.unwrap()
    };
    let runtime = start().await;
    runtime.get::<Counter>("c").add(1).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let runtime = start().await;
    let read = Fault::new(FaultKind::ReadError).lasting();
    disk.arm(read.on(|path: &Path| path.ends_with("000.db")));
    let call = tokio::spawn(runtime.get::<Counter>("c").count().into_future());
    tokio::task::yield_now().await;
    runtime.shutdown().await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("storage.failed", Outcome::NotStarted), "{error}");
    let tries = format!("tried {START_TRIES_MAX} times");
    assert!(error.message().contains(&tries), "{error}");
}
