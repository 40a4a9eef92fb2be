//! One child of a supervisor.

use std::time::Duration;

use super::event::{Exit, Incarnation};
use super::spec::ChildSpec;
use crate::time::MonoNs;

/// A child, as its supervisor knows it.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) spec: ChildSpec,
    pub(crate) state: ChildState,
    /// How often it was started after the first time.
    pub(crate) restarts: u64,
    /// How its last run ended. `None`: none has.
    pub(crate) last_exit: Option<Exit>,
    /// Whether it was started before.
    was_started: bool,
    /// Restarts that came one soon after the other, which the wait grows with.
    streak: u32,
    /// When its last run had started.
    since: MonoNs,
}

/// Where a child is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// It does not run, and nobody means to start it.
    Stopped,
    Starting(Incarnation),
    Running(Incarnation),
    /// It was asked to end, or killed.
    Stopping {
        incarnation: Incarnation,
        is_killed: bool,
    },
    /// It has ended by itself, and what becomes of it is not decided.
    Gone(Incarnation, Exit),
    /// It waits to be started again. `token`: of this wait; `is_counted`: the budget knows of it.
    Restarting {
        token: u64,
        is_counted: bool,
    },
}

impl ChildState {
    /// The run that has not been seen to end. `None`: there is none.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        match self {
            ChildState::Starting(incarnation)
            | ChildState::Running(incarnation)
            | ChildState::Stopping { incarnation, .. } => Some(*incarnation),
            ChildState::Stopped | ChildState::Gone(..) | ChildState::Restarting { .. } => None,
        }
    }
}

impl Child {
    pub(crate) fn new(spec: ChildSpec) -> Self {
        Child {
            spec,
            state: ChildState::Stopped,
            restarts: 0,
            last_exit: None,
            was_started: false,
            streak: 0,
            since: MonoNs(0),
        }
    }

    pub(crate) fn on_start(&mut self, incarnation: Incarnation) {
        self.state = ChildState::Starting(incarnation);
        self.restarts += u64::from(self.was_started);
        self.was_started = true;
    }

    pub(crate) fn on_started(&mut self, incarnation: Incarnation, now: MonoNs) {
        self.state = ChildState::Running(incarnation);
        self.since = now;
    }

    /// A run has ended by itself.
    pub(crate) fn on_end(&mut self, now: MonoNs, exit: Exit) {
        self.last_exit = Some(exit);
        let reset_after = self.spec.backoff.map(|backoff| backoff.reset_after);
        if reset_after.is_some_and(|time| now - self.since >= time) {
            self.streak = 0;
        }
    }

    /// How long its next restart waits.
    pub(crate) fn next_delay(&mut self, chance: u64) -> Duration {
        let Some(backoff) = &self.spec.backoff else { return Duration::ZERO };
        let delay = backoff.delay(self.streak, chance);
        self.streak = self.streak.saturating_add(1);
        delay
    }
}
