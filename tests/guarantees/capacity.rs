//! Calls that wait for room where others are turned away.

use std::future::IntoFuture;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::Outcome;
use durable::prelude::*;
use futures_util::future::{join, join_all};

use super::Counter;
use tests::time::{ms, pause};

/// Takes ten calls in a second, and one at once.
#[derive(Default, DurableState)]
pub struct Stile {
    passed: u64,
}

#[durable_object(name = "room.Stile", rate = "10/s", burst = 1, durability = "relaxed")]
impl Stile {
    pub fn pass(&mut self) -> u64 {
        self.passed += 1;
        self.passed
    }
}

/// Takes one call in an hour.
#[derive(Default, DurableState)]
pub struct Rare {
    seen: u64,
}

#[durable_object(name = "room.Rare", rate = "1/h", durability = "relaxed")]
impl Rare {
    pub fn see(&mut self) -> u64 {
        self.seen += 1;
        self.seen
    }
}

/// Turns of [`Cabin`]s that run, and the most that ever have.
static RIDING: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

/// Has room for two calls.
#[derive(Default, DurableState)]
pub struct Cabin {
    rides: u64,
}

#[durable_object(name = "room.Cabin", in_flight = 2, durability = "relaxed")]
impl Cabin {
    pub async fn ride(&mut self) -> u64 {
        MOST.fetch_max(RIDING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        pause(10).await;
        RIDING.fetch_sub(1, Ordering::SeqCst);
        self.rides += 1;
        self.rides
    }
}

/// Calls others in its turns.
#[derive(Default, DurableState)]
pub struct Caller {}

#[durable_object(name = "room.Caller", durability = "relaxed")]
impl Caller {
    pub async fn add(&self, cx: &Context<'_, Self>, times: u64) -> Vec<u64> {
        let counter = cx.get::<Counter>("c");
        let calls = (0..times).map(|_| counter.add(1).relaxed().wait_for_capacity().into_future());
        join_all(calls).await.into_iter().map(Result::unwrap).collect()
    }

    pub async fn pass(&self, cx: &Context<'_, Self>) -> String {
        let stile = cx.get::<Stile>("s");
        let pass = || stile.pass().wait_for_capacity().into_future();
        let (_, second) = join(pass(), pass()).await;
        second.unwrap_err().code().to_owned()
    }
}

/// With room for two calls at an object, and for three in all.
async fn start(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Stile>().register::<Cabin>();
    let builder = builder.register::<Counter>().register::<Caller>().register::<Rare>();
    builder.inbox_max(2).in_flight_max(3).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_get_room_in_the_order_in_which_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let counter = runtime.get::<Counter>("c");
    let adds = (0..50).map(|_| counter.add(1).wait_for_capacity().into_future());
    let answers: Vec<_> = join_all(adds).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (1..=50).collect::<Vec<_>>());
    // Over many objects, too, all of which wait for the same three places.
    let names: Vec<_> = (0..10).map(|n| format!("c{n}")).collect();
    let stubs: Vec<_> = names.iter().map(|name| runtime.get::<Counter>(name)).collect();
    let adds = (0..50).map(|n| stubs[n % 10].add(1).wait_for_capacity().into_future());
    let answers: Vec<_> = join_all(adds).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..50).map(|n| n / 10 + 1).collect::<Vec<_>>());
    assert_eq!(counter.add(1).await.unwrap(), 51, "all places are free again");
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_wait_gets_nothing_that_others_wait_for() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let counter = runtime.get::<Counter>("c");
    counter.count().await.unwrap();
    let waiting = join_all((0..6).map(|_| counter.add(1).wait_for_capacity().into_future()));
    let (answers, refused) = join(waiting, counter.add(1_000).into_future()).await;
    let error = refused.unwrap_err();
    assert!(error.code().ends_with(".overloaded"), "{error}");
    assert!(error.retry_after().is_some());
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(counter.count().await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_time_that_the_rate_lets_them_come_at() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let stile = runtime.get::<Stile>("s");
    let began = tokio::time::Instant::now();
    let passes = (0..5).map(|_| stile.pass().wait_for_capacity().into_future());
    let (answers, refused) = join(join_all(passes), stile.pass().into_future()).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [1, 2, 3, 4, 5]);
    let took = began.elapsed();
    assert!(took >= ms(400) && took < ms(420), "{took:?}");
    assert_eq!(refused.unwrap_err().code(), "object.overloaded", "others came before");
}

#[tokio::test(start_paused = true)]
async fn a_class_never_has_more_under_way_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let stubs: Vec<_> = ["a", "b", "c"].map(|name| runtime.get::<Cabin>(name)).into();
    let rides = (0..12).map(|n| stubs[n % 3].ride().wait_for_capacity().into_future());
    let answers: Vec<_> = join_all(rides).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_call_has_time_and_those_behind_get_the_room() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let stile = runtime.get::<Stile>("s");
    let pass = || stile.pass().wait_for_capacity();
    let hurried = pass().timeout(ms(50)).into_future();
    let (first, (second, third)) =
        join(pass().into_future(), join(hurried, pass().timeout(ms(150)).into_future())).await;
    assert_eq!(first.unwrap(), 1);
    let error = second.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.expired", Outcome::NotStarted));
    assert_eq!(third.unwrap(), 2, "it is the next");
    pause(1_000).await;
    let left = tokio::spawn(join(pass().into_future(), pass().into_future()));
    pause(10).await;
    left.abort();
    pause(150).await;
    assert_eq!(pass().await.unwrap(), 4, "whoever has left takes nothing of the rate");
}

#[tokio::test(start_paused = true)]
async fn a_call_inside_of_a_turn_is_queued_whether_there_is_room_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let caller = runtime.get::<Caller>("c");
    assert_eq!(caller.add(20).await.unwrap(), (1..=20).collect::<Vec<_>>());
    assert_eq!(caller.pass().await.unwrap(), "rate.exceeded", "a turn does not wait for time");
    // As many turns as may be under way, each of which calls others.
    let callers: Vec<_> = (0..3).map(|n| runtime.get::<Caller>(format!("{n}"))).collect();
    for answer in join_all(callers.iter().map(|caller| caller.add(5).into_future())).await {
        assert_eq!(answer.unwrap().len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_survive_crashes_of_the_object_and_hear_of_the_runtimes_end() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (counter, rare) = (runtime.get::<Counter>("c"), runtime.get::<Rare>("r"));
    let panic = counter.add_and_panic(1).wait_for_capacity().into_future();
    let adds = (0..9).map(|_| counter.add(1).wait_for_capacity().into_future());
    let (panicked, answers) = join(panic, join_all(adds)).await;
    assert_eq!(panicked.unwrap_err().code(), "call.panicked");
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (1..=9).collect::<Vec<_>>());
    let waiting = join_all((0..4).map(|_| rare.see().wait_for_capacity().into_future()));
    let waiting = tokio::spawn(waiting);
    pause(250).await;
    // Time stands still for the disk, so what is being stored may be cut off.
    drop(runtime.shutdown().await);
    let answers = waiting.await.unwrap();
    assert_eq!(*answers[0].as_ref().unwrap(), 1);
    for error in answers.into_iter().skip(1).map(Result::unwrap_err) {
        assert_eq!((error.code(), error.outcome()), ("runtime.closed", Outcome::NotStarted));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_leaves_memory_while_calls_wait_for_its_rate() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let rare = runtime.get::<Rare>("r");
    // What is durable does not keep it in memory.
    assert_eq!(rare.see().synced().await.unwrap(), 1);
    let waiting = tokio::spawn(rare.see().wait_for_capacity().into_future());
    while runtime.resident_objects() > 0 {
        pause(1_000).await;
    }
    for _ in 0..60 {
        pause(1_000).await;
        assert_eq!(runtime.resident_objects(), 0, "it does not come and go");
    }
    assert!(!waiting.is_finished());
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}
