//! A supervisor's decisions: which children to start, stop and restart, in which order, and when to give up.
//!
//! One machine for each supervisor. It does one thing at a time: while children are started or stopped, one after the
//! other, whatever else comes waits for its turn, so that each decision sees the children as the one before left them.
//! Only the order to end does not wait. It does not know what a child is made of, nor what carries its effects out.
//!
//! # Source
//! OTP's `supervisor`. Ours waits for children to start without holding up the order to end, tells incarnations apart by
//! number, can let restarts wait, and exits with `Meltdown`, which is abnormal, when it gives up.

mod ask;
mod child;
mod event;
mod intensity;
mod spec;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) use self::child::{Child, ChildState};
pub(crate) use self::event::{Asker, ChildKey, Effect, Event, Given, Incarnation, Request, Timer};
pub use self::event::{Decision, Exit};
pub(crate) use self::intensity::Intensity;
pub use self::spec::{
    AutoShutdown, Backoff, ChildKind, ChildSpec, ExitReason, Restart, Shutdown, Strategy,
    SupervisorSpec,
};
use self::work::{Then, Why, Work};
use crate::error::Code;
use crate::time::MonoNs;

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What the supervisor is called from the top of the tree, for errors.
    path: String,
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    children_max: usize,
    /// In the order in which they start.
    children: BTreeMap<ChildKey, Child>,
    by_name: BTreeMap<String, ChildKey>,
    /// The children that have a run which has not been seen to end.
    running: BTreeMap<Incarnation, ChildKey>,
    restarts: Intensity,
    phase: Phase,
    work: Work,
    /// What came while there was work to do, in order.
    waiting: VecDeque<Waiting>,
    /// Children, runs and waits that there have been.
    numbers: u64,
    given: Given,
    out: Vec<Effect>,
}

/// Where a supervisor is in its life.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// Its children start for the first time; none of them may fail to.
    Starting,
    Up,
    /// Its children are being stopped, or killed; then it ends like this.
    Ending {
        exit: Exit,
        is_kill: bool,
    },
    Ended,
}

/// What waits for its turn.
#[derive(Debug)]
enum Waiting {
    /// A child has ended.
    Exit(ChildKey, Incarnation),
    /// A restart has waited long enough.
    Retry(ChildKey, u64),
    Ask(Asker, Request),
}

impl Machine {
    /// A supervisor that was checked. `path`: what it is called from the top of the tree.
    pub(crate) fn new(spec: &SupervisorSpec, path: &str) -> Self {
        let mut machine = Machine {
            path: path.to_owned(),
            strategy: spec.strategy,
            auto_shutdown: spec.auto_shutdown,
            children_max: spec.children_max,
            children: BTreeMap::new(),
            by_name: BTreeMap::new(),
            running: BTreeMap::new(),
            restarts: Intensity::new(spec.intensity, spec.period),
            phase: Phase::New,
            work: Work::Idle,
            waiting: VecDeque::new(),
            numbers: 0,
            given: Given { now: MonoNs(0), chance: 0 },
            out: Vec::new(),
        };
        for child in &spec.children {
            machine.add(child.clone());
        }
        machine
    }

    /// Its children, in the order in which they start.
    pub(crate) fn children(&self) -> impl Iterator<Item = (ChildKey, &Child)> {
        self.children.iter().map(|(key, child)| (*key, child))
    }

    /// What a child is that has not been forgotten.
    pub(crate) fn spec(&self, key: ChildKey) -> &ChildSpec {
        &self.child(key).spec
    }

    /// Where the supervisor is in its life.
    pub(crate) fn phase(&self) -> &'static str {
        match self.phase {
            Phase::New | Phase::Starting => "starting",
            Phase::Up => "up",
            Phase::Ending { .. } => "ending",
            Phase::Ended => "ended",
        }
    }

    /// Takes an event, and gives what is to be done about it, in order.
    pub(crate) fn on(&mut self, event: Event, given: Given) -> Vec<Effect> {
        self.given = given;
        match event {
            Event::Start => {
                assert!(self.phase == Phase::New, "a supervisor is started once");
                self.phase = Phase::Starting;
                let all = self.children.keys().copied().collect();
                self.start_all(all, Why::Init);
            }
            Event::Started(incarnation) => self.on_started(incarnation),
            Event::Exited(incarnation, exit) => self.on_exited(incarnation, exit),
            Event::Timer(Timer::Kill(incarnation)) => self.on_time_over(incarnation),
            Event::Timer(Timer::Retry { child, token }) => {
                self.waiting.push_back(Waiting::Retry(child, token));
            }
            Event::Ask(asker, _) if self.is_ending() => self.turn_away(asker),
            Event::Ask(asker, request) => self.waiting.push_back(Waiting::Ask(asker, request)),
            Event::Stop => self.end(ExitReason::Shutdown.into(), false),
            Event::Kill => self.end(ExitReason::Killed.into(), true),
        }
        while self.phase == Phase::Up && matches!(self.work, Work::Idle) {
            match self.waiting.pop_front() {
                Some(Waiting::Exit(child, incarnation)) => self.settle(child, incarnation),
                Some(Waiting::Retry(child, token)) => self.retry(child, token),
                Some(Waiting::Ask(asker, request)) => self.ask(asker, request),
                None => break,
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Whether nothing is being done, and nothing waits to be.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.work, Work::Idle) && self.waiting.is_empty()
    }

    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Ended)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn tell(&mut self, decision: Decision) {
        self.out.push(Effect::Tell(decision));
    }

    fn child(&self, key: ChildKey) -> &Child {
        self.children.get(&key).expect("a child is kept until it is forgotten")
    }

    fn child_mut(&mut self, key: ChildKey) -> &mut Child {
        self.children.get_mut(&key).expect("a child is kept until it is forgotten")
    }

    fn name(&self, key: ChildKey) -> String {
        self.child(key).spec.name.clone()
    }

    fn add(&mut self, spec: ChildSpec) -> ChildKey {
        let key = ChildKey(self.number());
        self.by_name.insert(spec.name.clone(), key);
        self.children.insert(key, Child::new(spec));
        key
    }

    fn forget(&mut self, key: ChildKey) {
        let child = self.children.remove(&key).expect("a child is forgotten once");
        assert!(child.state.incarnation().is_none(), "a child that runs is not forgotten");
        self.by_name.remove(&child.spec.name);
        self.out.push(Effect::Remove(key));
        self.tell(Decision::ChildRemoved { child: child.spec.name });
    }

    /// A child has no run any more and gets none: those that are never started again are forgotten.
    fn lay_down(&mut self, key: ChildKey) {
        self.child_mut(key).state = ChildState::Stopped;
        if self.child(key).spec.restart == Restart::Temporary || self.strategy == Strategy::Dynamic
        {
            self.forget(key);
        }
    }

    fn on_exited(&mut self, incarnation: Incarnation, exit: Exit) {
        // Whoever is not known has been seen to end.
        let Some(key) = self.running.remove(&incarnation) else { return };
        match self.child(key).state {
            ChildState::Starting(_) if matches!(self.work, Work::Start { .. }) => {
                self.on_unstartable(key, incarnation, exit);
            }
            ChildState::Stopping { .. } => self.on_stopped(key, incarnation, exit),
            // One that starts while all are stopped is looked after when it is its turn to be stopped.
            ChildState::Running(_) | ChildState::Starting(_) => {
                self.child_mut(key).state = ChildState::Gone(incarnation, exit);
                self.waiting.push_back(Waiting::Exit(key, incarnation));
            }
            ref other => unreachable!("a child whose run is known is {other:?}"),
        }
    }

    /// A child has ended by itself, and nothing else is being done.
    fn settle(&mut self, key: ChildKey, incarnation: Incarnation) {
        // It may have been stopped while this waited.
        let Some(Child { state: ChildState::Gone(gone, exit), .. }) = self.children.get(&key)
        else {
            return;
        };
        if *gone != incarnation {
            return;
        }
        let exit = exit.clone();
        let (now, child) = (self.given.now, self.child_mut(key));
        child.on_end(now, exit.clone());
        let (name, restart) = (child.spec.name.clone(), child.spec.restart);
        let is_restarted = match restart {
            Restart::Permanent => true,
            Restart::Transient => exit.reason.is_abnormal(),
            Restart::Temporary => false,
        };
        self.tell(Decision::ChildExited { child: name, incarnation: incarnation.0, exit });
        if is_restarted {
            let delay = self.delay(key);
            self.restart(key, delay);
        } else {
            self.leave(key);
        }
    }

    /// A child has ended for good.
    fn leave(&mut self, key: ChildKey) {
        let (name, is_significant) = (self.name(key), self.child(key).spec.significant);
        self.lay_down(key);
        let mut others = self.children.values();
        let is_over = is_significant
            && match self.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => !others
                    .any(|child| child.spec.significant && child.state != ChildState::Stopped),
            };
        if is_over {
            self.tell(Decision::AutoShutdown { child: name });
            self.end(ExitReason::Shutdown.into(), false);
        }
    }

    /// How long the next restart of a child waits.
    fn delay(&mut self, key: ChildKey) -> Duration {
        let chance = self.given.chance;
        self.child_mut(key).next_delay(chance)
    }

    /// Counts a restart, and makes it, or gives up.
    fn restart(&mut self, key: ChildKey, delay: Duration) {
        let (child, is_within) = (self.name(key), self.restarts.add(self.given.now));
        let restarts = self.restarts.count();
        if is_within {
            self.tell(Decision::Restarting { child, delay, restarts });
            self.stop_others(key, delay);
            return;
        }
        let (intensity, period) = self.restarts.bound();
        let text = format!("{restarts} restarts within {period:?}, the last one of `{child}`");
        self.child_mut(key).state = ChildState::Stopped;
        self.tell(Decision::Meltdown { child, restarts, intensity, period });
        self.end(Exit::new(ExitReason::Meltdown, text), false);
    }

    /// Stops whom the strategy restarts together with a child, which is then started with them.
    fn stop_others(&mut self, key: ChildKey, delay: Duration) {
        self.wait_for_restart(key, true);
        let others: VecDeque<_> = match self.strategy {
            Strategy::OneForOne | Strategy::Dynamic => VecDeque::new(),
            Strategy::RestForOne => self.children.range(key..).rev().map(|(key, _)| *key).collect(),
            Strategy::OneForAll => self.children.keys().rev().copied().collect(),
        };
        let others = others.into_iter().filter(|other| *other != key).collect();
        self.stop_all(others, Then::Restart(key, delay));
    }

    /// A child is to be restarted, later. Gives the number of the wait.
    fn wait_for_restart(&mut self, key: ChildKey, is_counted: bool) -> u64 {
        let token = self.number();
        self.child_mut(key).state = ChildState::Restarting { token, is_counted };
        token
    }

    /// A restart has waited.
    fn retry(&mut self, key: ChildKey, waited: u64) {
        match self.children.get(&key).map(|child| &child.state) {
            Some(ChildState::Restarting { token, is_counted }) if *token == waited => {
                if *is_counted {
                    self.stop_others(key, Duration::ZERO);
                } else {
                    self.restart(key, Duration::ZERO);
                }
            }
            // It was stopped, or started by somebody.
            _ => {}
        }
    }

    /// Stops, or kills, all children, and then ends like this. What was being done is left.
    fn end(&mut self, exit: Exit, is_kill: bool) {
        match &mut self.phase {
            Phase::Ended => return,
            Phase::Ending { is_kill: is_killing, .. } if *is_killing || !is_kill => return,
            phase => {
                let reason = exit.reason;
                *phase = Phase::Ending { exit, is_kill };
                self.tell(Decision::Ending { reason });
            }
        }
        for asker in self.work.asker().into_iter().chain(self.waiting_askers()) {
            self.turn_away(asker);
        }
        let stopping: Vec<_> = self
            .children
            .iter()
            .filter(|(_, child)| matches!(child.state, ChildState::Stopping { .. }))
            .map(|(key, _)| *key)
            .collect();
        if is_kill {
            stopping.iter().for_each(|key| self.kill(*key));
        }
        let rest = self.children.keys().rev().filter(|key| !stopping.contains(key)).copied();
        let rest = rest.collect();
        self.work = Work::Stop { rest, awaited: stopping.len(), then: Then::End };
        self.stop_next();
    }

    fn waiting_askers(&mut self) -> Vec<Asker> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let askers = waiting.filter_map(|waiting| match waiting {
            Waiting::Ask(asker, _) => Some(asker),
            Waiting::Exit(..) | Waiting::Retry(..) => None,
        });
        askers.collect()
    }

    fn turn_away(&mut self, asker: Asker) {
        let error = Code::SupervisorStopped.error(format!(
            "supervisor {} is ending and starts nothing; ask again when it runs",
            self.path
        ));
        self.out.push(Effect::Answer(asker, Err(error)));
    }
}

#[cfg(test)]
mod tests;
