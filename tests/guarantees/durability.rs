//! Answers that do not wait for the disk: what they may do, and what they may not.

use std::future::IntoFuture;

use durable::prelude::*;
use tests::WriterGate;

use super::Counter;
use super::p04_nothing_leaves_early::is_held;

/// A counter whose last steps may be lost.
#[derive(Default, DurableState)]
pub struct Odometer {
    steps: u64,
}

#[durable_object(name = "test.Odometer", durability = "relaxed")]
impl Odometer {
    pub fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }
}

async fn gated(dir: &std::path::Path) -> (WriterGate, Runtime) {
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir).register::<Counter>().register::<Odometer>();
    (gate.clone(), builder.host(gate.host()).start().await.unwrap())
}

#[tokio::test]
async fn a_relaxed_answer_does_not_wait_and_a_synced_one_behind_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, runtime) = gated(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    gate.close();
    assert_eq!(counter.add(2).relaxed().await.unwrap(), 2);
    assert_eq!(counter.count().relaxed().await.unwrap(), 2, "it sees what is in memory");
    let refused = counter.add_and_refuse(5).relaxed().await;
    assert!(refused.unwrap_err().rejection().is_some());
    let mut read = counter.count().into_future();
    assert!(is_held(&mut read).await, "a synced read left with an undurable change");
    gate.open();
    assert_eq!(read.await.unwrap(), 2);
}

#[tokio::test]
async fn a_class_can_be_relaxed_and_a_call_of_it_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, runtime) = gated(dir.path()).await;
    let odometer = runtime.get::<Odometer>("car");
    odometer.steps().await.unwrap();
    gate.close();
    assert_eq!(odometer.step().await.unwrap(), 1);
    let mut step = odometer.step().synced().into_future();
    assert!(is_held(&mut step).await);
    gate.open();
    assert_eq!(step.await.unwrap(), 2);
}

#[tokio::test]
async fn relaxed_changes_are_stored_like_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path()).register::<Odometer>();
    let runtime = builder().start().await.unwrap();
    for _ in 0..100 {
        runtime.get::<Odometer>("car").step().await.unwrap();
    }
    runtime.shutdown().await.unwrap();
    let runtime = builder().start().await.unwrap();
    assert_eq!(runtime.get::<Odometer>("car").steps().await.unwrap(), 100);
}

#[durable_testing::test(runtime = odometers, seeds = 40)]
async fn a_crash_loses_the_last_relaxed_changes_and_none_before_them(
    sim: durable_testing::Sim,
) -> durable_testing::TestResult {
    let odometer = sim.get::<Odometer>("car");
    for _ in 0..20 {
        odometer.step().await?;
    }
    let synced = odometer.step().synced().await?;
    for _ in 0..5 {
        odometer.step().await?;
    }
    sim.power_cut().await;
    let steps = odometer.steps().await?;
    assert!((synced..=synced + 5).contains(&steps), "{steps} of {synced} and up to 5 more");
    sim.sometimes("something was lost", move |_| steps < synced + 5);
    sim.check_history(&[odometer])
}

fn odometers(builder: durable::RuntimeBuilder) -> durable::RuntimeBuilder {
    builder.register::<Odometer>()
}
