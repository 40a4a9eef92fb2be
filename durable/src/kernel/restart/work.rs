//! Starting and stopping children, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use super::{
    Asker, ChildKey, ChildState, Decision, Effect, Exit, ExitReason, Incarnation, Machine, Phase,
    Shutdown, Strategy, Timer, Waiting,
};
use crate::error::Code;

/// What is being done.
#[derive(Debug)]
pub(super) enum Work {
    Idle,
    /// A child is starting; then these.
    Start {
        rest: VecDeque<ChildKey>,
        why: Why,
    },
    /// `awaited` children are to end; then these are stopped.
    Stop {
        rest: VecDeque<ChildKey>,
        awaited: usize,
        then: Then,
    },
}

/// Why children are started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Init,
    Restart,
    /// `is_new`: the child was brought by the one who asks.
    Asked {
        asker: Asker,
        is_new: bool,
    },
}

/// What is done when children have been stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// Start this one, after a wait, with those that the strategy adds.
    Restart(ChildKey, Duration),
    Answer(Asker),
    End,
}

impl Work {
    /// Who waits for it.
    pub(super) fn asker(&self) -> Option<Asker> {
        match self {
            Work::Start { why: Why::Asked { asker, .. }, .. }
            | Work::Stop { then: Then::Answer(asker), .. } => Some(*asker),
            _ => None,
        }
    }
}

impl Machine {
    /// Starts children, each when the one before has started.
    pub(super) fn start_all(&mut self, rest: VecDeque<ChildKey>, why: Why) {
        self.work = Work::Start { rest, why };
        self.start_next();
    }

    fn start_next(&mut self) {
        let Work::Start { rest, why } = &mut self.work else {
            unreachable!("children are being started")
        };
        let why = *why;
        if let Some(key) = rest.pop_front() {
            self.start(key);
            return;
        }
        self.work = Work::Idle;
        match why {
            Why::Init => {
                self.phase = Phase::Up;
                self.tell(Decision::Up);
                self.out.push(Effect::Up);
            }
            Why::Restart | Why::Asked { .. } => {}
        }
    }

    fn start(&mut self, child: ChildKey) {
        assert!(self.child(child).state.incarnation().is_none(), "a child runs once at a time");
        let incarnation = Incarnation(self.number());
        self.child_mut(child).on_start(incarnation);
        self.running.insert(incarnation, child);
        let name = self.name(child);
        self.tell(Decision::ChildStarting { child: name, incarnation: incarnation.0 });
        self.out.push(Effect::Start { child, incarnation });
    }

    pub(super) fn on_started(&mut self, incarnation: Incarnation) {
        // It may have ended, or been told to, before this was heard.
        let Some(key) = self.running.get(&incarnation).copied() else { return };
        if self.child(key).state != ChildState::Starting(incarnation) {
            return;
        }
        let now = self.given.now;
        self.child_mut(key).on_started(incarnation, now);
        let name = self.name(key);
        self.tell(Decision::ChildStarted { child: name.clone(), incarnation: incarnation.0 });
        // The order to end may have come meanwhile; then it is stopped when it is its turn.
        if let Work::Start { .. } = self.work {
            if let Some(asker) = self.work.asker() {
                self.out.push(Effect::Answer(asker, Ok(name)));
            }
            self.start_next();
        }
    }

    /// A child that was starting has ended instead.
    pub(super) fn on_unstartable(&mut self, key: ChildKey, incarnation: Incarnation, exit: Exit) {
        let Work::Start { why, .. } = self.work else {
            unreachable!("a child that starts is being started")
        };
        self.work = Work::Idle;
        let name = self.name(key);
        let why_not = describe(&exit);
        self.child_mut(key).last_exit = Some(exit.clone());
        let incarnation = incarnation.0;
        self.tell(Decision::ChildUnstartable { child: name.clone(), incarnation, exit });
        match why {
            Why::Init => {
                self.lay_down(key);
                let text = format!("child `{name}` does not start: {why_not}");
                self.end(Exit::new(ExitReason::Error, text), false);
            }
            Why::Restart => {
                let delay = self.delay(key);
                let token = self.wait_for_restart(key, false);
                self.retry_after(key, token, delay);
            }
            Why::Asked { asker, is_new } => {
                self.child_mut(key).state = ChildState::Stopped;
                if is_new {
                    self.forget(key);
                }
                let error = Code::ChildUnstartable.error(format!(
                    "child `{name}` of supervisor {} does not start: {why_not}; mend it and start it again",
                    self.path
                ));
                self.out.push(Effect::Answer(asker, Err(error)));
            }
        }
    }

    fn retry_after(&mut self, child: ChildKey, token: u64, delay: Duration) {
        if delay.is_zero() {
            self.waiting.push_back(Waiting::Retry(child, token));
        } else {
            let (at, timer) = (self.given.now + delay, Timer::Retry { child, token });
            self.out.push(Effect::Timer { at, timer });
        }
    }

    /// Stops children, each when the one before has ended.
    pub(super) fn stop_all(&mut self, rest: VecDeque<ChildKey>, then: Then) {
        self.work = Work::Stop { rest, awaited: 0, then };
        self.stop_next();
    }

    pub(super) fn stop_next(&mut self) {
        let is_killing = matches!(self.phase, Phase::Ending { is_kill: true, .. });
        let is_together = is_killing || self.strategy == Strategy::Dynamic;
        loop {
            let Work::Stop { rest, awaited, then } = &mut self.work else {
                unreachable!("children are being stopped")
            };
            if *awaited > 0 && (!is_together || rest.is_empty()) {
                return;
            }
            let Some(key) = rest.pop_front() else {
                let then = *then;
                self.work = Work::Idle;
                return self.all_stopped(then);
            };
            if self.stop(key) {
                let Work::Stop { awaited, .. } = &mut self.work else {
                    unreachable!("children are being stopped")
                };
                *awaited += 1;
            }
        }
    }

    /// Tells a child to end. Gives whether it has to be waited for.
    fn stop(&mut self, key: ChildKey) -> bool {
        let child = self.child(key);
        let (name, shutdown) = (child.spec.name.clone(), child.spec.shutdown);
        let incarnation = match child.state.clone() {
            ChildState::Starting(incarnation) | ChildState::Running(incarnation) => incarnation,
            ChildState::Gone(incarnation, exit) => {
                self.note_stopped(key, incarnation, exit);
                return false;
            }
            ChildState::Stopped | ChildState::Restarting { .. } => {
                self.lay_down(key);
                return false;
            }
            ChildState::Stopping { .. } => unreachable!("a child is stopped once"),
        };
        let is_killing = matches!(self.phase, Phase::Ending { is_kill: true, .. });
        let shutdown = if is_killing { Shutdown::Kill } else { shutdown };
        self.child_mut(key).state = ChildState::Stopping { incarnation, is_killed: false };
        self.tell(Decision::ChildStopping { child: name, incarnation: incarnation.0, shutdown });
        match shutdown {
            Shutdown::Kill => self.kill(key),
            Shutdown::Time(time) => {
                self.out.push(Effect::Stop { child: key, incarnation });
                let (at, timer) = (self.given.now + time, Timer::Kill(incarnation));
                self.out.push(Effect::Timer { at, timer });
            }
            Shutdown::Infinity => self.out.push(Effect::Stop { child: key, incarnation }),
        }
        true
    }

    /// Kills a child that is stopping, if it has not been killed.
    pub(super) fn kill(&mut self, key: ChildKey) {
        let name = self.name(key);
        let ChildState::Stopping { incarnation, is_killed: is_killed @ false } =
            &mut self.child_mut(key).state
        else {
            return;
        };
        *is_killed = true;
        let incarnation = *incarnation;
        self.tell(Decision::ChildKilled { child: name, incarnation: incarnation.0 });
        self.out.push(Effect::Kill { child: key, incarnation });
    }

    /// A child has had its time to stop.
    pub(super) fn on_time_over(&mut self, incarnation: Incarnation) {
        // It is not known any more if it has ended in time.
        if let Some(key) = self.running.get(&incarnation).copied() {
            self.kill(key);
        }
    }

    /// A child that was told to end has.
    pub(super) fn on_stopped(&mut self, key: ChildKey, incarnation: Incarnation, exit: Exit) {
        self.note_stopped(key, incarnation, exit);
        let Work::Stop { awaited, .. } = &mut self.work else {
            unreachable!("a child that stops is being stopped")
        };
        *awaited -= 1;
        self.stop_next();
    }

    fn note_stopped(&mut self, key: ChildKey, incarnation: Incarnation, exit: Exit) {
        self.child_mut(key).last_exit = Some(exit.clone());
        let (child, incarnation) = (self.name(key), incarnation.0);
        self.tell(Decision::ChildStopped { child, incarnation, exit });
        self.lay_down(key);
    }

    fn all_stopped(&mut self, then: Then) {
        match then {
            Then::Restart(key, delay) if delay.is_zero() => {
                self.child_mut(key).state = ChildState::Stopped;
                let together: VecDeque<_> = match self.strategy {
                    Strategy::OneForOne | Strategy::Dynamic => VecDeque::from([key]),
                    Strategy::RestForOne => {
                        self.children.range(key..).map(|(key, _)| *key).collect()
                    }
                    Strategy::OneForAll => self.children.keys().copied().collect(),
                };
                self.start_all(together, Why::Restart);
            }
            Then::Restart(key, delay) => {
                let token = self.wait_for_restart(key, true);
                self.retry_after(key, token, delay);
            }
            Then::Answer(asker) => self.out.push(Effect::Answer(asker, Ok(String::new()))),
            Then::End => {
                let phase = std::mem::replace(&mut self.phase, Phase::Ended);
                let Phase::Ending { exit, .. } = phase else {
                    unreachable!("a supervisor that stops all of its children is ending")
                };
                assert!(self.running.is_empty(), "no child outlives its supervisor");
                self.tell(Decision::Ended { exit: exit.clone() });
                self.out.push(Effect::End(exit));
            }
        }
    }
}

/// An exit, for people.
fn describe(exit: &Exit) -> String {
    if exit.text.is_empty() { exit.reason.to_string() } else { exit.text.clone() }
}
