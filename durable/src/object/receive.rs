//! A send that has come to its target: it is run, once.
//!
//! That it was received is part of the commit of its effect, so whoever delivers it again finds that, also after a crash.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::class::MethodSpec;
use crate::due::AlarmSpec;
use crate::error::{Code, Error};
use crate::history::Cause;
use crate::host::Event;
use crate::kernel::outbox::{Failed, Train, after_run};
use crate::metadata::Metadata;
use crate::object::live::{Changes, Live};
use crate::object::recur::{UNREAD, run_method};
use crate::object::uncalled::{
    AfterRing, Counted, Did, Firing, Left, Purpose, Rung, Uncalled, chance, shortened,
};
use crate::object::{Object, Slot};
use crate::send::{SendId, SentCall};
use crate::storage::{Carried, LetterOf, NewLetter, SendWrite};
use crate::time::WallMs;

/// A send on its way to its target.
pub(crate) struct Delivery {
    pub(crate) id: SendId,
    /// Runs that have failed.
    pub(crate) retries: u32,
    /// When it may be run, at the earliest.
    pub(crate) due: WallMs,
    pub(crate) call: SentCall,
    /// `None`: it is delivered alone.
    pub(crate) train: Option<InTrain>,
}

/// A send that is delivered together with others of its pair.
pub(crate) struct InTrain {
    pub(crate) train: Arc<Mutex<Train>>,
    /// Whether it may leave now, which nobody has looked at. `None`: it is the first, and has left.
    pub(crate) leaves: Option<Box<dyn FnOnce() -> bool + Send>>,
}

impl InTrain {
    /// Whether it may run in an activation of this epoch.
    fn may_begin(&mut self, epoch: u64) -> bool {
        let leaves = self.leaves.take();
        self.train.lock().may_begin(leaves.is_none(), epoch) && leaves.is_none_or(|leaves| leaves())
    }
}

impl Delivery {
    /// Its turn was kept, or was before.
    fn kept(&self, epoch: u64) {
        self.train.iter().for_each(|own| own.train.lock().kept(epoch));
    }
}

/// Runs what a send calls, unless that was done.
pub(super) async fn receive<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    firing: Firing,
    mut delivery: Box<Delivery>,
) -> AfterRing {
    let (id, epoch) = (delivery.id, live.fence().epoch.0);
    let may_begin = delivery.train.as_mut().is_none_or(|own| own.may_begin(epoch));
    // The clock may have been set back while it was on its way.
    if !may_begin || delivery.due > slot.host().clock.wall() {
        firing.end(Rung::Void);
        return AfterRing::On;
    }
    let was_received = match slot.group().shard(&slot.id()).has_received(id) {
        Ok(was_received) => was_received,
        Err(error) => {
            firing.end(Rung::Postponed(error));
            return AfterRing::On;
        }
    };
    let (spec, retry_count) = (O::CLASS.schedules, delivery.retries);
    let number = |director: &Arc<dyn crate::host::Director>| director.number_call();
    let call = slot.host().director.as_ref().filter(|_| !was_received).map_or(0, number);
    let object = slot.id_ref();
    slot.host().report(|| Event::SendArrives {
        object,
        call,
        send: id,
        retry_count,
        spec,
        was_received,
    });
    if was_received {
        delivery.kept(epoch);
        firing.end(Rung::Done);
        return AfterRing::On;
    }
    let message = O::decode_call(&delivery.call.method, &delivery.call.args);
    let run = Uncalled { firing, purpose: *delivery, spec, method: &UNREAD, call, around: None };
    run_method(slot, live, run, (message, None)).await
}

impl<O: Object> Purpose<O> for Delivery {
    fn sent(&self) -> Option<&Metadata> {
        Some(&self.call.metadata)
    }

    fn cause(&self, method: &'static MethodSpec) -> Cause {
        Cause::Method(method.name.into())
    }

    fn used_up(&self, _: &Slot<O>, live: &Live<O>, (alarm, schedules): Did<'_>) -> Left {
        (live.alarm_change(alarm), live.schedule_change(schedules))
    }

    /// That it was received is stored with its effect.
    fn sends(&self, sends: SendWrite) -> SendWrite {
        SendWrite { received: Some(self.id), ..sends }
    }

    fn kept(&self, live: &Live<O>) {
        self.kept(live.fence().epoch.0);
    }

    /// The outbox counts failures; a dead letter is the target's.
    fn failed(self, slot: &Slot<O>, _: &Live<O>, spec: &AlarmSpec, text: &str) -> Counted {
        let Delivery { id, retries, call, .. } = self;
        let (label, now) = (slot.label(), slot.host().clock.wall());
        match after_run(retries, spec, now, chance(slot)) {
            Failed::Again { due, retries } => {
                tracing::warn!(object = label, send = %id, error = text, retries, "a send failed");
                Counted::There(Rung::Again { due, retries })
            }
            Failed::Dead { attempts } => {
                tracing::error!(
                    object = label,
                    send = %id,
                    error = text,
                    attempts,
                    "a send is a dead letter"
                );
                let SentCall { method, args, scheduled, metadata, .. } = call;
                let carried = Carried::new(&metadata);
                let what = LetterOf::Send { id, method, args, carried };
                let letter =
                    NewLetter { what, error: shortened(text), at: now, attempts, scheduled };
                let (received, letter) = (Some(id), Some(letter));
                let sends = SendWrite { received, letter, ..SendWrite::default() };
                Counted::here(Changes { sends, cause: Cause::Alarm, ..Changes::default() })
            }
        }
    }

    fn error(&self, label: &str, text: &str) -> Error {
        let Delivery { id, call, .. } = self;
        let text = format!(
            "send {id} of `{}` to {label} failed: {text}; its changes were undone, it is tried again",
            call.method
        );
        Code::AlarmFailed.error(text).with_object(label)
    }
}
