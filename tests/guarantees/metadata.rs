//! What travels with calls: it reaches the method, and everything that is called and sent below, and nobody else.

use std::future::IntoFuture;
use std::path::Path;
use std::time::Duration;

use durable::limits::{METADATA_BYTES_MAX, METADATA_ENTRIES_MAX};
use durable::prelude::*;
use durable::{DataDirectory, Metadata, Outcome, ProblemKind, RuntimeBuilder, TraceContext};
use durable_testing::prelude::*;
use futures_util::future::join;

/// What a turn carries, as text.
type Seen = Vec<String>;

/// Notes what its turns carry.
#[derive(Default, DurableState)]
pub struct Clerk {
    seen: Vec<Seen>,
    is_shut: bool,
}

fn seen(cx: &Context<'_, Clerk>) -> Seen {
    text(cx.metadata())
}

fn text(metadata: &Metadata) -> Seen {
    metadata.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[durable_object(name = "meta.Clerk", alarm_retries = 0)]
impl Clerk {
    pub fn note(&mut self, cx: &mut Context<'_, Self>) -> usize {
        self.seen.push(seen(cx));
        self.seen.len()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.clone()
    }

    /// What it carries itself, and what those do whom it asks, one below the other.
    pub async fn ask(&self, cx: &Context<'_, Self>, below: Vec<String>) -> Vec<Seen> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut all = vec![seen(cx)];
        if let [first, rest @ ..] = &below[..] {
            let asked = cx.get::<Clerk>(first).ask(rest.to_vec()).await;
            all.extend(asked.expect("it answers"));
        }
        all
    }

    pub async fn ask_in_a_task(&mut self, cx: &mut Context<'_, Self>, to: String) -> Vec<Seen> {
        let other = cx.get::<Clerk>(&to);
        cx.task(async move { other.ask(Vec::new()).await }).await.expect("it answers")
    }

    pub async fn ask_as(&mut self, cx: &mut Context<'_, Self>, to: String) -> Vec<Seen> {
        let call = cx.get::<Clerk>(&to).ask(Vec::new());
        let call = call.metadata("principal", "clerk").metadata("hop", "2");
        let mut all = call.await.expect("it answers");
        all.extend(cx.get::<Clerk>(&to).ask(Vec::new()).await.expect("it answers"));
        all
    }

    /// Hands a note on, from one to the next.
    pub fn pass(&mut self, cx: &mut Context<'_, Self>, below: Vec<String>) {
        self.seen.push(seen(cx));
        if let [first, rest @ ..] = &below[..] {
            cx.send(cx.get::<Clerk>(first).pass(rest.to_vec()));
        }
    }

    /// As [`pass`](Self::pass), unless it is shut.
    pub fn take(&mut self, cx: &mut Context<'_, Self>, below: Vec<String>) -> Result<(), String> {
        self.pass(cx, below);
        if self.is_shut { Err("shut".to_owned()) } else { Ok(()) }
    }

    pub fn take_later(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("take").once(cx.now()).call(cx.me().take(Vec::new()));
    }

    pub fn shut(&mut self, is_shut: bool) {
        self.is_shut = is_shut;
    }

    pub fn pass_too_much(&mut self, cx: &mut Context<'_, Self>) {
        self.seen.push(Vec::new());
        cx.send(cx.me().pass(Vec::new()).metadata("text", "x".repeat(METADATA_BYTES_MAX)));
    }

    pub fn note_later(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("note").once(cx.now()).call(cx.me().note());
        cx.alarm().set_after(Duration::from_millis(5));
    }

    pub fn keep(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("note").once(cx.now()).call(cx.me().note().metadata("tenant", "acme"));
    }

    #[alarm]
    fn ring(&mut self, cx: &mut Context<'_, Self>) {
        self.seen.push(seen(cx));
    }
}

fn clerks(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Clerk>().shards(3)
}

fn of(entries: &[&str]) -> Seen {
    entries.iter().map(ToString::to_string).collect()
}

fn names(names: &[&str]) -> Vec<String> {
    of(names)
}

#[durable_testing::test(runtime = clerks, seeds = 20)]
async fn what_travels_with_a_call_reaches_everybody_below_and_nobody_else(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("a");
    let asked = clerk.ask(names(&["b", "c"])).metadata("tenant", "acme").await?;
    assert_eq!(asked, vec![of(&["tenant=acme"]); 3]);
    assert_eq!(clerk.ask(names(&["b"])).await?, vec![Seen::new(); 2], "it is over with its call");
    let asked = clerk.ask_in_a_task("b".to_owned()).metadata("tenant", "acme").await?;
    assert_eq!(asked, [of(&["tenant=acme"])]);
    let call = clerk.ask_as("b".to_owned());
    let asked = call.metadata("principal", "ada").metadata("tenant", "acme").await?;
    let own = of(&["hop=2", "principal=clerk", "tenant=acme"]);
    assert_eq!(asked, [own, of(&["principal=ada", "tenant=acme"])], "the nearest stands");
    clerk.note().metadata("tenant", "acme").await?;
    assert_eq!(clerk.seen().await?, [of(&["tenant=acme"])], "a method that does not wait, too");
    Ok(())
}

#[durable_testing::test(runtime = clerks, seeds = 40)]
async fn turns_that_wait_beside_each_other_carry_their_own(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("a");
    let ask = |tenant: &str| clerk.ask(names(&["b", "c"])).metadata("tenant", tenant).into_future();
    let (one, other) =
        join(ask("acme"), join(ask("umbrella"), clerk.ask(names(&["b"])).into_future())).await;
    assert_eq!(one?, vec![of(&["tenant=acme"]); 3]);
    assert_eq!((other.0?, other.1?), (vec![of(&["tenant=umbrella"]); 3], vec![Seen::new(); 2]));
    Ok(())
}

#[durable_testing::test(runtime = clerks, crash_everywhere)]
async fn what_travels_with_a_send_survives_a_crash_anywhere_on_its_way(sim: Sim) -> TestResult {
    let passed = sim.get::<Clerk>("a").pass(names(&["b"])).metadata("tenant", "acme").await;
    sim.heal().await?;
    let seen = sim.get::<Clerk>("b").seen().await?;
    assert!(seen.len() <= 1 && seen.iter().all(|seen| *seen == of(&["tenant=acme"])), "{seen:?}");
    assert!(passed.is_err() || seen.len() == 1, "what was sent came");
    Ok(())
}

#[durable_testing::test(runtime = clerks, seeds = 20)]
async fn sends_carry_what_their_turn_does_from_one_to_the_next(sim: Sim) -> TestResult {
    let call = sim.get::<Clerk>("a").pass(names(&["b", "c"]));
    call.metadata("request", "r-1").send().await?;
    sim.heal().await?;
    for name in ["a", "b", "c"] {
        assert_eq!(sim.get::<Clerk>(name).seen().await?, [of(&["request=r-1"])], "{name}");
    }
    let other = sim.get::<Clerk>("d");
    other.note_later().metadata("request", "r-2").await?;
    sim.advance(Duration::from_secs(1)).await;
    sim.heal().await?;
    let seen = other.seen().await?;
    assert_eq!(seen, vec![Seen::new(); 2], "alarms and schedules begin with nothing");
    Ok(())
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[durable_testing::test(runtime = clerks, seeds = 20)]
async fn a_dead_letter_of_a_send_keeps_what_the_send_carried(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("a");
    clerk.shut(true).await?;
    let call = clerk.take(names(&["b"])).trace(&TraceContext::parse(TRACE)?);
    call.metadata("tenant", "acme").send().await?;
    sim.heal().await?;
    let carried = of(&["tenant=acme", &format!("traceparent={TRACE}")]);
    for _ in 0..2 {
        // The second one is of the run that was the first.
        let letters = sim.dead_letters(None).await?;
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!(letter.metadata.as_ref().map(text), Ok(carried.clone()));
        sim.restart().await;
        sim.retry_dead_letter(letter.id).await?;
        sim.heal().await?;
    }
    let letters = sim.dead_letters(None).await?;
    clerk.shut(false).await?;
    sim.retry_dead_letter(letters[0].id).await?;
    sim.heal().await?;
    assert!(sim.dead_letters(None).await?.is_empty());
    for name in ["a", "b"] {
        assert_eq!(sim.get::<Clerk>(name).seen().await?, std::slice::from_ref(&carried), "{name}");
    }
    Ok(())
}

#[durable_testing::test(runtime = clerks, crash_everywhere)]
async fn a_dead_letter_keeps_what_it_carries_through_a_crash_anywhere(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("a");
    while clerk.shut(true).await.is_err() {
        sim.up().await;
    }
    let sent = clerk.take(Vec::new()).metadata("tenant", "acme").send().await;
    sim.advance(Duration::from_secs(1)).await;
    sim.up().await;
    while clerk.shut(false).await.is_err() {
        sim.up().await;
    }
    // The first time while the node may crash.
    for is_last in [false, true] {
        for letter in sim.dead_letters(None).await.unwrap_or_default() {
            let retried = sim.retry_dead_letter(letter.id).await;
            assert!(!is_last || retried.is_ok(), "{retried:?}");
        }
        sim.up().await;
        sim.heal().await?;
    }
    let seen = clerk.seen().await?;
    assert!(seen.len() <= 1 && seen.iter().all(|seen| *seen == of(&["tenant=acme"])), "{seen:?}");
    assert!(sent.is_err() || seen.len() == 1, "what was sent came");
    assert!(sim.dead_letters(None).await?.is_empty());
    Ok(())
}

#[durable_testing::test(runtime = clerks, seeds = 10)]
async fn a_dead_letter_of_a_schedule_carries_nothing(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("a");
    clerk.shut(true).await?;
    clerk.take_later().metadata("tenant", "acme").await?;
    sim.advance(Duration::from_secs(1)).await;
    sim.heal().await?;
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.metadata.as_ref().map(text), Ok(Seen::new()));
    clerk.shut(false).await?;
    sim.retry_dead_letter(letter.id).await?;
    sim.heal().await?;
    assert_eq!(clerk.seen().await?, [Seen::new()]);
    Ok(())
}

/// Two sends that have died, of which the first one's metadata is replaced by `planted`.
async fn two_letters(dir: &Path, planted: &str) {
    let runtime = clerks(Runtime::builder(dir)).shards(1).start().await.unwrap();
    let clerk = runtime.get::<Clerk>("a");
    clerk.shut(true).await.unwrap();
    for tenant in ["acme", "umbrella"] {
        clerk.take(Vec::new()).metadata("tenant", tenant).send().await.unwrap();
    }
    while runtime.dead_letters(None).await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    clerk.shut(false).await.unwrap();
    runtime.shutdown().await.unwrap();
    let sql = format!("UPDATE dead_letters SET metadata = {planted} WHERE letter_no = 1");
    assert_eq!(tests::first_shard(dir).execute(&sql, ()).unwrap(), 1);
}

#[tokio::test]
async fn metadata_of_a_dead_letter_that_cannot_be_read_costs_that_letter_only() {
    for (planted, code) in [
        ("NULL", "letter.torn"),
        ("substr(metadata, 1, 24)", "letter.torn"),
        ("flipped(metadata, length(metadata) - 1)", "letter.torn"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        two_letters(dir.path(), planted).await;
        let directory = DataDirectory::open(dir.path()).unwrap();
        let found = directory.verify().unwrap();
        let [problem] = &found.problems[..] else { panic!("{planted}: {found:?}") };
        assert_eq!(problem.kind, ProblemKind::RowUnreadable);
        assert!(problem.what.contains("dead letter 1: what travels with it"), "{problem:?}");
        let letters = directory.dead_letters(None).unwrap();
        let [torn, whole] = &letters[..] else { panic!("{letters:?}") };
        assert!(torn.metadata.is_err() && torn.method.as_deref() == Some("take"), "{torn:?}");
        assert_eq!(whole.metadata.as_ref().map(text), Ok(of(&["tenant=umbrella"])));
        assert_eq!(directory.retry_dead_letter(torn.id).unwrap_err().code(), code);
        directory.retry_dead_letter(whole.id).unwrap();
        let runtime = clerks(Runtime::builder(dir.path())).shards(1).start().await.unwrap();
        let clerk = runtime.get::<Clerk>("a");
        while clerk.seen().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(clerk.seen().await.unwrap(), [of(&["tenant=umbrella"])]);
        let error = runtime.retry_dead_letter(torn.id).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (code, Outcome::NotStarted));
        assert_eq!(
            runtime.dead_letters(None).await.unwrap(),
            std::slice::from_ref(torn),
            "it is as it was"
        );
        runtime.drop_dead_letter(torn.id).await.unwrap();
        assert_eq!(runtime.dead_letters(None).await.unwrap(), []);
        runtime.shutdown().await.unwrap();
        assert!(directory.verify().unwrap().is_sound());
    }
}

#[durable_testing::test(runtime = clerks, seeds = 10)]
async fn a_trace_travels_as_what_it_came_as(sim: Sim) -> TestResult {
    let trace = TraceContext::parse(TRACE)?.with_state("vendor=opaque")?;
    let expected = of(&[&format!("traceparent={TRACE}"), "tracestate=vendor=opaque"]);
    let clerk = sim.get::<Clerk>("a");
    assert_eq!(clerk.ask(names(&["b"])).trace(&trace).await?, vec![expected.clone(); 2]);
    let call = clerk.ask(names(&["b"])).metadata("traceparent", TRACE);
    assert_eq!(call.metadata("tracestate", "vendor=opaque").await?, vec![expected; 2]);
    Ok(())
}

#[tokio::test]
async fn what_may_not_travel_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = clerks(Runtime::builder(dir.path())).start().await.unwrap();
    let clerk = runtime.get::<Clerk>("a");
    let mut call = clerk.note();
    for index in 0..=METADATA_ENTRIES_MAX {
        call = call.metadata(format!("k{index}"), "");
    }
    let error = call.await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.metadata_invalid", Outcome::NotStarted));
    assert!(error.message().contains("entry 17 of the call, the limit is 16"), "{error}");
    let error = clerk.note().metadata("A", "b").send().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.metadata_invalid", Outcome::NotStarted));
    let error = clerk.pass_too_much().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.metadata_invalid", Outcome::RolledBack));
    let error = clerk.keep().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.metadata_invalid", Outcome::RolledBack));
    assert_eq!(clerk.seen().await.unwrap(), Vec::<Seen>::new());
}

#[tokio::test]
async fn a_call_that_is_made_again_may_carry_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = clerks(Runtime::builder(dir.path())).start().await.unwrap();
    let clerk = runtime.get::<Clerk>("a");
    let note = |request: &str| clerk.note().idempotency_key("k").metadata("request", request);
    assert_eq!((note("r-1").await.unwrap(), note("r-2").await.unwrap()), (1, 1));
    assert_eq!(clerk.seen().await.unwrap(), [of(&["request=r-1"])]);
}
