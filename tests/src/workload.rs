//! The workload: clients that do whatever an object can be asked, while everything goes wrong that may.

use std::pin::pin;
use std::time::Duration;

use durable::Stub;
use durable_testing::prelude::*;
use futures_util::future::{join_all, select};

use crate::classes::{
    Account, AccountStub, Log, LogStub, Register, RegisterStub, Shelf, ShelfStub, Slow, SlowStub,
    Teller, TellerStub,
};

/// What the workload is done to.
#[derive(Debug)]
pub struct Objects {
    /// Can be checked against themselves, whoever calls them.
    pub accounts: Vec<AccountStub>,
    /// Call accounts.
    pub tellers: Vec<TellerStub>,
    /// Have something that is not stored.
    pub logs: Vec<LogStub>,
    /// Wait in the middle of their turns.
    pub slow: Vec<SlowStub>,
    /// Keep the same in two places.
    pub shelves: Vec<ShelfStub>,
    /// Keep the same in their structs and in tables.
    pub registers: Vec<RegisterStub>,
}

impl Objects {
    /// In this world.
    pub fn of(sim: &Sim) -> Self {
        Objects {
            accounts: ["ada", "bob", "cyd"].map(|name| sim.get::<Account>(name)).into(),
            tellers: ["north", "south"].map(|name| sim.get::<Teller>(name)).into(),
            logs: ["a", "b"].map(|name| sim.get::<Log>(name)).into(),
            slow: ["x", "y"].map(|name| sim.get::<Slow>(name)).into(),
            shelves: ["s", "t"].map(|name| sim.get::<Shelf>(name)).into(),
            registers: ["p", "q"].map(|name| sim.get::<Register>(name)).into(),
        }
    }
}

/// One call of anything. Its errors are what the checks look at, not the caller.
async fn call_something(client: &Crew, objects: &Objects) {
    let account = client.pick(&objects.accounts);
    let cents = client.int(0..20);
    match client.int(0..38) {
        0..=2 => drop(account.deposit(cents).await),
        3 => drop(account.withdraw(cents).await),
        4 => drop(account.balance().await),
        5 => drop(client.pick(&objects.slow).slow_balance().await),
        6 => hurried(client.pick(&objects.slow), cents).await,
        7 => drop(account.stamp().await),
        8 => drop(account.touch().timeout(Duration::from_millis(3)).await),
        9 => drop(account.panic_after_change(cents).await),
        10 => {
            let teller = client.pick(&objects.tellers);
            let (from, to) = client.pick_two(&["ada", "bob", "cyd"]);
            let transfer = teller.transfer((*from).to_owned(), (*to).to_owned(), cents);
            // What is left of the time of some is what the calls inside of them have.
            let patience = if cents < 3 { 600 } else { 60_000_000 };
            drop(transfer.timeout(Duration::from_micros(patience)).await);
        }
        11 => drop(client.pick(&objects.logs).append(format!("line {cents}")).await),
        12 => several_at_once(account, cents).await,
        13 => leave_early(client, account, cents).await,
        14 => drop(client.sim().evict(account).await),
        15 => drop(client.sim().inspect(account, |account: &Account| account.turns).await),
        16 => nameless(client, cents).await,
        17 => drop(client.pick(&objects.logs).truncate(usize::try_from(cents).unwrap_or(0)).await),
        18 => {
            let name = (*client.pick(&["ada", "bob", "cyd"])).to_owned();
            drop(client.pick(&objects.tellers).treble(name, cents).await);
        }
        19 => drop(client.pick(&objects.logs).length().await),
        20 => {
            // The read begins while the change that it sees is not durable, and ends after it is, or never will be.
            let slow = client.pick(&objects.slow);
            let deposit = slow.slow_deposit(cents).into_future();
            drop(futures_util::future::join(deposit, slow.slow_balance().into_future()).await);
        }
        21 => drop(account.deposit(cents).relaxed().await),
        22 => drop(account.balance().relaxed().await),
        23 => {
            // The second waits for what the first did not.
            let relaxed = account.withdraw(cents).relaxed().into_future();
            drop(futures_util::future::join(relaxed, account.balance().into_future()).await);
        }
        24..=29 => use_register(client, client.pick(&objects.registers)).await,
        30 => drop(client.sim().backup().await),
        _ => use_shelf(client, client.pick(&objects.shelves)).await,
    }
}

/// One call of anything that has to do with tables.
async fn use_register(client: &Crew, register: &RegisterStub) {
    let number = i64::try_from(client.int(0..12)).expect("small");
    let name = format!("{number:03}");
    match client.int(0..17) {
        0 | 1 => drop(register.enter(name, number).await),
        2 => drop(register.enter_many(number, 4).await),
        3 => was_one(register.leave(name).await),
        4 => drop(register.age().await),
        5 => drop(register.scribble().await),
        6 => drop(register.count_turn().await),
        7 => drop(register.enter_and_refuse(name).await),
        8 => drop(register.enter_and_panic(name).await),
        9 => drop(register.enter_one_of_two(name).await),
        10 => drop(register.visit_of_a_stranger().await),
        11 => {
            // Beside each other, so that the check goes over what is not durable yet.
            let enter = register.enter(name.clone(), 7).into_future();
            let leave = register.leave(name).into_future();
            let check = register.check().into_future();
            let (_, left, checked) = futures_util::future::join3(enter, leave, check).await;
            was_one(left);
            agrees(checked);
        }
        12 | 13 => {
            let (enter, check) = (register.enter_many(number, 3), register.check());
            let both = futures_util::future::join(enter.into_future(), check.into_future());
            agrees(both.await.1);
        }
        14 => drop(client.sim().evict(register).await),
        _ => agrees(register.check().await),
    }
}

/// One call of anything that has to do with keys.
async fn use_shelf(client: &Crew, shelf: &ShelfStub) {
    let number = client.int(0..12);
    let title = format!("{number:03}");
    match client.int(0..13) {
        0 | 1 => drop(shelf.put(title, number).await),
        11 => drop(shelf.burn(title).await),
        12 => drop(shelf.burn_and_refuse().await),
        2 => drop(shelf.fill(number, 4).await),
        3 => was_one(shelf.take(title).await),
        4 => drop(shelf.dust().await),
        5 => drop(shelf.count_turn().await),
        6 => drop(shelf.put_and_refuse(title).await),
        7 => drop(shelf.put_and_panic(title).await),
        8 => {
            // Beside each other, so that the check goes over what is not durable yet.
            let put = shelf.put(title.clone(), 7).into_future();
            let (take, check) = (shelf.take(title).into_future(), shelf.check().into_future());
            let (_, taken, checked) = futures_util::future::join3(put, take, check).await;
            was_one(taken);
            agrees(checked);
        }
        9 => drop(client.sim().evict(shelf).await),
        _ => agrees(shelf.check().await),
    }
}

type Of<T> = Result<T, durable::CallError<durable::Error>>;

fn was_one(taken: Of<(bool, bool)>) {
    if let Ok((was_kept, was_known)) = taken {
        assert_eq!(was_kept, was_known, "struct and keys or rows are of one commit");
    }
}

fn agrees(checked: Of<(usize, String)>) {
    if let Ok((_, differs)) = checked {
        assert_eq!(differs, "", "struct and keys or rows are of one commit");
    }
}

/// A deposit that pauses for 1 ms, by a caller of whose kind some have hardly so much time.
async fn hurried(slow: &SlowStub, cents: u64) {
    let deposit = slow.slow_deposit(cents);
    match cents {
        0..=6 => drop(deposit.timeout(Duration::from_micros(400 * cents)).await),
        _ => drop(deposit.await),
    }
}

/// Calls through one stub, none of which waits for the one before.
async fn several_at_once(account: &AccountStub, cents: u64) {
    let deposits = [cents, 1, 2].map(|cents| account.deposit(cents).into_future());
    let (deposits, balance) =
        futures_util::future::join(join_all(deposits), account.balance().into_future()).await;
    drop((deposits, balance));
}

/// A caller who may not wait for its answer.
async fn leave_early(client: &Crew, account: &AccountStub, cents: u64) {
    let patience = pin!(client.sleep(Duration::from_micros(200)));
    drop(select(account.deposit(cents).into_future(), patience).await);
}

/// An object that only its id leads to.
async fn nameless(client: &Crew, cents: u64) {
    let new = client.sim().unique::<Account>();
    let deposited = new.deposit(cents).await;
    let Ok(id) = new.id() else { return };
    if deposited.is_ok() {
        let Ok(found) = client.sim().get_by_id::<Account>(id) else { return };
        if let Ok(balance) = found.balance().await {
            assert_eq!(balance, cents, "nobody else knows the object");
        }
        let deleted = client.sim().delete(&found).await;
        if let (Ok(was_there), Ok(balance)) = (deleted, found.balance().await) {
            assert!(was_there, "it was stored");
            assert_eq!(balance, 0, "it begins anew");
        }
    }
}

/// What a [`Slow`] does, as long as nobody sees its pauses.
#[derive(Debug)]
pub struct SlowModel;

impl Model for SlowModel {
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: &Recorded) -> Result<Step<u64>, String> {
        match call.method.as_str() {
            "slow_deposit" => {
                let (cents,): (u64,) = call.args_as()?;
                Ok(Step::of(state + cents, &(state + cents)))
            }
            "slow_balance" => Ok(Step::of(*state, &(*state, *state))),
            other => Err(format!("a `Slow` has no `{other}`")),
        }
    }
}

/// Nothing fails any more: everybody answers, knows its name, is listed if it is stored, and leaves memory when idle.
async fn everybody_is_well(sim: &Sim, objects: &Objects) -> TestResult {
    for (account, name) in objects.accounts.iter().zip(["ada", "bob", "cyd"]) {
        account.deposit(1).await?;
        sim.evict(account).await?;
        let nameless = sim.get_by_id::<Account>(account.id()?)?;
        assert_eq!(nameless.own_name().await?.as_deref(), Some(name), "storage knows the name");
    }
    for log in &objects.logs {
        log.length().await?;
    }
    for slow in &objects.slow {
        slow.slow_balance().await?;
    }
    let listed = sim.list::<Account>()?.page().await?;
    let names: Vec<_> = listed.iter().filter_map(|listed| listed.name()).collect();
    assert_eq!(names, ["ada", "bob", "cyd"], "all that are stored are listed");
    assert!(sim.backup().await, "a backup is made where nothing fails");
    sim.advance(Duration::from_secs(30)).await;
    assert_eq!(sim.resident_objects(), 0, "objects that are idle leave memory");
    Ok(())
}

/// Clients that do anything, under `faults`, and every check at the end.
pub async fn work(sim: Sim, faults: Faults) -> TestResult {
    let objects = Objects::of(&sim);
    sim.always("no overdraft", |world| {
        world.all::<Account>().iter().all(|(_, account)| account.cents < 1 << 40)
    });
    sim.faults(faults);
    sim.clients(4, async |client| {
        for _ in 0..25 {
            call_something(&client, &objects).await;
            if client.chance(10) {
                client.sleep(Duration::from_secs(8)).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    everybody_is_well(&sim, &objects).await?;
    check_histories(&sim, &objects)?;
    for shelf in &objects.shelves {
        agrees(shelf.check().await);
    }
    for register in &objects.registers {
        agrees(register.check().await);
    }
    sim.sometimes("a shard was copied", |trace| trace.count("shard.copying") > 0);
    sim.sometimes("keys were read", |trace| trace.count("kv.read") > 0);
    sim.sometimes("an object left memory", |trace| trace.count("activation.gone") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

/// The same in a few calls without a pause, so that there can be many such worlds.
pub async fn work_a_little(sim: Sim) -> TestResult {
    let objects = Objects::of(&sim);
    sim.faults(Faults::all().during(12));
    sim.clients(3, async |client| {
        for _ in 0..4 {
            call_something(&client, &objects).await;
        }
    })
    .await;
    sim.heal().await?;
    check_histories(&sim, &objects)
}

fn check_histories(sim: &Sim, objects: &Objects) -> TestResult {
    sim.check_history(&objects.accounts)?;
    sim.check_history(&objects.logs)?;
    sim.check_history(&objects.shelves)?;
    sim.check_history(&objects.registers)?;
    sim.check_history_against(&objects.slow, &SlowModel)
}
