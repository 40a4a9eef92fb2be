//! Points in time: wall clock for people and storage, monotonic for measuring.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A wall-clock time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMs(pub u64);

impl fmt::Display for WallMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A point on the host's monotonic clock: nanoseconds since the host started. Never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoNs(pub u64);

impl Add<Duration> for MonoNs {
    type Output = MonoNs;

    /// Saturates: a deadline past the end of the clock never comes.
    fn add(self, duration: Duration) -> MonoNs {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        MonoNs(self.0.saturating_add(nanos))
    }
}

impl Sub for MonoNs {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, earlier: MonoNs) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
