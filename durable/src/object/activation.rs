//! The actor that an object runs in: it loads the object, runs its turns one after another, and ends.
//!
//! It takes calls from the object's [`Slot`], never from its mailbox; the mailbox only says that there is something to
//! take. A panic of a method is caught here, answered, and then ends the actor, so that its supervisor starts the next
//! one from the last commit.

use std::any::Any;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::error::{Code, Error};
use crate::kernel::commit::{self, Encoded, Ended, Verdict};
use crate::kernel::gate::{self, Gate};
use crate::limits::TURNS_PER_SLICE;
use crate::object::call::{Begin, Running};
use crate::object::live::Live;
use crate::object::slot::Work;
use crate::object::{BoxFuture, Object, PendingCall, Ran, Slot};
use crate::storage::Release;

/// What an activation's mailbox holds.
#[derive(Debug)]
pub(crate) enum ActivationMessage {
    /// Calls wait.
    Run,
    /// The object is to leave memory; no calls are taken any more.
    End,
}

/// The actor of any object of class `O`.
pub(crate) struct Activation<O>(PhantomData<fn() -> O>);

impl<O> Activation<O> {
    pub(crate) fn new() -> Self {
        Activation(PhantomData)
    }
}

/// What the actor owns.
pub(crate) struct Turns<O: Object> {
    slot: Arc<Slot<O>>,
    /// `None` until the first message: the object is loaded when the supervisor already watches.
    live: Option<Live<O>>,
}

/// Why the actor stopped taking calls.
enum End {
    /// No more wait.
    Drained,
    /// It was asked to end, or could not start.
    Stop,
    /// The object in memory cannot be trusted any more.
    Crash(String),
}

impl<O: Object> Actor for Activation<O> {
    type Msg = ActivationMessage;
    type State = Turns<O>;
    type Arguments = Arc<Slot<O>>;

    async fn pre_start(
        &self,
        _: ActorRef<ActivationMessage>,
        slot: Arc<Slot<O>>,
    ) -> Result<Turns<O>, ActorProcessingErr> {
        Ok(Turns { slot, live: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<ActivationMessage>,
        message: ActivationMessage,
        turns: &mut Turns<O>,
    ) -> Result<(), ActorProcessingErr> {
        // Boxed, so that an idle actor does not keep the room that a running turn needs.
        let end = match message {
            ActivationMessage::Run => Box::pin(turns.run()).await,
            ActivationMessage::End => End::Stop,
        };
        if let End::Drained = end {
            return Ok(());
        }
        // Only then may the object's place be given to another activation: it starts from what is stored.
        turns.settled().await;
        match end {
            End::Drained | End::Stop => {
                myself.stop(None);
                Ok(())
            }
            End::Crash(reason) => Err(reason.into()),
        }
    }
}

impl<O: Object> Turns<O> {
    /// Runs turns until there is nothing left to run.
    async fn run(&mut self) -> End {
        let live = match self.live.take() {
            Some(live) => live,
            None => match start(&self.slot).await {
                Ok(live) => live,
                Err(error) => {
                    tracing::error!(object = self.slot.label(), %error, "the object cannot start");
                    self.slot.fail_start(&error.with_object(self.slot.label()));
                    return End::Stop;
                }
            },
        };
        let live = self.live.insert(live);
        let mut turns = 0;
        loop {
            let write = match run_reads(&self.slot, live, &mut turns).await {
                Reads::Write(call) => call,
                Reads::End(end) => return end,
            };
            if let Err(reason) = run_write(&self.slot, live, write).await {
                self.slot.end();
                return End::Crash(reason);
            }
            turns += 1;
        }
    }

    /// Waits until every commit of the activation is stored or has failed.
    async fn settled(&self) {
        let Some(live) = &self.live else { return };
        let shard = self.slot.group().shard(&self.slot.id());
        if shard.durable() >= live.submitted() {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        shard.release_after(live.fence(), Arc::new(Settled(Mutex::new(Some(sender)))));
        // It is dropped without a word if the shard closes; nothing can be started then.
        let _ = receiver.await;
    }
}

/// Loads the object and runs `#[on_activate]`.
async fn start<O: Object>(slot: &Arc<Slot<O>>) -> Result<Live<O>, Error> {
    let starting = async {
        let mut live = Live::load(slot).await?;
        live.wake(slot).await?;
        if let Some(encoded) = live.encode()? {
            live.submit(slot, encoded, None);
        }
        Ok(live)
    };
    AssertUnwindSafe(starting).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Code::ObjectUnstartable.error(format!(
            "starting the object panicked: {}; mend the bug and call again",
            text_of(panic.as_ref())
        )))
    })
}


/// Tells that the commits before it are settled, whatever became of them.
struct Settled(Mutex<Option<oneshot::Sender<()>>>);

impl Release for Settled {
    fn release(&self, _: Result<(), &Error>) {
        if let Some(sender) = self.0.lock().take() {
            // Whoever no longer waits does not need to be told.
            let _ = sender.send(());
        }
    }
}

/// Why no more reads run.
enum Reads<O: Object> {
    /// The next call has the object to itself.
    Write(Arc<PendingCall<O>>),
    End(End),
}

/// Runs reads, beside each other, until the next call is a write or nothing waits.
async fn run_reads<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    turns: &mut usize,
) -> Reads<O> {
    let mut readers: FuturesUnordered<BoxFuture<'_, Result<(), String>>> = FuturesUnordered::new();
    // The first panic among reads that overlap; the others may end before the activation does.
    let mut panic = None;
    loop {
        if *turns >= TURNS_PER_SLICE {
            *turns = 0;
            tokio::task::yield_now().await;
        }
        let is_ending = panic.is_some();
        if readers.is_empty()
            && let Some(reason) = panic.take().or_else(|| broken(live))
        {
            slot.end();
            return Reads::End(End::Crash(reason));
        }
        let work = if is_ending { Work::AwaitReader } else { slot.next(readers.len()) };
        let ended = match work {
            Work::Write(call) => return Reads::Write(call),
            Work::Drained => return Reads::End(End::Drained),
            Work::Stop => return Reads::End(End::Stop),
            Work::Read(call) => {
                *turns += 1;
                begin_read(slot, live, call).map(|reader| readers.extend(reader))
            }
            Work::AwaitReader => readers.next().await.unwrap_or(Ok(())),
            Work::AwaitReaderOrCall => {
                poll_fn(|task| match readers.poll_next_unpin(task) {
                    Poll::Ready(ended) => Poll::Ready(ended.unwrap_or(Ok(()))),
                    Poll::Pending => slot.poll_call(task).map(Ok),
                })
                .await
            }
        };
        panic = panic.or(ended.err());
    }
}

/// Why the activation must not go on, if a commit of it has failed: its state was never stored.
fn broken<O: Object>(live: &Live<O>) -> Option<String> {
    live.fence().broken().map(|error| format!("a commit failed: {error}"))
}

/// Runs a read that does not wait, or gives the future of one that may.
///
/// # Errors
/// The text of a panic.
fn begin_read<'a, O: Object>(
    slot: &'a Arc<Slot<O>>,
    live: &'a Live<O>,
    call: Arc<PendingCall<O>>,
) -> Result<Option<BoxFuture<'a, Result<(), String>>>, String> {
    let Begin::Run(message) = call.begin(|| slot.host().clock.now()) else { return Ok(None) };
    let running = Running::new(call);
    let method = O::method(&message);
    let (object, cx) = live.read(slot);
    if method.is_async {
        return Ok(Some(Box::pin(async move {
            let turn = object.read_async(&cx, message);
            let ran = AssertUnwindSafe(turn).catch_unwind().await;
            settle_read(slot, live, running, method.name, ran)
        })));
    }
    let ran = catch_unwind(AssertUnwindSafe(|| object.read(&cx, message)));
    settle_read(slot, live, running, method.name, ran).map(|()| None)
}

/// What a turn came to, or its panic.
type Caught<R> = Result<Ran<R>, Box<dyn Any + Send>>;

fn settle_read<O: Object>(
    slot: &Slot<O>,
    live: &Live<O>,
    running: Running<O>,
    method: &str,
    ran: Caught<O::Reply>,
) -> Result<(), String> {
    match ran {
        Ok(ran) => {
            let_out(slot, live, running.end(Ok(ran.reply)));
            Ok(())
        }
        Err(panic) => Err(answer_panic(slot, live, running, method, panic.as_ref())),
    }
}

/// Runs one write.
///
/// # Errors
/// The text of a panic: the object in memory cannot be trusted any more.
async fn run_write<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    call: Arc<PendingCall<O>>,
) -> Result<(), String> {
    let Begin::Run(message) = call.begin(|| slot.host().clock.now()) else { return Ok(()) };
    let running = Running::new(call);
    let method = O::method(&message);
    let (object, mut cx) = live.turn(slot);
    let ran = if method.is_async {
        AssertUnwindSafe(object.write_async(&mut cx, message)).catch_unwind().await
    } else {
        catch_unwind(AssertUnwindSafe(|| object.write(&mut cx, message)))
    };
    let (ended, encoded) = match &ran {
        Err(_) => (Ended::Panicked, Ok(None)),
        Ok(ran) => {
            let ended = if ran.is_rejected { Ended::Rejected } else { Ended::Kept };
            (ended, catch_encode(live))
        }
    };
    settle_write(slot, live, Write { running, method: method.name, ran, ended, encoded }).await
}

/// Encodes the object. A `Serialize` of the user's that panics is one that refuses.
fn catch_encode<O: Object>(live: &Live<O>) -> Result<Option<Vec<u8>>, Error> {
    catch_unwind(AssertUnwindSafe(|| live.encode())).unwrap_or_else(|panic| {
        Err(Code::StateUnencodable.error(format!(
            "encoding the state panicked: {}; mend its `Serialize`",
            text_of(panic.as_ref())
        )))
    })
}

/// A write that has run.
struct Write<'a, O: Object> {
    running: Running<O>,
    method: &'a str,
    ran: Caught<O::Reply>,
    ended: Ended,
    encoded: Result<Option<Vec<u8>>, Error>,
}

async fn settle_write<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &mut Live<O>,
    write: Write<'_, O>,
) -> Result<(), String> {
    let Write { running, method, ran, ended, encoded } = write;
    let comparison = match &encoded {
        Ok(None) => Encoded::Same,
        Ok(Some(_)) => Encoded::Different,
        Err(_) => Encoded::Impossible,
    };
    let answer = match (commit::judge(ended, comparison), ran, encoded) {
        (Verdict::Commit, Ok(ran), Ok(Some(bytes))) => {
            let call = running.end(Ok(ran.reply));
            live.submit(slot, bytes, Some(call));
            return Ok(());
        }
        (Verdict::Answer, Ok(ran), _) => {
            let_out(slot, live, running.end(Ok(ran.reply)));
            return Ok(());
        }
        (Verdict::RollBack, Ok(ran), _) => Ok(ran.reply),
        (Verdict::Refuse, _, Err(error)) => Err(error.with_object(slot.label())),
        (Verdict::Crash, Err(panic), _) => {
            return Err(answer_panic(slot, live, running, method, panic.as_ref()));
        }
        (verdict, ..) => unreachable!("{verdict:?} does not follow from how the turn ended"),
    };
    let_out(slot, live, running.end(answer));
    roll_back(slot, live).await
}

/// Undoes what a turn did in memory, as a restart would: the struct is decoded anew and `#[on_activate]` runs.
async fn roll_back<O: Object>(slot: &Arc<Slot<O>>, live: &mut Live<O>) -> Result<(), String> {
    let restored = async {
        live.restore();
        live.wake(slot).await?;
        if let Some(encoded) = live.encode()? {
            live.submit(slot, encoded, None);
        }
        Ok::<(), Error>(())
    };
    match AssertUnwindSafe(restored).catch_unwind().await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(text_of(panic.as_ref()).to_owned()),
    }
}

/// Answers the call whose method panicked, and gives the panic's text.
fn answer_panic<O: Object>(
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
    let_out(slot, live, running.end(Err(error.with_object(slot.label()))));
    text
}

/// Lets an answer that changes nothing leave: now, or behind the commits that it may have seen.
fn let_out<O: Object>(slot: &Slot<O>, live: &Live<O>, call: Arc<PendingCall<O>>) {
    let shard = slot.group().shard(&slot.id());
    let durable = shard.durable();
    match gate::decide(live.submitted().0, durable.0, live.fence().broken().is_some()) {
        Gate::Open => call.let_out(None),
        Gate::Behind => shard.release_after(live.fence(), call),
    }
}

/// What a panic said, as far as it said it in text.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
