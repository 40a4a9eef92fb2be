//! kameo, whose actors supervise actors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::message::{Context, Message};
use kameo::supervision::{RestartPolicy, SupervisionStrategy};

use crate::probe::{Boom, INTENSITY, PERIOD, Probe, Trees, crash_often, runtime};

pub(crate) struct Kameo {
    tokio: tokio::runtime::Runtime,
}

impl Kameo {
    pub(crate) fn new() -> Self {
        Kameo { tokio: runtime() }
    }
}

/// A supervisor that restarts the child that crashed.
struct OneForOne;

impl Actor for OneForOne {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(OneForOne)
    }
}

/// A supervisor that restarts all.
struct OneForAll;

impl Actor for OneForAll {
    type Args = ();
    type Error = Infallible;

    fn supervision_strategy() -> SupervisionStrategy {
        SupervisionStrategy::OneForAll
    }

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(OneForAll)
    }
}

#[derive(Clone)]
struct Worker {
    probe: Arc<Probe>,
    is_first: bool,
}

impl Actor for Worker {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(worker: Self, itself: ActorRef<Self>) -> Result<Self, Infallible> {
        if worker.probe.runs() || worker.is_first {
            itself.tell(Crash).try_send().expect("its own mailbox is empty");
        }
        Ok(worker)
    }
}

/// Ends a worker: at once if it is to crash often, else when it is asked to.
struct Crash;

impl Message<Crash> for Worker {
    type Reply = Result<(), Boom>;

    async fn handle(&mut self, _: Crash, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        if !self.probe.is_crashing() {
            self.probe.crash.notified().await;
        }
        Err(Boom)
    }
}

/// Starts a tree of so many workers.
async fn open<S: Actor<Args = ()>>(children: u32, probe: &Arc<Probe>) -> ActorRef<S> {
    let top = S::spawn(());
    for at in 0..children {
        let worker = Worker { probe: Arc::clone(probe), is_first: at == 0 };
        let spec = Worker::supervise(&top, worker).restart_policy(RestartPolicy::Permanent);
        spec.restart_limit(INTENSITY, PERIOD).spawn().await;
    }
    top
}

impl Trees for Kameo {
    fn latencies(&self, crashes: u32) -> Vec<Duration> {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let top = open::<OneForOne>(1, &probe).await;
            let latencies = crash_often(&probe, crashes).await;
            top.kill();
            latencies
        })
    }

    fn restarts(&self, crashes: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(crashes + 1));
            let top = open::<OneForOne>(1, &probe).await;
            let took = probe.until(crashes + 1).await - probe.first();
            top.kill();
            took
        })
    }

    fn one_for_all(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let top = open::<OneForAll>(children, &probe).await;
            probe.until(children).await;
            let asked = Instant::now();
            probe.crash.notify_one();
            let took = probe.until(2 * children).await - asked;
            top.kill();
            took
        })
    }

    fn start(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let asked = Instant::now();
            let top = open::<OneForOne>(children, &probe).await;
            let took = probe.until(children).await - asked;
            top.kill();
            took
        })
    }
}
