//! Points in time: wall clock for people and storage, monotonic for measuring.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use postcard_schema::Schema;
use postcard_schema::schema::NamedType;
use serde::{Deserialize, Serialize};

use crate::state::DurableState;

/// A wall-clock time: milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallMs(pub u64);

impl WallMs {
    /// The last time that can be stored: a column is signed.
    pub(crate) const MAX: WallMs = WallMs(i64::MAX as u64);
}

impl Schema for WallMs {
    const SCHEMA: &'static NamedType = u64::SCHEMA;
}

#[diagnostic::do_not_recommend]
impl DurableState for WallMs {}

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
