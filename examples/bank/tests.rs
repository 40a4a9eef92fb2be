//! Banks in simulated worlds.

use super::*;
use account::{AccountStub, CENTS_MAX, DAY_MS, Entry, Refusal};
use durable_testing::prelude::*;

const NAMES: [&str; 4] = ["ada", "bob", "cyd", "dan"];

/// Accounts in shards of their own, and an audit every second.
fn city(builder: RuntimeBuilder) -> RuntimeBuilder {
    bank(builder, Duration::from_secs(1)).shards(3)
}

/// Without an auditor, so that days may pass.
fn village(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Account>().register::<Books>()
}

/// What must hold of what is on the disk, at every moment of a world.
fn watch(sim: &Sim) {
    sim.always("no audit is wrong", |world| {
        let wrong = world.get::<Books>(BOOKS).and_then(|books| books.wrong);
        wrong.map_or(Ok(()), |wrong| Err(shown(&wrong)))
    });
    sim.always("only the house owes", |world| {
        let accounts = world.all::<Account>();
        accounts.iter().all(|(name, account)| account.cents >= 0 || name == HOUSE)
    });
}

fn accounts(sim: &Sim) -> [AccountStub; 4] {
    NAMES.map(|name| sim.get::<Account>(name))
}

/// All of a ledger that is not long.
async fn ledger(account: &AccountStub) -> TestResult<Vec<Entry>> {
    let entries = account.entries(0).await;
    entries.map_err(|error| TestError::new(format!("{error:?}")))
}

/// Nothing is on its way: whatever was sent has come once, and what accounts have is what was paid in.
async fn assert_settled(sim: &Sim) -> TestResult {
    let (mut cents, mut paid_in, mut sent, mut came) = (0, 0, Vec::new(), Vec::new());
    for name in NAMES.into_iter().chain([HOUSE]) {
        let account = sim.get::<Account>(name);
        let entries = ledger(&account).await?;
        let booked: i64 = entries.iter().map(|entry| entry.cents).sum();
        if let Ok(balance) = account.balance().await {
            assert_eq!(booked, balance, "{name}: {entries:?}");
        }
        cents += booked;
        for Entry { what, other, payment, cents, .. } in entries {
            let (name, other) = (name.to_owned(), other);
            match what.as_str() {
                "paid in" => paid_in += cents,
                _ if cents < 0 => sent.push((name, other, payment, -cents)),
                _ => came.push((other, name, payment, cents)),
            }
        }
    }
    assert_eq!(cents, paid_in, "what is in the accounts is what was paid in");
    sent.sort();
    came.sort();
    assert_eq!(sent, came, "every payment has come, and none came twice");
    assert!(sim.dead_letters(None).await?.is_empty());
    Ok(())
}

#[durable_testing::test(runtime = city, seeds = 40)]
async fn no_money_is_lost_or_made_whatever_happens(sim: Sim) -> TestResult {
    let accounts = accounts(&sim);
    watch(&sim);
    let old = &accounts[..3];
    for account in old {
        account.open().await?;
    }
    sim.advance(Duration::from_millis(500)).await;
    sim.faults(Faults::all().power_cuts(1..3));
    sim.clients(3, async |client| {
        for _ in 0..10 {
            let (account, cents) = (client.pick(&accounts), client.int(1..60_000) as i64);
            match client.int(0..10) {
                0..=1 => drop(account.pay_in(cents).await),
                2 => drop(client.sim().run_alarm(client.pick(old)).await),
                // The last of them is opened in the middle, maybe of an audit.
                3 => drop(account.open().await),
                4 => drop(client.sim().evict(client.pick(old)).await),
                _ => drop(account.transfer((*client.pick(&NAMES)).to_owned(), cents).await),
            }
            if client.chance(30) {
                client.sleep(Duration::from_millis(600)).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.advance(Duration::from_secs(3)).await;
    sim.heal().await?;
    assert_settled(&sim).await?;
    let last = sim.get::<Books>(BOOKS).last().await?;
    let last = last.expect("accounts were opened a while ago, and an audit was over since");
    assert!(last.counted.is_sound());
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

#[durable_testing::test(runtime = village, crash_everywhere)]
async fn a_transfer_is_whole_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let [ada, bob, ..] = accounts(&sim);
    watch(&sim);
    for account in [&ada, &bob] {
        let _ = account.open().await;
    }
    let _ = ada.pay_in(1_000).await;
    sim.heal().await?;
    let paid = ada.transfer("bob".to_owned(), 300).await;
    sim.heal().await?;
    assert_settled(&sim).await?;
    let has = ledger(&bob).await?.iter().map(|entry| entry.cents).sum::<i64>();
    assert!(has == 300 || paid.is_err() && has == 0, "{has} of {paid:?}");
    Ok(())
}

#[durable_testing::test(runtime = village, seeds = 20)]
async fn interest_comes_once_a_day_also_for_days_on_which_nothing_ran(sim: Sim) -> TestResult {
    let (ada, house) = (sim.get::<Account>("ada"), sim.get::<Account>(HOUSE));
    watch(&sim);
    house.open().await?;
    ada.open().await?;
    sim.heal().await?;
    ada.pay_in(5_000_000).await?;
    sim.advance(Duration::from_millis(DAY_MS + 1_000)).await;
    sim.crash().await;
    sim.heal().await?;
    assert_eq!(ada.balance().await?, 5_000_500);
    sim.advance(Duration::from_millis(2 * DAY_MS)).await;
    sim.heal().await?;
    assert_eq!(ada.balance().await?, 5_001_500);
    assert_eq!(house.balance().await?, -1_500);
    assert_settled(&sim).await
}

#[durable_testing::test(runtime = village, seeds = 5)]
async fn what_is_refused_changes_nothing(sim: Sim) -> TestResult {
    let [ada, bob, cyd, _] = accounts(&sim);
    ada.open().await?;
    bob.open().await?;
    sim.heal().await?;
    ada.pay_in(100).await?;
    let no_such = |name: &str| Refusal::NoSuchAccount(name.to_owned());
    let to = |name: &str| name.to_owned();
    for (answer, refusal) in [
        (
            ada.transfer(to("bob"), 101).await,
            Refusal::InsufficientFunds { has_cents: 100, wanted_cents: 101 },
        ),
        (ada.transfer(to("cyd"), 1).await, no_such("cyd")),
        (cyd.transfer(to("ada"), 1).await, no_such("cyd")),
        (cyd.balance().await, no_such("cyd")),
        (ada.transfer(to("bob"), 0).await, Refusal::NoAmount { cents: 0 }),
        (ada.transfer(to("bob"), -5).await, Refusal::NoAmount { cents: -5 }),
        (ada.pay_in(i64::MAX).await, Refusal::NoAmount { cents: i64::MAX }),
        (ada.pay_in(CENTS_MAX + 1).await, Refusal::NoAmount { cents: CENTS_MAX + 1 }),
    ] {
        assert_eq!(answer.as_ref().err().and_then(CallError::rejection), Some(&refusal));
    }
    sim.heal().await?;
    assert_eq!((ada.balance().await?, bob.balance().await?), (100, 0));
    assert_eq!(ledger(&ada).await?.len(), 1);
    assert_settled(&sim).await
}

/// The money that is on its way while an audit comes by is counted where it is: nowhere.
#[durable_testing::test(runtime = village, seeds = 60)]
async fn an_audit_sees_the_money_that_is_in_flight(sim: Sim) -> TestResult {
    let accounts = accounts(&sim);
    watch(&sim);
    for account in &accounts {
        account.open().await?;
        account.pay_in(1_000).await?;
    }
    sim.heal().await?;
    let books = sim.get::<Books>(BOOKS);
    let seen = sim
        .clients(3, async |client| -> TestResult<bool> {
            let mut seen = false;
            for _ in 0..8 {
                let to = *client.pick(&NAMES);
                drop(client.pick(&accounts).transfer(to.to_owned(), 7).await);
                books.audit().await?;
                seen |= books.last().await?.is_some_and(|last| last.counted.in_flight > 0);
            }
            Ok(seen)
        })
        .await;
    let seen = seen.into_iter().collect::<TestResult<Vec<_>>>()?;
    sim.heal().await?;
    let last = books.last().await?.expect("audits were over");
    assert_eq!(last.counted.paid_in, 4_000);
    assert_settled(&sim).await?;
    sim.sometimes("money in flight", |_| seen.contains(&true));
    Ok(())
}

#[test]
fn cents_are_shown_as_money() {
    for (cents, shown) in [(0, "0.00"), (5, "0.05"), (12_345, "123.45"), (-250, "-2.50")] {
        assert_eq!(money(cents), shown);
    }
}
