//! How many calls an object takes in a time.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::limits::{RATE_CALLS_MAX, RATE_PERIOD_MAX};

/// How many calls each object of a class takes in a time.
///
/// `#[durable_object(rate = "100/s", burst = 20)]` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// So many in each period, evenly.
    pub calls: u32,
    /// The period.
    pub period: Duration,
    /// So many at once, if none came for long enough.
    pub burst: u32,
}

impl Rate {
    #[doc(hidden)]
    pub const fn new(calls: u32, period_ms: u64, burst: u32) -> Self {
        Rate { calls, period: Duration::from_millis(period_ms), burst }
    }

    /// As [`ClassSpec::check`](crate::ClassSpec).
    pub(super) fn check(&self, class: &str) -> Result<(), Error> {
        let Rate { calls, period, burst } = *self;
        let possible = 1..=RATE_CALLS_MAX;
        let is_period = !period.is_zero() && period <= RATE_PERIOD_MAX;
        if possible.contains(&calls) && possible.contains(&burst) && is_period {
            return Ok(());
        }
        Err(Code::ClassInvalid.error(format!(
            "class {class} takes {calls} calls within {period:?} and {burst} at once, possible are 1 to {RATE_CALLS_MAX} \
             within up to {RATE_PERIOD_MAX:?}; change it"
        )))
    }
}
