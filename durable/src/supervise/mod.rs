//! Who watches whom: the tree of a service, whose supervisors carry out what `kernel/restart.rs` decides; and below its
//! class groups the activations.
//!
//! A class has a few supervisor actors, here. An activation is linked to one of them, so no exit is missed, whatever its
//! cause. Exits are matched to an incarnation by its actor's id, never by a name.

mod events;
mod node;
mod service;
mod spec;
mod task;
mod tree;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use ractor::concurrency::JoinHandle;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SpawnErr,
    SupervisionEvent as ActorEvent,
};

use crate::error::{Code, Error};
use crate::limits::GROUP_PARTITIONS;
use crate::object::{Activation, ActivationMessage, Incarnation, Object, Slot};

pub use events::{SupervisionEvent, SupervisionEvents};
pub(crate) use service::{Service, check};
pub use spec::{Child, ChildField, Objects, Supervisor, Task, objects, task};
pub use task::{TaskContext, TaskResult};
pub use tree::{ChildCounts, ChildStatus, ClassStatus, SupervisorHandle, SupervisorStatus};

/// The supervisors of one class.
pub(crate) struct Supervision {
    partitions: Vec<Partition>,
    /// Objects that wait before they are started again; `None` once none are started any more.
    resting: Mutex<Option<Resting>>,
    /// Activations spawn their tasks here, whatever thread the call that needs them came from.
    tasks: tokio::runtime::Handle,
}

struct Partition {
    actor: ActorCell,
    watched: Arc<Watched>,
}

/// The activations that a supervisor watches; `None` once it takes no more.
type Watched = Mutex<Option<HashMap<ActorId, Watch>>>;

struct Watch {
    incarnation: Arc<dyn Incarnation>,
    actor: ActorCell,
    /// Ends when the actor's own task is running, with the handle of that task.
    task: JoinHandle<Result<JoinHandle<()>, SpawnErr>>,
}

/// By the number of the rest.
#[derive(Default)]
struct Resting {
    rests: u64,
    objects: BTreeMap<u64, Arc<dyn Incarnation>>,
}

/// The class takes no more activations.
#[derive(Debug)]
pub(crate) struct Stopped;

impl Supervision {
    /// Starts the supervisors of the class called `class`. `parallelism`: as the host says.
    pub(crate) async fn start_all(class: &str, parallelism: usize) -> Result<Self, Error> {
        // A single thread waits for itself only; several meet less often in a few more.
        let count = (4 * (parallelism - 1)).clamp(1, GROUP_PARTITIONS);
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            let watched = Arc::new(Mutex::new(Some(HashMap::new())));
            let (actor, _) =
                Actor::spawn(None, Watcher, Arc::clone(&watched)).await.map_err(|error| {
                    Code::RuntimeClosed.error(format!(
                        "the supervisor of {class} does not start: {error}; start the runtime again"
                    ))
                })?;
            partitions.push(Partition { actor: actor.get_cell(), watched });
        }
        let resting = Mutex::new(Some(Resting::default()));
        Ok(Supervision { partitions, resting, tasks: tokio::runtime::Handle::current() })
    }

    /// Starts an activation and wakes it.
    pub(crate) fn start<O: Object>(&self, slot: &Arc<Slot<O>>) -> Result<(), Stopped> {
        let _entered = self.tasks.enter();
        let partition =
            &self.partitions[usize::from(slot.id().as_bytes()[11]) % self.partitions.len()];
        // Held until the activation is known: it could end before, and its exit must find it.
        let mut watched = partition.watched.lock();
        let watched = watched.as_mut().ok_or(Stopped)?;
        let (actor, task) = ActorRuntime::spawn_linked_instant(
            None,
            Activation::<O>::new(),
            Arc::clone(slot),
            partition.actor.clone(),
        )
        .expect("an actor without a name can always be spawned");
        let incarnation: Arc<dyn Incarnation> = Arc::clone(slot) as _;
        let watch = Watch { incarnation, actor: actor.get_cell(), task };
        watched.insert(actor.get_id(), watch);
        // It fails only if the activation was killed at once; then its exit is on the way.
        let _ = actor.cast(ActivationMessage::Run);
        Ok(())
    }

    /// An object waits before it is started again. Gives the number of the rest.
    pub(crate) fn rest(&self, object: Arc<dyn Incarnation>) -> Result<u64, Stopped> {
        let mut resting = self.resting.lock();
        let resting = resting.as_mut().ok_or(Stopped)?;
        resting.rests += 1;
        resting.objects.insert(resting.rests, object);
        Ok(resting.rests)
    }

    /// The wait is over. Whether the object is to be started: else it was abandoned meanwhile.
    pub(crate) fn is_rested(&self, rest: u64) -> bool {
        self.resting.lock().as_mut().is_some_and(|resting| resting.objects.remove(&rest).is_some())
    }

    /// Ends the activations that run, each at its next await; none is started in its place.
    pub(crate) fn cut(&self) {
        let rested =
            self.resting.lock().as_mut().map(|resting| std::mem::take(&mut resting.objects));
        rested.into_iter().flatten().for_each(|(_, object)| object.on_abandon());
        for partition in &self.partitions {
            let cut = |watch: &Watch| (Arc::clone(&watch.incarnation), watch.actor.clone());
            let cut: Vec<_> =
                partition.watched.lock().iter().flat_map(HashMap::values).map(cut).collect();
            for (incarnation, actor) in cut {
                incarnation.on_abandon();
                actor.kill();
            }
        }
    }

    /// Whether no activation is watched.
    pub(crate) fn is_empty(&self) -> bool {
        let watches =
            |partition: &Partition| partition.watched.lock().as_ref().map_or(0, HashMap::len);
        self.partitions.iter().all(|partition| watches(partition) == 0)
    }

    /// Takes no more activations and ends those that run at once, mid-turn.
    pub(crate) fn stop(&self) {
        let resting = self.resting.lock().take();
        for object in resting.into_iter().flat_map(|resting| resting.objects.into_values()) {
            object.on_abandon();
        }
        for partition in &self.partitions {
            let watched = partition.watched.lock().take();
            partition.actor.stop(None);
            for watch in watched.into_iter().flat_map(HashMap::into_values) {
                watch.incarnation.on_abandon();
            }
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The supervisor actor of one part of a class.
struct Watcher;

impl Actor for Watcher {
    type Msg = ();
    type State = Arc<Watched>;
    type Arguments = Arc<Watched>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        watched: Arc<Watched>,
    ) -> Result<Arc<Watched>, ActorProcessingErr> {
        Ok(watched)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: ActorEvent,
        watched: &mut Arc<Watched>,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, crash) = match event {
            ActorEvent::ActorTerminated(actor, state, _) => {
                drop(state);
                (actor, None)
            }
            ActorEvent::ActorFailed(actor, error) => (actor, Some(error)),
            _ => return Ok(()),
        };
        let watch = watched.lock().as_mut().and_then(|watched| watched.remove(&actor.get_id()));
        let Some(watch) = watch else { return Ok(()) };
        // The place is free only when the task is over, and with it everything that the activation held.
        if let Ok(Ok(task)) = watch.task.await {
            let _ = task.await;
        }
        if let Some(error) = crash {
            tracing::warn!(object = watch.incarnation.label(), %error, "an activation crashed");
        }
        watch.incarnation.on_exit();
        Ok(())
    }
}
