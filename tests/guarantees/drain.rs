//! A shutdown: no call from outside is taken, turns that run may end, those that do not are cut off and named, and a process
//! that is asked to end does all of that.

use std::future::{IntoFuture, pending};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use durable::prelude::*;
use durable::{CutOff, Outcome, Supervisor, objects, task};
use futures_util::future::{join, join_all};
use futures_util::poll;

use super::{Counter, counters};

/// Waits for ever when it is told to.
#[derive(Default, DurableState)]
pub struct Stuck {
    n: u64,
}

#[durable_object(name = "test.Stuck")]
impl Stuck {
    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    pub async fn hang(&mut self) {
        self.n += 1_000;
        pending::<()>().await;
    }

    pub async fn hang_reading(&self) {
        pending::<()>().await;
    }

    /// Plans a run that hangs, as late as nobody waits for it.
    pub fn plan(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("sweep").every(Duration::from_secs(86_400)).call(cx.me().hang());
    }
}

async fn stuck(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Stuck>();
    builder.shutdown_deadline(Duration::from_millis(50)).start().await.unwrap()
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_undone_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = stuck(dir.path()).await;
    let (one, other, well) =
        (runtime.get::<Stuck>("one"), runtime.get::<Stuck>("other"), runtime.get::<Stuck>("well"));
    assert_eq!((one.add().await.unwrap(), well.add().await.unwrap()), (1, 1));
    let (mut hung, mut read) = (one.hang().into_future(), other.hang_reading().into_future());
    let mut behind = one.add().into_future();
    assert!(poll!(&mut hung).is_pending() && poll!(&mut read).is_pending());
    assert!(poll!(&mut behind).is_pending());
    let (first, second) = join(runtime.shutdown(), runtime.shutdown()).await;
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert_eq!(
        (first.code(), first.message()),
        ("shutdown.cut", second.message()),
        "one end for both"
    );
    for name in ["test.Stuck(one).hang", "test.Stuck(other).hang_reading", "50ms"] {
        assert!(first.message().contains(name), "{first}");
    }
    assert!(!first.message().contains("well"), "{first}");
    let turn = |object: &StuckStub, method| match first.cut().iter().find_map(|cut| match cut {
        CutOff::Turn { class: "test.Stuck", id, object, method: at, .. } if *at == method => {
            Some((*id, object.clone()))
        }
        _ => None,
    }) {
        Some((id, label)) => (object.id().unwrap() == id, label),
        None => panic!("{method} is not in {:?}", first.cut()),
    };
    assert_eq!(turn(&one, "hang"), (true, "test.Stuck(one)".to_owned()));
    assert_eq!(turn(&other, "hang_reading"), (true, "test.Stuck(other)".to_owned()));
    assert_eq!((first.cut().len(), second.cut()), (2, first.cut()));
    assert_eq!(runtime.shutdown().await.unwrap_err().message(), first.message());
    for hung in [hung.await.unwrap_err(), read.await.unwrap_err()] {
        assert_eq!((hung.code(), hung.outcome()), ("call.aborted", Outcome::RolledBack));
    }
    assert_eq!(behind.await.unwrap_err().code(), "runtime.closed");
    assert_eq!(runtime.resident_objects(), 0);
    drop(runtime);
    let runtime = stuck(dir.path()).await;
    assert_eq!(
        runtime.get::<Stuck>("one").add().await.unwrap(),
        2,
        "it is undone, and the rest is there"
    );
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_of_a_schedule_that_is_cut_off_is_named_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = stuck(dir.path()).await;
    let one = runtime.get::<Stuck>("one");
    one.plan().await.unwrap();
    let mut run = Box::pin(runtime.run_schedule(one.id().unwrap(), "sweep"));
    assert!(poll!(&mut run).is_pending());
    let error = runtime.shutdown().await.unwrap_err();
    assert!(error.message().contains("test.Stuck(one).hang (schedule `sweep`)"), "{error}");
    let [CutOff::Turn { id, method: "hang", schedule: Some(schedule), .. }] = error.cut() else {
        panic!("{:?}", error.cut())
    };
    assert_eq!((*id, schedule.as_str()), (one.id().unwrap(), "sweep"));
    assert_eq!(run.await.unwrap_err().code(), "runtime.closed");
    drop((one, runtime));
    let runtime = stuck(dir.path()).await;
    let one = runtime.get::<Stuck>("one");
    assert_eq!(one.add().await.unwrap(), 1, "it is undone");
    assert_eq!(runtime.schedules(one.id().unwrap()).unwrap().len(), 1, "and still planned");
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_tree_that_hangs_ends_with_the_deadline_too() {
    let dir = tempfile::tempdir().unwrap();
    let deaf = task("deaf", async |cx: TaskContext| {
        drop(cx.stopping());
        pending::<()>().await;
    });
    let behind = task("behind", async |cx: TaskContext| cx.stopping().await);
    let feeds = Supervisor::one_for_one("feeds")
        .child(behind)
        .child(deaf.shutdown(durable::Shutdown::Infinity));
    let tree = Supervisor::one_for_one("top").child(objects::<Stuck>()).child(feeds);
    let builder = Runtime::builder(dir.path()).supervise(tree);
    let runtime = builder.shutdown_deadline(Duration::from_millis(50)).start().await.unwrap();
    let one = runtime.get::<Stuck>("one");
    let mut hung = one.hang().into_future();
    assert!(poll!(&mut hung).is_pending());
    let error = runtime.shutdown().await.unwrap_err();
    assert_eq!(error.code(), "shutdown.cut");
    let tasks = error.cut().iter().filter_map(|cut| match cut {
        CutOff::Task { path, was_asked, .. } => Some((path.as_str(), *was_asked)),
        _ => None,
    });
    let tasks: Vec<_> = tasks.collect();
    assert_eq!(tasks, [("top/feeds/behind", false), ("top/feeds/deaf", true)]);
    assert!(error.message().contains("top/feeds/deaf"), "{error}");
    assert_eq!(hung.await.unwrap_err().code(), "call.aborted");
    assert_eq!(runtime.resident_objects(), 0);
}

#[tokio::test]
async fn calls_that_come_after_the_beginning_are_closed_out_and_those_before_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    let mut calls = join_all((0..100).map(|_| counter.add(1).into_future()));
    assert!(poll!(&mut calls).is_pending());
    let mut shutdown = Box::pin(runtime.shutdown());
    assert!(poll!(&mut shutdown).is_pending());
    assert_eq!(counter.add(1).await.unwrap_err().code(), "runtime.closed");
    let (answers, ended) = join(calls, shutdown).await;
    ended.unwrap();
    assert_eq!(answers.into_iter().map(Result::unwrap).max(), Some(100));
    drop((counter, runtime));
    let runtime = counters(dir.path()).await;
    assert_eq!(runtime.get::<Counter>("ada").count().await.unwrap(), 100);
    runtime.shutdown().await.unwrap();
}

const DIR: &str = "DURABLE_TEST_SIGNAL_DIR";

/// Not a test of its own: what the child process runs. Without its directory it is done at once.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_counts_until_it_is_asked_to_end() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = counters(Path::new(&dir)).await;
    for index in 0..4 {
        let counter = runtime.get::<Counter>(format!("c{index}"));
        tokio::spawn(async move {
            loop {
                match counter.add(1).await {
                    Ok(count) => println!("\nack {index} {count}"),
                    Err(error) => break assert_eq!(error.code(), "runtime.closed"),
                }
            }
        });
    }
    runtime.run_until_signal().await.expect("it ends well");
    println!("\nended well");
}

#[cfg(unix)]
#[test]
fn a_process_that_is_asked_to_end_in_the_midst_of_calls_ends_well_and_keeps_every_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["drain::child_that_counts_until_it_is_asked_to_end", "--exact", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program runs itself");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
    let (mut text, mut acks) = (String::new(), 0);
    while acks < 200 {
        let before = text.len();
        assert!(out.read_line(&mut text).unwrap() > 0, "it ended early: {text}");
        acks += usize::from(text[before..].starts_with("ack "));
    }
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    out.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(text.contains("ended well"), "{text}");
    let mut last = [0; 4];
    for line in text.lines().filter_map(|line| line.strip_prefix("ack ")) {
        let (index, count) = line.split_once(' ').unwrap();
        last[index.parse::<usize>().unwrap()] = count.parse::<u64>().unwrap();
    }
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let runtime = counters(dir.path()).await;
        for (index, acknowledged) in last.into_iter().enumerate() {
            let count = runtime.get::<Counter>(format!("c{index}")).count().await.unwrap();
            assert!(count >= acknowledged && acknowledged > 0, "c{index}: {count}, {acknowledged}");
        }
        runtime.shutdown().await.unwrap();
    });
}
