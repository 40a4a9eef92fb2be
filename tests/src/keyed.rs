//! Calls with idempotency keys, made again and again, while everything goes wrong that may.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Mutex;
use std::time::Duration;

use crate::time::pause;
use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::prelude::*;
use futures_util::future::join;

/// Takes payments, each of which is to be taken once.
#[derive(Debug, Default, DurableState)]
pub struct Till {
    /// How often each payment was taken.
    pub paid: BTreeMap<String, u64>,
    /// The cents of all.
    pub total: u64,
    /// How long it takes to take one.
    pub takes_ms: u64,
    /// Payments are refused.
    pub is_shut: bool,
}

// Turns that panic are what is looked at, and what follows on many of them is looked at elsewhere.
#[durable_object(name = "keyed.Till", crashes = 1_000)]
impl Till {
    /// Takes a payment, and gives the cents of all until now.
    pub async fn pay(&mut self, name: String, cents: u64) -> u64 {
        *self.paid.entry(name).or_default() += 1;
        self.total += cents;
        if self.takes_ms > 0 {
            pause(self.takes_ms).await;
        }
        self.total
    }

    /// As `pay`, unless it is shut.
    pub async fn pay_if_open(&mut self, name: String, cents: u64) -> Result<u64, String> {
        let total = self.pay(name, cents).await;
        if self.is_shut { Err("shut".to_owned()) } else { Ok(total) }
    }

    /// As `pay`, and panics if it is shut.
    pub async fn pay_or_panic(&mut self, name: String, cents: u64) -> u64 {
        let total = self.pay(name, cents).await;
        assert!(!self.is_shut, "asked to");
        total
    }

    /// Takes `&mut self` and changes nothing.
    pub fn touch(&mut self) -> u64 {
        self.total
    }

    /// Changes something and returns so many bytes.
    pub fn print(&mut self, bytes: u32) -> String {
        self.total += 1;
        "x".repeat(bytes as usize)
    }

    /// Leaves nothing of itself.
    pub fn close_down(&mut self, cx: &mut Context<'_, Self>) -> u64 {
        cx.delete_all();
        self.total
    }

    /// Sends a call that has a key, which is no part of any turn that is kept.
    pub fn send_keyed(&mut self, cx: &mut Context<'_, Self>) {
        cx.send(cx.me().touch().idempotency_key("k"));
    }

    /// Schedules one.
    pub fn plan_keyed(&mut self, cx: &mut Context<'_, Self>) {
        let call = cx.me().touch().idempotency_key("k");
        cx.schedule("late").once(durable::WallMs(1 << 42)).call(call);
    }

    /// From now on payments take so long, and are refused or not.
    pub fn set(&mut self, takes_ms: u64, is_shut: bool) {
        (self.takes_ms, self.is_shut) = (takes_ms, is_shut);
    }

    /// How often each payment was taken.
    pub fn paid(&self) -> BTreeMap<String, u64> {
        self.paid.clone()
    }

    /// The cents of all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Pays for others.
#[derive(Debug, Default, DurableState)]
pub struct Clerk {
    /// Payments that were answered.
    pub done: u64,
}

#[durable_object(name = "keyed.Clerk")]
impl Clerk {
    /// Pays at a till, once for each name.
    pub async fn pay_at(
        &mut self,
        cx: &mut Context<'_, Self>,
        to: String,
        name: String,
        cents: u64,
    ) -> Result<u64, Error> {
        let paid = cx.get::<Till>(&to).pay(name.clone(), cents).idempotency_key(name).await?;
        self.done += 1;
        Ok(paid)
    }
}

/// A runtime with tills.
pub fn tills(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Till>().register::<Clerk>().shards(2).crashes(1_000, Duration::from_secs(1))
}

/// One that forgets results before long.
pub fn forgetful_tills(builder: RuntimeBuilder) -> RuntimeBuilder {
    tills(builder).keep_results(Duration::from_secs(2))
}

/// What was answered, by till and payment.
type Answers = Mutex<BTreeMap<(String, String), Answer>>;

/// The cents that were paid, and what was answered.
type Answer = (u64, u64);

/// One payment under its name, which says what it is. Gives where, which, and what was answered for certain.
async fn pay(client: &Crew, tills: &[TillStub]) -> Option<((String, String), Answer)> {
    let (till, number) = (client.pick(tills), client.int(0..9));
    // Now and then it is another one under the same name, which is to be refused.
    let (name, cents) = (format!("payment {number}"), number * 10 + u64::from(client.chance(10)));
    let own = till.name().expect("it has one").to_owned();
    let call = || till.pay(name.clone(), cents).idempotency_key(name.as_str());
    let answer = match client.int(0..8) {
        0 => call().timeout(Duration::from_millis(client.int(1..40))).await.ok(),
        1 => {
            // What is answered before it is stored may be answered otherwise.
            drop(call().relaxed().await);
            None
        }
        2 => join(call().into_future(), call().into_future()).await.0.ok(),
        3 => client.sim().get::<Clerk>("ada").pay_at(own.clone(), name.clone(), cents).await.ok(),
        _ => call().await.ok(),
    };
    answer.map(|total| ((own, name), (cents, total)))
}

/// Every answer of one payment is the same, and it is one payment.
fn note(answers: &Answers, answer: Option<((String, String), Answer)>) {
    let Some((of, answer)) = answer else { return };
    let mut answers = answers.lock().expect("nobody panics while it is held");
    let before = *answers.entry(of.clone()).or_insert(answer);
    assert_eq!(before, answer, "{of:?} has two answers");
}

/// One call of a till that has nothing to do with keys, or with other keys.
async fn use_till(client: &Crew, till: &TillStub) {
    let number = client.int(0..400);
    match client.int(0..10) {
        0 => drop(
            till.set(number / 8 * u64::from(number.is_multiple_of(3)), number.is_multiple_of(2))
                .await,
        ),
        1 => drop(till.pay_if_open("open".to_owned(), 1).idempotency_key("open").await),
        2 => drop(till.pay_or_panic("calm".to_owned(), 1).idempotency_key("calm").await),
        // Another call under a key that payments have.
        3 => drop(till.pay_if_open("other".to_owned(), 1).idempotency_key("payment 3").await),
        4 => drop(client.sim().evict(till).await),
        5 => client.sim().jump_clock(i64::try_from(number).expect("small") * 20 - 4_000),
        6 => drop(till.touch().await),
        7 => drop(till.touch().idempotency_key(format!("touch {}", number % 3)).await),
        // So large that results are sealed, one of them by itself.
        8 => {
            let bytes = 600 * u32::try_from(1 + number % 2).expect("small");
            drop(till.print(bytes).idempotency_key(format!("print {bytes}")).await);
        }
        _ => drop(client.sim().backup().await),
    }
}

/// What a till does, without its waits and what it keeps for repeats: those are no calls to it.
struct TillModel;

impl Model for TillModel {
    type State = (BTreeMap<String, u64>, u64, bool);

    fn initial(&self) -> Self::State {
        Self::State::default()
    }

    fn step(&self, state: &Self::State, call: &Recorded) -> Result<Step<Self::State>, String> {
        let (mut paid, mut total, is_shut) = state.clone();
        let method = call.method.as_str();
        match method {
            "paid" => return Ok(Step::of(state.clone(), &paid)),
            "total" | "touch" => return Ok(Step::of(state.clone(), &total)),
            "print" => {
                let (bytes,): (u32,) = call.args_as()?;
                return Ok(Step::of((paid, total + 1, is_shut), &"x".repeat(bytes as usize)));
            }
            "set" => {
                let (_, is_shut): (u64, bool) = call.args_as()?;
                return Ok(Step::of((paid, total, is_shut), &()));
            }
            "pay" | "pay_if_open" | "pay_or_panic" => {}
            other => return Err(format!("a `Till` has no `{other}`")),
        }
        let (name, cents): (String, u64) = call.args_as()?;
        *paid.entry(name).or_default() += 1;
        total += cents;
        Ok(match method {
            "pay" => Step::of((paid, total, is_shut), &total),
            _ if !is_shut && method == "pay_or_panic" => Step::of((paid, total, is_shut), &total),
            _ if !is_shut => Step::of((paid, total, is_shut), &Ok::<_, String>(total)),
            "pay_if_open" => Step::of(state.clone(), &Err::<u64, _>("shut".to_owned())),
            _ => Step::of(state.clone(), &()),
        })
    }
}

/// What tills are called.
pub const NAMES: [&str; 2] = ["north", "south"];

/// Clients that pay again and again, under `faults`, until everything is quiet: each payment is taken once.
pub async fn pay_and_work(sim: Sim, faults: Faults) -> TestResult {
    let tills = NAMES.map(|name| sim.get::<Till>(name));
    let answers = Answers::default();
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..16 {
            if client.chance(60) {
                note(&answers, pay(&client, &tills).await);
            } else {
                use_till(&client, client.pick(&tills)).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    for till in &tills {
        till.set(0, false).await?;
        for number in 0..9 {
            let name = format!("payment {number}");
            let of = (till.name().expect("it has one").to_owned(), name.clone());
            let answer = till.pay(name.clone(), number * 10).idempotency_key(name).await;
            // Another call may have had its key.
            note(&answers, answer.ok().map(|total| (of, (number * 10, total))));
        }
        let paid = till.paid().await?;
        assert!(paid.values().all(|times| *times == 1), "{paid:?}");
    }
    sim.check_history_against(&tills, &TillModel)?;
    sim.sometimes("a call was repeated", |trace| trace.count("call.repeated") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

/// The same, where results are forgotten before long, and tills are closed down.
pub async fn pay_and_forget(sim: Sim, faults: Faults) -> TestResult {
    let tills = NAMES.map(|name| sim.get::<Till>(name));
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..16 {
            let till = client.pick(&tills);
            match client.int(0..20) {
                0 => drop(till.close_down().idempotency_key("last").await),
                1 => drop(client.sim().delete(till).await),
                2..=4 => client.sleep(Duration::from_millis(client.int(0..3_000))).await,
                5..=8 => use_till(&client, till).await,
                _ => drop(pay(&client, &tills).await),
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.sometimes("a call was repeated", |trace| trace.count("call.repeated") > 0);
    Ok(())
}
