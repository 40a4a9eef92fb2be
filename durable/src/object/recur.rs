//! The turn of a schedule: it runs the method that the schedule calls, and its commit says what is left of the schedule.
//!
//! Run, failure and re-arm are one commit each, like those of an alarm: a crash before it leaves the schedule as it was, and
//! it runs again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::caller::undecodable;
use crate::class::{Access, MethodSpec};
use crate::codec::DecodeError;
use crate::due::AlarmSpec;
use crate::error::{Code, Error, Outcome};
use crate::history::Cause;
use crate::host::Event;
use crate::kernel::schedule::{Due, Failed, changed, replaced};
use crate::metadata::Metadata;
use crate::object::carried::carrying;
use crate::object::inside::{Inside, Ran, run_limited};
use crate::object::intercepted::ask;
use crate::object::kv::Turn;
use crate::object::live::{Changes, Live, ScheduleChange};
use crate::object::uncalled::{
    AfterRing, Counted, Did, Firing, Held, Left, Purpose, Rung, Uncalled, chance, fail, limit,
    settle, shortened,
};
use crate::object::{Dealt, Object, Ran as Returned, Slot, witness};
use crate::schedule::{Schedule, ScheduleInfo};
use crate::storage::{Carried, LetterOf, NewLetter};

/// What a run is called whose call cannot be read.
pub(super) static UNREAD: MethodSpec = MethodSpec::new("#[unread]", Access::Write, true);

/// Runs the schedule of an object that is due first, if the schedules are what the object has; or the one that somebody wants.
pub(super) async fn recur<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    firing: Firing,
) -> AfterRing {
    let now = slot.host().clock.wall();
    let number = live.number();
    let is_due = |(first, set_by): &(&Schedule, u64)| {
        firing.wanted.is_none_or(|wanted| (number, *set_by) == wanted) && first.due <= now
    };
    let found = match &firing.schedule {
        Some(name) => live.schedules().iter().find(|schedule| schedule.name == *name),
        None => live.first_schedule().filter(is_due).map(|(first, _)| first),
    };
    let is_forced = firing.schedule.is_some();
    let Some(schedule) = found.cloned() else {
        firing.end(Rung::Void);
        slot.turn_skipped();
        return AfterRing::On;
    };
    let spec = O::CLASS.schedules;
    let call = slot.host().director.as_ref().map_or(0, |director| director.number_call());
    let due = if is_forced {
        Due::Run(schedule.by_hand(now, &mut || chance(slot)))
    } else {
        schedule.on_due(now, &mut || chance(slot))
    };
    let run = if let Due::Run(run) = &due { Some(run.view()) } else { None };
    let (object, before) = (slot.id_ref(), schedule.view());
    let (schedule_view, run) = (&before, run.as_ref());
    slot.host().report(|| Event::ScheduleFires {
        object,
        call,
        schedule: schedule_view,
        run,
        spec,
        is_forced,
    });
    let schedule = match due {
        Due::Run(run) => run,
        Due::Pass(left) => {
            let all = replaced(live.schedules(), &schedule.name, left);
            store(slot, live, ScheduleChange { all, letter: None }, (firing, Rung::Done));
            slot.turn_skipped();
            return AfterRing::On;
        }
    };
    let message = O::decode_call(&schedule.method, &schedule.args);
    let left = schedule.after_run(now, &mut || chance(slot));
    let all = replaced(live.schedules(), &schedule.name, left);
    let of = Some((schedule.info(), &all[..]));
    let run = Uncalled { firing, purpose: schedule, spec, method: &UNREAD, call, around: None };
    run_method(slot, live, run, (message, of)).await
}

/// The run of a schedule, and what is left of all schedules then.
type RunOf<'a> = (ScheduleInfo, &'a [Schedule]);

/// Runs a method that nobody has called. `of`: the run of a schedule that it is. `None`: it is none.
pub(super) async fn run_method<O: Object, P: Purpose<O>>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    mut run: Uncalled<P>,
    (message, of): (Result<O::Call, DecodeError>, Option<RunOf<'_>>),
) -> AfterRing {
    match message {
        Ok(message) => {
            run.method = O::method(&message);
            let metadata = match run.purpose.sent().cloned() {
                None => Metadata::new(),
                Some(metadata) => match ask(slot, run.method, (&metadata, true)) {
                    Ok(around) => {
                        run.around = around;
                        metadata
                    }
                    Err(error) => {
                        fail(slot, live, run, &error.to_string(), true);
                        slot.turn_skipped();
                        return AfterRing::On;
                    }
                },
            };
            slot.runs(run.method.name, of.as_ref().map(|(info, _)| &info.name[..]));
            witness::turn_began(slot, live, run.call, run.method);
            let with = (metadata, of);
            let (ran, dealt) = turn(slot, live, (run.spec, run.call, with), message).await;
            settle(slot, live, run, (ran, dealt)).await
        }
        Err(error) => {
            let error = undecodable::<O>(&error, Outcome::RolledBack);
            fail(slot, live, run, &error.to_string(), true);
            slot.turn_skipped();
            AfterRing::On
        }
    }
}

async fn turn<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (spec, call, (metadata, of)): (AlarmSpec, u64, (Metadata, Option<RunOf<'_>>)),
    message: O::Call,
) -> (Ran<Result<(), String>>, Dealt) {
    let method = O::method(&message);
    let (inside, limit) = (Inside::of_none(slot, method, call), limit(slot, &spec));
    let access = if method.access == Access::Read { Turn::Read } else { Turn::Write };
    let (object, mut cx) = live.own_turn(slot, (call, access), of);
    cx.carry(&metadata);
    let caught = |ran| match ran {
        Ok(ran) => Ran::Returned(ran),
        Err(panic) => Ran::Panicked(panic),
    };
    let ran = match (method.access, method.is_async) {
        (Access::Write, true) => {
            let turn = carrying(&metadata, object.write_async(&mut cx, message));
            run_limited(slot, inside, limit, turn).await
        }
        (Access::Read, true) => {
            let turn = carrying(&metadata, object.read_async(&cx, message));
            run_limited(slot, inside, limit, turn).await
        }
        (Access::Write, false) => {
            caught(catch_unwind(AssertUnwindSafe(|| object.write(&mut cx, message))))
        }
        (Access::Read, false) => {
            caught(catch_unwind(AssertUnwindSafe(|| object.read(&cx, message))))
        }
    };
    let ran = match ran {
        Ran::Returned(Returned { is_rejected, .. }) if is_rejected => {
            Ran::Returned(Err(format!("`{}` returned an error", method.name)))
        }
        Ran::Returned(_) => Ran::Returned(Ok(())),
        Ran::Late => Ran::Late,
        Ran::Panicked(panic) => Ran::Panicked(panic),
    };
    (ran, cx.into_dealt())
}

impl<O: Object> Purpose<O> for Schedule {
    fn sent(&self) -> Option<&Metadata> {
        self.sent.as_ref()
    }

    fn cause(&self, method: &'static MethodSpec) -> Cause {
        Cause::Method(method.name.into())
    }

    /// What the run itself did to the schedules is newer than what is left of it.
    fn used_up(&self, slot: &Slot<O>, live: &Live<O>, (alarm, schedules): Did<'_>) -> Left {
        let now = slot.host().clock.wall();
        let left = self.after_run(now, &mut || chance(slot));
        let all = replaced(live.schedules(), &self.name, left);
        let schedules = ScheduleChange { all: changed(&all, schedules), letter: None };
        (live.alarm_change(alarm), Some(schedules))
    }

    fn failed(self, slot: &Slot<O>, live: &Live<O>, spec: &AlarmSpec, text: &str) -> Counted {
        let (label, now) = (slot.label(), slot.host().clock.wall());
        let name = self.name.clone();
        let (left, letter) = match self.after_failure(spec, now, &mut || chance(slot)) {
            Failed::Again(again) => {
                let retry = again.retries;
                tracing::warn!(
                    object = label,
                    schedule = name,
                    error = text,
                    retry,
                    "a run failed"
                );
                (Some(again), None)
            }
            Failed::Dead { attempts, left } => {
                tracing::error!(
                    object = label,
                    schedule = name,
                    error = text,
                    attempts,
                    "a run of a schedule is a dead letter"
                );
                let Schedule { method, args, scheduled, sent, .. } = self;
                let sent = sent.as_ref().map(Carried::new);
                let what = LetterOf::Schedule { name: name.clone(), method, args, sent };
                let letter =
                    NewLetter { what, error: shortened(text), at: now, attempts, scheduled };
                (left, Some(letter))
            }
        };
        let all = replaced(live.schedules(), &name, left);
        let schedules = Some(ScheduleChange { all, letter });
        Counted::here(Changes { schedules, cause: Cause::Alarm, ..Changes::default() })
    }

    fn error(&self, label: &str, text: &str) -> Error {
        let text = format!(
            "schedule `{}` of {label} failed: {text}; its changes were undone, it is tried again",
            self.name.escape_debug()
        );
        Code::AlarmFailed.error(text).with_object(label)
    }
}

/// Stores a change that no turn made.
fn store<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    change: ScheduleChange,
    (firing, rung): (Firing, Rung),
) {
    let schedules = Some(change);
    let changes = Changes { schedules, cause: Cause::Alarm, ..Changes::default() };
    live.submit(slot, changes, (0, Some(Held::new(firing, rung))));
}
