//! What supervisors decide, for whoever listens.

use std::fmt;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::kernel::restart::{Decision, Exit};

/// One decision of one supervisor. A class group is the supervisor of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisionEvent {
    /// The supervisor, from the top of the tree: `bank/feeds`. Of what befalls objects of a class, the class group:
    /// `bank/feeds/bank.Account`, or `bank.Account` if no tree has it. Of what befalls an object's children, that object:
    /// `game.Room(hall)`.
    pub supervisor: Arc<str>,
    /// What it has decided, or seen.
    pub decision: Decision,
}

impl fmt::Display for SupervisionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SupervisionEvent { supervisor, decision } = self;
        write!(f, "{supervisor}: {decision}")
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => write!(f, "{}", self.reason),
            text => write!(f, "{} ({text})", self.reason),
        }
    }
}

impl Decision {
    /// What kind of decision it is, for logs and counters. Stable, and listed in the [guide](crate::guide::supervision).
    pub const fn name(&self) -> &'static str {
        match self {
            Decision::Up => "supervisor.up",
            Decision::ChildAdded { .. } => "child.added",
            Decision::ChildRemoved { .. } => "child.removed",
            Decision::ChildStarting { .. } => "child.starting",
            Decision::ChildStarted { .. } => "child.started",
            Decision::ChildUnstartable { .. } => "child.unstartable",
            Decision::ChildExited { .. } => "child.exited",
            Decision::Restarting { .. } => "child.restarting",
            Decision::ChildStopping { .. } => "child.stopping",
            Decision::ChildKilled { .. } => "child.killed",
            Decision::ChildStopped { .. } => "child.stopped",
            Decision::AutoShutdown { .. } => "supervisor.auto_shutdown",
            Decision::Meltdown { .. } => "supervisor.meltdown",
            Decision::Ending { .. } => "supervisor.ending",
            Decision::Ended { .. } => "supervisor.ended",
            Decision::Quarantined { .. } => "object.quarantined",
            Decision::TrialStarted { .. } => "object.trial_started",
            Decision::TrialPassed { .. } => "object.trial_passed",
            Decision::Released { .. } => "object.released",
            Decision::ClassFailing { .. } => "class.failing",
            Decision::ClassCooling { .. } => "class.cooling",
            Decision::ClassReopened => "class.reopened",
        }
    }

    /// Whether people are to look.
    pub(super) fn level(&self) -> tracing::Level {
        match self {
            Decision::Meltdown { .. }
            | Decision::Quarantined { .. }
            | Decision::ClassFailing { .. } => tracing::Level::ERROR,
            Decision::ChildUnstartable { .. }
            | Decision::ChildKilled { .. }
            | Decision::ClassCooling { .. } => tracing::Level::WARN,
            Decision::ChildExited { exit, .. } if exit.reason.is_abnormal() => tracing::Level::WARN,
            Decision::TrialPassed { .. } | Decision::Released { .. } | Decision::ClassReopened => {
                tracing::Level::INFO
            }
            _ => tracing::Level::DEBUG,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Up => f.write_str("up"),
            Decision::ChildAdded { child, .. } => write!(f, "{child} added"),
            Decision::ChildRemoved { child } => write!(f, "{child} removed"),
            Decision::ChildStarting { child, incarnation } => {
                write!(f, "{child} starts, run {incarnation}")
            }
            Decision::ChildStarted { child, incarnation } => {
                write!(f, "{child} has started, run {incarnation}")
            }
            Decision::ChildUnstartable { child, incarnation, exit } => {
                write!(f, "{child} does not start, run {incarnation}: {exit}")
            }
            Decision::ChildExited { child, incarnation, exit } => {
                write!(f, "{child} has ended, run {incarnation}: {exit}")
            }
            Decision::Restarting { child, delay, restarts } => {
                write!(f, "{child} is restarted in {delay:?}, restart {restarts} of the period")
            }
            Decision::ChildStopping { child, incarnation, shutdown } => {
                write!(f, "{child} is to stop, run {incarnation}, {shutdown:?}")
            }
            Decision::ChildKilled { child, incarnation } => {
                write!(f, "{child} is killed, run {incarnation}")
            }
            Decision::ChildStopped { child, incarnation, exit } => {
                write!(f, "{child} has stopped, run {incarnation}: {exit}")
            }
            Decision::AutoShutdown { child } => write!(f, "ends because {child} has"),
            Decision::Meltdown { child, restarts, intensity, period } => write!(
                f,
                "gives up: {restarts} restarts within {period:?}, the limit is {intensity}, the last one of {child}"
            ),
            Decision::Ending { reason } => write!(f, "is to end: {reason}"),
            Decision::Ended { exit } => write!(f, "ended: {exit}"),
            Decision::Quarantined {
                object, incarnation, reason, failed_trials, retry_at, ..
            } => {
                write!(
                    f,
                    "{object} is quarantined after run {incarnation} and {failed_trials} failed trials, \
                     until {} ms since 1970: {reason}",
                    retry_at.0
                )
            }
            Decision::TrialStarted { object, incarnation, .. } => {
                write!(f, "{object} is tried with one call, run {incarnation}")
            }
            Decision::TrialPassed { object, incarnation, .. } => {
                write!(f, "{object} is out of quarantine, run {incarnation}")
            }
            Decision::Released { object, .. } => write!(f, "{object} is released from quarantine"),
            Decision::ClassFailing { failing, of, reason } => {
                write!(f, "fails: {failing} of {of} objects have, the last one with: {reason}")
            }
            Decision::ClassCooling { delay } => write!(f, "takes no calls for {delay:?}"),
            Decision::ClassReopened => f.write_str("takes calls again"),
        }
    }
}

/// The decisions of a runtime's supervisors from the subscription on, in order. Made by
/// [`Runtime::supervision_events`](crate::Runtime::supervision_events).
#[derive(Debug)]
pub struct SupervisionEvents {
    pub(super) receiver: broadcast::Receiver<SupervisionEvent>,
    pub(super) missed: u64,
}

impl SupervisionEvents {
    /// The next decision; `None` when there will be none any more.
    ///
    /// Whoever is more than [`SUPERVISION_EVENTS_MAX`](crate::limits::SUPERVISION_EVENTS_MAX) behind goes on with the oldest
    /// that is kept; [`missed`](Self::missed) says how many that cost.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<SupervisionEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => self.missed += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next decision if there is one already.
    pub fn try_next(&mut self) -> Option<SupervisionEvent> {
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(count)) => self.missed += count,
                Err(_) => return None,
            }
        }
    }

    /// How many decisions were dropped because nobody took them in time.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
