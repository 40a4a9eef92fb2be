//! The checks of histories, end to end: objects that lie are caught, and those that tell the truth are believed.

use std::sync::atomic::{AtomicU64, Ordering};

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::Failed;
use durable_testing::prelude::*;
use tests::classes::{Account, AccountStub, Teller, bank};

/// What is in no object and in no world, and so survives what it should not.
static HIDDEN: AtomicU64 = AtomicU64::new(0);

/// Tells what it had to tell the last time.
#[derive(Default, DurableState)]
struct Liar {
    count: u64,
}

#[durable_object(name = "checkers.Liar", visibility = "pub(crate)")]
impl Liar {
    pub fn add(&mut self, n: u64) {
        self.count += n;
    }

    pub fn count(&self) -> u64 {
        HIDDEN.swap(self.count, Ordering::SeqCst)
    }
}

fn liars(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Liar>()
}

/// A count, as it should be.
struct Count;

impl Model for Count {
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: &Recorded) -> Result<Step<u64>, String> {
        match call.method.as_str() {
            "add" => {
                let (n,): (u64,) = call.args_as()?;
                Ok(Step::of(state + n, &()))
            }
            "count" => Ok(Step::of(*state, state)),
            other => Err(format!("a `Liar` has no `{other}`")),
        }
    }
}

#[track_caller]
fn assert_caught(passed: Result<(), Failed>, check: &str, texts: &[&str]) {
    let Err(failed) = passed else { panic!("nothing was caught") };
    assert_eq!(failed.check, check, "{}", failed.text);
    for text in texts {
        assert!(failed.text.contains(text), "{}", failed.text);
    }
}

#[test]
fn an_object_that_tells_what_was_is_caught_by_a_model() {
    let passed = Simulation::new().seeds(1).explore(liars, async |sim: Sim| {
        let liar = sim.get::<Liar>("x");
        liar.add(1).await?;
        liar.count().await?;
        liar.add(1).await?;
        assert_eq!(liar.count().await?, 1, "a lie: it is two");
        sim.check_history_against([&liar], &Count)
    });
    assert_caught(passed, "history", &["checkers.Liar(x)", "count"]);
}

/// Counts past its state.
#[derive(Default, DurableState)]
struct Twice {
    turns: u64,
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

#[durable_object(name = "checkers.Twice", visibility = "pub(crate)")]
impl Twice {
    pub fn next(&mut self) -> u64 {
        self.turns += 1;
        OUTSIDE.fetch_add(1, Ordering::SeqCst)
    }
}

#[test]
fn an_object_that_keeps_its_state_elsewhere_is_caught_by_itself() {
    let twice = |builder: RuntimeBuilder| builder.register::<Twice>();
    let passed = Simulation::new().seeds(1).explore(twice, async |sim: Sim| {
        let twice = sim.get::<Twice>("x");
        twice.next().await?;
        twice.next().await?;
        sim.check_history([&twice])
    });
    assert_caught(passed, "history", &["checkers.Twice(x)", "next"]);
}

/// Says that deposits count double.
struct Generous;

impl Model for Generous {
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: &Recorded) -> Result<Step<u64>, String> {
        match call.method.as_str() {
            "deposit" => {
                let (cents,): (u64,) = call.args_as()?;
                Ok(Step::of(state + 2 * cents, &(state + 2 * cents)))
            }
            other => Err(format!("the model has no `{other}`")),
        }
    }
}

#[test]
fn a_model_that_disagrees_with_its_object_is_caught() {
    let passed = Simulation::new().seeds(1).explore(bank, async |sim: Sim| {
        let ada = sim.get::<Account>("ada");
        ada.deposit(5).await?;
        sim.check_history([&ada])?;
        sim.check_history_against([&ada], &Generous)
    });
    assert_caught(passed, "history", &["sim.Account(ada)", "deposit"]);
}

#[test]
fn a_call_that_the_model_does_not_know_is_said() {
    let passed = Simulation::new().seeds(1).explore(bank, async |sim: Sim| {
        let ada = sim.get::<Account>("ada");
        ada.balance().await?;
        sim.check_history_against([&ada], &Generous)
    });
    assert_caught(passed, "test", &["cannot be checked", "the model has no `balance`"]);
}

#[test]
fn a_class_that_calls_others_needs_a_model() {
    let passed = Simulation::new().seeds(1).explore(bank, async |sim: Sim| {
        let north = sim.get::<Teller>("north");
        north.transfer("ada".to_owned(), "bob".to_owned(), 0).await?;
        sim.check_history([&north])
    });
    assert_caught(passed, "test", &["cannot be run by itself", "with a `Model`"]);
}

/// Makes a deposit that fails at `point`, and gives the balance after it.
async fn deposit_failing_at(sim: &Sim, ada: &AccountStub, point: &str) -> TestResult<u64> {
    sim.crash_at(point)?;
    let error = ada.deposit(5).await.expect_err("the node crashes");
    assert_eq!(error.outcome(), durable::Outcome::Unknown);
    Ok(ada.balance().await?)
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn a_call_of_which_nobody_knows_may_have_happened_or_not(sim: Sim) -> TestResult {
    let (ada, bob) = (sim.get::<Account>("ada"), sim.get::<Account>("bob"));
    assert_eq!(deposit_failing_at(&sim, &ada, "commit.stored").await?, 5, "it has happened");
    assert_eq!(deposit_failing_at(&sim, &bob, "turn.ended").await?, 0, "it has not");
    sim.check_history([&ada, &bob])
}
