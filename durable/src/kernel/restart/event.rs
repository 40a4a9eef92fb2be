//! What the machine hears, and what it says.

use std::time::Duration;

use super::spec::{ChildSpec, ExitReason, Shutdown};
use crate::error::Error;
use crate::id::ObjectId;
use crate::time::{MonoNs, WallMs};

/// A child of a supervisor, for as long as it has a spec. Never given twice; in the order in which children start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChildKey(pub(crate) u64);

/// One run of a child. Never given twice, so that whatever comes late is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Incarnation(pub(crate) u64);

/// Somebody who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Asker(pub(crate) u64);

/// How something has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// What it said, for people; empty if it said nothing.
    pub text: String,
}

impl Exit {
    pub(crate) fn new(reason: ExitReason, text: impl Into<String>) -> Self {
        Exit { reason, text: text.into() }
    }
}

impl From<ExitReason> for Exit {
    fn from(reason: ExitReason) -> Self {
        Exit::new(reason, "")
    }
}

/// What the machine may not get for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) now: MonoNs,
    /// Any number; another one each time.
    pub(crate) chance: u64,
}

/// What somebody asks a running supervisor for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// One more child.
    Start(ChildSpec),
    /// Stop the child of that name. Its spec stays, unless it is temporary or dynamic.
    Terminate(String),
    /// Start a child that was stopped, or that has ended.
    Restart(String),
    /// Forget a child that does not run.
    Delete(String),
}

/// A time that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A child has had its time to stop.
    Kill(Incarnation),
    /// A restart has waited. `token`: of this wait, not of one before it.
    Retry { child: ChildKey, token: u64 },
}

/// What the machine hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// Start all children. The first event, and only once.
    Start,
    /// A child has started.
    Started(Incarnation),
    /// A child has ended, with everything that it held; one that was starting has failed to.
    Exited(Incarnation, Exit),
    /// A time has come.
    Timer(Timer),
    /// Somebody wants something, and is owed one answer.
    Ask(Asker, Request),
    /// Stop all children, and end.
    Stop,
    /// Kill all children, and end.
    Kill,
}

/// What is to be done, in the order in which it is said.
#[derive(Debug)]
pub(crate) enum Effect {
    /// There is a child more, which `asker` has brought.
    Add { child: ChildKey, asker: Asker },
    /// A child is forgotten.
    Remove(ChildKey),
    /// Start a child; tell when it has started, or ended.
    Start { child: ChildKey, incarnation: Incarnation },
    /// Ask a child to end; tell when it has.
    Stop { child: ChildKey, incarnation: Incarnation },
    /// End a child at once; tell when it has ended.
    Kill { child: ChildKey, incarnation: Incarnation },
    /// Tell when the time has come.
    Timer { at: MonoNs, timer: Timer },
    /// Answer. A child that was started is named.
    Answer(Asker, Result<String, Error>),
    /// Tell whoever wants to know.
    Tell(Decision),
    /// All children have started.
    Up,
    /// Nothing runs any more. The last effect.
    End(Exit),
}

/// What a supervisor has decided, or has seen. Children are named as their supervisor names them, with the number of the
/// run that it is about, which is never given twice by one supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// All children have started.
    Up,
    /// A child was added at run time.
    ChildAdded {
        /// Its name.
        child: String,
        /// What it is.
        spec: Box<ChildSpec>,
    },
    /// A child was forgotten.
    ChildRemoved {
        /// Its name.
        child: String,
    },
    /// A child is being started.
    ChildStarting {
        /// Its name.
        child: String,
        /// The run that begins.
        incarnation: u64,
    },
    /// A child has started.
    ChildStarted {
        /// Its name.
        child: String,
        /// The run.
        incarnation: u64,
    },
    /// A child did not start.
    ChildUnstartable {
        /// Its name.
        child: String,
        /// The run that did not begin.
        incarnation: u64,
        /// Why.
        exit: Exit,
    },
    /// A child has ended by itself.
    ChildExited {
        /// Its name.
        child: String,
        /// The run that ended.
        incarnation: u64,
        /// How.
        exit: Exit,
    },
    /// A restart is counted and is made, with those that the strategy adds.
    Restarting {
        /// Whom it is about.
        child: String,
        /// How long it waits.
        delay: Duration,
        /// Restarts within the period, this one included.
        restarts: u32,
    },
    /// A child is asked to end.
    ChildStopping {
        /// Its name.
        child: String,
        /// The run.
        incarnation: u64,
        /// How much time it has.
        shutdown: Shutdown,
    },
    /// A child that had its time is killed.
    ChildKilled {
        /// Its name.
        child: String,
        /// The run.
        incarnation: u64,
    },
    /// A child that was to stop has.
    ChildStopped {
        /// Its name.
        child: String,
        /// The run that ended.
        incarnation: u64,
        /// How.
        exit: Exit,
    },
    /// A significant child has ended, so the supervisor does.
    AutoShutdown {
        /// Its name.
        child: String,
    },
    /// There were too many restarts, so the supervisor gives up.
    Meltdown {
        /// Whose restart was one too many.
        child: String,
        /// Restarts within the period, that one included.
        restarts: u32,
        /// How many it may make.
        intensity: u32,
        /// In which time.
        period: Duration,
    },
    /// The supervisor is to end: all of its children are stopped, or killed.
    Ending {
        /// Why.
        reason: ExitReason,
    },
    /// The supervisor has ended; none of its children runs.
    Ended {
        /// How.
        exit: Exit,
    },
    /// An object is quarantined, or is again because the call that was let through has failed.
    Quarantined {
        /// The object, as errors call it.
        object: String,
        /// Its id.
        id: ObjectId,
        /// The activation that was one too many.
        incarnation: u64,
        /// What it failed with.
        reason: String,
        /// How many calls have been let through in vain.
        failed_trials: u32,
        /// When one is let through.
        retry_at: WallMs,
    },
    /// A call to an object that is quarantined is let through.
    TrialStarted {
        /// The object.
        object: String,
        /// Its id.
        id: ObjectId,
        /// The activation that is to serve it.
        incarnation: u64,
    },
    /// The call that was let through went well: the object is out of quarantine.
    TrialPassed {
        /// The object.
        object: String,
        /// Its id.
        id: ObjectId,
        /// The activation that has served it.
        incarnation: u64,
    },
    /// Somebody has let an object out of quarantine, or has taken away what it failed with.
    Released {
        /// The object.
        object: String,
        /// Its id.
        id: ObjectId,
    },
    /// So many objects of a class have failed that the class has.
    ClassFailing {
        /// Objects that have failed within the breaker's time.
        failing: usize,
        /// Of how many.
        of: usize,
        /// What the last one failed with.
        reason: String,
    },
    /// A class that has failed, and that no supervisor restarts, takes no calls for a while.
    ClassCooling {
        /// How long.
        delay: Duration,
    },
    /// The while is over, and a call has come: the class takes calls.
    ClassReopened,
}
