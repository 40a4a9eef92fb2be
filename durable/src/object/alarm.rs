//! What a turn does to its object's alarm.

use std::fmt::{self, Display};
use std::time::Duration;

use parking_lot::Mutex;

use crate::due::{Alarm as SetAlarm, AlarmView};
use crate::error::{Code, Error};
use crate::host::Event;
use crate::limits::ALARM_AHEAD_MAX;
use crate::object::kv::{Owner, Turn, Witness};
use crate::time::WallMs;

/// A class with a handler of its alarms. Implemented by `#[durable_object]`, never by hand.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler of its alarms",
    label = "an alarm of `{Self}` would find nobody",
    note = "put `#[alarm]` on a method of the impl: `#[alarm] async fn ring(&mut self, cx: &mut Context<'_, Self>)`"
)]
pub trait Alarmed {}

/// What `#[alarm]` may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`#[alarm]` cannot return `{Self}`",
    label = "returns `{Self}`",
    note = "return nothing, or `Result<(), E>` with an error `E` that implements `Display`"
)]
pub trait Rang {
    /// The failure as text.
    fn into_result(self) -> Result<(), String>;
}

impl Rang for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Display> Rang for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// An object's alarm, as one turn sees it: it is set at most once at a time, and what the turn does to it is part of the
/// turn. Comes from [`Context::alarm`](crate::Context::alarm).
///
/// ```
/// use std::time::Duration;
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Trial { is_over: bool }
///
/// #[durable_object(name = "doc.Trial")]
/// impl Trial {
///     pub fn begin(&mut self, cx: &mut Context<'_, Self>) {
///         cx.alarm().set_after(Duration::from_secs(30 * 86_400));
///     }
///
///     pub fn buy(&mut self, cx: &mut Context<'_, Self>) { cx.alarm().cancel(); }
///
///     pub fn ends_at(&self, cx: &Context<'_, Self>) -> Option<u64> {
///         cx.alarm().get().map(|alarm| alarm.due.0)
///     }
///
///     #[alarm]
///     fn end(&mut self) { self.is_over = true; }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Trial>().start().await?;
/// let trial = runtime.get::<Trial>("ada");
/// trial.begin().await?;
/// assert!(trial.ends_at().await?.is_some());
/// trial.buy().await?;
/// assert_eq!(trial.ends_at().await?, None);
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// Cloudflare Durable Objects, Alarms. Ours keeps alarm and state in one database and one commit, so that neither is ever
/// there without the other.
#[derive(Clone, Copy)]
pub struct Alarm<'c> {
    desk: &'c AlarmDesk<'c>,
    owner: &'c dyn Owner,
}

impl<'c> Alarm<'c> {
    pub(crate) fn new(desk: &'c AlarmDesk<'c>, owner: &'c dyn Owner) -> Self {
        Alarm { desk, owner }
    }

    /// Sets the alarm, in place of one that is set.
    ///
    /// `at`: milliseconds since the Unix epoch; a time that is past fires at once. The handler runs in a later turn, after
    /// this turn's commit, and never if this turn fails. In the handler itself any time, also one that is past, fires
    /// again.
    ///
    /// # Errors
    /// The turn fails, whatever it returns: with `alarm.too_far` if `at` is more than
    /// [`ALARM_AHEAD_MAX`](crate::limits::ALARM_AHEAD_MAX) ahead, with `alarm.read_only` if it takes `&self`.
    ///
    /// # Panics
    /// In `#[init]`, which stores nothing. Set it in `#[on_activate]`, or in a method.
    pub fn set(self, at: WallMs) {
        let now = self.owner.peek_now();
        if let Some(now) = now.filter(|now| at.0.saturating_sub(now.0) > AHEAD_MS_MAX) {
            let text = format!(
                "the alarm of {} is set {} ms ahead, the limit is {AHEAD_MS_MAX} ms; set it in steps, or mend its unit",
                self.owner.label(),
                at.0 - now.0
            );
            return self.desk.fail(Code::AlarmTooFar.error(text));
        }
        self.change(Deed::Set(at));
    }

    /// Sets the alarm so much after [`now`](crate::Context::now), in place of one that is set. As [`set`](Self::set).
    pub fn set_after(self, delay: Duration) {
        let ms = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.set(WallMs(self.owner.told_now().0.saturating_add(ms)));
    }

    /// The alarm that is set, as this turn leaves it. `None`: none is. In its handler none is until the handler sets one.
    pub fn get(self) -> Option<AlarmView> {
        let deed = *self.desk.deed.lock();
        match (deed, &self.desk.base) {
            (Deed::Set(at), _) => Some(SetAlarm::at(at).view()),
            (Deed::Cancelled, _) => None,
            (Deed::None, AlarmBase::Is(alarm)) => alarm.map(SetAlarm::view),
            (Deed::None, AlarmBase::Unknown) => {
                self.owner.lacks("asks for its alarm");
                None
            }
        }
    }

    /// Takes the alarm back, if one is set. In its handler it takes back what the handler has set; the handler goes on, and
    /// if it fails it is run again.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn cancel(self) {
        self.change(Deed::Cancelled);
    }

    fn change(self, deed: Deed) {
        let label = || self.owner.label();
        match self.desk.turn {
            Turn::Write => self.desk.deal(deed),
            Turn::Read => self.desk.fail(Code::AlarmReadOnly.error(format!(
                "a turn that takes `&self` of {} changes its alarm and may only look; let the method take `&mut self`",
                label()
            ))),
            Turn::Init => panic!(
                "`#[init]` of {} changes its alarm, and nothing of it is stored; do it in `#[on_activate]` or a method",
                label()
            ),
        }
    }
}

impl fmt::Debug for Alarm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("object", &self.owner.label()).finish_non_exhaustive()
    }
}

const AHEAD_MS_MAX: u64 = ALARM_AHEAD_MAX.as_secs() * 1_000;

/// What a turn has done to its object's alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing.
    #[default]
    None,
    Set(WallMs),
    Cancelled,
}

/// The alarm before a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AlarmBase {
    Is(Option<SetAlarm>),
    /// Of a class that is run alone nobody knows the alarms.
    Unknown,
}

/// A turn's view of its object's alarm.
pub(crate) struct AlarmDesk<'a> {
    base: AlarmBase,
    turn: Turn,
    witness: Option<Witness<'a>>,
    deed: Mutex<Deed>,
    /// Why the turn cannot be kept. `None`: it can.
    fault: Mutex<Option<Error>>,
}

impl<'a> AlarmDesk<'a> {
    pub(crate) fn new(base: AlarmBase, turn: Turn, witness: Option<Witness<'a>>) -> Self {
        AlarmDesk { base, turn, witness, deed: Mutex::default(), fault: Mutex::default() }
    }

    pub(crate) fn deed(&self) -> Deed {
        *self.deed.lock()
    }

    /// Goes back to what it was.
    pub(crate) fn reset(&self, deed: Deed) {
        if self.deed() != deed {
            self.deal(deed);
        }
    }

    pub(crate) fn has_dealt(&mut self) -> bool {
        *self.deed.get_mut() != Deed::None || self.fault.get_mut().is_some()
    }

    pub(crate) fn take_dealt(&mut self) -> (Deed, Option<Error>) {
        (std::mem::take(self.deed.get_mut()), self.fault.get_mut().take())
    }

    fn deal(&self, deed: Deed) {
        *self.deed.lock() = deed;
        if let Some(Witness { host, object, call }) = self.witness {
            let at = match deed {
                Deed::None => None,
                Deed::Set(at) => Some(Some(at)),
                Deed::Cancelled => Some(None),
            };
            host.report(|| Event::AlarmDealt { object, call, at });
        }
    }

    fn fail(&self, error: Error) {
        self.fault.lock().get_or_insert(error);
    }
}
