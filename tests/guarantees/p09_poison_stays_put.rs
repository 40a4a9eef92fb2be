//! P9: an object that cannot start or keeps crashing is quarantined: its callers get a typed error at once, nobody else
//! notices, and an operator can inspect, retry, revert or release it.

use std::path::Path;
use std::time::Duration;

use durable::prelude::*;
use durable::{DataDirectory, ErrorKind, Outcome};
use durable_testing::disk::FaultKind;
use durable_testing::prelude::*;
use futures_util::future::join;
use futures_util::poll;
use tests::poison::{Patient, PatientStub, code, ward};

const SECOND: Duration = Duration::from_secs(1);

fn on_every_seed<F: Future<Output = TestResult>>(test: impl Fn(Sim) -> F) {
    Simulation::new().seeds(10).allow_panics().check(ward, test);
}

async fn crash(patient: &PatientStub, times: usize) {
    for _ in 0..times {
        assert_eq!(code(patient.crash().await), "call.panicked");
    }
}

/// Crashes it until it is quarantined.
async fn poison(patient: &PatientStub) {
    crash(patient, 6).await;
    assert_eq!(code(patient.turns().await), "object.quarantined");
}

#[test]
fn the_sixth_crash_in_a_minute_is_one_too_many_and_callers_are_told_why_and_until_when() {
    on_every_seed(async |sim: Sim| {
        let (patient, other) = (sim.get::<Patient>("p"), sim.get::<Patient>("other"));
        patient.count().await?;
        crash(&patient, 5).await;
        assert_eq!(patient.count().await?, 2, "five are let pass");
        assert_eq!(code(patient.crash_reading().await), "call.panicked");
        let began = sim.now();
        let error = patient.turns().await.expect_err("it is quarantined");
        assert_eq!((error.code(), error.kind()), ("object.quarantined", ErrorKind::Backoff));
        assert_eq!(
            (error.object(), error.outcome()),
            (Some("poison.Patient(p)"), Outcome::NotStarted)
        );
        assert!(error.message().contains("poison, at 2"), "{error}");
        let wait = error.retry_after().expect("it says when");
        assert!(wait > SECOND / 2 && wait <= SECOND, "{wait:?}");
        assert!(sim.now() - began < SECOND / 10, "at once");
        assert_eq!(other.count().await?, 1, "others notice nothing");
        let found = sim.quarantined().await?;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].class.as_str(), found[0].name.as_deref()),
            ("poison.Patient", Some("p"))
        );
        assert_eq!((found[0].id, found[0].failed_trials), (patient.id()?, 0));
        TestResult::Ok(())
    });
}

#[test]
fn crashes_that_are_far_enough_apart_never_are_too_many() {
    on_every_seed(async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        for n in 1..=12 {
            crash(&patient, 1).await;
            assert_eq!(patient.count().await?, n);
            sim.advance(Duration::from_millis(12_500)).await;
        }
        TestResult::Ok(())
    });
}

#[test]
fn stubs_that_come_and_go_do_not_give_an_object_its_budget_back() {
    on_every_seed(async |sim: Sim| {
        for _ in 0..6 {
            assert_eq!(code(sim.get::<Patient>("p").crash().await), "call.panicked");
            sim.advance(2 * SECOND).await;
            sim.evict(&sim.get::<Patient>("p")).await?;
        }
        sim.get::<Patient>("p").turns().await?;
        sim.advance(SECOND).await;
        assert_eq!(sim.quarantined().await?, [], "its time has come, and the call went well");
        TestResult::Ok(())
    });
}

#[test]
fn one_call_is_let_through_success_opens_and_failure_doubles_the_wait() {
    on_every_seed(async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        patient.count().await?;
        poison(&patient).await;
        for doubled in [2, 4, 8] {
            sim.advance(doubled * SECOND / 2).await;
            let (crashed, refused) =
                join(patient.crash().into_future(), patient.turns().into_future()).await;
            assert_eq!((code(crashed), code(refused)), ("call.panicked", "object.quarantined"));
            let wait = patient.turns().await.expect_err("shut in again").retry_after();
            assert!(wait.is_some_and(|wait| wait > doubled * SECOND * 9 / 10), "{wait:?}");
        }
        assert_eq!(sim.quarantined().await?[0].failed_trials, 3);
        sim.advance(8 * SECOND).await;
        assert_eq!(patient.turns().await?, 1, "all that crashed was undone");
        assert_eq!(patient.count().await?, 2);
        sim.advance(SECOND).await;
        assert_eq!(sim.quarantined().await?, []);
        crash(&patient, 1).await;
        let wait = patient.turns().await.expect_err("it is on probation").retry_after();
        assert!(wait.is_some_and(|wait| wait > 15 * SECOND), "{wait:?}");
        sim.advance(16 * SECOND).await;
        assert_eq!(patient.count().await?, 3);
        sim.advance(61 * SECOND).await;
        crash(&patient, 5).await;
        assert_eq!(patient.count().await?, 4, "its budget is whole again");
        TestResult::Ok(())
    });
}

#[test]
fn it_survives_a_restart_of_the_process_and_ends_with_a_release() {
    on_every_seed(async |sim: Sim| {
        let (patient, dazed) = (sim.get::<Patient>("p"), sim.get::<Patient>("dazed"));
        patient.count().await?;
        poison(&patient).await;
        for _ in 0..3 {
            sim.advance(4 * SECOND).await;
            crash(&patient, 1).await;
        }
        sim.advance(SECOND / 10).await;
        sim.power_cut().await;
        assert_eq!(code(patient.turns().await), "object.quarantined");
        sim.restart().await;
        let error = patient.turns().await.expect_err("quarantined");
        assert!(error.message().contains("poison"), "{error}");
        assert!(sim.release(&patient).await?);
        assert!(!sim.release(&patient).await?);
        assert_eq!(patient.count().await?, 2);
        crash(&patient, 5).await;
        assert_eq!(patient.count().await?, 3, "as if it had never failed");
        dazed.daze().await?;
        sim.evict(&dazed).await?;
        sim.restart().await;
        assert_eq!(sim.quarantined().await?, []);
        TestResult::Ok(())
    });
}

#[test]
fn an_object_whose_hook_keeps_failing_is_quarantined_and_a_restore_brings_it_back() {
    on_every_seed(async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        patient.count().await?;
        let before = sim.bookmark(&patient).await?;
        patient.daze().await?;
        sim.evict(&patient).await?;
        for _ in 0..6 {
            assert_eq!(code(patient.turns().await), "object.unstartable");
        }
        let error = patient.turns().await.expect_err("it is quarantined");
        assert!(
            error.is(durable::Code::ObjectQuarantined) && error.message().contains("dazed"),
            "{error}"
        );
        sim.restore_to(&patient, &before).await?;
        assert_eq!(patient.turns().await?, 1);
        assert_eq!(sim.quarantined().await?, []);
        TestResult::Ok(())
    });
}

#[test]
fn a_quarantined_object_can_be_erased_and_tried_by_hand() {
    on_every_seed(async |sim: Sim| {
        let (patient, unborn) = (sim.get::<Patient>("p"), sim.get::<Patient>("unborn"));
        patient.count().await?;
        poison(&patient).await;
        poison(&unborn).await;
        assert_eq!(sim.quarantined().await?.len(), 2, "also one that was never stored");
        assert!(sim.retry(&unborn)?);
        assert_eq!(unborn.count().await?, 1);
        assert!(sim.delete(&patient).await?);
        assert_eq!(patient.count().await?, 1, "it begins anew");
        sim.advance(SECOND).await;
        assert_eq!(sim.quarantined().await?, []);
        assert!(!sim.retry(&patient)?);
        TestResult::Ok(())
    });
}

#[test]
fn the_alarm_of_a_quarantined_object_waits_without_a_busy_loop_and_fires_after_its_release() {
    on_every_seed(async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        patient.ring_after(1_500).await?;
        poison(&patient).await;
        // Each trial fails, so that the alarm is what waits.
        sim.advance(SECOND).await;
        for wait in [2, 4, 8, 16] {
            crash(&patient, 1).await;
            sim.advance(Duration::from_millis(wait * 1_000 - 500)).await;
            assert_eq!(code(patient.turns().await), "object.quarantined");
            sim.advance(Duration::from_millis(500)).await;
            if sim.quarantined().await?.is_empty() {
                break;
            }
        }
        if !sim.quarantined().await?.is_empty() {
            assert!(sim.release(&patient).await?);
        }
        sim.advance(SECOND).await;
        assert_eq!(patient.rung().await?, 1, "it fires soon after the release");
        TestResult::Ok(())
    });
}

#[test]
fn a_disk_that_fails_is_not_the_objects_fault() {
    Simulation::new().seeds(5).allow_panics().check(ward, async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        patient.count().await?;
        for _ in 0..12 {
            sim.fail_next_commit(FaultKind::NoSpace)?;
            assert_eq!(code(patient.count().await), "storage.full");
        }
        assert_eq!(patient.count().await?, 2);
        assert_eq!(sim.quarantined().await?, []);
        TestResult::Ok(())
    });
}

#[tokio::test]
async fn an_operator_sees_and_frees_it_in_a_directory_that_nobody_runs() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ward(Runtime::builder(dir.path())).start().await.unwrap();
    let patient = runtime.get::<Patient>("p");
    patient.count().await.unwrap();
    let id = patient.id().unwrap();
    poison(&patient).await;
    assert_eq!(runtime.quarantined(Some("poison.Patient"), None).await.unwrap().len(), 1);
    assert_eq!(runtime.quarantined(None, Some(id)).await.unwrap(), []);
    let unknown = runtime.quarantined(Some("nobody"), None).await.unwrap_err();
    assert_eq!(unknown.code(), "class.unknown");
    let directory = DataDirectory::open(dir.path()).unwrap();
    assert_eq!(directory.release(id).unwrap_err().code(), "storage.locked");
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let found = directory.quarantined(None).unwrap();
    assert_eq!((found.len(), found[0].id, found[0].class.as_str()), (1, id, "poison.Patient"));
    assert!(directory.release(id).unwrap());
    assert!(!directory.release(id).unwrap());
    let runtime = ward(Runtime::builder(dir.path())).start().await.unwrap();
    assert_eq!(runtime.get::<Patient>("p").turns().await.unwrap(), 1);
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_budget_is_the_builders_to_say() {
    let dir = tempfile::tempdir().unwrap();
    let builder = ward(Runtime::builder(dir.path())).crashes(1, Duration::from_secs(3_600));
    let runtime = builder.start().await.unwrap();
    let patient = runtime.get::<Patient>("p");
    crash(&patient, 2).await;
    assert_eq!(code(patient.turns().await), "object.quarantined");
    runtime.shutdown().await.unwrap();
    let error = Runtime::builder(dir.path()).crashes(0, SECOND).start().await.unwrap_err();
    assert_eq!(error.code(), "config.invalid");
}

/// Objects on a disk, one of which has failed too often.
async fn poisoned(dir: &Path) -> (Runtime, PatientStub) {
    let runtime = Runtime::builder(dir).register::<Patient>().crashes(1, 60 * SECOND);
    let runtime = runtime.start().await.unwrap();
    let patient = runtime.get::<Patient>("p");
    patient.count().await.unwrap();
    crash(&patient, 2).await;
    (runtime, patient)
}

#[tokio::test]
async fn a_trial_whose_caller_has_left_shows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (runtime, patient) = poisoned(dir.path()).await;
    let id = patient.id().unwrap();
    assert_eq!(code(patient.turns().await), "object.quarantined");
    while runtime.resident_objects() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(runtime.retry(id).unwrap());
    let mut left = patient.turns().into_future();
    assert!(poll!(&mut left).is_pending(), "it is let through");
    drop(left);
    while runtime.resident_objects() > 0 {
        tokio::task::yield_now().await;
    }
    let found = runtime.quarantined(None, None).await.unwrap();
    assert_eq!((found.len(), found[0].failed_trials), (1, 0));
    let (next, refused) = join(patient.turns().into_future(), patient.turns().into_future()).await;
    assert_eq!((code(next), code(refused)), ("ok", "object.quarantined"), "one, in its place");
    assert_eq!(patient.count().await.unwrap(), 2);
    runtime.shutdown().await.unwrap();
}

#[test]
fn a_call_after_a_retry_is_let_through_though_the_crashed_activation_has_not_gone() {
    let strict = |builder| ward(builder).crashes(1, 60 * SECOND);
    Simulation::new().seeds(10).allow_panics().check(strict, async |sim: Sim| {
        let patient = sim.get::<Patient>("p");
        patient.count().await?;
        crash(&patient, 2).await;
        // It is shut in as soon as it has crashed; its quarantine is stored meanwhile.
        while !sim.retry(&patient)? {
            tokio::task::yield_now().await;
        }
        let is_there = sim.resident_objects() == 1;
        assert_eq!(code(patient.turns().await), "ok");
        assert_eq!(patient.count().await?, 2);
        sim.sometimes("the crashed activation had not gone", |_| is_there);
        TestResult::Ok(())
    });
}

/// May crash once in ten seconds, whatever the runtime says.
#[derive(Default, DurableState)]
pub struct Frail;

#[durable_object(name = "poison.Frail", crashes = 1, crash_period = "10s")]
impl Frail {
    pub fn crash(&mut self) {
        panic!("poison");
    }

    pub fn look(&self) {}
}

#[test]
fn a_class_says_how_many_crashes_are_too_many_and_others_have_what_the_runtime_says() {
    let both = |builder| ward(builder).register::<Frail>().crashes(3, 60 * SECOND);
    Simulation::new().seeds(10).allow_panics().check(both, async |sim: Sim| {
        let (frail, patient) = (sim.get::<Frail>("f"), sim.get::<Patient>("p"));
        assert_eq!(code(frail.crash().await), "call.panicked");
        sim.advance(11 * SECOND).await;
        assert_eq!(code(frail.crash().await), "call.panicked");
        assert_eq!(code(frail.look().await), "ok", "the first does not count any more");
        assert_eq!(code(frail.crash().await), "call.panicked");
        assert_eq!(code(frail.look().await), "object.quarantined");
        crash(&patient, 3).await;
        assert_eq!(patient.count().await?, 1);
        crash(&patient, 1).await;
        assert_eq!(code(patient.turns().await), "object.quarantined");
        TestResult::Ok(())
    });
}
