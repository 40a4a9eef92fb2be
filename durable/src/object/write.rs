//! The turn of a write: it has the object to itself, and what it did is stored, undone, or nothing.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::class::{Durability, MethodSpec};
use crate::error::Error;
use crate::history::Cause;
use crate::host::TurnEnd;
use crate::interceptor::TurnOutcome;
use crate::kernel::commit::{self, Encoded, Ended, Rows, Verdict};
use crate::kv::KvChange;
use crate::object::activation::{
    Came, Flow, answer_panic, at_once, catch_encode, end_sql, ended_as, let_out, roll_back,
};
use crate::object::call::{Running, discard};
use crate::object::carried::carrying;
use crate::object::ends::Crash;
use crate::object::inside::{self, run_called};
use crate::object::intercepted::{may_begin, outcome};
use crate::object::keyed::{self, Looked};
use crate::object::live::{AlarmChange, Changes, Live, ScheduleChange};
use crate::object::witness::{self, Told};
use crate::object::work::{Spawned, begin_work, part};
use crate::object::{Cut, Dealt, Object, PendingCall, Slot};
use crate::storage::{ResultWrite, SendWrite};

/// Runs one write.
///
/// # Errors
/// The text of a panic: the object in memory cannot be trusted any more.
pub(super) async fn run_write<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    call: Arc<PendingCall<O>>,
) -> Result<Flow, Crash> {
    let Some(message) = slot.take(&call) else { return Ok(Flow::On) };
    let method = O::method(&message);
    let Some(mut running) = may_begin(slot, Running::new(call), method) else {
        discard(message);
        return Ok(Flow::On);
    };
    if let Some(keyed) = running.call().keyed()
        && let Looked::Known(answer) = keyed::look(slot, live, running.number(), (keyed, method))
    {
        slot.turn_skipped();
        let failed = |error: &Error| TurnOutcome::Failed(error.code());
        running.has_ended(answer.as_ref().map_or_else(failed, |_| TurnOutcome::Repeated));
        let_out(slot, live, running, answer);
        discard(message);
        return Ok(Flow::On);
    }
    witness::turn_began(slot, live, running.number(), method);
    // What a turn holds across an await is not held by every object in memory.
    let left = if method.is_async {
        Box::pin(run_waiting(slot, live, (running, method), message)).await
    } else {
        let (object, mut cx) = live.turn(slot, running.number());
        cx.carry(running.call().metadata());
        let ran = at_once(catch_unwind(AssertUnwindSafe(|| object.write(&mut cx, message))));
        let left = cx.left();
        drop(cx);
        settle_write(slot, live, (running, method), (ran, left))
    };
    match left? {
        Left::Whole => Ok(Flow::On),
        Left::Undone => Box::pin(roll_back(slot, live)).await.map(|()| Flow::On),
        Left::Nothing(last, running, reply) => {
            Box::pin(erase(slot, live, *last, (running, reply))).await;
            Ok(Flow::Erased)
        }
    }
}

/// Runs a write that may wait.
///
/// # Errors
/// As [`settle_write`].
async fn run_waiting<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (running, method): (Running<O>, &'static MethodSpec),
    message: O::Call,
) -> Result<Left<O>, Crash> {
    let (object, mut cx) = live.turn(slot, running.number());
    let metadata = running.call().metadata();
    cx.carry(metadata);
    let turn = carrying(metadata, object.write_async(&mut cx, message));
    let ran = run_called(slot, running.call(), turn).await;
    let left = cx.left();
    drop(cx);
    settle_write(slot, live, (running, method), (ran, left))
}

/// What a write leaves in memory.
enum Left<O: Object> {
    /// What the object is.
    Whole,
    /// What is to be undone.
    Undone,
    /// Nothing is to be left; only then has it its answer.
    Nothing(Box<(SendWrite, Spawned)>, Running<O>, O::Reply),
}

/// Judges a write that has run.
///
/// # Errors
/// The text of a panic.
fn settle_write<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (mut running, method): (Running<O>, &'static MethodSpec),
    (ran, mut left): (Came<O::Reply>, Option<Box<Dealt>>),
) -> Result<Left<O>, Crash> {
    let fault = left.as_mut().and_then(|dealt| dealt.fault.take());
    let ran = in_time(&running, ran);
    let (ended, encoded) = match (&ran, &fault) {
        (Came::Panicked(_), _) => (Ended::Panicked, Ok(None)),
        (_, Some(error)) => (Ended::Failed, Err(error.clone())),
        (Came::Late, None) => (Ended::Failed, Err(inside::late(slot, running.call(), method.name))),
        (Came::Returned(ran), None) => {
            let ended = if ran.is_rejected { Ended::Rejected } else { Ended::Kept };
            (ended, catch_encode(live))
        }
    };
    let (encoded, result) = match (running.call().keyed(), &ran) {
        (Some(keyed), Came::Returned(ran)) if ended == Ended::Kept => {
            keyed::with_result(slot, live, (keyed, method), (&ran.reply, encoded))
        }
        _ => (encoded, None),
    };
    let (ended, encoded, beside) = if left.is_some() || result.is_some() {
        let done = beside(live, left.unwrap_or_default(), (ended, encoded), result);
        (done.0, done.1, Some(done.2))
    } else {
        (ended, encoded, None)
    };
    running.has_ended(outcome(&ran, |ran| ran.is_rejected, encoded.as_ref().err()));
    let erases = beside.as_ref().is_some_and(|beside| beside.erases);
    let has_rows = beside.as_ref().is_some_and(|beside| beside.has_rows());
    let told = Told {
        ended: if erases { TurnEnd::Erased } else { ended_as(&ran) },
        kv: beside.as_ref().map_or(&[], |beside| &beside.kv),
        has_changes: has_rows || matches!(encoded, Ok(Some(_))),
    };
    witness::turn_ended(slot, live, running.number(), method, told);
    if matches!(ran, Came::Returned(_)) {
        slot.turn_ended_well();
    }
    match (ran, beside) {
        (Came::Returned(ran), Some(beside)) if erases => {
            Ok(Left::Nothing(Box::new((beside.sends, beside.spawned)), running, ran.reply))
        }
        (ran, beside) => {
            let rows = if has_rows { Rows::Changed } else { Rows::Same };
            let (method, encoded) = (method.name, (encoded, rows));
            let write = Write { running, method, ran, ended, encoded, beside, fault };
            judge_write(slot, live, write)
        }
    }
}

/// A turn that has returned when its caller was told already that its time is over: it is late.
pub(super) fn in_time<O: Object>(running: &Running<O>, ran: Came<O::Reply>) -> Came<O::Reply> {
    match ran {
        Came::Returned(ran) if !running.call().ends() => {
            discard(ran.reply);
            Came::Late
        }
        ran => ran,
    }
}

/// What a write did beside changing the struct.
struct Beside {
    kv: Vec<KvChange>,
    has_sql: bool,
    alarm: Option<AlarmChange>,
    schedules: Option<ScheduleChange>,
    sends: SendWrite,
    /// What is kept of its result. `None`: nothing.
    result: Option<Arc<ResultWrite>>,
    spawned: Spawned,
    /// It is kept, and nothing of the object is to be left.
    erases: bool,
}

impl Beside {
    /// Whether anything of it is to be stored.
    fn has_rows(&self) -> bool {
        let is_awake = self.alarm.is_some() || self.schedules.is_some() || !self.sends.is_empty();
        !self.kv.is_empty() || self.has_sql || is_awake || self.result.is_some()
    }
}

/// Ends what a write did beside changing the struct.
fn beside<O: Object>(
    live: &Live<O>,
    dealt: Box<Dealt>,
    (ended, encoded): (Ended, Snapshot),
    result: Option<Arc<ResultWrite>>,
) -> (Ended, Snapshot, Box<Beside>) {
    let Dealt { kv, sql, alarm, schedules, sends, spawned, erases, .. } = *dealt;
    let (ended, encoded, has_sql) = end_sql(live, &sql, (ended, encoded));
    let (alarm, schedules) = (live.alarm_change(alarm), live.schedule_change(&schedules));
    let erases = erases && ended == Ended::Kept;
    let beside = Beside { kv, has_sql, alarm, schedules, sends, result, spawned, erases };
    (ended, encoded, Box::new(beside))
}

/// What a write leaves of the struct, or why it cannot be kept. `None`: it is as it was.
type Snapshot = Result<Option<Vec<u8>>, Error>;

/// A write that has run.
struct Write<O: Object> {
    running: Running<O>,
    method: &'static str,
    ran: Came<O::Reply>,
    ended: Ended,
    /// The struct, and whether there is more to be stored.
    encoded: (Snapshot, Rows),
    /// `None`: it did nothing but change the struct.
    beside: Option<Box<Beside>>,
    /// What has failed its turn below the method. `None`: nothing.
    fault: Option<Error>,
}

/// Stores and answers a write.
///
/// # Errors
/// As [`settle_write`].
fn judge_write<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    write: Write<O>,
) -> Result<Left<O>, Crash> {
    let Write { running, method, ran, ended, encoded: (encoded, rows), beside, fault } = write;
    let turn = (method, running.number());
    let comparison = match &encoded {
        Ok(None) => Encoded::Same,
        Ok(Some(_)) => Encoded::Different,
        Err(_) => Encoded::Impossible,
    };
    let answer = match (commit::judge(ended, comparison, rows), ran, encoded) {
        (Verdict::Commit, Came::Returned(ran), Ok(encoded)) => {
            let cause = Cause::Method(Cow::Borrowed(method));
            let (changes, spawned) = changes(encoded, cause, beside);
            let number = running.number();
            if running.durability() == Durability::Relaxed {
                live.submit(slot, changes, (number, None));
                running.answer(Ok(ran.reply));
            } else {
                live.submit(slot, changes, (number, Some(running.hold(Ok(ran.reply)))));
            }
            begin_work(slot, live, turn, spawned);
            return Ok(Left::Whole);
        }
        (Verdict::Answer, Came::Returned(ran), _) => {
            let_out(slot, live, running, Ok(ran.reply));
            // A refusal that has changed nothing is answered as it is.
            if let Some(beside) = beside.filter(|_| ended == Ended::Kept) {
                begin_work(slot, live, turn, beside.spawned);
            }
            return Ok(Left::Whole);
        }
        (Verdict::RollBack, Came::Returned(ran), _) => Ok(ran.reply),
        (Verdict::Refuse, _, Err(error)) => Err(error.with_object(slot.label())),
        (Verdict::Crash, Came::Panicked(panic), _) => {
            let text = answer_panic(slot, live, running, method, panic.as_ref());
            return Err(Crash::of_panic(text, fault.as_ref()));
        }
        (verdict, ..) => unreachable!("{verdict:?} does not follow from how the turn ended"),
    };
    let_out(slot, live, running, answer);
    Ok(Left::Undone)
}

/// What a write that is kept has to be stored, and what is to be done after it.
fn changes(
    encoded: Option<Vec<u8>>,
    cause: Cause,
    beside: Option<Box<Beside>>,
) -> (Changes, Spawned) {
    let Some(beside) = beside else {
        return (Changes { encoded, cause, ..Changes::default() }, Spawned::default());
    };
    let Beside { kv, has_sql, alarm, schedules, sends, result, spawned, .. } = *beside;
    (Changes { encoded, kv, has_sql, cause, alarm, schedules, sends, result }, spawned)
}

/// Answers a turn that wants nothing of its object to be left. Nothing of its children is, either, so they go first.
async fn erase<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    (sends, spawned): (SendWrite, Spawned),
    (running, reply): (Running<O>, O::Reply),
) {
    let call = running.number();
    Box::pin(slot.end_children(Cut::Parted)).await;
    let owns_nothing =
        async { matches!(slot.group().shard(&slot.id()).has_kin(slot.id()).await, Ok(false)) };
    if !live.is_stored() && sends.is_empty() && owns_nothing.await {
        let_out(slot, live, running, Ok(reply));
    } else if running.durability() == Durability::Relaxed {
        live.erase(slot, sends, (call, None));
        running.answer(Ok(reply));
    } else {
        live.erase(slot, sends, (call, Some(running.hold(Ok(reply)))));
    }
    part(slot, live, call, spawned);
}
