//! What runs when an object has been loaded: its tables' migrations, and `#[on_activate]`.

use std::sync::Arc;

use super::{Changes, Live, seal};
use crate::class::{Access, MethodSpec};
use crate::error::{Code, Error, Outcome};
use crate::history::Cause;
use crate::object::inside::run_hook;
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
        if let Some(hook) = object.on_activate(&mut cx) {
            run_hook(slot, &ON_ACTIVATE, hook).await.map_err(|reason| {
                Code::ObjectUnstartable.error(format!(
                    "`#[on_activate]` failed: {reason}; mend its cause and call again"
                ))
            })?;
        }
        let dealt = cx.into_dealt().without_work()?;
        let Dealt { kv, sql, alarm, schedules, sends, erases, fault, .. } = dealt;
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
