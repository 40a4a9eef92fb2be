//! The turn of a schedule: it runs the method that the schedule calls, and its commit says what is left of the schedule.
//!
//! Run, failure and re-arm are one commit each, like those of an alarm: a crash before it leaves the schedule as it was, and
//! it runs again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::caller::undecodable;
use crate::class::{Access, MethodSpec};
use crate::due::AlarmSpec;
use crate::error::{Code, Error, Outcome};
use crate::history::Cause;
use crate::host::{Event, TurnEnd};
use crate::kernel::commit::Ended;
use crate::kernel::schedule::{Deeds, Due, Failed, changed, replaced};
use crate::object::activation::{Crash, catch_encode, end_sql, text_of};
use crate::object::kv::Turn;
use crate::object::live::{Changes, Live, ScheduleChange};
use crate::object::ring::{
    AfterRing, Firing, Held, Ran, Rung, late, limited, shortened, time_over,
};
use crate::object::witness::{self, Told};
use crate::object::{Cut, Dealt, Object, Ran as Returned, Slot};
use crate::schedule::Schedule;
use crate::storage::{LetterOf, NewLetter};
use crate::time::WallMs;

/// A run of a schedule, and what for.
struct Run {
    firing: Firing,
    /// As it runs.
    schedule: Schedule,
    spec: AlarmSpec,
    call: u64,
}

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
            return AfterRing::On;
        }
    };
    let run = Run { firing, schedule, spec, call };
    match O::decode_call(&run.schedule.method, &run.schedule.args) {
        Ok(message) => {
            let method = O::method(&message);
            witness::turn_began(slot, live, call, method);
            let of = (&run.schedule, run.spec, run.call);
            let (ran, dealt) = turn(slot, live, of, (message, method)).await;
            if dealt.erases && matches!(ran, Ran::Returned(Ok(()))) {
                // If the turn is not kept they have gone for nothing, and come back when they are called.
                slot.end_children(Cut::Parted).await;
            }
            settle(slot, live, run, method, (ran, dealt))
        }
        Err(error) => {
            let error = undecodable::<O>(&error, Outcome::RolledBack);
            fail(slot, live, run, &error.to_string(), true);
            AfterRing::On
        }
    }
}

fn chance<O: Object>(slot: &Slot<O>) -> u64 {
    let mut bytes = [0; 8];
    slot.host().entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

async fn turn<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (schedule, spec, call): (&Schedule, AlarmSpec, u64),
    (message, method): (O::Call, &'static MethodSpec),
) -> (Ran<Result<(), String>>, Dealt) {
    let now = slot.host().clock.wall();
    let left = schedule.after_run(now, &mut || chance(slot));
    let schedules = replaced(live.schedules(), &schedule.name, left);
    let time_over = time_over(slot, &spec);
    let access = if method.access == Access::Read { Turn::Read } else { Turn::Write };
    let info = schedule.info();
    let (object, mut cx) = live.scheduled_turn(slot, (call, access), (info, &schedules));
    let caught = |ran| match ran {
        Ok(ran) => Ran::Returned(ran),
        Err(panic) => Ran::Panicked(panic),
    };
    let ran = match (method.access, method.is_async) {
        (Access::Write, true) => limited(object.write_async(&mut cx, message), time_over).await,
        (Access::Read, true) => limited(object.read_async(&cx, message), time_over).await,
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

fn settle<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    run: Run,
    method: &'static MethodSpec,
    (ran, dealt): (Ran<Result<(), String>>, Dealt),
) -> AfterRing {
    let Dealt { kv, sql, alarm, schedules, erases, fault } = dealt;
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
    witness::turn_ended(slot, live, run.call, method, told);
    match (ran, encoded) {
        (_, Ok(_)) if is_kept && erases => {
            live.erase(slot, run.call, Some(Held::new(run.firing, Rung::Done)));
            AfterRing::Erased
        }
        (_, Ok(encoded)) if is_kept => {
            let change = used_up(slot, live, &run.schedule, &schedules);
            let alarm = live.alarm_change(alarm);
            let (cause, schedules) = (Cause::Method(method.name.into()), Some(change));
            let changes = Changes { encoded, kv, has_sql, cause, alarm, schedules };
            live.submit(slot, changes, (run.call, Some(Held::new(run.firing, Rung::Done))));
            AfterRing::On
        }
        (_, Err(error)) => {
            let counts = !error.code().starts_with("storage.");
            fail(slot, live, run, error.message(), counts);
            AfterRing::RollBack
        }
        (Ran::Returned(Err(text)), _) => {
            fail(slot, live, run, &text, true);
            AfterRing::RollBack
        }
        (Ran::Late, _) => {
            let text = late(slot, &run.spec);
            fail(slot, live, run, &text, true);
            AfterRing::RollBack
        }
        (Ran::Panicked(panic), _) => {
            let text = text_of(panic.as_ref()).to_owned();
            // What it did in the database is not to go with the commit that counts the failure.
            let is_undone = live.end_sql(crate::object::sql::Fate::Undo).is_ok();
            fail(slot, live, run, &format!("it panicked: {text}"), is_undone);
            AfterRing::Crash(Crash::of_panic(text, fault.as_ref()))
        }
        (Ran::Returned(Ok(())), Ok(_)) => unreachable!("a turn that is not kept has failed"),
    }
}

/// All schedules after a run that succeeded, with what the run itself did to them: that is newer than what is left of it.
fn used_up<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    run: &Schedule,
    deeds: &Deeds,
) -> ScheduleChange {
    let now = slot.host().clock.wall();
    let left = run.after_run(now, &mut || chance(slot));
    let all = replaced(live.schedules(), &run.name, left);
    ScheduleChange { all: changed(&all, deeds), letter: None }
}

/// Counts a failure, in a commit of its own, unless it is the system's.
fn fail<O: Object>(slot: &Arc<Slot<O>>, live: &mut Live<O>, run: Run, text: &str, counts: bool) {
    let Run { firing, schedule, spec, .. } = run;
    let (label, name) = (slot.label(), schedule.name.clone());
    let error = failed(&label, &name, text);
    if !counts || live.fence().broken().is_some() || slot.group().is_closing() {
        return firing.end(Rung::Postponed(error));
    }
    let now: WallMs = slot.host().clock.wall();
    let (left, letter) = match schedule.after_failure(&spec, now, &mut || chance(slot)) {
        Failed::Again(again) => {
            let retry = again.retries;
            tracing::warn!(object = label, schedule = name, error = text, retry, "a run failed");
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
            let Schedule { method, args, scheduled, .. } = schedule;
            let what = LetterOf::Schedule { name: name.clone(), method, args };
            let letter = NewLetter { what, error: shortened(text), at: now, attempts, scheduled };
            (left, Some(letter))
        }
    };
    let all = replaced(live.schedules(), &name, left);
    store(slot, live, ScheduleChange { all, letter }, (firing, Rung::Failed(error)));
}

fn failed(label: &str, name: &str, text: &str) -> Error {
    let text = format!(
        "schedule `{}` of {label} failed: {text}; its changes were undone, it is tried again",
        name.escape_debug()
    );
    Code::AlarmFailed.error(text).with_object(label)
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
