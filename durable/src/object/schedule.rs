//! What a turn does to its object's schedules.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Code, Error, Outcome};
use crate::host::Event;
use crate::id::ObjectId;
use crate::kernel::schedule::{Deeds, changed, jittered};
use crate::limits::{
    ALARM_AHEAD_MAX, SCHEDULE_ALL_MAX, SCHEDULE_ARGS_BYTES_MAX, SCHEDULE_JITTER_MAX,
    SCHEDULE_NAME_BYTES_MAX, SCHEDULES_MAX,
};
use crate::object::Object;
use crate::object::kv::{Owner, Turn, Witness};
use crate::schedule::{Misfire, Overlap, Schedule as SetSchedule, ScheduleView, Target};
use crate::storage::schedule::Unreadable;
use crate::stub::Call;
use crate::time::WallMs;
use crate::when::When;

/// One of an object's schedules, by its name, as one turn sees it. What the turn does to it is part of the turn. Comes from
/// [`Context::schedule`](crate::Context::schedule).
///
/// Saying when it is to run, and then which method it calls, sets it, in place of one of that name:
///
/// ```
/// use std::time::Duration;
/// use durable::prelude::*;
/// use durable::{Misfire, WallMs};
///
/// #[derive(Default, DurableState)]
/// struct Plan { renewed: u32, pings: u32 }
///
/// #[durable_object(name = "doc.Plan")]
/// impl Plan {
///     pub fn subscribe(&mut self, cx: &mut Context<'_, Self>, months: u32) {
///         cx.schedule("renewal").cron("0 9 1 * *", "Europe/Berlin").call(cx.me().renew(months));
///         cx.schedule("ping").every(Duration::from_secs(30)).misfire(Misfire::Skip).call(cx.me().ping());
///     }
///
///     pub fn leave(&mut self, cx: &mut Context<'_, Self>) {
///         cx.schedule("renewal").cancel();
///         cx.schedule("ping").cancel();
///     }
///
///     pub fn renewals(&self, cx: &Context<'_, Self>) -> Vec<u64> {
///         let renewal = cx.schedule("renewal").get();
///         renewal.map_or(Vec::new(), |view| view.next(10).iter().map(|at| at.0).collect())
///     }
///
///     pub fn renew(&mut self, months: u32) { self.renewed += months; }
///
///     pub fn ping(&mut self) { self.pings += 1; }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let runtime = Runtime::builder(dir.path()).register::<Plan>().start().await?;
/// let plan = runtime.get::<Plan>("ada");
/// plan.subscribe(3).await?;
/// assert_eq!(plan.renewals().await?.len(), 10);
/// assert_eq!(runtime.schedules(plan.id()?)?.len(), 2);
/// plan.leave().await?;
/// assert!(runtime.schedules(plan.id()?)?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Schedule<'c, O: Object> {
    desk: &'c ScheduleDesk<'c>,
    owner: &'c dyn Owner,
    me: ObjectId,
    name: String,
    class: PhantomData<fn(O)>,
}

impl<'c, O: Object> Schedule<'c, O> {
    pub(crate) fn new(
        desk: &'c ScheduleDesk<'c>,
        owner: &'c dyn Owner,
        (me, name): (ObjectId, &str),
    ) -> Self {
        Schedule { desk, owner, me, name: name.to_owned(), class: PhantomData }
    }

    /// It is to run once. `at`: milliseconds since the Unix epoch; a time that is past is at once.
    pub fn once(self, at: WallMs) -> Planned<'c, O> {
        self.on(When::once(at))
    }

    /// It is to run every `period`, the first time a period from now. See [`When::every`].
    pub fn every(self, period: Duration) -> Planned<'c, O> {
        self.planned(When::every(period))
    }

    /// It is to run by a cron expression, read in a time zone. See [`When::cron`].
    pub fn cron(self, expression: &str, zone: &str) -> Planned<'c, O> {
        self.planned(When::cron(expression, zone))
    }

    /// It is to run at these times.
    pub fn on(self, when: When) -> Planned<'c, O> {
        self.planned(Ok(when))
    }

    /// The schedule, as this turn leaves it. `None`: none of that name is set. In the turn that it runs it is what is left of
    /// it if the turn succeeds.
    pub fn get(self) -> Option<ScheduleView> {
        self.desk.all(self.owner).into_iter().find(|view| view.name == self.name)
    }

    /// Takes it back, if it is set. In the turn that it runs, the turn goes on, and if it fails it is run again.
    ///
    /// # Errors
    /// The turn fails, whatever it returns, with `schedule.read_only` if it takes `&self`.
    pub fn cancel(self) {
        self.desk.change(self.owner, &self.name, || Ok(None));
    }

    fn planned(self, when: Result<When, Error>) -> Planned<'c, O> {
        Planned {
            schedule: self,
            when,
            misfire: Misfire::default(),
            overlap: Overlap::default(),
            jitter: Duration::ZERO,
        }
    }
}

/// A schedule that says when it is to run. [`call`](Self::call) says what, and sets it.
#[must_use = "a schedule is not set until `call` says what it calls"]
pub struct Planned<'c, O: Object> {
    schedule: Schedule<'c, O>,
    when: Result<When, Error>,
    misfire: Misfire,
    overlap: Overlap,
    jitter: Duration,
}

impl<O: Object> Planned<'_, O> {
    /// What becomes of times that it misses. [`Misfire::Once`] unless this says otherwise.
    pub fn misfire(mut self, misfire: Misfire) -> Self {
        self.misfire = misfire;
        self
    }

    /// What becomes of times that come while it runs for an earlier one. [`Overlap::Skip`] unless this says otherwise.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Each run is later than its time by up to so much, by chance.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the schedule, in place of one of that name. `call`: one of this object's own, such as `cx.me().renew(plan)`. It
    /// is kept by the name of its method and its encoded arguments; a timeout of it means nothing here.
    ///
    /// Each run is a turn of the method after this turn's commit, and never if this turn fails. A run that returns `Err`,
    /// panics, or finds no method of that name is undone and run again as an alarm of the class would be, and in the end is a
    /// [dead letter](crate::Runtime::dead_letters); the schedule goes on.
    ///
    /// # Errors
    /// The turn fails, whatever it returns: with `schedule.malformed` or `zone.unknown` if the schedule cannot be, as
    /// [`When`] says; with `schedule.foreign` if the call is another object's; with `schedule.too_many` or
    /// `schedule.too_large`; with `call.unencodable`; with `schedule.read_only` if it takes `&self`.
    ///
    /// # Panics
    /// In `#[init]`, which stores nothing. Set it in `#[on_activate]`, or in a method.
    pub fn call<Out>(self, call: Call<O, Out>) {
        let Planned { schedule, when, misfire, overlap, jitter } = self;
        let Schedule { desk, owner, me, name, .. } = schedule;
        desk.change(owner, &name, || {
            let when = when?;
            check(&name, misfire, jitter)?;
            let (target, method, args) = call.into_kept()?;
            if target != me {
                return Err(Code::ScheduleForeign.error(format!(
                    "schedule `{name}` of {} is to call another object, {target}; let it call a method of its own that does",
                    owner.label()
                )));
            }
            check_args(&name, args.len())?;
            let now = owner.told_now();
            let when = when.set_at(now);
            let scheduled = when.first(now).ok_or_else(|| {
                malformed(&name, "would never run again; choose a time that comes")
            })?;
            if when.is_once() && scheduled.0.saturating_sub(now.0) > AHEAD_MS_MAX {
                let ahead = scheduled.0 - now.0;
                let text = format!(
                    "is set {ahead} ms ahead, the limit is {AHEAD_MS_MAX} ms; set it in steps, or mend its unit"
                );
                return Err(malformed(&name, text));
            }
            let jitter_ms = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
            let due = jittered(scheduled, jitter_ms, &mut || {
                let mut bytes = [0; 8];
                owner.entropy().fill(&mut bytes);
                u64::from_le_bytes(bytes)
            });
            Ok(Some(SetSchedule {
                name: name.clone(),
                when,
                misfire,
                overlap,
                jitter_ms,
                target: Target::Me,
                method: method.to_owned(),
                args,
                scheduled,
                due,
                retries: 0,
                put_off_to: WallMs(0),
                sent: None,
            }))
        });
    }
}

const AHEAD_MS_MAX: u64 = ALARM_AHEAD_MAX.as_secs() * 1_000;

fn malformed(name: &str, text: impl fmt::Display) -> Error {
    Code::ScheduleMalformed.error(format!("schedule `{}` {text}", name.escape_debug()))
}

fn check(name: &str, misfire: Misfire, jitter: Duration) -> Result<(), Error> {
    if !(1..=SCHEDULE_NAME_BYTES_MAX).contains(&name.len()) {
        return Err(malformed(
            name,
            format!(
                "has a name of {} bytes, possible are 1 to {SCHEDULE_NAME_BYTES_MAX}; rename it",
                name.len()
            ),
        ));
    }
    if let Misfire::All(count) = misfire
        && !(1..=SCHEDULE_ALL_MAX).contains(&count)
    {
        return Err(malformed(
            name,
            format!(
                "is to run for {count} missed times, possible are 1 to {SCHEDULE_ALL_MAX}; change the number"
            ),
        ));
    }
    if jitter > SCHEDULE_JITTER_MAX {
        return Err(malformed(
            name,
            format!("has a jitter of {jitter:?}, the limit is {SCHEDULE_JITTER_MAX:?}; shorten it"),
        ));
    }
    Ok(())
}

fn check_args(name: &str, bytes: usize) -> Result<(), Error> {
    if bytes <= SCHEDULE_ARGS_BYTES_MAX {
        return Ok(());
    }
    Err(Code::ScheduleTooLarge.error(format!(
        "the call of schedule `{name}` has arguments of {bytes} bytes once encoded, the limit is {SCHEDULE_ARGS_BYTES_MAX}; \
         keep them in the object, and let the call say where"
    )))
}

/// The error of one schedule too many. `count`: how many there are.
fn too_many(count: usize, next: &str) -> Error {
    Code::ScheduleTooMany
        .error(format!("the object has {count} schedules, the limit is {SCHEDULES_MAX}; {next}"))
}

/// The error of a dead letter that finds no room to be a schedule again.
pub(crate) fn schedules_full(id: crate::due::DeadLetterId, count: usize) -> Error {
    too_many(count, &format!("cancel one, then retry dead letter {id}"))
        .with_outcome(Outcome::NotStarted)
}

/// The error of stored schedules that cannot be used.
pub(crate) fn schedules_unreadable(unreadable: &Unreadable) -> Error {
    match unreadable {
        Unreadable::Newer(text) => Code::ScheduleNewer.error(format!(
            "the stored schedules were written by newer code: {text}; run the release that wrote them"
        )),
        Unreadable::Damaged(text) => schedules_torn(text),
    }
}

/// The error of stored schedules that are damaged.
pub(crate) fn schedules_torn(text: &str) -> Error {
    Code::ScheduleTorn.error(format!(
        "the stored schedules are damaged: {text}; the bytes were left as they are, restore them from a copy"
    ))
}

impl<O: Object> fmt::Debug for Schedule<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("object", &self.owner.label())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<O: Object> fmt::Debug for Planned<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned")
            .field("schedule", &self.schedule)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// The schedules before a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ScheduleBase<'a> {
    Is(&'a [SetSchedule]),
    /// Of a class that is run alone nobody knows the schedules.
    Unknown,
}

/// A turn's view of its object's schedules.
pub(crate) struct ScheduleDesk<'a> {
    base: ScheduleBase<'a>,
    turn: Turn,
    witness: Option<Witness<'a>>,
    dealt: Mutex<Dealt>,
}

#[derive(Default)]
struct Dealt {
    deeds: Deeds,
    /// Why the turn cannot be kept. `None`: it can.
    fault: Option<Error>,
}

impl<'a> ScheduleDesk<'a> {
    pub(crate) fn new(base: ScheduleBase<'a>, turn: Turn, witness: Option<Witness<'a>>) -> Self {
        ScheduleDesk { base, turn, witness, dealt: Mutex::default() }
    }

    pub(crate) fn deeds(&self) -> Deeds {
        self.dealt.lock().deeds.clone()
    }

    /// Goes back to what it was.
    pub(crate) fn reset(&self, before: Deeds) {
        let undone = std::mem::replace(&mut self.dealt.lock().deeds, before.clone());
        for name in undone.keys().chain(before.keys()) {
            let (was, is) = (undone.get(name), before.get(name));
            if was != is {
                self.report(name, is.map(Option::as_ref));
            }
        }
    }

    pub(crate) fn has_dealt(&mut self) -> bool {
        let dealt = self.dealt.get_mut();
        !dealt.deeds.is_empty() || dealt.fault.is_some()
    }

    pub(crate) fn take_dealt(&mut self) -> (Deeds, Option<Error>) {
        let Dealt { deeds, fault } = std::mem::take(self.dealt.get_mut());
        (deeds, fault)
    }

    /// All of them, as the turn leaves them.
    pub(crate) fn all(&self, owner: &dyn Owner) -> Vec<ScheduleView> {
        let base = self.base(owner);
        changed(base, &self.dealt.lock().deeds).iter().map(SetSchedule::view).collect()
    }

    fn base(&self, owner: &dyn Owner) -> &'a [SetSchedule] {
        match self.base {
            ScheduleBase::Is(base) => base,
            ScheduleBase::Unknown => {
                owner.lacks("asks for its schedules");
                &[]
            }
        }
    }

    /// Makes of the schedule of this name what `made` gives. `None`: there is none from here on.
    fn change(
        &self,
        owner: &dyn Owner,
        name: &str,
        made: impl FnOnce() -> Result<Option<SetSchedule>, Error>,
    ) {
        match self.turn {
            Turn::Write => {}
            Turn::Read => {
                return self.fail(Code::ScheduleReadOnly.error(format!(
                    "a turn that takes `&self` of {} changes schedule `{name}` and may only look; \
                     let the method take `&mut self`",
                    owner.label()
                )));
            }
            Turn::Init => panic!(
                "`#[init]` of {} changes a schedule, and nothing of it is stored; do it in `#[on_activate]` or a method",
                owner.label()
            ),
        }
        let made = match made() {
            Ok(made) => made,
            // What was made before the turn is part of it.
            Err(error) => return self.fail(error.with_outcome(Outcome::RolledBack)),
        };
        let mut dealt = self.dealt.lock();
        let deed = Deeds::from([(name.to_owned(), made.clone())]);
        let count = match self.base {
            ScheduleBase::Is(base) => changed(&changed(base, &dealt.deeds), &deed).len(),
            ScheduleBase::Unknown => 0,
        };
        if made.is_some() && count > SCHEDULES_MAX {
            dealt.fault.get_or_insert_with(|| {
                too_many(count - 1, "cancel one, or keep what is to be done in a table")
            });
            return;
        }
        dealt.deeds.extend(deed);
        drop(dealt);
        self.report(name, Some(made.as_ref()));
    }

    /// `None`: the turn has taken back what it did to it.
    fn report(&self, name: &str, deed: Option<Option<&SetSchedule>>) {
        if let Some(Witness { host, object, call }) = self.witness {
            let views = deed.map(|deed| deed.map(SetSchedule::view));
            let schedule = views.as_ref().map(Option::as_ref);
            host.report(|| Event::ScheduleDealt { object, call, name, schedule });
        }
    }

    fn fail(&self, error: Error) {
        self.dealt.lock().fault.get_or_insert(error);
    }
}
