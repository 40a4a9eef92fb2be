//! The place of one object: the calls that wait for it, and the activation that serves them.
//!
//! Calls wait here and not in the actor's mailbox. So they outlive the activation: a crash costs the call that crashed,
//! an eviction costs nothing, and the next activation goes on with the same queue in the same order.

mod arrival;
mod idle;
mod incarnation;
mod kin;
mod line;
mod queue;
mod refusal;
mod relative;
mod retry;
mod shed;
mod watch;
mod work;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::class::Access;
use crate::client::Client;
use crate::cut::CutOff;
use crate::directory::Group;
use crate::error::{Code, Error};
use crate::host::{Event, Host};
use crate::id::{Lineage, ObjectId, Placement};
use crate::kernel::activation::{EndWish, Lifecycle};
use crate::kernel::restart::Exit;
use crate::kernel::retry::Retry;
use crate::kernel::turn::{self, Next, Sight};
use crate::kernel::waits::Link;
use crate::object::ends::End;
use crate::object::engine::Engine;
use crate::object::errand::Errand;
use crate::object::notice::Notice;
use crate::object::{Firing, Object, PendingCall, Rung};
use crate::stub::{Address, Origin};
use crate::time::MonoNs;

pub(crate) use self::idle::Arrived;
use self::idle::Idle;
pub(crate) use self::incarnation::{Incarnation, Resident};
use self::kin::{Bell, Ties};
pub(crate) use self::kin::{Cut, Kin};
use self::line::Crowd;
pub(crate) use self::shed::TooLate;

/// The place of one object. Stubs that have made a call keep it, and the activation does; there is never a second one
/// for the same object.
pub(crate) struct Slot<O: Object> {
    id: ObjectId,
    group: Arc<Group<O>>,
    /// Empty until a call by name came, or storage told.
    name: OnceLock<Arc<str>>,
    /// Empty unless a call came through a placed client, or storage told.
    placement: OnceLock<Arc<Placement>>,
    /// Empty for an object without a parent, and until a stub or storage told.
    lineage: OnceLock<Lineage>,
    bell: Bell,
    engine: Engine<End>,
    state: Mutex<State<O>>,
}

struct State<O: Object> {
    life: Lifecycle,
    inbox: VecDeque<Arc<PendingCall<O>>>,
    /// The object's alarm, as often as it was fired and has not begun: by its shard's calendar and by people. Each stands
    /// behind the calls that were there before it, of which so many are left.
    firings: VecDeque<(usize, Firing)>,
    /// Who wants to look at the object between two turns.
    visits: Vec<Visit<O>>,
    /// What is to be done before it is loaded, in order.
    errands: Vec<Errand>,
    /// Whether the present activation has taken a call.
    has_served: bool,
    /// What has the object to itself. `None`: nothing does, or it reads.
    writing: Option<Writing>,
    /// The object in memory cannot be trusted, and ends when no read of it runs.
    is_failing: bool,
    /// Calls of turns may wait that read, and came behind something that runs alone.
    has_reads_behind: bool,
    /// The methods that read it and wait in the middle of that.
    reading: Vec<&'static str>,
    /// What callers are told, but for those that wait already. `None`: they are served.
    refusal: Option<Error>,
    /// How often it could not start since it was last in memory, as far as it is tried again.
    retry: Retry,
    /// It is in quarantine, and what the activation is there for. `None`: it is not.
    trial: Option<Trial>,
    idle: Idle,
    /// Set while it waits for reads to end before anything else begins, but for a read that one of them waits for.
    beside_waker: Option<Waker>,
    idle_since: MonoNs,
    /// Who waits for the activation to be gone.
    exit_waiters: Vec<oneshot::Sender<()>>,
    /// The activation has loaded, and takes children.
    is_up: bool,
    /// A turn runs, or may.
    is_in_turn: bool,
    /// How the activation has crashed. `None`: it has not.
    crash: Option<Box<Exit>>,
    /// Nothing of the object is left by the activation.
    was_erased: bool,
    /// `None`: the object is tied to no other.
    ties: Option<Box<Ties>>,
    /// `None`: its class says nothing of how many calls may come, and none waits for room.
    crowd: Option<Box<Crowd<O>>>,
}

/// A turn that has the object to itself.
struct Writing {
    method: &'static str,
    /// The schedule whose run it is. `None`: of none.
    schedule: Option<String>,
}

/// What an object that is in quarantine is let run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// One call, or what is due.
    Turn,
    /// A child of it, whose call needs no more of it than that it starts.
    Start,
}

/// A look at the object between two turns.
pub(crate) type Visit<O> = Box<dyn FnOnce(&O) + Send>;

/// Why a call could not be queued.
pub(crate) enum Refused {
    /// The runtime is gone.
    Abandoned,
    /// As many calls wait as may; how many.
    Full(usize),
    /// So many calls wait for room, and came before.
    Behind(usize),
    /// It would not begin in time.
    TooLate(TooLate),
    /// It comes before the rate of its class lets it; when it does.
    TooSoon(MonoNs),
    /// The object does not run.
    Quarantined(Error),
    /// The turn that makes it would wait for itself: the calls that lead there, and whether something else than a call
    /// would have come before it.
    Circular(Vec<Link>, bool),
}

/// What an activation gets to do next.
pub(crate) enum Work<O: Object> {
    Read(Arc<PendingCall<O>>),
    Write(Arc<PendingCall<O>>),
    Alarm(Firing),
    Visit(Visit<O>),
    Notice(Notice),
    /// End the activation.
    End,
}

/// Room for calls that an idle object keeps, so that the next call allocates nothing.
const INBOX_KEPT: usize = 4;

impl<O: Object> Slot<O> {
    pub(crate) fn new(id: ObjectId, group: Arc<Group<O>>) -> Arc<Self> {
        let state = State {
            life: Lifecycle::new(),
            inbox: VecDeque::new(),
            firings: VecDeque::new(),
            visits: Vec::new(),
            errands: Vec::new(),
            has_served: false,
            writing: None,
            is_failing: false,
            has_reads_behind: false,
            reading: Vec::new(),
            refusal: None,
            retry: Retry::default(),
            trial: None,
            idle: Idle::default(),
            beside_waker: None,
            idle_since: MonoNs(0),
            exit_waiters: Vec::new(),
            is_up: false,
            is_in_turn: false,
            crash: None,
            was_erased: false,
            ties: None,
            crowd: None,
        };
        let (name, placement, lineage) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (bell, engine, state) = (Bell::default(), Engine::default(), Mutex::new(state));
        Arc::new(Slot { id, group, name, placement, lineage, bell, engine, state })
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    pub(crate) fn id_ref(&self) -> &ObjectId {
        &self.id
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
            Some(name) => format!("{}({})", O::CLASS.name, name.escape_debug()),
            None => format!("{}({})", O::CLASS.name, self.id),
        }
    }

    pub(crate) fn address(&self) -> Address<O> {
        let known = (self.stored_name(), self.placement.get().cloned());
        self.group.address(self.id, known, self.lineage.get().cloned())
    }

    pub(crate) fn client(&self, origin: Option<Origin>) -> Client {
        self.group.client(origin)
    }

    /// Which activation is the newest.
    pub(crate) fn incarnation(&self) -> u64 {
        self.state.lock().life.incarnation()
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().inbox.len()
    }

    /// Whether an activation is there.
    pub(crate) fn is_resident(&self) -> bool {
        self.state.lock().life.is_resident()
    }

    /// Queues the object's alarm, behind the calls that wait. It takes no place among them: nobody would know what to do
    /// about an alarm that is refused.
    pub(crate) fn fire(self: &Arc<Self>, firing: Firing) {
        let mut state = self.state.lock();
        if state.life.is_abandoned() {
            drop(state);
            return firing.end(Rung::Postponed(gone()));
        }
        if let Some(error) = &state.refusal {
            let error = error.clone();
            drop(state);
            return firing.end(Rung::Postponed(error));
        }
        let ahead = state.inbox.len();
        state.firings.push_back((ahead, firing));
        self.wake(state);
    }

    /// Lets `visit` look at the object, between two turns. It is dropped if the object cannot start, or the runtime goes.
    pub(crate) fn visit(self: &Arc<Self>, visit: Visit<O>) {
        let mut state = self.state.lock();
        if !state.life.is_abandoned() && state.refusal.is_none() {
            state.visits.push(visit);
            self.wake(state);
        }
    }

    /// Has something done to the object before it is loaded anew, when no turn of it runs. It is dropped if the runtime goes.
    pub(crate) fn send(self: &Arc<Self>, errand: Errand) {
        let mut state = self.state.lock();
        if !state.life.is_abandoned() {
            state.errands.push(errand);
            state.life.on_evict(EndWish::Soon);
            self.wake(state);
        }
    }

    /// What is to be done before the object is loaded.
    pub(crate) fn take_errands(&self) -> Vec<Errand> {
        std::mem::take(&mut self.state.lock().errands)
    }

    /// Whether anybody waits for the object itself.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        let is_wanted = state.ties.as_ref().is_some_and(|ties| ties.is_wanted());
        is_wanted
            || !state.inbox.is_empty()
            || state.has_unattended_line()
            || !state.visits.is_empty()
            || !state.firings.is_empty()
    }

    /// What the activation does next. `readers`: reads that run. Pending while nothing may begin; then `task` is woken
    /// when a call comes, unless nothing that comes may begin.
    pub(crate) fn poll_work(
        self: &Arc<Self>,
        task: &TaskContext<'_>,
        readers: usize,
    ) -> Poll<Work<O>> {
        let mut state = self.state.lock();
        if state.has_line() {
            self.settle_line(state, None);
            state = self.state.lock();
        }
        let has_passed = match state.trial {
            None => false,
            Some(Trial::Turn) => state.has_served && readers == 0,
            Some(Trial::Start) => true,
        };
        if has_passed {
            (state.trial, state.refusal) = (None, None);
            drop(state);
            self.group.on_passed(self);
            state = self.state.lock();
        }
        (state.is_in_turn, state.writing) = (readers > 0, None);
        if state.ties.is_none() {
            let work = self.next_work(&mut state, task, readers);
            state.is_in_turn |= work.is_ready();
            return work;
        }
        let mut acts = Vec::new();
        if let (Some(wish), Some(ties)) = (state.life.end_wish(), &mut state.ties)
            && readers == 0
            && ties.has_children()
        {
            acts.extend(self.send_last_away(ties, wish));
        }
        let work = self.next_work(&mut state, task, readers);
        acts.extend(match &work {
            Poll::Ready(Work::End) => self.close_family(&mut state),
            Poll::Ready(_) => {
                state.is_in_turn = true;
                // A child that waits may be the one that the turn will call.
                self.let_in(&mut state, false)
            }
            Poll::Pending => Vec::new(),
        });
        drop(state);
        self.act(acts);
        work
    }

    fn next_work(
        &self,
        state: &mut State<O>,
        task: &TaskContext<'_>,
        readers: usize,
    ) -> Poll<Work<O>> {
        if state.life.is_abandoned() {
            return Poll::Ready(Work::End);
        }
        let (has_children, mut has_notice) = match &state.ties {
            Some(ties) => (ties.has_children(), !ties.notices.is_empty()),
            None => (false, false),
        };
        let mut end_wish = state.life.end_wish();
        if readers > 0 && (has_notice || end_wish.is_some()) && state.has_beside() {
            (has_notice, end_wish) = (false, None);
        }
        if let Some(visit) = state.visits.pop() {
            return Poll::Ready(Work::Visit(visit));
        }
        if readers > 0 {
            state.skip_those_who_left();
        }
        let head = state.inbox.front().map(|call| call.access());
        let is_alarm_next =
            state.firings.front().is_some_and(|(ahead, _)| *ahead == 0 || head.is_none());
        let sight = Sight {
            readers,
            head: if is_alarm_next || has_notice { Some(Access::Write) } else { head },
            // It serves on, and waits for no call, until its children, whose turns may wait for it, and its work are over.
            end_wish: end_wish
                .filter(|wish| !has_children && !has_notice && !state.is_kept_by_work(*wish)),
            has_served: state.has_served,
        };
        match turn::next(sight) {
            Next::BeginRead => return Poll::Ready(Work::Read(self.pop_read(state, readers))),
            Next::BeginWrite if has_notice => {
                let notice = state.ties.as_mut().and_then(|ties| ties.notices.pop_front());
                return Poll::Ready(Work::Notice(notice.expect("it was seen")));
            }
            Next::BeginWrite if is_alarm_next => {
                state.has_served = true;
                state.writing = Some(Writing { method: "#[alarm]", schedule: None });
                let (_, firing) = state.firings.pop_front().expect("the head was seen");
                return Poll::Ready(Work::Alarm(firing));
            }
            Next::BeginWrite => {
                let call = self.pop(state);
                state.writing = Some(Writing { method: call.spec().name, schedule: None });
                return Poll::Ready(Work::Write(call));
            }
            Next::End => {
                state.life.on_ending();
                return Poll::Ready(Work::End);
            }
            Next::AwaitReader => {
                state.beside_waker = Some(task.waker().clone());
                return Poll::Pending;
            }
            Next::AwaitCall if state.life.end_wish().is_some() => {}
            Next::AwaitCall => {
                state.idle_since = self.host().clock.now();
                state.rests();
                state.life.on_drained();
            }
            Next::AwaitReaderOrCall => {}
        }
        state.idle.begin(task);
        Poll::Pending
    }

    /// What was fired runs a method. `schedule`: whose run it is, if it is one.
    pub(crate) fn runs(&self, method: &'static str, schedule: Option<&str>) {
        let schedule = schedule.map(str::to_owned);
        self.state.lock().writing = Some(Writing { method, schedule });
    }

    /// A read waits in the middle.
    pub(crate) fn read_waits(&self, method: &'static str) {
        self.state.lock().reading.push(method);
    }

    /// A read that has waited is over.
    pub(crate) fn read_ends(&self, method: &'static str) {
        let reading = &mut self.state.lock().reading;
        if let Some(place) = reading.iter().position(|other| *other == method) {
            reading.swap_remove(place);
        }
    }

    /// What the activation is at. Empty: none is there.
    pub(crate) fn unfinished(&self) -> Vec<CutOff> {
        let state = self.state.lock();
        if !state.life.is_resident() {
            return Vec::new();
        }
        let (class, id, object) = (O::CLASS.name, self.id, self.label());
        let reading = state.reading.iter().map(|method| (*method, None));
        let writing = state.writing.iter().map(|turn| (turn.method, turn.schedule.clone()));
        let mut turns: Vec<_> = writing.chain(reading).collect();
        turns.sort_unstable();
        let works = self.unfinished_work(&state);
        if turns.is_empty() && works.is_empty() {
            return vec![CutOff::Activation { class, id, object, has_served: state.has_served }];
        }
        let turn = |(method, schedule)| {
            let object = object.clone();
            CutOff::Turn { class, id, object, method, schedule }
        };
        turns.into_iter().map(turn).chain(works).collect()
    }

    /// No turn has the object to itself any more, and none begins yet.
    pub(crate) fn turn_is_over(&self) {
        self.state.lock().writing = None;
    }

    /// The activation ends of itself, between two turns.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.writing = None;
        state.life.on_ending();
    }

    /// The activation has crashed: what it has in memory is not to be trusted. Said before it ends.
    pub(crate) fn crashed(&self, exit: Exit) {
        self.host().report(|| Event::Died { object: &self.id, exit: &exit });
        self.state.lock().crash.get_or_insert_with(|| Box::new(exit));
    }

    /// The activation leaves nothing of its object.
    pub(crate) fn erased(&self) {
        self.state.lock().was_erased = true;
    }

    /// Whether the activation leaves nothing of its object.
    pub(crate) fn was_erased(&self) -> bool {
        self.state.lock().was_erased
    }

    /// The activation could not start: everybody who waits gets `error`, and it ends.
    pub(crate) fn fail_start(self: &Arc<Self>, error: &Error) {
        let mut state = self.state.lock();
        state.life.on_ending();
        let refused = state.take_waiting();
        drop(state);
        refused.tell(self, error);
    }

    /// Asks the activation to end, and waits until it is gone. Whether there was one.
    pub(crate) async fn evict(&self, wish: EndWish) -> bool {
        self.wait_for_exit(Some(wish)).await
    }

    /// Waits until the activation is gone.
    pub(crate) async fn wait_until_gone(&self) {
        self.wait_for_exit(None).await;
    }

    /// `wish`: how it is asked to end. `None`: it is not.
    async fn wait_for_exit(&self, wish: Option<EndWish>) -> bool {
        let (gone, waker) = {
            let mut state = self.state.lock();
            if !state.life.is_resident() {
                return false;
            }
            let (sender, receiver) = oneshot::channel();
            state.exit_waiters.retain(|waiter| !waiter.is_closed());
            state.exit_waiters.push(sender);
            if let Some(wish) = wish {
                state.life.on_evict(wish);
            }
            (receiver, state.idle.wake())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        // The sender is dropped without a word only if the place itself is: the activation is gone then, too.
        let _ = gone.await;
        true
    }
}

impl<O: Object> Drop for Slot<O> {
    fn drop(&mut self) {
        self.group.directory().forget(&self.id);
        for call in self.state.get_mut().inbox.drain(..) {
            call.answer(Err(gone()));
        }
    }
}

/// The error of whoever waits for an object when the runtime goes.
pub(crate) fn gone() -> Error {
    Code::RuntimeClosed.error("the runtime is shut down; start it again")
}
