//! The stream of supervision events: what befalls objects and classes is in it as what befalls the children of a tree is, and
//! the log says the same under the same names.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durable::prelude::*;
use durable::{Decision, SupervisionEvents, Supervisor, objects};
use tests::poison::{Patient, PatientStub, code};
use tracing::field::{Field, Visit};
use tracing::span;

const MINUTE: Duration = Duration::from_secs(60);

/// One crash is let pass, and no class ever fails.
async fn frail(dir: &std::path::Path, top: &str) -> Runtime {
    let tree = Supervisor::one_for_one(top)
        .child(Supervisor::one_for_one("beds").child(objects::<Patient>()));
    let builder = Runtime::builder(dir).supervise(tree).crashes(1, MINUTE);
    builder.breaker(100, 10, MINUTE).start().await.unwrap()
}

/// What has been decided of objects and classes, and by whom.
fn told(events: &mut SupervisionEvents) -> Vec<(String, Decision)> {
    let mut told = Vec::new();
    while let Some(event) = events.try_next() {
        told.push((event.supervisor.to_string(), event.decision));
    }
    told
}

fn names(told: &[(String, Decision)]) -> Vec<&'static str> {
    told.iter().map(|(_, decision)| decision.name()).collect()
}

/// Waits until nothing of an activation that ends is left, which would turn callers away.
async fn gone(runtime: &Runtime) {
    while runtime.resident_objects() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Crashes it so often that it is quarantined.
async fn crash(runtime: &Runtime, patient: &PatientStub, times: usize) {
    for _ in 0..times {
        assert_eq!(code(patient.crash().await), "call.panicked");
    }
    assert_eq!(code(patient.turns().await), "object.quarantined");
    gone(runtime).await;
}

#[tokio::test]
async fn quarantine_trial_and_release_are_decisions_of_the_class_group_with_the_run_they_are_about()
{
    let dir = tempfile::tempdir().unwrap();
    let runtime = frail(dir.path(), "ward").await;
    let mut events = runtime.supervision_events();
    let patient = runtime.get::<Patient>("p");
    let whose = patient.id().unwrap();
    crash(&runtime, &patient, 2).await;
    let first = told(&mut events);
    assert_eq!(names(&first), ["object.quarantined"]);
    let (supervisor, decision) = &first[0];
    assert_eq!(supervisor, "ward/beds/poison.Patient");
    let Decision::Quarantined { object, id, incarnation, reason, failed_trials, .. } = decision
    else {
        panic!("{decision}")
    };
    assert_eq!((object.as_str(), *id), ("poison.Patient(p)", whose));
    assert_eq!((*failed_trials, reason.contains("poison")), (0, true), "{reason}");
    let shut_in_after = *incarnation;
    // A trial that fails, and one that goes well.
    assert!(runtime.retry(whose).unwrap());
    crash(&runtime, &patient, 1).await;
    let second = told(&mut events);
    assert_eq!(names(&second), ["object.trial_started", "object.quarantined"]);
    let Decision::TrialStarted { incarnation: tried, .. } = second[0].1 else { panic!() };
    assert!(tried > shut_in_after, "{tried} comes after {shut_in_after}");
    let Decision::Quarantined { incarnation, failed_trials: 1, .. } = second[1].1 else {
        panic!("{}", second[1].1)
    };
    assert_eq!(incarnation, tried);
    assert!(runtime.retry(whose).unwrap());
    assert_eq!(patient.turns().await.unwrap(), 0);
    runtime.evict(whose).await.unwrap();
    assert_eq!(names(&told(&mut events)), ["object.trial_started", "object.trial_passed"]);
    // It is on probation, so that one crash is enough.
    crash(&runtime, &patient, 1).await;
    assert!(runtime.release(whose).await.unwrap());
    let last = told(&mut events);
    assert_eq!(names(&last), ["object.quarantined", "object.released"]);
    assert_eq!(last[1].1.to_string(), "poison.Patient(p) is released from quarantine");
    assert!(!runtime.release(whose).await.unwrap());
    assert!(told(&mut events).is_empty(), "nothing was decided");
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_class_that_fails_is_a_decision_and_so_is_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Patient>();
    let runtime = builder.breaker(50, 2, MINUTE).start().await.unwrap();
    let mut events = runtime.supervision_events();
    for name in ["p", "q"] {
        assert_eq!(code(runtime.get::<Patient>(name).crash().await), "call.panicked");
    }
    assert_eq!(code(runtime.get::<Patient>("r").count().await), "class.failing");
    let told = told(&mut events);
    assert_eq!(names(&told), ["class.failing", "class.cooling"]);
    assert!(told.iter().all(|(supervisor, _)| supervisor == "poison.Patient"), "{told:?}");
    assert!(matches!(told[0].1, Decision::ClassFailing { failing: 2, .. }), "{told:?}");
    runtime.shutdown().await.unwrap();
}

/// What is logged with the target of supervision: level, supervisor, event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "supervisor" | "event") {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "durable::supervision"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn the_log_has_each_decision_under_its_stable_name() {
    // Of the whole process: what is set for one thread is not seen by places that another one passes first.
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runtime = frail(dir.path(), "logged").await;
    let patient = runtime.get::<Patient>("p");
    crash(&runtime, &patient, 2).await;
    assert!(runtime.release(patient.id().unwrap()).await.unwrap());
    runtime.shutdown().await.unwrap();
    let lines = log.0.lock().unwrap().clone();
    for line in [
        "DEBUG supervisor=\"logged\" event=\"supervisor.up\"",
        "ERROR supervisor=\"logged/beds/poison.Patient\" event=\"object.quarantined\"",
        "INFO supervisor=\"logged/beds/poison.Patient\" event=\"object.released\"",
        "DEBUG supervisor=\"logged\" event=\"supervisor.ended\"",
    ] {
        assert_eq!(lines.iter().filter(|found| *found == line).count(), 1, "{line}: {lines:#?}");
    }
}
