//! Objects with schedules, and clients that let them run, while everything goes wrong that may.

use std::time::Duration;

use crate::time::pause;
use durable::prelude::*;
use durable::{Misfire, Overlap, RuntimeBuilder, WallMs, When};
use durable_testing::prelude::*;

/// Has schedules, and counts what they run.
#[derive(Debug, Default, DurableState)]
pub struct Clock {
    /// Runs that were kept, each with its argument and the time that it was told.
    pub ticks: Vec<(u64, u64)>,
    /// How many runs are to fail.
    pub failures: u32,
    /// Failures by panic instead of by `Err`.
    pub is_wild: bool,
    /// How long a run takes.
    pub takes_ms: u64,
    /// Alarms that have rung.
    pub rung: u64,
}

/// What a schedule is to be like, from a number.
fn policies(number: u64) -> (Misfire, Overlap, Duration) {
    let misfire = match number % 4 {
        0 => Misfire::Skip,
        1 => Misfire::All(3),
        _ => Misfire::Once,
    };
    let overlap = if number.is_multiple_of(3) { Overlap::Queue } else { Overlap::Skip };
    let jitter = if number.is_multiple_of(5) { Duration::from_millis(90) } else { Duration::ZERO };
    (misfire, overlap, jitter)
}

/// Every second of the minute that divides by five; every minute; at the hour in a zone that is half an hour off.
pub const CRONS: [(&str, &str); 3] = [
    ("*/5 * * * * *", "Europe/Berlin"),
    ("* * * * *", "UTC"),
    ("0 * * * *", "Australia/Lord_Howe"),
];

// Runs that panic are what is looked at, and what follows on many of them is looked at elsewhere.
#[durable_object(
    name = "schedules.Clock",
    alarm_retries = 2,
    alarm_delay = "300ms",
    crashes = 1_000
)]
impl Clock {
    /// Sets a schedule that runs once, after so many milliseconds. Gives when.
    pub fn once(&mut self, cx: &mut Context<'_, Self>, name: String, ms: u64) -> u64 {
        let at = WallMs(cx.now().0 + ms);
        cx.schedule(&name).once(at).call(cx.me().tick(ms));
        at.0
    }

    /// Sets one that runs every so many milliseconds.
    pub fn every(&mut self, cx: &mut Context<'_, Self>, name: String, ms: u64, number: u64) {
        let (misfire, overlap, jitter) = policies(number);
        let planned = cx.schedule(&name).every(Duration::from_millis(ms)).misfire(misfire);
        planned.overlap(overlap).jitter(jitter).call(cx.me().tick(number));
    }

    /// Sets one by the calendar.
    pub fn cron(&mut self, cx: &mut Context<'_, Self>, name: String, cron: String, zone: String) {
        cx.schedule(&name).cron(&cron, &zone).call(cx.me().tick(1));
    }

    /// Sets one by the calendar, with policies.
    pub fn cron_as(&mut self, cx: &mut Context<'_, Self>, name: String, number: u64) {
        let (misfire, overlap, jitter) = policies(number);
        let (cron, zone) = CRONS[(number % 3) as usize];
        let planned = cx.schedule(&name).cron(cron, zone).misfire(misfire);
        planned.overlap(overlap).jitter(jitter).call(cx.me().tick(number));
    }

    /// Sets one and then refuses.
    pub fn set_and_refuse(&mut self, cx: &mut Context<'_, Self>, ms: u64) -> Result<(), String> {
        self.once(cx, "refused".to_owned(), ms);
        Err("refused".to_owned())
    }

    /// Sets one and then panics.
    pub fn set_and_panic(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        self.once(cx, "panicked".to_owned(), ms);
        panic!("asked to")
    }

    /// Sets one and cancels another inside of a savepoint that is undone.
    pub fn set_in_vain(&mut self, cx: &mut Context<'_, Self>, name: String) {
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            cx.schedule(&name).cancel();
            cx.schedule("in vain").once(WallMs(1)).call(cx.me().tick(0));
            Err(durable::Code::ConfigInvalid.error("on purpose"))
        });
        assert!(undone.is_err());
        assert!(cx.schedule("in vain").get().is_none());
    }

    /// Takes one back.
    pub fn cancel(&mut self, cx: &mut Context<'_, Self>, name: String) {
        cx.schedule(&name).cancel();
    }

    /// Takes all back.
    pub fn cancel_all(&mut self, cx: &mut Context<'_, Self>) {
        for view in cx.schedules() {
            cx.schedule(&view.name).cancel();
        }
    }

    /// The next runs fail so often.
    pub fn fail(&mut self, failures: u32, is_wild: bool) {
        (self.failures, self.is_wild) = (failures, is_wild);
    }

    /// The next runs take so long.
    pub fn take(&mut self, ms: u64) {
        self.takes_ms = ms;
    }

    /// Sets the alarm, beside the schedules.
    pub fn set_alarm(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
    }

    /// Sets a schedule, and leaves nothing of the object.
    pub fn erase(&mut self, cx: &mut Context<'_, Self>) {
        self.once(cx, "erased".to_owned(), 1);
        cx.delete_all();
    }

    /// A read that tries to set.
    pub fn set_in_a_read(&self, cx: &Context<'_, Self>) {
        cx.schedule("read").once(WallMs(1)).call(cx.me().tick(0));
    }

    /// Sets one of a call of another object.
    pub fn set_for(&mut self, cx: &mut Context<'_, Self>, name: String) {
        let other = cx.get::<Clock>(name);
        cx.schedule("foreign").once(WallMs(1)).call(other.tick(0));
    }

    /// Sets so many of them.
    pub fn set_many(&mut self, cx: &mut Context<'_, Self>, count: u64) {
        let at = WallMs(cx.now().0 + 3_600_000);
        for number in 0..count {
            cx.schedule(&format!("many {number}")).once(at).call(cx.me().tick(number));
        }
    }

    /// Sets one whose call is so long.
    pub fn set_long(&mut self, cx: &mut Context<'_, Self>, name: u32, args: u32) {
        let (name, args) = ("n".repeat(name as usize), "x".repeat(args as usize));
        cx.schedule(&name).once(WallMs(1)).call(cx.me().note(args));
    }

    /// Sets one that cancels itself at its third run.
    pub fn countdown(&mut self, cx: &mut Context<'_, Self>, left: u64) {
        cx.schedule("countdown").every(Duration::from_millis(100)).call(cx.me().count_down(left));
    }

    /// Runs until none is left.
    pub fn count_down(&mut self, cx: &mut Context<'_, Self>, left: u64) {
        let own = cx.schedule("countdown").get();
        assert!(own.is_none_or(|own| own.scheduled_at > cx.now()), "what runs is used up");
        self.ticks.push((left, cx.now().0));
        match left {
            1 => cx.schedule("countdown").cancel(),
            _ => cx.schedule("countdown").once(cx.now()).call(cx.me().count_down(left - 1)),
        }
    }

    /// What schedules call.
    pub async fn tick(&mut self, cx: &mut Context<'_, Self>, what: u64) -> Result<(), String> {
        self.ticks.push((what, cx.now().0));
        if self.takes_ms > 0 {
            pause(self.takes_ms).await;
        }
        if self.failures > 0 {
            assert!(!self.is_wild, "asked to");
            return Err("asked to".to_owned());
        }
        Ok(())
    }

    /// A short one.
    pub fn note(&mut self, text: String) -> usize {
        text.len()
    }

    /// A read can be called, too.
    pub fn ticks(&self) -> Vec<(u64, u64)> {
        self.ticks.clone()
    }

    /// Sets a schedule of a read.
    pub fn look(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("look").once(cx.now()).call(cx.me().ticks());
    }

    /// All schedules: name, time that it runs for next, when it is due, retries.
    pub fn all(&self, cx: &Context<'_, Self>) -> Vec<(String, u64, u64, u32)> {
        let row = |view: &durable::ScheduleView| {
            (view.name.clone(), view.scheduled_at.0, view.due.0, view.retry_count)
        };
        cx.schedules().iter().map(row).collect()
    }

    #[alarm]
    fn ring(&mut self) {
        self.rung += 1;
    }
}

/// A runtime with clocks.
pub fn clocks(builder: RuntimeBuilder) -> RuntimeBuilder {
    // Runs are to be retried here, and not their object to be shut in.
    builder.register::<Clock>().crashes(1_000, Duration::from_secs(1))
}

/// One call of anything that has to do with schedules.
async fn use_clock(client: &Crew, clock: &ClockStub) {
    let (ms, number) = (client.int(0..400), client.int(0..60));
    let name = (*client.pick(&["a", "b", "c"])).to_owned();
    match client.int(0..19) {
        0..=2 => drop(clock.once(name, ms).await),
        // All that may wait must be over some time, also if each run fails to the last.
        3..=5 if number.is_multiple_of(3) => drop(clock.every(name, 4_000 + ms * 5, number).await),
        3..=5 => drop(clock.every(name, 1_000 + ms * 5, number).await),
        6 => drop(clock.cron_as(name, number).await),
        7 => drop(clock.set_and_refuse(ms).await),
        8 => drop(clock.set_and_panic(ms).await),
        9 => drop(clock.cancel(name).await),
        10 => drop(clock.set_in_vain(name).await),
        11 => drop(clock.fail(u32::from(number.is_multiple_of(3)), ms.is_multiple_of(2)).await),
        12 => drop(clock.take(ms / 2 * u64::from(number.is_multiple_of(3))).await),
        13 => drop(clock.countdown(1 + number % 4).await),
        14 => drop(clock.set_alarm(ms).await),
        15 if ms < 200 => drop(client.sim().run_schedule(clock, &name).await),
        15 => drop(client.sim().evict(clock).await),
        16 => client.sim().jump_clock(i64::try_from(ms).expect("small") * 400 - 40_000),
        17 if number < 10 => drop(clock.erase().await),
        17 => drop(client.sim().backup().await),
        _ => drop(clock.all().await),
    }
}

/// Clients that set schedules, under `faults`, until none is set any more.
pub async fn tick_and_work(sim: Sim, faults: Faults) -> TestResult {
    let clocks = ["one", "two"].map(|name| sim.get::<Clock>(name));
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..16 {
            use_clock(&client, client.pick(&clocks)).await;
            if client.chance(30) {
                client.sleep(Duration::from_millis(client.int(0..3_000))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    sim.advance(Duration::from_secs(5)).await;
    sim.heal().await?;
    for clock in &clocks {
        clock.fail(0, false).await?;
        clock.take(0).await?;
        clock.cancel_all().await?;
        assert_eq!(sim.schedules(clock)?, []);
        let before = clock.ticks().await?.len();
        sim.advance(Duration::from_secs(5)).await;
        assert_eq!(clock.ticks().await?.len(), before, "what is cancelled does not run");
        clock.countdown(3).await?;
        sim.advance(Duration::from_secs(2)).await;
        sim.heal().await?;
        assert_eq!(clock.ticks().await?.len(), before + 3, "what a run sets runs");
    }
    sim.sometimes("a schedule ran", |trace| trace.count("schedule.fires") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

/// The next times of a schedule that is set. Empty: there is none of that name.
pub fn preview(sim: &Sim, clock: &ClockStub, name: &str, count: usize) -> TestResult<Vec<WallMs>> {
    let all = sim.schedules(clock)?;
    Ok(all.iter().find(|view| view.name == name).map_or(Vec::new(), |view| view.next(count)))
}

/// As [`When::cron`], of one that is known to be right.
pub fn cron(expression: &str, zone: &str) -> When {
    When::cron(expression, zone).expect("it is well formed")
}
