//! Work that a turn has spawned: it starts when what the turn did is durable, and ends with its activation at the latest.
//!
//! The object's place knows of each piece from the end of its turn on, so that the object stays in memory. Whoever ends the
//! activation takes the pieces away there, and drops what they have left to do at once: none of them calls the next one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::class::Durability;
use crate::error::{Code, Error, text_of};
use crate::host::Event;
use crate::item_stream::ItemStream;
use crate::kernel::gate::{self, Gate};
use crate::limits::{SPAWNED_LIMIT, SPAWNED_MAX};
use crate::object::call::discard;
use crate::object::carried::bearing;
use crate::object::context::Scene;
use crate::object::kv::Owner;
use crate::object::live::Live;
#[cfg(feature = "http")]
use crate::object::sockets::{SocketDeeds, close_sockets, let_frames_out};
use crate::object::{BoxFuture, Context, Dealt, Object, Slot};
use crate::storage::Release;
use crate::stub::Stub;

/// What a piece of work does.
type Deed = BoxFuture<'static, ()>;

/// What a turn wants to be done after it.
#[derive(Default)]
pub(crate) struct Spawned {
    /// At most as many as may be under way.
    deeds: Vec<Deed>,
    /// How many more there were to be.
    beyond: usize,
    /// What happens to sockets.
    #[cfg(feature = "http")]
    pub(super) frames: SocketDeeds,
}

impl Spawned {
    fn has_no_work(&self) -> bool {
        self.deeds.is_empty()
    }

    #[cfg(feature = "http")]
    fn has_no_frames(&self) -> bool {
        self.frames.is_empty()
    }

    #[cfg(not(feature = "http"))]
    fn has_no_frames(&self) -> bool {
        true
    }

    /// Why the turn cannot be kept that has spawned it. `None`: it can. Nothing else adds to the object's work until it is put there.
    pub(super) fn fault<O: Object>(&self, slot: &Slot<O>) -> Option<Error> {
        if self.has_no_work() {
            return None;
        }
        let count = slot.work_count() + self.deeds.len() + self.beyond;
        (count > SPAWNED_MAX).then(|| {
            Code::SpawnOverloaded.error(format!(
                "{count} pieces of work that {} has spawned would be under way, the limit is {SPAWNED_MAX}; \
                 spawn when some have ended, or let other objects do it",
                slot.label()
            ))
        })
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pieces of work", self.deeds.len())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if !self.deeds.is_empty() {
            discard(std::mem::take(&mut self.deeds));
        }
    }
}

/// Where a turn puts what it spawns.
#[derive(Debug, Default)]
pub(super) struct WorkDesk(Mutex<Spawned>);

impl WorkDesk {
    /// How much there is.
    pub(super) fn mark(&self) -> usize {
        self.0.lock().deeds.len()
    }

    /// Goes back to so much.
    pub(super) fn reset(&self, mark: usize) {
        let undone = self.0.lock().deeds.split_off(mark);
        discard(undone);
    }

    pub(super) fn has_dealt(&mut self) -> bool {
        let Spawned { deeds, beyond, .. } = self.0.get_mut();
        !deeds.is_empty() || *beyond > 0
    }

    pub(super) fn take_dealt(&mut self) -> Spawned {
        std::mem::take(self.0.get_mut())
    }
}

impl<O: Object> Context<'_, O> {
    /// Has `work` done when this turn is over and what it did is durable, beside the object: turns go on meanwhile. It never
    /// starts if this turn fails. For what takes long and should not hold the object, such as asking another service.
    ///
    /// It gets a stub of this object, and tells it by calls what has come of it; those are calls as any others. The object stays in
    /// memory until its work is done, for 15 minutes at most: work that takes longer is cut off at its next `.await`, and that is
    /// logged. A panic in it is logged and costs nobody else anything. It carries on what this turn [carries](Self::metadata).
    ///
    /// It ends with the object's stay in memory: a crash of the object, its deletion, or an eviction that somebody asks for cuts it
    /// off. A shutdown waits for it as for a turn, and names it if it has to be cut off. Nothing of it is stored: what must happen
    /// is [sent](Self::send), or set as an alarm, and may then spawn its work anew.
    ///
    /// Turns of calls, sends, alarms, schedules and of hooks that hear of an end may spawn; in one that takes `&self`, work starts when
    /// what the turn has seen is durable.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Quote { cents: Option<u64> }
    ///
    /// # async fn ask_the_exchange() -> u64 { 42 }
    /// #[durable_object(name = "doc.Quote")]
    /// impl Quote {
    ///     pub fn refresh(&mut self, cx: &mut Context<'_, Self>) {
    ///         self.cents = None;
    ///         cx.spawn(|me| async move {
    ///             let cents = ask_the_exchange().await;   // the object answers calls meanwhile
    ///             let _ = me.learn(cents).await;
    ///         });
    ///     }
    ///     pub fn learn(&mut self, cents: u64) { self.cents = Some(cents); }
    ///     pub fn cents(&self) -> Option<u64> { self.cents }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Quote>().start().await?;
    /// let quote = runtime.get::<Quote>("ACME");
    /// quote.refresh().await?;
    /// while quote.cents().await?.is_none() {
    ///     tokio::task::yield_now().await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The turn fails, whatever it returns, with `spawn.overloaded` if more than [`SPAWNED_MAX`](crate::limits::SPAWNED_MAX) pieces of
    /// work of the object would be under way. A start whose `#[on_activate]` spawns fails with `object.unstartable`: it would
    /// spawn again whenever a turn is undone.
    ///
    /// # Panics
    /// In `#[init]`, which is no turn that could be kept.
    pub fn spawn<F, W>(&self, work: F)
    where
        F: FnOnce(O::Stub) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        match self.scene {
            Scene::Alone(_) => self.lacks("spawns work"),
            Scene::Slot { slot, fence: Some(_) } => {
                let me = O::Stub::from_address(slot.address().within_service());
                self.add_deed(async move { work(me).await });
            }
            Scene::Slot { slot, fence: None } => panic!(
                "`#[init]` of {} spawns work, and is no turn that could be kept; do it in a method",
                slot.label()
            ),
        }
    }

    /// Gives the items of a stream to the turn's caller, when the turn is durable. Generated dispatchers use it.
    #[doc(hidden)]
    pub fn pour<T: Send + 'static>(
        &self,
        stream: impl Stream<Item = T> + Send + 'static,
    ) -> ItemStream<T> {
        let (sink, items) = ItemStream::new();
        match self.scene {
            Scene::Alone(_) => self.lacks("gives a stream"),
            Scene::Slot { .. } => self.add_deed(sink.drain(stream)),
        }
        items
    }

    fn add_deed(&self, deed: impl Future<Output = ()> + Send + 'static) {
        let mut spawned = self.work.0.lock();
        if spawned.deeds.len() >= SPAWNED_MAX {
            spawned.beyond += 1;
            return;
        }
        spawned.deeds.push(Box::pin(bearing(self.metadata.clone(), deed)));
    }
}

impl Dealt {
    /// What the hook of a start leaves.
    ///
    /// # Errors
    /// `object.unstartable` if it has spawned work, or done something about sockets.
    pub(super) fn without_work(self) -> Result<Self, Error> {
        if !self.spawned.has_no_work() {
            return Err(Code::ObjectUnstartable.error(
                "`#[on_activate]` spawns work, which it would do again whenever a turn is undone; \
                 spawn it in a method, or in the handler of an alarm that it sets",
            ));
        }
        if !self.spawned.has_no_frames() {
            return Err(Code::ObjectUnstartable.error(
                "`#[on_activate]` writes to sockets or changes them, which it would do again whenever a turn is undone; \
                 do it in a method",
            ));
        }
        Ok(self)
    }
}

/// Lets what a turn has spawned start, and what it has done about sockets happen, as soon as everything is durable that the turn
/// did or may have seen. `turn`: its method, and
/// its call for the host's director.
pub(super) fn begin_work<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    turn: (&'static str, u64),
    #[cfg_attr(not(feature = "http"), expect(unused_mut, reason = "nothing is taken"))]
    mut spawned: Spawned,
) {
    #[cfg(feature = "http")]
    let_frames_out(slot, live, turn.1, std::mem::take(&mut spawned.frames));
    if spawned.has_no_work() {
        return;
    }
    let waiting = slot.put_work(turn, spawned);
    let shard = slot.group().shard(&slot.id());
    let (submitted, durable) = (live.fence().submitted(), shard.durable());
    let is_broken = live.fence().broken().is_some();
    match gate::decide(submitted.0, durable.0, is_broken, Durability::Synced) {
        Gate::Open => waiting.begin(),
        Gate::Behind => shard.release_after(live.fence(), Arc::new(waiting)),
    }
}

/// What is left of what a turn has spawned that wants nothing of its object to be left: no work starts; what it has sent to sockets
/// leaves, and then those are closed.
pub(super) fn part<O: Object>(
    slot: &Arc<Slot<O>>,
    live: &Live<O>,
    call: u64,
    #[cfg_attr(not(feature = "http"), expect(unused_mut, reason = "nothing is taken"))]
    mut spawned: Spawned,
) {
    #[cfg(feature = "http")]
    close_sockets(slot, live, call, std::mem::take(&mut spawned.frames));
    #[cfg(not(feature = "http"))]
    let _ = (slot, live, call);
    drop(spawned);
}

/// Work that waits until its turn is durable.
pub(super) struct Waiting<O: Object> {
    slot: Arc<Slot<O>>,
    call: u64,
    /// With the numbers that its object's place knows it by. Empty: it has begun, or never will.
    deeds: Mutex<Vec<(u64, Deed)>>,
}

impl<O: Object> Slot<O> {
    /// The object's place knows from here on that there is work.
    fn put_work(
        self: &Arc<Self>,
        (method, call): (&'static str, u64),
        mut spawned: Spawned,
    ) -> Waiting<O> {
        let deeds = std::mem::take(&mut spawned.deeds);
        let numbers = self.add_work(method, deeds.len() as u64);
        let deeds = Mutex::new(numbers.zip(deeds).collect());
        Waiting { slot: Arc::clone(self), call, deeds }
    }
}

impl<O: Object> Waiting<O> {
    fn begin(&self) {
        for (number, deed) in std::mem::take(&mut *self.deeds.lock()) {
            let piece = Arc::new(Piece {
                deed: Mutex::new(Some(deed)),
                is_cut: AtomicBool::new(false),
                waker: AtomicWaker::new(),
            });
            // Its activation may have ended meanwhile.
            let Some(method) = self.slot.work_begins(number, &piece) else {
                piece.cut();
                continue;
            };
            let (object, call) = (self.slot.id_ref(), self.call);
            self.slot.host().report(|| Event::WorkBegan { object, call, work: number });
            let running = Running { slot: Arc::clone(&self.slot), number, piece };
            self.slot.host().tasks.spawn(Box::pin(running.run(method)));
        }
    }
}

impl<O: Object> Release for Waiting<O> {
    fn release(&self, durable: Result<(), &Error>) {
        if durable.is_ok() {
            self.begin();
        }
    }
}

/// Its turn is not durable, and never will be.
impl<O: Object> Drop for Waiting<O> {
    fn drop(&mut self) {
        for (number, deed) in std::mem::take(self.deeds.get_mut()) {
            discard(deed);
            self.slot.work_ended(number);
        }
    }
}

/// A piece of work that has begun.
pub(crate) struct Piece {
    /// `None`: it has ended, and everything that it held is dropped.
    deed: Mutex<Option<Deed>>,
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

impl Piece {
    /// Ends it: at once, or, if it is polled at this moment, when that is over.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        if let Some(mut deed) = self.deed.try_lock() {
            let deed = deed.take();
            discard(deed);
        }
        self.waker.wake();
    }

    fn poll(&self, task: &mut TaskContext<'_>) -> Poll<Ended> {
        self.waker.register(task.waker());
        let mut deed = self.deed.lock();
        let Some(future) = deed.as_mut() else { return Poll::Ready(Ended::Cut) };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task)));
        let ended = match polled {
            Ok(Poll::Ready(())) => Ended::Done,
            Err(panic) => Ended::Panicked(text_of(panic.as_ref()).to_owned()),
            Ok(Poll::Pending) if self.is_cut.load(Ordering::Acquire) => Ended::Cut,
            Ok(Poll::Pending) => return Poll::Pending,
        };
        discard(deed.take());
        Poll::Ready(ended)
    }
}

/// How a piece of work ended.
enum Ended {
    Done,
    Panicked(String),
    /// Its activation ended.
    Cut,
    /// It ran over its limit.
    Late,
}

/// A piece of work, as its task has it. However that ends, the object's place hears of it.
struct Running<O: Object> {
    slot: Arc<Slot<O>>,
    number: u64,
    piece: Arc<Piece>,
}

impl<O: Object> Running<O> {
    async fn run(self, method: &'static str) {
        let clock = &self.slot.host().clock;
        let mut time_over = clock.sleep_until(clock.now() + SPAWNED_LIMIT);
        let ended = poll_fn(|task| match self.piece.poll(task) {
            Poll::Pending => time_over.as_mut().poll(task).map(|()| Ended::Late),
            ended => ended,
        });
        let ended = ended.await;
        match ended {
            Ended::Done | Ended::Cut => {}
            Ended::Panicked(panic) => {
                let object = self.slot.label();
                tracing::error!(object, method, panic, "work that a turn has spawned panicked");
            }
            Ended::Late => {
                let (object, limit) = (self.slot.label(), SPAWNED_LIMIT);
                tracing::error!(object, method, ?limit, "work ran over its limit and was cut off");
            }
        }
    }
}

impl<O: Object> Drop for Running<O> {
    fn drop(&mut self) {
        self.piece.cut();
        let (object, work) = (self.slot.id_ref(), self.number);
        self.slot.host().report(|| Event::WorkEnded { object, work });
        self.slot.work_ended(self.number);
    }
}
