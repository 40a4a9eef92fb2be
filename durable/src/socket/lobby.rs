//! Where the sockets of objects wait, whether their objects are in memory or not.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::{Close, Dialing, Message, Socket};
use crate::error::{Code, Error};
use crate::host::{Event, Host};
use crate::id::ObjectId;
use crate::kernel::sockets::{Deed, Fate, Out, Sockets};
use crate::limits::{SOCKETS_MAX, SOCKETS_OF_OBJECT_MAX};
use crate::object::gone;
use crate::storage::Release;

/// The sockets of all objects of a class.
pub(crate) struct Lobbies {
    by_object: Mutex<HashMap<ObjectId, Arc<Lobby>>>,
    numbers: Arc<Numbers>,
}

/// Numbers the sockets of a runtime.
pub(crate) struct Numbers {
    /// The first one, and the next. `None`: there was none yet.
    next: Mutex<Option<(u64, u64)>>,
    /// How many sockets there are.
    count: AtomicUsize,
    /// No more come.
    is_closed: AtomicBool,
}

impl Numbers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Numbers {
            next: Mutex::new(None),
            count: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        })
    }

    /// How many sockets there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// No more come.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Sockets of an earlier run have other numbers, most likely. Those of one run are in the order in which they came.
    fn next(&self, host: &Host) -> Socket {
        let mut next = self.next.lock();
        let (base, count) = next.get_or_insert_with(|| {
            let mut bytes = [0; 4];
            host.entropy.fill(&mut bytes);
            (u64::from(u32::from_le_bytes(bytes)) << 32, 0)
        });
        *count += 1;
        Socket(base.wrapping_add(*count))
    }
}

impl Lobbies {
    pub(crate) fn new(numbers: Arc<Numbers>) -> Self {
        Lobbies { by_object: Mutex::default(), numbers }
    }

    /// The sockets of an object. `None`: it has none.
    pub(crate) fn of(&self, object: &ObjectId) -> Option<Arc<Lobby>> {
        self.by_object.lock().get(object).cloned()
    }

    /// A socket comes.
    ///
    /// # Errors
    /// `socket.overloaded`; `runtime.closed`.
    pub(crate) fn come(
        &self,
        host: &Host,
        object: ObjectId,
    ) -> Result<(Arc<Lobby>, Socket), Error> {
        let mut by_object = self.by_object.lock();
        if self.numbers.is_closed.load(Ordering::Acquire) {
            return Err(gone());
        }
        let lobby = match by_object.entry(object) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(Lobby::new(host, object)))),
        };
        let mut state = lobby.state.lock();
        if state.sockets.count() >= SOCKETS_OF_OBJECT_MAX {
            return Err(overloaded("the object", SOCKETS_OF_OBJECT_MAX));
        }
        if self.numbers.count.fetch_add(1, Ordering::Relaxed) >= SOCKETS_MAX {
            self.numbers.count.fetch_sub(1, Ordering::Relaxed);
            drop(state);
            self.drop_if_empty(&mut by_object, &object);
            return Err(overloaded("the runtime", SOCKETS_MAX));
        }
        let socket = self.numbers.next(host);
        state.sockets.come(socket.0);
        state.wakers.insert(socket.0, Arc::default());
        drop(state);
        Ok((lobby, socket))
    }

    /// Nothing of a socket is known any more.
    pub(crate) fn forget(&self, object: &ObjectId, socket: Socket) {
        let mut by_object = self.by_object.lock();
        if let Some(lobby) = by_object.get(object) {
            let mut state = lobby.state.lock();
            state.sockets.forget(socket.0);
            if state.wakers.remove(&socket.0).is_some() {
                self.numbers.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.drop_if_empty(&mut by_object, object);
    }

    fn drop_if_empty(&self, all: &mut HashMap<ObjectId, Arc<Lobby>>, object: &ObjectId) {
        if all.get(object).is_some_and(|lobby| lobby.state.lock().sockets.count() == 0) {
            all.remove(object);
        }
    }

    /// Closes all sockets of the class.
    pub(crate) fn close_all(&self, close: &Close) {
        let all: Vec<_> = self.by_object.lock().values().cloned().collect();
        all.iter().for_each(|lobby| lobby.close_all(close));
    }
}

fn overloaded(who: &str, limit: usize) -> Error {
    Code::SocketOverloaded.error(format!(
        "{who} has as many sockets as it may, which is {limit}; try again when some have closed"
    ))
}

/// The sockets of one object.
pub(crate) struct Lobby {
    host: Host,
    object: ObjectId,
    state: Mutex<State>,
}

struct State {
    sockets: Sockets<Message>,
    wakers: HashMap<u64, Arc<AtomicWaker>>,
}

impl Lobby {
    fn new(host: &Host, object: ObjectId) -> Self {
        let state = State { sockets: Sockets::new(), wakers: HashMap::new() };
        Lobby { host: host.clone(), object, state: Mutex::new(state) }
    }

    /// Looks at them, or does something that nobody waits for.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Sockets<Message>) -> T) -> T {
        look(&mut self.state.lock().sockets)
    }

    /// What waits to be written, or is told when there is something.
    pub(crate) fn poll_out(&self, socket: Socket, task: &mut Context<'_>) -> Poll<Out<Message>> {
        let mut state = self.state.lock();
        if let Some(out) = state.sockets.next_out(socket.0) {
            return Poll::Ready(out);
        }
        if let Some(waker) = state.wakers.get(&socket.0) {
            waker.register(task.waker());
        }
        Poll::Pending
    }

    /// Closes a socket, after what turns until now have done.
    pub(crate) fn close(self: &Arc<Self>, socket: Socket, close: Close) {
        self.hold(0, vec![Deed::Close(socket.0, close.sent())]).leave();
    }

    /// Closes all of them, after what turns until now have done.
    pub(crate) fn close_all(self: &Arc<Self>, close: &Close) {
        let closing = close.clone().sent();
        let all: Vec<u64> = self.with(|sockets| sockets.all().collect());
        let deeds = all.into_iter().map(|socket| Deed::Close(socket, closing.clone()));
        self.hold(0, deeds.collect()).leave();
    }

    /// What becomes of a socket that takes nothing at the moment; whoever asks is told when there is something to be written.
    pub(crate) fn fate(&self, socket: Socket, task: &mut Context<'_>) -> Fate {
        let state = self.state.lock();
        if let Some(waker) = state.wakers.get(&socket.0) {
            waker.register(task.waker());
        }
        state.sockets.fate(socket.0)
    }

    /// A turn is kept that has done this. What it gives does it when it is released.
    pub(crate) fn hold(self: &Arc<Self>, call: u64, deeds: Vec<Deed<Message>>) -> Leaving {
        let ticket = self.with(|sockets| sockets.hold(deeds));
        Leaving { lobby: Arc::clone(self), call, ticket, dials: Mutex::default() }
    }

    fn settle(&self, call: u64, ticket: u64, is_durable: bool) {
        if is_durable {
            // Before anybody can read what leaves.
            self.host.report(|| Event::FramesLeave { object: &self.object, call });
        }
        let mut state = self.state.lock();
        let poked = state.sockets.settle(ticket, is_durable);
        let poked = state.wakers_of(&poked);
        drop(state);
        poked.iter().for_each(|waker| waker.wake());
    }
}

impl State {
    fn wakers_of(&self, sockets: &[u64]) -> Vec<Arc<AtomicWaker>> {
        sockets.iter().filter_map(|socket| self.wakers.get(socket).cloned()).collect()
    }
}

/// What a turn has done about sockets, until it is durable.
pub(crate) struct Leaving {
    lobby: Arc<Lobby>,
    call: u64,
    ticket: u64,
    /// Sockets that are opened then.
    dials: Mutex<Vec<Dialing>>,
}

impl Leaving {
    /// With sockets that the turn opens.
    pub(crate) fn dialing(mut self, dials: Vec<Dialing>) -> Self {
        *self.dials.get_mut() = dials;
        self
    }

    /// It happens.
    pub(crate) fn leave(&self) {
        self.lobby.settle(self.call, self.ticket, true);
        let dials = std::mem::take(&mut *self.dials.lock());
        dials.into_iter().for_each(Dialing::begin);
    }
}

impl Release for Leaving {
    fn release(&self, durable: Result<(), &Error>) {
        if durable.is_ok() {
            self.leave();
        }
    }
}

/// What has not happened by then never does.
impl Drop for Leaving {
    fn drop(&mut self) {
        self.lobby.settle(self.call, self.ticket, false);
    }
}
