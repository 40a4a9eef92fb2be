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
use futures_util::stream::{FuturesUnordered, StreamExt};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::class::MethodSpec;
use crate::directory::Fault;
use crate::error::{Code, Error};
use crate::host::TurnEnd;
use crate::kernel::commit::Ended;
use crate::kernel::gate::{self, Gate};
use crate::limits::TURNS_PER_SLICE;
use crate::object::call::Running;
use crate::object::ends::{Crash, End, begin, ended};
use crate::object::errand;
use crate::object::live::Live;
use crate::object::notice::{self, AfterNotice, Notice};
use crate::object::ring::ring;
use crate::object::settled::settled;
use crate::object::slot::Work;
use crate::object::sql::{Fate, SqlDealt};
use crate::object::uncalled::{AfterRing, Firing};
use crate::object::witness::{self, Presence, Told};
use crate::object::write::run_write;
use crate::object::{BoxFuture, Cut, Object, PendingCall, Ran, Slot};
use crate::storage::Release;

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
    let mut live = match Box::pin(begin(slot)).await {
        Ok(live) => live,
        Err(cut) => {
            Box::pin(slot.end_children(cut)).await;
            return Ok(());
        }
    };
    let mut is_known = false;
    let end = {
        let mut running = pin!(AssertUnwindSafe(run(slot, &mut live)).catch_unwind());
        poll_fn(|task| match running.as_mut().poll(task) {
            Poll::Ready(Ok(end)) => Poll::Ready(end),
            Poll::Ready(Err(panic)) => {
                slot.end();
                let text = text_of(panic.as_ref()).to_owned();
                Poll::Ready(End::Crash(Crash::of_panic(text, None)))
            }
            Poll::Pending => slot.poll_cut(task, &mut is_known).map(|cut| {
                slot.end();
                End::Cut(cut)
            }),
        })
        .await
    };
    let ended = Box::pin(ended(slot, end)).await;
    Box::pin(slot.end_children(Cut::Parted)).await;
    // Only then may another activation start: it begins with what is stored.
    Box::pin(settled(slot, &live)).await;
    if slot.was_erased() && live.fence().broken().is_none() {
        let _ = Box::pin(errand::forget(slot)).await;
    }
    ended
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
            Box::pin(settled(slot, live)).await;
        }
    }
}

/// Why no more reads run.
enum Reads<O: Object> {
    /// The next call has the object to itself.
    Write(Arc<PendingCall<O>>),
    /// The next turn is its alarm's, which has the object to itself, too.
    Alarm(Firing),
    /// The next turn is a hook's, which has the object to itself, too.
    Notice(Notice),
    End(End),
}

/// The reads of an object that run beside each other.
type Readers<'a> = FuturesUnordered<BoxFuture<'a, Result<(), Crash>>>;

/// Runs reads, beside each other, until the next call is a write or the activation ends.
async fn run_reads<O: Object>(slot: &Arc<Slot<O>>, live: &Live<O>, turns: &mut usize) -> Reads<O> {
    // Most reads do not wait, and then there is never a set of them.
    let mut readers: Option<Readers<'_>> = None;
    // The first panic among reads that overlap; the others may end before the activation does.
    let mut panic = None;
    loop {
        if *turns >= TURNS_PER_SLICE {
            *turns = 0;
            tokio::task::yield_now().await;
        }
        if let Some(director) = &slot.host().director
            && let Some(passed) = director.pass(slot.id_ref())
        {
            passed.await;
        }
        let step = poll_fn(|task| {
            if let Some(Poll::Ready(Some(ended))) =
                readers.as_mut().map(|readers| readers.poll_next_unpin(task))
            {
                return Poll::Ready(Step::Ended(ended));
            }
            let running = readers.as_ref().map_or(0, Readers::len);
            // Looked at whenever the activation is woken: it may have been idle while a commit failed.
            match panic.clone().or_else(|| broken(live)) {
                Some(reason) if running == 0 => Poll::Ready(Step::Crash(reason)),
                Some(_) => Poll::Pending,
                None => slot.poll_work(task, running).map(Step::Work),
            }
        });
        let ended = match step.await {
            Step::Ended(ended) => ended,
            Step::Crash(reason) => {
                slot.end();
                return Reads::End(End::Crash(reason));
            }
            Step::Work(Work::Write(call)) => return Reads::Write(call),
            Step::Work(Work::Alarm(firing)) => return Reads::Alarm(firing),
            Step::Work(Work::Notice(notice)) => return Reads::Notice(notice),
            Step::Work(Work::End) => return Reads::End(End::Asked),
            Step::Work(Work::Visit(visit)) => {
                // A panic in it was reported by the panic hook, and is the visitor's own.
                let _ = catch_unwind(AssertUnwindSafe(|| visit(live.object())));
                continue;
            }
            Step::Work(Work::Read(call)) => {
                *turns += 1;
                begin_read(slot, live, call).map(|reader| {
                    if let Some(reader) = reader {
                        readers.get_or_insert_default().push(reader);
                    }
                })
            }
        };
        panic = panic.or(ended.err());
    }
}

/// What happened while reads ran.
enum Step<O: Object> {
    /// A read ended, or panicked.
    Ended(Result<(), Crash>),
    /// The object in memory cannot be trusted any more, and no read runs.
    Crash(Crash),
    Work(Work<O>),
}

/// Why the activation must not go on, if a commit of it has failed: its state was never stored.
fn broken<O: Object>(live: &Live<O>) -> Option<Crash> {
    let crash = |error| Crash { text: format!("a commit failed: {error}"), fault: Fault::System };
    live.fence().broken().map(crash)
}

/// Runs a read that does not wait, or gives the future of one that may.
///
/// # Errors
/// The text of a panic.
fn begin_read<'a, O: Object>(
    slot: &'a Arc<Slot<O>>,
    live: &'a Live<O>,
    call: Arc<PendingCall<O>>,
) -> Result<Option<BoxFuture<'a, Result<(), Crash>>>, Crash> {
    let Some(message) = slot.take(&call) else { return Ok(None) };
    let running = Running::new(call);
    let method = O::method(&message);
    witness::turn_began(slot, live, running.number(), method);
    let (object, cx) = live.read(slot, running.number());
    if method.is_async {
        slot.read_waits(method.name);
        return Ok(Some(Box::pin(async move {
            let turn = object.read_async(&cx, message);
            let ran = AssertUnwindSafe(turn).catch_unwind().await;
            slot.read_ends(method.name);
            settle_read(slot, live, running, method, (ran, cx.into_dealt().fault))
        })));
    }
    let ran = catch_unwind(AssertUnwindSafe(|| object.read(&cx, message)));
    settle_read(slot, live, running, method, (ran, cx.into_dealt().fault)).map(|()| None)
}

/// What a turn came to, or its panic.
pub(super) type Caught<R> = Result<Ran<R>, Box<dyn Any + Send>>;

/// How a turn ended, for the host's director.
pub(super) fn ended_as<R>(ran: &Caught<R>) -> TurnEnd {
    match ran {
        Ok(ran) if ran.is_rejected => TurnEnd::Rejected,
        Ok(_) => TurnEnd::Kept,
        Err(_) => TurnEnd::Panicked,
    }
}

fn settle_read<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    running: Running<O>,
    method: &'static MethodSpec,
    (ran, fault): (Caught<O::Reply>, Option<Error>),
) -> Result<(), Crash> {
    let told = Told { ended: ended_as(&ran), kv: &[], has_changes: false };
    witness::turn_ended(slot, live, running.number(), method, told);
    match ran {
        Ok(ran) => {
            slot.turn_ended_well();
            let failure = fault.map(|error| error.with_object(slot.label()));
            let_out(slot, live, running, failure.map_or(Ok(ran.reply), Err));
            Ok(())
        }
        Err(panic) => {
            let text = answer_panic(slot, live, running, method.name, panic.as_ref());
            Err(Crash::of_panic(text, fault.as_ref()))
        }
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

/// What a panic said, as far as it said it in text.
pub(super) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
