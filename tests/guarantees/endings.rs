//! Every call is answered, whatever ends first: the activation, the runtime, tokio, or the caller's patience.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use durable::Outcome;
use durable::prelude::*;
use futures_util::future::join_all;
use futures_util::poll;
use tests::WriterGate;

use super::{Counter, counters};

/// Takes its time to start, and to work.
#[derive(Default, DurableState)]
pub struct Slow {
    n: u64,
}

#[durable_object(name = "test.Slow")]
impl Slow {
    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    /// Calls another object after a pause.
    pub async fn add_elsewhere(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.n += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        cx.get::<Counter>("elsewhere").add(self.n).await
    }

    #[on_activate]
    async fn wake(&mut self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn slow(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Slow>().register::<Counter>().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_while_an_object_starts_serves_its_calls_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = slow(dir.path()).await;
    let stub = runtime.get::<Slow>("s");
    let mut calls = join_all((0..10).map(|_| stub.add().into_future()));
    assert!(poll!(&mut calls).is_pending());
    let (answers, stopped) = tokio::join!(calls, runtime.shutdown());
    stopped.unwrap();
    assert_eq!(answers.into_iter().map(Result::unwrap).max(), Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evictions_without_end_do_not_starve_a_call() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = slow(dir.path()).await;
    let stub = runtime.get::<Slow>("s");
    let id = stub.id().unwrap();
    let evictor = tokio::spawn({
        let runtime = runtime.clone();
        async move {
            loop {
                runtime.evict(id).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    for n in 1..=5 {
        assert_eq!(stub.add().await.unwrap(), n);
    }
    evictor.abort();
}

#[tokio::test]
async fn a_turn_that_runs_at_shutdown_may_still_call_others() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = slow(dir.path()).await;
    let stub = runtime.get::<Slow>("s");
    stub.add().await.unwrap();
    let mut call = stub.add_elsewhere().into_future();
    assert!(poll!(&mut call).is_pending());
    let (answer, stopped) = tokio::join!(call, runtime.shutdown());
    stopped.unwrap();
    assert_eq!(answer.unwrap(), 2);
}

#[test]
fn a_caller_needs_no_tokio_not_even_for_a_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = tokio.block_on(counters(dir.path()));
    let counter = runtime.get::<Counter>("ada");
    let call = counter.add(1).timeout(Duration::from_secs(60)).into_future();
    assert_eq!(futures_executor::block_on(call).unwrap(), 1);
    let error = counter.add_slowly(1, 60_000).timeout(Duration::from_millis(1)).into_future();
    assert_eq!(futures_executor::block_on(error).unwrap_err().code(), "call.expired");
    // Sends are delivered where the runtime is; this one may be in any other of tokio's, or in none.
    let counter = runtime.get::<Counter>("bob");
    futures_executor::block_on(counter.add(1).send()).unwrap();
    let later = counter.add(1).send_after(Duration::from_secs(3_600));
    let later = futures_executor::block_on(later).unwrap();
    assert!(futures_executor::block_on(runtime.cancel_send(later)).unwrap());
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(counter.add(1).send()).unwrap();
    let count = || other.block_on(counter.count().into_future()).unwrap();
    while count() < 2 {
        std::thread::yield_now();
    }
}

#[test]
fn calls_are_answered_when_the_tokio_runtime_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = tokio.block_on(counters(dir.path()));
    let (warm, cold) = (runtime.get::<Counter>("warm"), runtime.get::<Counter>("cold"));
    tokio.block_on(warm.add(1).into_future()).unwrap();
    let mut stuck = warm.add_slowly(1, 3_600_000).into_future();
    tokio.block_on(async { assert!(poll!(&mut stuck).is_pending()) });
    drop(tokio);
    let code = |answer: Result<u64, Error>| answer.unwrap_err().code();
    assert!(["call.aborted", "runtime.closed"].contains(&code(futures_executor::block_on(stuck))));
    assert_eq!(code(futures_executor::block_on(warm.add(1).into_future())), "runtime.closed");
    assert_eq!(code(futures_executor::block_on(cold.add(1).into_future())), "runtime.closed");
    for counter in [&warm, &cold] {
        let error = futures_executor::block_on(counter.add(1).send()).unwrap_err();
        assert_eq!((error.code(), error.outcome()), ("runtime.closed", Outcome::NotStarted));
    }
    drop((runtime, warm, cold));
    // Nothing was kept of what was answered so.
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = tokio.block_on(counters(dir.path()));
    assert_eq!(tokio.block_on(runtime.get::<Counter>("warm").count().into_future()).unwrap(), 1);
    assert_eq!(tokio.block_on(runtime.get::<Counter>("cold").count().into_future()).unwrap(), 0);
}

/// A value whose `Drop` panics if it is armed.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "the bomb went off");
    }
}

static STARTS_FAIL: AtomicBool = AtomicBool::new(false);

#[derive(Default, DurableState)]
pub struct Bomber {
    n: u64,
}

#[durable_object(name = "test.Bomber")]
impl Bomber {
    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    pub fn n(&self) -> u64 {
        self.n
    }

    pub async fn answer_bomb(&self) -> Bomb {
        tokio::task::yield_now().await;
        Bomb(true)
    }

    pub fn take_bomb(&mut self, bomb: Bomb) {
        std::mem::forget(bomb);
    }

    #[on_activate]
    async fn wake(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        if STARTS_FAIL.load(Ordering::SeqCst) { Err("told to".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_drop_that_panics_costs_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir.path()).register::<Bomber>();
    let runtime = builder.host(gate.host()).start().await.unwrap();
    let bomber = runtime.get::<Bomber>("b");
    bomber.add().await.unwrap();
    gate.close();
    let mut add = bomber.add().into_future();
    assert!(poll!(&mut add).is_pending());
    // The caller leaves while its read runs, and the reply is dropped where nobody waits for it.
    let mut left = bomber.answer_bomb().into_future();
    assert!(poll!(&mut left).is_pending());
    tokio::task::yield_now().await;
    drop(left);
    let mut read = bomber.n().into_future();
    for _ in 0..100 {
        assert!(poll!(&mut read).is_pending(), "a read left with an undurable change");
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!((add.await.unwrap(), read.await.unwrap()), (2, 2));

    runtime.evict(bomber.id().unwrap()).await.unwrap();
    STARTS_FAIL.store(true, Ordering::SeqCst);
    let (mut bomb, behind) = (bomber.take_bomb(Bomb(true)).into_future(), bomber.n().into_future());
    assert!(poll!(&mut bomb).is_pending());
    assert_eq!(behind.await.unwrap_err().code(), "object.unstartable");
    assert_eq!(bomb.await.unwrap_err().code(), "object.unstartable");
    STARTS_FAIL.store(false, Ordering::SeqCst);
    assert_eq!(bomber.n().await.unwrap(), 2);
}
