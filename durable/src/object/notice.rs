//! What an object hears of others: that a child of it has crashed, that one has ended that it watches.
//!
//! Each is a turn of its own, run by a hook. They are in memory only: an activation that ends has heard what it has heard.

use std::fmt::Display;
use std::sync::Arc;

use crate::class::{Access, MethodSpec};
use crate::history::Cause;
use crate::host::Event;
use crate::id::ObjectId;
use crate::kernel::family::ChildEnd;
use crate::kernel::restart::ExitReason;
use crate::object::activation::text_of;
use crate::object::inside::{Inside, Ran, overlong, run_limited};
use crate::object::live::{Changes, Live};
use crate::object::uncalled::{Judged, judge};
use crate::object::witness::{self, Told};
use crate::object::work::{begin_work, part};
use crate::object::{Cut, Dealt, Object, Slot};

/// A child that has crashed, as `#[on_child_exit]` is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildExit {
    /// The child.
    pub id: ObjectId,
    /// Its class.
    pub class: &'static str,
    /// Its name. `None`: only its id is known.
    pub name: Option<String>,
    /// Why it has ended.
    pub reason: ExitReason,
    /// What it said, for people.
    pub text: String,
    /// Restarts of this object's children within the period, the one that follows this end included.
    pub restarts: u32,
    /// The run that has ended, as the supervision events name it. Never given twice by one activation of the parent.
    pub incarnation: u64,
}

impl ChildExit {
    pub(crate) fn new(end: ChildEnd, (class, name): (&'static str, Option<Arc<str>>)) -> Self {
        let ChildEnd { id, run, exit, restarts } = end;
        let name = name.map(|name| name.to_string());
        ChildExit {
            id,
            class,
            name,
            reason: exit.reason,
            text: exit.text,
            restarts,
            incarnation: run,
        }
    }
}

/// An object that was watched and has ended, as `#[on_down]` is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Down {
    /// The object.
    pub id: ObjectId,
    /// Its class.
    pub class: &'static str,
    /// Its name. `None`: only its id is known.
    pub name: Option<String>,
    /// Why it has ended; [`ExitReason::Normal`] if it was deleted.
    pub reason: ExitReason,
    /// What it said, for people.
    pub text: String,
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A child has crashed.
    ChildExit(ChildExit),
    /// A watched object has ended.
    Down(Down),
}

/// What `#[on_child_exit]` and `#[on_down]` may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`#[on_child_exit]` and `#[on_down]` cannot return `{Self}`",
    label = "returns `{Self}`",
    note = "return nothing, or `Result<(), E>` with an error `E` that implements `Display`"
)]
pub trait Heard {
    /// The failure as text.
    fn into_result(self) -> Result<(), String>;
}

impl Heard for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Display> Heard for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// What follows on the turn of a notice.
pub(crate) enum AfterNotice {
    /// The next turn.
    On,
    /// The struct in memory is not what the object is: it is to be undone.
    RollBack,
    /// The end: nothing of the object is left.
    Erased,
    /// The object in memory cannot be trusted any more.
    Crash(String),
}

/// What the hooks are called in errors and reports.
static ON_CHILD_EXIT: MethodSpec = MethodSpec::new("#[on_child_exit]", Access::Write, true);
static ON_DOWN: MethodSpec = MethodSpec::new("#[on_down]", Access::Write, true);

/// Runs the hook that a notice is for, and hands over what it changed. What it returns as an error is logged and undone:
/// nobody has called it.
pub(crate) async fn tell<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    notice: Notice,
) -> AfterNotice {
    let (hook, about, run) = match &notice {
        Notice::ChildExit(exit) => (&ON_CHILD_EXIT, exit.id, exit.incarnation),
        Notice::Down(down) => (&ON_DOWN, down.id, 0),
    };
    let call = slot.host().director.as_ref().map_or(0, |director| director.number_call());
    slot.host().report(|| Event::Heard { object: slot.id_ref(), about: &about, run });
    witness::turn_began(slot, live, call, hook);
    let (object, mut cx) = live.turn(slot, call);
    // Nothing of the user's runs before the first poll.
    let ran = match object.hear(&mut cx, notice) {
        Some(heard) => {
            let inside = Inside::of_none(slot, hook, call);
            run_limited(slot, inside, slot.group().turn_limit(), heard).await
        }
        None => Ran::Returned(Ok(())),
    };
    let dealt = cx.into_dealt();
    let Dealt { kv, sql, alarm, schedules, sends, spawned, erases, fault } = dealt;
    let judged = judge(live, &ran, &sql, (fault.as_ref(), erases));
    let Judged { is_kept, encoded, has_sql, told_as } = judged;
    let (alarm, schedules) = (live.alarm_change(alarm), live.schedule_change(&schedules));
    let has_times = alarm.is_some() || schedules.is_some();
    let has_rows = !kv.is_empty() || has_sql || !sends.is_empty();
    let has_changes = has_rows || has_times || matches!(encoded, Ok(Some(_)));
    witness::turn_ended(slot, live, call, hook, Told { ended: told_as, kv: &kv, has_changes });
    let why_not = match (ran, encoded) {
        (Ran::Panicked(panic), _) => {
            let text = text_of(panic.as_ref()).to_owned();
            tracing::error!(
                object = slot.label(),
                hook = hook.name,
                panic = text,
                "a hook panicked"
            );
            return AfterNotice::Crash(text);
        }
        (_, Ok(_)) if is_kept && erases => {
            slot.end_children(Cut::Parted).await;
            live.erase(slot, sends, (call, None));
            part(slot, live, call, spawned);
            return AfterNotice::Erased;
        }
        (_, Ok(encoded)) if is_kept => {
            let cause = Cause::Method(hook.name.into());
            let changes =
                Changes { encoded, kv, has_sql, cause, alarm, schedules, sends, result: None };
            if !changes.is_empty() {
                live.submit(slot, changes, (call, None));
            }
            begin_work(slot, live, (hook.name, call), spawned);
            return AfterNotice::On;
        }
        (Ran::Returned(Err(text)), _) => text,
        (_, Err(error)) => error.to_string(),
        (Ran::Late, Ok(_)) => overlong(slot, hook.name).to_string(),
        (Ran::Returned(Ok(())), Ok(_)) => unreachable!("a turn that is not kept has failed"),
    };
    tracing::error!(object = slot.label(), hook = hook.name, error = why_not, "a hook failed");
    AfterNotice::RollBack
}
