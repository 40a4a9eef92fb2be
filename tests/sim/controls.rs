//! What a test can do to its world, one test for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::Failed;
use durable_testing::disk::FaultKind;
use durable_testing::prelude::*;
use futures_util::future::join;
use tests::classes::{Account, Log, bank};

const SECOND: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// What the codec loses of an argument.
#[derive(Debug, Default, DurableState)]
struct Parcel {
    sent: u32,
    #[serde(skip)]
    left_behind: u32,
}

/// Takes its time, and parcels.
#[derive(Default, DurableState)]
struct Clerk {
    done: u32,
    #[serde(skip)]
    calls_in_memory: u32,
}

#[durable_object(name = "controls.Clerk", visibility = "pub(crate)")]
impl Clerk {
    pub async fn work(&mut self, time: Duration) -> u32 {
        self.calls_in_memory += 1;
        self.done += 1;
        #[expect(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]
        tokio::time::sleep(time).await;
        self.done
    }

    pub fn done(&self) -> u32 {
        self.done
    }

    pub async fn wait_for_ever(&mut self) {
        std::future::pending().await
    }

    pub fn fail(&mut self) {
        panic!("the clerk gives up");
    }

    pub fn take(&self, parcel: Parcel) -> u32 {
        parcel.sent + parcel.left_behind
    }

    pub async fn hand_over(&self, cx: &Context<'_, Self>) -> Result<u32, Error> {
        cx.get::<Clerk>("other").take(Parcel { sent: 1, left_behind: 10 }).await
    }
}

fn office(builder: RuntimeBuilder) -> RuntimeBuilder {
    // What is looked at is what the world does about a turn that never ends, not what the runtime does.
    builder.register::<Clerk>().turn_limit(400 * DAY)
}

fn few() -> Simulation {
    Simulation::new().seeds(5)
}

#[track_caller]
fn assert_fails(passed: Result<(), Failed>, check: &str, text: &str) -> Failed {
    let Err(failed) = passed else { panic!("nothing was wrong with it") };
    assert_eq!(failed.check, check, "{}", failed.text);
    assert!(failed.text.contains(text), "{}", failed.text);
    failed
}

#[durable_testing::test(runtime = bank, seeds = 10)]
async fn time_passes_when_it_is_told_to(sim: Sim) -> TestResult {
    let (began, wall) = (sim.now(), sim.wall());
    let ada = sim.get::<Account>("ada");
    ada.deposit(1).await?;
    sim.advance(DAY).await;
    assert!((DAY..DAY + SECOND).contains(&(sim.now() - began)));
    assert!((86_400_000..86_401_000).contains(&(sim.wall().0 - wall.0)));
    assert!(!sim.evict(&ada).await?, "it has left memory on its own by now");
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 10)]
async fn an_evicted_object_keeps_its_state_and_nothing_else(sim: Sim) -> TestResult {
    let log = sim.get::<Log>("a");
    log.append("line".to_owned()).await?;
    assert!(sim.evict(&log).await?);
    assert!(!sim.evict(&log).await?, "it is out of memory already");
    assert_eq!(sim.trace().count("activation.gone"), 1);
    assert_eq!(log.last().await?.as_deref(), Some("line"));
    Ok(())
}

#[durable_testing::test(runtime = office, seeds = 10)]
async fn a_crash_costs_what_is_under_way_and_nothing_before(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("x");
    clerk.work(Duration::ZERO).await?;
    let crash = async {
        sim.advance(SECOND).await;
        sim.crash().await;
    };
    let (cut, ()) = join(clerk.work(DAY).into_future(), crash).await;
    let cut = cut.expect_err("the node crashed in the middle of the call");
    assert_eq!((cut.code(), cut.outcome()), ("runtime.closed", durable::Outcome::Unknown));
    assert_eq!(clerk.done().await?, 1);
    assert_eq!(sim.trace().count("node.crashes"), 1);
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 10)]
async fn a_power_cut_leaves_what_was_acknowledged(sim: Sim) -> TestResult {
    let ada = sim.get::<Account>("ada");
    for deposits in 1..=3 {
        assert_eq!(ada.deposit(5).await?, 5 * deposits);
        sim.power_cut().await;
    }
    assert_eq!(ada.balance().await?, 15);
    Ok(())
}

#[durable_testing::test(runtime = office, seeds = 10)]
async fn a_restart_ends_what_is_under_way_before_it_goes_down(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("x");
    let restart = async {
        sim.advance(SECOND).await;
        sim.restart().await;
    };
    let (done, ()) = join(clerk.work(2 * SECOND).into_future(), restart).await;
    assert_eq!(done?, 1);
    assert_eq!(clerk.done().await?, 1);
    let trace = sim.trace();
    assert_eq!((trace.count("node.stops"), trace.count("node.crashes")), (1, 0));
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn a_crash_at_a_point_tells_what_was_durable_there(sim: Sim) -> TestResult {
    for (point, name, balance) in [("commit.stored", "ada", 5), ("turn.ended", "bob", 0)] {
        let account = sim.get::<Account>(name);
        sim.crash_at(point)?;
        let error = account.deposit(5).await.expect_err("the node crashes");
        assert_eq!(error.outcome(), durable::Outcome::Unknown, "its caller does not know");
        assert_eq!(account.balance().await?, balance, "after a crash at {point}");
    }
    let error = sim.crash_at("lunch").expect_err("there is no such point");
    assert!(error.to_string().contains("there is no point `lunch`; there are call.sent"));
    Ok(())
}

#[durable_testing::test(runtime = office, seeds = 10)]
async fn an_inspection_sees_what_is_not_stored(sim: Sim) -> TestResult {
    let clerk = sim.get::<Clerk>("x");
    let seen = async || sim.inspect(&clerk, |clerk| (clerk.done, clerk.calls_in_memory)).await;
    clerk.work(Duration::ZERO).await?;
    assert_eq!(seen().await?, (1, 1));
    sim.evict(&clerk).await?;
    assert_eq!(seen().await?, (1, 0), "it was woken for the inspection");
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 10)]
async fn what_is_stored_can_be_listed(sim: Sim) -> TestResult {
    for name in ["bob", "ada"] {
        sim.get::<Account>(name).deposit(1).await?;
    }
    sim.get::<Account>("cyd").balance().await?;
    sim.power_cut().await;
    let page = sim.list::<Account>()?.page().await?;
    let names: Vec<_> = page.iter().filter_map(|listed| listed.name()).collect();
    assert_eq!(names, ["ada", "bob"], "one that was only read is not stored");
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn a_commit_that_fails_is_an_error_and_keeps_nothing(sim: Sim) -> TestResult {
    let ada = sim.get::<Account>("ada");
    for fault in [FaultKind::WriteError, FaultKind::NoSpace] {
        sim.fail_next_commit(fault)?;
        let error = ada.deposit(10).await.expect_err("its commit fails");
        // The node may be started again before the answer is on its way.
        let is_told = error.code().starts_with("storage.") || error.code() == "runtime.closed";
        assert!(is_told, "{fault:?}: {error}");
        // A node whose storage has stopped is started again.
        sim.advance(SECOND).await;
        assert_eq!(ada.balance().await?, 0, "{fault:?}");
    }
    assert_eq!(ada.deposit(1).await?, 1);
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn a_commit_that_cannot_be_synced_is_kept_or_not_but_never_forgotten(sim: Sim) -> TestResult {
    let ada = sim.get::<Account>("ada");
    sim.fail_next_commit(FaultKind::SyncError)?;
    let error = ada.deposit(10).await.expect_err("its commit fails");
    assert_eq!(error.outcome(), durable::Outcome::Unknown, "{error}");
    sim.advance(SECOND).await;
    let balance = ada.balance().await?;
    assert!([0, 10].contains(&balance), "{balance}");
    sim.power_cut().await;
    assert_eq!(ada.balance().await?, balance, "what was read was durable");
    Ok(())
}

#[test]
fn only_over_wires_a_call_between_objects_loses_what_its_codec_does() {
    for (simulation, arrived) in [(few(), 11), (few().wire(), 1)] {
        let passed = simulation.explore(office, async |sim: Sim| {
            assert_eq!(sim.get::<Clerk>("x").hand_over().await?, arrived);
            TestResult::Ok(())
        });
        assert_eq!(passed, Ok(()));
    }
}

#[durable_testing::test(runtime = bank, seeds = 5, real)]
async fn a_test_runs_on_a_real_machine_as_well(sim: Sim) -> TestResult {
    let accounts = ["ada", "bob"].map(|name| sim.get::<Account>(name));
    for account in &accounts {
        account.deposit(5).await?;
    }
    sim.crash().await;
    sim.evict(&accounts[0]).await?;
    sim.restart().await;
    sim.power_cut().await;
    sim.advance(Duration::from_millis(1)).await;
    assert_eq!(accounts[0].deposit(1).await?, 6);
    assert_eq!(sim.inspect(&accounts[0], |account| account.cents).await?, 6);
    assert_eq!(sim.list::<Account>()?.page().await?.len(), 2);
    sim.heal().await?;
    sim.check_history(&accounts)
}

#[durable_testing::test(runtime = bank, seeds = 1, real)]
#[should_panic(expected = "failed on a real machine")]
async fn what_fails_only_on_a_real_machine_fails(sim: Sim) -> TestResult {
    // The only thing that a real machine does not do.
    sim.crash_at("turn.ended")
}

#[test]
fn an_invariant_is_looked_at_after_every_commit() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let passed = Simulation::new().seeds(1).explore(bank, async |sim: Sim| {
        sim.always("a balance only grows", |world| {
            let cents = world.get::<Account>("ada").map_or(0, |ada| ada.cents);
            let before = SEEN.fetch_max(cents, Ordering::Relaxed);
            // Each balance is seen before the next is there: none is left out.
            if cents == before || cents == before + 1 {
                Ok(())
            } else {
                Err(format!("{before} was followed by {cents}"))
            }
        });
        for _ in 0..20 {
            sim.get::<Account>("ada").deposit(1).await?;
        }
        TestResult::Ok(())
    });
    assert_eq!(passed, Ok(()));
    assert_eq!(SEEN.load(Ordering::Relaxed), 20);
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn an_invariant_knows_a_commit_that_only_a_restart_could_tell_of(sim: Sim) -> TestResult {
    let (ada, seen) = (sim.get::<Account>("ada"), Arc::new(AtomicU64::new(0)));
    sim.always("ada is looked at", {
        let seen = Arc::clone(&seen);
        move |world| {
            let cents = world.get::<Account>("ada").map_or(0, |ada| ada.cents);
            seen.store(cents, Ordering::Relaxed);
            true
        }
    });
    ada.deposit(1).await?;
    sim.fail_next_commit(FaultKind::SyncError)?;
    ada.deposit(10).await.expect_err("its commit fails");
    sim.advance(SECOND).await;
    let seen = seen.load(Ordering::Relaxed);
    assert_eq!(ada.balance().await?, seen, "ada was not called since the node was started again");
    sim.sometimes("it was stored all the same", |_| seen == 11);
    Ok(())
}

#[test]
fn a_broken_invariant_fails_the_world() {
    let passed = few().explore(bank, async |sim: Sim| {
        sim.always("nobody is rich", |world| {
            world.all::<Account>().iter().all(|(_, account)| account.cents < 100)
        });
        for _ in 0..10 {
            sim.get::<Account>("ada").deposit(30).await?;
        }
        TestResult::Ok(())
    });
    let failed = assert_fails(passed, "nobody is rich", "it does not hold");
    assert_eq!(failed.passed, 0, "it is the first world");
}

#[durable_testing::test(runtime = bank, seeds = 5)]
#[should_panic(expected = "`a crash` has never happened in 5 worlds")]
async fn what_should_happen_in_some_world_and_never_does_fails_the_test(sim: Sim) -> TestResult {
    sim.get::<Account>("ada").deposit(1).await?;
    sim.sometimes("a deposit", |trace| trace.count("commit.settled") > 0);
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

#[durable_testing::test(runtime = bank, seeds = 30)]
async fn what_happens_in_some_world_is_enough(sim: Sim) -> TestResult {
    sim.faults(Faults::none().crashes(0..3));
    for _ in 0..400 {
        // A call that is cut short is no concern of this test.
        let _ = sim.get::<Account>("ada").deposit(1).await;
    }
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    sim.sometimes("no crash", |trace| trace.count("node.crashes") == 0);
    Ok(())
}

#[test]
fn what_never_comes_to_an_end_does_not_heal() {
    let passed = few().explore(office, async |sim: Sim| {
        let clerk = sim.get::<Clerk>("x");
        let (waited, healed) = join(clerk.wait_for_ever().timeout(DAY).into_future(), async {
            sim.advance(SECOND).await;
            sim.heal().await
        })
        .await;
        drop(waited);
        healed
    });
    assert_fails(passed, "heal", "1 calls still wait: controls.Clerk(x).wait_for_ever");
}

#[durable_testing::test(runtime = bank, seeds = 10)]
async fn clients_run_beside_each_other_each_with_chances_of_its_own(sim: Sim) -> TestResult {
    let began = sim.now();
    let ended = sim
        .clients(3, async |client: Crew| {
            client.sim().advance(SECOND).await;
            let drawn: Vec<u64> = (0..8).map(|_| client.int(0..1_000)).collect();
            (client.number(), drawn, client.chance(50))
        })
        .await;
    let numbers: Vec<u64> = ended.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(ended[0].1 != ended[1].1 && ended[1].1 != ended[2].1);
    assert!(sim.now() - began < 2 * SECOND, "they did not wait for each other");
    Ok(())
}

#[test]
fn a_body_that_returns_an_error_fails() {
    let passed = few().explore(bank, async |_: Sim| TestResult::<()>::Err(TestError::new("no")));
    assert_fails(passed, "test", "no");
}

#[test]
fn a_body_that_panics_fails_and_says_where() {
    let passed = few().explore(bank, async |sim: Sim| {
        assert_eq!(sim.get::<Account>("ada").deposit(1).await?, 2, "of the body");
        TestResult::Ok(())
    });
    let Failed { text, .. } = assert_fails(passed, "panic", "of the body");
    assert!(text.contains("controls.rs:"), "{text}");
}

#[test]
fn an_object_that_panics_fails_the_world_unless_it_may() {
    let body = async |sim: Sim| {
        let clerk = sim.get::<Clerk>("x");
        let error = clerk.fail().await.expect_err("it panics");
        assert_eq!(error.code(), "call.panicked");
        clerk.work(Duration::ZERO).await.map(|_| ())
    };
    let Failed { text, .. } =
        assert_fails(few().explore(office, body), "panic", "the clerk gives up");
    assert!(text.contains("controls.rs:"), "{text}");
    assert_eq!(few().allow_panics().explore(office, body), Ok(()));
}

#[test]
fn a_call_that_never_ends_is_stuck() {
    let passed =
        few().explore(office, async |sim: Sim| sim.get::<Clerk>("x").wait_for_ever().await);
    assert_fails(passed, "stuck", "calls still wait: controls.Clerk(x).wait_for_ever");
}

/// Its only error is the crash's.
async fn does_not_expect_a_crash(sim: Sim) -> TestResult {
    sim.crash_at("turn.ended")?;
    sim.get::<Account>("ada").deposit(1).await?;
    Ok(())
}

#[test]
fn a_world_gives_up_when_a_fault_is_all_that_is_wrong_with_it() {
    assert_eq!(few().explore(bank, does_not_expect_a_crash), Ok(()));
}

#[durable_testing::test(runtime = bank, seeds = 5)]
#[should_panic(expected = "all 5 worlds gave up because of a fault before the test was over")]
async fn a_test_of_which_every_world_gives_up_fails(sim: Sim) -> TestResult {
    does_not_expect_a_crash(sim).await
}
