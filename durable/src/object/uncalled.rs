//! A turn that nobody called: that of an alarm or of a schedule. Its commit uses up what it was for, counts the failure, or
//! makes a dead letter of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::class::MethodSpec;
use crate::due::AlarmSpec;
use crate::error::Error;
use crate::history::Cause;
use crate::host::TurnEnd;
use crate::kernel::alarm::Kind;
use crate::kernel::commit::Ended;
use crate::kernel::schedule::Deeds;
use crate::limits::DEAD_LETTER_ERROR_BYTES_MAX;
use crate::metadata::Metadata;
use crate::object::activation::{catch_encode, end_sql, text_of};
use crate::object::alarm::Deed;
use crate::object::ends::Crash;
use crate::object::inside::Ran;
use crate::object::intercepted::{Around, outcome};
use crate::object::live::{AlarmChange, Changes, Live, ScheduleChange};
use crate::object::sql::{Fate, SqlDealt};
use crate::object::witness::{self, Told};
use crate::object::work::{begin_work, part};
use crate::object::{Cut, Dealt, Delivery, Object, Slot};
use crate::storage::{Release, SendWrite};
use crate::time::WallMs;

/// What became of an alarm that was fired.
#[derive(Clone, Debug)]
pub(crate) enum Rung {
    /// Its handler has run, and what it did is durable.
    Done,
    /// Its handler has failed, and that is durable.
    Failed(Error),
    /// A send has failed, so often, and is to be delivered again from then on.
    Again { due: WallMs, retries: u32 },
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
    /// The send that is delivered. `None`: it is none.
    pub(super) delivery: Option<Box<Delivery>>,
    /// Is told what became of it, once. `None`: it was told.
    told: Option<Box<dyn FnOnce(Rung) + Send>>,
}

impl Firing {
    pub(crate) fn new(
        kind: Kind,
        wanted: Option<(i64, u64)>,
        told: impl FnOnce(Rung) + Send + 'static,
    ) -> Self {
        Firing { kind, wanted, schedule: None, delivery: None, told: Some(Box::new(told)) }
    }

    /// Somebody wants a schedule to run, due or not.
    pub(crate) fn by_hand(schedule: String, told: impl FnOnce(Rung) + Send + 'static) -> Self {
        let mut firing = Firing::new(Kind::Schedule, None, told);
        firing.schedule = Some(schedule);
        firing
    }

    /// A send is delivered.
    pub(crate) fn of_send(delivery: Delivery, told: impl FnOnce(Rung) + Send + 'static) -> Self {
        let mut firing = Firing::new(Kind::Send, None, told);
        firing.delivery = Some(Box::new(delivery));
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

/// A turn that nobody called.
pub(super) struct Uncalled<P> {
    pub(super) firing: Firing,
    pub(super) purpose: P,
    pub(super) spec: AlarmSpec,
    pub(super) method: &'static MethodSpec,
    pub(super) call: u64,
    /// Whoever is to be told of its end. `None`: nobody is.
    pub(super) around: Option<Box<Around>>,
}

/// What a turn did to its object's alarm and schedules.
pub(super) type Did<'a> = (Deed, &'a Deeds);

/// What is stored of them.
pub(super) type Left = (Option<AlarmChange>, Option<ScheduleChange>);

/// Where it is stored that a run has failed.
pub(super) enum Counted {
    /// Here, with what follows on it.
    Here(Box<Changes>),
    /// By whoever is told.
    There(Rung),
}

impl Counted {
    pub(super) fn here(changes: Changes) -> Self {
        Counted::Here(Box::new(changes))
    }
}

/// What a turn that nobody called is for.
pub(super) trait Purpose<O: Object>: Sized {
    /// What travels with it, if it was sent. `None`: nobody has called it.
    fn sent(&self) -> Option<&Metadata> {
        None
    }
    /// What a history says of its commit.
    fn cause(&self, method: &'static MethodSpec) -> Cause;
    /// What is left to do for the object after a run that succeeded.
    fn used_up(&self, slot: &Slot<O>, live: &Live<O>, did: Did<'_>) -> Left;
    /// What the commit of a run that succeeded says about sends, of what the run has done about them.
    fn sends(&self, sends: SendWrite) -> SendWrite {
        sends
    }
    /// The commit of a run that succeeded is on its way.
    fn kept(&self, _: &Live<O>) {}
    /// What is left to do after a run that failed: the next one, or none and a dead letter.
    fn failed(self, slot: &Slot<O>, live: &Live<O>, spec: &AlarmSpec, text: &str) -> Counted;
    /// What is said of a failure.
    fn error(&self, label: &str, text: &str) -> Error;
}

/// How a turn ended that nobody called, and what it leaves.
pub(super) struct Judged {
    pub(super) is_kept: bool,
    /// The struct; `None`: as it is stored. `Err`: why nothing may be stored.
    pub(super) encoded: Result<Option<Vec<u8>>, Error>,
    /// The database has changed.
    pub(super) has_sql: bool,
    pub(super) told_as: TurnEnd,
}

/// Judges a turn that nobody called. `fault`: what has failed it below the method; `erases`: it wants nothing to be left.
pub(super) fn judge<O: Object>(
    live: &Live<O>,
    ran: &Ran<Result<(), String>>,
    sql: &SqlDealt,
    (fault, erases): (Option<&Error>, bool),
) -> Judged {
    let (ended, encoded) = match (ran, fault) {
        (Ran::Panicked(_), _) => (Ended::Panicked, Ok(None)),
        (_, Some(error)) => (Ended::Failed, Err(error.clone())),
        (Ran::Returned(Ok(())), None) => (Ended::Kept, catch_encode(live)),
        (Ran::Returned(Err(_)) | Ran::Late, None) => (Ended::Rejected, Ok(None)),
    };
    let (ended, encoded, has_sql) = end_sql(live, sql, (ended, encoded));
    let is_kept = ended == Ended::Kept && encoded.is_ok();
    let told_as = match ended {
        Ended::Panicked => TurnEnd::Panicked,
        _ if is_kept && erases => TurnEnd::Erased,
        _ if is_kept => TurnEnd::Kept,
        _ => TurnEnd::Rejected,
    };
    Judged { is_kept, encoded, has_sql, told_as }
}

/// Ends a turn that nobody called.
pub(super) async fn settle<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    mut run: Uncalled<impl Purpose<O>>,
    (ran, dealt): (Ran<Result<(), String>>, Dealt),
) -> AfterRing {
    let Dealt { kv, sql, alarm, schedules, sends, spawned, erases, fault } = dealt;
    let judged = judge(live, &ran, &sql, (fault.as_ref(), erases));
    let Judged { is_kept, encoded, has_sql, told_as } = judged;
    if let Some(around) = run.around.take() {
        around.end(outcome(&ran, Result::is_err, encoded.as_ref().err()));
    }
    let told = Told { ended: told_as, kv: &kv, has_changes: true };
    witness::turn_ended(slot, live, run.call, run.method, told);
    let why = match (ran, encoded) {
        (_, Ok(_)) if is_kept && erases => {
            slot.end_children(Cut::Parted).await;
            let sends = run.purpose.sends(sends);
            live.erase(slot, sends, (run.call, Some(Held::new(run.firing, Rung::Done))));
            part(slot, live, run.call, spawned);
            return AfterRing::Erased;
        }
        (_, Ok(encoded)) if is_kept => {
            let (alarm, schedules) = run.purpose.used_up(slot, live, (alarm, &schedules));
            let (cause, sends) = (run.purpose.cause(run.method), run.purpose.sends(sends));
            let changes =
                Changes { encoded, kv, has_sql, cause, alarm, schedules, sends, result: None };
            live.submit(slot, changes, (run.call, Some(Held::new(run.firing, Rung::Done))));
            run.purpose.kept(live);
            begin_work(slot, live, (run.method.name, run.call), spawned);
            return AfterRing::On;
        }
        (Ran::Panicked(panic), Ok(_)) => {
            let text = text_of(panic.as_ref()).to_owned();
            // What it did in the database is not to go with the commit that counts the failure.
            let is_undone = live.end_sql(Fate::Undo).is_ok();
            fail(slot, live, run, &format!("it panicked: {text}"), is_undone);
            return AfterRing::Crash(Crash::of_panic(text, fault.as_ref()));
        }
        (_, Err(error)) => {
            let counts = !error.code().starts_with("storage.");
            fail(slot, live, run, error.message(), counts);
            return AfterRing::RollBack;
        }
        (Ran::Returned(Err(text)), _) => text,
        (Ran::Late, _) => late(slot, &run.spec),
        (Ran::Returned(Ok(())), Ok(_)) => unreachable!("a turn that is not kept has failed"),
    };
    fail(slot, live, run, &why, true);
    AfterRing::RollBack
}

/// Counts a failure, in a commit of its own, unless it is the system's.
pub(super) fn fail<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    run: Uncalled<impl Purpose<O>>,
    text: &str,
    counts: bool,
) {
    let Uncalled { firing, purpose, spec, .. } = run;
    let error = purpose.error(&slot.label(), text);
    if !counts || live.fence().broken().is_some() || slot.group().is_closing() {
        return firing.end(Rung::Postponed(error));
    }
    match purpose.failed(slot, live, &spec, text) {
        Counted::Here(changes) => {
            live.submit(slot, *changes, (0, Some(Held::new(firing, Rung::Failed(error)))));
        }
        Counted::There(rung) => firing.end(rung),
    }
}

/// Eight bytes of chance, for delays.
pub(super) fn chance<O: Object>(slot: &Slot<O>) -> u64 {
    let mut bytes = [0; 8];
    slot.host().entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// How long a run may take.
pub(super) fn limit<O: Object>(slot: &Slot<O>, spec: &AlarmSpec) -> Duration {
    spec.limit.unwrap_or_else(|| slot.group().alarm_limit())
}

/// What a run that ran over its limit has failed with.
fn late<O: Object>(slot: &Slot<O>, spec: &AlarmSpec) -> String {
    format!("it ran over its limit of {:?}", limit(slot, spec))
}

/// As much of a text as a dead letter keeps.
pub(super) fn shortened(text: &str) -> String {
    let mut end = text.len().min(DEAD_LETTER_ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
