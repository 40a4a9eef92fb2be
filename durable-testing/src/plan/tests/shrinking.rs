//! Making plans smaller.

use super::super::shrink::shrink;
use super::super::{Faults, Horizon, Plan, PlannedFault};
use super::{numbers, plan};

/// A plan of twelve different faults.
const TWELVE: &str = "op1=process,op20=power_torn,op30=sync_error,step4=evict_all,step50=restart,\
    op60=slow_sync:20ms,t7us=clock+5000ms,op80=no_space:x3,op90=power_drop_all,step100=lane_slow:9ms,\
    gate.reply#3=process,op120=read_error";

/// Shrinks with a world that fails if it has both faults, as far as their texts begin like this.
fn shrunk(causes: &[&str], budget_runs: u32) -> (String, u32) {
    let is_met = |plan: &Plan, cause: &&str| {
        plan.faults.iter().any(|fault| fault.to_string().starts_with(*cause))
    };
    let mut runs = 0;
    let shrunk = shrink(&plan(TWELVE), budget_runs, &mut |plan| {
        runs += 1;
        causes.iter().all(|cause| is_met(plan, cause))
    });
    assert_eq!(shrunk.runs, runs);
    (shrunk.plan.to_string(), runs)
}

#[test]
fn one_cause_among_twelve_faults_is_found_in_few_runs() {
    for fault in plan(TWELVE).faults {
        let cause = fault.to_string();
        let (left, runs) = shrunk(&[&cause], 1_000);
        assert_eq!(left, cause);
        assert!(runs <= 20, "{runs} runs for {cause}");
    }
}

#[test]
fn two_causes_among_twelve_faults_are_found_in_few_runs() {
    let faults = plan(TWELVE).faults;
    for (index, second) in faults.iter().enumerate() {
        for first in &faults[..index] {
            let causes = [first.to_string(), second.to_string()];
            let (left, runs) = shrunk(&[&causes[0], &causes[1]], 1_000);
            assert_eq!(left, causes.join(","));
            assert!(runs <= 60, "{runs} runs for {left}");
        }
    }
}

#[test]
fn a_failure_without_any_fault_takes_one_run() {
    assert_eq!(shrunk(&[], 1_000), ("-".to_owned(), 1));
}

#[test]
fn a_fault_becomes_as_simple_as_it_can_be() {
    let simplest = |text: &str, fails: &dyn Fn(&PlannedFault) -> bool| {
        let mut fails = |plan: &Plan| plan.faults.first().is_some_and(fails);
        shrink(&plan(text), 1_000, &mut fails).plan.to_string()
    };
    let any = |_: &PlannedFault| true;
    assert_eq!(simplest("op212=power_torn", &any), "op1=process");
    assert_eq!(simplest("gate.reply#9=slow_sync:1500us:x8", &any), "gate.reply#1=slow_sync:1ms");
    assert_eq!(simplest("t900us=clock-5000ms", &any), "t1us=clock-1ms");
    assert_eq!(simplest("step9=lane_slow:800ms", &any), "step1=lane_slow:1ms");
    let is_power = |fault: &PlannedFault| fault.to_string().contains("power");
    assert_eq!(simplest("op1=power_torn", &is_power), "op1=power_drop_all");
    let is_late = |fault: &PlannedFault| fault.to_string().len() > "op99=process".len();
    assert_eq!(simplest("op212=power_torn", &is_late), "op106=process");
}

#[test]
fn a_plan_that_passes_is_never_the_result() {
    let mut random = numbers(11);
    let horizon = Horizon { steps: 500, ops: 100, us: 10_000, gates: &[("reply", 9)] };
    for budget_runs in (0..40).chain([200]) {
        for _ in 0..20 {
            let plan = Faults::all().crashes(3..9).draw(&mut random, &horizon);
            let salt = random();
            // A world without rhyme or reason.
            let is_failure = |tried: &Plan| {
                let text = tried.to_string();
                let hash = text
                    .bytes()
                    .fold(salt, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
                *tried == plan || (hash >> 40) % 3 == 0
            };
            let mut runs = 0;
            let mut seen = Vec::new();
            let shrunk = shrink(&plan, budget_runs, &mut |tried| {
                runs += 1;
                seen.push(tried.to_string());
                is_failure(tried)
            });
            assert!(is_failure(&shrunk.plan), "{} passes", shrunk.plan);
            assert!(runs <= budget_runs && shrunk.runs == runs);
            assert!(shrunk.plan.faults.len() <= plan.faults.len());
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), runs as usize, "a plan was run twice");
        }
    }
}
