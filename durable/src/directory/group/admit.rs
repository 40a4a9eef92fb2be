//! Who is let in, and what those are told who are not.

use crate::config::Config;
use crate::directory::Group;
use crate::error::{Code, Error, Outcome};
use crate::limits::RETRY_AFTER;
use crate::object::{Object, Permit, Places, Slot, TooLate, gone};
use crate::time::MonoNs;

/// The places of a class that has a bound of its own.
pub(super) fn places<O: Object>(config: &Config, threads: usize) -> Option<Places> {
    let own = O::CLASS.in_flight.map(|calls| calls as usize);
    let max = own.unwrap_or(config.class_in_flight_calls_max);
    (max < config.in_flight_calls_max).then(|| Places::new(max, threads))
}

/// What there are no more places in; how many calls are.
pub(crate) enum Lack {
    Class(usize),
    Runtime(usize),
}

impl<O: Object> Group<O> {
    /// Takes a place among the calls in flight, if there is one that nobody waits for.
    pub(crate) fn permit(&self) -> Result<Permit, Lack> {
        let class = self.in_flight.as_ref().map(Places::take).transpose().map_err(Lack::Class)?;
        Ok(Permit::new(self.shared.in_flight.take().map_err(Lack::Runtime)?, class))
    }

    /// Waits for a place among the calls in flight, behind all who wait already: in the class, and then in the runtime.
    pub(crate) async fn wait_for_permit(&self) -> Permit {
        self.relieve();
        let class = match &self.in_flight {
            Some(places) => Some(places.wait().await),
            None => None,
        };
        Permit::new(self.shared.in_flight.wait().await, class)
    }

    /// As [`admit`](Self::admit); `None` for a call that waits for its place, and is to be given it later.
    pub(crate) fn admit_as(
        &self,
        is_patient: bool,
        is_from_turn: bool,
    ) -> Result<Option<Permit>, Error> {
        if is_patient && !self.shared.is_closed_to(is_from_turn) {
            return Ok(None);
        }
        self.admit(is_from_turn).map(Some)
    }

    /// Takes a place among the calls in flight. `is_from_turn`: the caller is a turn, which a runtime that closes lets end.
    pub(crate) fn admit(&self, is_from_turn: bool) -> Result<Permit, Error> {
        if self.shared.is_closed_to(is_from_turn) {
            return Err(gone());
        }
        self.permit().map_err(|lack| {
            self.relieve();
            self.overloaded(&lack).with_retry_after(RETRY_AFTER)
        })
    }

    #[cold]
    fn overloaded(&self, lack: &Lack) -> Error {
        match lack {
            Lack::Class(count) => {
                let (name, max) = (O::CLASS.name, self.in_flight.as_ref().map_or(0, Places::max));
                Code::ClassOverloaded.error(format!(
                    "{count} calls are in flight in class {name}, the limit is {max}; call again later"
                ))
            }
            Lack::Runtime(count) => {
                let max = self.shared.in_flight.max();
                Code::RuntimeOverloaded.error(format!(
                    "{count} calls are in flight in this runtime, the limit is {max}; call again later"
                ))
            }
        }
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

/// The error of a call that comes after others that wait for room.
pub(super) fn others_wait<O: Object>(slot: &Slot<O>, waiting: usize) -> Error {
    let label = slot.label();
    let text = format!(
        "{waiting} calls wait for room at {label}, and came before this one; \
         call again later, or wait with `.wait_for_capacity()`"
    );
    Code::ObjectOverloaded.error(text).with_retry_after(RETRY_AFTER)
}

/// The error of a call that would not begin in time.
pub(super) fn too_late<O: Object>(slot: &Slot<O>, late: TooLate) -> Error {
    let TooLate { waiting, wait, time } = late;
    let label = slot.label();
    let text = format!(
        "{waiting} calls wait at {label}, this one would begin in about {wait:.0?} and has {time:?}; \
         call again later, or with more time"
    );
    Code::ObjectOverloaded.error(text).with_retry_after(RETRY_AFTER.max(wait.saturating_sub(time)))
}

/// The error of a call that comes before its object's rate lets it.
pub(super) fn too_soon<O: Object>(slot: &Slot<O>, until: MonoNs) -> Error {
    let wait = until - slot.host().clock.now();
    let rate = O::CLASS.rate.expect("only a class with a rate refuses by it");
    let (label, calls, period) = (slot.label(), rate.calls, rate.period);
    let text = format!(
        "{label} takes {calls} calls in {period:?} and {} at once, and the next one in {wait:?}; call again then",
        rate.burst
    );
    Code::RateExceeded.error(text).with_retry_after(wait)
}
