//! P6: a schedule runs at least once for each of its times that its policies do not leave out, never before it, never for a
//! turn that rolled back, and is used up and set again by the commit of the turn that it runs.

use std::time::Duration;

use durable::prelude::*;
use durable::{DeadLetterKind, Misfire, Overlap, RuntimeBuilder, WallMs};
use durable_testing::Failed;
use durable_testing::prelude::*;
use tests::schedules::{Clock, ClockStub, clocks, cron, preview};

const SECOND: Duration = Duration::from_secs(1);

async fn wait_ms(sim: &Sim, ms: u64) {
    sim.advance(Duration::from_millis(ms)).await;
}

/// What the runs were told, without the times.
async fn ticks(clock: &ClockStub) -> TestResult<Vec<u64>> {
    Ok(clock.ticks().await?.iter().map(|(what, _)| *what).collect())
}

fn name(text: &str) -> String {
    text.to_owned()
}

#[durable_testing::test(runtime = clocks, seeds = 20)]
async fn a_schedule_runs_once_at_its_time(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    let at = clock.once(name("a"), 10_000).await?;
    // Calls take some milliseconds on their way.
    wait_ms(&sim, 9_900).await;
    assert_eq!(ticks(&clock).await?, [0; 0]);
    assert_eq!(clock.all().await?, [(name("a"), at, at, 0)]);
    wait_ms(&sim, 160).await;
    let [(10_000, told)] = clock.ticks().await?[..] else { panic!("it ran once") };
    assert!((at..at + 60).contains(&told), "{told}");
    assert_eq!(clock.all().await?, [], "and is gone");
    wait_ms(&sim, 60_000).await;
    assert_eq!(ticks(&clock).await?.len(), 1);
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 20)]
async fn one_of_the_same_name_replaces_it_and_one_that_is_cancelled_does_not_run(
    sim: Sim,
) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.once(name("a"), 1_000).await?;
    clock.once(name("b"), 2_000).await?;
    clock.once(name("c"), 3_000).await?;
    clock.once(name("a"), 4_000).await?;
    clock.cancel(name("b")).await?;
    assert_eq!(sim.schedules(&clock)?.len(), 2);
    wait_ms(&sim, 10_000).await;
    assert_eq!(ticks(&clock).await?, [3_000, 4_000]);
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 20)]
async fn a_period_goes_on_and_a_turn_that_fails_sets_nothing(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.set_and_refuse(100).await.unwrap_err();
    clock.every(name("a"), 1_000, 2).await?;
    clock.set_in_vain(name("a")).await?;
    clock.look().await?;
    wait_ms(&sim, 10_050).await;
    assert_eq!(ticks(&clock).await?, [2; 10]);
    assert_eq!(sim.schedules(&clock)?.len(), 1);
    clock.countdown(3).await?;
    wait_ms(&sim, 500).await;
    assert_eq!(ticks(&clock).await?[10..], [3, 2, 1], "a run may set its own schedule anew");
    Ok(())
}

/// The simulation's clock begins where it likes; its own times are the model.
#[durable_testing::test(runtime = clocks, seeds = 10)]
async fn a_cron_expression_runs_by_the_clocks_of_its_zone(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    let (expression, zone) = ("30 9,21 * * *", "Europe/Berlin");
    clock.cron(name("a"), name(expression), name(zone)).await?;
    let ten = preview(&sim, &clock, "a", 10)?;
    assert_eq!(ten.len(), 10);
    let before = WallMs(ten[0].0 - 1);
    assert_eq!(cron(expression, zone).next(before, 10), ten, "a preview is what will be");
    sim.advance(Duration::from_secs(5 * 86_400)).await;
    let ran: Vec<_> = clock.ticks().await?.iter().map(|(_, at)| *at).collect();
    assert!(ran.len() >= 9, "{ran:?}");
    for (planned, ran) in ten.iter().zip(ran) {
        assert!((planned.0..planned.0 + 100).contains(&ran), "{planned} {ran}");
    }
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 20)]
async fn schedules_survive_eviction_restart_and_power_cut(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.once(name("a"), 5_000).await?;
    clock.every(name("b"), 20_000, 2).await?;
    sim.evict(&clock).await?;
    sim.restart().await;
    sim.advance(6 * SECOND).await;
    assert_eq!(ticks(&clock).await?, [5_000]);
    sim.power_cut().await;
    sim.advance(15 * SECOND).await;
    assert_eq!(ticks(&clock).await?, [5_000, 2]);
    Ok(())
}

/// Six times fall due while nothing runs.
async fn missed(sim: &Sim, number: u64) -> TestResult<Vec<u64>> {
    let clock = sim.get::<Clock>("c");
    clock.every(name("a"), 100_000, number).await?;
    sim.jump_clock(650_000);
    sim.restart().await;
    sim.heal().await?;
    wait_ms(sim, 15_000).await;
    let ran = clock.ticks().await?.iter().map(|(_, at)| *at).collect();
    clock.cancel_all().await?;
    Ok(ran)
}

#[durable_testing::test(runtime = clocks, seeds = 10)]
async fn what_was_missed_runs_as_the_policy_says(sim: Sim) -> TestResult {
    // By `policies`: 2 once, 1 all up to three, 4 skip; none with jitter.
    for (number, runs) in [(2, 1), (1, 3), (4, 1)] {
        let before = sim.get::<Clock>("c").ticks().await?.len();
        let ran = missed(&sim, number).await?;
        assert_eq!(ran.len() - before, runs, "policy {number}");
    }
    // The last one is 50 s late, which is not missed yet. With more it is.
    let clock = sim.get::<Clock>("c");
    let before = clock.ticks().await?.len();
    clock.every(name("a"), 100_000, 4).await?;
    sim.jump_clock(670_000);
    sim.restart().await;
    sim.heal().await?;
    wait_ms(&sim, 15_000).await;
    assert_eq!(clock.ticks().await?.len(), before, "all were missed");
    wait_ms(&sim, 20_000).await;
    assert_eq!(clock.ticks().await?.len(), before + 1, "and it goes on");
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 10)]
async fn what_comes_while_it_runs_is_skipped_or_waits(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.take(3_500).await?;
    clock.every(name("skips"), 1_000, 2).await?;
    wait_ms(&sim, 10_000).await;
    let skipped = clock.ticks().await?.len();
    assert!((1..=3).contains(&skipped), "{skipped}");
    clock.cancel_all().await?;
    clock.every(name("queues"), 1_000, 3).await?;
    wait_ms(&sim, 4_600).await;
    clock.take(0).await?;
    wait_ms(&sim, 6_000).await;
    let queued = ticks(&clock).await?.iter().filter(|what| **what == 3).count();
    assert!(queued >= 8, "none is left out: {queued}");
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 10)]
async fn a_run_that_fails_is_tried_again_and_becomes_a_dead_letter(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.fail(1, false).await?;
    clock.every(name("a"), 10_000, 2).await?;
    let first = sim.schedules(&clock)?[0].scheduled_at;
    wait_ms(&sim, 10_100).await;
    let [_] = &sim.schedules(&clock)?[..] else { panic!("it is one") };
    let retried = sim.schedules(&clock)?.remove(0);
    assert_eq!((retried.scheduled_at, retried.retry_count), (first, 1));
    assert_eq!(ticks(&clock).await?, [0; 0], "what failed is undone");
    wait_ms(&sim, 5_000).await;
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.kind, DeadLetterKind::Schedule);
    assert_eq!((letter.schedule.as_deref(), letter.method.as_deref()), (Some("a"), Some("tick")));
    assert_eq!((letter.attempts, letter.scheduled_at), (3, first));
    let next = sim.schedules(&clock)?.remove(0);
    assert_eq!((next.scheduled_at.0, next.retry_count), (first.0 + 10_000, 0), "it goes on");
    clock.fail(0, false).await?;
    sim.retry_dead_letter(letter.id).await?;
    assert!(sim.dead_letters(None).await?.is_empty());
    wait_ms(&sim, 100).await;
    assert_eq!(ticks(&clock).await?, [2], "beside the schedule");
    assert_eq!(sim.schedules(&clock)?.len(), 1);
    clock.fail(1, false).await?;
    wait_ms(&sim, 15_000).await;
    let letters = sim.dead_letters(None).await?;
    assert!(letters[0].error.contains("`tick` returned an error"), "{letters:?}");
    sim.drop_dead_letter(letters[0].id).await?;
    assert!(sim.dead_letters(None).await?.is_empty());
    Ok(())
}

/// A class that has lost a method, and has another where it was.
mod later {
    use super::*;

    #[derive(Debug, Default, DurableState)]
    pub struct Clock {
        pub ticks: Vec<(u64, u64)>,
    }

    #[durable_object(name = "schedules.Clock")]
    impl Clock {
        pub fn first(&mut self) {}

        pub fn note(&mut self, text: String) -> usize {
            self.ticks.push((text.len() as u64, 0));
            text.len()
        }

        pub fn ticks(&self) -> Vec<(u64, u64)> {
            self.ticks.clone()
        }
    }

    pub fn clocks(builder: RuntimeBuilder) -> RuntimeBuilder {
        builder.register::<Clock>()
    }
}

#[durable_testing::test(runtime = clocks, seeds = 5)]
async fn a_call_is_kept_by_its_name_and_one_that_is_gone_becomes_a_dead_letter(
    sim: Sim,
) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.set_long(3, 5).await?;
    clock.once(name("a"), 5_000).await?;
    clock.every(name("b"), 400_000, 2).await?;
    wait_ms(&sim, 100).await;
    clock.set_long(3, 7).await?;
    sim.upgrade(later::clocks).await;
    let clock = sim.get::<later::Clock>("c");
    wait_ms(&sim, 200_000).await;
    // The one before the upgrade counted nothing.
    let ran = clock.ticks().await?;
    assert!(ran.is_empty() || ran == [(7, 0)], "{ran:?}");
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert!(letter.error.contains("call.unknown_method"), "{}", letter.error);
    assert!(letter.error.contains("`tick`"), "{}", letter.error);
    assert_eq!((letter.schedule.as_deref(), letter.attempts), (Some("a"), 7));
    assert_eq!(sim.schedules(&clock)?.len(), 1, "the other waits for its time");
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 20)]
async fn a_clock_that_jumps_makes_schedules_neither_early_nor_lost(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.every(name("a"), 60_000, 2).await?;
    sim.jump_clock(-3_600_000);
    sim.advance(120 * SECOND).await;
    assert_eq!(ticks(&clock).await?, [0; 0], "by the clock it is not due");
    sim.jump_clock(3_600_000);
    sim.advance(20 * SECOND).await;
    assert_eq!(ticks(&clock).await?, [2], "once for what was missed");
    sim.jump_clock(-90_000);
    sim.advance(80 * SECOND).await;
    assert_eq!(ticks(&clock).await?, [2], "no time is run for twice");
    Ok(())
}

#[durable_testing::test(runtime = clocks, crash_everywhere)]
async fn a_schedule_survives_a_crash_at_every_point(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    drop(clock.countdown(2).await);
    sim.up().await;
    if clock.all().await?.is_empty() && clock.ticks().await?.is_empty() {
        clock.countdown(2).await?;
    }
    wait_ms(&sim, 800).await;
    sim.heal().await?;
    assert_eq!((ticks(&clock).await?, clock.all().await?), (vec![2, 1], vec![]), "each kept once");
    Ok(())
}

#[durable_testing::test(runtime = clocks, crash_everywhere)]
async fn a_failed_run_survives_a_crash_at_every_point(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    while clock.fail(1, false).await.is_err() {
        sim.up().await;
    }
    drop(clock.once(name("a"), 50).await);
    sim.up().await;
    wait_ms(&sim, 400).await;
    sim.up().await;
    while clock.fail(0, false).await.is_err() {
        sim.up().await;
    }
    wait_ms(&sim, 3_000).await;
    sim.heal().await?;
    let ran = ticks(&clock).await?;
    assert!(ran.len() <= 1 && clock.all().await?.is_empty(), "{ran:?}");
    Ok(())
}

#[durable_testing::test(runtime = clocks, seeds = 10)]
async fn an_erased_object_has_no_schedules(sim: Sim) -> TestResult {
    let clock = sim.get::<Clock>("c");
    clock.once(name("a"), 1_000).await?;
    clock.set_alarm(1_000).await?;
    assert!(sim.delete(&clock).await?);
    assert_eq!(sim.schedules(&clock)?, []);
    clock.once(name("a"), 1_000).await?;
    clock.erase().await?;
    assert_eq!(sim.schedules(&clock)?, []);
    wait_ms(&sim, 5_000).await;
    assert_eq!(ticks(&clock).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = clocks(Runtime::builder(dir.path())).start().await.unwrap();
    let clock = runtime.get::<Clock>("c");
    let me = clock.id().unwrap();
    let wrong = clock.cron(name("a"), name("0 25 * * MON"), name("Europe/Berlin")).await;
    let error = wrong.unwrap_err();
    assert_eq!((error.code(), error.object()), ("schedule.malformed", Some("schedules.Clock(c)")));
    assert!(error.message().contains("field 2 (hour)"), "{error}");
    let wrong = clock.cron(name("a"), name("0 9 * * MON"), name("Europe/Atlantis")).await;
    assert_eq!(wrong.unwrap_err().code(), "zone.unknown");
    assert_eq!(clock.every(name("a"), 99, 0).await.unwrap_err().code(), "schedule.malformed");
    assert_eq!(clock.once(String::new(), 9).await.unwrap_err().code(), "schedule.malformed");
    assert_eq!(clock.once(name("a"), 1 << 50).await.unwrap_err().code(), "schedule.malformed");
    assert_eq!(clock.set_in_a_read().await.unwrap_err().code(), "schedule.read_only");
    assert_eq!(clock.set_for(name("d")).await.unwrap_err().code(), "schedule.foreign");
    assert_eq!(clock.set_many(65).await.unwrap_err().code(), "schedule.too_many");
    assert_eq!(clock.set_long(129, 1).await.unwrap_err().code(), "schedule.malformed");
    assert_eq!(clock.set_long(1, 16 * 1024).await.unwrap_err().code(), "schedule.too_large");
    assert_eq!(runtime.schedules(me).unwrap(), []);
    clock.set_for(name("c")).await.unwrap();
    clock.set_many(63).await.unwrap();
}

#[tokio::test]
async fn what_is_seen_of_a_schedule_is_what_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = clocks(Runtime::builder(dir.path())).start().await.unwrap();
    let clock = runtime.get::<Clock>("c");
    clock.cron_as(name("tock"), 15).await.unwrap();
    let [view] = &runtime.schedules(clock.id().unwrap()).unwrap()[..] else { panic!("it is one") };
    assert_eq!((view.name.as_str(), view.method.as_str()), ("tock", "tick"));
    assert_eq!((view.misfire, view.overlap), (Misfire::Once, Overlap::Queue));
    assert_eq!(view.jitter, Duration::from_millis(90));
    assert_eq!(view.when, cron("*/5 * * * * *", "Europe/Berlin"));
    assert!((view.scheduled_at..=WallMs(view.scheduled_at.0 + 90)).contains(&view.due));
    assert_eq!(view.next(10).len(), 10);
}

/// Runs under another name.
mod renamed {
    use super::*;

    #[derive(Debug, Default, DurableState)]
    pub struct Clock {
        pub ticks: Vec<(u64, u64)>,
    }

    #[durable_object(name = "schedules.Watch")]
    impl Clock {
        pub fn tick(&mut self, what: u64) {
            self.ticks.push((what + 1, 0));
        }

        pub fn ticks(&self) -> Vec<(u64, u64)> {
            self.ticks.clone()
        }
    }
}

#[tokio::test]
async fn a_renamed_class_keeps_its_schedules() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path());
    let runtime = clocks(builder()).start().await.unwrap();
    let clock = runtime.get::<Clock>("c");
    clock.take(3_600_000).await.unwrap();
    clock.once(name("a"), 0).await.unwrap();
    // Its run is cut off, and is not counted.
    drop(runtime);
    let watches = || builder().renamed("schedules.Clock", "schedules.Watch");
    let runtime = crate::after_another(|| watches().register::<renamed::Clock>()).await;
    let clock = runtime.get::<renamed::Clock>("c");
    while clock.ticks().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(clock.ticks().await.unwrap(), [(1, 0)]);
}

#[tokio::test]
async fn a_backup_carries_schedules_and_a_verification_names_what_is_wrong_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let (data, saved) = (dir.path().join("data"), dir.path().join("saved"));
    let runtime = clocks(Runtime::builder(&data)).start().await.unwrap();
    let clock = runtime.get::<Clock>("c");
    clock.every(name("a"), 3_600_000, 2).await.unwrap();
    runtime.backup(&saved).await.unwrap();
    let set = runtime.schedules(clock.id().unwrap()).unwrap();
    runtime.shutdown().await.unwrap();
    let look = durable::DataDirectory::open(&saved).unwrap();
    let stored = look.object("schedules.Clock", "c").unwrap().expect("it is in the copy");
    assert_eq!(stored.schedules, Ok(set));
    assert!(look.verify().unwrap().is_sound());
    let torn = "INSERT INTO schedules VALUES (77, 1, 1, x'00');
        UPDATE schedules SET body = x'' WHERE object_no <> 77";
    tests::first_shard(&saved).execute_batch(torn).unwrap();
    let found = look.verify().unwrap().problems;
    let kinds: Vec<_> = found.iter().map(|problem| problem.kind.as_str()).collect();
    assert_eq!(kinds, ["schedule.orphaned", "schedule.damaged", "schedule.damaged"], "{found:?}");
    // P10: the object is not started without them, and they stay as they are.
    let runtime = clocks(Runtime::builder(&saved)).start().await.unwrap();
    let error = runtime.get::<Clock>("c").ticks().await.unwrap_err();
    assert_eq!((error.code(), error.object()), ("schedule.torn", Some("schedules.Clock(c)")));
    runtime.shutdown().await.unwrap();
}

#[track_caller]
fn assert_caught(passed: Result<(), Failed>, text: &str) {
    let Err(failed) = passed else { panic!("nothing was caught") };
    assert_eq!(failed.check, "P6", "{}", failed.text);
    assert!(failed.text.contains(text), "{}", failed.text);
}

#[test]
fn a_schedule_that_does_not_run_is_caught() {
    let passed = Simulation::new().seeds(1).explore(clocks, async |sim: Sim| {
        sim.get::<Clock>("c").once("a".to_owned(), 1_000).await?;
        sim.upgrade(tests::alarms::bells).await;
        sim.advance(5 * SECOND).await;
        sim.heal().await
    });
    assert_caught(passed, "schedule a of schedules.Clock(c)");
}
