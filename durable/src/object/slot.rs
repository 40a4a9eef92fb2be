//! The place of one object in the directory: the calls that wait for it, and the activation that serves them.
//!
//! Calls wait here and not in the actor's mailbox. So they outlive the activation: a crash costs the call that crashed,
//! an eviction costs nothing, and the next activation goes on with the same queue in the same order.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::Mutex;
use ractor::ActorRef;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::directory::Group;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::id::{ObjectId, Placement};
use crate::kernel::activation::{Action, Lifecycle};
use crate::kernel::admission;
use crate::kernel::residency::Use;
use crate::kernel::turn::{self, Next};
use crate::object::{ActivationMessage, Object, PendingCall};
use crate::stub::{Address, Origin};
use crate::time::MonoNs;

/// The place of one object. It is in the directory while an activation runs or calls wait.
pub(crate) struct Slot<O: Object> {
    id: ObjectId,
    group: Arc<Group<O>>,
    /// Empty until a call by name came, or storage told.
    name: OnceLock<Arc<str>>,
    /// Empty unless a call came through a placed client, or storage told.
    placement: OnceLock<Arc<Placement>>,
    state: Mutex<State<O>>,
}

struct State<O: Object> {
    life: Lifecycle,
    inbox: VecDeque<Arc<PendingCall<O>>>,
    /// `None`: no activation runs.
    actor: Option<ActorRef<ActivationMessage>>,
    /// Set while the activation waits for a running read or a new call.
    waker: Option<Waker>,
    idle_since: MonoNs,
    /// Who waits for the activation to be gone.
    exit_waiters: Vec<oneshot::Sender<()>>,
}

/// Why a call could not be queued.
pub(crate) enum Refused {
    /// The place has left the directory; look the object up again.
    Forgotten,
    /// As many calls wait as may; how many.
    Full(usize),
}

/// What an activation gets to do next.
pub(crate) enum Work<O: Object> {
    Read(Arc<PendingCall<O>>),
    Write(Arc<PendingCall<O>>),
    AwaitReader,
    AwaitReaderOrCall,
    Drained,
    Stop,
}

impl<O: Object> Slot<O> {
    pub(crate) fn new(id: ObjectId, group: Arc<Group<O>>) -> Arc<Self> {
        let state = State {
            life: Lifecycle::new(),
            inbox: VecDeque::new(),
            actor: None,
            waker: None,
            idle_since: MonoNs(0),
            exit_waiters: Vec::new(),
        };
        Arc::new(Slot {
            id,
            group,
            name: OnceLock::new(),
            placement: OnceLock::new(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    pub(crate) fn group(&self) -> &Arc<Group<O>> {
        &self.group
    }

    pub(crate) fn host(&self) -> &Host {
        self.group.host()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.get().map(AsRef::as_ref)
    }

    pub(crate) fn stored_name(&self) -> Option<Arc<str>> {
        self.name.get().cloned()
    }

    pub(crate) fn placement(&self) -> Option<&Arc<Placement>> {
        self.placement.get()
    }

    /// Remembers what a caller or storage knows of the object. The first knowledge stays: it can only be the same.
    pub(crate) fn learn(&self, name: Option<&Arc<str>>, placement: Option<&Arc<Placement>>) {
        if let (Some(name), None) = (name, self.name.get()) {
            let _ = self.name.set(Arc::clone(name));
        }
        if let (Some(placement), None) = (placement, self.placement.get()) {
            let _ = self.placement.set(Arc::clone(placement));
        }
    }

    /// The object as errors and logs call it: `class(name)`, or `class(id)` while no name is known.
    pub(crate) fn label(&self) -> String {
        match self.name() {
            Some(name) => format!("{}({name})", O::CLASS.name),
            None => format!("{}({})", O::CLASS.name, self.id),
        }
    }

    pub(crate) fn address(&self) -> Address<O> {
        self.group.address(self.id, self.stored_name(), self.placement.get().cloned())
    }

    pub(crate) fn client(&self, origin: Option<Origin>) -> Client {
        self.group.client(origin)
    }

    /// Queues a call and sees to it that an activation serves it.
    pub(crate) fn enqueue(self: &Arc<Self>, call: &Arc<PendingCall<O>>) -> Result<(), Refused> {
        let inbox_max = self.group.inbox_calls_max();
        let mut state = self.state.lock();
        if state.life.is_forgotten() {
            return Err(Refused::Forgotten);
        }
        if admission::enter_inbox(state.inbox.len(), inbox_max).is_err() {
            return Err(Refused::Full(state.inbox.len()));
        }
        state.inbox.push_back(Arc::clone(call));
        let action = state.life.on_call();
        let waker = state.waker.take();
        if action == Action::Wake {
            state.tell(ActivationMessage::Run);
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if action == Action::Start {
            self.group.start(self);
        }
        Ok(())
    }

    /// What the activation does next. `readers`: reads that run.
    pub(crate) fn next(&self, readers: usize) -> Work<O> {
        let mut state = self.state.lock();
        let head = state.inbox.front().map(|call| call.access());
        let pop = |state: &mut State<O>| state.inbox.pop_front().expect("the head was seen");
        match turn::next(readers, head, state.life.is_stop_wanted()) {
            Next::BeginRead => Work::Read(pop(&mut state)),
            Next::BeginWrite => Work::Write(pop(&mut state)),
            Next::AwaitReader => Work::AwaitReader,
            Next::AwaitReaderOrCall => Work::AwaitReaderOrCall,
            Next::Drained => {
                state.idle_since = self.host().clock.now();
                state.inbox.shrink_to(INBOX_KEPT);
                state.life.on_drained();
                Work::Drained
            }
            Next::Stop => {
                state.life.on_ending();
                Work::Stop
            }
        }
    }

    /// Ready when a call waits or the activation should stop; otherwise wakes `task` then.
    pub(crate) fn poll_call(&self, task: &TaskContext<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.inbox.is_empty() || state.life.is_stop_wanted() {
            return Poll::Ready(());
        }
        state.waker = Some(task.waker().clone());
        Poll::Pending
    }

    /// The activation ends of itself, between two turns.
    pub(crate) fn end(&self) {
        self.state.lock().life.on_ending();
    }

    /// The activation could not start: everybody who waits gets `error`, and it ends.
    pub(crate) fn fail_start(&self, error: &Error) {
        let mut state = self.state.lock();
        state.life.on_ending();
        let calls = std::mem::take(&mut state.inbox);
        drop(state);
        for call in calls {
            call.answer(Err(error.clone()));
        }
    }

    /// Wakes the first turn of an activation that was just spawned.
    pub(crate) fn adopt(&self, actor: ActorRef<ActivationMessage>) {
        let mut state = self.state.lock();
        state.actor = Some(actor);
        state.tell(ActivationMessage::Run);
    }

    /// Which activation is the newest.
    pub(crate) fn incarnation(&self) -> u64 {
        self.state.lock().life.incarnation()
    }

    /// The runtime is going or gone: whoever waits is told, and the place leaves the directory.
    pub(crate) fn abandon(&self) {
        let mut calls = VecDeque::new();
        let mut was_running = false;
        self.group.directory().settle(&self.id, || {
            let mut state = self.state.lock();
            calls = std::mem::take(&mut state.inbox);
            state.actor = None;
            was_running = state.life.on_abandon();
            (Action::Forget, std::mem::take(&mut state.exit_waiters))
        });
        for call in calls {
            call.answer(Err(Code::RuntimeClosed.error("the runtime is shut down; start it again")));
        }
        if was_running {
            self.group.left();
        }
    }

    /// Asks the activation to end, and waits until it is gone. Calls that wait are served by the next one.
    pub(crate) async fn evict(&self) {
        let gone = {
            let mut state = self.state.lock();
            if state.actor.is_none() && state.inbox.is_empty() {
                return;
            }
            let (sender, receiver) = oneshot::channel();
            state.exit_waiters.push(sender);
            state.ask_to_end();
            receiver
        };
        // The sender is dropped without a word only if the place itself is dropped: the activation is gone then, too.
        let _ = gone.await;
    }
}

/// Room for calls that an idle object keeps, so that the next call allocates nothing.
const INBOX_KEPT: usize = 4;

impl<O: Object> State<O> {
    fn tell(&self, message: ActivationMessage) {
        if let Some(actor) = &self.actor {
            // It fails only if the activation is ending; then its exit looks at the queue again.
            let _ = actor.cast(message);
        }
    }

    fn ask_to_end(&mut self) {
        if self.life.on_evict() == Action::Stop {
            self.tell(ActivationMessage::End);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<O: Object> Drop for Slot<O> {
    fn drop(&mut self) {
        for call in self.state.get_mut().inbox.drain(..) {
            call.answer(Err(Code::RuntimeClosed.error("the runtime was dropped; start it again")));
        }
    }
}

/// A running activation, as its supervisor sees it.
pub(crate) trait Incarnation: Send + Sync {
    /// The activation is gone, with everything that it held.
    fn on_exit(self: Arc<Self>);
    /// The runtime is going: nothing is started any more.
    fn on_abandon(&self);
    /// The object as logs call it.
    fn label(&self) -> String;
}

impl<O: Object> Incarnation for Slot<O> {
    fn on_exit(self: Arc<Self>) {
        let action = self.group.directory().settle(&self.id, || {
            let mut state = self.state.lock();
            state.actor = None;
            state.waker = None;
            let are_calls_waiting = !state.inbox.is_empty();
            let waiters = std::mem::take(&mut state.exit_waiters);
            (state.life.on_exit(are_calls_waiting), waiters)
        });
        self.group.left();
        if action == Action::Start {
            self.group.start(&self);
        }
    }

    fn on_abandon(&self) {
        self.abandon();
    }

    fn label(&self) -> String {
        Slot::label(self)
    }
}

/// An object in memory, as the eviction sees it.
pub(crate) trait Resident: Send + Sync {
    /// How its activation number `incarnation` is used.
    fn current_use(&self, incarnation: u64) -> Use;
    /// Ends its activation if it is idle. Whether it was.
    fn evict_if_idle(&self) -> bool;
}

impl<O: Object> Resident for Slot<O> {
    fn current_use(&self, incarnation: u64) -> Use {
        let state = self.state.lock();
        if !state.life.is_live() || state.life.incarnation() != incarnation {
            Use::Gone
        } else if state.life.is_idle() {
            Use::IdleSince(state.idle_since)
        } else {
            Use::Busy
        }
    }

    fn evict_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        let is_idle = state.life.is_idle();
        if is_idle {
            state.ask_to_end();
        }
        is_idle
    }
}
