//! The actor that an object runs in: it loads the object, runs its turns one after another, and ends.
//!
//! It takes calls from the object's [`Slot`], never from its mailbox; the mailbox only says that there is something to
//! take. A panic of a method is caught here, answered, and then ends the actor, so that its supervisor starts the next
//! one from the last commit.

use std::any::Any;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::directory::Fault;
pub(super) use crate::error::text_of;
use crate::error::{Code, Error};
use crate::host::TurnEnd;
use crate::kernel::commit::Ended;
use crate::kernel::gate::{self, Gate};
use crate::object::call::Running;
use crate::object::ends::{Crash, End, begin, ended};
use crate::object::errand;
use crate::object::inside;
use crate::object::live::Live;
use crate::object::notice::{self, AfterNotice, Notice};
use crate::object::reads::{Reads, run_reads};
use crate::object::ring::ring;
use crate::object::settled::settled;
use crate::object::sql::{Fate, SqlDealt};
use crate::object::uncalled::{AfterRing, Firing};
use crate::object::witness::Presence;
use crate::object::write::run_write;
use crate::object::{BoxFuture, Cut, Object, Ran, Slot};
use crate::storage::{Fence, Release};

/// The changes of a hook: of no call, and nobody waits for them.
pub(super) const HOOK: (u64, Option<Arc<dyn Release>>) = (0, None);

/// What an activation's mailbox holds.
#[derive(Debug)]
pub(crate) enum ActivationMessage {
    /// Begin. It is the only message: everything after it comes through the slot.
    Run,
}

/// The actor of any object of class `O`.
pub(crate) struct Activation<O>(PhantomData<fn() -> O>);

impl<O> Activation<O> {
    pub(crate) fn new() -> Self {
        Activation(PhantomData)
    }
}

/// What follows on a turn.
pub(super) enum Flow {
    /// The next one.
    On,
    /// The end: nothing of the object is left.
    Erased,
}

impl<O: Object> Actor for Activation<O> {
    type Msg = ActivationMessage;
    type State = Arc<Slot<O>>;
    type Arguments = Arc<Slot<O>>;

    async fn pre_start(
        &self,
        _: ActorRef<ActivationMessage>,
        slot: Arc<Slot<O>>,
    ) -> Result<Arc<Slot<O>>, ActorProcessingErr> {
        Ok(slot)
    }

    /// Runs for as long as the object is in memory; a kill cuts it at its next await.
    async fn handle(
        &self,
        myself: ActorRef<ActivationMessage>,
        ActivationMessage::Run: ActivationMessage,
        slot: &mut Arc<Slot<O>>,
    ) -> Result<(), ActorProcessingErr> {
        // ractor holds a handler's future twice, and for as long as the object is in memory.
        let ended = Box::pin(live_through(slot)).await;
        if ended.is_ok() {
            myself.stop(None);
        }
        ended.map_err(Into::into)
    }
}

/// Comes into memory, serves, and leaves.
///
/// # Errors
/// How it has crashed.
async fn live_through<O: Object>(slot: &Arc<Slot<O>>) -> Result<(), String> {
    let _presence = slot.host().director.is_some().then(|| Presence::new(slot));
    let errands = slot.take_errands();
    if !errands.is_empty() {
        Box::pin(errand::run_all(slot, errands)).await;
        if !slot.is_wanted() {
            slot.end();
            return Ok(());
        }
    }
    if !Box::pin(slot.rest()).await {
        slot.end();
        return Ok(());
    }
    // Only what the turns run on holds the object.
    let begun = async { begin(slot).await.map(|live| turns_of(slot, live)) };
    let (fence, turns) = match Box::pin(begun).await {
        Ok(begun) => begun,
        Err(cut) => {
            Box::pin(slot.end_children(cut)).await;
            return Ok(());
        }
    };
    let end = {
        let (mut turns, mut is_known) = (pin!(slot.engine().run(turns)), false);
        poll_fn(|task| match turns.as_mut().poll(task) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => slot.poll_cut(task, &mut is_known).map(|cut| {
                slot.end();
                End::Cut(cut)
            }),
        })
        .await
    };
    slot.end_work();
    let ended = Box::pin(ended(slot, end)).await;
    Box::pin(slot.end_children(Cut::Parted)).await;
    // Only then may another activation start: it begins with what is stored.
    Box::pin(settled(slot, &fence)).await;
    if slot.was_erased() && fence.broken().is_none() {
        let _ = Box::pin(errand::forget(slot)).await;
    }
    ended
}

/// All turns of an object, which come to an end also if code panics that is not of a turn; and its fence.
fn turns_of<O: Object>(
    slot: &Arc<Slot<O>>,
    mut live: Live<O>,
) -> (Arc<Fence>, BoxFuture<'static, End>) {
    let (fence, own, slot) = (Arc::clone(live.fence()), Arc::clone(slot), Arc::clone(slot));
    let turns = async move { run(&own, &mut live).await };
    let turns = AssertUnwindSafe(turns).catch_unwind().map(move |ended| {
        ended.unwrap_or_else(|panic| {
            slot.end();
            End::Crash(Crash::of_panic(text_of(panic.as_ref()).to_owned(), None))
        })
    });
    (fence, Box::pin(turns))
}

/// Runs turns until the object leaves memory.
async fn run<O: Object>(slot: &Arc<Slot<O>>, live: &mut Live<O>) -> End {
    let shard = slot.group().shard(&slot.id());
    let mut turns = 0;
    loop {
        let next = run_reads(slot, live, &mut turns).await;
        turns += 1;
        let ran = match next {
            Reads::Write(call) => run_write(slot, live, call).await,
            Reads::Alarm(firing) => Box::pin(run_alarm(slot, live, firing)).await,
            Reads::Notice(notice) => Box::pin(run_notice(slot, live, notice)).await,
            Reads::End(end) => return end,
        };
        match ran {
            Ok(Flow::On) => {}
            Ok(Flow::Erased) => {
                slot.erased();
                slot.end();
                return End::Asked;
            }
            Err(reason) => {
                slot.end();
                return End::Crash(reason);
            }
        }
        if shard.is_heavy() {
            slot.turn_is_over();
            Box::pin(settled(slot, live.fence())).await;
        }
    }
}

/// Why the activation must not go on, if a commit of it has failed: its state was never stored.
pub(super) fn broken<O: Object>(live: &Live<O>) -> Option<Crash> {
    let crash = |error| Crash { text: format!("a commit failed: {error}"), fault: Fault::System };
    live.fence().broken().map(crash)
}

/// What the method of a turn came to.
pub(super) type Came<R> = inside::Ran<Ran<R>>;

/// What a method that does not wait came to.
pub(super) fn at_once<R>(ran: Result<Ran<R>, Box<dyn Any + Send>>) -> Came<R> {
    match ran {
        Ok(ran) => Came::Returned(ran),
        Err(panic) => Came::Panicked(panic),
    }
}

/// How a turn ended, for the host's director.
pub(super) fn ended_as<R>(ran: &Came<R>) -> TurnEnd {
    match ran {
        Came::Returned(ran) if ran.is_rejected => TurnEnd::Rejected,
        Came::Returned(_) => TurnEnd::Kept,
        Came::Late => TurnEnd::Rejected,
        Came::Panicked(_) => TurnEnd::Panicked,
    }
}

/// Runs the turn of a hook that is told something.
///
/// # Errors
/// As [`run_write`].
async fn run_notice<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    notice: Notice,
) -> Result<Flow, Crash> {
    match notice::tell(slot, live, notice).await {
        AfterNotice::On => Ok(Flow::On),
        AfterNotice::RollBack => roll_back(slot, live).await.map(|()| Flow::On),
        AfterNotice::Erased => Ok(Flow::Erased),
        AfterNotice::Crash(text) => Err(Crash::of_panic(text, None)),
    }
}

/// Runs the turn of an alarm that was fired.
///
/// # Errors
/// As [`run_write`].
async fn run_alarm<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    firing: Firing,
) -> Result<Flow, Crash> {
    match ring(slot, live, firing).await {
        AfterRing::On => Ok(Flow::On),
        AfterRing::RollBack => roll_back(slot, live).await.map(|()| Flow::On),
        AfterRing::Erased => Ok(Flow::Erased),
        AfterRing::Crash(crash) => {
            let panic = &crash.text;
            tracing::error!(object = slot.label(), panic, "an alarm's handler panicked");
            Err(crash)
        }
    }
}

/// Ends the transaction of a turn that has used SQL: what it did there is kept if the turn is. Gives what then becomes of
/// the turn, and whether it changed anything there.
pub(super) fn end_sql<O: Object>(
    live: &Live<O>,
    sql: &SqlDealt,
    (ended, encoded): (Ended, Result<Option<Vec<u8>>, Error>),
) -> (Ended, Result<Option<Vec<u8>>, Error>, bool) {
    if !sql.is_used || ended == Ended::Panicked {
        return (ended, encoded, false);
    }
    let end = if ended == Ended::Kept && encoded.is_ok() { Fate::Keep } else { Fate::Undo };
    match live.end_sql(end) {
        Ok(has_changed) if end == Fate::Keep => (ended, encoded, has_changed),
        // It is undone already; fields that are not stored may say what it was.
        Ok(_) => (ended, encoded, sql.has_written),
        Err(error) => (Ended::Failed, Err(error), false),
    }
}

/// Encodes the object. A `Serialize` of the user's that panics is one that refuses.
pub(super) fn catch_encode<O: Object>(live: &Live<O>) -> Result<Option<Vec<u8>>, Error> {
    catch_unwind(AssertUnwindSafe(|| live.encode())).unwrap_or_else(|panic| {
        Err(Code::StateUnencodable.error(format!(
            "encoding the state panicked: {}; mend its `Serialize`",
            text_of(panic.as_ref())
        )))
    })
}

/// Undoes what a turn did in memory, as a restart would: the struct is decoded anew and `#[on_activate]` runs.
pub(super) async fn roll_back<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
) -> Result<(), Crash> {
    slot.turn_is_over();
    let restored = async {
        live.restore();
        let changes = live.wake(slot).await?;
        if !changes.is_empty() {
            live.submit(slot, changes, HOOK);
        }
        Ok::<(), Error>(())
    };
    match AssertUnwindSafe(restored).catch_unwind().await {
        Ok(result) => result.map_err(|error| {
            let fault = Fault::of_start(&error);
            Crash { text: error.to_string(), fault }
        }),
        Err(panic) => Err(Crash::of_panic(text_of(panic.as_ref()).to_owned(), None)),
    }
}

/// Answers the call whose method panicked, and gives the panic's text.
pub(super) fn answer_panic<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    running: Running<O>,
    method: &str,
    panic: &(dyn Any + Send),
) -> String {
    let text = text_of(panic).to_owned();
    tracing::error!(object = slot.label(), method, panic = text, "a method panicked");
    let error = Code::CallPanicked.error(format!(
        "`{method}` of {} panicked: {text}; its changes were undone, mend the bug",
        slot.label()
    ));
    let_out(slot, live, running, Err(error.with_object(slot.label())));
    text
}

/// Lets an answer that changes nothing leave: now, or behind the commits that it may have seen.
pub(super) fn let_out<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    running: Running<O>,
    answer: Result<O::Reply, Error>,
) {
    let shard = slot.group().shard(&slot.id());
    let durable = shard.durable();
    let (submitted, durability) = (live.fence().submitted(), running.durability());
    match gate::decide(submitted.0, durable.0, live.fence().broken().is_some(), durability) {
        Gate::Open => running.answer(answer),
        Gate::Behind => shard.release_after(live.fence(), running.hold(answer)),
    }
}
