//! Objects that cannot be read at once when they are to come into memory.

#![allow(missing_docs, reason = "it is a workload, not a library")]

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::limits::START_TRIES_MAX;
use durable::prelude::*;
use durable::{Outcome, RuntimeBuilder};
use durable_testing::prelude::*;
use futures_util::future::join_all;

/// Needs all its stores to wake.
#[derive(Debug, Default, DurableState)]
pub struct Sleeper {
    pub turns: u64,
    /// As it had it when it woke, and what has been added since.
    #[serde(skip)]
    pub seen: u64,
}

#[durable_object(name = "starts.Sleeper", idle = "50ms")]
impl Sleeper {
    pub fn count(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.turns += 1;
        self.seen += 1;
        cx.kv().put("turns", &self.turns)?;
        cx.sql().exec("CREATE TABLE IF NOT EXISTS turns (n INTEGER)", ())?;
        cx.sql().exec("INSERT INTO turns VALUES (?)", [self.turns.cast_signed()])?;
        Ok(self.turns)
    }

    /// How many there were, by the struct and as it knows them otherwise.
    pub fn turns(&self) -> (u64, u64) {
        (self.turns, self.seen)
    }

    #[on_activate]
    async fn wake(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        // A hook that says nothing of the cause, and one that does not look at it.
        let kept = cx.kv().get::<u64>("turns").await.map_err(|_| "no keys".to_owned())?;
        if self.turns > 0 {
            let counted: u64 = cx.sql().query_one("SELECT count(*) FROM turns", ()).expect("rows");
            assert_eq!(Some(counted), kept, "keys and rows are of one commit");
        }
        self.seen = kept.unwrap_or_default();
        Ok(())
    }
}

/// A runtime with sleepers, which leave memory soon.
pub fn beds(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Sleeper>().shards(2)
}

/// Between two reads that fail: long enough for what has failed to be tried again.
const APART: Duration = Duration::from_secs(1);

/// Whether an answer says that its object could not be read.
fn is_unread<T>(answer: &Result<T, CallError<Error>>) -> bool {
    let error = match answer {
        Ok(_) => return false,
        Err(CallError::Rejected(error) | CallError::Failed(error)) => error,
    };
    error.code() == "storage.failed" && error.outcome() == Outcome::NotStarted
}

/// Clients that wake objects, under `faults`, while one read fails now and then: nobody hears of that. Then all reads fail, and
/// whoever calls is told, after so many tries.
pub async fn wake_and_work(sim: Sim, faults: Faults) -> TestResult {
    let sleepers: Vec<_> = ["a", "b", "c"].map(|name| sim.get::<Sleeper>(name)).into();
    let next_ms = AtomicU64::new(0);
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..20 {
            let sleeper = client.pick(&sleepers);
            match client.int(0..6) {
                0 => drop(client.sim().evict(sleeper).await),
                1 => client.sleep(Duration::from_millis(client.int(1..300))).await,
                2 => assert!(!is_unread(&sleeper.count().await), "one read has failed"),
                _ => {
                    let calls = (0..3).map(|_| sleeper.count().into_future());
                    let answers = join_all(calls).await;
                    assert!(!answers.iter().any(is_unread), "one read has failed");
                }
            }
            let now_ms = u64::try_from(client.sim().now().as_millis()).expect("short");
            if client.chance(60) && next_ms.load(Ordering::Relaxed) <= now_ms {
                let apart_ms = u64::try_from(APART.as_millis()).expect("short");
                next_ms.store(now_ms + apart_ms, Ordering::Relaxed);
                client.sim().fail_reads(1).expect("it is a simulation");
            }
        }
    })
    .await;
    sim.heal().await?;
    nothing_can_be_read(&sim, &sleepers).await?;
    sim.heal().await?;
    for sleeper in &sleepers {
        let (turns, seen) = sleeper.turns().await?;
        assert_eq!(turns, seen);
        sleeper.count().await.map_err(|error| TestError::new(error.to_string()))?;
    }
    sim.sometimes("a start was tried again", |trace| trace.count("start.failed") > 0);
    sim.check_history(&sleepers)
}

async fn nothing_can_be_read(sim: &Sim, sleepers: &[SleeperStub]) -> TestResult {
    let [a, b, ..] = sleepers else { unreachable!("there are three") };
    let count = |stub: &SleeperStub| stub.count().into_future();
    drop(count(a).await);
    sim.evict(a).await?;
    // What readers have in memory is no longer what is stored.
    drop(count(b).await);
    let began = sim.now();
    sim.fail_reads(u64::MAX)?;
    let answers = join_all([count(a), count(a)]).await;
    for answer in answers {
        let error = answer.expect_err("nothing can be read");
        let text = error.to_string();
        assert!(is_unread::<u64>(&Err(error)), "{text}");
        assert!(text.contains(&format!("tried {START_TRIES_MAX} times")), "{text}");
    }
    assert!(sim.now() - began < Duration::from_millis(250), "callers do not wait for long");
    Ok(())
}
