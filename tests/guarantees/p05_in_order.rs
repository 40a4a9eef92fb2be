//! P5: calls made through one stub begin in the order in which they were made, also across eviction and restart.

use std::future::IntoFuture;

use std::time::Duration;

use durable::prelude::*;
use futures_util::stream::{FuturesOrdered, StreamExt};

/// Remembers what it was told, in order.
#[derive(Default, DurableState)]
pub struct Log {
    lines: Vec<u32>,
}

#[durable_object(name = "test.Log")]
impl Log {
    pub fn push(&mut self, line: u32) -> u64 {
        self.lines.push(line);
        self.lines.len() as u64
    }

    pub fn lines(&self) -> Vec<u32> {
        self.lines.clone()
    }

    pub fn crash(&mut self) {
        self.lines.clear();
        panic!("asked to");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_stub_begin_in_order_across_evictions() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Log>().start().await.unwrap();
    let log = runtime.get::<Log>("l");
    let id = log.id().unwrap();
    let evictor = tokio::spawn({
        let runtime = runtime.clone();
        async move {
            for _ in 0..200 {
                runtime.evict(id).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    for round in 0..20 {
        let mut calls: FuturesOrdered<_> =
            (0..50).map(|n| log.push(round * 50 + n).into_future()).collect();
        while let Some(answer) = calls.next().await {
            answer.unwrap();
        }
    }
    evictor.await.unwrap();
    assert_eq!(log.lines().await.unwrap(), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_stub_begin_in_order_across_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let builder =
        Runtime::builder(dir.path()).register::<Log>().crashes(1_000, Duration::from_secs(1));
    let runtime = builder.start().await.unwrap();
    let log = runtime.get::<Log>("l");
    let mut calls: FuturesOrdered<_> = FuturesOrdered::new();
    let mut crashes = Vec::new();
    for n in 0..300 {
        calls.push_back(log.push(n).into_future());
        if n % 10 == 7 {
            // A crash stands in the queue between the calls.
            let crash = log.crash().into_future();
            crashes.push(tokio::spawn(crash));
        }
    }
    while let Some(answer) = calls.next().await {
        answer.unwrap();
    }
    for crash in crashes {
        assert_eq!(crash.await.unwrap().unwrap_err().code(), "call.panicked");
    }
    assert_eq!(log.lines().await.unwrap(), (0..300).collect::<Vec<_>>());
}
