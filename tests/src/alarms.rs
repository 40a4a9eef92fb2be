//! Objects that wake themselves, and clients that let them, while everything goes wrong that may.

use std::time::Duration;

use durable::prelude::*;
use durable::{AlarmInfo, RuntimeBuilder, WallMs};
use durable_testing::prelude::*;

/// Rings when it is told to, and counts.
#[derive(Debug, Default, DurableState)]
pub struct Bell {
    /// Handlers that were kept.
    pub rung: u64,
    /// How often the handler is to set the alarm again, at once.
    pub again: u64,
    /// How many runs for one alarm are to fail.
    pub failures: u32,
    /// Failures by panic instead of by `Err`.
    pub is_wild: bool,
    /// What the last alarm was set to, and the time that its handler was told.
    pub last: (u64, u64),
    /// How many runs for the last alarm had failed.
    pub retries: u32,
}

#[durable_object(name = "alarms.Bell")]
impl Bell {
    /// Gives what it was set to.
    pub fn set_after(&mut self, cx: &mut Context<'_, Self>, ms: u64) -> u64 {
        cx.alarm().set_after(Duration::from_millis(ms));
        cx.alarm().get().expect("it was just set").due.0
    }

    /// Sets the alarm to this time.
    pub fn set_at(&mut self, cx: &mut Context<'_, Self>, at: u64) {
        cx.alarm().set(WallMs(at));
    }

    /// Sets the alarm and then refuses.
    pub fn set_and_refuse(&mut self, cx: &mut Context<'_, Self>, ms: u64) -> Result<(), String> {
        cx.alarm().set_after(Duration::from_millis(ms));
        Err("refused".to_owned())
    }

    /// Sets the alarm and then panics.
    pub fn set_and_panic(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
        panic!("asked to")
    }

    /// Sets the alarm inside of a savepoint that is undone.
    pub fn set_in_vain(&mut self, cx: &mut Context<'_, Self>) -> Option<u64> {
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            cx.alarm().set(WallMs(1));
            Err(durable::Code::ConfigInvalid.error("on purpose"))
        });
        assert!(undone.is_err());
        cx.alarm().get().map(|alarm| alarm.due.0)
    }

    /// Takes the alarm back.
    pub fn cancel(&mut self, cx: &mut Context<'_, Self>) {
        cx.alarm().cancel();
    }

    /// Rings at once, and so often again.
    pub fn chain(&mut self, cx: &mut Context<'_, Self>, again: u64) {
        self.again = again;
        cx.alarm().set(cx.now());
    }

    /// The next alarms fail so often.
    pub fn fail(&mut self, failures: u32, is_wild: bool) {
        (self.failures, self.is_wild) = (failures, is_wild);
    }

    /// Sets the alarm, and leaves nothing of the object.
    pub fn erase(&mut self, cx: &mut Context<'_, Self>) {
        cx.alarm().set_after(Duration::from_millis(1));
        cx.delete_all();
    }

    /// How many handlers were kept.
    pub fn rung(&self) -> u64 {
        self.rung
    }

    /// Of the last one: what the alarm was set to, what time it was, how many runs had failed.
    pub fn last(&self) -> (u64, u64, u32) {
        (self.last.0, self.last.1, self.retries)
    }

    /// When the alarm is due.
    pub fn due(&self, cx: &Context<'_, Self>) -> Option<u64> {
        cx.alarm().get().map(|alarm| alarm.due.0)
    }

    /// A read that tries to set.
    pub fn set_in_a_read(&self, cx: &Context<'_, Self>) {
        cx.alarm().set(WallMs(1));
    }

    #[alarm]
    async fn ring(&mut self, cx: &mut Context<'_, Self>, info: AlarmInfo) -> Result<(), String> {
        assert!(cx.alarm().get().is_none(), "no alarm is set until the handler sets one");
        self.rung += 1;
        self.last = (info.scheduled_at.0, cx.now().0);
        self.retries = info.retry_count;
        if self.again > 0 {
            self.again -= 1;
            cx.alarm().set(info.scheduled_at);
        }
        if info.retry_count < self.failures {
            assert!(!self.is_wild, "asked to, in run {}", info.retry_count);
            return Err(format!("asked to, in run {}", info.retry_count));
        }
        Ok(())
    }
}

/// A runtime with bells.
pub fn bells(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Bell>()
}

/// One call of anything that has to do with alarms.
async fn use_bell(client: &Crew, bell: &BellStub) {
    let ms = client.int(0..400);
    match client.int(0..17) {
        0..=4 => drop(bell.set_after(ms).await),
        5 => drop(bell.set_and_refuse(ms).await),
        6 => drop(bell.set_and_panic(ms).await),
        7 => drop(bell.cancel().await),
        8 => drop(bell.chain(ms % 5).await),
        9 => drop(bell.fail(u32::try_from(ms % 3).expect("small"), ms.is_multiple_of(2)).await),
        10 => drop(bell.set_in_vain().await),
        11 => drop(bell.erase().await),
        12 => drop(client.sim().evict(bell).await),
        13 => drop(client.sim().run_alarm(bell).await),
        14 => client.sim().jump_clock(i64::try_from(ms).expect("small") * 20 - 4_000),
        15 => drop(client.sim().backup().await),
        _ => drop(bell.due().await),
    }
}

/// Clients that set alarms, under `faults`, until none is due any more.
pub async fn ring_and_work(sim: Sim, faults: Faults) -> TestResult {
    let bells = ["one", "two", "three"].map(|name| sim.get::<Bell>(name));
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..20 {
            use_bell(&client, client.pick(&bells)).await;
            if client.chance(25) {
                client.sleep(Duration::from_millis(client.int(0..3_000))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    // Whatever is still set, at the latest behind a clock that was set back.
    for _ in 0..10 {
        sim.advance(Duration::from_secs(20)).await;
        sim.heal().await?;
    }
    for bell in &bells {
        sim.release(bell).await?;
        bell.fail(0, false).await?;
        let before = bell.rung().await?;
        bell.chain(2).await?;
        sim.advance(Duration::from_secs(1)).await;
        sim.heal().await?;
        assert_eq!(bell.rung().await?, before + 3, "setting it in the handler always fires again");
    }
    sim.sometimes("an alarm fired", |trace| trace.count("alarm.fires") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}
