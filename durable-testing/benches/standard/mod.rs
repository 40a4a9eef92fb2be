//! The standard world: three classes, four clients, a hundred calls, two crashes.

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::disk::Crash;
use durable_testing::plan::{Plan, PlannedFault, What, When};
use durable_testing::prelude::*;

const CLIENTS: usize = 4;

/// What every client does, in an order that chance says. With the two calls that each transfer makes of accounts,
/// these are 25 calls.
const CALLS: [Kind; 19] = [
    Kind::Deposit,
    Kind::Deposit,
    Kind::Deposit,
    Kind::Deposit,
    Kind::Deposit,
    Kind::Withdraw,
    Kind::Balance,
    Kind::Balance,
    Kind::Balance,
    Kind::Balance,
    Kind::Balance,
    Kind::SlowDeposit,
    Kind::SlowDeposit,
    Kind::SlowBalance,
    Kind::SlowBalance,
    Kind::Moved,
    Kind::Transfer,
    Kind::Transfer,
    Kind::Transfer,
];

/// Between which operations of the disk the two crashes come. Every world does more than that.
const POWER_CUT_OPS: (u64, u64) = (5, 45);
const CRASH_OPS: (u64, u64) = (60, 100);

/// What the report of a world calls its having met both.
pub(crate) const BOTH: &str = "both crashes";

#[derive(Clone, Copy)]
enum Kind {
    Deposit,
    Withdraw,
    Balance,
    SlowDeposit,
    SlowBalance,
    Transfer,
    Moved,
}

/// Turns that do not wait.
#[derive(Default, DurableState)]
pub(crate) struct Account {
    cents: i64,
}

#[durable_object(name = "bench.Account")]
impl Account {
    /// Adds.
    pub fn deposit(&mut self, cents: i64) -> i64 {
        self.cents += cents;
        self.cents
    }

    /// Takes away, below zero if need be, so that every transfer makes two calls.
    pub fn withdraw(&mut self, cents: i64) -> i64 {
        self.cents -= cents;
        self.cents
    }

    /// What is there.
    pub fn balance(&self) -> i64 {
        self.cents
    }
}

/// Turns that wait in the middle.
#[derive(Default, DurableState)]
pub(crate) struct Slow {
    cents: i64,
}

#[durable_object(name = "bench.Slow")]
impl Slow {
    /// Adds, in two steps.
    pub async fn slow_deposit(&mut self, cents: i64) -> i64 {
        self.cents += cents / 2;
        pause().await;
        self.cents += cents - cents / 2;
        self.cents
    }

    /// What is there, before and after a pause.
    pub async fn slow_balance(&self) -> (i64, i64) {
        let before = self.cents;
        pause().await;
        (before, self.cents)
    }
}

#[expect(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

/// Turns that call other objects.
#[derive(Default, DurableState)]
pub(crate) struct Teller {
    moved: i64,
}

#[durable_object(name = "bench.Teller")]
impl Teller {
    /// Moves money between two accounts.
    pub async fn transfer(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: String,
        to: String,
        cents: i64,
    ) -> bool {
        self.moved += cents;
        let (from, to) = (cx.get::<Account>(from), cx.get::<Account>(to));
        let is_taken = from.withdraw(cents).await.is_ok();
        to.deposit(cents).await.is_ok() && is_taken
    }

    /// How much it has moved.
    pub fn moved(&self) -> i64 {
        self.moved
    }
}

/// The node's classes.
pub(crate) fn classes(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Account>().register::<Slow>().register::<Teller>()
}

/// The crashes of the world with this seed: a power cut that tears what was being written, and the end of a process.
pub(crate) fn crashes(seed: u64) -> Plan {
    let at = |(from, to): (u64, u64), spread: u64| {
        When::Op(from + seed.wrapping_mul(spread) % (to - from))
    };
    Plan {
        faults: vec![
            PlannedFault { when: at(POWER_CUT_OPS, 7), what: What::Crash(Crash::PowerTorn) },
            PlannedFault { when: at(CRASH_OPS, 11), what: What::Crash(Crash::Process) },
        ],
    }
}

/// The test: calls while things go wrong, then peace, then the history of one class.
pub(crate) async fn test(sim: Sim) -> TestResult {
    let accounts = ["ada", "bob", "cyd"];
    // Whatever the plan says; there is nothing to draw.
    sim.faults(Faults::none());
    sim.clients(CLIENTS, |client| async move {
        let mut left = CALLS.to_vec();
        while !left.is_empty() {
            let place = client.int(0..left.len() as u64);
            let kind = left.swap_remove(usize::try_from(place).expect("a place in a short list"));
            call(&client, &accounts, kind).await;
        }
    })
    .await;
    sim.heal().await?;
    sim.check_history(&accounts.map(|name| sim.get::<Account>(name)))?;
    sim.sometimes(BOTH, |trace| trace.count("node.crashes") == 2);
    Ok(())
}

/// One call. Its errors are for the checks to judge.
async fn call(client: &Crew, accounts: &[&str; 3], kind: Kind) {
    let cents = i64::try_from(client.int(1..20)).expect("a small number");
    let sim = client.sim();
    let account = || sim.get::<Account>(*client.pick(accounts));
    let slow = || sim.get::<Slow>(*client.pick(&["x", "y"]));
    let teller = || sim.get::<Teller>(*client.pick(&["north", "south"]));
    match kind {
        Kind::Deposit => drop(account().deposit(cents).await),
        Kind::Withdraw => drop(account().withdraw(cents).await),
        Kind::Balance => drop(account().balance().await),
        Kind::SlowDeposit => drop(slow().slow_deposit(cents).await),
        Kind::SlowBalance => drop(slow().slow_balance().await),
        Kind::Moved => drop(teller().moved().await),
        Kind::Transfer => {
            let (from, to) = client.pick_two(accounts);
            drop(teller().transfer((*from).to_owned(), (*to).to_owned(), cents).await);
        }
    }
}
