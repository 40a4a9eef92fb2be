//! Servers elsewhere, to which objects open sockets.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use durable::host::{BoxFuture, Dialer};
use durable::socket::{Goal, Wire};
use parking_lot::Mutex;

use super::{Arrived, Connection, NodeEnd, Side, SimSocket};
use crate::sim::{Sim, Stage};
use crate::world::{Life, World};

/// Servers, by what they are called and their port.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<BTreeMap<String, Weak<Mutex<Queue>>>>>);

/// Who has come to a server.
#[derive(Default)]
struct Queue {
    comes: VecDeque<(Goal, Arc<Connection>)>,
    /// Of those who wait for somebody to come.
    wakers: Vec<Waker>,
}

impl Listeners {
    fn listen(&self, at: &str) -> SimListener {
        let queue = Arc::default();
        let before = self.0.lock().insert(at.to_owned(), Arc::downgrade(&queue));
        let is_taken = before.is_some_and(|before| before.strong_count() > 0);
        assert!(!is_taken, "somebody listens at {at} already; drop that listener before");
        SimListener { at: at.to_owned(), queue }
    }

    /// Brings a connection to whoever listens. If nobody does it is gone.
    fn bring(&self, goal: Goal, connection: Arc<Connection>) {
        let at = format!("{}:{}", goal.host(), goal.port());
        let queue = self.0.lock().get(&at).and_then(Weak::upgrade);
        let Some(queue) = queue else { return connection.arrive(Side::Node, Arrived::Gone) };
        let mut queue = queue.lock();
        queue.comes.push_back((goal, connection));
        let wakers = std::mem::take(&mut queue.wakers);
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// On a real machine: nobody else is reached than who listens in the same process.
impl Dialer for Listeners {
    fn dial(&self, goal: Goal) -> BoxFuture<'static, Result<Box<dyn Wire>, String>> {
        let connection = Connection::on_machine();
        self.bring(goal, Arc::clone(&connection));
        Box::pin(opened(NodeEnd(connection)))
    }
}

impl World {
    /// The node opens a socket to a server elsewhere.
    pub(crate) fn dial(
        self: &Arc<Self>,
        life: &Arc<Life>,
        goal: Goal,
    ) -> BoxFuture<'static, Result<Box<dyn Wire>, String>> {
        let connection = self.connect(life);
        let end = NodeEnd(Arc::clone(&connection));
        self.soon(0, move |world| {
            let listeners = world.network.lock().listeners.clone();
            listeners.bring(goal, connection);
        });
        Box::pin(opened(end))
    }
}

/// Waits until the other end takes it. Dropped before, it is gone.
async fn opened(end: NodeEnd) -> Result<Box<dyn Wire>, String> {
    match poll_fn(|task| end.0.poll(Side::Node, task)).await {
        Arrived::Open => Ok(Box::new(end)),
        Arrived::Refused(_) | Arrived::Signal(_) | Arrived::Gone => {
            Err("the connection broke before it was open".to_owned())
        }
    }
}

impl Sim {
    /// A server elsewhere, to which objects open sockets by `cx.dial`. `at`: its host and port, as in `prices.example:80`. Dropped, nobody
    /// listens there any more; crashes of the node do not touch it.
    ///
    /// # Panics
    /// If somebody listens there already.
    pub fn listen(&self, at: &str) -> SimListener {
        match &self.stage {
            Stage::World(world) => world.network.lock().listeners.clone().listen(at),
            Stage::Real(real) => real.listeners().listen(at),
        }
    }
}

/// A server elsewhere.
pub struct SimListener {
    at: String,
    queue: Arc<Mutex<Queue>>,
}

impl SimListener {
    /// The next socket that an object opens to it, and where it was to lead. It is open when this returns.
    pub async fn accept(&self) -> (Goal, SimSocket) {
        let (goal, connection) = poll_fn(|task| self.poll(task)).await;
        connection.send(Side::Node, Arrived::Open);
        (goal, SimSocket { connection })
    }

    fn poll(&self, task: &mut Context<'_>) -> Poll<(Goal, Arc<Connection>)> {
        let mut queue = self.queue.lock();
        match queue.comes.pop_front() {
            Some(comes) => Poll::Ready(comes),
            None => {
                queue.wakers.push(task.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Whoever waits there is not let in any more.
impl Drop for SimListener {
    fn drop(&mut self) {
        let comes = std::mem::take(&mut self.queue.lock().comes);
        comes.into_iter().for_each(|(_, connection)| connection.cut());
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimListener").field("at", &self.at).finish_non_exhaustive()
    }
}
