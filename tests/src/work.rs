//! Objects that spawn work, which goes on beside them and tells them what came of it, while everything goes wrong that may.

#![allow(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]

use std::time::Duration;

use crate::time::pause;
use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::prelude::*;

/// Lets errands be run.
#[derive(Debug, Default, DurableState)]
pub struct Office {
    /// Errands that were ordered by turns that were kept.
    pub ordered: u64,
    /// Errands of which somebody came back.
    pub done: Vec<u64>,
}

// Runs that panic are what is looked at, and what follows on many of them is looked at elsewhere.
#[durable_object(name = "work.Office", idle = "15ms", crashes = 1_000, alarm_delay = "20ms")]
impl Office {
    /// Has an errand run that takes so long. Gives its number.
    pub fn order(&mut self, cx: &mut Context<'_, Self>, ms: u64) -> u64 {
        self.ordered += 1;
        let number = self.ordered;
        cx.spawn(move |me| async move {
            pause(ms).await;
            let _ = me.done(number).await;
        });
        number
    }

    /// As `order`, and refuses.
    pub fn order_and_refuse(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        self.order(cx, 0);
        Err("refused".to_owned())
    }

    /// Spawns something, changes nothing, and refuses.
    pub fn refuse(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        cx.spawn(|me| async move { drop(me.done(u64::MAX).await) });
        Err("refused".to_owned())
    }

    /// As `order`, and panics.
    pub fn order_and_panic(&mut self, cx: &mut Context<'_, Self>) {
        self.order(cx, 0);
        panic!("asked to")
    }

    /// As `order`, in the middle of a turn that waits, and in a savepoint that is undone.
    pub async fn order_slowly(&mut self, cx: &mut Context<'_, Self>, ms: u64) -> u64 {
        pause(ms).await;
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            cx.spawn(|me| async move { drop(me.done(u64::MAX).await) });
            Err(durable::Code::ConfigInvalid.error("on purpose"))
        });
        assert!(undone.is_err());
        self.order(cx, ms)
    }

    /// Has somebody sent to look, by a turn that only reads.
    pub fn look(&self, cx: &Context<'_, Self>, ms: u64) {
        cx.spawn(move |me| async move {
            pause(ms).await;
            let _ = me.ordered().await;
        });
    }

    /// Has an errand run that panics.
    pub fn order_to_panic(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.spawn(move |_| async move {
            pause(ms).await;
            panic!("asked to")
        });
    }

    /// As `order`, from the handler of an alarm.
    pub fn order_by_alarm(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
    }

    /// Orders, and leaves nothing of itself.
    pub fn order_and_erase(&mut self, cx: &mut Context<'_, Self>) {
        self.order(cx, 0);
        cx.delete_all();
    }

    /// Somebody is back.
    pub fn done(&mut self, number: u64) {
        self.done.push(number);
    }

    /// Errands that were ordered.
    pub fn ordered(&self) -> u64 {
        self.ordered
    }

    /// Errands that are done.
    pub fn all_done(&self) -> Vec<u64> {
        self.done.clone()
    }

    #[alarm]
    fn ring(&mut self, cx: &mut Context<'_, Self>) {
        self.order(cx, 5);
    }
}

/// A runtime with offices.
pub fn offices(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Office>().crashes(1_000, Duration::from_secs(1)).resident_max(2)
}

async fn use_office(client: &Crew, office: &OfficeStub) {
    let ms = client.int(0..40);
    match client.int(0..15) {
        0..=3 => drop(office.order(ms).await),
        4 if ms < 20 => drop(office.refuse().await),
        4 => drop(office.order_and_refuse().await),
        5 => drop(office.order_and_panic().await),
        6 => drop(office.order_slowly(ms / 8).await),
        7 => drop(office.look(ms).await),
        8 => drop(office.order_to_panic(ms).await),
        9 => drop(office.order_by_alarm(ms).await),
        10 => drop(office.order_and_erase().await),
        11 => drop(client.sim().evict(office).await),
        12 => drop(office.order(ms).relaxed().await),
        13 => drop(office.order(ms).send().await),
        _ => drop(office.ordered().await),
    }
}

/// Clients that let work be spawned, under `faults`.
pub async fn spawn_and_work(sim: Sim, faults: Faults) -> TestResult {
    let offices = ["a", "b", "c"].map(|name| sim.get::<Office>(name));
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..14 {
            use_office(&client, client.pick(&offices)).await;
            if client.chance(40) {
                client.sleep(Duration::from_millis(client.int(0..60))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.advance(Duration::from_secs(2)).await;
    sim.heal().await?;
    for office in &offices {
        let (ordered, done) = (office.ordered().await?, office.all_done().await?);
        assert!(!done.contains(&u64::MAX), "work of what was undone has begun");
        let is_known = |number: &u64| *number <= ordered;
        assert!(done.iter().all(is_known), "{done:?} of {ordered} that were ordered");
        let number = office.order(300).await?;
        sim.advance(Duration::from_millis(600)).await;
        assert!(office.all_done().await?.contains(&number), "it stays until its work is done");
    }
    sim.advance(Duration::from_secs(30)).await;
    assert_eq!(sim.resident_objects(), 0, "objects leave memory when their work is done");
    sim.sometimes("work was spawned", |trace| trace.count("work.began") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}
