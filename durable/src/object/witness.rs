//! What an activation tells the host's director, if there is one.

use std::sync::Arc;

use crate::class::MethodSpec;
use crate::host::{Event, TurnEnd};
use crate::kv::KvChange;
use crate::object::live::Live;
use crate::object::{Object, Slot};

/// Says that an activation is there for as long as it lives, however the activation ends.
pub(crate) struct Presence<O: Object> {
    slot: Arc<Slot<O>>,
    incarnation: u64,
}

impl<O: Object> Presence<O> {
    pub(crate) fn new(slot: &Arc<Slot<O>>) -> Self {
        let presence = Presence { slot: Arc::clone(slot), incarnation: slot.incarnation() };
        slot.host().report(|| Event::Activating {
            object: slot.id_ref(),
            class: O::CLASS.name,
            name: slot.name(),
            incarnation: presence.incarnation,
        });
        presence
    }
}

impl<O: Object> Drop for Presence<O> {
    fn drop(&mut self) {
        let Presence { slot, incarnation } = self;
        let incarnation = *incarnation;
        slot.host().report(|| Event::Gone { object: slot.id_ref(), incarnation });
    }
}

/// A turn begins.
pub(crate) fn turn_began<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    call: u64,
    method: &'static MethodSpec,
) {
    let Some(director) = &slot.host().director else { return };
    let (object, epoch, state) = (slot.id_ref(), live.fence().epoch.0, live.payload());
    director.saw(&Event::TurnBegan { object, epoch, call, method, state: &state });
}

/// What is told of the end of a turn.
pub(crate) struct Told<'a> {
    pub(crate) ended: TurnEnd,
    /// What it did to its object's KV.
    pub(crate) kv: &'a [KvChange],
    /// Whether there is anything to be submitted, if it is kept.
    pub(crate) has_changes: bool,
}

/// A turn ended. What it did in memory is not undone yet.
pub(crate) fn turn_ended<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    call: u64,
    method: &'static MethodSpec,
    Told { ended, kv, has_changes }: Told<'_>,
) {
    let Some(director) = &slot.host().director else { return };
    let state = if ended == TurnEnd::Panicked { Vec::new() } else { live.payload() };
    let object = slot.id_ref();
    // What was made of an object's tables before its first commit goes with that commit, whichever it is.
    let sql = if ended == TurnEnd::Kept && has_changes { live.sql_change() } else { None };
    let (state, sql) = (&state[..], sql.as_ref());
    director.saw(&Event::TurnEnded { object, call, method, ended, state, kv, sql });
}
