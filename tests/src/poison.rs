//! Objects that crash and do not start when they are told to.

use std::time::Duration;

use durable::prelude::*;
use durable::{RuntimeBuilder, Supervisor, task};
use durable_testing::prelude::*;

/// Counts, and fails as it is told.
#[derive(Debug, Default, DurableState)]
pub struct Patient {
    /// Turns that were kept.
    pub turns: u64,
    /// Its hook fails.
    pub is_dazed: bool,
    /// Its alarm has rung so often.
    pub rung: u64,
}

#[durable_object(name = "poison.Patient", history)]
impl Patient {
    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// How many there were.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Crashes in a turn that has changed something.
    pub fn crash(&mut self) {
        self.turns += 1_000;
        panic!("poison");
    }

    /// Crashes in a read.
    pub fn crash_reading(&self) -> u64 {
        panic!("poison, at {}", self.turns)
    }

    /// Refuses, and rolls back.
    pub fn refuse(&mut self) -> Result<(), String> {
        self.turns += 1;
        Err("no".to_owned())
    }

    /// From its next start on it does not start.
    pub fn daze(&mut self) {
        self.is_dazed = true;
    }

    /// Sets its alarm.
    pub fn ring_after(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
    }

    /// How often it has rung.
    pub fn rung(&self) -> u64 {
        self.rung
    }

    #[alarm]
    async fn ring(&mut self, _cx: &mut Context<'_, Self>) {
        self.rung += 1;
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.is_dazed { Err("dazed".to_owned()) } else { Ok(()) }
    }
}

/// Its class.
pub fn ward(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Patient>()
}

/// May crash once in a second.
#[derive(Debug, Default, DurableState)]
pub struct Punctual {
    /// Turns that were kept.
    pub turns: u64,
}

#[durable_object(name = "poison.Punctual", crashes = 1, crash_period = "1s")]
impl Punctual {
    /// Crashes.
    pub fn crash(&mut self) {
        panic!("on time");
    }

    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

/// Crashes objects when halves of a second begin, so that crashes lie halves of a second apart, and no more or less. They are
/// in memory by then.
async fn clockwork(cx: TaskContext) {
    let half = Duration::from_millis(500);
    let mut due: Option<PunctualStub> = None;
    loop {
        let (early, next) = (cx.sleep(half * 4 / 5), cx.sleep(half));
        if let Some(object) = due.take() {
            drop(object.crash().timeout(half / 5).await);
        }
        if cx.until_stopping(early).await.is_none() {
            return;
        }
        let number = cx.random() % 3;
        if number < 2 {
            let object = cx.get::<Punctual>(number.to_string());
            drop(object.count().timeout(half / 10).await);
            due = Some(object);
        }
        next.await;
    }
}

/// Its class, and who crashes its objects.
pub fn punctual(builder: RuntimeBuilder) -> RuntimeBuilder {
    let tree = Supervisor::one_for_one("clock").child(task("work", clockwork));
    builder.register::<Punctual>().supervise(tree).breaker(100, 1_000, Duration::from_secs(10))
}

/// Objects crash so that the next crash is within the period, or is not, by nothing at all.
pub async fn work_at_the_edge(sim: Sim, faults: Faults) -> TestResult {
    let objects: Vec<_> = ["0", "1"].map(|name| sim.get::<Punctual>(name)).into();
    sim.faults(faults);
    sim.clients(1, async |client| {
        for _ in 0..30 {
            client.sleep(Duration::from_millis(700)).await;
            match client.int(0..3) {
                0 => drop(client.pick(&objects).count().await),
                _ => drop(client.sim().release(client.pick(&objects)).await),
            }
        }
    })
    .await;
    sim.heal().await?;
    for (name, point) in
        [("an object crashed", "object.crashed"), ("one was quarantined", "object.quarantined")]
    {
        sim.sometimes(name, |trace| trace.count(point) > 0);
    }
    Ok(())
}

/// The code of a failure.
pub fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.map_or_else(|error| error.code(), |_| "ok")
}

/// Clients that poison objects, an operator who lets them out, and everything that may go wrong. At the end all are well.
pub async fn work_with_poison(sim: Sim, faults: Faults) -> TestResult {
    let patients: Vec<_> = ["p", "q", "r"].map(|name| sim.get::<Patient>(name)).into();
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..30 {
            let patient = client.pick(&patients);
            match client.int(0..18) {
                0..=6 => drop(patient.crash().await),
                8 => drop(patient.crash_reading().await),
                9 => drop(client.sim().release(patient).await),
                10 => drop(client.sim().evict(patient).await),
                11 => drop(patient.ring_after(500).await),
                12 => drop(patient.daze().await),
                13 => drop(client.sim().delete(patient).await),
                // Its caller leaves, at once or soon, and in the worst case when it is what was let through.
                7 | 14 | 15 => {
                    let soon = Duration::from_micros(100 * client.int(0..3));
                    drop(patient.count().timeout(soon).await);
                }
                _ => drop(patient.count().await),
            }
            if client.chance(30) {
                client.sleep(Duration::from_millis(500 * client.int(0..6))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.restart().await;
    for patient in &patients {
        sim.release(patient).await?;
        sim.delete(patient).await?;
        patient.count().await?;
    }
    for (name, point) in [
        ("an object was quarantined", "object.quarantined"),
        ("a call was let through", "quarantine.tried"),
        ("an object came out", "quarantine.ended"),
        ("the node crashed", "node.crashes"),
    ] {
        sim.sometimes(name, |trace| trace.count(point) > 0);
    }
    Ok(())
}
