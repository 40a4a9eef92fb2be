//! One call on its way: queued, running, held back by the gate, answered.
//!
//! The caller, the activation and the shard's lane share it, so the whole way of a call costs one allocation, and the
//! lane can answer without knowing what it answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use crate::class::{Access, Durability, MethodSpec};
use crate::error::{Code, Error, Outcome};
use crate::interceptor::TurnOutcome;
use crate::keyed::Keyed;
use crate::metadata::Metadata;
use crate::object::Object;
use crate::object::inside::Nested;
use crate::object::intercepted::Around;
use crate::object::places::Permit;
use crate::storage::Release;
use crate::time::MonoNs;

/// A call and, later, its answer.
pub(crate) struct PendingCall<O: Object> {
    state: Mutex<State<O>>,
    method: &'static MethodSpec,
    /// For the host's director; 0 if there is none.
    number: u64,
    /// `None`: it may wait as long as it takes.
    deadline: Option<MonoNs>,
    /// When it was made. `None`: it has no deadline of its own.
    made: Option<MonoNs>,
    durability: Durability,
    /// Its caller waits for room where there is none.
    is_patient: bool,
    /// `None`: no turn makes it.
    nested: Option<Box<Nested>>,
    /// `None`: it has nothing of what few have.
    extras: Option<Box<Extras>>,
}

/// What few calls have.
pub(crate) struct Extras {
    /// What it is known again by. `None`: it has no idempotency key.
    pub(crate) keyed: Option<Keyed>,
    /// What travels with it.
    pub(crate) metadata: Metadata,
}

/// With most calls nothing travels.
static NOTHING: Metadata = Metadata::new();

/// What a call is made of beside its message.
pub(crate) struct CallSpec {
    pub(crate) method: &'static MethodSpec,
    /// For the host's director; 0 if there is none.
    pub(crate) number: u64,
    /// `None`: it may wait as long as it takes.
    pub(crate) deadline: Option<MonoNs>,
    /// `None`: it has no deadline of its own.
    pub(crate) made: Option<MonoNs>,
    pub(crate) durability: Durability,
    /// Its caller waits for room where there is none.
    pub(crate) is_patient: bool,
    /// `None`: no turn makes it.
    pub(crate) nested: Option<Box<Nested>>,
    /// `None`: it has nothing of what few have.
    pub(crate) extras: Option<Box<Extras>>,
}

struct State<O: Object> {
    phase: Phase<O>,
    /// `None`: the call is over, was taken back, or waits for room.
    permit: Option<Permit>,
    /// `None`: the caller was woken already.
    waker: Option<Waker>,
}

enum Phase<O: Object> {
    /// No turn of it has begun.
    Waiting(O::Call),
    /// Its turn runs.
    Running,
    /// Its time ran out while its turn ran, which is undone when it ends, or before its next await.
    Expired,
    /// Its turn has ended in time, and what becomes of it is being settled.
    Ended,
    /// Its turn has ended; the gate holds the answer back.
    Held(Result<O::Reply, Error>),
    /// The answer may leave.
    Answered(Result<O::Reply, Error>),
    /// The caller has gone, or has its answer.
    Closed,
}

/// What becomes of a call whose turn could begin.
pub(crate) enum Begin<C> {
    /// Run it.
    Run(C),
    /// Its caller left or its time is over; nothing is to be done.
    Skip,
}

impl<O: Object> PendingCall<O> {
    /// `permit`: `None` if it is given one later.
    pub(crate) fn new(call: O::Call, spec: CallSpec, permit: Option<Permit>) -> Arc<Self> {
        let CallSpec { method, number, deadline, made, durability, is_patient, nested, extras } =
            spec;
        let (phase, waker) = (Phase::Waiting(call), None);
        let state = Mutex::new(State { phase, permit, waker });
        Arc::new(PendingCall {
            state,
            method,
            number,
            deadline,
            made,
            durability,
            is_patient,
            nested,
            extras,
        })
    }

    /// Whether its caller waits for room where there is none.
    pub(crate) fn is_patient(&self) -> bool {
        self.is_patient
    }

    /// Gives it what it takes up. Gives whether somebody waits for it; else the permit is free again.
    pub(crate) fn give(&self, permit: Permit) -> bool {
        let mut state = self.state.lock();
        let is_waiting = matches!(state.phase, Phase::Waiting(_));
        if is_waiting {
            state.permit = Some(permit);
        } else {
            drop(state);
            drop(permit);
        }
        is_waiting
    }

    /// What it knows of the turn that makes it. `None`: no turn does.
    pub(crate) fn nested(&self) -> Option<&Nested> {
        self.nested.as_deref()
    }

    /// What it is known again by. `None`: it has no idempotency key.
    pub(crate) fn keyed(&self) -> Option<&Keyed> {
        self.extras.as_ref()?.keyed.as_ref()
    }

    /// What travels with it.
    pub(crate) fn metadata(&self) -> &Metadata {
        self.extras.as_ref().map_or(&NOTHING, |extras| &extras.metadata)
    }

    /// Until when its caller waits. `None`: as long as it takes.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        self.deadline
    }

    /// When it was made, if it has a deadline of its own.
    pub(crate) fn made(&self) -> Option<MonoNs> {
        self.made
    }

    /// Whether its time is over, whoever has noticed.
    pub(crate) fn is_overdue(&self, now: MonoNs) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Nobody waits for a turn because of it any more.
    fn is_over(&self) {
        if let Some(nested) = &self.nested {
            nested.over();
        }
    }

    /// Whether somebody waits for its turn to begin.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Waiting(_))
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What its answer waits for.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn access(&self) -> Access {
        self.method.access
    }

    /// Its method.
    pub(crate) fn spec(&self) -> &'static MethodSpec {
        self.method
    }

    /// Takes the message, for its turn.
    pub(crate) fn begin(&self, now: impl FnOnce() -> MonoNs) -> Begin<O::Call> {
        if self.deadline.is_some_and(|deadline| deadline <= now()) {
            self.answer(Err(expired(Outcome::NotStarted)));
        }
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.phase, Phase::Running) {
            Phase::Waiting(call) => Begin::Run(call),
            other => {
                state.phase = other;
                Begin::Skip
            }
        }
    }

    /// Its turn has returned. Gives whether what the turn did may be kept; then its time cannot run out any more. A turn
    /// whose caller has gone may be.
    pub(crate) fn ends(&self) -> bool {
        let mut state = self.state.lock();
        if let Phase::Running = state.phase {
            state.phase = Phase::Ended;
        }
        !matches!(state.phase, Phase::Expired)
    }

    /// Its time is over. A turn that has not begun never begins, and one that runs is undone; an answer that is on its way
    /// is waited for, because it says what has happened.
    ///
    /// Gives whether its turn is to be undone.
    pub(crate) fn expire(&self) -> bool {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Waiting(_) => {
                drop(state);
                self.answer(Err(expired(Outcome::NotStarted)));
                false
            }
            Phase::Running => {
                state.phase = Phase::Expired;
                self.is_over();
                // The turn keeps the place until it is over: it still loads the runtime.
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                true
            }
            Phase::Expired => true,
            Phase::Ended | Phase::Held(_) | Phase::Answered(_) | Phase::Closed => false,
        }
    }

    /// Whether its time ran out while its turn ran.
    pub(crate) fn has_expired(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Expired)
    }

    /// Keeps the answer until the gate opens. Nothing to do if the caller has gone, or was told that its time is over.
    pub(crate) fn hold(&self, answer: Result<O::Reply, Error>) {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Running | Phase::Ended => state.phase = Phase::Held(answer),
            Phase::Expired | Phase::Closed => {
                drop(state);
                discard(answer);
            }
            _ => unreachable!("only a running call gets an answer"),
        }
    }

    /// Lets the answer leave. `failure`: what a commit failed with, which then is the answer.
    pub(crate) fn let_out(&self, failure: Option<&Error>) {
        let mut state = self.state.lock();
        let mut withheld = None;
        state.phase = match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Held(answer) => Phase::Answered(match failure {
                Some(error) => {
                    withheld = Some(answer);
                    Err(error.clone())
                }
                None => answer,
            }),
            other => other,
        };
        Self::wake(state);
        discard(withheld);
    }

    /// Answers at once: the gate is open, or the answer is an error that no turn has seen.
    pub(crate) fn answer(&self, answer: Result<O::Reply, Error>) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Waiting(_) | Phase::Running | Phase::Ended) {
            let before = std::mem::replace(&mut state.phase, Phase::Answered(answer));
            self.is_over();
            Self::wake(state);
            discard(before);
        } else {
            drop(state);
            discard(answer);
        }
    }

    /// The call is over: its place is given back, and its caller may look.
    fn wake(mut state: MutexGuard<'_, State<O>>) {
        let (waker, permit) = (state.waker.take(), state.permit.take());
        drop(state);
        drop(permit);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The caller's look at it.
    pub(crate) fn poll(&self, task: &mut TaskContext<'_>) -> Poll<Result<O::Reply, Error>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Answered(answer) => {
                self.is_over();
                Poll::Ready(answer)
            }
            Phase::Closed => panic!("a call was awaited after it had given its answer"),
            Phase::Expired => {
                state.phase = Phase::Expired;
                Poll::Ready(Err(expired(Outcome::RolledBack)))
            }
            other => {
                state.phase = other;
                match &mut state.waker {
                    Some(waker) => waker.clone_from(task.waker()),
                    none => *none = Some(task.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// The caller goes. A turn that has not begun is skipped; one that runs goes on, and its answer is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        let after = match state.phase {
            // Its turn is undone, whether anybody hears of that or not.
            Phase::Expired => Phase::Expired,
            _ => Phase::Closed,
        };
        let before = std::mem::replace(&mut state.phase, after);
        let has_begun = !matches!(before, Phase::Waiting(_));
        // A turn that runs keeps the place until it is over: it still loads the runtime.
        let permit = if has_begun { None } else { state.permit.take() };
        let waker = state.waker.take();
        self.is_over();
        drop(state);
        drop((permit, waker));
        discard(before);
    }
}

/// Drops a value of the user's. A panic in its `Drop` was reported by the panic hook, and must not cost anybody else.
pub(super) fn discard<T>(value: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

impl<O: Object> Release for PendingCall<O> {
    fn release(&self, durable: Result<(), &Error>) {
        self.let_out(durable.err());
    }
}

/// The error of a call whose time ran out before its turn had ended.
pub(super) fn expired(outcome: Outcome) -> Error {
    let error = match outcome {
        Outcome::NotStarted => {
            "the call's time ran out before its turn began; call again with more time"
        }
        _ => {
            "the call's time ran out while its turn ran, what the turn did is undone; \
             call again with more time"
        }
    };
    Code::CallExpired.error(error).with_outcome(outcome)
}

/// A turn that runs. If it is dropped before it ends, its caller is told that it was aborted.
pub(crate) struct Running<O: Object> {
    call: Option<Arc<PendingCall<O>>>,
    /// Whoever is to be told of its end. `None`: nobody is, or was told.
    around: Option<Box<Around>>,
}

impl<O: Object> Running<O> {
    pub(crate) fn new(call: Arc<PendingCall<O>>) -> Self {
        Running { call: Some(call), around: None }
    }

    pub(crate) fn number(&self) -> u64 {
        self.call().number()
    }

    /// Interceptors have let it begin, and are told of its end.
    pub(super) fn begins_within(&mut self, around: Option<Box<Around>>) {
        self.around = around;
    }

    /// Its method has ended.
    pub(super) fn has_ended(&mut self, outcome: TurnOutcome) {
        if let Some(around) = self.around.take() {
            around.end(outcome);
        }
    }

    /// Its call.
    pub(crate) fn call(&self) -> &PendingCall<O> {
        self.call.as_ref().expect("a turn that runs has a call")
    }

    pub(crate) fn durability(&self) -> Durability {
        self.call().durability()
    }

    /// The turn has ended; the answer waits for the gate.
    pub(crate) fn hold(mut self, answer: Result<O::Reply, Error>) -> Arc<PendingCall<O>> {
        let call = self.call.take().expect("a turn ends once");
        call.hold(answer);
        call
    }

    /// The turn has ended, and the gate is open.
    pub(crate) fn answer(mut self, answer: Result<O::Reply, Error>) {
        let call = self.call.take().expect("a turn ends once");
        call.answer(answer);
    }
}

impl<O: Object> Drop for Running<O> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.answer(Err(Code::CallAborted.error(
                "the activation ended while the method ran, its changes were undone; call again",
            )));
        }
    }
}
