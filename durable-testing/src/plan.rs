//! Fault plans: what goes wrong in a world and when, drawn up front as a list, so that it can be
//! printed, stored, replayed after the code has changed, and made smaller.
//!
//! It knows what can go wrong, not how it is done: the world carries a plan out.

mod draw;
mod faults;
pub(crate) mod shrink;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

pub(crate) use self::draw::Horizon;
pub use self::faults::{Faults, Hazard};
pub use self::text::InvalidPlan;

use crate::disk::{Crash, FaultKind};

/// The moment at which a node starts, among the places that it passes.
pub(crate) const STARTS: &str = "node.starts";

/// A list of faults.
///
/// As text it is one word that a shell leaves alone, and `-` if it is empty:
/// `op212=power_torn,step431=process,gate.commit.stored#3=power_drop_all,t12500us=clock+5000ms`.
/// That word parses into an equal plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The faults. Their order means nothing, except that of several at one moment the first comes
    /// first.
    pub faults: Vec<PlannedFault>,
}

/// One fault of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// When it happens. A moment that never comes is no error: the fault does not happen.
    pub when: When,
    /// What happens.
    pub what: What,
}

/// When a fault happens, counted from the moment in which faults were switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// In that step of the scheduler, from 1. Text: `step431`.
    Step(u64),
    /// In that operation of the disk, from 1; a disk fault strikes the next operation from there on
    /// that it can strike. Text: `op212`.
    Op(u64),
    /// When a gate of the runtime is passed. Text: `gate.commit.stored#3`, where `%` and two
    /// hexadecimal digits stand for a byte that is no letter, digit or one of `._-/`.
    Gate {
        /// The gate's name.
        name: String,
        /// The how-manieth time, from 1.
        nth: u64,
    },
    /// At that virtual time, in microseconds. Text: `t12500us`.
    At(u64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The process ends or the power is cut, and the runtime is started again on what is left of
    /// the disk. Text: `process`, `power_drop_all`, `power_torn`.
    Crash(Crash),
    /// Operations of the disk fail or take longer. Text: the fault's name, `sync_error`, with its
    /// delay if it has one, `slow_sync:20ms`, and `:x3` behind it if it strikes more than once.
    Disk {
        /// How.
        kind: FaultKind,
        /// How many operations in a row; of the syncs of directories, which one.
        times: u64,
    },
    /// The wall clock is set forward or, if it is negative, back. Text: `clock+5000ms`.
    ClockJump {
        /// By how many milliseconds.
        ms: i64,
    },
    /// Every object that is in memory and idle is evicted. Text: `evict_all`.
    EvictAll,
    /// The runtime is shut down properly and started again. Text: `restart`.
    Restart,
    /// The connection of a socket breaks: either end sees it. Text: `net_cut`.
    NetCut,
    /// Nothing comes through the connection of a socket any more, and neither end is told. Text: `net_silent`.
    NetSilent,
    /// Storage lanes take that much longer for their next piece of work. Text: `lane_slow:20ms`.
    LaneSlow {
        /// How many milliseconds longer.
        ms: u64,
    },
}

impl Plan {
    /// A plan in which nothing goes wrong.
    pub fn none() -> Plan {
        Plan::default()
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

impl PlannedFault {
    /// A fault.
    pub fn new(when: When, what: What) -> PlannedFault {
        PlannedFault { when, what }
    }
}

impl What {
    /// A disk fault that strikes once.
    pub fn disk(kind: FaultKind) -> What {
        What::Disk { kind, times: 1 }
    }

    /// How long a sync takes longer in it. `None`: it is no slow sync.
    fn sync_delay(&self) -> Option<Duration> {
        match self {
            What::Disk { kind: FaultKind::SlowSync(delay), .. } => Some(*delay),
            _ => None,
        }
    }
}
