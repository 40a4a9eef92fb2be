//! P8: a panic fails only the call that panicked; calls that wait are served by the restarted object.

use std::time::Duration;

use durable::prelude::*;

use super::{Counter, counters};

#[tokio::test]
async fn calls_that_wait_behind_a_panic_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    let (first, panicked, second, third) =
        tokio::join!(counter.add(1), counter.add_and_panic(9), counter.add(1), counter.count());
    assert_eq!(first.unwrap(), 1);
    let error = panicked.unwrap_err();
    assert_eq!(error.code(), "call.panicked");
    assert!(error.message().contains("asked to, at 10"), "{error}");
    assert_eq!(error.object(), Some("test.Counter(ada)"));
    assert_eq!(second.unwrap(), 2);
    assert_eq!(third.unwrap(), 2);
}

#[tokio::test]
async fn a_panic_in_a_read_costs_that_read() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.add(4).await.unwrap();
    let (before, panicked, after) =
        tokio::join!(counter.count(), counter.read_and_panic(), counter.count());
    assert_eq!(before.unwrap(), 4);
    assert_eq!(panicked.unwrap_err().code(), "call.panicked");
    assert_eq!(after.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_panics_again_and_again_goes_on_serving() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>();
    let runtime = builder.crashes(1_000, Duration::from_secs(1)).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    for n in 1..=20 {
        assert_eq!(counter.add_and_panic(1).await.unwrap_err().code(), "call.panicked");
        assert_eq!(counter.add(1).await.unwrap(), n);
    }
    assert_eq!(runtime.resident_objects(), 1);
}

#[tokio::test]
async fn neighbours_of_a_crash_notice_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let (good, bad) = (runtime.get::<Counter>("good"), runtime.get::<Counter>("bad"));
    for n in 1..=20 {
        let (fine, panicked) = tokio::join!(good.add(1), bad.add_and_panic(1));
        assert_eq!(fine.unwrap(), n);
        panicked.unwrap_err();
    }
}

/// Cannot start while it is told so.
#[derive(Default, DurableState)]
pub struct Fragile {
    starts_fail: bool,
}

#[durable_object(name = "test.Fragile")]
impl Fragile {
    pub fn set(&mut self, starts_fail: bool) {
        self.starts_fail = starts_fail;
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.starts_fail { Err("told to fail".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_object_that_cannot_start_answers_everybody_and_tries_again() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Fragile>().start().await.unwrap();
    let object = runtime.get::<Fragile>("f");
    object.set(true).await.unwrap();
    runtime.evict(object.id().unwrap()).await.unwrap();
    for _ in 0..3 {
        let (first, second) = tokio::join!(object.set(false), object.set(false));
        for answer in [first, second] {
            let error = answer.unwrap_err();
            assert_eq!(error.code(), "object.unstartable");
            assert_eq!(error.object(), Some("test.Fragile(f)"));
            assert!(error.message().contains("told to fail"), "{error}");
        }
    }
    assert_eq!(runtime.resident_objects(), 0);
}
