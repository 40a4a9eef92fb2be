//! The turn of an alarm: it runs the handler, and its commit uses the alarm up, counts the failure, or makes a dead letter
//! of it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use parking_lot::Mutex;

use crate::class::{Access, MethodSpec};
use crate::due::AlarmSpec;
use crate::error::{Code, Error};
use crate::history::Cause;
use crate::host::{Event, TurnEnd};
use crate::kernel::alarm::{AfterFailure, Kind, after_failure};
use crate::kernel::commit::Ended;
use crate::limits::DEAD_LETTER_ERROR_BYTES_MAX;
use crate::object::activation::{Crash, catch_encode, end_sql, text_of};
use crate::object::alarm::Deed;
use crate::object::live::{AlarmChange, Changes, Live};
use crate::object::recur::recur;
use crate::object::witness::{self, Told};
use crate::object::{BoxFuture, Cut, Dealt, Object, Slot};
use crate::storage::{LetterOf, NewLetter, Release, StoredAlarm};

/// What a handler is called in errors and reports.
static HANDLER: MethodSpec = MethodSpec::new("#[alarm]", Access::Write, true);

/// What became of an alarm that was fired.
#[derive(Clone, Debug)]
pub(crate) enum Rung {
    /// Its handler has run, and what it did is durable.
    Done,
    /// Its handler has failed, and that is durable.
    Failed(Error),
    /// The object has no such alarm: it was replaced, taken back, or is not due yet.
    Void,
    /// It could not be run, or nothing of the run could be stored; it is not counted.
    Postponed(Error),
}

/// An alarm that is fired at its object.
pub(crate) struct Firing {
    pub(crate) kind: Kind,
    /// The object's number and the commit that set the alarm, or the schedules. `None`: whatever alarm it has, due or not.
    pub(crate) wanted: Option<(i64, u64)>,
    /// The schedule that somebody wants to run. `None`: the one that is due.
    pub(crate) schedule: Option<String>,
    /// Is told what became of it, once. `None`: it was told.
    told: Option<Box<dyn FnOnce(Rung) + Send>>,
}

impl Firing {
    pub(crate) fn new(
        kind: Kind,
        wanted: Option<(i64, u64)>,
        told: impl FnOnce(Rung) + Send + 'static,
    ) -> Self {
        Firing { kind, wanted, schedule: None, told: Some(Box::new(told)) }
    }

    /// Somebody wants a schedule to run, due or not.
    pub(crate) fn by_hand(schedule: String, told: impl FnOnce(Rung) + Send + 'static) -> Self {
        let mut firing = Firing::new(Kind::Schedule, None, told);
        firing.schedule = Some(schedule);
        firing
    }

    pub(crate) fn end(mut self, rung: Rung) {
        self.tell(rung);
    }

    fn tell(&mut self, rung: Rung) {
        if let Some(told) = self.told.take() {
            told(rung);
        }
    }
}

impl Drop for Firing {
    fn drop(&mut self) {
        if self.told.is_some() {
            self.tell(Rung::Postponed(crate::object::slot::gone()));
        }
    }
}

/// Tells what became of a firing when the commit is durable that says it.
pub(super) struct Held(Mutex<Option<(Firing, Rung)>>);

impl Held {
    pub(super) fn new(firing: Firing, rung: Rung) -> Arc<Self> {
        Arc::new(Held(Mutex::new(Some((firing, rung)))))
    }
}

impl Release for Held {
    fn release(&self, durable: Result<(), &Error>) {
        let Some((firing, rung)) = self.0.lock().take() else { return };
        firing.end(durable.map_or_else(|error| Rung::Postponed(error.clone()), |()| rung));
    }
}

/// How a run of a handler ended.
pub(super) enum Ran<T> {
    Returned(T),
    /// It ran over its limit and was cut off.
    Late,
    Panicked(Box<dyn Any + Send>),
}

/// What follows on the turn of an alarm.
pub(crate) enum AfterRing {
    /// The next turn.
    On,
    /// The struct in memory is not what the object is: it is to be undone.
    RollBack,
    /// The end: nothing of the object is left.
    Erased,
    /// The object in memory cannot be trusted any more.
    Crash(Crash),
}

/// Runs the handler for an alarm that was fired, if the alarm is what the object has.
pub(crate) async fn ring<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    firing: Firing,
) -> AfterRing {
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
        return AfterRing::On;
    };
    let call = slot.host().director.as_ref().map_or(0, |director| director.number_call());
    let (object, alarm, is_forced) = (slot.id_ref(), stored.alarm.view(), firing.wanted.is_none());
    slot.host().report(|| Event::AlarmFires { object, call, alarm, spec, is_forced });
    witness::turn_began(slot, live, call, &HANDLER);
    let (ran, dealt) = run(slot, live, (stored, spec), call).await;
    settle(slot, live, Rang { firing, stored, spec, call }, (ran, dealt)).await
}

async fn run<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (stored, spec): (StoredAlarm, AlarmSpec),
    call: u64,
) -> (Ran<Result<(), String>>, Dealt) {
    let time_over = time_over(slot, &spec);
    let (object, mut cx) = live.alarm_turn(slot, call);
    // Nothing of the user's runs before the first poll.
    let ran = match object.alarm(&mut cx, stored.alarm.info()) {
        None => Ran::Returned(Ok(())),
        Some(handler) => limited(handler, time_over).await,
    };
    (ran, cx.into_dealt())
}

/// The end of the time that a run which begins now may take.
pub(super) fn time_over<O: Object>(slot: &Slot<O>, spec: &AlarmSpec) -> BoxFuture<'static, ()> {
    let limit = spec.limit.unwrap_or_else(|| slot.group().alarm_limit());
    let clock = &slot.host().clock;
    clock.sleep_until(clock.now() + limit)
}

/// Runs a turn until its time is over.
pub(super) async fn limited<T>(
    turn: BoxFuture<'_, T>,
    mut time_over: BoxFuture<'static, ()>,
) -> Ran<T> {
    let mut turn = AssertUnwindSafe(turn).catch_unwind();
    poll_fn(|task| match turn.poll_unpin(task) {
        Poll::Ready(Ok(returned)) => Poll::Ready(Ran::Returned(returned)),
        Poll::Ready(Err(panic)) => Poll::Ready(Ran::Panicked(panic)),
        Poll::Pending => time_over.as_mut().poll(task).map(|()| Ran::Late),
    })
    .await
}

/// What a run that ran over its limit has failed with.
pub(super) fn late<O: Object>(slot: &Slot<O>, spec: &AlarmSpec) -> String {
    let limit = spec.limit.unwrap_or_else(|| slot.group().alarm_limit());
    format!("it ran over its limit of {limit:?}")
}

/// A handler that has run, and what for.
struct Rang {
    firing: Firing,
    stored: StoredAlarm,
    spec: AlarmSpec,
    call: u64,
}

async fn settle<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    rang: Rang,
    (ran, dealt): (Ran<Result<(), String>>, Dealt),
) -> AfterRing {
    let Dealt { kv, sql, alarm: deed, schedules, erases, fault } = dealt;
    let (ended, encoded) = match (&ran, &fault) {
        (Ran::Panicked(_), _) => (Ended::Panicked, Ok(None)),
        (_, Some(error)) => (Ended::Failed, Err(error.clone())),
        (Ran::Returned(Ok(())), None) => (Ended::Kept, catch_encode(live)),
        (Ran::Returned(Err(_)) | Ran::Late, None) => (Ended::Rejected, Ok(None)),
    };
    let (ended, encoded, has_sql) = end_sql(live, &sql, (ended, encoded));
    let is_kept = ended == Ended::Kept && encoded.is_ok();
    let told_as = match ended {
        Ended::Panicked => TurnEnd::Panicked,
        _ if is_kept && erases => TurnEnd::Erased,
        _ if is_kept => TurnEnd::Kept,
        _ => TurnEnd::Rejected,
    };
    let told = Told { ended: told_as, kv: &kv, has_changes: true };
    witness::turn_ended(slot, live, rang.call, &HANDLER, told);
    match (ran, encoded) {
        (_, Ok(_)) if is_kept && erases => {
            slot.end_children(Cut::Parted).await;
            let held = Held::new(rang.firing, Rung::Done);
            live.erase(slot, rang.call, Some(held));
            AfterRing::Erased
        }
        (_, Ok(encoded)) if is_kept => {
            let next = if let Deed::Set(at) = deed { Some(at) } else { None };
            let alarm = Some(AlarmChange::to(next.map(crate::due::Alarm::at)));
            let schedules = live.schedule_change(&schedules);
            let cause = Cause::Alarm;
            let changes = Changes { encoded, kv, has_sql, cause, alarm, schedules };
            live.submit(slot, changes, (rang.call, Some(Held::new(rang.firing, Rung::Done))));
            AfterRing::On
        }
        (_, Err(error)) => {
            let counts = !error.code().starts_with("storage.");
            fail(slot, live, rang, error.message(), counts);
            AfterRing::RollBack
        }
        (Ran::Returned(Err(text)), _) => {
            fail(slot, live, rang, &text, true);
            AfterRing::RollBack
        }
        (Ran::Late, _) => {
            let text = late(slot, &rang.spec);
            fail(slot, live, rang, &text, true);
            AfterRing::RollBack
        }
        (Ran::Panicked(panic), _) => {
            let text = text_of(panic.as_ref()).to_owned();
            // What it did in the database is not to go with the commit that counts the failure.
            let is_undone = live.end_sql(crate::object::sql::Fate::Undo).is_ok();
            fail(slot, live, rang, &format!("it panicked: {text}"), is_undone);
            AfterRing::Crash(Crash::of_panic(text, fault.as_ref()))
        }
        (Ran::Returned(Ok(())), Ok(_)) => unreachable!("a turn that is not kept has failed"),
    }
}

/// Counts a failure, in a commit of its own, unless it is the system's.
fn fail<O: Object>(slot: &Arc<Slot<O>>, live: &mut Live<O>, rang: Rang, text: &str, counts: bool) {
    let Rang { firing, stored, spec, .. } = rang;
    let label = slot.label();
    let error = Code::AlarmFailed
        .error(format!(
            "the alarm of {label} failed: {text}; its changes were undone, it is tried again"
        ))
        .with_object(label.clone());
    if !counts || live.fence().broken().is_some() || slot.group().is_closing() {
        return firing.end(Rung::Postponed(error));
    }
    let now = slot.host().clock.wall();
    let mut chance = [0; 8];
    slot.host().entropy.fill(&mut chance);
    let change = match after_failure(stored.alarm, &spec, now, u64::from_le_bytes(chance)) {
        AfterFailure::Again(alarm) => {
            let retry = alarm.retries;
            tracing::warn!(object = label, error = text, retry, "an alarm failed");
            AlarmChange::to(Some(alarm))
        }
        AfterFailure::Dead { attempts } => {
            tracing::error!(object = label, error = text, attempts, "an alarm is a dead letter");
            let error = shortened(text);
            let (what, scheduled) = (LetterOf::Alarm, stored.alarm.scheduled);
            let letter = NewLetter { what, error, at: now, attempts, scheduled };
            AlarmChange { letter: Some(letter), ..AlarmChange::to(None) }
        }
    };
    let changes = Changes { alarm: Some(change), cause: Cause::Alarm, ..Changes::default() };
    live.submit(slot, changes, (0, Some(Held::new(firing, Rung::Failed(error)))));
}

/// As much of a text as a dead letter keeps.
pub(super) fn shortened(text: &str) -> String {
    let mut end = text.len().min(DEAD_LETTER_ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
