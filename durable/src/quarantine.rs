//! An object that is kept from running, as plain data.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::id::ObjectId;
use crate::limits;
use crate::time::WallMs;

/// An object that is kept from running, because it cannot start or keeps crashing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// Its id.
    pub id: ObjectId,
    /// Its class.
    pub class: String,
    /// `None`: only its id is known.
    pub name: Option<String>,
    /// What it failed with last, in words for people; or that the row which says it cannot be read. Then its calls fail with
    /// `storage.corrupt` until somebody releases it.
    pub reason: String,
    /// Since when it has not run, but for calls that were let through to see whether it can. 0 if that cannot be read.
    pub since: WallMs,
    /// From when on one call is let through. The last time there is if that cannot be read.
    pub retry_at: WallMs,
    /// How often it was let run again in vain.
    pub failed_trials: u32,
}

/// How many crashes are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrashBudget {
    /// So many are not.
    pub(crate) crashes: u32,
    pub(crate) period: Duration,
}

impl Default for CrashBudget {
    fn default() -> Self {
        CrashBudget { crashes: limits::CRASHES_MAX, period: limits::CRASH_PERIOD }
    }
}

/// When a class counts as failed: if more than a share of its objects in use, and at least so many, fail within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BreakerRule {
    pub(crate) share_percent: u32,
    pub(crate) objects_min: usize,
    pub(crate) window: Duration,
}

/// Why an object does not run, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// What it failed with last.
    pub(crate) reason: String,
    pub(crate) since: WallMs,
    /// From when on one call is let through.
    pub(crate) retry_at: WallMs,
    /// How long that was to wait.
    pub(crate) delay: Duration,
    /// How often a call was let through in vain.
    pub(crate) failed_trials: u32,
}

impl Sentence {
    /// How long it still stands.
    pub(crate) fn left(&self, wall: WallMs) -> Duration {
        Duration::from_millis(self.retry_at.0.saturating_sub(wall.0)).min(self.delay)
    }

    /// What callers of the object are told.
    pub(crate) fn error(&self, label: &str, wall: WallMs) -> Error {
        let left = self.left(wall);
        let text = format!(
            "{label} is quarantined since {}: {}; a call is let through in {left:?}, mend the cause or release it",
            self.since, self.reason
        );
        Code::ObjectQuarantined.error(text).with_object(label).with_retry_after(left)
    }
}
