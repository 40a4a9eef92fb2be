//! What a world that was run says of itself, as it comes out of its process.

use serde::{Deserialize, Serialize};

/// One world, run to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    /// Of the trace.
    pub(crate) hash: u64,
    /// The faults that were carried out, as text.
    pub(crate) plan: String,
    /// What should happen in some world, and whether it did.
    pub(crate) sometimes: Vec<(String, bool)>,
    /// How often each point was passed.
    pub(crate) passes: Vec<(String, u64)>,
    /// Operations of the disk.
    pub(crate) ops: u64,
    /// Things that happened.
    pub(crate) steps: u64,
    /// The trace as text; empty unless it was asked for.
    pub(crate) trace: String,
    /// The world did not end, so that all of this but the verdict is empty.
    pub(crate) is_lost: bool,
}

/// How a world ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Passed,
    /// The test gave up because a fault reached it as an error; nothing that was checked is wrong.
    GaveUp(String),
    Failed {
        check: String,
        text: String,
    },
}

impl Report {
    /// Of a world that could not say anything.
    pub(crate) fn lost(check: &str, text: String) -> Self {
        Report {
            verdict: Verdict::Failed { check: check.to_owned(), text },
            hash: 0,
            plan: "-".to_owned(),
            sometimes: Vec::new(),
            passes: Vec::new(),
            ops: 0,
            steps: 0,
            trace: String::new(),
            is_lost: true,
        }
    }

    /// The check that failed. `None`: none did.
    pub(crate) fn failed(&self) -> Option<(&str, &str)> {
        match &self.verdict {
            Verdict::Failed { check, text } => Some((check, text)),
            Verdict::Passed | Verdict::GaveUp(_) => None,
        }
    }
}
