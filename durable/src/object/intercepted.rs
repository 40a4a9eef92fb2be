//! Turns of calls, as interceptors look at them: before they begin, and when they have ended.

use std::sync::Arc;

use crate::class::MethodSpec;
use crate::error::{Code, Error};
use crate::host::{Clock, Event};
use crate::id::ObjectId;
use crate::interceptor::{IncomingCall, Interceptors, TurnOutcome, TurnReport};
use crate::metadata::Metadata;
use crate::object::call::Running;
use crate::object::inside::Ran;
use crate::object::{Object, Slot};
use crate::time::MonoNs;

/// A turn that all have let begin. They are told of its end once, however it ends.
pub(super) struct Around {
    /// None: they were told.
    interceptors: Interceptors,
    class: &'static str,
    id: ObjectId,
    name: Option<Arc<str>>,
    method: &'static MethodSpec,
    is_send: bool,
    metadata: Metadata,
    began: MonoNs,
    clock: Arc<dyn Clock>,
}

/// Asks all interceptors whether a turn may begin. `None`: there is none.
///
/// # Errors
/// Why it does not begin.
pub(super) fn ask<O: Object>(
    slot: &Slot<O>,
    method: &'static MethodSpec,
    (metadata, is_send): (&Metadata, bool),
) -> Result<Option<Box<Around>>, Error> {
    let interceptors = slot.group().interceptors();
    if interceptors.is_none() {
        return Ok(None);
    }
    let clock = Arc::clone(&slot.host().clock);
    let around = Around {
        interceptors: interceptors.clone(),
        class: O::CLASS.name,
        id: slot.id(),
        name: slot.stored_name(),
        method,
        is_send,
        metadata: metadata.clone(),
        began: clock.now(),
        clock,
    };
    let at = format!("`{}` of {}", method.name, slot.label());
    match interceptors.on_turn(&around.call(), &at) {
        Ok(()) => Ok(Some(Box::new(around))),
        Err(error) => {
            around.dismiss();
            Err(error.with_object(slot.label()))
        }
    }
}

/// A call's turn is about to begin. Whether it does: otherwise its caller was told why not.
pub(super) fn may_begin<O: Object>(
    slot: &Slot<O>,
    mut running: Running<O>,
    method: &'static MethodSpec,
) -> Option<Running<O>> {
    match ask(slot, method, (running.call().metadata(), false)) {
        Ok(around) => {
            running.begins_within(around);
            Some(running)
        }
        Err(error) => {
            let (object, call) = (slot.id_ref(), running.number());
            slot.host().report(|| Event::Skipped { object, call });
            slot.turn_skipped();
            // Nobody has looked at the object, so the answer tells nothing of it.
            running.answer(Err(error));
            None
        }
    }
}

/// How a turn has ended, as interceptors are told. `failure`: what of the system has failed it. `None`: nothing.
pub(super) fn outcome<R>(
    ran: &Ran<R>,
    is_rejected: impl FnOnce(&R) -> bool,
    failure: Option<&Error>,
) -> TurnOutcome {
    match (ran, failure) {
        (Ran::Panicked(_), _) => TurnOutcome::Panicked,
        (Ran::Late, _) => TurnOutcome::Failed(Code::CallOverlong.as_str()),
        (Ran::Returned(_), Some(error)) => TurnOutcome::Failed(error.code()),
        (Ran::Returned(ran), None) if is_rejected(ran) => TurnOutcome::Rejected,
        (Ran::Returned(_), None) => TurnOutcome::Returned,
    }
}

impl Around {
    fn call(&self) -> IncomingCall<'_> {
        let Around { class, id, name, method, is_send, metadata, .. } = self;
        let (class, id, method, is_send) = (*class, *id, *method, *is_send);
        IncomingCall { class, id, name: name.as_deref(), method, is_send, metadata }
    }

    /// The turn has ended.
    pub(super) fn end(mut self, outcome: TurnOutcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: TurnOutcome) {
        let interceptors = std::mem::take(&mut self.interceptors);
        if !interceptors.is_none() {
            let took = self.clock.now() - self.began;
            interceptors.on_turn_end(&self.call(), &TurnReport { outcome, took });
        }
    }

    /// Nobody is to be told.
    fn dismiss(mut self) {
        self.interceptors = Interceptors::default();
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        self.tell(TurnOutcome::CutOff);
    }
}
