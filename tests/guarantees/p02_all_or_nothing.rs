//! P2: what one method did commits together, or memory and disk are as before the call.

use durable::prelude::*;

use super::{Counter, counters};

#[tokio::test]
async fn a_refused_turn_changes_neither_memory_nor_disk() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.add(10).await.unwrap();
    for n in 1..=5 {
        let error = counter.add_and_refuse(n).await.unwrap_err();
        assert_eq!(error.rejection(), Some(&format!("refused {n}")));
        assert_eq!(counter.count().await.unwrap(), 10, "memory");
    }
    runtime.evict(counter.id().unwrap()).await.unwrap();
    assert_eq!(counter.count().await.unwrap(), 10, "disk");
}

#[tokio::test]
async fn a_panicking_turn_changes_neither_memory_nor_disk() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.add(10).await.unwrap();
    let error = counter.add_and_panic(7).await.unwrap_err();
    assert_eq!(error.code(), "call.panicked");
    assert_eq!(error.outcome(), durable::Outcome::RolledBack);
    assert_eq!(counter.count().await.unwrap(), 10);
    assert_eq!(counter.add(1).await.unwrap(), 11);
}

#[tokio::test]
async fn a_refused_first_turn_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    runtime.get::<Counter>("ada").add_and_refuse(1).await.unwrap_err();
    runtime.shutdown().await.unwrap();
    assert_eq!(tests::stored_objects(dir.path()), 0);
}

/// Remembers in memory how often it was woken.
#[derive(Default, DurableState)]
pub struct Woken {
    n: u64,
    #[serde(skip)]
    wakes: u64,
}

#[durable_object(name = "test.Woken")]
impl Woken {
    pub fn bump_and_refuse(&mut self) -> Result<(), String> {
        self.n += 1;
        Err("no".into())
    }

    pub fn refuse_untouched(&mut self) -> Result<(), String> {
        Err("no".into())
    }

    pub fn seen(&self) -> (u64, u64) {
        (self.n, self.wakes)
    }

    #[on_activate]
    async fn wake(&mut self) {
        self.wakes += 1;
    }
}

#[tokio::test]
async fn a_rolled_back_object_is_woken_as_after_a_restart_and_an_untouched_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Woken>().start().await.unwrap();
    let object = runtime.get::<Woken>("w");
    object.refuse_untouched().await.unwrap_err();
    assert_eq!(object.seen().await.unwrap(), (0, 1));
    object.bump_and_refuse().await.unwrap_err();
    assert_eq!(
        object.seen().await.unwrap(),
        (0, 1),
        "transient fields start anew, then it is woken"
    );
}

/// A state whose size a test chooses.
#[derive(Default, DurableState)]
pub struct Blob {
    bytes: Vec<u8>,
}

#[durable_object(name = "test.Blob")]
impl Blob {
    pub fn fill(&mut self, size: usize) -> u64 {
        self.bytes = vec![7; size];
        size as u64
    }

    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[tokio::test]
async fn a_state_over_the_limit_is_refused_with_both_numbers_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Blob>().start().await.unwrap();
    let blob = runtime.get::<Blob>("b");
    blob.fill(100).await.unwrap();
    let error = blob.fill(2 * 1024 * 1024 + 1).await.unwrap_err();
    assert_eq!(error.code(), "state.too_large");
    assert!(
        error.message().contains("2097157 bytes once encoded, the limit is 2097152"),
        "{error}"
    );
    assert_eq!(blob.size().await.unwrap(), 100);
    blob.fill(2 * 1024 * 1024 - 4).await.unwrap();
}
