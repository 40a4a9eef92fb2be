//! Drawing a plan: which faults a seed gets, how many, and when.

use std::time::Duration;

use super::faults::{Faults, Hazard, Wanted};
use super::{Plan, PlannedFault, STARTS, What, When};
use crate::disk::{Crash, FaultKind};

/// How many operations in a row a disk fault strikes at most.
const TIMES_MAX: u64 = 8;

/// Syncs of directories of one start, about.
const DIR_SYNCS: u64 = 4;

/// How far after another fault one is put that is meant to meet the recovery from it.
const NEAR_MAX: u64 = 24;

/// The longest delays, in milliseconds.
const SLOW_SYNC_MS_MAX: u64 = 2_000;
const SLOW_LANE_MS_MAX: u64 = 1_000;

/// How far a world goes after faults were switched on, as far as one can tell: a run of the same
/// scenario without faults is the best guess. What is zero or empty is not used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon<'a> {
    /// Steps of the scheduler.
    pub(crate) steps: u64,
    /// Operations of the disk.
    pub(crate) ops: u64,
    /// Virtual time, in microseconds.
    pub(crate) us: u64,
    /// The gates that are passed, and how often.
    pub(crate) gates: &'a [(&'a str, u64)],
}

/// How likely each sort of moment is for a fault.
#[derive(Clone, Copy)]
struct Moments {
    step: u64,
    op: u64,
    gate: u64,
    at: u64,
}

/// The caller's random numbers.
struct Dice<'a>(&'a mut dyn FnMut() -> u64);

/// Draws one plan.
struct Draw<'a> {
    dice: Dice<'a>,
    horizon: &'a Horizon<'a>,
    /// How likely each disk error is in this seed.
    disk_errors: [(FaultKind, u64); 4],
    faults: Vec<PlannedFault>,
}

impl Faults {
    /// A plan for one seed. It depends on nothing but the numbers that `random` gives, 64 even bits
    /// a call, and the arguments.
    pub(crate) fn draw(&self, random: &mut dyn FnMut() -> u64, horizon: &Horizon<'_>) -> Plan {
        let mut dice = Dice(random);
        let disk_errors = dice.disk_errors();
        let mut draw = Draw { dice, horizon, disk_errors, faults: Vec::new() };
        for hazard in Hazard::ALL {
            for _ in 0..draw.dice.count(self.wanted(hazard)) {
                let what = draw.what(hazard, self.clock_jump_max);
                let when = draw.when(hazard);
                draw.faults.push(PlannedFault { when, what });
            }
        }
        Plan { faults: draw.faults }
    }
}

impl Draw<'_> {
    fn what(&mut self, hazard: Hazard, clock_jump_max: Duration) -> What {
        let dice = &mut self.dice;
        match hazard {
            Hazard::Crashes => What::Crash(Crash::Process),
            Hazard::PowerCuts if dice.coin() => What::Crash(Crash::PowerDropAll),
            Hazard::PowerCuts => What::Crash(Crash::PowerTorn),
            Hazard::Evictions => What::EvictAll,
            Hazard::Restarts => What::Restart,
            Hazard::DiskErrors => {
                let kind = dice.weighted(&self.disk_errors);
                What::Disk { kind, times: dice.times() }
            }
            Hazard::SlowDisk => {
                let delay = Duration::from_millis(dice.magnitude(SLOW_SYNC_MS_MAX));
                What::Disk { kind: FaultKind::SlowSync(delay), times: dice.times() }
            }
            Hazard::SlowLanes => What::LaneSlow { ms: dice.magnitude(SLOW_LANE_MS_MAX) },
            Hazard::ClockJumps => {
                let max = i64::try_from(clock_jump_max.as_millis()).unwrap_or(i64::MAX);
                let ms = dice.magnitude(max.unsigned_abs()).cast_signed();
                What::ClockJump { ms: if dice.coin() { ms } else { -ms } }
            }
            Hazard::LyingSyncs => What::Disk { kind: FaultKind::LyingSync, times: dice.times() },
            Hazard::DirSyncErrors => {
                What::Disk { kind: FaultKind::DirSyncError, times: 1 + dice.below(DIR_SYNCS) }
            }
            Hazard::ShortReads => What::disk(FaultKind::ShortRead),
            Hazard::NetFaults if dice.coin() => What::NetCut,
            Hazard::NetFaults => What::NetSilent,
        }
    }

    fn are_starts_known(&self) -> bool {
        self.horizon.gates.iter().any(|(name, _)| *name == STARTS)
    }

    /// Whether the node starts anew after a fault that was drawn.
    fn is_start_after(&self, fault: usize) -> bool {
        matches!(self.faults[fault].what, What::Crash(_) | What::Restart)
    }

    fn when(&mut self, hazard: Hazard) -> When {
        // A fault during the recovery from another one is worth more than its share of the time.
        if !self.faults.is_empty() && self.dice.below(4) == 0 {
            let other = self.dice.below(self.faults.len() as u64) as usize;
            let later = 1 + self.dice.below(NEAR_MAX);
            if self.is_start_after(other) && self.are_starts_known() && self.dice.coin() {
                // The first thing that a node does is to read and write what everything else relies on.
                let starts = (0..self.faults.len()).filter(|other| self.is_start_after(*other));
                let nth = 1 + self.dice.below(starts.count() as u64);
                return When::Gate { name: STARTS.to_owned(), nth };
            }
            return match &self.faults[other].when {
                When::Step(step) => When::Step(step + later),
                When::Op(op) => When::Op(op + later),
                When::At(us) => When::At(us + later * 100),
                When::Gate { name, nth } => {
                    When::Gate { name: name.clone(), nth: nth + 1 + later / 8 }
                }
            };
        }
        let Horizon { steps, ops, us, gates } = *self.horizon;
        let Moments { step, op, gate, at } = moments(hazard);
        let dice = &mut self.dice;
        let sorts = [
            (0, if steps > 0 { step } else { 0 }),
            (1, if ops > 0 { op } else { 0 }),
            (2, if gates.is_empty() { 0 } else { gate }),
            (3, if us > 0 { at } else { 0 }),
        ];
        match dice.weighted(&sorts) {
            1 => When::Op(1 + dice.below(ops)),
            2 => {
                let (name, passes) = gates[dice.below(gates.len() as u64) as usize];
                When::Gate { name: name.to_owned(), nth: 1 + dice.below(passes.max(1)) }
            }
            3 => When::At(1 + dice.below(us)),
            // Also if nothing is known of how far the world goes.
            _ => When::Step(1 + dice.below(steps.max(1))),
        }
    }
}

/// Where a hazard does most: in the middle of what it can break.
fn moments(hazard: Hazard) -> Moments {
    match hazard {
        Hazard::Crashes => Moments { step: 2, op: 3, gate: 5, at: 1 },
        Hazard::PowerCuts => Moments { step: 1, op: 5, gate: 3, at: 1 },
        Hazard::Evictions => Moments { step: 4, op: 1, gate: 3, at: 2 },
        Hazard::Restarts => Moments { step: 3, op: 1, gate: 2, at: 2 },
        Hazard::SlowLanes => Moments { step: 4, op: 2, gate: 2, at: 1 },
        Hazard::NetFaults => Moments { step: 4, op: 0, gate: 3, at: 2 },
        Hazard::ClockJumps => Moments { step: 4, op: 0, gate: 1, at: 4 },
        Hazard::DiskErrors
        | Hazard::SlowDisk
        | Hazard::LyingSyncs
        | Hazard::DirSyncErrors
        | Hazard::ShortReads => Moments { step: 1, op: 7, gate: 1, at: 1 },
    }
}

impl Dice<'_> {
    /// A number below `sides`; 0 if there are none.
    fn below(&mut self, sides: u64) -> u64 {
        // The high bits are the best ones of many generators.
        let wide = u128::from((self.0)()) * u128::from(sides);
        u64::try_from(wide >> 64).expect("below a u64")
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// How many faults of a hazard a seed gets.
    fn count(&mut self, wanted: &Wanted) -> u64 {
        let Wanted { counts, weight } = wanted;
        let takes_part = self.below(u64::from(*weight) + 1) > 0 || counts.start > 0;
        let sides = counts.end.saturating_sub(counts.start);
        let count = u64::from(counts.start) + self.below(sides.into());
        if takes_part && sides > 0 { count } else { 0 }
    }

    /// How likely each disk error is: some are not drawn at all in a seed, others often.
    fn disk_errors(&mut self) -> [(FaultKind, u64); 4] {
        let kinds =
            [FaultKind::ReadError, FaultKind::WriteError, FaultKind::NoSpace, FaultKind::SyncError];
        let mut weights = kinds.map(|kind| (kind, self.below(2) * (1 + self.below(8))));
        if weights.iter().all(|(_, weight)| *weight == 0) {
            weights[self.below(4) as usize].1 = 1;
        }
        weights
    }

    /// One of the choices, by weight; the first if all weights are zero.
    fn weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> T {
        let mut drawn = self.below(choices.iter().map(|(_, weight)| weight).sum());
        for (choice, weight) in choices {
            if drawn < *weight {
                return *choice;
            }
            drawn -= weight;
        }
        choices[0].0
    }

    /// How many operations in a row: mostly one.
    fn times(&mut self) -> u64 {
        if self.coin() { 1 } else { 1 + self.below(TIMES_MAX) }
    }

    /// A number from 1 to `max`, of any order of magnitude.
    fn magnitude(&mut self, max: u64) -> u64 {
        let bits = 1 + self.below(u64::from(u64::BITS - max.leading_zeros()));
        let below = if bits == 64 { u64::MAX } else { 1 << bits };
        self.below(below).clamp(1, max.max(1))
    }
}
