//! Time: a call has as much of it as its caller has left, a method may say how much its calls have, and a turn that runs
//! over its class's limit is cut off.

use std::future::{IntoFuture, pending};
use std::path::Path;

use durable::prelude::*;
use durable::{CutOff, ErrorKind, Outcome};
use futures_util::future::join;

use super::Counter;
use tests::time::{ms, pause};

/// Takes its time.
#[derive(Default, DurableState)]
pub struct Sloth {
    n: u64,
    #[serde(skip)]
    seen: u64,
}

#[durable_object(name = "time.Sloth", turn_limit = "200ms")]
impl Sloth {
    pub fn n(&self) -> (u64, u64) {
        (self.n, self.seen)
    }

    /// Calls another object that takes `time`, after `before`; gives the error and how long it took, in milliseconds.
    pub async fn ask(
        &self,
        cx: &Context<'_, Self>,
        before: u64,
        time: u64,
        own: Option<u64>,
    ) -> (String, u64) {
        pause(before).await;
        let began = tokio::time::Instant::now();
        // Time stands still for the disk, so nothing waits for that.
        let call = cx.get::<Counter>("c").add_slowly(1, time).relaxed();
        let call = match own {
            Some(own) => call.timeout(ms(own)),
            None => call,
        };
        let code = call.await.map_or_else(|error| error.code(), |_| "");
        (code.to_owned(), u64::try_from(began.elapsed().as_millis()).unwrap())
    }

    #[rpc(timeout = "50ms")]
    pub async fn hasty(&mut self, time: u64) -> u64 {
        pause(time).await;
        self.n += 1;
        self.n
    }

    pub async fn hang(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        self.n += 1;
        self.seen += 1;
        cx.kv().put("n", &self.n)?;
        pending().await
    }

    pub async fn hang_reading(&self) {
        pending().await
    }

    pub async fn kept(&self, cx: &Context<'_, Self>) -> Result<Option<u64>, Error> {
        cx.kv().get("n").await
    }

    pub fn wake_me(&mut self, cx: &mut Context<'_, Self>) {
        cx.alarm().set_after(ms(1));
    }

    #[alarm]
    async fn take_long(&mut self) {
        pause(500).await;
        self.n += 100;
    }
}

/// Waits for something before it serves, and for nothing that ever comes if it is new.
#[derive(Default, DurableState)]
pub struct Riser {
    is_known: bool,
}

#[durable_object(name = "time.Riser", turn_limit = "200ms")]
impl Riser {
    #[on_activate]
    async fn rise(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        let is_known = cx.get::<Counter>("known").count().await? > 0;
        if !is_known {
            pending::<()>().await;
        }
        self.is_known = true;
        Ok(())
    }

    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

async fn start(dir: &Path) -> Runtime {
    let builder =
        Runtime::builder(dir).register::<Sloth>().register::<Counter>().register::<Riser>();
    builder.turn_limit(ms(1_000)).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_inside_of_a_turn_has_what_its_caller_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let sloth = runtime.get::<Sloth>("s");
    runtime.get::<Counter>("c").count().await.unwrap();
    sloth.n().await.unwrap();
    // What the caller has, what passes before, what the call itself says, and after how long it ends.
    let table = [
        (Some(100), 40, None, "call.expired", 60),
        (Some(100), 40, Some(20), "call.expired", 20),
        (Some(100), 40, Some(500), "call.expired", 60),
        (None, 40, Some(30), "call.expired", 30),
        (None, 40, None, "", 90),
    ];
    for (has, before, own, code, took) in table {
        let ask = sloth.ask(before, 90, own);
        let ask = match has {
            Some(has) => ask.timeout(ms(has)).into_future(),
            None => ask.into_future(),
        };
        // The caller itself gives up at the same moment, and the turn goes on.
        let (answer, ()) = join(ask, pause(150)).await;
        match answer {
            Ok(answer) => assert_eq!(answer, (code.to_owned(), took), "{has:?} {own:?}"),
            Err(error) => assert_eq!((error.code(), has), ("call.expired", Some(100))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_says_how_much_time_its_calls_have() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let sloth = runtime.get::<Sloth>("s");
    sloth.n().await.unwrap();
    assert_eq!(sloth.hasty(40).relaxed().await.unwrap(), 1);
    let began = tokio::time::Instant::now();
    assert_eq!(sloth.hasty(90).relaxed().await.unwrap_err().code(), "call.expired");
    assert_eq!(began.elapsed().as_millis(), 50);
    let patient = sloth.hasty(90).relaxed().timeout(ms(500));
    assert_eq!(patient.await.unwrap(), 2, "the call says it, and the one before was undone");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_over_its_limit_is_cut_off_undone_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let sloth = runtime.get::<Sloth>("s");
    assert_eq!(sloth.hasty(0).relaxed().await.unwrap(), 1);
    assert_eq!(sloth.n().await.unwrap(), (1, 0), "it is durable");
    let began = tokio::time::Instant::now();
    let (hung, behind) = join(sloth.hang().into_future(), sloth.n().into_future()).await;
    assert_eq!(began.elapsed().as_millis(), 200);
    let CallError::Failed(error) = hung.unwrap_err() else { panic!("nobody returned it") };
    assert_eq!((error.code(), error.kind()), ("call.overlong", ErrorKind::Backoff));
    assert_eq!((error.outcome(), error.object()), (Outcome::RolledBack, Some("time.Sloth(s)")));
    for part in ["`hang` of time.Sloth(s)", "200ms", "turn_limit"] {
        assert!(error.message().contains(part), "{error}");
    }
    let id = sloth.id().unwrap();
    let (object, method) = ("time.Sloth(s)".to_owned(), "hang");
    assert_eq!(
        error.cut(),
        [CutOff::Turn { class: "time.Sloth", id, object, method, schedule: None }]
    );
    assert_eq!(behind.unwrap(), (1, 0), "what waits is served, by the object as it was");
    assert_eq!(sloth.kept().await.unwrap(), None);
    let error = sloth.hang_reading().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.overlong", Outcome::RolledBack));
    assert_eq!(sloth.hasty(0).relaxed().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_class_that_does_not_say_it_has_the_limit_of_the_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let counter = runtime.get::<Counter>("c");
    assert_eq!(counter.add_slowly(1, 990).await.unwrap(), 1);
    let error = counter.add_slowly(1, 1_100).await.unwrap_err();
    assert_eq!(error.code(), "call.overlong");
    assert_eq!(counter.count().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_come_up_within_its_limit_fails_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let riser = runtime.get::<Riser>("r");
    let began = tokio::time::Instant::now();
    let error = riser.is_known().timeout(ms(5_000)).await.unwrap_err();
    assert_eq!(began.elapsed().as_millis(), 200);
    assert_eq!((error.code(), error.outcome()), ("object.unstartable", Outcome::NotStarted));
    for part in ["`#[on_activate]`", "200ms", "turn_limit"] {
        assert!(error.message().contains(part), "{error}");
    }
    runtime.get::<Counter>("known").add(1).await.unwrap();
    assert!(riser.is_known().await.unwrap(), "what it waits for is there");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_has_a_limit_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let sloth = runtime.get::<Sloth>("s");
    sloth.wake_me().await.unwrap();
    pause(1_000).await;
    assert_eq!(sloth.n().await.unwrap().0, 100);
}
