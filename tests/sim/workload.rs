//! The workload in many worlds, and in those that once failed.

use std::time::Duration;

use durable::RuntimeBuilder;
use durable_testing::disk::FaultKind;
use durable_testing::prelude::*;
use tests::alarms::{bells, ring_and_work};
use tests::classes::{Account, bank};
use tests::dials::{follow_and_lose, followers};
use tests::drain::{guests, work_and_stop};
use tests::feeds::{feed_and_follow, feeds};
use tests::keyed::{forgetful_tills, pay_and_forget, pay_and_work, tills};
use tests::kin;
use tests::past;
use tests::poison::{punctual, ward, work_at_the_edge, work_with_poison};
use tests::press::{doors, halls, press_and_work, queue_and_work};
use tests::releases;
use tests::schedules::{clocks, tick_and_work};
use tests::sends::{offices, one_office, send_and_leave, send_and_work, take_back_after_a_crash};
use tests::sockets::{chat_and_work, rooms};
use tests::starts::{beds, wake_and_work};
use tests::streams::{pour_and_drink, taps};
use tests::together;
use tests::tree::{supervised, work_in_a_tree};
use tests::waits::{crowded_knots, knots, work_and_send_in_circles, work_in_circles};
use tests::work::{self, spawn_and_work};
use tests::workload::{Objects, work, work_a_little};

/// Worlds of a run at home, and of one of the gate, whose seeds come from the commit.
const SEEDS: u32 = 300;
const SEEDS_OF_THE_GATE: u32 = 300;

fn seeds() -> u32 {
    if std::env::var_os("CI").is_some() { SEEDS_OF_THE_GATE } else { SEEDS }
}

#[durable_testing::test(runtime = bank, seeds = 20)]
async fn a_deposit_survives_a_power_cut(sim: Sim) -> TestResult {
    let ada = sim.get::<Account>("ada");
    let balance = ada.deposit(5).await?;
    sim.power_cut().await;
    assert_eq!(ada.balance().await?, balance);
    Ok(())
}

#[test]
fn the_workload_keeps_every_promise() {
    let simulation = Simulation::new().seeds(seeds()).allow_panics();
    simulation
        .worlds(include_str!("seeds.txt"))
        .check(bank, async |sim| work(sim, Faults::all()).await);
}

#[test]
fn many_small_worlds_keep_every_promise() {
    let simulation = Simulation::new().seeds(3 * seeds()).allow_panics();
    simulation.check(bank, async |sim| work_a_little(sim).await);
}

#[test]
fn alarms_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(bells, async |sim| ring_and_work(sim, Faults::all()).await);
}

#[test]
fn schedules_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(clocks, async |sim| tick_and_work(sim, Faults::all()).await);
}

#[test]
fn sends_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(offices, async |sim| send_and_work(sim, Faults::all()).await);
}

#[test]
fn sends_inside_of_one_shard_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation
        .worlds(include_str!("seeds_sends.txt"))
        .check(one_office, async |sim| send_and_work(sim, Faults::all()).await);
}

#[durable_testing::test(runtime = one_office, crash_everywhere)]
async fn a_send_is_not_taken_back_after_its_effect(sim: Sim) -> TestResult {
    take_back_after_a_crash(sim).await
}

#[test]
fn a_stream_that_ends_without_an_error_is_whole() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation.check(taps, async |sim| pour_and_drink(sim, Faults::all()).await);
}

#[test]
fn calls_and_sends_among_many_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation.check(knots, async |sim| work_and_send_in_circles(sim, Faults::all()).await);
}

#[test]
fn what_an_erased_object_has_sent_goes_with_it() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation.check(offices, async |sim| send_and_leave(sim, Faults::all()).await);
}

#[test]
fn sockets_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(rooms, async |sim| chat_and_work(sim, Faults::all()).await);
}

#[test]
fn sockets_that_objects_open_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(followers, async |sim| follow_and_lose(sim, Faults::all()).await);
}

#[test]
fn whoever_follows_a_feed_misses_nothing() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(feeds, async |sim| feed_and_follow(sim, Faults::all()).await);
}

#[test]
fn calls_with_keys_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(tills, async |sim| pay_and_work(sim, Faults::all()).await);
}

#[test]
fn results_that_are_forgotten_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation.check(forgetful_tills, async |sim| pay_and_forget(sim, Faults::all()).await);
}

#[test]
fn what_is_bounded_stays_bounded() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(doors, async |sim| press_and_work(sim, Faults::all()).await);
}

#[test]
fn whoever_comes_too_late_is_turned_away_and_nobody_else() {
    let simulation = Simulation::new().seeds(seeds()).allow_panics();
    simulation.check(halls, async |sim| queue_and_work(sim, Faults::all()).await);
}

#[test]
fn poison_stays_put_whatever_fails() {
    let simulation = Simulation::new()
        .seeds(seeds() / 3)
        .allow_panics()
        .worlds(include_str!("seeds_poison.txt"));
    simulation.check(ward, async |sim| work_with_poison(sim, Faults::all()).await);
}

/// All faults but those of the disk, which the workload makes itself.
#[test]
fn objects_that_cannot_be_read_are_tried_again_and_nobody_hears_of_it() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    let faults = || Faults::all().disk_errors(0..0).dir_sync_errors(0..0);
    simulation.check(beds, async |sim| wake_and_work(sim, faults()).await);
}

#[test]
fn crashes_are_counted_to_the_edge_of_their_period() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics();
    simulation.check(punctual, async |sim| work_at_the_edge(sim, Faults::all()).await);
}

#[test]
fn families_that_act_later_and_are_poisoned_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation
        .worlds(include_str!("seeds_together.txt"))
        .check(together::homes, async |sim| together::work(sim, Faults::all()).await);
}

/// Hardly any room: objects come and go all the time, calls are turned away, and every shard is small.
fn crowded(builder: RuntimeBuilder) -> RuntimeBuilder {
    bank(builder).shards(3).resident_max(2).inbox_max(2).idle(Duration::from_millis(5)).log_pages(8)
}

#[test]
fn the_workload_keeps_every_promise_in_a_crowd() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(crowded, async |sim| work(sim, Faults::all()).await);
}

#[test]
fn a_tree_of_supervisors_does_what_otp_does() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(supervised, async |sim| work_in_a_tree(sim, Faults::all()).await);
}

#[test]
fn what_does_not_end_is_cut_off_when_the_node_is_asked_to() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation
        .worlds(include_str!("seeds_drain.txt"))
        .check(guests, async |sim| work_and_stop(sim, Faults::all()).await);
}

#[test]
fn work_that_turns_spawn_begins_after_them_and_ends_with_their_object() {
    let simulation = Simulation::new().seeds(seeds() / 2).allow_panics();
    simulation.check(work::offices, async |sim| spawn_and_work(sim, Faults::all()).await);
}

#[test]
fn objects_that_own_objects_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 2).allow_panics();
    simulation.check(kin::houses, async |sim| kin::work(sim, Faults::all()).await);
}

#[test]
fn objects_that_own_objects_keep_every_promise_over_wires() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics().wire();
    simulation.check(kin::crowded, async |sim| kin::work(sim, Faults::all()).await);
}

#[test]
fn calls_that_would_wait_for_themselves_are_refused_and_no_others() {
    let simulation = Simulation::new().seeds(seeds() / 2).allow_panics();
    simulation
        .worlds(include_str!("seeds_waits.txt"))
        .check(knots, async |sim| work_in_circles(sim, Faults::all()).await);
}

#[test]
fn calls_that_would_wait_for_themselves_are_refused_in_a_crowd() {
    let simulation = Simulation::new().seeds(seeds() / 6).allow_panics().wire();
    simulation.check(crowded_knots, async |sim| work_in_circles(sim, Faults::all()).await);
}

#[test]
fn the_workload_keeps_every_promise_over_wires() {
    let simulation = Simulation::new().seeds(50).allow_panics().wire();
    simulation.check(bank, async |sim| work(sim, Faults::all()).await);
}

#[test]
fn what_was_is_brought_back() {
    let simulation = Simulation::new().seeds(seeds()).allow_panics();
    simulation.check(bank, async |sim| past::work(sim, Faults::all()).await);
}

#[test]
fn what_was_is_brought_back_as_far_as_it_is_kept() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(past::forgetful, async |sim| past::work(sim, Faults::all()).await);
}

#[test]
fn what_one_release_stored_the_next_one_reads() {
    let simulation = Simulation::new().seeds(seeds() / 3).allow_panics();
    simulation.check(releases::first, async |sim| releases::release(sim, Faults::all()).await);
}

/// The first thing that a start writes, the count of the boot, fails in each way.
#[test]
fn starts_that_fail_keep_every_promise() {
    let simulation = Simulation::new().seeds(seeds() / 10).allow_panics();
    simulation.check(bank, async |sim| {
        let objects = Objects::of(&sim);
        let ada = &objects.accounts[0];
        for kind in [FaultKind::WriteError, FaultKind::NoSpace, FaultKind::SyncError] {
            for _ in 0..2 {
                let _ = ada.deposit(1).await;
                sim.fail_next_commit(kind)?;
                sim.crash().await;
            }
        }
        sim.heal().await?;
        sim.check_history(&objects.accounts)
    });
}

/// One call of each kind, so that a crash can come in each of their steps.
#[durable_testing::test(runtime = bank, crash_everywhere)]
async fn no_promise_breaks_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let objects = Objects::of(&sim);
    let (ada, log) = (&objects.accounts[0], &objects.logs[0]);
    let _ = ada.deposit(7).await;
    let _ = ada.withdraw(100).await;
    let _ = objects.tellers[0].transfer("ada".to_owned(), "bob".to_owned(), 3).await;
    let _ = log.append("line".to_owned()).await;
    let shelf = &objects.shelves[0];
    let _ = shelf.fill(0, 3).await;
    let _ = shelf.dust().await;
    sim.evict(shelf).await.ok();
    let _ = shelf.take("001".to_owned()).await;
    let register = &objects.registers[0];
    for from in 0..3 {
        let _ = register.enter_many(from, 2).await;
    }
    sim.evict(register).await.ok();
    let _ = register.leave("001".to_owned()).await;
    let _ = shelf.burn("002".to_owned()).await;
    let _ = shelf.put("003".to_owned(), 3).await;
    let _ = sim.delete(log).await;
    let _ = ada.balance().await;
    sim.backup().await;
    sim.evict(ada).await.ok();
    let _ = ada.deposit(1).await;
    sim.heal().await?;
    sim.check_history(&objects.accounts)?;
    sim.check_history(&objects.logs)?;
    sim.check_history(&objects.shelves)?;
    sim.check_history(&objects.registers)?;
    let checked = register.check().await.map_err(|error| TestError::new(error.to_string()))?;
    assert!(checked.0 <= 5 && checked.1.is_empty(), "{checked:?}");
    let (books, differs) =
        shelf.check().await.map_err(|error| TestError::new(error.to_string()))?;
    assert!(books <= 3 && differs.is_empty(), "{books} books, {differs}");
    Ok(())
}
