//! Making a plan smaller while the world still fails: fewer faults first, then simpler ones.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Plan, PlannedFault, What, When};
use crate::disk::{Crash, FaultKind};

/// A plan that was made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shrunk {
    /// The smallest plan that was seen to fail, or the original one.
    pub(crate) plan: Plan,
    /// How many worlds were run for it.
    pub(crate) runs: u32,
}

/// Makes `plan`, with which a world failed, smaller.
///
/// `fails`: runs a world with a plan and says whether it failed in the same way. It is called at
/// most `budget_runs` times, and never twice with the same plan.
///
/// # Source
/// Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), for the
/// faults as a whole; ours first tries none at all, and goes on to simplify each fault that is left.
pub(crate) fn shrink(
    plan: &Plan,
    budget_runs: u32,
    fails: &mut dyn FnMut(&Plan) -> bool,
) -> Shrunk {
    let mut shrink = Shrink {
        best: plan.faults.clone(),
        budget_runs,
        runs: 0,
        tried: BTreeSet::from([plan.to_string()]),
        fails,
    };
    shrink.attempt(Vec::new());
    loop {
        shrink.remove();
        if !shrink.simplify() {
            break;
        }
    }
    let Shrink { best, runs, .. } = shrink;
    Shrunk { plan: Plan { faults: best }, runs }
}

struct Shrink<'a> {
    /// The smallest failing list of faults.
    best: Vec<PlannedFault>,
    budget_runs: u32,
    runs: u32,
    /// The plans that were run, as text.
    tried: BTreeSet<String>,
    fails: &'a mut dyn FnMut(&Plan) -> bool,
}

impl Shrink<'_> {
    /// Takes the faults for the best ones if they fail. `false` also if they were tried before or
    /// nothing may be run any more.
    fn attempt(&mut self, faults: Vec<PlannedFault>) -> bool {
        let plan = Plan { faults };
        if self.runs >= self.budget_runs || !self.tried.insert(plan.to_string()) {
            return false;
        }
        self.runs += 1;
        let is_failure = (self.fails)(&plan);
        if is_failure {
            self.best = plan.faults;
        }
        is_failure
    }

    /// Removes faults until none can go: parts of the list are tried alone and left out, and the
    /// parts become smaller when neither helps.
    fn remove(&mut self) {
        let mut parts = 2;
        while self.best.len() > 1 && self.runs < self.budget_runs {
            parts = parts.min(self.best.len());
            let faults = self.best.clone();
            let size = faults.len().div_ceil(parts);
            let starts = (0..faults.len()).step_by(size);
            let ends = |start: usize| (start + size).min(faults.len());
            let is_alone =
                starts.clone().any(|start| self.attempt(faults[start..ends(start)].to_vec()));
            if is_alone {
                parts = 2;
                continue;
            }
            let is_less = starts.into_iter().any(|start| {
                let without = [&faults[..start], &faults[ends(start)..]].concat();
                self.attempt(without)
            });
            if is_less {
                parts = (parts - 1).max(2);
            } else if size > 1 {
                parts *= 2;
            } else {
                break;
            }
        }
    }

    /// Makes each fault as simple as it can be. Gives whether any became simpler.
    fn simplify(&mut self) -> bool {
        let mut is_simpler = false;
        for index in 0..self.best.len() {
            while self.simplify_one(index) {
                is_simpler = true;
            }
        }
        is_simpler
    }

    fn simplify_one(&mut self, index: usize) -> bool {
        simpler(&self.best[index]).into_iter().any(|fault| {
            let mut faults = self.best.clone();
            faults[index] = fault;
            self.attempt(faults)
        })
    }
}

/// Faults that are simpler than this one, the simplest first.
fn simpler(fault: &PlannedFault) -> Vec<PlannedFault> {
    let PlannedFault { when, what } = fault;
    let whats = simpler_whats(what).into_iter();
    let mut simpler: Vec<_> = whats.map(|what| PlannedFault { when: when.clone(), what }).collect();
    let whens = earlier(when).into_iter();
    simpler.extend(whens.map(|when| PlannedFault { when, what: what.clone() }));
    simpler
}

fn simpler_whats(what: &What) -> Vec<What> {
    match what {
        What::Crash(crash) => {
            Crash::ALL.into_iter().take_while(|milder| milder != crash).map(What::Crash).collect()
        }
        What::ClockJump { ms } => {
            let smaller = smaller(ms.unsigned_abs()).into_iter();
            // A smaller amount than that of an i64 always fits into one.
            let signed = smaller.map(|less| less.cast_signed() * ms.signum());
            signed.map(|ms| What::ClockJump { ms }).collect()
        }
        What::LaneSlow { ms } => smaller(*ms).into_iter().map(|ms| What::LaneSlow { ms }).collect(),
        What::Disk { kind, times } => {
            let fewer = smaller(*times).into_iter();
            let mut simpler: Vec<_> =
                fewer.map(|times| What::Disk { kind: *kind, times }).collect();
            if let Some(delay) = what.sync_delay() {
                let ms = delay.as_nanos().div_ceil(1_000_000);
                let ms = u64::try_from(ms).unwrap_or(u64::MAX);
                let shorter = smaller(ms).into_iter().map(Duration::from_millis);
                simpler.extend(
                    shorter.map(|delay| What::Disk {
                        kind: FaultKind::SlowSync(delay),
                        times: *times,
                    }),
                );
            }
            simpler
        }
        What::EvictAll | What::Restart | What::NetCut | What::NetSilent => Vec::new(),
    }
}

fn earlier(when: &When) -> Vec<When> {
    match when {
        When::Step(step) => smaller(*step).into_iter().map(When::Step).collect(),
        When::Op(op) => smaller(*op).into_iter().map(When::Op).collect(),
        When::At(us) => smaller(*us).into_iter().map(When::At).collect(),
        When::Gate { name, nth } => {
            let gate = |nth| When::Gate { name: name.clone(), nth };
            smaller(*nth).into_iter().map(gate).collect()
        }
    }
}

/// Numbers from 1 on that are to be tried instead of a larger one.
fn smaller(number: u64) -> Vec<u64> {
    let mut smaller = vec![1, number / 2];
    smaller.retain(|less| *less >= 1 && *less < number);
    smaller.dedup();
    smaller
}
