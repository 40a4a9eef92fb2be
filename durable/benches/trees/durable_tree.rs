//! This crate's own trees, of tasks.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::{Child, Runtime, Shutdown, Supervisor, task};

use super::probe::{Boom, Probe, Trees, crash_often, runtime};

pub(crate) struct Durable {
    tokio: tokio::runtime::Runtime,
    dir: PathBuf,
}

impl Durable {
    pub(crate) fn new(dir: &Path) -> Self {
        Durable { tokio: runtime(), dir: dir.to_owned() }
    }

    async fn open(&self, tree: Supervisor) -> Runtime {
        // As many restarts in a second as nobody makes, in the words of this crate.
        let tree = tree.intensity(10_000, Duration::from_millis(5));
        let builder = Runtime::builder(self.dir.join("supervise"));
        builder.supervise(tree).start().await.expect("a tree that starts")
    }
}

/// A child that crashes when it is asked to, if it is the first.
fn child(at: u32, probe: &Arc<Probe>) -> Child {
    let probe = Arc::clone(probe);
    let run = move |_| {
        let probe = Arc::clone(&probe);
        async move {
            if probe.runs() {
                return Err(Boom);
            }
            if at > 0 {
                pending::<()>().await;
            }
            probe.crash.notified().await;
            Err(Boom)
        }
    };
    task(format!("child{at}"), run).shutdown(Shutdown::Kill)
}

impl Trees for Durable {
    fn latencies(&self, crashes: u32) -> Vec<Duration> {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let runtime = self.open(Supervisor::one_for_one("top").child(child(0, &probe))).await;
            let latencies = crash_often(&probe, crashes).await;
            runtime.shutdown().await.expect("an end");
            latencies
        })
    }

    fn restarts(&self, crashes: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(crashes + 1));
            let runtime = self.open(Supervisor::one_for_one("top").child(child(0, &probe))).await;
            let took = probe.until(crashes + 1).await - probe.first();
            runtime.shutdown().await.expect("an end");
            took
        })
    }

    fn one_for_all(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let all = (0..children).map(|at| child(at, &probe));
            let runtime =
                self.open(all.fold(Supervisor::one_for_all("top"), Supervisor::child)).await;
            probe.until(children).await;
            let asked = Instant::now();
            probe.crash.notify_one();
            let took = probe.until(2 * children).await - asked;
            runtime.shutdown().await.expect("an end");
            took
        })
    }

    fn start(&self, children: u32) -> Duration {
        self.tokio.block_on(async {
            let probe = Arc::new(Probe::new(0));
            let all = (0..children).map(|at| child(at, &probe));
            // The data directory is not what is measured.
            let empty = Supervisor::dynamic("later").children_max(children as usize);
            let runtime = self.open(Supervisor::one_for_one("top").child(empty)).await;
            let tree = all.fold(Supervisor::one_for_one("all"), Supervisor::child);
            let asked = Instant::now();
            let later = runtime.supervisor("top/later");
            later.start_child(tree).await.expect("a tree that starts");
            let took = probe.until(children).await - asked;
            runtime.shutdown().await.expect("an end");
            took
        })
    }
}
