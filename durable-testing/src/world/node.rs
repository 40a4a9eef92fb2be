//! The node: starts, crashes, restarts, shuts down.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use durable::{Code, Error, Runtime, RuntimeBuilder};

use super::World;
use super::host::host;
use super::life::Life;
use crate::chance::Stream;
use crate::disk::Crash;
use crate::failure::Failure;
use crate::plan::STARTS;

/// Where the node keeps its data.
pub(crate) const DIR: &str = "/data";

/// How long a node is down after a crash, at most.
const DOWN_MS_MAX: u64 = 20;

/// How long a start that failed is waited for before the next.
const RETRY_MS: u64 = 50;

/// How long it takes until somebody sees that a shard has stopped.
const MEND_MS: u64 = 10;

/// How long a shutdown may take.
const SHUTDOWN_MAX: Duration = Duration::from_secs(60);

/// How long the node is watched whose shutdown has cut something off.
const AFTER_CUT: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Node {
    phase: Phase,
    /// `None` unless it is up or stopping.
    runtime: Option<Runtime>,
    /// The present life, or the last one.
    life: Option<Arc<Life>>,
    lives: u64,
    /// Who waits for the node to be up, or down.
    waiters: Vec<Waker>,
    /// How the next crash treats the disk, if a fault has said so before it struck.
    planned: Option<Crash>,
    /// A shard takes nothing more, and the node is about to be started again.
    is_ailing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Down,
    Starting,
    Up,
    Stopping,
}

impl World {
    /// The runtime of a node that takes calls.
    pub(crate) fn up(&self) -> Option<(Runtime, Arc<Life>)> {
        let node = self.node.lock();
        if node.phase != Phase::Up {
            return None;
        }
        let life = node.life.clone().filter(|life| life.is_alive())?;
        Some((node.runtime.clone()?, life))
    }

    /// The runtime of a node that takes calls.
    ///
    /// # Errors
    /// `runtime.closed` while the node is down.
    pub(crate) fn runtime(&self) -> Result<Runtime, Error> {
        self.up().map(|(runtime, _)| runtime).ok_or_else(|| {
            Code::RuntimeClosed.error("the node is down; wait for `sim.up()` and ask again")
        })
    }

    /// The runtime of a node that was asked to end.
    pub(super) fn stopping(&self) -> Option<Runtime> {
        let node = self.node.lock();
        let is_alive = node.life.as_ref().is_some_and(|life| life.is_alive());
        node.runtime.clone().filter(|_| node.phase == Phase::Stopping && is_alive)
    }

    /// Starts the node on the disk as it is.
    pub(crate) fn start_node(self: &Arc<Self>) {
        let disk = self.disk();
        let life = {
            let mut node = self.node.lock();
            if node.phase != Phase::Down {
                return;
            }
            node.lives += 1;
            (node.phase, node.is_ailing) = (Phase::Starting, false);
            let life = Life::new(self.seed, node.lives, self.now_ns(), disk);
            node.life = Some(Arc::clone(&life));
            life
        };
        self.note(STARTS, format!("life {}", life.number));
        self.strike_point(STARTS);
        if !life.is_alive() {
            return;
        }
        let program = *self.program.lock();
        let mut builder = program(Runtime::builder(DIR)).host(host(self, &life));
        if !self.spec.is_supervised {
            builder = builder.without_tree();
        }
        let world = Arc::clone(self);
        #[expect(clippy::disallowed_methods, reason = "the node's start is a task of the world's")]
        drop(tokio::spawn(async move {
            match builder.start().await {
                Ok(runtime) => world.on_started(&life, runtime),
                Err(error) => world.on_not_started(&life, &error),
            }
        }));
    }

    /// From its next start on the node runs another program.
    pub(crate) fn install(&self, program: fn(RuntimeBuilder) -> RuntimeBuilder) {
        self.note("node.upgraded", "");
        *self.program.lock() = program;
    }

    fn on_started(self: &Arc<Self>, life: &Arc<Life>, runtime: Runtime) {
        if !life.is_alive() {
            // It crashed while it started; the runtime goes with the life.
            drop(runtime);
            life.discard_lanes();
            self.look_after_node();
            return;
        }
        self.note("node.up", format!("life {}", life.number));
        if life.number > 1 {
            self.audit();
        }
        let waiters = {
            let mut node = self.node.lock();
            node.phase = Phase::Up;
            node.runtime = Some(runtime);
            std::mem::take(&mut node.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
        self.deliver_waiting();
    }

    fn on_not_started(self: &Arc<Self>, life: &Arc<Life>, error: &Error) {
        life.discard_lanes();
        if !life.is_alive() {
            // Nothing else may be due that would notice.
            self.look_after_node();
            return;
        }
        life.end();
        self.node.lock().phase = Phase::Down;
        self.note("node.fails_to_start", error.to_string());
        if !self.may_disk_fail() {
            self.fail(Failure::promise("P1", format!("the node does not start: {error}")));
            return;
        }
        self.soon(RETRY_MS * 1_000_000, World::start_node);
    }

    /// The node is gone, as if its process was killed, and the disk is left as `mode` says. Another life begins soon.
    pub(crate) fn crash(self: &Arc<Self>, mode: Crash) {
        let mut node = self.node.lock();
        if node.phase == Phase::Down {
            return;
        }
        node.phase = Phase::Down;
        (node.planned, node.is_ailing) = (None, false);
        let runtime = node.runtime.take();
        let life = node.life.clone().expect("a node that is not down has a life");
        let waiters = std::mem::take(&mut node.waiters);
        drop(node);
        life.end();
        self.faults.lock().struck();
        let mut chance = Stream::new(self.seed, 1_000 + life.number);
        self.disk().crash(mode, &mut || chance.draw());
        self.note("node.crashes", format!("life {}, {}", life.number, mode.name()));
        self.checks_forget();
        self.calls.lock().ledger.crashed(self.step());
        self.wake_callers();
        waiters.into_iter().for_each(Waker::wake);
        // Whoever caused the crash may be deep inside of the runtime; it is dropped when nobody is.
        self.at(self.now_ns(), move |_| {
            drop(runtime);
            life.discard_lanes();
        });
        let down_ms = chance.below(DOWN_MS_MAX) + 1;
        self.at(self.now_ns() + down_ms * 1_000_000, |world| {
            let revived = world.disk().revive();
            *world.disk.lock() = revived;
            world.arm_next_death();
            world.start_node();
        });
    }

    /// How the disk is to be left if it dies by itself.
    pub(super) fn plan_crash(&self, mode: Crash) {
        self.node.lock().planned = Some(mode);
    }

    /// Notices that the disk has died, which is a crash.
    pub(super) fn look_after_node(self: &Arc<Self>) {
        let (is_dead, mode) = {
            let node = self.node.lock();
            let is_dead = node.phase != Phase::Down
                && node.life.as_ref().is_some_and(|life| !life.disk.is_alive());
            (is_dead, node.planned)
        };
        if is_dead {
            if let Some(death) = self.disk().death() {
                self.note(
                    "disk.dies",
                    format!(
                        "in {:?} of {}, operation {}",
                        death.kind,
                        death.path.display(),
                        death.op
                    ),
                );
            }
            self.crash(mode.unwrap_or(Crash::PowerTorn));
        }
    }

    /// An operator sees that a shard takes nothing more, and starts the node again.
    pub(super) fn mend_soon(self: &Arc<Self>) {
        let life = {
            let mut node = self.node.lock();
            node.is_ailing = true;
            node.life.clone()
        };
        self.soon(MEND_MS * 1_000_000, move |world| {
            if life.is_some_and(|life| life.is_alive()) {
                world.crash(Crash::Process);
            }
        });
    }

    /// Whether the node takes calls, and all of its shards do.
    pub(super) fn is_well(&self) -> bool {
        let node = self.node.lock();
        node.phase == Phase::Up && !node.is_ailing
    }

    /// Waits until the node takes calls.
    pub(crate) async fn wait_until_up(self: &Arc<Self>) {
        poll_fn(|cx| {
            let mut node = self.node.lock();
            if node.phase == Phase::Up {
                return Poll::Ready(());
            }
            node.waiters.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Nothing of the node's memory is left, which is said to all checks that know of it.
    fn checks_forget(&self) {
        self.promises.lock().crashed();
        self.trees.lock().crashed();
        self.families.lock().crashed();
        self.waits.lock().crashed();
        self.work.lock().crashed();
        self.drain.lock().crashed();
        #[cfg(feature = "http")]
        self.break_connections();
        self.loosen();
    }

    /// Shuts the node down as a program does that is asked to end. Gives whether it did, rather than crash meanwhile.
    pub(crate) async fn shut_down(self: &Arc<Self>) -> bool {
        let Some((runtime, life)) = self.up() else { return false };
        self.node.lock().phase = Phase::Stopping;
        self.note("node.stops", format!("life {}", life.number));
        let deadline = self.now_ns() + as_ns(runtime.shutdown_deadline());
        self.promises.lock().stopping(deadline);
        self.drain.lock().stopping(self.now_ns(), deadline);
        let mut how = None;
        let is_in_time = {
            let mut shutdown = std::pin::pin!(runtime.shutdown());
            let mut limit = std::pin::pin!(self.sleep(SHUTDOWN_MAX));
            poll_fn(|cx| {
                if !life.is_alive() {
                    return Poll::Ready(true);
                }
                self.node.lock().waiters.push(cx.waker().clone());
                if let Poll::Ready(ended) = shutdown.as_mut().poll(cx) {
                    how = Some(ended);
                    return Poll::Ready(true);
                }
                limit.as_mut().poll(cx).map(|()| false)
            })
            .await
        };
        if !life.is_alive() {
            // Its disk may have died in its last step, with nothing else due that would notice.
            self.look_after_node();
            return false;
        }
        if !is_in_time {
            self.fail(Failure::stuck(format!(
                "the node does not shut down within {SHUTDOWN_MAX:?}: {} objects stay in memory",
                runtime.resident_objects()
            )));
            return false;
        }
        let how = how.expect("it has ended in time, and the node is there");
        self.judge_end(&how);
        // Callers take the answers that they were given, and whatever goes on that was cut off is seen.
        let some_time = if how.is_ok() { Duration::from_nanos(1) } else { AFTER_CUT };
        self.sleep(some_time).await;
        if !life.is_alive() {
            self.look_after_node();
            return false;
        }
        let verdict = self.promises.lock().drained();
        let verdict = verdict.and_then(|()| self.trees.lock().drained());
        if let Err(failure) = verdict {
            self.fail(failure);
        }
        let resident = runtime.resident_objects();
        if resident > 0 {
            self.fail(Failure::promise("P3", format!("{resident} objects outlive the shutdown")));
        }
        self.node.lock().runtime = None;
        drop(runtime);
        life.end();
        life.discard_lanes();
        self.wake_callers();
        self.node.lock().phase = Phase::Down;
        self.note("node.down", format!("life {}", life.number));
        self.checks_forget();
        self.calls.lock().ledger.crashed(self.step());
        true
    }

    /// A shutdown has ended, and says this of itself.
    fn judge_end(self: &Arc<Self>, how: &Result<(), Error>) {
        if let Err(error) = how {
            self.note("node.cuts", error.message());
        }
        if let Err(failure) = self.drain.lock().ended(self.now_ns(), how) {
            self.fail(failure);
        }
    }

    /// Every life is over, because the world is.
    pub(super) fn end_all(self: &Arc<Self>) {
        let (runtime, life) = {
            let mut node = self.node.lock();
            node.phase = Phase::Down;
            (node.runtime.take(), node.life.take())
        };
        if let Some(life) = life {
            life.end();
            if life.disk.is_alive() {
                life.disk.crash(Crash::Process, &mut || 0);
            }
            drop(runtime);
            life.discard_lanes();
        }
    }

    /// The present life.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.node.lock().life.clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.node.lock().phase
    }
}

fn as_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a deadline is not for ever")
}
