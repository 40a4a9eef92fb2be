//! `ractor-supervisor`: supervisors for the actors that this crate is built on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use ractor_supervisor::{
    ChildSpec, Restart, SpawnFn, Supervisor, SupervisorArguments, SupervisorMsg, SupervisorOptions,
    SupervisorStrategy,
};
use tokio::task::JoinHandle;

use crate::probe::{Boom, INTENSITY, PERIOD, Probe, Trees, crash_often, runtime};

pub(crate) struct Ractor {
    tokio: tokio::runtime::Runtime,
    /// Names are the process's, so each tree takes new ones.
    trees: AtomicU64,
}

impl Ractor {
    pub(crate) fn new() -> Self {
        Ractor { tokio: runtime(), trees: AtomicU64::new(0) }
    }

    async fn open(
        &self,
        strategy: SupervisorStrategy,
        children: u32,
        probe: &Arc<Probe>,
    ) -> (ActorRef<SupervisorMsg>, JoinHandle<()>) {
        let tree = self.trees.fetch_add(1, Ordering::Relaxed);
        let options = SupervisorOptions {
            strategy,
            max_restarts: INTENSITY as usize,
            max_window: PERIOD,
            reset_after: None,
        };
        let child_specs = (0..children).map(|at| child(tree, at, probe)).collect();
        let top =
            Supervisor::spawn(format!("top{tree}"), SupervisorArguments { child_specs, options });
        top.await.expect("a tree that starts")
    }
}

fn child(tree: u64, at: u32, probe: &Arc<Probe>) -> ChildSpec {
    let probe = Arc::clone(probe);
    let spawn = move |supervisor: ActorCell, id: String| {
        let probe = Arc::clone(&probe);
        async move {
            let worker = Worker { probe, is_first: at == 0 };
            let (actor, _) = Supervisor::spawn_linked(id, worker, (), supervisor).await?;
            Ok::<_, SpawnErr>(actor.get_cell())
        }
    };
    ChildSpec {
        id: format!("child{tree}-{at}"),
        restart: Restart::Permanent,
        spawn_fn: SpawnFn::new(spawn),
        backoff_fn: None,
        reset_after: None,
    }
}

struct Worker {
    probe: Arc<Probe>,
    is_first: bool,
}

#[ractor::async_trait]
impl Actor for Worker {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<()>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self.probe.runs() {
            return Err(Box::new(Boom));
        }
        if self.is_first {
            self.probe.crash.notified().await;
            return Err(Box::new(Boom));
        }
        Ok(())
    }
}

async fn close((top, task): (ActorRef<SupervisorMsg>, JoinHandle<()>)) {
    top.kill();
    task.await.expect("an end");
}

impl Trees for Ractor {
    fn latencies(&self, crashes: u32) -> Vec<Duration> {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let tree = self.open(SupervisorStrategy::OneForOne, 1, &probe).await;
            let latencies = crash_often(&probe, crashes).await;
            close(tree).await;
            latencies
        })
    }

    fn restarts(&self, crashes: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(crashes + 1));
            let tree = self.open(SupervisorStrategy::OneForOne, 1, &probe).await;
            let took = probe.until(crashes + 1).await - probe.first();
            close(tree).await;
            took
        })
    }

    fn one_for_all(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let tree = self.open(SupervisorStrategy::OneForAll, children, &probe).await;
            probe.until(children).await;
            let asked = Instant::now();
            probe.crash.notify_one();
            let took = probe.until(2 * children).await - asked;
            close(tree).await;
            took
        })
    }

    fn start(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let asked = Instant::now();
            let tree = self.open(SupervisorStrategy::OneForOne, children, &probe).await;
            let took = probe.until(children).await - asked;
            close(tree).await;
            took
        })
    }
}
