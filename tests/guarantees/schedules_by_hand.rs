//! Schedules that an operator runs, what their runs know of themselves, and what becomes of them before their object's birth.

use std::time::Duration;

use durable::WallMs;
use durable::prelude::*;

/// Set far away, so that nothing is due by itself.
const FAR: Duration = Duration::from_secs(7 * 86_400);

/// A line for each run, and what it is to fail with.
#[derive(Default, DurableState)]
pub struct Ledger {
    runs: Vec<String>,
    fails: bool,
}

/// Without `#[alarm]`: the options are about its schedules.
#[durable_object(
    name = "test.Ledger",
    history,
    alarm_retries = 1,
    alarm_delay = "500h",
    alarm_limit = "1m"
)]
impl Ledger {
    pub fn open(&mut self, cx: &mut Context<'_, Self>) -> u64 {
        cx.schedule("close").every(FAR).call(cx.me().close(7));
        cx.schedule("close").get().expect("it was just set").scheduled_at.0
    }

    pub fn close(&mut self, cx: &mut Context<'_, Self>, number: u64) -> Result<(), String> {
        if self.fails {
            return Err("as it was told".to_owned());
        }
        self.runs.push(match cx.scheduled() {
            Some(run) => {
                format!("{} {} {} {number}", run.name, run.scheduled_at.0, run.retry_count)
            }
            None => format!("called {number}"),
        });
        Ok(())
    }

    pub fn fail(&mut self, fails: bool) {
        self.fails = fails;
    }

    pub fn runs(&self) -> Vec<String> {
        self.runs.clone()
    }
}

async fn start(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Ledger>().start().await.unwrap()
}

#[tokio::test]
async fn a_schedule_that_somebody_runs_uses_its_next_time_up() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let ledger = runtime.get::<Ledger>("l");
    let id = ledger.id().unwrap();
    assert!(!runtime.run_schedule(id, "close").await.unwrap(), "there is none");
    let first = ledger.open().await.unwrap();
    assert!(!runtime.run_schedule(id, "other").await.unwrap(), "there is none of that name");
    assert!(runtime.run_schedule(id, "close").await.unwrap());
    let ran = format!("close {first} 0 7");
    assert_eq!(ledger.runs().await.unwrap(), *std::slice::from_ref(&ran));
    let far_ms = u64::try_from(FAR.as_millis()).unwrap();
    let next = runtime.schedules(id).unwrap()[0].scheduled_at;
    assert_eq!(next, WallMs(first + far_ms), "the time is used up");
    ledger.close(3).await.unwrap();
    assert_eq!(ledger.runs().await.unwrap(), [ran.clone(), "called 3".to_owned()]);
    drop((ledger, runtime));
    let runtime = start(dir.path()).await;
    assert_eq!(runtime.get::<Ledger>("l").runs().await.unwrap()[0], ran, "it is stored");
    assert_eq!(runtime.schedules(id).unwrap()[0].scheduled_at, next);
}

#[tokio::test]
async fn a_run_that_fails_is_counted_as_the_class_says_which_needs_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let ledger = runtime.get::<Ledger>("l");
    let id = ledger.id().unwrap();
    let first = ledger.open().await.unwrap();
    ledger.fail(true).await.unwrap();
    assert_eq!(runtime.run_schedule(id, "close").await.unwrap_err().code(), "alarm.failed");
    let view = runtime.schedules(id).unwrap()[0].clone();
    assert_eq!((view.retry_count, view.scheduled_at), (1, WallMs(first)));
    ledger.fail(false).await.unwrap();
    assert!(runtime.run_schedule(id, "close").await.unwrap());
    assert_eq!(ledger.runs().await.unwrap(), [format!("close {first} 1 7")], "it was tried once");
    ledger.fail(true).await.unwrap();
    for _ in 0..2 {
        assert_eq!(runtime.run_schedule(id, "close").await.unwrap_err().code(), "alarm.failed");
    }
    let letters = runtime.dead_letters(None).await.unwrap();
    assert_eq!((letters.len(), letters[0].attempts), (1, 2), "one retry, as the class says");
    assert_eq!(runtime.schedules(id).unwrap()[0].retry_count, 0, "and the schedule goes on");
}

#[tokio::test]
async fn before_its_birth_an_object_has_no_schedules() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let ledger = runtime.get::<Ledger>("l");
    let id = ledger.id().unwrap();
    let birth = runtime.bookmark(id).await.unwrap();
    ledger.open().await.unwrap();
    let open = runtime.bookmark(id).await.unwrap();
    ledger.fail(true).await.unwrap();
    runtime.restore_to(id, &open).await.unwrap();
    assert_eq!(runtime.schedules(id).unwrap().len(), 1, "going back leaves them as they are");
    runtime.restore_to(id, &birth).await.unwrap();
    assert_eq!(runtime.schedules(id).unwrap(), [], "but not to before there was an object");
    assert!(!runtime.run_schedule(id, "close").await.unwrap());
    assert!(ledger.runs().await.unwrap().is_empty());
}
