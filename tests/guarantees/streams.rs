//! Methods that return streams: bounded, back-pressured, ended with the activation, and whole unless they say otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::ItemStream;
use durable::limits::STREAM_ITEMS_MAX;
use durable::prelude::*;
use durable_testing::prelude::*;
use futures_util::{Stream, StreamExt, stream};
use tests::streams::{Cup, Tap, taps};

/// Items that were asked for, and streams that have gone, in this process; each test looks at its own place.
static ASKED: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static GONE: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

struct Going(usize);

impl Drop for Going {
    fn drop(&mut self) {
        GONE[self.0].fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts what is asked for.
#[derive(Default, DurableState)]
pub struct Spring {
    count: u64,
}

#[durable_object(name = "streams.Spring", idle = "20ms")]
impl Spring {
    /// Never ends. The one with an odd place never has an item.
    pub fn flow(&mut self, place: usize) -> impl Stream<Item = (u64, u64)> + use<> {
        self.count += 1;
        let (count, going) = (self.count, Going(place));
        stream::unfold((0, going), move |(at, going)| async move {
            ASKED[place].fetch_add(1, Ordering::SeqCst);
            if place % 2 == 1 {
                std::future::pending::<()>().await;
            }
            Some(((count, at), (at + 1, going)))
        })
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}

async fn start() -> (tempfile::TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Spring>();
    let runtime = taps(builder).start().await.unwrap();
    (dir, runtime)
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

async fn all(items: ItemStream<u64>) -> (Vec<u64>, Option<String>) {
    let items: Vec<_> = items.collect().await;
    let error = items.last().and_then(|last| last.as_ref().err()).map(|error| error.code());
    let error = error.map(str::to_owned);
    (items.into_iter().filter_map(Result::ok).collect(), error)
}

#[tokio::test]
async fn items_come_in_their_order_and_then_an_end() {
    let (_dir, runtime) = start().await;
    let tap = runtime.get::<Tap>("one");
    let whole: Vec<u64> = (0..100).collect();
    assert_eq!(all(tap.open(100, 0).await.unwrap()).await, (whole.clone(), None));
    assert_eq!(all(tap.look(100, 0).await.unwrap()).await, (whole, None));
    assert_eq!(all(tap.open(0, 0).await.unwrap()).await, (vec![], None));
    assert_eq!(tap.opened().await.unwrap(), 2);
    let mut short = tap.open(1, 0).await.unwrap();
    assert_eq!(short.next().await.unwrap().unwrap(), 0);
    assert!(short.next().await.is_none() && short.next().await.is_none(), "it stays ended");
}

#[tokio::test]
async fn nothing_is_asked_for_that_its_reader_has_no_room_for() {
    let (_dir, runtime) = start().await;
    let mut flow = runtime.get::<Spring>("a").flow(0).await.unwrap();
    let room = STREAM_ITEMS_MAX as u64;
    until(|| ASKED[0].load(Ordering::SeqCst) == room).await;
    for at in 0..10 {
        assert_eq!(flow.next().await.unwrap().unwrap(), (1, at));
        until(|| ASKED[0].load(Ordering::SeqCst) == room + at + 1).await;
    }
    assert_eq!(GONE[0].load(Ordering::SeqCst), 0);
    drop(flow);
    until(|| GONE[0].load(Ordering::SeqCst) == 1).await;
    assert_eq!(runtime.get::<Spring>("a").count().await.unwrap(), 1, "the object goes on");
}

#[tokio::test]
async fn a_stream_that_waits_ends_when_its_reader_goes() {
    let (_dir, runtime) = start().await;
    let flow = runtime.get::<Spring>("a").flow(1).await.unwrap();
    until(|| ASKED[1].load(Ordering::SeqCst) == 1).await;
    drop(flow);
    until(|| GONE[1].load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn one_that_ends_before_it_is_done_says_so() {
    let (_dir, runtime) = start().await;
    let spring = runtime.get::<Spring>("a");
    let mut flow = spring.flow(3).await.unwrap();
    assert!(runtime.evict(spring.id().unwrap()).await.unwrap());
    assert_eq!(flow.next().await.unwrap().unwrap_err().code(), "stream.cut");
    assert!(flow.next().await.is_none(), "and nothing more");
    let tap = runtime.get::<Tap>("one");
    let burst = tap.burst(5).await.unwrap();
    assert_eq!(all(burst).await, (vec![0, 1, 2, 3, 4], Some("stream.cut".to_owned())));
    assert_eq!(tap.opened().await.unwrap(), 0, "its object is well");
}

#[tokio::test]
async fn an_object_in_memory_stays_there_while_somebody_reads() {
    let (_dir, runtime) = start().await;
    let spring = runtime.get::<Spring>("a");
    let mut flow = spring.flow(2).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..2 * STREAM_ITEMS_MAX {
        flow.next().await.unwrap().unwrap();
    }
    let next = flow.next().await.unwrap().unwrap();
    assert_eq!(next.0, 1, "it is the same one");
}

#[tokio::test]
async fn a_turn_that_fails_gives_no_stream() {
    let (_dir, runtime) = start().await;
    let tap = runtime.get::<Tap>("one");
    assert_eq!(tap.open_and_panic(true).await.unwrap_err().code(), "call.panicked");
    assert_eq!(tap.opened().await.unwrap(), 0);
    let keyed = tap.open(3, 0).idempotency_key("k").await;
    assert_eq!(keyed.unwrap_err().code(), "call.unencodable", "a stream cannot be kept");
    assert_eq!(tap.opened().await.unwrap(), 0);
}

#[durable_testing::test(runtime = taps, seeds = 5)]
async fn a_caller_elsewhere_is_told_that_it_cannot_have_one(sim: Sim) -> TestResult {
    let tap = sim.get::<Tap>("one");
    let error = tap.look(3, 0).await.expect_err("it is for callers in its process");
    assert_eq!(error.code(), "call.unencodable");
    assert!(error.message().contains("the same process"), "{error}");
    assert!(sim.get::<Cup>("a").drink("one".to_owned(), 50, 1).await?);
    Ok(())
}

#[durable_testing::test(runtime = taps, crash_everywhere)]
async fn a_stream_that_ends_is_whole_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let _ = sim.get::<Cup>("a").drink("one".to_owned(), 20, 2).await;
    sim.heal().await?;
    assert!(sim.get::<Cup>("a").drink("one".to_owned(), 20, 2).await?);
    Ok(())
}
