//! One supervisor that runs: hears its children, asks the machine, and carries out what that says.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::service::Service;
use super::spec::{Body, Child};
use super::task::{Order, Running, TaskContext};
use crate::client::Client;
use crate::error::{Code, Error};
use crate::host::{BoxFuture, Event as Report};
use crate::kernel::restart::{
    Asker, ChildKey, ChildKind, Decision, Effect, Event, Exit, ExitReason, Given, Incarnation,
    Machine, Request, SupervisorSpec, Timer,
};
use crate::limits::{SUPERVISOR_REQUESTS_MAX, TURNS_PER_SLICE};
use crate::time::MonoNs;

/// A supervisor that runs, as others see it.
pub(super) struct Node {
    pub(super) path: Arc<str>,
    pub(super) spec: SupervisorSpec,
    pub(super) machine: Mutex<Machine>,
    inbox: Mutex<Inbox>,
    /// The supervisors below it that run.
    nested: Mutex<BTreeMap<ChildKey, Arc<Node>>>,
}

/// What waits for a supervisor. Each run of a child brings two events at most, each wait one, and requests are counted.
#[derive(Default)]
struct Inbox {
    events: VecDeque<Event>,
    asked: BTreeMap<Asker, Asked>,
    askers: u64,
    /// It takes nothing more.
    is_closed: bool,
    /// `None`: the supervisor is awake.
    waker: Option<Waker>,
}

/// Somebody who waits for an answer.
struct Asked {
    answer: oneshot::Sender<Result<String, Error>>,
    /// The child that is brought. `None`: none is.
    body: Option<Body>,
}

/// Whom a supervisor tells of itself.
pub(super) enum Above {
    /// The runtime.
    Top,
    Supervisor(Arc<Node>, Incarnation),
}

impl Node {
    pub(super) fn new(spec: &SupervisorSpec, path: Arc<str>) -> Arc<Self> {
        let machine = Mutex::new(Machine::new(spec, &path));
        let spec = spec.clone();
        let (inbox, nested) = (Mutex::default(), Mutex::default());
        Arc::new(Node { path, spec, machine, inbox, nested })
    }

    /// Hands it an event.
    pub(super) fn post(&self, event: Event) {
        let waker = {
            let mut inbox = self.inbox.lock();
            if inbox.is_closed {
                return;
            }
            inbox.events.push_back(event);
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Asks it for something. Gives what a child that was started is called.
    pub(super) async fn ask(&self, request: Request, body: Option<Body>) -> Result<String, Error> {
        let stopped = || {
            Code::SupervisorStopped.error(format!(
                "supervisor {} has ended and starts nothing; ask again when it runs",
                self.path
            ))
        };
        let (answer, receiver) = oneshot::channel();
        let asker = {
            let mut inbox = self.inbox.lock();
            if inbox.is_closed {
                return Err(stopped());
            }
            let waiting = inbox.asked.len();
            if waiting >= SUPERVISOR_REQUESTS_MAX {
                return Err(Code::SupervisorFull.error(format!(
                    "{waiting} requests wait at supervisor {}, the limit is {SUPERVISOR_REQUESTS_MAX}; ask again later",
                    self.path
                )));
            }
            inbox.askers += 1;
            let asker = Asker(inbox.askers);
            inbox.asked.insert(asker, Asked { answer, body });
            asker
        };
        self.post(Event::Ask(asker, request));
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The supervisor below it that runs as this child.
    pub(super) fn nested(&self, key: ChildKey) -> Option<Arc<Node>> {
        self.nested.lock().get(&key).cloned()
    }

    /// Takes nothing more; whoever waits is told.
    fn close(&self) {
        let (events, asked) = {
            let mut inbox = self.inbox.lock();
            inbox.is_closed = true;
            (std::mem::take(&mut inbox.events), std::mem::take(&mut inbox.asked))
        };
        drop((events, asked));
        self.nested.lock().clear();
    }
}

/// The supervisor at work. When it is dropped in the middle, so is everything below it.
pub(super) struct Work {
    node: Arc<Node>,
    service: Arc<Service>,
    above: Above,
    bodies: BTreeMap<ChildKey, Body>,
    runs: BTreeMap<Incarnation, Run>,
    /// By time, and by the order in which they were set.
    timers: BTreeMap<(MonoNs, u64), Timer>,
    timers_set: u64,
    /// Restarts of some child wait.
    may_wait: bool,
    /// Events since other tasks of the thread were let run.
    slice: usize,
    /// `None`: no timer is waited for, or not asked yet.
    sleep: Option<(MonoNs, BoxFuture<'static, ()>)>,
    /// `None`: it runs.
    ended: Option<Exit>,
}

/// A run of a child.
enum Run {
    Task(Arc<Order>),
    /// It does not end by itself. Whoever finds that a class fails takes it out of service and posts its end.
    Class {
        name: &'static str,
        is_stopping: bool,
    },
    Supervisor(ChildKey, Arc<Node>),
}

impl Work {
    /// Starts a supervisor, and with it everything below.
    pub(super) fn start(node: &Arc<Node>, bodies: Vec<Body>, service: &Arc<Service>, above: Above) {
        let keys: Vec<_> = node.machine.lock().children().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), bodies.len(), "each child has a body");
        let work = Work {
            node: Arc::clone(node),
            service: Arc::clone(service),
            above,
            bodies: keys.into_iter().zip(bodies).collect(),
            runs: BTreeMap::new(),
            timers: BTreeMap::new(),
            timers_set: 0,
            may_wait: node.spec.children.iter().any(|child| child.backoff.is_some()),
            slice: 0,
            sleep: None,
            ended: None,
        };
        let (supervisor, spec) = (&node.path, &node.spec);
        service.host.report(|| Report::SupervisorBegan { supervisor, spec });
        node.post(Event::Start);
        service.host.tasks.spawn(Box::pin(work.run()));
    }

    async fn run(mut self) {
        while self.ended.is_none() {
            let event = self.next().await;
            if let Event::Exited(incarnation, _) = &event
                && let Some(Run::Supervisor(child, _)) = self.runs.remove(incarnation)
            {
                self.node.nested.lock().remove(&child);
            }
            let given = Given { now: self.service.host.clock.now(), chance: self.chance() };
            let effects = self.node.machine.lock().on(event, given);
            for effect in effects {
                self.carry_out(effect);
            }
        }
    }

    /// A number for the waits of restarts, if there may be any.
    fn chance(&self) -> u64 {
        if !self.may_wait {
            return 0;
        }
        let mut bytes = [0; 8];
        self.service.host.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The next event: what was posted, before what is due.
    async fn next(&mut self) -> Event {
        poll_fn(|cx| {
            self.slice += 1;
            if self.slice > TURNS_PER_SLICE {
                self.slice = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            {
                let mut inbox = self.node.inbox.lock();
                if let Some(event) = inbox.events.pop_front() {
                    return Poll::Ready(event);
                }
                inbox.waker = Some(cx.waker().clone());
            }
            let Some((&(at, number), _)) = self.timers.first_key_value() else {
                self.sleep = None;
                return Poll::Pending;
            };
            if self.sleep.as_ref().is_none_or(|(until, _)| *until != at) {
                self.sleep = Some((at, self.service.host.clock.sleep_until(at)));
            }
            let (_, sleep) = self.sleep.as_mut().expect("it was just set");
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
            let timer = self.timers.remove(&(at, number)).expect("it is the first");
            Poll::Ready(Event::Timer(timer))
        })
        .await
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Add { child, asker } => {
                let has_backoff = self.node.machine.lock().spec(child).backoff.is_some();
                self.may_wait |= has_backoff;
                let mut inbox = self.node.inbox.lock();
                let body = inbox.asked.get_mut(&asker).and_then(|asked| asked.body.take());
                self.bodies.insert(child, body.expect("whoever brings a child brings its body"));
            }
            Effect::Remove(child) => drop(self.bodies.remove(&child)),
            Effect::Start { child, incarnation } => self.start_child(child, incarnation),
            Effect::Stop { child, incarnation } => self.stop_child(child, incarnation, false),
            Effect::Kill { child, incarnation } => self.stop_child(child, incarnation, true),
            Effect::Timer { at, timer } => {
                self.timers_set += 1;
                self.timers.insert((at, self.timers_set), timer);
            }
            Effect::Answer(asker, answer) => {
                let asked = self.node.inbox.lock().asked.remove(&asker);
                if let Some(asked) = asked {
                    // Whoever asked may have gone.
                    let _ = asked.answer.send(answer);
                }
            }
            Effect::Tell(decision) => self.tell(&decision),
            Effect::Up => match &self.above {
                Above::Top => self.service.on_up(),
                Above::Supervisor(node, incarnation) => node.post(Event::Started(*incarnation)),
            },
            Effect::End(exit) => self.ended = Some(exit),
        }
    }

    fn tell(&self, decision: &Decision) {
        self.service.tell(&self.node.path, decision);
    }

    fn start_child(&mut self, child: ChildKey, incarnation: Incarnation) {
        let (name, nested) = {
            let machine = self.node.machine.lock();
            let spec = machine.spec(child);
            let nested = match &spec.kind {
                ChildKind::Supervisor(spec) => Some(spec.clone()),
                ChildKind::Task | ChildKind::Class | ChildKind::Owned => None,
            };
            (spec.name.clone(), nested)
        };
        let body = self.bodies.get(&child).expect("a child that starts has a body").again();
        let (run, has_started) = match body {
            Body::Task(task) => {
                let order = Arc::new(Order::default());
                let cx = TaskContext {
                    client: Client::of_task(self.service.registry()),
                    host: self.service.host.clone(),
                    node: Arc::clone(&self.node),
                    name: name.into(),
                    incarnation,
                    order: Arc::clone(&order),
                };
                let running = Running::new(cx, move |cx| (task.run)(cx));
                self.service.host.tasks.spawn(Box::pin(running));
                (Run::Task(order), !task.is_slow)
            }
            Body::Class(class) => {
                self.service.class_starts(class.name, &self.node, incarnation);
                (Run::Class { name: class.name, is_stopping: false }, true)
            }
            Body::Supervisor(bodies) => {
                let spec = nested.expect("the body of a supervisor has its spec");
                let node = Node::new(&spec, format!("{}/{name}", self.node.path).into());
                self.node.nested.lock().insert(child, Arc::clone(&node));
                let above = Above::Supervisor(Arc::clone(&self.node), incarnation);
                Work::start(&node, bodies, &self.service, above);
                (Run::Supervisor(child, node), false)
            }
        };
        self.runs.insert(incarnation, run);
        if has_started {
            self.node.post(Event::Started(incarnation));
        }
    }

    fn stop_child(&mut self, child: ChildKey, incarnation: Incarnation, is_kill: bool) {
        assert!(self.bodies.contains_key(&child), "a child is forgotten when it has ended");
        // It may have ended, which is on its way.
        match self.runs.get_mut(&incarnation) {
            None => {}
            Some(Run::Task(order)) if is_kill => order.kill(),
            Some(Run::Task(order)) => order.stop(),
            Some(Run::Supervisor(_, node)) => {
                node.post(if is_kill { Event::Kill } else { Event::Stop });
            }
            // Turns that run are let end: an object has no half turns.
            Some(Run::Class { is_stopping, .. }) if *is_stopping => {}
            Some(Run::Class { name, is_stopping }) => {
                *is_stopping = true;
                self.service.class_stops(name);
                let (node, service, name) =
                    (Arc::clone(&self.node), Arc::clone(&self.service), *name);
                self.service.host.tasks.spawn(Box::pin(async move {
                    service.stop_class(name).await;
                    node.post(Event::Exited(incarnation, ExitReason::Shutdown.into()));
                }));
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        for run in std::mem::take(&mut self.runs).into_values() {
            match run {
                Run::Task(order) => order.kill(),
                Run::Class { .. } => {}
                Run::Supervisor(_, node) => node.post(Event::Kill),
            }
        }
        self.node.close();
        let cut = || Exit::new(ExitReason::Killed, "nobody runs it any more");
        let exit = self.ended.take().unwrap_or_else(cut);
        match &self.above {
            Above::Top => self.service.on_ended(exit),
            Above::Supervisor(node, incarnation) => node.post(Event::Exited(*incarnation, exit)),
        }
    }
}

/// Checks a child that is brought at run time.
pub(super) fn check_child(node: &Node, child: &Child) -> Result<(), Error> {
    child.spec.check(&node.spec, &node.path)?;
    if let ChildKind::Supervisor(spec) = &child.spec.kind {
        let depth = node.path.split('/').count() + 1;
        spec.check_at(&format!("{}/{}", node.path, spec.name), depth)?;
    }
    let mut classes = Vec::new();
    super::spec::collect(std::slice::from_ref(&child.body), &mut classes);
    match classes.first() {
        None => Ok(()),
        Some(class) => Err(Code::SupervisorInvalid.error(format!(
            "child `{}` of supervisor {}: kind is a class group, or has {} below it, \
             and classes are known before the start; put it into the tree of the builder",
            child.spec.name, node.path, class.name
        ))),
    }
}
