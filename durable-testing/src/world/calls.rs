//! Calls from outside of the node: their way to it, their answers, and the history of both.
//!
//! A caller is not part of the node. When the node crashes the caller goes on, and does not know what became of its call.
//! A call that comes while the node is down waits until it is up again, as with a client that reconnects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use durable::caller::{Caller, Request, Who};
use durable::host::BoxFuture;
use durable::{Code, Error, ObjectId, Outcome, SendId};
use parking_lot::Mutex;

use super::World;
use super::life::Life;
use crate::history::{self, CallIndex, History, Recorded};
use crate::ledger::{Ledger, Turned};

/// All calls of a world.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) ledger: Ledger,
    /// By stub: those that are on their way to the node, in order.
    outgoing: BTreeMap<u64, VecDeque<Arc<Route>>>,
    /// Those that the node has; some of them are over.
    there: Vec<Weak<Route>>,
    /// Texts of the errors by which callers cannot tell that their calls are done.
    excuses: BTreeSet<String>,
}

/// One call on its way.
struct Route {
    number: u64,
    index: CallIndex,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    waker: Option<Waker>,
}

enum Phase {
    /// It has not reached the node.
    Outgoing(Request),
    /// The node has it.
    There(BoxFuture<'static, Result<Vec<u8>, Error>>, Arc<Life>),
    /// Its caller has the answer, or has gone.
    Over,
}

/// The world as stubs reach it.
pub(crate) struct Outside(pub(crate) Weak<World>);

impl Outside {
    fn world(&self) -> Result<Arc<World>, Error> {
        self.0.upgrade().ok_or_else(|| Code::RuntimeClosed.error("the world is over; run another"))
    }
}

impl Caller for Outside {
    fn call(&self, request: Request) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        match self.world() {
            Ok(world) => Box::pin(world.send(request)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn send(
        &self,
        request: Request,
        delay: Option<Duration>,
    ) -> BoxFuture<'static, Result<SendId, Error>> {
        match self.world().and_then(|world| world.runtime()) {
            Ok(runtime) => runtime.dispatch_send(request, delay),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn id(&self, class: &'static str, who: &Who) -> Result<ObjectId, Error> {
        self.world()?.runtime()?.id_of(class, who)
    }

    fn unique(&self, class: &'static str) -> Result<ObjectId, Error> {
        self.world()?.runtime()?.unique_id(class)
    }

    fn number_stub(&self) -> u64 {
        self.0.upgrade().map_or(0, |world| world.calls.lock().ledger.next_stub())
    }
}

impl World {
    /// A call sets out.
    fn send(self: &Arc<Self>, request: Request) -> Answer {
        self.stir();
        let step = self.step();
        let stub = request.stub;
        let mut calls = self.calls.lock();
        let (index, number) = calls.ledger.begin(step, &request);
        let object = &calls.ledger.call(index).object;
        self.trace.lock().call(self.now_ns(), "client.calls", number, object, request.method.name);
        let phase = Phase::Outgoing(request);
        let state = Mutex::new(State { phase, waker: None });
        let route = Arc::new(Route { number, index, state });
        calls.outgoing.entry(stub).or_default().push_back(Arc::clone(&route));
        drop(calls);
        self.soon(0, move |world| world.deliver_next(stub));
        Answer { world: Arc::downgrade(self), route: Some(route) }
    }

    /// The next call of a stub reaches the node, if the node is up.
    fn deliver_next(self: &Arc<Self>, stub: u64) {
        let Some((runtime, life)) = self.up() else { return self.knock(stub) };
        let route = {
            let mut calls = self.calls.lock();
            let Some(queue) = calls.outgoing.get_mut(&stub) else { return };
            let route = queue.pop_front();
            if queue.is_empty() {
                calls.outgoing.remove(&stub);
            }
            route
        };
        let Some(route) = route else { return };
        let phase = std::mem::replace(&mut route.state.lock().phase, Phase::Over);
        let Phase::Outgoing(request) = phase else { return };
        let answer = runtime.dispatch(request, route.number);
        {
            let mut calls = self.calls.lock();
            calls.there.retain(|route| route.strong_count() > 0);
            calls.there.push(Arc::downgrade(&route));
        }
        let mut state = route.state.lock();
        state.phase = Phase::There(answer, life);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next call of a stub reaches a node that was asked to end, which turns it away: it waits for the next life. If it is
    /// let in, that is [seen](crate::check).
    fn knock(self: &Arc<Self>, stub: u64) {
        let Some(runtime) = self.stopping() else { return };
        let next = self.calls.lock().outgoing.get(&stub).and_then(|queue| queue.front().cloned());
        let Some(route) = next else { return };
        let request = match &route.state.lock().phase {
            Phase::Outgoing(request) => request.clone(),
            Phase::There(..) | Phase::Over => return,
        };
        drop(runtime.dispatch(request, route.number));
    }

    /// The node is up: what waited for it reaches it.
    pub(super) fn deliver_waiting(self: &Arc<Self>) {
        let waiting: Vec<_> = {
            let calls = self.calls.lock();
            calls.outgoing.iter().map(|(stub, queue)| (*stub, queue.len())).collect()
        };
        for (stub, count) in waiting {
            for _ in 0..count {
                self.soon(0, move |world| world.deliver_next(stub));
            }
        }
    }
}

/// The answer of a call, as its caller waits for it.
struct Answer {
    world: Weak<World>,
    /// `None`: it was given.
    route: Option<Arc<Route>>,
}

impl Future for Answer {
    type Output = Result<Vec<u8>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(route) = self.route.clone() else { panic!("an answer was awaited twice") };
        let phase = {
            let mut state = route.state.lock();
            state.waker = Some(cx.waker().clone());
            std::mem::replace(&mut state.phase, Phase::Over)
        };
        // Without the lock: the node may crash in the middle of this, and then all callers are woken.
        let (answer, over) = match phase {
            Phase::There(mut answer, life) => {
                let polled = if life.is_alive() { answer.as_mut().poll(cx) } else { Poll::Pending };
                match polled {
                    _ if !life.is_alive() => (Err(crashed()), answer),
                    Poll::Ready(given) => (given, answer),
                    Poll::Pending => {
                        route.state.lock().phase = Phase::There(answer, life);
                        return Poll::Pending;
                    }
                }
            }
            waiting => {
                route.state.lock().phase = waiting;
                return Poll::Pending;
            }
        };
        self.route = None;
        if let Some(world) = self.world.upgrade() {
            world.answered(&route, &answer);
        }
        drop(over);
        Poll::Ready(answer)
    }
}

/// The error of a call that the node had when it crashed.
fn crashed() -> Error {
    Code::RuntimeClosed
        .error("the node crashed while it had the call; read the object to see what became of it")
        .with_outcome(Outcome::Unknown)
}

impl Drop for Answer {
    fn drop(&mut self) {
        let Some(route) = self.route.take() else { return };
        let over = std::mem::replace(&mut route.state.lock().phase, Phase::Over);
        let outcome = match &over {
            Phase::Outgoing(_) => history::Outcome::NotDone("its caller took it back".to_owned()),
            _ => history::Outcome::Unknown("its caller did not wait".to_owned()),
        };
        if let Some(world) = self.world.upgrade() {
            world.calls.lock().ledger.close(world.step(), route.index, outcome);
            world.tell_call(&route, "client.leaves");
        }
    }
}

impl World {
    fn answered(&self, route: &Route, answer: &Result<Vec<u8>, Error>) {
        let point = match answer {
            Ok(_) => "client.has_reply",
            Err(error) => {
                self.calls.lock().excuses.insert(error.message().to_owned());
                match error.outcome() {
                    Outcome::NotStarted | Outcome::RolledBack => "client.has_error",
                    Outcome::Committed | Outcome::Unknown => "client.cannot_know",
                }
            }
        };
        let step = self.step();
        let answer = answer.as_ref().map(Vec::as_slice);
        self.calls.lock().ledger.answer(step, route.index, answer);
        self.tell_call(route, point);
    }

    fn tell_call(&self, route: &Route, point: &'static str) {
        let calls = self.calls.lock();
        let call = calls.ledger.call(route.index);
        self.trace.lock().call(self.now_ns(), point, route.number, &call.object, &call.method);
    }

    /// The calls to one object of a class.
    pub(crate) fn calls_to(
        &self,
        class: &'static str,
        object: ObjectId,
    ) -> Result<Vec<(Recorded, Turned)>, Error> {
        let runtime = self.runtime()?;
        let id_of = |who: &Who| runtime.id_of(class, who).ok();
        Ok(self.calls.lock().ledger.calls_to(class, object, id_of))
    }

    /// Every call until now.
    pub(crate) fn history(&self) -> History {
        self.calls.lock().ledger.history().clone()
    }

    /// Whether any caller waits for its answer.
    pub(super) fn are_callers_waiting(&self) -> bool {
        !self.calls.lock().ledger.pending().is_empty()
    }

    /// Whether a text is that of an error that the system gave a caller.
    pub(crate) fn is_excuse(&self, text: &str) -> bool {
        self.calls.lock().excuses.iter().any(|excuse| text.contains(excuse.as_str()))
    }

    /// Whoever waits for a node that has crashed looks again.
    pub(super) fn wake_callers(&self) {
        let there = std::mem::take(&mut self.calls.lock().there);
        for route in there.iter().filter_map(Weak::upgrade) {
            let waker = route.state.lock().waker.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
