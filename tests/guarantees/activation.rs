//! Objects come into memory when they are called and leave when they are idle; nobody who calls notices.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::prelude::*;
use futures_util::future::join_all;

use super::{Counter, counters};

/// Activations of [`Watched`], over all objects of the test that names them so.
static STARTS: AtomicU64 = AtomicU64::new(0);

#[derive(Default, DurableState)]
pub struct Watched {
    n: u64,
}

#[durable_object(name = "test.Watched", idle = "500ms")]
impl Watched {
    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    #[on_activate]
    async fn wake(&mut self) {
        STARTS.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_racing_first_calls_make_one_activation_and_idleness_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Watched>().start().await.unwrap();
    let calls: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(runtime.get::<Watched>("one").add().into_future()))
        .collect();
    let mut counts: Vec<u64> =
        join_all(calls).await.into_iter().map(|count| count.unwrap().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(STARTS.load(Ordering::SeqCst), 1);
    until(|| runtime.resident_objects() == 0).await;
    assert_eq!(runtime.get::<Watched>("one").add().await.unwrap(), 1_001);
    assert_eq!(STARTS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_least_recently_used_object_leaves_when_another_needs_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<Transient>().resident_max(3).start().await.unwrap();
    let object = |name: &str| runtime.get::<Transient>(name);
    for name in ["a", "b", "c"] {
        object(name).mark().await.unwrap();
    }
    assert_eq!(object("a").marks().await.unwrap(), 1, "a was used last");
    object("d").mark().await.unwrap();
    until(|| runtime.resident_objects() == 3).await;
    for name in ["a", "c", "d"] {
        assert_eq!(object(name).marks().await.unwrap(), 1, "{name} stayed in memory");
    }
    assert_eq!(object("b").marks().await.unwrap(), 0, "b had left memory");
}

/// Keeps its marks in memory only.
#[derive(Default, DurableState)]
pub struct Transient {
    #[serde(skip)]
    marks: std::sync::Arc<AtomicU64>,
}

#[durable_object(name = "test.Transient")]
impl Transient {
    pub fn mark(&self) -> u64 {
        self.marks.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn marks(&self) -> u64 {
        self.marks.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_more_objects_than_places_all_keep_their_counts() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().resident_max(16).start().await.unwrap();
    for round in 1..=5 {
        let adds = (0..200).map(|n| runtime.get::<Counter>(format!("c{n}")).add(1).into_future());
        for count in join_all(adds).await {
            assert_eq!(count.unwrap(), round);
        }
    }
    until(|| runtime.resident_objects() <= 16).await;
}

#[tokio::test]
async fn eviction_drops_memory_and_keeps_storage() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path())
        .register::<Counter>()
        .register::<Transient>()
        .start()
        .await
        .unwrap();
    let (stored, transient) = (runtime.get::<Counter>("s"), runtime.get::<Transient>("t"));
    stored.add(3).await.unwrap();
    transient.mark().await.unwrap();
    assert!(runtime.evict(stored.id().unwrap()).await.unwrap());
    assert!(runtime.evict(transient.id().unwrap()).await.unwrap());
    assert!(!runtime.evict(stored.id().unwrap()).await.unwrap(), "it is not in memory any more");
    assert_eq!(stored.count().await.unwrap(), 3);
    assert_eq!(transient.marks().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_meet_an_eviction_are_neither_lost_nor_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let counter = runtime.get::<Counter>("busy");
            tokio::spawn(async move {
                for _ in 0..200 {
                    counter.add(1).await.unwrap();
                }
            })
        })
        .collect();
    let id = runtime.get::<Counter>("busy").id().unwrap();
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        runtime.evict(id).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.get::<Counter>("busy").count().await.unwrap(), 1_600);
}

#[tokio::test]
async fn an_object_that_was_only_read_leaves_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    counter.touch().await.unwrap();
    assert!(runtime.list::<Counter>().page().await.unwrap().is_empty());
    runtime.shutdown().await.unwrap();
    assert_eq!(tests::stored_objects(dir.path()), 0);
}

#[tokio::test]
async fn calls_on_one_hot_object_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let gate = tests::WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().host(gate.host()).start().await.unwrap();
    let counter = runtime.get::<Counter>("hot");
    counter.add(1).await.unwrap();
    gate.close();
    let steps = gate.steps();
    let calls: Vec<_> = (0..500).map(|_| tokio::spawn(counter.add(1).into_future())).collect();
    // All turns run while nothing can become durable: the next turn does not wait for the sync of the one before.
    until(|| gate.is_reached()).await;
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let steps = gate.steps() - steps;
    assert!(steps <= 10, "500 commits took {steps} steps of the writer");
}

/// Many classes with a state each, to crowd one runtime.
macro_rules! crowd {
    ($($class:ident $name:literal)+) => {
        $(
            #[derive(Default, DurableState)]
            pub struct $class { n: u64 }

            #[durable_object(name = $name)]
            impl $class {
                pub fn n(&self) -> u64 {
                    self.n
                }
            }
        )+

        async fn crowded(dir: &std::path::Path) -> Runtime {
            let builder = Runtime::builder(dir).resident_max(8);
            builder$(.register::<$class>())+.start().await.unwrap()
        }

        /// Callers of all classes at once.
        fn callers(runtime: &Runtime) -> Vec<tokio::task::JoinHandle<()>> {
            vec![$({
                let runtime = runtime.clone();
                tokio::spawn(async move {
                    for n in 0..100 {
                        runtime.get::<$class>(format!("o{n}")).n().await.unwrap();
                    }
                })
            }),+]
        }
    };
}

crowd! {
    C01 "crowd.01" C02 "crowd.02" C03 "crowd.03" C04 "crowd.04" C05 "crowd.05" C06 "crowd.06"
    C07 "crowd.07" C08 "crowd.08" C09 "crowd.09" C10 "crowd.10" C11 "crowd.11" C12 "crowd.12"
    C13 "crowd.13" C14 "crowd.14" C15 "crowd.15" C16 "crowd.16" C17 "crowd.17" C18 "crowd.18"
    C19 "crowd.19" C20 "crowd.20" C21 "crowd.21" C22 "crowd.22" C23 "crowd.23" C24 "crowd.24"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_classes_share_one_cap() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = crowded(dir.path()).await;
    for caller in callers(&runtime) {
        caller.await.unwrap();
    }
    until(|| runtime.resident_objects() <= 8).await;
}
