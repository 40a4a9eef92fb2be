//! Carries out the plan of what goes wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use durable::WallMs;

use crate::chance::Stream;
use crate::disk::{Crash, Fault, FaultKind};
use crate::failure::Failure;
use crate::plan::{Faults, Horizon, Plan, PlannedFault, STARTS, What, When};

/// How far ahead faults are planned, for a hundred calls: what they come to.
const STEPS: u64 = 600;
const OPS: u64 = 400;
const MICROS: u64 = 2_000_000;

/// Where crashes are planned, and how often a hundred calls come there.
const GATES: &[(&str, u64)] = &[
    ("call.queued", 60),
    ("activation.loaded", 8),
    ("turn.began", 60),
    ("turn.ended", 60),
    ("commit.submitted", 50),
    ("commit.stored", 40),
    ("commit.settled", 50),
    ("activation.gone", 8),
    ("log.copying", 2),
    ("shard.copying", 1),
    (STARTS, 2),
];

/// How long what is under way may take once nothing goes wrong any more.
pub(crate) const HEAL_MAX: Duration = Duration::from_secs(60);

pub(super) struct FaultState {
    chance: Stream,
    /// All that was planned; for the report.
    plan: Plan,
    /// Faults were switched on, and not off since.
    is_on: bool,
    /// Something has gone wrong since faults were switched on.
    has_struck: bool,
    /// The test itself has told the disk to fail.
    is_disk_told: bool,
    /// What is planned for a step.
    at_steps: Vec<(u64, What)>,
    /// What is planned for an operation of the disk, but for crashes.
    at_ops: Vec<(u64, What)>,
    /// Operations that the disk dies in.
    deaths: Vec<(u64, Crash)>,
    /// What is planned for the n-th time that a place is passed.
    at_points: Vec<(String, u64, What)>,
    /// How often each place was passed since faults were switched on, or since the beginning.
    passed: BTreeMap<&'static str, u64>,
}

impl FaultState {
    pub(super) fn new(seed: u64) -> Self {
        FaultState {
            chance: Stream::new(seed, 21),
            plan: Plan::default(),
            is_on: false,
            has_struck: false,
            is_disk_told: false,
            at_steps: Vec::new(),
            at_ops: Vec::new(),
            deaths: Vec::new(),
            at_points: Vec::new(),
            passed: BTreeMap::new(),
        }
    }

    /// Something went wrong.
    pub(super) fn struck(&mut self) {
        self.has_struck = true;
    }

    fn clear(&mut self) {
        self.at_steps.clear();
        self.at_ops.clear();
        self.deaths.clear();
        self.at_points.clear();
        self.is_on = false;
    }
}

impl World {
    /// From now on things go wrong: as the spec's plan says, or as chance draws from `faults`.
    pub(crate) fn switch_on(self: &Arc<Self>, faults: &Faults) {
        let drawn = {
            let mut state = self.faults.lock();
            let chance = &mut state.chance;
            let scaled = |of_a_hundred: u64| (of_a_hundred * faults.calls() / 100).max(1);
            let gates: Vec<_> = GATES.iter().map(|(name, count)| (*name, scaled(*count))).collect();
            let (steps, ops, us) = (scaled(STEPS), scaled(OPS), scaled(MICROS));
            let horizon = Horizon { steps, ops, us, gates: &gates };
            faults.draw(&mut || chance.draw(), &horizon)
        };
        let plan = self.spec.plan.clone().unwrap_or(drawn);
        self.carry_out(plan);
    }

    /// From now on things go wrong as `plan` says.
    pub(crate) fn carry_out(self: &Arc<Self>, plan: Plan) {
        self.note("faults.on", plan.to_string());
        let may_disk_fail = plan.faults.iter().any(|fault| matches!(fault.what, What::Disk { .. }));
        self.promises.lock().disk_may_fail(may_disk_fail);
        let (step, op) = (self.step(), self.disk().ops());
        let mut state = self.faults.lock();
        state.passed.clear();
        (state.is_on, state.has_struck) = (true, false);
        for PlannedFault { when, what } in plan.faults.clone() {
            match (when, what) {
                (When::Step(n), what) => state.at_steps.push((step + n, what)),
                (When::Op(n), What::Crash(mode)) => state.deaths.push((op + n.max(1), mode)),
                (When::Op(n), what) => state.at_ops.push((op + n, what)),
                (When::Gate { name, nth }, what) => state.at_points.push((name, nth, what)),
                (When::At(us), what) => self.at(self.now_ns() + us * 1_000, move |world| {
                    if world.faults.lock().is_on {
                        world.inflict(&what);
                    }
                }),
            }
        }
        state.deaths.sort_by_key(|(op, _)| *op);
        state.plan = plan;
        drop(state);
        self.arm_next_death();
    }

    /// What was planned.
    pub(crate) fn plan(&self) -> Plan {
        self.faults.lock().plan.clone()
    }

    /// Crashes at the next pass of the place.
    pub(crate) fn crash_at(&self, point: &str, mode: Crash) {
        let mut state = self.faults.lock();
        let passed = state.passed.iter().find(|(name, _)| **name == point).map_or(0, |(_, n)| *n);
        state.at_points.push((point.to_owned(), passed + 1, What::Crash(mode)));
    }

    /// The next commit fails, be it that of a start.
    pub(crate) fn fail_next_commit(&self, fault: FaultKind) {
        self.faults.lock().is_disk_told = true;
        self.promises.lock().disk_may_fail(true);
        let is_log = |path: &Path| path.to_string_lossy().ends_with("-wal");
        self.disk().arm(Fault::new(fault).on(is_log));
    }

    /// So many reads of databases fail, one after another.
    pub(crate) fn fail_reads(&self, times: u64) {
        self.faults.lock().is_disk_told = true;
        self.promises.lock().disk_may_fail(true);
        let is_database = |path: &Path| {
            let path = path.to_string_lossy();
            path.ends_with(".db") || path.ends_with("-wal")
        };
        self.disk().arm(Fault::new(FaultKind::ReadError).times(times).on(is_database));
    }

    /// From now on nothing goes wrong.
    pub(crate) fn switch_off(self: &Arc<Self>) {
        self.faults.lock().clear();
        let disk = self.disk();
        disk.disarm();
        if disk.is_alive() {
            disk.die_at_op(u64::MAX);
        }
        if let Some(life) = self.life() {
            life.slow_lanes(0);
        }
        self.note("faults.off", "");
    }

    /// A disk that was told to fail may still be the cause of an error; from here on it is not.
    pub(crate) fn trust_disk(&self) {
        self.promises.lock().disk_may_fail(false);
        let mut state = self.faults.lock();
        (state.has_struck, state.is_disk_told) = (false, false);
    }

    /// Whether something has gone wrong on purpose since the last time that all was well.
    pub(crate) fn has_struck(&self) -> bool {
        self.faults.lock().has_struck
    }

    pub(super) fn may_disk_fail(&self) -> bool {
        let state = self.faults.lock();
        state.is_disk_told
            || state.plan.faults.iter().any(|fault| matches!(fault.what, What::Disk { .. }))
    }

    /// The disk dies at the next operation that is planned for it.
    pub(super) fn arm_next_death(&self) {
        let disk = self.disk();
        let next = {
            let mut state = self.faults.lock();
            let ops = disk.ops();
            // Those that passed while the node was down struck nothing.
            state.deaths.retain(|(op, _)| *op > ops);
            (!state.deaths.is_empty()).then(|| state.deaths.remove(0))
        };
        if let Some((op, mode)) = next {
            self.faults.lock().has_struck = true;
            disk.die_at_op(op);
            self.plan_crash(mode);
        }
    }

    /// Inflicts what is planned for this step, or for the operations until now.
    pub(super) fn strike(self: &Arc<Self>, step: u64) {
        let due = {
            let mut state = self.faults.lock();
            if state.at_steps.is_empty() && state.at_ops.is_empty() {
                return;
            }
            let mut due = Vec::new();
            let mut take = |now: u64, planned: &mut Vec<(u64, What)>| {
                planned.retain(|(at, what)| {
                    if *at <= now {
                        due.push(what.clone());
                    }
                    *at > now
                });
            };
            take(step, &mut state.at_steps);
            let ops = self.disk.lock().ops();
            take(ops, &mut state.at_ops);
            due
        };
        due.iter().for_each(|what| self.inflict(what));
    }

    /// Inflicts what is planned for this pass of a place. A crash or a failing disk comes at once, in the middle of what
    /// the runtime does.
    pub(super) fn strike_point(self: &Arc<Self>, point: &'static str) {
        let mut state = self.faults.lock();
        let passed = state.passed.entry(point).or_default();
        *passed += 1;
        let passed = *passed;
        if state.at_points.is_empty() {
            return;
        }
        let is_due = |(name, nth, _): &(String, u64, What)| name == point && *nth == passed;
        let Some(index) = state.at_points.iter().position(is_due) else { return };
        let (_, _, what) = state.at_points.swap_remove(index);
        drop(state);
        if let What::Crash(_) | What::Disk { .. } = what {
            // What is told to fail is what the runtime does next.
            self.inflict(&what);
        } else {
            self.at(self.now_ns(), move |world| {
                if world.faults.lock().is_on {
                    world.inflict(&what);
                }
            });
        }
    }

    /// How often every place was passed, for those who want a crash at each.
    pub(crate) fn passes(&self) -> BTreeMap<&'static str, u64> {
        self.faults.lock().passed.clone()
    }

    fn inflict(self: &Arc<Self>, what: &What) {
        self.faults.lock().has_struck = true;
        match *what {
            What::Crash(mode) => self.crash(mode),
            What::Disk { kind, times } => {
                self.note("fault.disk", format!("{} x{times}", kind.name()));
                let fault = Fault::new(kind);
                self.disk().arm(match kind {
                    // A start that sees the first one fail does not come to the next.
                    FaultKind::DirSyncError => fault.at(times),
                    _ => fault.times(times),
                });
            }
            What::ClockJump { ms } => self.jump(ms),
            What::EvictAll => self.evict_all(),
            What::Restart => self.restart_soon(),
            #[cfg(feature = "http")]
            What::NetCut => self.break_connection(false),
            #[cfg(feature = "http")]
            What::NetSilent => self.break_connection(true),
            // There are no connections.
            #[cfg(not(feature = "http"))]
            What::NetCut | What::NetSilent => {}
            What::LaneSlow { ms } => {
                self.note("fault.slow_lanes", format!("{ms} ms"));
                if let Some(life) = self.life() {
                    life.slow_lanes(ms * 1_000_000);
                }
            }
        }
    }

    /// A sync takes so much longer, which its lane then does.
    pub(super) fn slow_down(&self, delay: Duration) {
        if delay > Duration::ZERO
            && let Some(life) = self.life()
        {
            life.delay_next_step(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    fn evict_all(self: &Arc<Self>) {
        let Some((runtime, life)) = self.up() else { return };
        self.note("fault.evicts", "all objects");
        let resident = self.promises.lock().resident();
        #[expect(clippy::disallowed_methods, reason = "the world spawns its own tasks")]
        drop(tokio::spawn(async move {
            for id in resident {
                if !life.is_alive() {
                    return;
                }
                // An object that is gone by now needs no eviction.
                let _ = runtime.evict(id).await;
            }
        }));
    }

    fn restart_soon(self: &Arc<Self>) {
        let world = Arc::clone(self);
        #[expect(clippy::disallowed_methods, reason = "the world spawns its own tasks")]
        drop(tokio::spawn(async move {
            if world.shut_down().await {
                world.start_node();
            }
        }));
    }

    /// Everything that is under way comes to an end. Faults are off.
    ///
    /// # Errors
    /// What does not.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), String> {
        let limit = self.now_ns() + u64::try_from(HEAL_MAX.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let pending = self.calls.lock().ledger.pending();
            let phase = self.phase();
            let (overdue, is_sending) = {
                let promises = self.promises.lock();
                (promises.overdue(WallMs(self.wall_ms())), promises.is_sending())
            };
            let is_late = self.now_ns() > limit;
            let is_quiet = pending.is_empty() && overdue.is_none() && self.is_well();
            if is_quiet && (is_late || !is_sending) {
                return Ok(());
            }
            if is_late {
                if let (true, Some((promise, overdue))) = (pending.is_empty(), overdue) {
                    // Its own promise, and not one about calls.
                    self.fail(Failure::promise(promise, overdue.clone()));
                    return Err(overdue);
                }
                return Err(format!(
                    "{HEAL_MAX:?} after the last fault the node is {phase:?} and {} calls still wait: {}",
                    pending.len(),
                    pending.join(", ")
                ));
            }
            self.sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing is due any more, and the test has not ended.
    pub(super) fn stuck(&self) -> Failure {
        let pending = self.calls.lock().ledger.pending();
        Failure::stuck(if pending.is_empty() {
            "the test waits for something that never comes".to_owned()
        } else {
            format!("nothing happens any more, and calls still wait: {}", pending.join(", "))
        })
    }
}
