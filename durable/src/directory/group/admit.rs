//! Who is let in, and what those are told who are not.

use std::time::Duration;

use crate::config::Config;
use crate::directory::Group;
use crate::error::{Code, Error, Outcome};
use crate::limits::RETRY_AFTER;
use crate::object::{Object, Permit, Places, Slot, gone};
use crate::registry::Shared;

/// The places of a class that has a bound of its own.
pub(super) fn places<O: Object>(config: &Config) -> Option<Places> {
    let own = O::CLASS.in_flight.map(|calls| calls as usize);
    let max = own.unwrap_or(config.class_in_flight_calls_max);
    (max < config.in_flight_calls_max).then(|| Places::new(max))
}

impl<O: Object> Group<O> {
    /// Takes a place among the calls in flight. `is_from_turn`: the caller is a turn, which a runtime that closes lets end.
    pub(crate) fn admit(&self, is_from_turn: bool) -> Result<Permit, Error> {
        let Shared { in_flight, .. } = &*self.shared;
        if self.shared.is_closed_to(is_from_turn) {
            return Err(gone());
        }
        let class = self.in_flight.as_ref().map(Places::take).transpose().map_err(|count| {
            let (name, max) = (O::CLASS.name, self.in_flight.as_ref().map_or(0, Places::max));
            let text = format!(
                "{count} calls are in flight in class {name}, the limit is {max}; call again later"
            );
            Code::ClassOverloaded.error(text).with_retry_after(RETRY_AFTER)
        })?;
        let runtime = in_flight.take().map_err(|count| {
            let max = in_flight.max();
            let text = format!(
                "{count} calls are in flight in this runtime, the limit is {max}; call again later"
            );
            Code::RuntimeOverloaded.error(text).with_retry_after(RETRY_AFTER)
        })?;
        Ok(Permit::new(runtime, class))
    }

    /// As [`admit`](Self::admit), for a call that is kept until somebody delivers it.
    pub(crate) fn admit_send(&self, is_from_turn: bool) -> Result<Permit, Error> {
        let permit = self.admit(is_from_turn)?;
        if self.shared.leaving.is_cut_off() {
            return Err(gone().with_outcome(Outcome::NotStarted));
        }
        Ok(permit)
    }
}

/// The error of a call that would be one too many at its object.
pub(super) fn inbox_full<O: Object>(slot: &Slot<O>, waiting: usize) -> Error {
    let (label, max) = (slot.label(), slot.group().inbox_calls_max());
    let text = format!("{waiting} calls wait at {label}, the limit is {max}; call again later");
    Code::ObjectOverloaded.error(text).with_retry_after(RETRY_AFTER)
}

/// The error of a call that comes before its object's rate lets it.
pub(super) fn too_soon<O: Object>(slot: &Slot<O>, wait: Duration) -> Error {
    let rate = O::CLASS.rate.expect("only a class with a rate refuses by it");
    let (label, calls, period) = (slot.label(), rate.calls, rate.period);
    let text = format!(
        "{label} takes {calls} calls in {period:?} and {} at once, and the next one in {wait:?}; call again then",
        rate.burst
    );
    Code::RateExceeded.error(text).with_retry_after(wait)
}
