//! The tree of a service, on the clock of the test: what OTP's trees do, tasks, class groups and nested supervisors do.

use std::fmt::Display;
use std::future::{Future, pending};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durable::prelude::*;
use durable::{
    AutoShutdown, Backoff, Child, Decision, ExitReason, Restart, Shutdown, Supervisor, objects,
    task,
};
use tokio::sync::broadcast;

use super::Counter;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Tasks that end as they are told, and a record of their runs.
#[derive(Clone)]
struct Stage {
    log: Arc<Mutex<Vec<String>>>,
    orders: broadcast::Sender<(String, End)>,
    /// Runs that are there.
    alive: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Badly,
    Panic,
}

/// Says that a run is over.
struct Leaving(Stage, String);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
        self.0.note(format!("-{}", self.1));
    }
}

impl Stage {
    fn new() -> Self {
        let (log, alive) = (Arc::default(), Arc::default());
        Stage { log, orders: broadcast::Sender::new(64), alive }
    }

    fn note(&self, what: impl Display) {
        self.log.lock().unwrap().push(what.to_string());
    }

    /// What was started (`+a`) and has ended (`-a`) since this was last asked.
    async fn done(&self) -> String {
        settle().await;
        std::mem::take(&mut *self.log.lock().unwrap()).join(" ")
    }

    async fn end(&self, name: &str, end: End) {
        settle().await;
        self.orders.send((name.to_owned(), end)).expect("somebody runs");
        settle().await;
    }

    fn enter(&self, cx: &TaskContext) -> Leaving {
        self.note(format!("+{}", cx.name()));
        self.alive.fetch_add(1, Ordering::SeqCst);
        Leaving(self.clone(), cx.name().to_owned())
    }

    /// Listens to the order to stop.
    fn task(&self, name: &str) -> Child {
        let stage = self.clone();
        task(name, move |cx| {
            let (stage, mut orders) = (stage.clone(), stage.orders.subscribe());
            async move {
                let _leaving = stage.enter(&cx);
                let told = async {
                    loop {
                        let (name, end) = orders.recv().await.expect("the stage is there");
                        if name == cx.name() {
                            return end;
                        }
                    }
                };
                match cx.until_stopping(told).await {
                    None | Some(End::Well) => Ok(()),
                    Some(End::Badly) => Err("it was told to fail"),
                    Some(End::Panic) => panic!("it was told to panic"),
                }
            }
        })
    }

    /// Never ends; listens to the order to stop, and does nothing about it, if `is_deaf`.
    fn endless(&self, name: &str, is_deaf: bool) -> Child {
        let stage = self.clone();
        task(name, move |cx| {
            let stage = stage.clone();
            async move {
                let _leaving = stage.enter(&cx);
                let _stopping = is_deaf.then(|| cx.stopping());
                pending::<()>().await;
            }
        })
    }
}

/// Lets all tasks run until none has anything to do.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn start(dir: &Path, tree: Supervisor) -> Runtime {
    Runtime::builder(dir).supervise(tree).start().await.expect("the tree starts")
}

/// Runs `test` with a runtime of the tree.
async fn on<F: Future<Output = ()>>(tree: Supervisor, test: impl FnOnce(Runtime) -> F) {
    let dir = tempfile::tempdir().unwrap();
    test(start(dir.path(), tree).await).await;
}

fn top() -> Supervisor {
    Supervisor::one_for_one("top").intensity(3, secs(5))
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_stop_in_reverse_with_the_runtime() {
    let stage = Stage::new();
    let inner = Supervisor::one_for_one("inner").child(stage.task("b")).child(stage.task("c"));
    let tree = top().child(stage.task("a")).child(inner).child(stage.task("d"));
    on(tree, |runtime| async move {
        assert_eq!(stage.done().await, "+a +b +c +d");
        runtime.shutdown().await.unwrap();
        assert_eq!(stage.done().await, "-d -c -b -a");
        runtime.ended().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_task_comes_back_however_it_ends_as_another_incarnation() {
    let stage = Stage::new();
    on(top().child(stage.task("a")), |runtime| async move {
        let mut runs = Vec::new();
        for (end, reason) in [
            (End::Well, ExitReason::Normal),
            (End::Badly, ExitReason::Error),
            (End::Panic, ExitReason::Panic),
        ] {
            stage.end("a", end).await;
            let status = runtime.tree().unwrap().child("a").unwrap().clone();
            assert_eq!((status.state, status.last_exit.unwrap().reason), ("running", reason));
            runs.push(status.incarnation.unwrap());
        }
        assert!(runs.is_sorted_by(|one, next| one < next), "{runs:?}");
        assert_eq!(stage.alive.load(Ordering::SeqCst), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transient_task_comes_back_only_after_an_abnormal_end() {
    let stage = Stage::new();
    let tree = top().child(stage.task("a").restart(Restart::Transient));
    on(tree, |runtime| async move {
        for end in [End::Badly, End::Panic] {
            stage.end("a", end).await;
        }
        assert_eq!(stage.done().await, "+a -a +a -a +a");
        stage.end("a", End::Well).await;
        assert_eq!(stage.done().await, "-a");
        assert_eq!(runtime.tree().unwrap().child("a").unwrap().state, "stopped");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_temporary_task_is_forgotten_when_it_has_ended() {
    let stage = Stage::new();
    let tree = top().child(stage.task("a").restart(Restart::Temporary));
    on(tree, |runtime| async move {
        stage.end("a", End::Panic).await;
        assert_eq!(stage.done().await, "+a -a");
        assert_eq!(runtime.supervisor("top").count_children().unwrap().specs, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_task_says_at_its_end_is_in_the_tree_and_in_the_events() {
    let stage = Stage::new();
    on(top().child(stage.task("a")), |runtime| async move {
        let mut events = runtime.supervision_events();
        stage.end("a", End::Panic).await;
        let exit = runtime.tree().unwrap().child("a").unwrap().last_exit.clone().unwrap();
        assert_eq!(exit.text, "it was told to panic");
        let event = events.next().await.unwrap();
        assert_eq!(&*event.supervisor, "top");
        let Decision::ChildExited { child, exit: told, .. } = event.decision else {
            panic!("the first is the end: {:?}", event.decision)
        };
        assert_eq!((child.as_str(), told), ("a", exit));
        let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        assert!(matches!(told[0].decision, Decision::Restarting { restarts: 1, .. }), "{told:?}");
        assert!(matches!(told[1].decision, Decision::ChildStarting { .. }), "{told:?}");
        assert!(matches!(told[2].decision, Decision::ChildStarted { .. }), "{told:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn strategies_restart_whom_they_say() {
    for (tree, done) in [
        (Supervisor::one_for_one("top"), "-b +b"),
        (Supervisor::one_for_all("top"), "-b -c -a +a +b +c"),
        (Supervisor::rest_for_one("top"), "-b -c +b +c"),
    ] {
        let stage = Stage::new();
        let tree = tree.child(stage.task("a")).child(stage.task("b")).child(stage.task("c"));
        on(tree, |runtime| async move {
            stage.done().await;
            stage.end("b", End::Badly).await;
            assert_eq!(stage.done().await, done);
            runtime.shutdown().await.unwrap();
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_dropped_at_once() {
    let stage = Stage::new();
    on(top().child(stage.endless("a", false)), |runtime| async move {
        let began = tokio::time::Instant::now();
        let mut events = runtime.supervision_events();
        runtime.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        let stopped =
            std::iter::from_fn(|| events.try_next()).find_map(|event| match event.decision {
                Decision::ChildStopped { exit, .. } => Some(exit.reason),
                _ => None,
            });
        assert_eq!(stopped, Some(ExitReason::Shutdown));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_listens_and_does_not_end_is_killed_when_its_time_is_over() {
    let stage = Stage::new();
    let tree = top().child(stage.endless("a", true).shutdown(secs(3)));
    on(tree, |runtime| async move {
        let began = tokio::time::Instant::now();
        runtime.shutdown().await.unwrap();
        assert!((secs(3)..secs(3) + Duration::from_millis(2)).contains(&began.elapsed()));
        assert_eq!(stage.done().await, "+a -a");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_to_be_killed_gets_no_time() {
    let stage = Stage::new();
    let tree = top().child(stage.endless("a", true).shutdown(Shutdown::Kill));
    on(tree, |runtime| async move {
        let began = tokio::time::Instant::now();
        runtime.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_time_is_over_takes_everything_below_with_it() {
    let stage = Stage::new();
    let deepest =
        Supervisor::one_for_one("deepest").child(stage.endless("a", true).shutdown(secs(60)));
    let inner = Supervisor::one_for_one("inner").child(deepest).shutdown(secs(2));
    on(top().child(inner), |runtime| async move {
        let began = tokio::time::Instant::now();
        runtime.shutdown().await.unwrap();
        assert!(began.elapsed() < secs(3), "{:?}", began.elapsed());
        assert_eq!(stage.alive.load(Ordering::SeqCst), 0, "nobody is orphaned");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_meltdown_of_the_top_ends_the_runtime_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let tree = top().child(objects::<Counter>()).child(stage.task("a")).child(stage.task("b"));
    let runtime = start(dir.path(), tree).await;
    for _ in 0..4 {
        stage.end("a", End::Badly).await;
    }
    let error = runtime.ended().await.unwrap_err();
    assert_eq!(error.code(), "supervisor.melted");
    assert!(error.message().contains("4 restarts within 5s, the last one of `a`"), "{error}");
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0);
    let refused = runtime.get::<Counter>("x").count().await.unwrap_err();
    assert_eq!(refused.code(), "runtime.closed");
    super::counters(dir.path()).await.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_meltdown_below_is_abnormal_so_that_a_transient_supervisor_comes_back() {
    let stage = Stage::new();
    let inner = Supervisor::one_for_one("inner")
        .intensity(0, secs(5))
        .child(stage.task("a"))
        .restart(Restart::Transient);
    on(top().child(inner), |runtime| async move {
        stage.end("a", End::Badly).await;
        assert_eq!(stage.done().await, "+a -a +a");
        let tree = runtime.tree().unwrap();
        let inner = tree.child("inner").unwrap();
        assert_eq!(inner.last_exit.as_ref().unwrap().reason, ExitReason::Meltdown);
        assert_eq!((inner.restarts, inner.supervisor.as_ref().unwrap().children.len()), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn restarts_are_counted_up_to_the_edge_of_the_period() {
    for (pause, is_over) in [(secs(5), true), (secs(5) + Duration::from_millis(2), false)] {
        let stage = Stage::new();
        on(Supervisor::one_for_one("top").child(stage.task("a")), |runtime| async move {
            stage.end("a", End::Badly).await;
            tokio::time::sleep(pause - Duration::from_millis(1)).await;
            stage.end("a", End::Badly).await;
            assert_eq!(runtime.tree().unwrap().state == "ended", is_over, "after {pause:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_wait_as_their_backoff_says() {
    let stage = Stage::new();
    let backoff = Backoff::new(secs(1), secs(4)).jitter_percent(0);
    on(top().child(stage.task("a").backoff(backoff)), |runtime| async move {
        for wait in [1, 2] {
            stage.done().await;
            stage.end("a", End::Badly).await;
            assert_eq!(stage.done().await, "-a");
            assert_eq!(runtime.tree().unwrap().child("a").unwrap().state, "restarting");
            tokio::time::sleep(secs(wait) - Duration::from_millis(5)).await;
            assert_eq!(stage.done().await, "");
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(stage.done().await, "+a");
        }
    })
    .await;
}

/// Is ready after a second, or fails instead.
fn slow(stage: &Stage, name: &str, fails: bool) -> Child {
    let stage = stage.clone();
    task(name, move |cx| {
        let stage = stage.clone();
        async move {
            let _leaving = stage.enter(&cx);
            cx.sleep(secs(1)).await;
            if fails {
                return Err("no connection");
            }
            cx.ready();
            cx.stopping().await;
            Ok(())
        }
    })
    .starts_when_ready()
}

#[tokio::test(start_paused = true)]
async fn the_next_child_waits_until_a_slow_one_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let tree = top().child(slow(&stage, "a", false)).child(stage.task("b"));
    let starting = Runtime::builder(dir.path()).supervise(tree).start();
    let mut starting = std::pin::pin!(starting);
    assert!(futures_util::poll!(starting.as_mut()).is_pending());
    assert_eq!(stage.done().await, "+a");
    let runtime = starting.await.unwrap();
    assert_eq!(stage.done().await, "+b");
    runtime.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_does_not_start_says_which_child_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new();
    let inner = Supervisor::one_for_one("inner").child(slow(&stage, "b", true));
    let tree = top().child(stage.task("a")).child(inner).child(stage.task("c"));
    let error = Runtime::builder(dir.path()).supervise(tree).start().await.unwrap_err();
    assert_eq!(error.code(), "child.unstartable");
    for text in ["`inner`", "`b`", "no connection"] {
        assert!(error.message().contains(text), "{error}");
    }
    assert_eq!(stage.done().await, "+a +b -b -a");
    super::counters(dir.path()).await.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_restarts_waits_for_its_slow_children() {
    let stage = Stage::new();
    let tree =
        Supervisor::one_for_all("top").child(slow(&stage, "a", false)).child(stage.task("b"));
    on(tree, |runtime| async move {
        stage.done().await;
        stage.end("b", End::Badly).await;
        assert_eq!(stage.done().await, "-b -a +a");
        let handle = runtime.supervisor("top");
        assert_eq!(handle.which_children().unwrap()[0].state, "starting");
        tokio::time::sleep(secs(1)).await;
        assert_eq!(stage.done().await, "+b");
    })
    .await;
}

#[tokio::test]
async fn a_class_that_is_stopped_takes_no_calls_and_keeps_its_state() {
    on(top().child(objects::<Counter>()), |runtime| async move {
        let counter = runtime.get::<Counter>("x");
        counter.add(2).await.unwrap();
        assert_eq!(runtime.resident_objects(), 1);
        let handle = runtime.supervisor("top");
        handle.terminate_child("test.Counter").await.unwrap();
        assert_eq!(runtime.resident_objects(), 0);
        assert_eq!(counter.count().await.unwrap_err().code(), "class.stopped");
        handle.restart_child("test.Counter").await.unwrap();
        assert_eq!(counter.count().await.unwrap(), 2);
        runtime.shutdown().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_class_that_its_strategy_restarts_goes_on_from_its_last_commits() {
    let stage = Stage::new();
    let tree = Supervisor::one_for_all("top").child(objects::<Counter>()).child(stage.task("a"));
    on(tree, |runtime| async move {
        let counter = runtime.get::<Counter>("x");
        counter.add(2).await.unwrap();
        let mut events = runtime.supervision_events();
        stage.end("a", End::Badly).await;
        while !matches!(
            events.next().await.unwrap().decision,
            Decision::ChildStarted { child, .. } if child == "a"
        ) {}
        assert_eq!(runtime.resident_objects(), 0);
        assert_eq!(counter.count().await.unwrap(), 2);
        runtime.shutdown().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn turns_that_run_end_before_their_class_has_stopped() {
    on(top().child(objects::<Counter>()), |runtime| async move {
        let counter = runtime.get::<Counter>("x");
        let adding = tokio::spawn(counter.add_slowly(3, 20).into_future());
        while runtime.resident_objects() == 0 {
            tokio::task::yield_now().await;
        }
        runtime.supervisor("top").terminate_child("test.Counter").await.unwrap();
        assert_eq!(adding.await.unwrap().unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_task_may_call_objects_until_it_has_stopped() {
    let last = Arc::new(Mutex::new(None));
    let told = Arc::clone(&last);
    let flush = task("flush", move |cx| {
        let told = Arc::clone(&told);
        async move {
            cx.stopping().await;
            *told.lock().unwrap() = Some(cx.get::<Counter>("x").add(1).await);
        }
    });
    on(top().child(objects::<Counter>()).child(flush), |runtime| async move {
        settle().await;
        runtime.shutdown().await.unwrap();
    })
    .await;
    assert_eq!(last.lock().unwrap().take().unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn dynamic_children_come_at_run_time_as_many_as_there_may_be() {
    let stage = Stage::new();
    on(top().child(Supervisor::dynamic("jobs").children_max(2)), |runtime| async move {
        let jobs = runtime.supervisor("top/jobs");
        let first = jobs.start_child(stage.task("job").restart(Restart::Temporary)).await.unwrap();
        let second = jobs.start_child(stage.task("job").restart(Restart::Temporary)).await.unwrap();
        assert!(first.starts_with("job#") && first != second, "{first} {second}");
        let full = jobs.start_child(stage.task("job")).await.unwrap_err();
        assert_eq!(full.code(), "supervisor.full");
        assert!(full.message().contains("has 2 children, the limit is 2"), "{full}");
        jobs.terminate_child(&first).await.unwrap();
        stage.end(&second, End::Well).await;
        assert_eq!(jobs.count_children().unwrap().specs, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn children_can_be_started_stopped_restarted_and_forgotten() {
    let stage = Stage::new();
    on(top().child(stage.task("a")), |runtime| async move {
        let handle = runtime.supervisor("top");
        assert_eq!(handle.start_child(stage.task("b")).await.unwrap(), "b");
        let codes = [
            handle.start_child(stage.task("b")).await.unwrap_err().code(),
            handle.restart_child("b").await.unwrap_err().code(),
            handle.delete_child("b").await.unwrap_err().code(),
            handle.terminate_child("x").await.unwrap_err().code(),
            runtime.supervisor("top/x").delete_child("b").await.unwrap_err().code(),
            runtime.supervisor("bottom").which_children().unwrap_err().code(),
            handle.start_child(stage.task("")).await.unwrap_err().code(),
            handle.start_child(objects::<Counter>()).await.unwrap_err().code(),
        ];
        assert_eq!(
            codes,
            [
                "child.duplicate",
                "child.running",
                "child.running",
                "child.unknown",
                "supervisor.unknown",
                "supervisor.unknown",
                "supervisor.invalid",
                "supervisor.invalid"
            ]
        );
        handle.terminate_child("b").await.unwrap();
        let counts = handle.count_children().unwrap();
        assert_eq!((counts.specs, counts.active, counts.workers), (2, 1, 2));
        handle.restart_child("b").await.unwrap();
        handle.terminate_child("b").await.unwrap();
        handle.delete_child("b").await.unwrap();
        assert_eq!(stage.done().await, "+a +b -b +b -b");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_can_be_started_at_run_time_with_all_below_it() {
    let stage = Stage::new();
    on(top(), |runtime| async move {
        let inner = Supervisor::one_for_one("inner").child(stage.task("a"));
        runtime.supervisor("top").start_child(inner).await.unwrap();
        assert_eq!(runtime.supervisor("top/inner").count_children().unwrap().active, 1);
        runtime.shutdown().await.unwrap();
        assert_eq!(stage.done().await, "+a -a");
        let error = runtime.supervisor("top").terminate_child("inner").await.unwrap_err();
        assert_eq!(error.code(), "supervisor.stopped");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_significant_child_ends_the_tree_and_the_runtime_with_it() {
    let stage = Stage::new();
    let job = stage.task("job").restart(Restart::Transient).significant();
    let tree = top().auto_shutdown(AutoShutdown::AnySignificant).child(stage.task("a")).child(job);
    on(tree, |runtime| async move {
        stage.end("job", End::Well).await;
        runtime.ended().await.expect("its job is done");
        assert_eq!(stage.done().await, "+a +job -job -a");
    })
    .await;
}

#[tokio::test]
async fn a_tree_that_cannot_be_meant_is_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let stage = Stage::new();
    let twice = top()
        .child(objects::<Counter>())
        .child(Supervisor::one_for_one("inner").child(objects::<Counter>()));
    let bounded = top().child(objects::<Counter>().shutdown(secs(1)));
    for (tree, code, text) in [
        (top().child(stage.task("a")).child(stage.task("a")), "child.duplicate", "called `a`"),
        (top().intensity(3, Duration::ZERO), "supervisor.invalid", "period is 0 s"),
        (top().child(stage.task("a").significant()), "supervisor.invalid", "significant"),
        (twice, "child.duplicate", "class test.Counter twice"),
        (bounded, "supervisor.invalid", "child `test.Counter` of supervisor top: shutdown"),
    ] {
        let error = Runtime::builder(&data).supervise(tree).start().await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.message().contains(text), "{error}");
        assert!(!data.exists(), "nothing was created");
    }
}

#[tokio::test]
async fn a_class_of_the_tree_may_be_registered_as_well() {
    for is_first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let tree = top().child(objects::<Counter>());
        let builder = Runtime::builder(dir.path());
        let builder = if is_first {
            builder.register::<Counter>().supervise(tree)
        } else {
            builder.supervise(tree).register::<Counter>()
        };
        let runtime = builder.start().await.unwrap();
        assert_eq!(runtime.get::<Counter>("x").add(1).await.unwrap(), 1);
        runtime.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_dropped_takes_its_tasks_with_it() {
    let stage = Stage::new();
    let inner = Supervisor::one_for_one("inner").child(stage.endless("a", true));
    on(top().child(inner).child(stage.task("b")), |runtime| async move { drop(runtime) }).await;
    settle().await;
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn the_tree_is_shown_as_lines() {
    let stage = Stage::new();
    let inner = Supervisor::rest_for_one("feeds").child(stage.task("rates"));
    let tree = top().child(objects::<Counter>()).child(stage.task("reporter")).child(inner);
    on(tree, |runtime| async move {
        stage.end("reporter", End::Badly).await;
        assert_eq!(
            runtime.tree().unwrap().to_string(),
            "top: supervisor, up, one_for_one, 3 in 5s\n  \
             test.Counter: class, running, 0 live, 0 calls wait, 0 crashes, 0 quarantined\n  \
             reporter: task, running, 1 restarts, last exit error (it was told to fail)\n  \
             feeds: supervisor, running, rest_for_one, 1 in 5s\n    \
             rates: task, running"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_listens_too_slowly_knows_how_much_was_missed() {
    let stage = Stage::new();
    on(top().child(stage.task("a")), |runtime| async move {
        let mut events = runtime.supervision_events();
        let handle = runtime.supervisor("top");
        for _ in 0..300 {
            handle.terminate_child("a").await.unwrap();
            handle.restart_child("a").await.unwrap();
        }
        let seen = std::iter::from_fn(|| events.try_next()).count();
        assert_eq!(seen, durable::limits::SUPERVISION_EVENTS_MAX);
        assert_eq!(events.missed(), 4 * 300 - seen as u64);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_task_may_run_for_ever() {
    let tree = top().child(task("tick", async |cx: TaskContext| {
        loop {
            cx.sleep(secs(1)).await;
        }
    }));
    on(tree, |runtime| async move {
        tokio::time::sleep(secs(10)).await;
        runtime.shutdown().await.unwrap();
    })
    .await;
}
