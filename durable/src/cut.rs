//! What was cut off because its time was over, as plain data.

use std::fmt;

use crate::id::ObjectId;

/// Something that had not ended when the time of a shutdown was over, or its own, and was cut off. Comes from
/// [`Error::cut`](crate::Error::cut) of `shutdown.cut` and `call.overlong`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CutOff {
    /// A turn; what it had changed is undone.
    Turn {
        /// Its class.
        class: &'static str,
        /// Its object's id.
        id: ObjectId,
        /// Its object, as errors call it: `bank.Account(ada)`.
        object: String,
        /// The method, by its name on wires; `#[alarm]` stands for the handler of its alarm.
        method: &'static str,
        /// The schedule whose run it was. `None`: it was called, or its alarm.
        schedule: Option<String>,
    },
    /// Work that a turn had [spawned](crate::Context::spawn).
    Work {
        /// Its class.
        class: &'static str,
        /// Its object's id.
        id: ObjectId,
        /// Its object, as errors call it.
        object: String,
        /// The method that had spawned it, by its name on wires.
        method: &'static str,
    },
    /// An activation between two turns: one that did not come up, or whose last commits the disk had not taken.
    Activation {
        /// Its class.
        class: &'static str,
        /// Its object's id.
        id: ObjectId,
        /// Its object, as errors call it.
        object: String,
        /// It had served calls.
        has_served: bool,
    },
    /// A task of the tree.
    Task {
        /// It, from the top of the tree: `bank/feeds/rates`.
        path: String,
        /// Its run.
        incarnation: u64,
        /// It was asked to end before, and did not. Otherwise something that ends before it had not ended.
        was_asked: bool,
    },
    /// The tree of supervisors itself, none of whose tasks is known to run.
    Tree,
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CutOff::Turn { object, method, schedule: Some(schedule), .. } => {
                write!(f, "{object}.{method} (schedule `{}`)", schedule.escape_debug())
            }
            CutOff::Turn { object, method, .. } => write!(f, "{object}.{method}"),
            CutOff::Work { object, method, .. } => write!(f, "{object}.{method}'s work"),
            CutOff::Activation { object, has_served: true, .. } => {
                write!(f, "{object}.its commits")
            }
            CutOff::Activation { object, .. } => write!(f, "{object}.its start"),
            CutOff::Task { path, was_asked: true, .. } => f.write_str(path),
            CutOff::Task { path, .. } => write!(f, "{path} (not asked yet)"),
            CutOff::Tree => f.write_str("the tree of supervisors"),
        }
    }
}
