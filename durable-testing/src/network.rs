//! Sockets of objects over a simulated network: what is sent takes its time, what one connection carries stays in order, and what
//! two carry does not; a connection may break, or let nothing through any more and say so to nobody.

mod listen;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use durable::caller::{Who, WhoKey};
use durable::http::{Request, Response};
use durable::socket::{Close, Ending, Line, Message, Refused, Signal};
use durable::{Error, Object, Runtime, Stub};
use futures_util::{Sink, Stream};
use parking_lot::Mutex;

pub(crate) use self::listen::Listeners;
pub use self::listen::SimListener;
use crate::chance;
use crate::sim::{Sim, Stage};
use crate::world::{Life, World};

/// Salt of what breaks which connection.
const NETWORK: u64 = 0x6e65_7477;

/// The connections of a world.
pub(crate) struct Network {
    chance: chance::Stream,
    /// Some of them are over.
    connections: Vec<Weak<Connection>>,
    count: u64,
    listeners: Listeners,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Network {
            chance: chance::Stream::new(seed, NETWORK),
            connections: Vec::new(),
            count: 0,
            listeners: Listeners::default(),
        }
    }

    fn coin(&mut self) -> bool {
        self.chance.below(2) == 1
    }
}

/// Why a socket is not open.
#[derive(Debug)]
pub enum Unconnected {
    /// The object has answered this.
    Answered(Response),
    /// The object could not be asked.
    Failed(Error),
    /// The connection broke before there was an answer.
    Broken,
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unconnected::Answered(response) => {
                write!(f, "the object answers {}", response.status())
            }
            Unconnected::Failed(error) => error.fmt(f),
            Unconnected::Broken => f.write_str("the connection broke before there was an answer"),
        }
    }
}

impl std::error::Error for Unconnected {}

/// One end of a connection: what has come to it.
#[derive(Default)]
struct End {
    arrived: VecDeque<Arrived>,
    waker: Option<Waker>,
    /// What is on its way, and when it comes.
    on_way: VecDeque<(u64, Arrived)>,
    /// When the last thing comes that is on its way.
    last_ns: u64,
}

/// What comes.
enum Arrived {
    /// The socket is open.
    Open,
    /// It is not.
    Refused(Unconnected),
    Signal(Signal),
    /// The other end is gone.
    Gone,
}

/// Which of its ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Node,
}

struct Connection {
    number: u64,
    /// `None`: on a real machine, where nothing takes time.
    world: Option<Weak<World>>,
    /// Of the node. `None`: on a real machine.
    life: Option<Arc<Life>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: End,
    node: End,
    is_silent: bool,
    is_cut: bool,
}

impl State {
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Node => &mut self.node,
        }
    }
}

impl Connection {
    /// One on a real machine.
    fn on_machine() -> Arc<Self> {
        Arc::new(Connection { number: 0, world: None, life: None, state: Mutex::default() })
    }

    /// Something leaves for this end.
    fn send(self: &Arc<Self>, to: Side, what: Arrived) {
        if to == Side::Client && self.life.as_ref().is_some_and(|life| !life.is_alive()) {
            return;
        }
        if self.state.lock().is_silent {
            return;
        }
        let Some(world) = &self.world else { return self.arrive(to, what) };
        let Some(world) = world.upgrade() else { return };
        let (soon_ns, comes_alone) = (world.in_a_little_ns(), world.network.lock().coin());
        let at_ns = {
            let mut state = self.state.lock();
            let end = state.end(to);
            end.last_ns = match end.on_way.is_empty() || comes_alone {
                true => soon_ns.max(end.last_ns + 1),
                // With the one before it.
                false => end.last_ns,
            };
            end.on_way.push_back((end.last_ns, what));
            end.last_ns
        };
        let connection = Arc::clone(self);
        world.at(at_ns, move |_| connection.bring(to, at_ns));
    }

    /// What was on its way until then arrives.
    fn bring(&self, to: Side, now_ns: u64) {
        let arriving: Vec<_> = {
            let mut state = self.state.lock();
            if state.is_silent {
                return;
            }
            let on_way = &mut state.end(to).on_way;
            let count = on_way.iter().take_while(|(at_ns, _)| *at_ns <= now_ns).count();
            on_way.drain(..count).map(|(_, what)| what).collect()
        };
        arriving.into_iter().for_each(|what| self.arrive(to, what));
    }

    fn arrive(&self, to: Side, what: Arrived) {
        let mut state = self.state.lock();
        let is_cut = state.is_cut;
        let end = state.end(to);
        if !is_cut || matches!(what, Arrived::Gone) {
            end.arrived.push_back(what);
        }
        let waker = end.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Both ends see that it is gone.
    fn cut(&self) {
        self.state.lock().is_cut = true;
        self.arrive(Side::Client, Arrived::Gone);
        self.arrive(Side::Node, Arrived::Gone);
    }

    fn poll(&self, at: Side, task: &mut Context<'_>) -> Poll<Arrived> {
        let mut state = self.state.lock();
        let end = state.end(at);
        match end.arrived.pop_front() {
            Some(arrived) => Poll::Ready(arrived),
            None => {
                end.waker = Some(task.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl World {
    /// A connection breaks, or falls silent.
    pub(crate) fn break_connection(&self, falls_silent: bool) {
        let connection = {
            let mut network = self.network.lock();
            let open = |connection: &Weak<Connection>| {
                connection.upgrade().filter(|connection| {
                    let state = connection.state.lock();
                    !state.is_cut && !state.is_silent
                })
            };
            let all: Vec<_> = network.connections.iter().filter_map(open).collect();
            let chosen = network.chance.below(all.len() as u64);
            all.into_iter().nth(usize::try_from(chosen).expect("it is one of them"))
        };
        let Some(connection) = connection else { return };
        let number = connection.number;
        if falls_silent {
            self.note("net.silent", format!("connection {number}"));
            connection.state.lock().is_silent = true;
        } else {
            self.note("net.cut", format!("connection {number}"));
            connection.cut();
        }
    }

    /// The node is gone, and all its connections with it.
    pub(crate) fn break_connections(&self) {
        let all = std::mem::take(&mut self.network.lock().connections);
        for connection in all.iter().filter_map(Weak::upgrade) {
            // Of a silent one nobody is told anything.
            if !connection.state.lock().is_silent {
                connection.cut();
            }
        }
    }

    fn connect(self: &Arc<Self>, life: &Arc<Life>) -> Arc<Connection> {
        let mut network = self.network.lock();
        network.count += 1;
        let connection = Arc::new(Connection {
            number: network.count,
            world: Some(Arc::downgrade(self)),
            life: Some(Arc::clone(life)),
            state: Mutex::default(),
        });
        network.connections.retain(|connection| connection.strong_count() > 0);
        network.connections.push(Arc::downgrade(&connection));
        connection
    }
}

impl Sim {
    /// Opens a socket to an object, as a page in a browser does. `request`: as the object sees it. If the node is down it waits.
    ///
    /// # Errors
    /// Why it is not open.
    pub async fn connect<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
        request: Request,
    ) -> Result<SimSocket, Unconnected> {
        let key = match stub.name() {
            Some(name) => WhoKey::Name(name.into()),
            None => WhoKey::Id(stub.id().map_err(Unconnected::Failed)?),
        };
        let who = Who { key, placement: None };
        let connection = match &self.stage {
            Stage::World(world) => {
                world.wait_until_up().await;
                let Some((runtime, life)) = world.up() else { return Err(Unconnected::Broken) };
                let connection = world.connect(&life);
                let served = serve::<O>(runtime, who, request, Arc::clone(&connection));
                let node = Arc::clone(&life);
                world.soon(0, move |world| world.spawn_on(&node, Box::pin(served)));
                connection
            }
            Stage::Real(real) => {
                let runtime = real.runtime().map_err(Unconnected::Failed)?;
                let connection = Connection::on_machine();
                let served = serve::<O>(runtime, who, request, Arc::clone(&connection));
                #[expect(clippy::disallowed_methods, reason = "the machine's own tasks")]
                drop(tokio::spawn(served));
                connection
            }
        };
        let socket = SimSocket { connection };
        match poll_fn(|task| socket.connection.poll(Side::Client, task)).await {
            Arrived::Open => Ok(socket),
            Arrived::Refused(why) => Err(why),
            Arrived::Signal(_) | Arrived::Gone => Err(Unconnected::Broken),
        }
    }
}

/// The node's side of a connection.
async fn serve<O: Object>(
    runtime: Runtime,
    who: Who,
    request: Request,
    connection: Arc<Connection>,
) {
    let opened = runtime.open_socket(O::CLASS.name, who, request).await;
    // It does not keep the runtime.
    drop(runtime);
    let line: Line = match opened {
        Ok(line) => line,
        Err(refused) => {
            let why = match refused {
                Refused::Answered(response) => Unconnected::Answered(response),
                Refused::Failed(error) => Unconnected::Failed(error),
            };
            return connection.send(Side::Client, Arrived::Refused(why));
        }
    };
    connection.send(Side::Client, Arrived::Open);
    line.attend(NodeEnd(connection), Vec::new()).await;
}

/// What the node reads and writes.
struct NodeEnd(Arc<Connection>);

impl Stream for NodeEnd {
    type Item = Result<Signal, Ending>;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll(Side::Node, task).map(|arrived| match arrived {
            Arrived::Signal(signal) => {
                match &signal {
                    Signal::Beat => {}
                    // As a protocol of the real network does.
                    Signal::Close(_) => self.0.send(Side::Client, Arrived::Signal(signal.clone())),
                    Signal::Message(_) => {}
                }
                Some(Ok(signal))
            }
            Arrived::Gone | Arrived::Open | Arrived::Refused(_) => None,
        })
    }
}

impl Sink<Signal> for NodeEnd {
    type Error = Ending;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, signal: Signal) -> Result<(), Ending> {
        self.0.send(Side::Client, Arrived::Signal(signal));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for NodeEnd {
    fn drop(&mut self) {
        self.0.send(Side::Client, Arrived::Gone);
    }
}

/// A socket, as its client has it. Dropped, it is gone without a word.
#[derive(Clone)]
pub struct SimSocket {
    connection: Arc<Connection>,
}

impl SimSocket {
    /// Sends a message. It is on its way when this returns; nobody says whether it comes.
    pub fn send(&self, message: impl Into<Message>) {
        self.connection.send(Side::Node, Arrived::Signal(Signal::Message(message.into())));
    }

    /// The next message.
    ///
    /// # Errors
    /// How the socket was closed. `None`: its other end is gone.
    pub async fn next(&self) -> Result<Message, Option<Close>> {
        loop {
            match poll_fn(|task| self.connection.poll(Side::Client, task)).await {
                Arrived::Signal(Signal::Message(message)) => return Ok(message),
                // As a browser does.
                Arrived::Signal(Signal::Beat) => {
                    self.connection.send(Side::Node, Arrived::Signal(Signal::Beat));
                }
                Arrived::Signal(Signal::Close(close)) => {
                    self.connection.send(Side::Node, Arrived::Signal(Signal::Close(close.clone())));
                    return Err(close);
                }
                Arrived::Gone | Arrived::Open | Arrived::Refused(_) => return Err(None),
            }
        }
    }

    /// Says that it closes.
    pub fn close(&self, close: Option<Close>) {
        self.connection.send(Side::Node, Arrived::Signal(Signal::Close(close)));
    }

    /// Breaks: both ends see it.
    pub fn cut(&self) {
        self.connection.cut();
    }

    /// Lets nothing through any more, and neither end is told.
    pub fn fall_silent(&self) {
        self.connection.state.lock().is_silent = true;
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSocket").field("connection", &self.connection.number).finish()
    }
}
