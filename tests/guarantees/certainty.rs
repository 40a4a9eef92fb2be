//! What a failed call is told has happened: a caller in the runtime's process knows it, unless something stops.

use std::future::{IntoFuture, pending};
use std::path::Path;

use durable::prelude::*;
use durable::{ErrorKind, Outcome};
use futures_util::future::join;
use tests::WriterGate;

use super::{Counter, counters};
use tests::time::{ms, pause};

/// Does everything that a turn can do, and takes its time.
#[derive(Default, DurableState)]
pub struct Busy {
    n: u64,
    #[serde(skip)]
    woken: u64,
}

#[durable_object(name = "certain.Busy")]
impl Busy {
    #[on_activate]
    fn wake(&mut self) {
        self.woken += 1;
    }

    pub fn seen(&self) -> (u64, u64) {
        (self.n, self.woken)
    }

    pub fn add(&mut self) -> u64 {
        self.n += 1;
        self.n
    }

    /// Leaves something everywhere, and then waits.
    pub async fn toil(&mut self, cx: &mut Context<'_, Self>, time: u64) -> Result<u64, Error> {
        self.n += 1;
        cx.kv().put("n", &self.n)?;
        cx.alarm().set_after(ms(1));
        cx.send(cx.get::<Counter>("sent").add(1));
        pause(time).await;
        self.n += 1;
        Ok(self.n)
    }

    /// Asks another object, whose turn waits as well.
    pub async fn ask(&mut self, cx: &mut Context<'_, Self>, time: u64) -> String {
        self.n += 1;
        // Time stands still for the disk, so nothing waits for that.
        let asked = cx.get::<Counter>("asked").add_slowly(1, time).relaxed().await;
        asked.map_or_else(|error| format!("{:?}", error.outcome()), |n| n.to_string())
    }

    pub async fn hang_reading(&self) {
        pending().await
    }

    pub async fn kept(&self, cx: &Context<'_, Self>) -> Result<Option<u64>, Error> {
        cx.kv().get("n").await
    }

    #[alarm]
    async fn ring(&mut self) {
        self.n += 100;
    }
}

async fn start(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Busy>().register::<Counter>();
    builder.start().await.unwrap()
}

fn outcome<T: std::fmt::Debug>(answer: Result<T, Error>) -> (&'static str, Outcome) {
    let error = answer.unwrap_err();
    (error.code(), error.outcome())
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_callers_time_runs_out_is_undone_and_its_caller_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let busy = runtime.get::<Busy>("b");
    assert_eq!(busy.add().await.unwrap(), 1);
    // Time stands still for the disk, so the object may have left memory meanwhile.
    busy.seen().await.unwrap();
    let began = tokio::time::Instant::now();
    let toil = busy.toil(1_000).timeout(ms(10)).into_future();
    let (answer, behind) = join(toil, busy.seen().into_future()).await;
    assert_eq!(began.elapsed().as_millis(), 10, "at once");
    let CallError::Failed(error) = answer.unwrap_err() else { panic!("nobody returned it") };
    assert_eq!((error.code(), error.kind()), ("call.expired", ErrorKind::Retry));
    assert_eq!((error.outcome(), error.object()), (Outcome::RolledBack, Some("certain.Busy(b)")));
    assert!(error.message().contains("undone"), "{error}");
    assert_eq!(behind.unwrap(), (1, 1), "what waits is served, by the object as it was");
    pause(2_000).await;
    assert_eq!(busy.seen().await.unwrap(), (1, 1), "neither it nor its alarm has done anything");
    assert_eq!(busy.kept().await.unwrap(), None);
    assert_eq!(runtime.get::<Counter>("sent").count().await.unwrap(), 0);
    assert_eq!(busy.toil(5).timeout(ms(10)).relaxed().await.unwrap(), 3, "one that is in time");
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_callers_time_runs_out_ends() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let busy = runtime.get::<Busy>("b");
    busy.seen().await.unwrap();
    let read = busy.hang_reading().timeout(ms(10)).await;
    assert_eq!(outcome(read), ("call.expired", Outcome::RolledBack));
    assert_eq!(busy.add().relaxed().timeout(ms(10)).await.unwrap(), 1, "it holds nobody up");
}

#[tokio::test(start_paused = true)]
async fn an_end_at_the_very_deadline_is_one_or_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    let mut count = counter.count().await.unwrap();
    for time in 1..40 {
        let answer = counter.add_slowly(1, time).timeout(ms(20)).await;
        match answer {
            Ok(after) => {
                count += 1;
                assert_eq!(after, count);
                assert!(time <= 20, "{time} ms");
            }
            answer => {
                assert_eq!(outcome(answer), ("call.expired", Outcome::RolledBack), "{time} ms");
                assert!(time >= 20, "{time} ms");
            }
        }
        assert_eq!(counter.count().await.unwrap(), count, "{time} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_caller_left_runs_on_past_the_callers_time() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    let left = tokio::spawn(counter.add_slowly(7, 1_000).timeout(ms(100)).into_future());
    pause(10).await;
    left.abort();
    assert_eq!(counter.count().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_the_disk_at_its_deadline_gets_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir.path()).register::<Counter>();
    let runtime = builder.host(gate.host()).start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    gate.close();
    let mut add = counter.add(5).timeout(ms(10)).into_future();
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut add).is_pending(), "its turn has ended");
        pause(10).await;
    }
    gate.open();
    assert_eq!(add.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn calls_inside_of_a_turn_whose_time_runs_out_are_undone_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (busy, asked) = (runtime.get::<Busy>("b"), runtime.get::<Counter>("asked"));
    busy.seen().await.unwrap();
    asked.count().await.unwrap();
    busy.seen().await.unwrap();
    match busy.ask(1_000).timeout(ms(10)).await {
        // The call inside expires at the same moment, and its turn may just be in time to tell of that.
        Ok(told) => assert!(["RolledBack", "NotStarted"].contains(&&told[..]), "{told}"),
        answer => assert_eq!(outcome(answer), ("call.expired", Outcome::RolledBack)),
    }
    pause(2_000).await;
    assert_eq!(asked.count().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_key_whose_time_ran_out_has_left_no_result() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.count().await.unwrap();
    let add = || counter.add_slowly(1, 50).idempotency_key("k").relaxed();
    assert_eq!(outcome(add().timeout(ms(10)).await), ("call.expired", Outcome::RolledBack));
    assert_eq!(add().await.unwrap(), 1);
    assert_eq!(add().await.unwrap(), 1);
}
