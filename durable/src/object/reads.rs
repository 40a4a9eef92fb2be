//! The reads of an activation, which run beside each other between two writes.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::class::MethodSpec;
use crate::limits::TURNS_PER_SLICE;
use crate::object::activation::{Came, answer_panic, at_once, broken, ended_as, let_out};
use crate::object::call::{Running, discard};
use crate::object::carried::carrying;
use crate::object::ends::{Crash, End};
use crate::object::inside::{self, run_called};
use crate::object::intercepted::{may_begin, outcome};
use crate::object::live::Live;
use crate::object::notice::Notice;
use crate::object::slot::Work;
use crate::object::uncalled::Firing;
use crate::object::witness::{self, Told};
use crate::object::work::begin_work;
use crate::object::write::in_time;
use crate::object::{BoxFuture, Dealt, Object, PendingCall, Slot};

/// Why no more reads run.
pub(super) enum Reads<O: Object> {
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
pub(super) async fn run_reads<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    turns: &mut usize,
) -> Reads<O> {
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
        let mut step = |task: &mut TaskContext<'_>| {
            if let Some(Poll::Ready(Some(ended))) =
                readers.as_mut().map(|readers| readers.poll_next_unpin(task))
            {
                return Poll::Ready(Step::Ended(ended));
            }
            let running = readers.as_ref().map_or(0, Readers::len);
            // Looked at whenever the activation is woken: it may have been idle while a commit failed.
            match panic.clone().or_else(|| broken(live)) {
                Some(reason) if running == 0 => Poll::Ready(Step::Crash(reason)),
                // Those that run may be waiting for reads that came before it failed.
                Some(_) => slot.poll_beside(task).map(Step::Work),
                None => slot.poll_work(task, running).map(Step::Work),
            }
        };
        let step = poll_fn(|task| {
            let step = step(task);
            if step.is_pending() {
                // Whoever polls goes on with something else.
                *turns = 0;
            }
            step
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
    let method = O::method(&message);
    let Some(running) = may_begin(slot, Running::new(call), method) else {
        discard(message);
        return Ok(None);
    };
    witness::turn_began(slot, live, running.number(), method);
    let (object, mut cx) = live.read(slot, running.number());
    cx.carry(running.call().metadata());
    if method.is_async {
        slot.read_waits(method.name);
        return Ok(Some(Box::pin(async move {
            let metadata = running.call().metadata();
            let turn = carrying(metadata, object.read_async(&cx, message));
            let ran = run_called(slot, running.call(), turn).await;
            slot.read_ends(method.name);
            let left = cx.left();
            drop(cx);
            settle_read(slot, live, running, method, (ran, left))
        })));
    }
    let ran = catch_unwind(AssertUnwindSafe(|| object.read(&cx, message)));
    let left = cx.left();
    drop(cx);
    settle_read(slot, live, running, method, (at_once(ran), left)).map(|()| None)
}

fn settle_read<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    mut running: Running<O>,
    method: &'static MethodSpec,
    (ran, left): (Came<O::Reply>, Option<Box<Dealt>>),
) -> Result<(), Crash> {
    let ran = in_time(&running, ran);
    let (spawned, fault) = left.map_or_else(Default::default, |dealt| {
        let Dealt { spawned, fault, .. } = *dealt;
        (spawned, fault)
    });
    running.has_ended(outcome(&ran, |ran| ran.is_rejected, fault.as_ref()));
    let told = Told { ended: ended_as(&ran), kv: &[], has_changes: false };
    witness::turn_ended(slot, live, running.number(), method, told);
    match ran {
        Came::Returned(ran) => {
            slot.turn_ended_well();
            let is_kept = fault.is_none() && !ran.is_rejected;
            let turn = (method.name, running.number());
            let failure = fault.map(|error| error.with_object(slot.label()));
            let_out(slot, live, running, failure.map_or(Ok(ran.reply), Err));
            if is_kept {
                begin_work(slot, live, turn, spawned);
            }
            Ok(())
        }
        Came::Late => {
            let error = inside::late(slot, running.call(), method.name);
            let_out(slot, live, running, Err(error));
            Ok(())
        }
        Came::Panicked(panic) => {
            let text = answer_panic(slot, live, running, method.name, panic.as_ref());
            Err(Crash::of_panic(text, fault.as_ref()))
        }
    }
}
