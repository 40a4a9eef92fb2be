//! P4: nothing leaves an object before every change that it could have seen is durable.

use std::future::IntoFuture;

use durable::prelude::*;
use futures_util::poll;
use tests::WriterGate;

use super::Counter;

/// Polls a future often enough that it would have ended if nothing held it.
pub(super) async fn is_held<F: Future + Unpin>(mut future: F) -> bool {
    for _ in 0..1_000 {
        if poll!(&mut future).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn a_reply_waits_for_its_own_commit() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().host(gate.host()).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    gate.close();
    let mut add = counter.add(1).into_future();
    assert!(is_held(&mut add).await, "the reply left before the sync");
    gate.open();
    assert_eq!(add.await.unwrap(), 1);
}

#[tokio::test]
async fn everything_that_saw_an_undurable_change_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().host(gate.host()).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    gate.close();
    let mut add = counter.add(1).into_future();
    assert!(is_held(&mut add).await);
    let mut read = counter.count().into_future();
    let mut touch = counter.touch().into_future();
    let mut refuse = counter.add_and_refuse(4).into_future();
    assert!(is_held(&mut read).await, "a read left with an undurable change");
    assert!(is_held(&mut touch).await, "an unchanged write left with an undurable change");
    assert!(is_held(&mut refuse).await, "an error left with an undurable change");
    let mut panicking = counter.add_and_panic(4).into_future();
    assert!(is_held(&mut panicking).await, "a panic's error left with an undurable change");
    gate.open();
    assert_eq!(add.await.unwrap(), 1);
    assert_eq!(read.await.unwrap(), 1);
    assert_eq!(touch.await.unwrap(), 1);
    assert!(refuse.await.unwrap_err().rejection().is_some());
    assert_eq!(panicking.await.unwrap_err().code(), "call.panicked");
}

#[tokio::test]
async fn an_object_that_only_reads_does_not_wait_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().host(gate.host()).start().await.unwrap();
    let (writes, reads) = (runtime.get::<Counter>("writes"), runtime.get::<Counter>("reads"));
    tokio::join!(async { writes.count().await.unwrap() }, async { reads.count().await.unwrap() });
    gate.close();
    let mut add = writes.add(1).into_future();
    assert!(is_held(&mut add).await);
    assert_eq!(reads.count().await.unwrap(), 0, "it saw nothing that is not durable");
    gate.open();
    add.await.unwrap();
}

/// Calls another object from inside a turn.
#[derive(Default, DurableState)]
pub struct Caller {
    n: u64,
    #[serde(skip)]
    kept: Option<super::CounterStub>,
}

#[durable_object(name = "test.Caller")]
impl Caller {
    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    /// Tells the counter that it keeps a stub of since it was woken.
    pub async fn tell_kept(&self) -> Result<u64, Error> {
        let kept = self.kept.as_ref().expect("it was woken");
        kept.add(self.n).await
    }

    #[on_activate]
    fn wake(&mut self, cx: &mut Context<'_, Self>) {
        self.kept = Some(cx.get::<Counter>("target"));
    }

    /// Tells a counter what this object has.
    pub async fn tell(&self, cx: &Context<'_, Self>, counter: String) -> Result<u64, Error> {
        cx.get::<Counter>(&counter).add(self.n).await
    }
}

#[tokio::test]
async fn a_call_made_in_a_turn_leaves_when_all_earlier_turns_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime = Runtime::builder(dir.path())
        .register::<Counter>()
        .register::<Caller>()
        .host(gate.host())
        .start()
        .await
        .unwrap();
    let (caller, counter) = (runtime.get::<Caller>("c"), runtime.get::<Counter>("target"));
    caller.add().await.unwrap();
    counter.count().await.unwrap();
    gate.close();
    let mut add = caller.add().into_future();
    let mut tell = caller.tell("target".into()).into_future();
    let mut tell_kept = caller.tell_kept().into_future();
    assert!(is_held(&mut add).await);
    assert!(is_held(&mut tell).await);
    assert!(is_held(&mut tell_kept).await);
    assert_eq!(counter.count().await.unwrap(), 0, "the call left with an undurable change");
    gate.open();
    add.await.unwrap();
    let (told, told_kept) = tokio::join!(tell, tell_kept);
    assert_eq!(told.unwrap().max(told_kept.unwrap()), 4);
}

#[tokio::test]
async fn a_failed_commit_fails_all_that_saw_it_and_the_next_call_starts_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().host(gate.host()).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    counter.add(5).await.unwrap();
    // Somebody else commits to the object: what this activation commits next is stale.
    tests::first_shard(dir.path())
        .execute("UPDATE snapshots SET commit_no = commit_no + 1", [])
        .unwrap();
    gate.close();
    let mut add = counter.add(1).into_future();
    let mut read = counter.count().into_future();
    let mut more = counter.add(1).into_future();
    assert!(is_held(&mut add).await && is_held(&mut read).await && is_held(&mut more).await);
    gate.open();
    assert_eq!(add.await.unwrap_err().code(), "storage.fenced");
    assert_eq!(read.await.unwrap_err().code(), "storage.fenced");
    assert_eq!(more.await.unwrap_err().code(), "storage.fenced");
    assert_eq!(counter.count().await.unwrap(), 5);
    assert_eq!(counter.add(1).await.unwrap(), 6);
}
