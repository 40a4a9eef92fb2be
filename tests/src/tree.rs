//! A tree in the simulated workload: class groups beside tasks that crash, hang and start slowly, as the seed draws it.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::prelude::*;
use durable::{
    AutoShutdown, Backoff, Child, Restart, RuntimeBuilder, Shutdown, Supervisor, objects, task,
};
use durable_testing::prelude::*;

use crate::classes::{Account, Register, Shelf, Slow, bank};

/// How a run of a task goes.
#[derive(Clone, Copy, Debug)]
enum Course {
    Ends,
    Fails,
    Panics,
    /// Goes on for long, and ends soon when it is to stop.
    Stays,
    /// Goes on for ever, listening, and does not stop.
    Hangs,
}

fn pick(cx: &TaskContext, below: u64) -> u64 {
    cx.random() % below
}

/// One run. Its times are multiples of half a second, so that restarts come to stand on the edge of a period.
async fn flaky(cx: TaskContext, is_slow: bool, is_first: bool) -> Result<(), String> {
    use Course::{Ends, Fails, Hangs, Panics, Stays};
    let courses = [Ends, Fails, Fails, Panics, Stays, Stays, Stays, Hangs];
    let course = courses[usize::try_from(pick(&cx, 8)).expect("small")];
    if is_slow {
        cx.sleep(Duration::from_millis(500 * pick(&cx, 3))).await;
        if pick(&cx, 6) == 0 && !is_first {
            return Err("it does not start".into());
        }
        cx.ready();
    }
    let time = Duration::from_millis(500 * pick(&cx, 5));
    match course {
        Ends => cx.sleep(time).await,
        Fails => {
            cx.until_stopping(cx.sleep(time)).await;
            return Err("it fails".into());
        }
        Panics => {
            cx.sleep(time).await;
            panic!("it panics");
        }
        Stays => {
            let account = cx.get::<Account>("ada");
            while cx.until_stopping(cx.sleep(Duration::from_secs(10))).await.is_some() {
                drop(account.balance().await);
            }
            cx.sleep(Duration::from_millis(500 * pick(&cx, 12))).await;
        }
        Hangs => {
            drop(cx.stopping());
            pending().await
        }
    }
    Ok(())
}

fn task_of(name: &str) -> Child {
    task(name, |cx| flaky(cx, false, false)).shutdown(Duration::from_secs(2))
}

fn slow_task(name: &str) -> Child {
    let runs = AtomicUsize::new(0);
    // In its first run it starts: otherwise the node would not.
    task(name, move |cx| flaky(cx, true, runs.fetch_add(1, Ordering::SeqCst) == 0))
        .starts_when_ready()
}

/// A supervisor of each strategy below one that hardly ever gives up.
pub fn tree() -> Supervisor {
    let second = Duration::from_secs(1);
    let shelves = Supervisor::one_for_all("shelves")
        .intensity(2, 2 * second)
        .child(task_of("dust"))
        .child(objects::<Shelf>())
        .child(task_of("count").restart(Restart::Transient))
        .child(task_of("once").restart(Restart::Temporary).shutdown(Shutdown::Kill));
    let feeds = Supervisor::rest_for_one("feeds")
        .intensity(3, 2 * second)
        .child(slow_task("rates"))
        .child(objects::<Slow>())
        .child(task_of("orders").backoff(Backoff::new(second / 4, second)))
        .child(task_of("mail"));
    let jobs = Supervisor::one_for_one("jobs")
        .intensity(1, second)
        .auto_shutdown(AutoShutdown::AllSignificant)
        .child(task_of("one").restart(Restart::Transient).significant())
        .child(task_of("other").restart(Restart::Temporary).significant())
        .child(task_of("third"))
        .shutdown(3 * second);
    let wait = Backoff::new(second / 2, second / 2).jitter_percent(0);
    Supervisor::one_for_one("top")
        .intensity(10_000, second)
        .child(objects::<Register>())
        .child(Child::from(shelves).backoff(wait))
        .child(Child::from(feeds).backoff(wait))
        .child(Child::from(jobs).backoff(wait))
}

/// The classes of the workload, some of them in the tree.
pub fn supervised(builder: RuntimeBuilder) -> RuntimeBuilder {
    bank(builder).supervise(tree())
}

/// Clients call objects that come and go, while the tree does what it has to.
pub async fn work_in_a_tree(sim: Sim, faults: Faults) -> TestResult {
    let accounts: Vec<_> = ["ada", "bob"].map(|name| sim.get::<Account>(name)).into();
    let shelves: Vec<_> = ["s", "t"].map(|name| sim.get::<Shelf>(name)).into();
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..12 {
            let number = client.int(0..12);
            drop(client.pick(&accounts).deposit(number).await);
            let shelf = client.pick(&shelves);
            drop(shelf.put(format!("{number:03}"), number).await);
            drop(shelf.take(format!("{number:03}")).await);
            client.sleep(Duration::from_millis(500 * client.int(0..4))).await;
        }
    })
    .await;
    sim.heal().await?;
    sim.restart().await;
    accounts[0].deposit(1).await?;
    sim.check_history(&accounts)?;
    sim.check_history(&shelves)?;
    for (name, word) in [
        ("a supervisor gave up", "gives up"),
        ("a restart waited", "is restarted in 5"),
        ("a task was killed", "is killed"),
        ("a task did not start", "does not start"),
        ("a supervisor ended with its children", "ends because"),
        ("a class was stopped", "sim.Shelf has stopped"),
    ] {
        sim.sometimes(name, |trace| trace.happened().any(|told| told.text().contains(word)));
    }
    Ok(())
}
