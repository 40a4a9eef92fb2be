//! A call with an idempotency key takes effect once, and whoever makes it again gets the result of the first.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use durable::DataDirectory;
use durable::limits::{IDEMPOTENCY_KEY_BYTES_MAX, RESULT_BYTES_MAX, RESULTS_BYTES_MAX};
use durable::prelude::*;
use durable_testing::disk::FaultKind;
use durable_testing::prelude::*;
use futures_util::future::join;
use tests::keyed::{Clerk, Till, TillStub, forgetful_tills, tills};
use tests::{WriterGate, first_shard};

use super::p04_nothing_leaves_early::is_held;

fn name(text: &str) -> String {
    text.to_owned()
}

fn code<T: std::fmt::Debug>(answer: Result<T, Error>) -> &'static str {
    answer.expect_err("it is refused").code()
}

async fn pay(till: &TillStub, key: &str, cents: u64) -> Result<u64, Error> {
    till.pay(name(key), cents).idempotency_key(key).await
}

fn once(names: &[&str]) -> BTreeMap<String, u64> {
    names.iter().map(|text| (name(text), 1)).collect()
}

#[durable_testing::test(runtime = tills, seeds = 20)]
async fn a_call_that_is_made_again_gets_the_result_of_the_first(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    assert_eq!(pay(&till, "a", 5).await?, 5);
    assert_eq!(pay(&till, "b", 7).await?, 12);
    assert_eq!(pay(&till, "a", 5).await?, 5, "as it was then");
    assert!(sim.evict(&till).await?);
    assert_eq!(pay(&till, "a", 5).await?, 5, "in another activation");
    sim.power_cut().await;
    assert_eq!(pay(&till, "b", 7).await?, 12, "and after a crash");
    sim.restart().await;
    let nameless = sim.get_by_id::<Till>(till.id()?)?;
    assert_eq!(nameless.pay(name("b"), 7).idempotency_key("b").await?, 12, "through any stub");
    assert_eq!(till.paid().await?, once(&["a", "b"]));
    let other = sim.get::<Till>("south");
    assert_eq!(pay(&other, "a", 3).await?, 3, "another object does not know the key");
    assert_eq!(till.pay(name("a"), 5).await?, 17, "nor does a call without one");
    Ok(())
}

#[durable_testing::test(runtime = tills, crash_everywhere)]
async fn a_call_with_a_key_survives_a_crash_anywhere_on_its_way(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    let first = pay(&till, "a", 5).await;
    let touched = till.touch().idempotency_key("t").await;
    sim.heal().await?;
    let second = pay(&till, "a", 5).await?;
    assert!(first.is_err() || first.is_ok_and(|first| first == second), "one result");
    let again = till.touch().idempotency_key("t").await?;
    assert!(touched.is_err() || touched.is_ok_and(|touched| touched == again));
    sim.power_cut().await;
    sim.heal().await?;
    assert_eq!(pay(&till, "a", 5).await?, second);
    assert_eq!((till.paid().await?, till.total().await?), (once(&["a"]), 5));
    Ok(())
}

#[durable_testing::test(runtime = tills, seeds = 20)]
async fn a_call_that_comes_while_the_first_runs_waits_for_it(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    till.set(500, false).await?;
    let calls = || till.pay(name("a"), 5).idempotency_key("a").into_future();
    let before = sim.now();
    let (one, other) = join(calls(), calls()).await;
    assert_eq!((one?, other?), (5, 5));
    let took = sim.now() - before;
    assert!(took >= Duration::from_millis(499) && took < Duration::from_millis(1_000), "{took:?}");
    assert_eq!(till.paid().await?, once(&["a"]));
    Ok(())
}

#[tokio::test]
async fn a_repeat_is_answered_only_when_the_first_is_durable() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), WriterGate::default());
    let builder = Runtime::builder(dir.path()).register::<Till>();
    let runtime = builder.host(gate.host()).start().await.unwrap();
    let till = runtime.get::<Till>("north");
    till.total().await.unwrap();
    gate.close();
    let call = || till.pay(name("a"), 5).idempotency_key("a");
    let mut first = call().into_future();
    assert!(is_held(&mut first).await);
    let mut repeat = call().into_future();
    assert!(is_held(&mut repeat).await, "the first is not on the disk");
    let mut refused = till.touch().idempotency_key("a").into_future();
    assert!(is_held(&mut refused).await, "nor is what this is refused for");
    assert_eq!(call().relaxed().await.unwrap(), 5, "who does not wait for the disk does not");
    gate.open();
    assert_eq!((first.await.unwrap(), repeat.await.unwrap()), (5, 5));
    assert_eq!(code(refused.await), "call.mismatched");
    assert_eq!(till.paid().await.unwrap(), once(&["a"]));
}

#[durable_testing::test(runtime = tills, seeds = 40)]
async fn what_a_crash_takes_from_a_relaxed_call_it_takes_with_its_result(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    till.set(0, false).await?;
    let relaxed = till.pay(name("a"), 5).idempotency_key("a").relaxed().await?;
    let again = till.pay(name("a"), 5).idempotency_key("a").relaxed().await?;
    sim.power_cut().await;
    let kept = till.paid().await?;
    assert_eq!(pay(&till, "a", 5).await?, 5);
    assert_eq!((relaxed, again), (5, 5));
    assert_eq!(till.paid().await?, once(&["a"]), "after {kept:?}");
    let was_lost = kept.is_empty();
    sim.sometimes("it was lost", move |_| was_lost);
    Ok(())
}

#[durable_testing::test(runtime = tills, seeds = 5)]
async fn a_key_of_another_call_is_refused_and_both_are_named(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    pay(&till, "a", 5).await?;
    for is_fresh in [false, true] {
        let error = pay(&till, "a", 6).await.expect_err("other arguments");
        assert_eq!(
            (error.code(), error.outcome()),
            ("call.mismatched", durable::Outcome::NotStarted)
        );
        assert!(error.message().contains("for `pay` with other arguments"), "{error}");
        let error = till.touch().idempotency_key("a").await.expect_err("another method");
        assert_eq!(error.code(), "call.mismatched");
        assert!(
            error
                .message()
                .contains("`a` was used at keyed.Till(north) for `pay`, and now for `touch`"),
            "{error}"
        );
        assert_eq!(error.object(), Some("keyed.Till(north)"));
        assert!(is_fresh || sim.evict(&till).await?);
    }
    assert_eq!(till.paid().await?, once(&["a"]));
    Ok(())
}

#[test]
fn what_was_undone_has_left_no_result_and_runs_again() {
    Simulation::new().seeds(10).allow_panics().check(tills, async |sim: Sim| {
        let till = sim.get::<Till>("north");
        till.set(0, true).await?;
        let refused = till.pay_if_open(name("a"), 5).idempotency_key("a").await;
        assert_eq!(refused.unwrap_err().rejection(), Some(&name("shut")));
        let panicked = till.pay_or_panic(name("b"), 5).idempotency_key("b").await;
        assert_eq!(code(panicked), "call.panicked");
        till.set(0, false).await?;
        assert_eq!(till.pay_if_open(name("a"), 5).idempotency_key("a").await?, 5);
        assert_eq!(till.pay_or_panic(name("b"), 5).idempotency_key("b").await?, 10);
        till.set(0, true).await?;
        assert_eq!(till.pay_if_open(name("a"), 5).idempotency_key("a").await?, 5, "it is kept");
        assert_eq!(till.pay_or_panic(name("b"), 5).idempotency_key("b").await?, 10);
        sim.fail_next_commit(FaultKind::NoSpace)?;
        let lost = pay(&till, "c", 5).await;
        sim.heal().await?;
        assert_eq!(pay(&till, "c", 5).await?, 15, "after {lost:?}");
        assert_eq!(till.paid().await?, once(&["a", "b", "c"]));
        TestResult::Ok(())
    });
}

#[durable_testing::test(runtime = forgetful_tills, seeds = 10)]
async fn a_result_is_kept_for_as_long_as_was_said_and_then_swept(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    assert_eq!(pay(&till, "a", 5).await?, 5);
    sim.advance(Duration::from_millis(1_900)).await;
    assert_eq!(pay(&till, "a", 5).await?, 5, "it is kept");
    sim.advance(Duration::from_millis(200)).await;
    assert_eq!(pay(&till, "a", 5).await?, 10, "it is not kept any more, and is anew");
    assert_eq!(pay(&till, "a", 5).await?, 10);
    assert!(sim.evict(&till).await?);
    sim.advance(Duration::from_millis(2_100)).await;
    assert_eq!(till.touch().idempotency_key("a").await?, 10, "the key is free for other calls");
    Ok(())
}

#[durable_testing::test(runtime = forgetful_tills, seeds = 10)]
async fn a_clock_that_is_set_back_brings_no_effect_back(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    till.set(0, true).await?;
    assert_eq!(pay(&till, "a", 5).await?, 5);
    assert!(sim.evict(&till).await?);
    sim.jump_clock(3_000);
    // The activation looks while the result of the other is over.
    let refused = till.pay_if_open(name("b"), 5).idempotency_key("b").await;
    assert!(refused.is_err());
    sim.jump_clock(-3_000);
    assert_eq!(pay(&till, "a", 5).await?, 5, "it is kept again");
    assert_eq!(till.paid().await?, once(&["a"]));
    Ok(())
}

#[tokio::test]
async fn commits_that_keep_a_result_sweep_those_that_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Duration::from_millis(1);
    let builder = Runtime::builder(dir.path()).register::<Till>().keep_results(keep);
    let runtime = builder.start().await.unwrap();
    let till = runtime.get::<Till>("north");
    for number in 0..100 {
        // Each is a chunk by itself.
        till.print(2_000).idempotency_key(format!("print {number}")).await.unwrap();
        runtime.get::<Till>("south").touch().await.unwrap();
    }
    pay(&runtime.get::<Till>("south"), "kept", 1).await.unwrap();
    runtime.shutdown().await.unwrap();
    let rows = first_shard(dir.path())
        .query_row("SELECT count(*) FROM results", [], |row| row.get::<_, i64>(0));
    assert!(rows.unwrap() < 50, "most of a hundred are swept");
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.is_sound(), "{:?}", found.problems);
}

#[tokio::test]
async fn an_object_keeps_so_many_bytes_of_results_and_refuses_what_is_more_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path()).register::<Till>();
    let runtime = builder().start().await.unwrap();
    let till = runtime.get::<Till>("north");
    let large = u32::try_from(RESULT_BYTES_MAX).unwrap() - 3;
    let too_large = till.print(large + 1).idempotency_key("k").await.unwrap_err();
    assert_eq!(
        (too_large.code(), too_large.outcome()),
        ("result.too_large", durable::Outcome::RolledBack)
    );
    assert_eq!(till.total().await.unwrap(), 0, "what cannot be kept is undone");
    let mut kept = 0;
    let refused = loop {
        match till.print(large).idempotency_key(format!("k{kept}")).await {
            Ok(text) => assert_eq!(text.len(), large as usize),
            Err(error) => break error,
        }
        kept += 1;
    };
    assert_eq!(kept, RESULTS_BYTES_MAX / RESULT_BYTES_MAX as u64, "{refused}");
    assert_eq!(
        (refused.code(), refused.outcome()),
        ("result.overloaded", durable::Outcome::NotStarted)
    );
    assert!(refused.retry_after().unwrap() > Duration::from_secs(80_000), "{refused:?}");
    assert_eq!(till.print(large).idempotency_key("k0").await.unwrap().len(), large as usize);
    assert_eq!(till.total().await.unwrap(), kept, "what is refused has not run");
    till.touch().await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = builder().start().await.unwrap();
    let till = runtime.get::<Till>("north");
    assert_eq!(code(till.touch().idempotency_key("more").await), "result.overloaded");
    assert_eq!(pay(&runtime.get::<Till>("south"), "a", 1).await.unwrap(), 1, "others go on");
}

#[durable_testing::test(runtime = tills, seeds = 5)]
async fn keys_are_of_calls_that_change_something_and_are_awaited(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    for key in [String::new(), "x".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)] {
        assert_eq!(code(till.touch().idempotency_key(key).await), "call.key_invalid");
    }
    till.touch().idempotency_key("x".repeat(IDEMPOTENCY_KEY_BYTES_MAX)).await?;
    assert_eq!(code(till.total().idempotency_key("k").await), "call.key_invalid");
    assert_eq!(code(till.touch().idempotency_key("k").send().await), "call.key_invalid");
    assert_eq!(code(till.send_keyed().await), "call.key_invalid");
    assert_eq!(code(till.plan_keyed().await), "call.key_invalid");
    Ok(())
}

#[durable_testing::test(runtime = tills, seeds = 10)]
async fn a_turn_calls_with_a_key_and_what_it_did_there_stays(sim: Sim) -> TestResult {
    let (ada, south) = (sim.get::<Clerk>("ada"), sim.get::<Till>("south"));
    assert_eq!(ada.pay_at(name("south"), name("a"), 5).await?, 5);
    assert_eq!(ada.pay_at(name("south"), name("a"), 5).await?, 5);
    assert_eq!(pay(&south, "a", 5).await?, 5, "it is the same call, whoever makes it");
    assert_eq!(south.paid().await?, once(&["a"]));
    Ok(())
}

#[durable_testing::test(runtime = tills, seeds = 10)]
async fn results_go_with_their_object(sim: Sim) -> TestResult {
    let till = sim.get::<Till>("north");
    assert_eq!(pay(&till, "a", 5).await?, 5);
    assert!(sim.delete(&till).await?);
    assert_eq!(pay(&till, "a", 7).await?, 7, "the object begins anew");
    assert_eq!(till.close_down().idempotency_key("last").await?, 7);
    assert_eq!(pay(&till, "a", 9).await?, 9);
    assert_eq!(till.close_down().idempotency_key("last").await?, 9, "what erases leaves no result");
    Ok(())
}

/// A total that can be brought back.
#[derive(Default, DurableState)]
pub struct Past {
    total: u64,
}

#[durable_object(name = "test.KeyedPast", history)]
impl Past {
    pub fn add(&mut self, n: u64) -> u64 {
        self.total += n;
        self.total
    }

    pub fn total(&self) -> u64 {
        self.total
    }
}

#[tokio::test]
async fn going_back_leaves_results_and_forks_begin_without_and_backups_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Past>().start().await.unwrap();
    let past = runtime.get::<Past>("a");
    let id = past.id().unwrap();
    past.add(1).await.unwrap();
    let before = runtime.bookmark(id).await.unwrap();
    assert_eq!(past.add(5).idempotency_key("k").await.unwrap(), 6);
    runtime.fork::<Past>(id, &runtime.bookmark(id).await.unwrap(), "b").await.unwrap();
    runtime.restore_to(id, &before).await.unwrap();
    assert_eq!(past.add(5).idempotency_key("k").await.unwrap(), 6, "what was undone stays undone");
    assert_eq!(past.total().await.unwrap(), 1);
    let fork = runtime.get::<Past>("b");
    assert_eq!(fork.add(5).idempotency_key("k").await.unwrap(), 11, "it is another object");
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path().join("copy");
    runtime.backup(&copy).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = Runtime::builder(&copy).register::<Past>().start().await.unwrap();
    let fork = runtime.get::<Past>("b");
    assert_eq!(fork.add(5).idempotency_key("k").await.unwrap(), 11);
    assert_eq!(fork.total().await.unwrap(), 11);
}

#[tokio::test]
async fn a_result_that_is_damaged_is_told_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path()).register::<Till>();
    let runtime = builder().start().await.unwrap();
    let till = runtime.get::<Till>("north");
    till.print(2_000).idempotency_key("a").await.unwrap();
    pay(&till, "b", 5).await.unwrap();
    pay(&runtime.get::<Till>("south"), "b", 5).await.unwrap();
    runtime.shutdown().await.unwrap();
    let flip = "UPDATE results SET body = flipped(body, 24)";
    assert_eq!(first_shard(dir.path()).execute(flip, []).unwrap(), 1);
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    let [problem] = &found.problems[..] else { panic!("{:?}", found.problems) };
    assert_eq!(problem.kind, durable::ProblemKind::ResultDamaged);
    assert_eq!(problem.object.as_deref(), Some("keyed.Till(north)"));
    let runtime = builder().start().await.unwrap();
    let till = runtime.get::<Till>("north");
    assert_eq!(code(till.print(2_000).idempotency_key("a").await), "result.torn");
    assert_eq!(pay(&till, "b", 5).await.unwrap(), 6, "the other is whole");
    assert_eq!(pay(&till, "c", 5).await.unwrap(), 11);
    assert_eq!(till.total().await.unwrap(), 11, "and nothing ran twice");
    runtime.shutdown().await.unwrap();
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert_eq!(found.problems.len(), 1, "the bytes are as they were");
    let flip = "UPDATE snapshots SET results = flipped(results, 24)
        WHERE object_no = (SELECT object_no FROM objects WHERE name = 'south')";
    assert_eq!(first_shard(dir.path()).execute(flip, []).unwrap(), 1);
    let runtime = builder().start().await.unwrap();
    let south = runtime.get::<Till>("south");
    for key in ["b", "c"] {
        let torn = code(pay(&south, key, 5).await);
        assert_eq!(torn, "result.torn", "nobody can say which calls it knows");
    }
    south.touch().await.unwrap();
    assert_eq!(south.total().await.unwrap(), 5, "and calls without keys are served");
    runtime.shutdown().await.unwrap();
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert_eq!(found.problems.len(), 2, "the bytes are as they were: {:?}", found.problems);
}

/// Keeps results for two seconds, whatever the runtime says.
#[derive(Default, DurableState)]
pub struct Parking {
    cars: u64,
}

#[durable_object(name = "keyed.Parking", keep_results = "2s")]
impl Parking {
    pub fn enter(&mut self) -> u64 {
        self.cars += 1;
        self.cars
    }
}

#[test]
fn a_class_says_for_how_long_its_results_are_kept() {
    let both = |builder| tills(builder).register::<Parking>();
    Simulation::new().seeds(5).check(both, async |sim: Sim| {
        let (till, parking) = (sim.get::<Till>("north"), sim.get::<Parking>("p"));
        let enter = || parking.enter().idempotency_key("a").into_future();
        assert_eq!((pay(&till, "a", 5).await?, enter().await?, enter().await?), (5, 1, 1));
        sim.advance(Duration::from_millis(2_100)).await;
        assert_eq!(
            (pay(&till, "a", 5).await?, enter().await?),
            (5, 2),
            "others are kept for a day"
        );
        TestResult::Ok(())
    });
}
