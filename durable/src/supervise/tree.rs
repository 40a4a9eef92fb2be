//! The live tree as a value, and what it is asked for at run time.

use std::fmt;
use std::sync::Arc;

use super::events::SupervisionEvents;
use super::node::{Node, check_child};
use super::service::Service;
use super::spec::Child;
use crate::error::{Code, Error};
use crate::kernel::restart::{ChildKind, ChildState, Exit, Request, Restart, Strategy};
use crate::runtime::Runtime;

/// A supervisor as it is at one moment, with everything below it. Shown as a tree of lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisorStatus {
    /// Its name.
    pub name: String,
    /// `starting`, `up`, `ending` or `ended`.
    pub state: &'static str,
    /// Which children it restarts.
    pub strategy: Strategy,
    /// How many restarts it makes within its period.
    pub intensity: u32,
    /// The period.
    pub period: std::time::Duration,
    /// Its children, in the order in which they start.
    pub children: Vec<ChildStatus>,
}

/// A child as it is at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildStatus {
    /// Its name.
    pub name: String,
    /// `stopped`, `starting`, `running`, `stopping`, `ended` (which nobody has acted on yet) or `restarting`.
    pub state: &'static str,
    /// `task`, `class` or `supervisor`.
    pub kind: &'static str,
    /// The run that is there. `None`: none is.
    pub incarnation: Option<u64>,
    /// When it is started again.
    pub restart: Restart,
    /// How often it was started after the first time.
    pub restarts: u64,
    /// How its last run has ended. `None`: none has.
    pub last_exit: Option<Exit>,
    /// How its objects are. `None`: it is no class group.
    pub class: Option<ClassStatus>,
    /// What is below it. `None`: it is no supervisor that runs.
    pub supervisor: Option<SupervisorStatus>,
}

/// How the objects of a class are at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStatus {
    /// Those that are in memory.
    pub live: usize,
    /// Calls that wait at them.
    pub waiting: usize,
    /// How often one has crashed, or did not start by its own fault, since the start of the runtime.
    pub crashes: u64,
    /// Those that are quarantined.
    pub quarantined: usize,
}

/// How many children a supervisor has, of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// All of them, running or not.
    pub specs: usize,
    /// Those that run.
    pub active: usize,
    /// Supervisors, running or not.
    pub supervisors: usize,
    /// Tasks and class groups, running or not.
    pub workers: usize,
}

impl SupervisorStatus {
    fn of(node: &Node, service: &Service) -> Self {
        let machine = node.machine.lock();
        let state = machine.phase();
        let one = |(key, child): (_, &crate::kernel::restart::Child)| {
            let state = match child.state {
                ChildState::Stopped => "stopped",
                ChildState::Starting(_) => "starting",
                ChildState::Running(_) => "running",
                ChildState::Stopping { .. } => "stopping",
                ChildState::Gone(..) => "ended",
                ChildState::Restarting { .. } => "restarting",
            };
            let kind = match child.spec.kind {
                ChildKind::Task => "task",
                ChildKind::Class => "class",
                ChildKind::Supervisor(_) => "supervisor",
                ChildKind::Owned => "object",
            };
            let status = ChildStatus {
                name: child.spec.name.clone(),
                state,
                kind,
                incarnation: child.state.incarnation().map(|incarnation| incarnation.0),
                restart: child.spec.restart,
                restarts: child.restarts,
                last_exit: child.last_exit.clone(),
                class: None,
                supervisor: None,
            };
            (key, status)
        };
        let children: Vec<_> = machine.children().map(one).collect();
        drop(machine);
        // Without the lock: a supervisor below may be as busy as this one.
        let below = |(key, mut status): (_, ChildStatus)| {
            status.supervisor = node.nested(key).map(|node| SupervisorStatus::of(&node, service));
            if status.kind == "class" {
                service.with_class(&status.name, |group| status.class = Some(group.status()));
            }
            status
        };
        let children = children.into_iter().map(below).collect();
        let (name, strategy) = (node.spec.name.clone(), node.spec.strategy);
        let (intensity, period) = (node.spec.intensity, node.spec.period);
        SupervisorStatus { name, state, strategy, intensity, period, children }
    }

    /// How many children it has, of which kind; those of supervisors below it are not counted.
    pub fn count_children(&self) -> ChildCounts {
        let specs = self.children.len();
        let active = self.children.iter().filter(|child| child.incarnation.is_some()).count();
        let supervisors = self.children.iter().filter(|child| child.kind == "supervisor").count();
        ChildCounts { specs, active, supervisors, workers: specs - supervisors }
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&ChildStatus> {
        self.children.iter().find(|child| child.name == name)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        for child in &self.children {
            let ChildStatus { name, kind, state, restarts, last_exit, .. } = child;
            write!(f, "\n{:indent$}{name}: {kind}, {state}", "", indent = 2 * depth + 2)?;
            if let Some(below) = &child.supervisor {
                write!(f, ", {}, {} in {:?}", below.strategy, below.intensity, below.period)?;
            }
            if *restarts > 0 {
                write!(f, ", {restarts} restarts")?;
            }
            if let Some(ClassStatus { live, waiting, crashes, quarantined }) = &child.class {
                write!(
                    f,
                    ", {live} live, {waiting} calls wait, {crashes} crashes, {quarantined} quarantined"
                )?;
            }
            if let Some(exit) = last_exit {
                write!(f, ", last exit {exit}")?;
            }
            if let Some(below) = &child.supervisor {
                below.write(f, depth + 1)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SupervisorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SupervisorStatus { name, state, strategy, intensity, period, .. } = self;
        write!(f, "{name}: supervisor, {state}, {strategy}, {intensity} in {period:?}")?;
        self.write(f, 0)
    }
}

/// A supervisor of a runtime, to be asked for something. It is looked up by its path at each request, so that it may be
/// restarted in between.
#[derive(Clone)]
pub struct SupervisorHandle {
    service: Arc<Service>,
    path: String,
}

impl SupervisorHandle {
    fn node(&self) -> Result<Arc<Node>, Error> {
        let unknown = || {
            Code::SupervisorUnknown
                .error(format!("no supervisor {} runs; `runtime.tree()` says which do", self.path))
        };
        let mut names = self.path.split('/');
        let mut node = self.service.top.get().cloned().ok_or_else(unknown)?;
        if names.next() != Some(node.spec.name.as_str()) {
            return Err(unknown());
        }
        for name in names {
            let key = {
                let machine = node.machine.lock();
                let found = machine.children().find(|(_, child)| child.spec.name == name);
                found.map(|(key, _)| key)
            };
            node = key.and_then(|key| node.nested(key)).ok_or_else(unknown)?;
        }
        Ok(node)
    }

    /// Starts one more child, behind those that there are, and gives its name: of a dynamic supervisor, with a number.
    ///
    /// # Errors
    /// `supervisor.invalid`, `child.duplicate`, `supervisor.full`; `child.unstartable` if it does not start, and is
    /// forgotten; `supervisor.unknown`, `supervisor.stopped`.
    ///
    /// # Cancel safety
    /// The child is started all the same once the future was polled.
    pub async fn start_child(&self, child: impl Into<Child>) -> Result<String, Error> {
        let (node, child) = (self.node()?, child.into());
        check_child(&node, &child)?;
        let Child { spec, body } = child;
        node.ask(Request::Start(spec), Some(body)).await
    }

    /// Stops a child. It keeps its place, unless it is temporary or its supervisor dynamic.
    ///
    /// # Errors
    /// `child.unknown`, `supervisor.unknown`, `supervisor.stopped`.
    ///
    /// # Cancel safety
    /// The child is stopped all the same once the future was polled.
    pub async fn terminate_child(&self, name: &str) -> Result<(), Error> {
        self.node()?.ask(Request::Terminate(name.to_owned()), None).await.map(drop)
    }

    /// Starts a child that was stopped, or that has ended for good.
    ///
    /// # Errors
    /// `child.unknown`, `child.running`, `child.restarting`, `child.dynamic`, `child.unstartable`; `supervisor.unknown`,
    /// `supervisor.stopped`.
    ///
    /// # Cancel safety
    /// The child is started all the same once the future was polled.
    pub async fn restart_child(&self, name: &str) -> Result<(), Error> {
        self.node()?.ask(Request::Restart(name.to_owned()), None).await.map(drop)
    }

    /// Forgets a child that does not run.
    ///
    /// # Errors
    /// `child.unknown`, `child.running`, `child.restarting`, `child.dynamic`; `supervisor.unknown`, `supervisor.stopped`.
    ///
    /// # Cancel safety
    /// The child is forgotten all the same once the future was polled.
    pub async fn delete_child(&self, name: &str) -> Result<(), Error> {
        self.node()?.ask(Request::Delete(name.to_owned()), None).await.map(drop)
    }

    /// Its children, in the order in which they start.
    ///
    /// # Errors
    /// `supervisor.unknown`.
    pub fn which_children(&self) -> Result<Vec<ChildStatus>, Error> {
        Ok(SupervisorStatus::of(&*self.node()?, &self.service).children)
    }

    /// How many children it has, of which kind.
    ///
    /// # Errors
    /// `supervisor.unknown`.
    pub fn count_children(&self) -> Result<ChildCounts, Error> {
        Ok(SupervisorStatus::of(&*self.node()?, &self.service).count_children())
    }
}

impl fmt::Debug for SupervisorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SupervisorHandle").field(&self.path).finish()
    }
}

impl Runtime {
    /// The tree as it is. `None`: the runtime supervises none.
    pub fn tree(&self) -> Option<SupervisorStatus> {
        self.service().top.get().map(|top| SupervisorStatus::of(top, self.service()))
    }

    /// A supervisor, to be asked for something. `path`: from the top of the tree, as `bank/feeds`.
    pub fn supervisor(&self, path: impl Into<String>) -> SupervisorHandle {
        SupervisorHandle { service: Arc::clone(self.service()), path: path.into() }
    }

    /// What the supervisors decide from here on.
    pub fn supervision_events(&self) -> SupervisionEvents {
        self.service().subscribe()
    }

    /// Ends when the runtime has: it was shut down, or its tree has ended and took it along.
    ///
    /// # Errors
    /// `supervisor.melted` if the top of the tree gave up.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn ended(&self) -> Result<(), Error> {
        self.service().ended().await
    }
}
