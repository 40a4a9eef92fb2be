//! P3: `&mut self` turns never overlap with anything on their object; `&self` turns overlap only with each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::prelude::*;
use tokio::sync::Barrier;

/// Watches from outside who is inside.
#[derive(Default, DurableState)]
pub struct Room {
    visits: u64,
    #[serde(skip)]
    inside: Arc<AtomicUsize>,
    #[serde(skip)]
    meeting: Meeting,
}

/// Two readers that can only pass together.
#[derive(Clone)]
pub struct Meeting(Arc<Barrier>);

impl Default for Meeting {
    fn default() -> Self {
        Meeting(Arc::new(Barrier::new(2)))
    }
}

#[durable_object(name = "test.Room")]
impl Room {
    pub async fn alone(&mut self) -> u64 {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else was inside");
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.visits += 1;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.visits
    }

    pub async fn together(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends only if another reader is inside at the same time.
    pub async fn meet(&self) {
        self.meeting.0.wait().await;
    }

    pub async fn wait_for_reader(&self, gate_ms: u64) {
        tokio::time::sleep(Duration::from_millis(gate_ms)).await;
    }
}

async fn room(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Room>().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_alone_whatever_comes_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = room(dir.path()).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let room = runtime.get::<Room>("r");
            tokio::spawn(async move {
                for _ in 0..50 {
                    room.alone().await.unwrap();
                    room.together().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(runtime.get::<Room>("r").alone().await.unwrap(), 801);
}

#[tokio::test]
async fn reads_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = room(dir.path()).await;
    let room = runtime.get::<Room>("r");
    let (first, second) = tokio::join!(room.meet(), room.meet());
    first.unwrap();
    second.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_write_is_not_overtaken_by_reads() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = room(dir.path()).await;
    let room = runtime.get::<Room>("r");
    // The second reader comes after the write, and so meets nobody before the write has run.
    let (_, visits, late) = tokio::join!(
        room.wait_for_reader(50),
        room.alone(),
        room.wait_for_reader(1).timeout(Duration::from_millis(20))
    );
    assert_eq!(visits.unwrap(), 1);
    assert_eq!(late.unwrap_err().code(), "call.expired");
}
