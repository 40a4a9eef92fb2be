//! The tree of one runtime: its top, who is told of it, and how it ends with the runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::events::{SupervisionEvent, SupervisionEvents};
use super::node::{Above, Node, Work};
use super::spec::Supervisor;
use crate::cut::CutOff;
use crate::directory::ClassGroup;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::kernel::restart::{
    ChildKind, ChildState, Decision, Event, Exit, ExitReason, Incarnation,
};
use crate::limits::SUPERVISION_EVENTS_MAX;
use crate::registry::Registry;

/// What all supervisors of a runtime share.
pub(crate) struct Service {
    pub(super) host: Host,
    registry: OnceLock<Weak<Registry>>,
    /// Empty: the runtime has no tree.
    pub(super) top: OnceLock<Arc<Node>>,
    events: broadcast::Sender<SupervisionEvent>,
    /// Where the top is.
    state: watch::Sender<State>,
    /// The class groups that run, by name, and who has started them.
    classes: Mutex<BTreeMap<&'static str, (Arc<Node>, Incarnation)>>,
    /// How the runtime has ended. `None`: it has not.
    ended: watch::Sender<Option<Result<(), Error>>>,
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Up,
    Ended(Exit),
}

impl Service {
    pub(crate) fn new(host: Host) -> Arc<Self> {
        Arc::new(Service {
            host,
            registry: OnceLock::new(),
            top: OnceLock::new(),
            events: broadcast::Sender::new(SUPERVISION_EVENTS_MAX),
            state: watch::Sender::new(State::Starting),
            classes: Mutex::default(),
            ended: watch::Sender::new(None),
        })
    }

    /// Starts the tree of a runtime, whose classes are registered.
    ///
    /// # Errors
    /// `child.unstartable`; everything that had started is stopped then.
    pub(crate) async fn start(
        self: &Arc<Self>,
        tree: Supervisor,
        registry: &Arc<Registry>,
    ) -> Result<(), Error> {
        for class in tree.classes() {
            self.registry.get_or_init(|| Arc::downgrade(registry));
            self.with_class(class.name, |group| group.close());
        }
        self.registry.get_or_init(|| Arc::downgrade(registry));
        let (spec, bodies) = tree.into_parts();
        let top = Node::new(&spec, spec.name.as_str().into());
        let is_first = self.top.set(Arc::clone(&top)).is_ok();
        assert!(is_first, "a runtime has one tree");
        Work::start(&top, bodies, self, Above::Top);
        let mut state = self.state.subscribe();
        let state = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match &*state.expect("the sender is here") {
            State::Ended(exit) if exit.reason.is_abnormal() => {
                Err(Code::ChildUnstartable.error(format!(
                    "supervisor {} does not start: {exit}; mend the child and start again",
                    spec.name
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn registry(&self) -> Weak<Registry> {
        self.registry.get().cloned().unwrap_or_default()
    }

    pub(super) fn on_up(&self) {
        self.state.send_replace(State::Up);
    }

    /// The top of the tree has ended. If nobody has asked for it, the runtime ends with it.
    pub(super) fn on_ended(&self, exit: Exit) {
        let was_up = matches!(self.state.send_replace(State::Ended(exit)), State::Up);
        let Some(registry) = self.registry().upgrade().filter(|_| was_up) else { return };
        if registry.shared().is_closed_to(false) {
            return;
        }
        self.host.tasks.spawn(Box::pin(async move {
            if let Err(error) = registry.shutdown().await {
                tracing::warn!(%error, "the runtime ended with its tree");
            }
        }));
    }

    /// Stops the tree, and waits until nothing of it runs.
    pub(crate) async fn stop(&self) {
        let Some(top) = self.top.get() else { return };
        top.post(Event::Stop);
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Ended(_))).await;
    }

    /// Ends the tree at once; nobody waits for it.
    pub(crate) fn kill(&self) {
        if let Some(top) = self.top.get() {
            top.post(Event::Kill);
        }
    }

    /// The tasks that run, from the top of the tree down.
    pub(crate) fn running_tasks(&self) -> Vec<CutOff> {
        let mut tasks = Vec::new();
        let mut nodes: Vec<_> = self.top.get().cloned().into_iter().collect();
        while let Some(node) = nodes.pop() {
            let machine = node.machine.lock();
            let mut below = Vec::new();
            for (key, child) in machine.children() {
                let Some(incarnation) = child.state.incarnation() else { continue };
                match child.spec.kind {
                    ChildKind::Task => tasks.push(CutOff::Task {
                        path: format!("{}/{}", node.path, child.spec.name),
                        incarnation: incarnation.0,
                        was_asked: matches!(child.state, ChildState::Stopping { .. }),
                    }),
                    ChildKind::Supervisor(_) => below.push(key),
                    ChildKind::Class | ChildKind::Owned => {}
                }
            }
            drop(machine);
            // The first of them is looked at next.
            nodes.extend(below.into_iter().rev().filter_map(|key| node.nested(key)));
        }
        tasks
    }

    /// The runtime has ended.
    pub(crate) fn close(&self) {
        let state = self.state.borrow().clone();
        let result = match (state, self.top.get()) {
            (State::Ended(exit), Some(top)) if exit.reason.is_abnormal() => {
                let code = match exit.reason {
                    ExitReason::Meltdown => Code::SupervisorMelted,
                    _ => Code::SupervisorStopped,
                };
                Err(code.error(format!(
                    "supervisor {} ended the runtime: {exit}; mend what its events name and start again",
                    top.path
                )))
            }
            _ => Ok(()),
        };
        self.ended.send_if_modified(|ended| {
            let is_new = ended.is_none();
            ended.get_or_insert(result);
            is_new
        });
    }

    pub(super) async fn ended(&self) -> Result<(), Error> {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await.expect("the sender is here");
        ended.clone().expect("it was waited for")
    }

    pub(super) fn subscribe(&self) -> SupervisionEvents {
        SupervisionEvents { receiver: self.events.subscribe(), missed: 0 }
    }

    pub(super) fn tell(&self, supervisor: &Arc<str>, decision: &Decision) {
        self.host.report(|| crate::host::Event::Supervised { supervisor, decision });
        self.announce(supervisor, decision);
    }

    /// Tells whoever listens, and the log.
    fn announce(&self, supervisor: &Arc<str>, decision: &Decision) {
        macro_rules! log {
            ($level:ident) => {
                tracing::event!(
                    target: "durable::supervision",
                    tracing::Level::$level,
                    supervisor = &**supervisor,
                    event = decision.name(),
                    %decision,
                    "supervision"
                )
            };
        }
        match decision.level() {
            tracing::Level::ERROR => log!(ERROR),
            tracing::Level::WARN => log!(WARN),
            tracing::Level::INFO => log!(INFO),
            _ => log!(DEBUG),
        }
        // Nobody may listen.
        let (supervisor, decision) = (Arc::clone(supervisor), decision.clone());
        let _ = self.events.send(SupervisionEvent { supervisor, decision });
    }

    /// Tells of a decision about the children of an object. `is_loud`: it is news to people, too.
    pub(crate) fn tell_of_family(&self, path: &Arc<str>, decision: &Decision, is_loud: bool) {
        if is_loud {
            return self.tell(path, decision);
        }
        self.host.report(|| crate::host::Event::Supervised { supervisor: path, decision });
    }

    /// Tells of a decision about a class, or about an object of it.
    pub(crate) fn tell_of_class(&self, class: &'static str, decision: &Decision) {
        let above = self.classes.lock().get(class).map(|(node, _)| Arc::clone(&node.path));
        let path: Arc<str> = match above {
            Some(above) => format!("{above}/{class}").into(),
            None => class.into(),
        };
        self.announce(&path, decision);
    }

    /// Does something to a class, if the runtime is still there.
    pub(super) fn with_class(&self, name: &str, act: impl FnOnce(&dyn ClassGroup)) {
        let Some(registry) = self.registry().upgrade() else { return };
        if let Some(group) = registry.groups().iter().find(|group| group.name() == name) {
            act(&**group);
        }
    }

    /// A supervisor starts a class group.
    pub(super) fn class_starts(&self, name: &'static str, node: &Arc<Node>, run: Incarnation) {
        self.classes.lock().insert(name, (Arc::clone(node), run));
        self.with_class(name, |group| group.open());
    }

    /// A supervisor stops a class group, which then does not fail any more.
    pub(super) fn class_stops(&self, name: &'static str) {
        self.classes.lock().remove(name);
    }

    /// A class has failed: it is taken out of service, and its supervisor hears of its end when none of its objects is in
    /// memory. Whether it has one.
    pub(crate) fn fail_class(self: &Arc<Self>, name: &'static str, exit: Exit) -> bool {
        let is_in_tree = self.classes.lock().remove(name);
        let Some((node, run)) = is_in_tree else { return false };
        self.with_class(name, |group| group.close());
        let service = Arc::clone(self);
        self.host.tasks.spawn(Box::pin(async move {
            service.stop_class(name).await;
            node.post(Event::Exited(run, exit));
        }));
        true
    }

    /// Takes a class out of service, and waits until none of its objects is in memory.
    pub(super) async fn stop_class(&self, name: &str) {
        let Some(registry) = self.registry().upgrade() else { return };
        if let Some(group) = registry.groups().iter().find(|group| group.name() == name) {
            group.close();
            group.drain().await;
        }
    }
}

/// Checks a whole tree, before anything is opened.
///
/// # Errors
/// `supervisor.invalid`, `child.duplicate`.
pub(crate) fn check(tree: &Supervisor) -> Result<(), Error> {
    tree.spec().check()?;
    let mut classes = BTreeSet::new();
    for class in tree.classes() {
        if !classes.insert(class.type_id) {
            return Err(Code::ChildDuplicate.error(format!(
                "the tree {} has the class {} twice; one supervisor has all of its objects",
                tree.spec().name,
                class.name
            )));
        }
    }
    Ok(())
}
