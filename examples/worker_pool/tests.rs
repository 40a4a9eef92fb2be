//! Workers that crash, in worlds that do.

use std::time::Duration;

use durable::RuntimeBuilder;
use durable_testing::prelude::*;

use super::queue::{Progress, Queue};
use super::{pool, steps_to_one};

const JOBS: u64 = 30;

fn service(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.supervise(pool(JOBS))
}

/// Waits until nothing is left to do.
async fn all_done(sim: &Sim) -> TestResult<Progress> {
    loop {
        sim.advance(Duration::from_millis(50)).await;
        let progress = sim.get::<Queue>("jobs").progress().await?;
        if progress.open == 0 && progress.done > 0 {
            return Ok(progress);
        }
    }
}

fn assert_all_done(progress: &Progress) {
    assert_eq!(progress.done, JOBS);
    assert_eq!(progress.sum, (1..=JOBS).map(steps_to_one).sum::<u64>());
}

#[durable_testing::test(runtime = service, seeds = 30)]
async fn every_job_is_done_although_each_seventh_crashes_its_worker(sim: Sim) -> TestResult {
    let progress = all_done(&sim).await?;
    assert_all_done(&progress);
    assert_eq!(progress.crashes, JOBS / 7);
    Ok(())
}

#[durable_testing::test(runtime = service, seeds = 50)]
async fn every_job_is_done_whatever_else_crashes(sim: Sim) -> TestResult {
    sim.faults(Faults::all());
    sim.clients(1, async |client| {
        for _ in 0..10 {
            client.sleep(Duration::from_millis(client.int(1..40))).await;
        }
    })
    .await;
    sim.heal().await?;
    assert_all_done(&all_done(&sim).await?);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}
