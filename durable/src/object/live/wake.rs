//! What runs when an object has been loaded: its tables' migrations, and `#[on_activate]`.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use super::{Changes, Live, seal};
use crate::class::{Access, MethodSpec};
use crate::directory::Fault;
use crate::error::{Code, Error, Outcome};
use crate::history::Cause;
use crate::object::inside::{Inside, Ran, run_limited};
use crate::object::sql::Fate;
use crate::object::{Dealt, Object, Slot};

/// What `#[on_activate]` is called in errors and reports.
static ON_ACTIVATE: MethodSpec = MethodSpec::new("#[on_activate]", Access::Write, true);

impl<O: Object> Live<O> {
    /// Runs `#[on_activate]`, if the class has one. What it changed is then to be submitted.
    pub(crate) async fn wake(&mut self, slot: &Arc<Slot<O>>) -> Result<Changes, Error> {
        let (object, mut cx) = self.turn(slot, 0);
        if object.on_activate(&mut cx).is_none() {
            return Ok(Changes::default());
        }
        // What the hook changes is seen against what was decoded: some states do not encode to the bytes that they came
        // from, and an object must not commit by being woken.
        if let Some(encoded) = self.encode()? {
            self.framed = seal::<O>(encoded, slot.group().fingerprint());
        }
        let (object, mut cx) = self.turn(slot, 0);
        let limit = slot.group().turn_limit();
        let ran = match object.on_activate(&mut cx) {
            Some(hook) => {
                let inside = Inside::of_none(slot, &ON_ACTIVATE, 0);
                Box::pin(run_limited(slot, inside, limit, hook)).await
            }
            None => Ran::Returned(Ok(())),
        };
        let dealt = cx.into_dealt();
        if let Some(error) = &dealt.fault
            && !matches!(ran, Ran::Returned(Ok(())))
            && (Fault::of_start(error) == Fault::System || error.is(Code::SqlRolledBack))
        {
            // Whatever the hook makes of it, it is not the hook that has failed.
            return Err(error.clone());
        }
        woken(ran, limit)?;
        let Dealt { kv, sql, alarm, schedules, sends, erases, fault, .. } = dealt.without_work()?;
        if let Some(error) = fault {
            return Err(error);
        }
        if erases {
            return Err(Code::ObjectUnstartable.error(
                "`#[on_activate]` erases the object, which then would begin anew and erase itself \
                 again; erase it in a method",
            ));
        }
        let encoded = self.encode()?;
        let has_sql = sql.is_used && self.end_sql(Fate::Keep)?;
        Ok(Changes {
            encoded,
            kv,
            has_sql,
            cause: Cause::Activation,
            alarm: self.alarm_change(alarm),
            schedules: self.schedule_change(&schedules),
            sends,
            result: None,
        })
    }

    /// Brings the tables of a stored object up to date, if its class says how they are to be. Gives whether that is then to
    /// be submitted. An object that was never stored has its tables made when they are first used, and stored with
    /// its first commit.
    pub(crate) fn migrate(&mut self, slot: &Arc<Slot<O>>) -> Result<bool, Error> {
        if O::CLASS.migrations.is_empty() || self.commit_no == 0 || self.is_gone {
            return Ok(false);
        }
        let (_, cx) = self.turn(slot, 0);
        cx.open_sql().map_err(|error| error.with_outcome(Outcome::NotStarted))?;
        drop(cx);
        self.end_sql(Fate::Keep)?;
        Ok(self.sql.get().is_some_and(|sql| sql.has_changes()))
    }
}

/// What has become of `#[on_activate]`.
fn woken(ran: Ran<Result<(), String>>, limit: Duration) -> Result<(), Error> {
    let text = match ran {
        Ran::Returned(Ok(())) => return Ok(()),
        Ran::Returned(Err(reason)) => format!("failed: {reason}; mend its cause and call again"),
        Ran::Late => format!(
            "had not ended after {limit:?} and was cut off; mend what it waits for, \
             or give its class more time with `turn_limit`"
        ),
        Ran::Panicked(panic) => resume_unwind(panic),
    };
    Err(Code::ObjectUnstartable.error(format!("`#[on_activate]` {text}")))
}
