//! The turn of an alarm: it runs the handler, and its commit uses the alarm up, sets it for another try, or makes a dead
//! letter of it.

use std::sync::Arc;

use crate::class::{Access, MethodSpec};
use crate::due::{Alarm, AlarmSpec};
use crate::error::{Code, Error};
use crate::history::Cause;
use crate::host::Event;
use crate::kernel::alarm::{AfterFailure, Kind, after_failure};
use crate::object::alarm::Deed;
use crate::object::inside::{Inside, Ran, run_limited};
use crate::object::live::{AlarmChange, Changes, Live};
use crate::object::receive::receive;
use crate::object::recur::recur;
use crate::object::uncalled::{
    AfterRing, Counted, Did, Firing, Left, Purpose, Rung, Uncalled, chance, limit, settle,
    shortened,
};
use crate::object::{Dealt, Object, Slot, witness};
use crate::storage::{LetterOf, NewLetter, StoredAlarm};

/// What a handler is called in errors and reports.
static HANDLER: MethodSpec = MethodSpec::new("#[alarm]", Access::Write, true);

/// Runs the handler for an alarm that was fired, if the alarm is what the object has.
pub(crate) async fn ring<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    mut firing: Firing,
) -> AfterRing {
    if let Some(delivery) = firing.delivery.take() {
        return receive(slot, live, firing, delivery).await;
    }
    if firing.kind == Kind::Schedule {
        return recur(slot, live, firing).await;
    }
    let now = slot.host().clock.wall();
    let alarm = live.alarm().filter(|alarm| match firing.wanted {
        None => true,
        Some(wanted) => (live.number(), alarm.set_by) == wanted && alarm.alarm.due <= now,
    });
    let (Some(stored), Some(spec)) = (alarm, O::CLASS.alarm) else {
        firing.end(Rung::Void);
        slot.turn_skipped();
        return AfterRing::On;
    };
    let call = slot.host().director.as_ref().map_or(0, |director| director.number_call());
    let (object, alarm, is_forced) = (slot.id_ref(), stored.alarm.view(), firing.wanted.is_none());
    slot.host().report(|| Event::AlarmFires { object, call, alarm, spec, is_forced });
    witness::turn_began(slot, live, call, &HANDLER);
    let (ran, dealt) = run(slot, live, (stored, spec), call).await;
    let run = Uncalled { firing, purpose: stored, spec, method: &HANDLER, call, around: None };
    settle(slot, live, run, (ran, dealt)).await
}

async fn run<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (stored, spec): (StoredAlarm, AlarmSpec),
    call: u64,
) -> (Ran<Result<(), String>>, Dealt) {
    let inside = Inside::of_none(slot, &HANDLER, call);
    let (object, mut cx) = live.alarm_turn(slot, call);
    // Nothing of the user's runs before the first poll.
    let ran = match object.alarm(&mut cx, stored.alarm.info()) {
        None => Ran::Returned(Ok(())),
        Some(handler) => run_limited(slot, inside, limit(slot, &spec), handler).await,
    };
    (ran, cx.into_dealt())
}

impl<O: Object> Purpose<O> for StoredAlarm {
    fn cause(&self, _: &'static MethodSpec) -> Cause {
        Cause::Alarm
    }

    fn used_up(&self, _: &Slot<O>, live: &Live<O>, (alarm, schedules): Did<'_>) -> Left {
        let next = if let Deed::Set(at) = alarm { Some(at) } else { None };
        (Some(AlarmChange::to(next.map(Alarm::at))), live.schedule_change(schedules))
    }

    fn failed(self, slot: &Slot<O>, _: &Live<O>, spec: &AlarmSpec, text: &str) -> Counted {
        let (label, now) = (slot.label(), slot.host().clock.wall());
        let change = match after_failure(self.alarm, spec, now, chance(slot)) {
            AfterFailure::Again(alarm) => {
                let retry = alarm.retries;
                tracing::warn!(object = label, error = text, retry, "an alarm failed");
                AlarmChange::to(Some(alarm))
            }
            AfterFailure::Dead { attempts } => {
                tracing::error!(
                    object = label,
                    error = text,
                    attempts,
                    "an alarm is a dead letter"
                );
                let error = shortened(text);
                let (what, scheduled) = (LetterOf::Alarm, self.alarm.scheduled);
                let letter = NewLetter { what, error, at: now, attempts, scheduled };
                AlarmChange { letter: Some(letter), ..AlarmChange::to(None) }
            }
        };
        Counted::here(Changes { alarm: Some(change), cause: Cause::Alarm, ..Changes::default() })
    }

    fn error(&self, label: &str, text: &str) -> Error {
        let text = format!(
            "the alarm of {label} failed: {text}; its changes were undone, it is tried again"
        );
        Code::AlarmFailed.error(text).with_object(label)
    }
}
