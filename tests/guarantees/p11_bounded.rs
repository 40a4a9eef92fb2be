//! P11: every queue has a bound, and overload is a typed error, at once.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::ErrorKind;
use durable::prelude::*;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tests::WriterGate;

use super::{Counter, counters};

#[tokio::test]
async fn the_1025th_waiting_call_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    // A test on one thread: no turn begins before this task waits.
    let mut calls: FuturesOrdered<_> = (0..1_025).map(|_| counter.add(1).into_future()).collect();
    let mut answers = Vec::new();
    while let Some(answer) = calls.next().await {
        answers.push(answer);
    }
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].code(), "object.overloaded");
    assert_eq!(refused[0].kind(), ErrorKind::Backoff);
    assert_eq!(refused[0].outcome(), durable::Outcome::NotStarted);
    assert!(
        refused[0].message().contains("1024 calls wait at test.Counter(ada), the limit is 1024")
    );
    assert_eq!(counter.count().await.unwrap(), 1_024);
}

#[tokio::test]
async fn the_bound_of_an_inbox_can_be_lowered() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().inbox_max(2).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    let (a, b, c) = tokio::join!(counter.add(1), counter.add(1), counter.add(1));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(c.unwrap_err().code(), "object.overloaded");
}

#[tokio::test]
async fn calls_in_flight_are_bounded_over_all_objects() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime = Runtime::builder(dir.path())
        .register::<Counter>()
        .in_flight_max(8)
        .host(gate.host())
        .start()
        .await
        .unwrap();
    gate.close();
    let calls: Vec<_> = (0..8)
        .map(|n| tokio::spawn(runtime.get::<Counter>(format!("c{n}")).add(1).into_future()))
        .collect();
    while runtime.resident_objects() < 8 {
        tokio::task::yield_now().await;
    }
    let error = runtime.get::<Counter>("more").count().await.unwrap_err();
    assert_eq!(error.code(), "runtime.overloaded");
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    assert_eq!(
        runtime.get::<Counter>("more").count().await.unwrap(),
        0,
        "the places were given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_ran_out_before_it_began_never_begins() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    let (slow, late) = tokio::join!(
        counter.add_slowly(1, 5_000),
        counter.add(100).timeout(Duration::from_millis(10))
    );
    assert_eq!(slow.unwrap(), 1);
    let error = late.unwrap_err();
    assert_eq!(error.code(), "call.expired");
    assert_eq!(error.outcome(), durable::Outcome::NotStarted);
    assert_eq!(counter.count().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_left_before_it_began_never_begins() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    let slow = tokio::spawn(counter.add_slowly(1, 5_000).into_future());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let left = tokio::spawn(counter.add(100).into_future());
    tokio::time::sleep(Duration::from_millis(10)).await;
    left.abort();
    assert_eq!(slow.await.unwrap().unwrap(), 1);
    assert_eq!(counter.count().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_taken_back_give_their_places_back() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>();
    let builder = builder.in_flight_max(20).inbox_max(10).turn_limit(Duration::from_secs(7_200));
    let runtime = builder.start().await.unwrap();
    let (stuck, other) = (runtime.get::<Counter>("stuck"), runtime.get::<Counter>("other"));
    stuck.count().await.unwrap();
    let slow = tokio::spawn(stuck.add_slowly(1, 3_600_000).into_future());
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..10 {
        let adds = (0..10).map(|_| stuck.add(1).timeout(Duration::from_millis(5)).into_future());
        for answer in futures_util::future::join_all(adds).await {
            assert_eq!(answer.unwrap_err().code(), "call.expired", "and not overloaded");
        }
        assert_eq!(other.count().await.unwrap(), 0);
    }
    assert_eq!(slow.await.unwrap().unwrap(), 1);
}

/// Turns of [`Heavy`].
static TURNS: AtomicU64 = AtomicU64::new(0);

#[derive(Default, DurableState)]
pub struct Heavy {
    n: u64,
    bytes: Vec<u8>,
}

#[durable_object(name = "test.Heavy")]
impl Heavy {
    /// Makes the state 2 MB of new bytes.
    pub fn fill(&mut self) -> u64 {
        TURNS.fetch_add(1, Ordering::SeqCst);
        self.n += 1;
        self.bytes = vec![self.n as u8; 2_000_000];
        self.n
    }
}

#[tokio::test]
async fn an_object_with_large_states_waits_for_a_slow_disk() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir.path()).register::<Heavy>();
    let runtime = builder.host(gate.host()).start().await.unwrap();
    let heavy = runtime.get::<Heavy>("h");
    heavy.fill().await.unwrap();
    gate.close();
    let mut calls = futures_util::future::join_all((0..80).map(|_| heavy.fill().into_future()));
    for _ in 0..2_000 {
        assert!(futures_util::poll!(&mut calls).is_pending());
        tokio::task::yield_now().await;
    }
    let turns = TURNS.load(Ordering::SeqCst);
    // The writer may have taken one batch of 16 MiB just before the gate was closed.
    assert!((33..=45).contains(&turns), "{turns} turns ran, 64 MiB hold about 33 states");
    gate.open();
    assert_eq!(calls.await.into_iter().map(Result::unwrap).max(), Some(81));
}
