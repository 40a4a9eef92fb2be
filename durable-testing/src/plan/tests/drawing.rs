//! What plans are drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Faults, Hazard, Horizon, Plan, What, When};
use super::numbers;
use crate::disk::{Crash, FaultKind};

const GATES: [(&str, u64); 2] = [("commit.stored", 40), ("reply", 7)];
const HORIZON: Horizon<'_> = Horizon { steps: 2_000, ops: 300, us: 5_000_000, gates: &GATES };

fn draw(faults: &Faults, seed: u64, horizon: &Horizon<'_>) -> Plan {
    faults.draw(&mut numbers(seed), horizon)
}

fn hazard(what: &What) -> Hazard {
    match what {
        What::Crash(Crash::Process) => Hazard::Crashes,
        What::Crash(_) => Hazard::PowerCuts,
        What::ClockJump { .. } => Hazard::ClockJumps,
        What::EvictAll => Hazard::Evictions,
        What::Restart => Hazard::Restarts,
        What::NetCut | What::NetSilent => Hazard::NetFaults,
        What::LaneSlow { .. } => Hazard::SlowLanes,
        What::Disk { kind: FaultKind::SlowSync(_), .. } => Hazard::SlowDisk,
        What::Disk { kind: FaultKind::LyingSync, .. } => Hazard::LyingSyncs,
        What::Disk { kind: FaultKind::DirSyncError, .. } => Hazard::DirSyncErrors,
        What::Disk { kind: FaultKind::ShortRead, .. } => Hazard::ShortReads,
        What::Disk { .. } => Hazard::DiskErrors,
    }
}

#[test]
fn the_same_numbers_give_the_same_plan() {
    for seed in 0..50 {
        let faults = Faults::all();
        assert_eq!(draw(&faults, seed, &HORIZON), draw(&faults, seed, &HORIZON));
    }
}

#[test]
fn nothing_is_drawn_of_what_nobody_asked_for() {
    assert!((0..100).all(|seed| draw(&Faults::none(), seed, &HORIZON).is_empty()));
    let opt_in = [Hazard::LyingSyncs, Hazard::ShortReads, Hazard::NetFaults];
    for seed in 0..2_000 {
        let plan = draw(&Faults::all(), seed, &HORIZON);
        assert!(plan.faults.iter().all(|fault| !opt_in.contains(&hazard(&fault.what))), "{plan}");
    }
}

#[test]
fn every_hazard_that_is_asked_for_takes_part_in_some_seeds_and_not_in_others() {
    let faults = Faults::all().lying_syncs(0..3).short_reads(0..3).net_faults(0..3);
    let mut seeds = BTreeMap::<Hazard, u32>::new();
    for seed in 0..1_000 {
        let plan = draw(&faults, seed, &HORIZON);
        for hazard_of_all in Hazard::ALL {
            let is_met = plan.faults.iter().any(|fault| hazard(&fault.what) == hazard_of_all);
            *seeds.entry(hazard_of_all).or_default() += u32::from(is_met);
        }
    }
    assert!(seeds.values().all(|met| (200..500).contains(met)), "{seeds:?}");
}

#[test]
fn counts_stay_in_their_ranges_and_reach_both_ends() {
    let faults = Faults::none().crashes(2..5).power_cuts(0..1).disk_errors(3..3);
    let counts: Vec<_> = (0..200).map(|seed| draw(&faults, seed, &HORIZON).faults.len()).collect();
    assert_eq!(counts.iter().min(), Some(&2));
    assert_eq!(counts.iter().max(), Some(&4));
}

#[test]
fn a_weight_makes_a_hazard_more_or_less_common() {
    let met = |weight| {
        let faults = Faults::none().evictions(0..2).weight(Hazard::Evictions, weight);
        (0..1_000).filter(|seed| !draw(&faults, *seed, &HORIZON).is_empty()).count()
    };
    assert_eq!(met(0), 0);
    assert!((200..300).contains(&met(1)), "{}", met(1));
    assert!((400..500).contains(&met(9)), "{}", met(9));
}

#[test]
fn clock_jumps_go_both_ways_and_not_too_far() {
    let faults = Faults::none().clock_jumps(Duration::from_secs(5));
    let plans: Vec<_> = (0..500).map(|seed| draw(&faults, seed, &HORIZON)).collect();
    let jump = |what: &What| if let What::ClockJump { ms } = what { *ms } else { 0 };
    let jumps: Vec<_> = plans.iter().flat_map(|p| &p.faults).map(|f| jump(&f.what)).collect();
    assert!(jumps.iter().all(|ms| (1..=5_000).contains(&ms.abs())));
    assert!(jumps.iter().any(|ms| *ms > 4_000) && jumps.iter().any(|ms| *ms < -4_000));
    assert!(jumps.iter().any(|ms| ms.abs() < 16));
    assert!(draw(&faults.clock_jumps(Duration::ZERO), 3, &HORIZON).is_empty());
}

#[test]
fn faults_happen_within_the_horizon_or_soon_after_another() {
    let mut sorts = [0; 4];
    for seed in 0..500 {
        for fault in draw(&Faults::all(), seed, &HORIZON).faults {
            let sort = match fault.when {
                When::Step(step) if (1..=2_200).contains(&step) => 0,
                When::Op(op) if (1..=500).contains(&op) => 1,
                When::At(us) if (1..=5_030_000).contains(&us) => 2,
                When::Gate { name, nth } if name == "reply" && nth <= 30 => 3,
                When::Gate { name, nth } if name == "commit.stored" && nth <= 60 => 3,
                when => panic!("{when} is far off"),
            };
            sorts[sort] += 1;
        }
    }
    assert!(sorts.iter().all(|count| *count > 200), "{sorts:?}");
}

#[test]
fn a_horizon_that_knows_only_steps_is_enough() {
    let horizon = Horizon { steps: 0, ops: 0, us: 0, gates: &[] };
    for seed in 0..100 {
        let plan = draw(&Faults::all(), seed, &horizon);
        assert!(plan.faults.iter().all(|f| matches!(f.when, When::Step(1..1_000))), "{plan}");
    }
}
