//! Interceptors: they see calls on either side, may refuse them before anything has begun, and break nothing.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durable::prelude::*;
use durable::{
    IncomingCall, Interceptor, Outcome, OutgoingCall, Refusal, RuntimeBuilder, TurnReport,
};
use durable_testing::prelude::*;
use futures_util::future::join;

/// Does whatever turns can do.
#[derive(Default, DurableState)]
pub struct Desk {
    count: u64,
}

#[durable_object(name = "door.Desk", alarm_retries = 1, alarm_delay = "10ms", turn_limit = "40ms")]
impl Desk {
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn refuse(&mut self) -> Result<(), String> {
        self.count += 1;
        Err("no".to_owned())
    }

    pub async fn panic(&self) {
        panic!("asked to")
    }

    pub async fn wait(&mut self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    pub fn send_on(&mut self, cx: &mut Context<'_, Self>, to: String) {
        self.count += 1;
        cx.send(cx.get::<Desk>(&to).add());
    }

    pub fn later(&mut self, cx: &mut Context<'_, Self>) {
        cx.alarm().set(cx.now());
        cx.schedule("add").once(cx.now()).call(cx.me().add());
    }

    pub async fn ask(&self, cx: &Context<'_, Self>, to: String) -> Option<String> {
        let asked = cx.get::<Desk>(&to).hops().await;
        asked.expect("it answers")
    }

    pub fn hops(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.metadata().get("hops").map(str::to_owned)
    }

    #[alarm]
    fn ring(&mut self) {
        self.count += 1;
    }
}

/// Writes down what it sees, under a name.
#[derive(Clone, Default)]
struct Scribe {
    name: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scribe {
    fn note(&self, text: String) {
        self.seen.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Interceptor for Scribe {
    fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
        let (method, name) = (call.method(), call.name().unwrap_or("?"));
        self.note(format!("{}: call {name}.{method}", self.name));
        Ok(())
    }

    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        let (method, name) = (call.method(), call.name().unwrap_or("?"));
        let sent = if call.is_send() { " (sent)" } else { "" };
        self.note(format!("{}: turn {name}.{method}{sent}", self.name));
        Ok(())
    }

    fn on_turn_end(&self, call: &IncomingCall<'_>, report: &TurnReport) {
        self.note(format!("{}: {} {:?}", self.name, call.method(), report.outcome));
    }
}

/// Turns away what does not say who it is.
struct Doorman;

impl Interceptor for Doorman {
    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        match call.metadata().get("principal") {
            Some("ghost") => panic!("a ghost"),
            Some(_) => Ok(()),
            None => Err(Refusal::new("nobody is signed in; sign in")),
        }
    }
}

/// Counts how many calls have led to a call.
struct Hops;

impl Interceptor for Hops {
    fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
        let hops: u32 = call.metadata().get("hops").map_or(0, |hops| hops.parse().unwrap());
        Ok(call.set("hops", &(hops + 1).to_string())?)
    }
}

fn desks(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Desk>()
}

fn guarded(builder: RuntimeBuilder) -> RuntimeBuilder {
    desks(builder).intercept(Doorman)
}

async fn start(
    builder: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
) -> (tempfile::TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = builder(desks(Runtime::builder(dir.path()))).start().await.unwrap();
    (dir, runtime)
}

fn scribes() -> (Scribe, Scribe) {
    let outer = Scribe { name: "outer", seen: Arc::default() };
    let inner = Scribe { name: "inner", seen: Arc::clone(&outer.seen) };
    (outer, inner)
}

#[tokio::test]
async fn the_first_one_is_outermost_and_a_clients_come_before_its_runtimes() {
    let (outer, inner) = scribes();
    let own = Scribe { name: "client", seen: Arc::clone(&outer.seen) };
    let (log, second) = (outer.clone(), inner.clone());
    let (_dir, runtime) = start(|builder| builder.intercept(outer).intercept(second)).await;
    runtime.client().with_interceptor(own).get::<Desk>("a").add().await.unwrap();
    let expected = [
        "client: call a.add",
        "outer: call a.add",
        "inner: call a.add",
        "outer: turn a.add",
        "inner: turn a.add",
        "inner: add Returned",
        "outer: add Returned",
    ];
    assert_eq!(log.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn however_a_turn_ends_that_is_told_once() {
    let (scribe, _) = scribes();
    let log = scribe.clone();
    let (_dir, runtime) = start(|builder| builder.intercept(scribe)).await;
    let desk = runtime.get::<Desk>("a");
    desk.add().await.unwrap();
    desk.count().await.unwrap();
    desk.refuse().await.unwrap_err();
    desk.wait(1).await.unwrap();
    desk.wait(1_000).await.unwrap_err();
    desk.panic().await.unwrap_err();
    desk.add().idempotency_key("k").await.unwrap();
    desk.add().idempotency_key("k").await.unwrap();
    desk.refuse().idempotency_key("k").await.unwrap_err();
    let ends: Vec<_> = log
        .take()
        .into_iter()
        .filter(|line| !line.contains("outer: call ") && !line.contains("outer: turn "))
        .collect();
    let expected = [
        "outer: add Returned",
        "outer: count Returned",
        "outer: refuse Rejected",
        "outer: wait Returned",
        "outer: wait Failed(\"call.overlong\")",
        "outer: panic Panicked",
        "outer: add Returned",
        "outer: add Repeated",
        "outer: refuse Failed(\"call.mismatched\")",
    ];
    assert_eq!(ends, expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_begin_is_not_asked_about_and_one_that_is_cut_off_is() {
    let (scribe, _) = scribes();
    let log = scribe.clone();
    let builder = |builder: RuntimeBuilder| {
        let builder = builder.intercept(scribe).turn_limit(Duration::from_secs(60));
        builder.shutdown_deadline(Duration::from_millis(5))
    };
    let (_dir, runtime) = start(builder).await;
    let desk = runtime.get::<Desk>("a");
    let (first, late) = join(
        desk.wait(20).into_future(),
        desk.add().timeout(Duration::from_millis(5)).into_future(),
    )
    .await;
    first.unwrap();
    assert_eq!(late.unwrap_err().code(), "call.expired");
    let seen = log.take();
    assert!(!seen.contains(&"outer: turn a.add".to_owned()), "{seen:?}");
    let (cut, shut) = join(desk.wait(35).into_future(), async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        runtime.shutdown().await
    })
    .await;
    assert_eq!(
        (cut.unwrap_err().code(), shut.unwrap_err().code()),
        ("call.aborted", "shutdown.cut")
    );
    assert!(log.take().contains(&"outer: wait CutOff".to_owned()));
}

#[tokio::test]
async fn one_that_refuses_or_panics_fails_that_call_only_and_nothing_has_begun() {
    let (scribe, _) = scribes();
    let log = scribe.clone();
    let (_dir, runtime) = start(|builder| builder.intercept(scribe).intercept(Doorman)).await;
    let desk = runtime.get::<Desk>("a");
    let as_ada = || desk.add().metadata("principal", "ada");
    assert_eq!(as_ada().await.unwrap(), 1);
    for read_or_write in
        [desk.add().await, desk.count().await, desk.add().idempotency_key("k").await]
    {
        let error = read_or_write.unwrap_err();
        assert_eq!((error.code(), error.outcome()), ("call.refused", Outcome::NotStarted));
        assert!(error.message().contains("of door.Desk(a) was refused: nobody is"), "{error}");
    }
    for panicked in [
        desk.add().metadata("principal", "ghost").await,
        desk.count().metadata("principal", "ghost").await,
    ] {
        let error = panicked.unwrap_err();
        assert_eq!((error.code(), error.outcome()), ("call.panicked", Outcome::NotStarted));
        assert!(error.message().contains("a ghost"), "{error}");
    }
    assert_eq!(as_ada().idempotency_key("k").await.unwrap(), 2, "nothing of them is left");
    let error = desk.add().idempotency_key("k").await.unwrap_err();
    assert_eq!(error.code(), "call.refused", "nor does a result that is kept go to strangers");
    let refused = log.take().iter().filter(|line| line.ends_with(" Refused")).count();
    assert_eq!(refused, 6, "those outside of it are told");
}

#[tokio::test]
async fn whoever_makes_calls_inside_of_turns_is_looked_at_too() {
    let (_dir, runtime) = start(|builder| builder.intercept(Hops)).await;
    let desk = runtime.get::<Desk>("a");
    assert_eq!(desk.hops().await.unwrap().as_deref(), Some("1"));
    assert_eq!(desk.ask("b".to_owned()).await.unwrap().as_deref(), Some("2"));
    let client = runtime.client().with_interceptor(Hops);
    let asked = client.get::<Desk>("a").ask("b".to_owned()).await.unwrap();
    assert_eq!(asked.as_deref(), Some("3"), "a client's is not asked about calls below");
}

/// Lets nothing out.
struct Closed;

impl Interceptor for Closed {
    fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
        let is_to = call.name() == Some("far");
        if is_to { Err(Refusal::new("nobody may go there")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_call_that_may_not_leave_does_not_and_a_turn_that_sends_it_is_undone() {
    let (_dir, runtime) = start(|builder| builder.intercept(Closed)).await;
    let far = runtime.get::<Desk>("far");
    let error = far.add().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.refused", Outcome::NotStarted));
    let error = far.add().send().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.refused", Outcome::NotStarted));
    let near = runtime.get::<Desk>("near");
    let error = near.send_on("far".to_owned()).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.refused", Outcome::RolledBack));
    assert_eq!(near.count().await.unwrap(), 0);
}

#[durable_testing::test(runtime = guarded, seeds = 30)]
async fn sends_are_looked_at_where_they_arrive_and_alarms_are_nobodys(sim: Sim) -> TestResult {
    let desk = sim.get::<Desk>("a");
    let as_ada = |call: durable::Call<Desk, Result<(), Error>>| call.metadata("principal", "ada");
    as_ada(desk.send_on("b".to_owned())).await?;
    as_ada(desk.later()).await?;
    desk.add().send().await?;
    sim.faults(Faults::all());
    sim.advance(Duration::from_secs(2)).await;
    sim.heal().await?;
    let count = |name: &str| sim.get::<Desk>(name).count().metadata("principal", "ada");
    assert_eq!(count("b").await?, 1, "what its turn carried lets it in");
    assert_eq!(count("a").await?, 3, "its alarm and its schedule run");
    let letters = sim.dead_letters(None).await?;
    let texts: Vec<_> = letters.iter().map(|letter| letter.error.as_str()).collect();
    assert!(matches!(texts[..], [text] if text.contains("call.refused")), "{texts:?}");
    sim.retry_dead_letter(letters[0].id).await?;
    sim.heal().await?;
    assert_eq!(count("a").await?, 3, "one that is retried is looked at again");
    let letters = sim.dead_letters(None).await?;
    assert!(matches!(&letters[..], [letter] if letter.error.contains("refused")), "{letters:?}");
    Ok(())
}

#[durable_testing::test(runtime = guarded, seeds = 30)]
async fn calls_that_are_refused_leave_every_promise_as_it_is(sim: Sim) -> TestResult {
    let desks = ["a", "b"].map(|name| sim.get::<Desk>(name));
    sim.faults(Faults::all());
    sim.clients(3, async |client| {
        for _ in 0..12 {
            let desk = client.pick(&desks);
            let add = desk.add();
            let is_known = client.chance(50);
            let add = if is_known { add.metadata("principal", "ada") } else { add };
            let answer = add.await;
            let is_refused = answer.as_ref().is_err_and(|error| error.code() == "call.refused");
            assert!(!(is_known && is_refused), "whoever is known is let in");
            assert!(is_known || answer.is_err(), "and nobody else");
            if client.chance(20) {
                let _ = client.sim().evict(desk).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.check_history(&desks)
}
