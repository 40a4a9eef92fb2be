//! More calls than anybody has room for, while everything goes wrong that may.

#![allow(missing_docs, reason = "it is a workload, not a library")]
#![allow(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]

use std::future::IntoFuture;
use std::time::Duration;

use durable::prelude::*;
use durable::{Outcome, RuntimeBuilder};
use durable_testing::prelude::*;
use futures_util::future::join_all;

/// Takes 500 calls in a second, and four at once.
#[derive(Debug, Default, DurableState)]
pub struct Turnstile {
    pub passed: u64,
}

#[durable_object(name = "press.Turnstile", rate = "500/s", burst = 4, idle = "5s")]
impl Turnstile {
    pub fn pass(&mut self) -> u64 {
        self.passed += 1;
        self.passed
    }

    pub fn passed(&self) -> u64 {
        self.passed
    }
}

/// Has room for two calls, whichever of its kind it is.
#[derive(Debug, Default, DurableState)]
pub struct Cabin {
    pub rides: u64,
}

#[durable_object(name = "press.Cabin", in_flight = 2)]
impl Cabin {
    pub async fn ride(&mut self, time_us: u64) -> u64 {
        self.rides += 1;
        tokio::time::sleep(Duration::from_micros(time_us)).await;
        self.rides
    }

    pub fn rides(&self) -> u64 {
        self.rides
    }
}

/// Serves one after the other, each in two milliseconds.
#[derive(Debug, Default, DurableState)]
pub struct Desk {
    pub served: u64,
}

#[durable_object(name = "press.Desk", idle = "5s")]
impl Desk {
    pub async fn serve(&mut self) -> u64 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.served += 1;
        self.served
    }

    pub fn served(&self) -> u64 {
        self.served
    }
}

/// Calls others in the middle of its turns.
#[derive(Debug, Default, DurableState)]
pub struct Usher {
    pub shown: u64,
}

#[durable_object(name = "press.Usher")]
impl Usher {
    /// Sends somebody through, and then for a ride.
    pub async fn show(&mut self, cx: &mut Context<'_, Self>, stile: String, cabin: String) -> bool {
        self.shown += 1;
        let passed = cx.get::<Turnstile>(stile).pass().wait_for_capacity().await;
        let ride = cx.get::<Cabin>(cabin).ride(200).wait_for_capacity();
        ride.await.is_ok() && passed.is_ok()
    }
}

/// What an object does that counts the calls of one method, as long as nobody sees its pauses.
#[derive(Debug)]
struct Counts {
    counts: &'static str,
    tells: &'static str,
}

impl Model for Counts {
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, call: &Recorded) -> Result<Step<u64>, String> {
        match call.method.as_str() {
            counted if counted == self.counts => Ok(Step::of(state + 1, &(state + 1))),
            told if told == self.tells => Ok(Step::of(*state, state)),
            other => Err(format!("the object has no `{other}`")),
        }
    }
}

/// Hardly any room.
pub fn doors(builder: RuntimeBuilder) -> RuntimeBuilder {
    let builder = builder.register::<Turnstile>().register::<Cabin>().register::<Usher>();
    builder.inbox_max(2).in_flight_max(6)
}

/// Room for more who wait than have time for it.
pub fn halls(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Desk>().inbox_max(20).in_flight_max(150)
}

/// What a client hears of a call that has so much time. Gives whether it would have begun too late.
fn hear(answer: Result<u64, Error>, patience: Duration) -> Result<bool, TestError> {
    let Err(error) = answer else { return Ok(false) };
    if !error.message().contains("would begin in about") {
        return Ok(false);
    }
    let wait = error.retry_after().ok_or_else(|| TestError::new("it does not say when"))?;
    let is_right = error.code() == "object.overloaded" && error.outcome() == Outcome::NotStarted;
    if !is_right || wait < patience {
        return Err(TestError::new(format!("it had {patience:?}, and was told {wait:?}: {error}")));
    }
    Ok(true)
}

/// Clients of whom many come at once, and most have little time, under `faults`, and every check at the end.
pub async fn queue_and_work(sim: Sim, faults: Faults) -> TestResult {
    let desks: Vec<_> = ["a", "b"].map(|name| sim.get::<Desk>(name)).into();
    sim.faults(faults);
    let told = sim
        .clients(4, async |client| {
            let mut was_late = false;
            for _ in 0..6 {
                let desk = client.pick(&desks);
                let patience = Duration::from_millis(client.int(3..120));
                match client.int(0..6) {
                    0 => drop(desk.serve().await),
                    1 => {
                        let calls = (0..20).map(|_| desk.serve().wait_for_capacity());
                        let calls = calls.map(|call| call.timeout(patience).into_future());
                        drop(join_all(calls).await);
                    }
                    2 => drop(join_all((0..30).map(|_| desk.serve().into_future())).await),
                    _ => {
                        let calls = (0..client.int(1..12)).map(|_| desk.serve().timeout(patience));
                        for answer in join_all(calls.map(IntoFuture::into_future)).await {
                            was_late |= hear(answer, patience)?;
                        }
                        if client.chance(50) {
                            client.sleep(Duration::from_millis(client.int(1..20))).await;
                        }
                    }
                }
            }
            Ok::<bool, TestError>(was_late)
        })
        .await;
    let told = told.into_iter().collect::<Result<Vec<_>, _>>()?;
    let was_any = told.contains(&true);
    sim.sometimes("a call is turned away because it would begin too late", |_| was_any);
    sim.heal().await?;
    for desk in &desks {
        desk.serve().await?;
    }
    sim.check_history_against(&desks, &Counts { counts: "serve", tells: "served" })
}

/// Calls that wait for room.
async fn wait_for_room(client: &Crew, stile: &TurnstileStub, cabin: &CabinStub) {
    let patience = Duration::from_millis(client.int(1..30));
    match client.int(0..6) {
        0 => drop(stile.pass().wait_for_capacity().await),
        1 => {
            let passes = (0..6).map(|_| stile.pass().wait_for_capacity().into_future());
            drop(join_all(passes).await);
        }
        2 => {
            // Some do not wait, and some not for so long.
            let pass = |n: u64| match n % 3 {
                0 => stile.pass(),
                1 => stile.pass().wait_for_capacity(),
                _ => stile.pass().wait_for_capacity().timeout(patience),
            };
            drop(join_all((0..6).map(|n| pass(n).into_future())).await);
        }
        3 => drop(cabin.ride(400).wait_for_capacity().await),
        4 => {
            let rides =
                (0..5).map(|_| cabin.ride(600).wait_for_capacity().timeout(patience).into_future());
            drop(join_all(rides).await);
        }
        _ => {
            let usher = client.sim().get::<Usher>("u");
            let (stile, cabin) = (stile.name().unwrap_or("a"), cabin.name().unwrap_or("x"));
            let show = usher.show(stile.to_owned(), cabin.to_owned());
            drop(show.wait_for_capacity().timeout(patience).await);
        }
    }
}

/// Clients that press on, under `faults`, and every check at the end.
pub async fn press_and_work(sim: Sim, faults: Faults) -> TestResult {
    let stiles: Vec<_> = ["a", "b"].map(|name| sim.get::<Turnstile>(name)).into();
    let cabins: Vec<_> = ["x", "y", "z"].map(|name| sim.get::<Cabin>(name)).into();
    // Whoever is sent calls has others than its callers know of.
    let sent = sim.get::<Turnstile>("c");
    sim.faults(faults);
    sim.clients(5, async |client| {
        for _ in 0..15 {
            let (stile, cabin) = (client.pick(&stiles), client.pick(&cabins));
            match client.int(0..14) {
                0 | 1 => drop(stile.pass().await),
                2 => drop(join_all((0..6).map(|_| stile.pass().into_future())).await),
                3 => drop(stile.passed().await),
                4 => drop(cabin.ride(300).await),
                5 => {
                    let rides = cabins.iter().map(|cabin| cabin.ride(500).into_future());
                    drop(join_all(rides).await);
                }
                6 => drop(cabin.ride(2_000).timeout(Duration::from_millis(1)).await),
                7 => drop(sent.pass().send().await),
                _ => wait_for_room(&client, stile, cabin).await,
            }
            if client.chance(10) {
                client.sleep(Duration::from_millis(client.int(1..20))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    // A burst is there again.
    sim.advance(Duration::from_secs(30)).await;
    for stile in &stiles {
        stile.pass().await?;
    }
    for cabin in &cabins {
        cabin.ride(1).await?;
    }
    sim.check_history(&stiles)?;
    sim.check_history_against(&cabins, &Counts { counts: "ride", tells: "rides" })
}
