//! What a tree of supervision may do, checked on every run: OTP's rules over the decisions that supervisors report, and
//! whether their tasks are where they say.
//!
//! It keeps to what a decision follows from: the specs, and what was decided before. Whom a strategy stops and starts, in
//! which order, and how many restarts there were, it works out by itself.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use durable::host::Event;
use durable::{
    AutoShutdown, ChildSpec, Decision, Exit, ExitReason, Restart, Shutdown, Strategy,
    SupervisorSpec,
};

use crate::failure::Failure;

type Verdict = Result<(), Failure>;

/// The supervisors of a node that run, by path.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    running: BTreeMap<String, Tree>,
}

/// One supervisor that runs.
#[derive(Debug)]
struct Tree {
    spec: SupervisorSpec,
    /// In the order in which they start.
    kids: Vec<Kid>,
    /// When it has restarted, in nanoseconds.
    restarts: Vec<u64>,
    /// What must come next. `None`: anything that is allowed.
    owed: Option<Owed>,
    /// What a restart has still to do, in order.
    plan: VecDeque<Planned>,
    /// How it is to end. `None`: it is not.
    ending: Option<ExitReason>,
    /// The highest number of a run.
    last_run: u64,
}

#[derive(Debug)]
struct Kid {
    spec: ChildSpec,
    /// The run that has not been told to have ended.
    run: Option<u64>,
    has_started: bool,
    /// When it was told to stop, and in which time.
    stopping: Option<(u64, Shutdown)>,
    /// The run of its task that holds something.
    working: Option<u64>,
    /// It has no run and is to be started again.
    is_waiting: bool,
    /// It has failed to start, and its next try has to be counted.
    is_uncounted: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Owed {
    /// The child's restart, or the end of everything.
    Restart(String),
    /// It is forgotten.
    Removal(String),
    AutoShutdown(String),
    Ending(ExitReason),
}

#[derive(Debug, PartialEq, Eq)]
enum Planned {
    Stop(String),
    Start(String),
}

fn broken(text: String) -> Verdict {
    Err(Failure::new("tree", text))
}

impl Kid {
    fn new(spec: ChildSpec) -> Self {
        Kid {
            spec,
            run: None,
            has_started: false,
            stopping: None,
            working: None,
            is_waiting: false,
            is_uncounted: false,
        }
    }

    /// Whether it has not ended for good.
    fn is_up(&self) -> bool {
        self.run.is_some() || self.is_waiting
    }
}

impl Trees {
    /// The node is gone, and everything with it.
    pub(crate) fn crashed(&mut self) {
        self.running.clear();
    }

    /// The node has shut down.
    pub(crate) fn drained(&self) -> Verdict {
        match self.running.keys().next() {
            None => Ok(()),
            Some(path) => broken(format!("the node has shut down, and supervisor {path} runs")),
        }
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, now_ns: u64, event: &Event<'_>) -> Verdict {
        match *event {
            Event::SupervisorBegan { supervisor, spec } => {
                let kids = spec.children.iter().cloned().map(Kid::new).collect();
                let tree = Tree {
                    spec: spec.clone(),
                    kids,
                    restarts: Vec::new(),
                    owed: None,
                    plan: starts(&spec.children),
                    ending: None,
                    last_run: 0,
                };
                match self.running.insert(supervisor.to_owned(), tree) {
                    None => Ok(()),
                    Some(_) => broken(format!("supervisor {supervisor} runs twice")),
                }
            }
            Event::TaskBegan { supervisor, child, incarnation } => {
                let kid = self.running.get_mut(supervisor).and_then(|tree| tree.find(child));
                match kid {
                    Some(kid) if kid.run == Some(incarnation) && kid.working.is_none() => {
                        kid.working = Some(incarnation);
                        Ok(())
                    }
                    Some(kid) => broken(format!(
                        "run {incarnation} of {supervisor}/{child} works, while its run is {:?} and run {:?} works",
                        kid.run, kid.working
                    )),
                    None => broken(format!("{supervisor}/{child} works, and nobody supervises it")),
                }
            }
            Event::TaskEnded { supervisor, child, incarnation } => {
                let kid = self.running.get_mut(supervisor).and_then(|tree| tree.find(child));
                if let Some(kid) = kid.filter(|kid| kid.working == Some(incarnation)) {
                    kid.working = None;
                }
                Ok(())
            }
            Event::Supervised { supervisor, decision } => {
                let verdict = self.decided(now_ns, supervisor, decision);
                verdict.map_err(|failure| {
                    let text = format!("supervisor {supervisor}, {decision}: {}", failure.text);
                    Failure::new("tree", text)
                })
            }
            _ => Ok(()),
        }
    }

    fn decided(&mut self, now_ns: u64, path: &str, decision: &Decision) -> Verdict {
        let ended = match decision {
            Decision::ChildStopped { child, .. }
            | Decision::ChildExited { child, .. }
            | Decision::ChildUnstartable { child, .. } => Some(format!("{path}/{child}")),
            Decision::Ended { .. } => Some(path.to_owned()),
            _ => None,
        };
        if let Some(ended) = ended {
            let below = format!("{ended}/");
            let is_left =
                |other: &&String| other.starts_with(&below) || (**other == ended && *other != path);
            if let Some(orphan) = self.running.keys().find(is_left) {
                return broken(format!("{orphan} outlives it"));
            }
        }
        let Some(tree) = self.running.get_mut(path) else {
            return broken("it does not run".to_owned());
        };
        tree.decided(now_ns, decision)?;
        if let Decision::Ended { .. } = decision {
            self.running.remove(path);
        }
        Ok(())
    }
}

impl Tree {
    fn find(&mut self, child: &str) -> Option<&mut Kid> {
        self.kids.iter_mut().find(|kid| kid.spec.name == child)
    }

    /// The child with this run.
    fn with_run(&mut self, child: &str, run: u64) -> Result<&mut Kid, Failure> {
        match self.find(child) {
            Some(kid) if kid.run == Some(run) => Ok(kid),
            Some(kid) => Err(Failure::new("tree", format!("its run is {:?}", kid.run))),
            None => Err(Failure::new("tree", "there is no such child")),
        }
    }

    fn decided(&mut self, now_ns: u64, decision: &Decision) -> Verdict {
        let was_owed = self.pay(decision)?;
        match decision {
            Decision::Up => match self.kids.iter().find(|kid| !kid.has_started) {
                None => Ok(()),
                Some(kid) => broken(format!("{} has not started", kid.spec.name)),
            },
            Decision::ChildAdded { spec, .. } => {
                self.kids.push(Kid::new((**spec).clone()));
                Ok(())
            }
            Decision::ChildRemoved { child } => {
                self.kids.retain(|kid| kid.spec.name != *child);
                Ok(())
            }
            Decision::ChildStarting { child, incarnation } => self.starting(child, *incarnation),
            Decision::ChildStarted { child, incarnation } => {
                let kid = self.with_run(child, *incarnation)?;
                kid.has_started = true;
                Ok(())
            }
            Decision::ChildUnstartable { child, incarnation, exit } => {
                self.over(child, *incarnation, exit)?;
                self.plan.clear();
                let kid = self.find(child).expect("its run was just found");
                (kid.is_waiting, kid.is_uncounted) = (kid.has_started, kid.has_started);
                Ok(())
            }
            Decision::ChildExited { child, incarnation, exit } => {
                self.exited(child, *incarnation, exit)
            }
            Decision::Restarting { child, delay, restarts } => {
                self.may_restart(child, was_owed)?;
                self.restarting(now_ns, child, *delay, *restarts)
            }
            Decision::ChildStopping { child, incarnation, shutdown } => {
                self.stopping(now_ns, child, *incarnation, *shutdown)
            }
            Decision::ChildKilled { child, incarnation } => {
                self.killed(now_ns, child, *incarnation)
            }
            Decision::ChildStopped { child, incarnation, exit } => {
                if self.with_run(child, *incarnation)?.stopping.is_none() {
                    // It had ended by itself before it was its turn.
                    self.plan.retain(|planned| *planned != Planned::Stop(child.clone()));
                }
                self.over(child, *incarnation, exit)?;
                self.leave(child);
                Ok(())
            }
            Decision::Meltdown { child, restarts, .. } => {
                self.may_restart(child, was_owed)?;
                self.melted(now_ns, *restarts)
            }
            Decision::AutoShutdown { .. } => {
                self.owed = Some(Owed::Ending(ExitReason::Shutdown));
                Ok(())
            }
            Decision::Ending { reason } => {
                self.ending = Some(*reason);
                self.plan.clear();
                Ok(())
            }
            Decision::Ended { exit } => self.ended(exit),
            _ => Ok(()),
        }
    }

    fn killed(&mut self, now_ns: u64, child: &str, run: u64) -> Verdict {
        if self.ending == Some(ExitReason::Killed) {
            return Ok(());
        }
        match self.with_run(child, run)?.stopping {
            Some((_, Shutdown::Kill)) => Ok(()),
            Some((since, Shutdown::Time(time))) if now_ns - since >= nanos(time) => Ok(()),
            other => broken(format!("it had to stop since {other:?}, and it is {now_ns} ns")),
        }
    }

    fn melted(&mut self, now_ns: u64, told: u32) -> Verdict {
        let count = self.count(now_ns);
        if count <= self.spec.intensity as usize || count != told as usize {
            return broken(format!("there were {count}, {} are made", self.spec.intensity));
        }
        self.owed = Some(Owed::Ending(ExitReason::Meltdown));
        Ok(())
    }

    /// What was owed must come now. Gives whether anything was.
    fn pay(&mut self, decision: &Decision) -> Result<bool, Failure> {
        let Some(owed) = self.owed.take() else { return Ok(false) };
        let is_paid = match (&owed, decision) {
            (
                Owed::Restart(owed),
                Decision::Restarting { child, .. } | Decision::Meltdown { child, .. },
            )
            | (Owed::Removal(owed), Decision::ChildRemoved { child })
            | (Owed::AutoShutdown(owed), Decision::AutoShutdown { child }) => owed == child,
            (Owed::Ending(owed), Decision::Ending { reason }) => owed == reason,
            _ => false,
        };
        if !is_paid {
            return Err(Failure::new("tree", format!("it comes where {owed:?} must")));
        }
        if let Owed::Removal(child) = owed {
            self.owe_auto_shutdown(&child);
        }
        Ok(true)
    }

    /// Only who has ended, or has failed to start, is restarted.
    fn may_restart(&mut self, child: &str, was_owed: bool) -> Verdict {
        match self.find(child) {
            Some(kid) if was_owed || kid.is_waiting => Ok(()),
            _ => broken("it has not ended".into()),
        }
    }

    fn starting(&mut self, child: &str, run: u64) -> Verdict {
        if let Some(reason) = self.ending {
            return broken(format!("it is ending, by {reason}"));
        }
        if run <= self.last_run {
            return broken(format!("there was a run {} before", self.last_run));
        }
        self.last_run = run;
        match self.plan.pop_front() {
            None => {}
            Some(Planned::Start(planned)) if planned == child => {}
            Some(planned) => return broken(format!("{planned:?} is its turn")),
        }
        let Some(kid) = self.find(child) else { return broken("there is no such child".into()) };
        if let Some(other) = kid.run.replace(run).or(kid.working) {
            return broken(format!("run {other} of it is still there"));
        }
        if kid.is_uncounted {
            return broken("its last try to start was not counted".into());
        }
        (kid.stopping, kid.is_waiting) = (None, false);
        Ok(())
    }

    /// A run is over; nothing of it may be left.
    fn over(&mut self, child: &str, run: u64, _exit: &Exit) -> Verdict {
        let kid = self.with_run(child, run)?;
        (kid.run, kid.stopping) = (None, None);
        match kid.working {
            Some(run) => broken(format!("the task of run {run} still holds something")),
            None => Ok(()),
        }
    }

    fn exited(&mut self, child: &str, run: u64, exit: &Exit) -> Verdict {
        self.over(child, run, exit)?;
        let is_dynamic = self.spec.strategy == Strategy::Dynamic;
        let kid = self.find(child).expect("its run was just found");
        let is_restarted = match kid.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => exit.reason.is_abnormal(),
            _ => false,
        };
        if is_restarted {
            self.owed = Some(Owed::Restart(child.to_owned()));
        } else if kid.spec.restart == Restart::Temporary || is_dynamic {
            self.owed = Some(Owed::Removal(child.to_owned()));
        } else {
            self.owe_auto_shutdown(child);
        }
        Ok(())
    }

    fn owe_auto_shutdown(&mut self, child: &str) {
        let own = self.kids.iter().find(|kid| kid.spec.name == child);
        let specs = &self.spec.children;
        let own = own.map(|kid| &kid.spec).or_else(|| specs.iter().find(|spec| spec.name == child));
        if !own.is_some_and(|spec| spec.significant) {
            return;
        }
        let mut others = self.kids.iter().filter(|kid| kid.spec.name != child);
        let is_over = match self.spec.auto_shutdown {
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !others.any(|kid| kid.spec.significant && kid.is_up()),
            _ => false,
        };
        self.owed = is_over.then(|| Owed::AutoShutdown(child.to_owned()));
    }

    /// Counts a restart as of now.
    fn count(&mut self, now_ns: u64) -> usize {
        let period = nanos(self.spec.period);
        self.restarts.retain(|then| then + period >= now_ns);
        self.restarts.push(now_ns);
        self.restarts.len()
    }

    fn restarting(&mut self, now_ns: u64, child: &str, delay: Duration, told: u32) -> Verdict {
        let (count, intensity) = (self.count(now_ns), self.spec.intensity as usize);
        if count > intensity || count != told as usize {
            return broken(format!("{count} within the period, at most {intensity} are made"));
        }
        let Some(place) = self.kids.iter().position(|kid| kid.spec.name == child) else {
            return broken("there is no such child".into());
        };
        let first = if self.spec.strategy == Strategy::OneForAll { 0 } else { place };
        let last = if self.is_together() { self.kids.len() } else { place + 1 };
        let affected = &mut self.kids[first..last];
        for kid in affected.iter_mut() {
            (kid.is_waiting, kid.is_uncounted) = (kid.spec.name == child, false);
        }
        let running = affected.iter().rev().filter(|kid| kid.run.is_some());
        self.plan = running.map(|kid| Planned::Stop(kid.spec.name.clone())).collect();
        if delay.is_zero() {
            let specs = affected.iter().map(|kid| &kid.spec);
            self.plan.extend(starts(
                specs.filter(|spec| spec.name == child || spec.restart != Restart::Temporary),
            ));
        }
        Ok(())
    }

    /// Whether its strategy restarts several at once.
    fn is_together(&self) -> bool {
        matches!(self.spec.strategy, Strategy::OneForAll | Strategy::RestForOne)
    }

    fn stopping(&mut self, now_ns: u64, child: &str, run: u64, shutdown: Shutdown) -> Verdict {
        match self.plan.pop_front() {
            Some(Planned::Stop(planned)) if planned != child => {
                return broken(format!("{planned} is its turn"));
            }
            Some(Planned::Start(planned)) => return broken(format!("{planned} is to start first")),
            Some(Planned::Stop(_)) | None => {}
        }
        let is_in_order = matches!(self.ending, Some(reason) if reason != ExitReason::Killed)
            && self.spec.strategy != Strategy::Dynamic;
        if is_in_order && !self.is_last_running(child) {
            return broken("others that started later still run".into());
        }
        let kid = self.with_run(child, run)?;
        kid.stopping = Some((now_ns, shutdown));
        Ok(())
    }

    /// Whether nobody behind it has a run that was not told to stop.
    fn is_last_running(&self, child: &str) -> bool {
        let last = self.kids.iter().rev().find(|kid| kid.run.is_some());
        last.is_some_and(|kid| kid.spec.name == child)
    }

    /// It was stopped: a restart that it may have waited for is off.
    fn leave(&mut self, child: &str) {
        if let Some(kid) = self.find(child) {
            kid.is_waiting = false;
        }
    }

    fn ended(&self, exit: &Exit) -> Verdict {
        if let Some(kid) = self.kids.iter().find(|kid| kid.run.is_some() || kid.working.is_some()) {
            return broken(format!("{} outlives it", kid.spec.name));
        }
        match self.ending {
            // Killed while it was ending.
            Some(reason) if exit.reason != reason && exit.reason != ExitReason::Killed => {
                broken(format!("it was to end by {reason}"))
            }
            None => broken("nothing has ended it".into()),
            _ => Ok(()),
        }
    }
}

/// The starts of these, in order.
fn starts<'s>(specs: impl IntoIterator<Item = &'s ChildSpec>) -> VecDeque<Planned> {
    specs.into_iter().map(|spec| Planned::Start(spec.name.clone())).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
