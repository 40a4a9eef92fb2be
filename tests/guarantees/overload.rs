//! P11 by what a class says: how many calls each of its objects takes in a time, and how many may be under way.

use std::future::IntoFuture;
use std::path::Path;

use durable::prelude::*;
use durable::{ErrorKind, Outcome};
use futures_util::future::join_all;
use tests::WriterGate;

use super::Counter;
use tests::time::{ms, pause};

/// Takes ten calls in a second, and three at once.
#[derive(Default, DurableState)]
pub struct Turnstile {
    passed: u64,
}

#[durable_object(name = "over.Turnstile", rate = "10/s", burst = 3, alarm_delay = "1ms")]
impl Turnstile {
    pub fn pass(&mut self) -> u64 {
        self.passed += 1;
        self.passed
    }

    pub fn passed(&self) -> u64 {
        self.passed
    }
}

/// Has room for two calls.
#[derive(Default, DurableState)]
pub struct Cabin {
    rides: u64,
}

#[durable_object(name = "over.Cabin", in_flight = 2)]
impl Cabin {
    pub async fn ride(&mut self, time: u64) -> u64 {
        pause(time).await;
        self.rides += 1;
        self.rides
    }
}

async fn start(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Turnstile>().register::<Cabin>();
    builder.register::<Counter>().start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_object_takes_as_many_calls_as_its_rate_says_and_says_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (one, other) = (runtime.get::<Turnstile>("1"), runtime.get::<Turnstile>("2"));
    for n in 1..=3 {
        assert_eq!(one.pass().relaxed().await.unwrap(), n);
    }
    let error = one.pass().relaxed().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rate.exceeded", ErrorKind::Backoff));
    assert_eq!((error.outcome(), error.object()), (Outcome::NotStarted, Some("over.Turnstile(1)")));
    for part in ["over.Turnstile(1)", "10 calls in 1s", "3 at once", "call again"] {
        assert!(error.message().contains(part), "{error}");
    }
    let wait = error.retry_after().unwrap();
    assert!(wait > ms(90) && wait <= ms(100), "{wait:?}");
    assert_eq!(other.pass().relaxed().await.unwrap(), 1, "another object has its own rate");
    pause(99).await;
    assert_eq!(one.passed().relaxed().await.unwrap_err().code(), "rate.exceeded", "reads, too");
    pause(2).await;
    assert_eq!(one.pass().relaxed().await.unwrap(), 4);
    pause(1_000).await;
    let all = join_all((0..5).map(|_| one.pass().relaxed().into_future())).await;
    assert_eq!(all.iter().filter(|answer| answer.is_ok()).count(), 3, "no more than a burst");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_not_limited_by_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let one = runtime.get::<Turnstile>("1");
    for _ in 0..20 {
        one.pass().send().await.unwrap();
    }
    let mut passed = 0;
    while passed < 20 {
        pause(100).await;
        passed = one.passed().await.unwrap();
    }
    assert_eq!(passed, 20);
}

#[tokio::test(start_paused = true)]
async fn a_class_leaves_room_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let ride = |name: &str| runtime.get::<Cabin>(name).ride(10).relaxed().into_future();
    let all = join_all([ride("a"), ride("b"), ride("c"), ride("a")]).await;
    assert!(all[0].is_ok() && all[1].is_ok());
    for refused in &all[2..] {
        let error = refused.as_ref().unwrap_err();
        assert_eq!((error.code(), error.kind()), ("class.overloaded", ErrorKind::Backoff));
        assert_eq!(error.outcome(), Outcome::NotStarted);
        assert!(error.retry_after().is_some(), "{error}");
        assert!(error.message().contains("2 calls are in flight in class over.Cabin"), "{error}");
    }
    assert!(ride("c").await.is_ok(), "the places were given back");
    assert_eq!(runtime.get::<Counter>("c").add(1).await.unwrap(), 1);
}

#[tokio::test]
async fn the_builder_bounds_classes_that_do_not_say_it() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir.path()).register::<Counter>().register::<Cabin>();
    let builder = builder.class_in_flight_max(3).host(gate.host());
    let runtime = builder.start().await.unwrap();
    gate.close();
    let add = |n: u64| tokio::spawn(runtime.get::<Counter>(format!("{n}")).add(1).into_future());
    let calls: Vec<_> = (0..3).map(add).collect();
    while runtime.resident_objects() < 3 {
        tokio::task::yield_now().await;
    }
    let error = runtime.get::<Counter>("more").count().await.unwrap_err();
    assert_eq!(error.code(), "class.overloaded");
    assert_eq!(runtime.get::<Cabin>("x").ride(0).relaxed().await.unwrap(), 1, "another class");
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    let builder = Runtime::builder(dir.path()).class_in_flight_max(0);
    assert_eq!(builder.start().await.unwrap_err().code(), "config.invalid");
}

#[tokio::test]
async fn every_refusal_for_want_of_room_says_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>();
    let runtime = builder.inbox_max(2).in_flight_max(3).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    let all = join_all((0..4).map(|_| counter.add(1).into_future())).await;
    let refused: Vec<_> = all.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let codes: Vec<_> = refused.iter().map(|error| error.code()).collect();
    assert!(codes.contains(&"object.overloaded"), "{codes:?}");
    assert!(refused.iter().all(|error| error.retry_after().is_some()), "{refused:?}");
    let others = (0..4).map(|n| runtime.get::<Counter>(format!("{n}")).add(1).into_future());
    let all = join_all(others).await;
    let error = all[3].as_ref().unwrap_err();
    assert_eq!(error.code(), "runtime.overloaded");
    assert!(error.retry_after().is_some());
}
