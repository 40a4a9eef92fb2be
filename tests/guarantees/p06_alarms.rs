//! P6: an alarm fires at least once, never before its time, never for a turn that rolled back, also after the process was
//! down when it fell due; it is used up only by the commit of the handler that it started.

use std::time::Duration;

use durable::prelude::*;
use durable_testing::Failed;
use durable_testing::prelude::*;
use tests::WriterGate;
use tests::alarms::{Bell, BellStub, bells};

const SECOND: Duration = Duration::from_secs(1);

async fn wait_ms(sim: &Sim, ms: u64) {
    sim.advance(Duration::from_millis(ms)).await;
}

/// Cases 11 and 12 of the reference.
#[durable_testing::test(runtime = bells, seeds = 10)]
async fn an_alarm_fires_once_at_its_time_and_not_when_it_was_cancelled(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    let due = bell.set_after(5_000).await?;
    assert_eq!(bell.due().await?, Some(due));
    wait_ms(&sim, 4_900).await;
    assert_eq!(bell.rung().await?, 0, "it is not due yet");
    wait_ms(&sim, 300).await;
    let (scheduled, told, retries) = bell.last().await?;
    assert_eq!((bell.rung().await?, scheduled, retries), (1, due, 0));
    assert!((due..due + 150).contains(&told), "{told} is at or after {due}");
    assert_eq!(bell.due().await?, None, "it is used up");
    bell.set_after(1_000).await?;
    bell.cancel().await?;
    wait_ms(&sim, 5_000).await;
    assert_eq!((bell.rung().await?, sim.alarm(&bell)?), (1, None));
    Ok(())
}

#[durable_testing::test(runtime = bells, seeds = 10)]
async fn a_later_alarm_replaces_an_earlier_one(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    bell.set_after(1_000).await?;
    let due = bell.set_after(3_000).await?;
    wait_ms(&sim, 2_500).await;
    assert_eq!(bell.rung().await?, 0);
    wait_ms(&sim, 1_000).await;
    assert_eq!((bell.rung().await?, bell.last().await?.0), (1, due));
    bell.set_after(60_000).await?;
    bell.set_after(500).await?;
    wait_ms(&sim, 1_000).await;
    assert_eq!(bell.rung().await?, 2, "an earlier one, too");
    Ok(())
}

#[test]
fn an_alarm_set_in_a_failed_turn_never_fires() {
    Simulation::new().seeds(10).allow_panics().check(bells, async |sim: Sim| {
        let bell = sim.get::<Bell>("b");
        drop(bell.set_and_refuse(100).await);
        drop(bell.set_and_panic(100).await);
        assert_eq!(bell.set_in_vain().await?, None);
        assert_eq!((bell.due().await?, sim.alarm(&bell)?), (None, None));
        let due = bell.set_after(2_000).await?;
        drop(bell.set_and_refuse(100).await);
        drop(bell.set_and_panic(100).await);
        assert_eq!(bell.set_in_vain().await?, Some(due), "what was set before stays");
        wait_ms(&sim, 1_500).await;
        assert_eq!(bell.rung().await?, 0);
        wait_ms(&sim, 1_000).await;
        assert_eq!(bell.rung().await?, 1);
        TestResult::Ok(())
    });
}

/// Case 13 of the reference, where what is given up is kept as a dead letter.
#[durable_testing::test(runtime = bells, seeds = 10)]
async fn a_failing_alarm_is_run_seven_times_each_after_twice_the_wait(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    bell.fail(100, false).await?;
    let mut due = bell.set_after(100).await?;
    let scheduled = due;
    wait_ms(&sim, 200).await;
    for retry in 1..=6 {
        let alarm = sim.alarm(&bell)?.expect("it is tried again");
        assert_eq!((alarm.retry_count, alarm.scheduled_at.0), (retry, scheduled));
        let wait = alarm.due.0 - due;
        let least = 1_000 << retry;
        assert!((least..=least * 5 / 4 + 110).contains(&wait), "retry {retry} after {wait} ms");
        assert_eq!(bell.rung().await?, 0, "what a failed run did is undone");
        assert_eq!(bell.due().await?, Some(alarm.due.0), "in a turn it is what it is");
        due = alarm.due.0;
        wait_ms(&sim, due.saturating_sub(sim.wall().0) + 100).await;
    }
    assert_eq!(sim.alarm(&bell)?, None);
    bell.fail(0, false).await?;
    bell.set_after(100).await?;
    wait_ms(&sim, 500).await;
    assert_eq!(bell.rung().await?, 1, "the object goes on");
    Ok(())
}

#[test]
fn a_handler_that_panics_is_counted_across_restarts_and_replaced_by_a_new_alarm() {
    Simulation::new().seeds(10).allow_panics().check(bells, async |sim: Sim| {
        let bell = sim.get::<Bell>("b");
        bell.fail(2, true).await?;
        bell.set_after(100).await?;
        wait_ms(&sim, 500).await;
        assert_eq!(sim.alarm(&bell)?.map(|alarm| alarm.retry_count), Some(1));
        sim.power_cut().await;
        wait_ms(&sim, 3_000).await;
        assert_eq!(sim.alarm(&bell)?.map(|alarm| alarm.retry_count), Some(2));
        sim.restart().await;
        wait_ms(&sim, 6_000).await;
        assert_eq!((bell.rung().await?, bell.last().await?.2), (1, 2));
        bell.set_after(100).await?;
        wait_ms(&sim, 500).await;
        assert_eq!(sim.alarm(&bell)?.map(|alarm| alarm.retry_count), Some(1));
        bell.set_after(100).await?;
        assert_eq!(sim.alarm(&bell)?.map(|alarm| alarm.retry_count), Some(0), "it begins anew");
        TestResult::Ok(())
    });
}

#[durable_testing::test(runtime = bells, seeds = 20)]
async fn setting_it_in_the_handler_also_to_the_past_fires_again(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    bell.chain(20).await?;
    wait_ms(&sim, 2_000).await;
    assert_eq!(bell.rung().await?, 21);
    assert_eq!(sim.alarm(&bell)?, None);
    Ok(())
}

/// Case 20 of the reference.
#[durable_testing::test(runtime = bells, seeds = 20)]
async fn an_alarm_survives_eviction_restart_and_power_cut_and_fires_when_it_is_overdue(
    sim: Sim,
) -> TestResult {
    let bells = ["a", "b", "c"].map(|name| sim.get::<Bell>(name));
    for (bell, after) in bells.iter().zip([5_000, 10_000, 15_000]) {
        let due = bell.set_after(after).await?;
        sim.evict(bell).await?;
        assert_eq!(bell.due().await?, Some(due));
    }
    sim.restart().await;
    sim.advance(6 * SECOND).await;
    assert_eq!(bells[0].rung().await?, 1);
    sim.power_cut().await;
    sim.advance(5 * SECOND).await;
    assert_eq!(bells[1].rung().await?, 1);
    // It falls due while nothing runs: the clock is set forward behind a node that is about to start.
    sim.jump_clock(100_000);
    sim.restart().await;
    sim.heal().await?;
    assert_eq!(bells[2].rung().await?, 1);
    assert_eq!([bells[0].rung().await?, bells[1].rung().await?], [1, 1], "once each");
    Ok(())
}

#[durable_testing::test(runtime = bells, seeds = 20)]
async fn a_clock_that_jumps_makes_alarms_neither_early_nor_lost(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    let due = bell.set_after(60_000).await?;
    sim.jump_clock(-3_600_000);
    sim.advance(120 * SECOND).await;
    assert_eq!(bell.rung().await?, 0, "by the clock it is not due");
    sim.jump_clock(3_600_000);
    sim.advance(20 * SECOND).await;
    assert_eq!((bell.rung().await?, bell.last().await?.0), (1, due));
    Ok(())
}

#[durable_testing::test(runtime = bells, crash_everywhere)]
async fn an_alarm_survives_a_crash_at_every_point(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    drop(bell.set_after(50).await);
    sim.up().await;
    if bell.due().await?.is_none() && bell.rung().await? == 0 {
        bell.set_after(50).await?;
    }
    wait_ms(&sim, 500).await;
    sim.heal().await?;
    assert_eq!((bell.rung().await?, bell.due().await?), (1, None), "kept once, and used up");
    Ok(())
}

#[durable_testing::test(runtime = bells, crash_everywhere)]
async fn a_chain_of_alarms_survives_a_crash_at_every_point(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    drop(bell.chain(2).await);
    sim.up().await;
    if bell.due().await?.is_none() && bell.rung().await? == 0 {
        bell.chain(2).await?;
    }
    wait_ms(&sim, 500).await;
    sim.heal().await?;
    assert_eq!((bell.rung().await?, bell.due().await?), (3, None));
    Ok(())
}

#[durable_testing::test(runtime = bells, seeds = 10)]
async fn an_erased_object_has_no_alarm(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    bell.set_after(1_000).await?;
    assert!(sim.delete(&bell).await?);
    assert_eq!(sim.alarm(&bell)?, None);
    bell.set_after(1_000).await?;
    bell.erase().await?;
    assert_eq!(sim.alarm(&bell)?, None, "whatever the turn did before");
    wait_ms(&sim, 5_000).await;
    assert_eq!(bell.rung().await?, 0);
    Ok(())
}

#[durable_testing::test(runtime = bells, seeds = 10)]
async fn an_alarm_can_be_run_at_once(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    assert!(!sim.run_alarm(&bell).await?, "there is none");
    let due = bell.set_after(3_600_000).await?;
    assert!(sim.run_alarm(&bell).await?);
    assert_eq!((bell.rung().await?, bell.last().await?.0, bell.due().await?), (1, due, None));
    bell.fail(1, false).await?;
    bell.set_after(3_600_000).await?;
    let failed = sim.run_alarm(&bell).await.unwrap_err();
    assert!(failed.to_string().contains("asked to, in run 0"), "{failed}");
    assert_eq!(sim.alarm(&bell)?.map(|alarm| alarm.retry_count), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_read_sets_no_alarm_and_a_far_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bells(Runtime::builder(dir.path())).start().await.unwrap();
    let bell = runtime.get::<Bell>("b");
    let error = bell.set_in_a_read().await.unwrap_err();
    assert_eq!(error.code(), "alarm.read_only");
    assert_eq!(error.object(), Some("alarms.Bell(b)"));
    let error = bell.set_at(u64::MAX).await.unwrap_err();
    assert_eq!(error.code(), "alarm.too_far");
    assert!(error.message().contains("the limit is 3155760000000 ms"), "{error}");
    assert_eq!(runtime.alarm(bell.id().unwrap()).unwrap(), None);
}

/// P4: what has set the alarm must be durable before it fires.
#[tokio::test]
async fn nothing_fires_before_the_commit_that_set_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime = bells(Runtime::builder(dir.path())).host(gate.host()).start().await.unwrap();
    let bell = runtime.get::<Bell>("b");
    bell.fail(0, false).await.unwrap();
    gate.close();
    let setting = tokio::spawn(bell.set_at(1).into_future());
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!setting.is_finished());
    let id = bell.id().unwrap();
    assert_eq!(runtime.inspect::<Bell, _>(id, |bell| bell.rung).await.unwrap(), 0);
    gate.open();
    setting.await.unwrap().unwrap();
    until_rung(&runtime, &bell, 1).await;
}

/// Lets other tasks run until the bell has rung so often.
async fn until_rung(runtime: &Runtime, bell: &BellStub, rung: u64) {
    let id = bell.id().unwrap();
    while bell.rung().await.unwrap() < rung || runtime.alarm(id).unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bell.rung().await.unwrap(), rung);
}

#[tokio::test]
async fn alarms_fall_due_while_nothing_runs_and_fire_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bells(Runtime::builder(dir.path())).start().await.unwrap();
    let soon = 200;
    for number in 0..20 {
        runtime.get::<Bell>(format!("b{number}")).set_after(soon).await.unwrap();
    }
    runtime.shutdown().await.unwrap();
    let runtime = bells(Runtime::builder(dir.path())).start().await.unwrap();
    for number in 0..20 {
        until_rung(&runtime, &runtime.get::<Bell>(format!("b{number}")), 1).await;
    }
}

#[durable_testing::test(runtime = bells, seeds = 10)]
async fn what_has_used_up_its_retries_is_a_dead_letter(sim: Sim) -> TestResult {
    let bell = sim.get::<Bell>("b");
    bell.fail(100, false).await?;
    let due = bell.set_after(100).await?;
    sim.advance(200 * SECOND).await;
    sim.restart().await;
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.class.as_str(), letter.name.as_deref()), ("alarms.Bell", Some("b")));
    assert_eq!((letter.attempts, letter.scheduled_at.0), (7, due));
    assert_eq!(letter.error, "asked to, in run 6");
    assert!(letter.at.0 > due + 126_000, "{}", letter.at);
    assert!(sim.dead_letters(Some(letter.id)).await?.is_empty());
    assert_eq!((bell.due().await?, bell.rung().await?), (None, 0));

    bell.fail(0, false).await?;
    bell.set_after(3_600_000).await?;
    let taken = sim.retry_dead_letter(letter.id).await.unwrap_err();
    assert!(taken.to_string().contains("alarm.taken"), "{taken}");
    bell.cancel().await?;
    sim.retry_dead_letter(letter.id).await?;
    wait_ms(&sim, 500).await;
    assert_eq!((bell.rung().await?, bell.last().await?.0), (1, due), "it is what it was");
    assert!(sim.dead_letters(None).await?.is_empty());
    let gone = sim.retry_dead_letter(letter.id).await.unwrap_err();
    assert!(gone.to_string().contains("letter.unknown"), "{gone}");
    Ok(())
}

#[durable_testing::test(runtime = bells, seeds = 10)]
async fn a_dead_letter_is_dropped_and_goes_with_its_object(sim: Sim) -> TestResult {
    let bells = ["a", "b"].map(|name| sim.get::<Bell>(name));
    for bell in &bells {
        bell.fail(100, false).await?;
        bell.set_after(100).await?;
    }
    sim.advance(200 * SECOND).await;
    let letters = sim.dead_letters(None).await?;
    assert_eq!(letters.len(), 2);
    let due = bells[0].set_after(3_600_000).await?;
    let of_a = letters.iter().find(|letter| letter.name.as_deref() == Some("a"));
    sim.drop_dead_letter(of_a.expect("it is one of them").id).await?;
    assert_eq!(sim.alarm(&bells[0])?.map(|alarm| alarm.due.0), Some(due), "its alarm stays");
    assert!(sim.delete(&bells[1]).await?);
    assert!(sim.dead_letters(None).await?.is_empty());
    sim.advance(3_601 * SECOND).await;
    assert_eq!(sim.alarm(&bells[0])?.map(|alarm| alarm.retry_count > 0), Some(true));
    Ok(())
}

/// Takes its time, and says how its alarms are to be run.
#[derive(Default, DurableState)]
pub struct Slowpoke {
    rung: u64,
    pauses_ms: u64,
    starts_fail: bool,
}

#[durable_object(
    name = "test.Slowpoke",
    alarm_retries = 1,
    alarm_delay = "100ms",
    alarm_limit = "1s"
)]
impl Slowpoke {
    pub fn set(&mut self, cx: &mut Context<'_, Self>, pauses_ms: u64, starts_fail: bool) {
        (self.pauses_ms, self.starts_fail) = (pauses_ms, starts_fail);
        cx.alarm().set(cx.now());
    }

    pub fn rung(&self) -> u64 {
        self.rung
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.starts_fail { Err("told to fail".to_owned()) } else { Ok(()) }
    }

    #[alarm]
    async fn ring(&mut self) {
        self.rung += 1;
        tokio::time::sleep(Duration::from_millis(self.pauses_ms)).await;
    }
}

fn slowpokes(builder: durable::RuntimeBuilder) -> durable::RuntimeBuilder {
    builder.register::<Slowpoke>()
}

#[durable_testing::test(runtime = slowpokes, seeds = 5)]
async fn a_handler_over_its_limit_is_cut_off_undone_and_counted(sim: Sim) -> TestResult {
    let slowpoke = sim.get::<Slowpoke>("s");
    slowpoke.set(900, false).await?;
    wait_ms(&sim, 950).await;
    assert_eq!(slowpoke.rung().await?, 1, "it is within its limit");
    slowpoke.set(1_100, false).await?;
    sim.advance(3 * SECOND).await;
    assert_eq!(slowpoke.rung().await?, 1, "it is undone");
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.attempts, 2, "its class wants one retry");
    assert!(letter.error.contains("limit of 1s"), "{}", letter.error);
    Ok(())
}

#[durable_testing::test(runtime = slowpokes, seeds = 5)]
async fn the_alarm_of_an_object_that_cannot_start_waits(sim: Sim) -> TestResult {
    let slowpoke = sim.get::<Slowpoke>("s");
    slowpoke.set(300, true).await?;
    sim.evict(&slowpoke).await?;
    slowpoke.set(0, true).await.unwrap_err();
    // The handler that ran before the eviction may have used the first one up.
    let before = sim.alarm(&slowpoke)?;
    sim.advance(60 * SECOND).await;
    assert_eq!(sim.alarm(&slowpoke)?, before, "no failure of its is counted");
    Ok(())
}

/// Wakes under another name.
mod renamed {
    use super::*;

    #[derive(Default, DurableState)]
    pub struct Slowpoke {
        pub rung: u64,
        pub pauses_ms: u64,
        pub starts_fail: bool,
    }

    #[durable_object(name = "test.Snail")]
    impl Slowpoke {
        pub fn rung(&self) -> u64 {
            self.rung
        }

        #[alarm]
        fn ring(&mut self) {
            self.rung += 10;
        }
    }
}

#[tokio::test]
async fn a_renamed_class_keeps_its_alarms_and_one_that_is_not_registered_lets_them_wait() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path());
    let runtime = builder().register::<Bell>().start().await.unwrap();
    let bell = runtime.get::<Bell>("b");
    bell.set_after(1_000).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = builder().register::<Slowpoke>().start().await.unwrap();
    runtime.get::<Slowpoke>("s").set(3_600_000, false).await.unwrap();
    drop(runtime);
    // Nobody has the bell's class, and the snail's handler was cut off.
    let snails = || builder().renamed("test.Slowpoke", "test.Snail");
    let runtime = crate::after_another(|| snails().register::<renamed::Slowpoke>()).await;
    let snail = runtime.get::<renamed::Slowpoke>("s");
    while snail.rung().await.unwrap() < 10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(runtime.alarm(bell.id().unwrap()).unwrap_err().code(), "id.foreign");
    runtime.shutdown().await.unwrap();
    let runtime = builder().register::<Bell>().start().await.unwrap();
    until_rung(&runtime, &runtime.get::<Bell>("b"), 1).await;
}

#[tokio::test]
async fn a_backup_carries_alarms_and_a_verification_names_those_of_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (data, saved) = (dir.path().join("data"), dir.path().join("saved"));
    let runtime = bells(Runtime::builder(&data)).start().await.unwrap();
    let bell = runtime.get::<Bell>("b");
    let due = bell.set_after(3_600_000).await.unwrap();
    runtime.backup(&saved).await.unwrap();
    runtime.shutdown().await.unwrap();
    let look = durable::DataDirectory::open(&saved).unwrap();
    let stored = look.object("alarms.Bell", "b").unwrap().expect("it is in the copy");
    assert_eq!(stored.alarm.map(|alarm| alarm.due.0), Some(due));
    assert!(look.verify().unwrap().is_sound());
    let rows = "INSERT INTO alarms VALUES (77, 1, 1, 0, 1);
        INSERT INTO dead_letters VALUES (5, 78, 1, 'x', 1, 7, 1, NULL, NULL, NULL, NULL)";
    tests::first_shard(&saved).execute_batch(rows).unwrap();
    let found = look.verify().unwrap().problems;
    let kinds: Vec<_> = found.iter().map(|problem| problem.kind.as_str()).collect();
    assert_eq!(kinds, ["alarm.orphaned", "letter.orphaned"], "{found:?}");
}

#[track_caller]
fn assert_caught(passed: Result<(), Failed>, text: &str) {
    let Err(failed) = passed else { panic!("nothing was caught") };
    assert_eq!(failed.check, "P6", "{}", failed.text);
    assert!(failed.text.contains(text), "{}", failed.text);
}

/// A class whose alarms nobody is left to run.
mod gone {
    use super::*;

    #[derive(Default, DurableState)]
    pub struct Bell {
        pub rung: u64,
    }

    /// As another release of the program has it, without its alarm's handler.
    #[durable_object(name = "alarms.Bell")]
    impl Bell {
        pub fn rung(&self) -> u64 {
            self.rung
        }
    }
}

#[test]
fn an_alarm_that_does_not_fire_is_caught() {
    let passed = Simulation::new().seeds(1).explore(bells, async |sim: Sim| {
        sim.get::<Bell>("b").set_after(1_000).await?;
        sim.upgrade(|builder| builder.register::<gone::Bell>()).await;
        sim.advance(5 * SECOND).await;
        sim.heal().await
    });
    assert_caught(passed, "alarms.Bell(b)");
}
