//! Workers that crash, and jobs that are all done: `worker_pool DIR JOBS`, again and again, also after `kill -9`.
//!
//! The jobs are in an object, so that no crash loses one. Everything else is started again: a worker alone, the workers and
//! what is behind them when they crash too often, everything when the queue's class is restarted.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod queue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use durable::prelude::*;
use durable::{AutoShutdown, Child, Restart, RuntimeBuilder, Supervisor, objects, task};

use queue::Queue;

const WORKERS: [&str; 3] = ["ann", "ben", "cid"];
const PAUSE: Duration = Duration::from_millis(20);

/// Puts the jobs into the queue; what is behind it in the tree starts when they are there.
fn source(jobs: u64) -> Child {
    let fill = task("source", move |cx| async move {
        cx.get::<Queue>("jobs").fill(jobs).await?;
        cx.ready();
        Ok::<(), Error>(())
    });
    fill.restart(Restart::Transient).starts_when_ready()
}

/// Takes jobs and does them. It does not care for what may go wrong: its supervisor does.
async fn work(cx: TaskContext) -> Result<(), Error> {
    let (queue, worker) = (cx.get::<Queue>("jobs"), cx.name().to_owned());
    loop {
        match queue.take(worker.clone()).await? {
            Some(job) => {
                assert!(job.number % 7 != 0 || job.attempt > 1, "job {} is hard", job.number);
                queue.finish(worker.clone(), steps_to_one(job.number)).await?;
            }
            None => cx.sleep(PAUSE).await,
        }
    }
}

/// How many steps it takes to halve `n`, or take it three times and add one, until it is one.
fn steps_to_one(mut n: u64) -> u64 {
    let mut steps = 0;
    while n > 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

/// Waits until all jobs are done, and says so. With it the tree ends.
async fn report(cx: TaskContext) -> Result<(), Error> {
    loop {
        let progress = cx.get::<Queue>("jobs").progress().await?;
        if progress.open == 0 {
            println!("{} jobs done, sum {}", progress.done, progress.sum);
            return Ok(());
        }
        cx.sleep(PAUSE).await;
    }
}

/// What runs, here and in simulated worlds.
fn pool(jobs: u64) -> Supervisor {
    let workers = Supervisor::one_for_one("workers").intensity(20, Duration::from_secs(1));
    let workers =
        WORKERS.into_iter().fold(workers, |workers, name| workers.child(task(name, work)));
    Supervisor::one_for_all("pool")
        .intensity(3, Duration::from_secs(10))
        .child(objects::<Queue>())
        .child(Supervisor::rest_for_one("line").child(source(jobs)).child(workers))
}

/// The program's own tree: it ends when the clerk has.
fn with_clerk(builder: RuntimeBuilder, jobs: u64) -> RuntimeBuilder {
    let clerk = task("clerk", report).restart(Restart::Transient).significant();
    builder.supervise(pool(jobs).auto_shutdown(AutoShutdown::AnySignificant).child(clerk))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| "pool-data".to_owned());
    let jobs = arguments.next().and_then(|jobs| jobs.parse().ok()).unwrap_or(100);
    let runtime = with_clerk(Runtime::builder(dir), jobs).start().await?;
    if let Some(tree) = runtime.tree() {
        println!("{tree}");
    }
    runtime.ended().await
}
