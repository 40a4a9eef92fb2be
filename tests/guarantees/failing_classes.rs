//! A class so many of whose objects fail that it counts as failed itself: with a tree its supervisor decides what follows,
//! without one it is closed for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::prelude::*;
use durable::{
    Child, Decision, ErrorKind, ExitReason, Outcome, SupervisionEvents, Supervisor, objects, task,
};
use durable_testing::prelude::*;
use tests::poison::{Patient, code, ward};

use super::Counter;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A task that counts its runs.
fn counted(name: &str, runs: &Arc<AtomicUsize>) -> Child {
    let runs = Arc::clone(runs);
    task(name, move |cx| {
        runs.fetch_add(1, Ordering::SeqCst);
        async move { cx.stopping().await }
    })
}

/// Ten objects commit, and then crash, one after the other.
async fn crash_ten(runtime: &Runtime) {
    for n in 0..10 {
        let patient = runtime.get::<Patient>(format!("p{n}"));
        patient.count().await.unwrap();
        assert_eq!(code(patient.crash().await), "call.panicked");
    }
}

/// Waits until the class was started again, and those behind it.
async fn restarted(events: &mut SupervisionEvents, last: &str) {
    let mut has_failed = false;
    while let Some(event) = events.next().await {
        match event.decision {
            Decision::ChildExited { .. } => has_failed = true,
            Decision::ChildStarted { child, .. } if has_failed && child == last => return,
            _ => {}
        }
    }
    panic!("the class does not come back");
}

#[tokio::test]
async fn a_class_in_one_for_all_takes_its_siblings_along_and_goes_on_from_its_last_commits() {
    let (dir, runs) = (tempfile::tempdir().unwrap(), Arc::new(AtomicUsize::new(0)));
    let tree = Supervisor::one_for_all("ward")
        .intensity(3, secs(5))
        .child(counted("nurse", &runs))
        .child(objects::<Patient>());
    let runtime = Runtime::builder(dir.path()).supervise(tree).start().await.unwrap();
    let mut events = runtime.supervision_events();
    crash_ten(&runtime).await;
    restarted(&mut events, "poison.Patient").await;
    assert_eq!(runtime.get::<Patient>("p0").turns().await.unwrap(), 1, "its last commit is there");
    assert_eq!(runs.load(Ordering::SeqCst), 2, "the sibling was restarted with it");
    let tree = runtime.tree().unwrap();
    let class = tree.child("poison.Patient").unwrap();
    let exit = class.last_exit.as_ref().unwrap();
    assert_eq!((exit.reason, class.restarts), (ExitReason::Error, 1));
    assert!(exit.text.starts_with("10 of 10 objects failed"), "{exit:?}");
    let status = class.class.unwrap();
    assert_eq!((status.live, status.crashes, status.quarantined), (1, 10, 0));
    assert!(tree.to_string().contains("1 live, 0 calls wait, 10 crashes, 0 quarantined"), "{tree}");
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_class_in_rest_for_one_takes_along_those_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (before, behind) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tree = Supervisor::rest_for_one("ward")
        .intensity(3, secs(5))
        .child(counted("before", &before))
        .child(objects::<Patient>())
        .child(counted("behind", &behind));
    let runtime = Runtime::builder(dir.path()).supervise(tree).start().await.unwrap();
    let mut events = runtime.supervision_events();
    crash_ten(&runtime).await;
    restarted(&mut events, "behind").await;
    tokio::task::yield_now().await;
    assert_eq!((before.load(Ordering::SeqCst), behind.load(Ordering::SeqCst)), (1, 2));
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_class_that_fails_again_and_again_melts_its_supervisor_down() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Supervisor::one_for_one("ward").intensity(1, secs(60)).child(objects::<Patient>());
    let runtime = Runtime::builder(dir.path()).supervise(tree).start().await.unwrap();
    let mut events = runtime.supervision_events();
    crash_ten(&runtime).await;
    restarted(&mut events, "poison.Patient").await;
    crash_ten(&runtime).await;
    assert_eq!(runtime.ended().await.unwrap_err().code(), "supervisor.melted");
}

#[test]
fn a_class_without_a_supervisor_cools_down_and_others_notice_nothing() {
    let both = |builder| ward(builder).register::<Counter>();
    Simulation::new().seeds(10).allow_panics().check(both, async |sim: Sim| {
        for n in 0..10 {
            let patient = sim.get::<Patient>(format!("p{n}"));
            patient.count().await?;
            assert_eq!(code(patient.crash().await), "call.panicked");
        }
        sim.advance(Duration::from_millis(10)).await;
        let error = sim.get::<Patient>("other").turns().await.expect_err("it is closed");
        assert_eq!((error.code(), error.kind()), ("class.failing", ErrorKind::Backoff));
        assert_eq!(error.outcome(), Outcome::NotStarted);
        assert!(error.retry_after().is_some_and(|wait| wait > secs(4)), "{error}");
        assert_eq!(sim.get::<Counter>("ada").add(1).await?, 1);
        sim.advance(secs(4)).await;
        assert_eq!(code(sim.get::<Patient>("other").turns().await), "class.failing");
        sim.advance(secs(1)).await;
        assert_eq!(sim.get::<Patient>("p0").count().await?, 2);
        TestResult::Ok(())
    });
}

#[tokio::test]
async fn one_object_that_crashes_for_ever_never_fails_its_class() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ward(Runtime::builder(dir.path())).start().await.unwrap();
    let poisoned = runtime.get::<Patient>("poisoned");
    for _ in 0..100 {
        poisoned.crash().await.unwrap_err();
    }
    assert_eq!(runtime.get::<Patient>("other").count().await.unwrap(), 1);
    runtime.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_stops_while_calls_come_leaves_nothing_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Supervisor::one_for_one("ward").child(objects::<Patient>());
    let runtime = Runtime::builder(dir.path()).supervise(tree).start().await.unwrap();
    for round in 0..50 {
        let callers = (0..8).map(|caller| {
            let runtime = runtime.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let patient = runtime.get::<Patient>(format!("{round}-{caller}-{n}"));
                    match patient.turns().await {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.code(), "class.stopped", "{error}"),
                    }
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        runtime.supervisor("ward").terminate_child("poison.Patient").await.unwrap();
        assert_eq!(runtime.resident_objects(), 0, "round {round}");
        for caller in callers {
            caller.await.unwrap();
        }
        assert_eq!(runtime.resident_objects(), 0, "round {round}");
        runtime.supervisor("ward").restart_child("poison.Patient").await.unwrap();
    }
    runtime.shutdown().await.unwrap();
}
