//! Sends on their way: from the outbox of a shard to their targets, and what becomes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Alarms, End, Ends};
use crate::directory::ClassGroup;
use crate::error::{Code, Error};
use crate::host::Event;
use crate::kernel::alarm::{Alarmed, Fired, Kind, Place};
use crate::kernel::outbox::{AT_ONCE, Delivered, Next, Train, after_delivery};
use crate::limits::{SENDS_IN_FLIGHT_MAX, SENDS_TRAIN_BYTES_MAX, SENDS_TRAIN_MAX};
use crate::object::{Delivery, Firing, InTrain, Rung, gone};
use crate::runtime::Runtime;
use crate::send::{SendId, SentCall};
use crate::storage::{SendChore, Shard, Store, StoredSend, decode_send};
use crate::time::WallMs;

/// Sends that are being delivered, and those that somebody takes back: none is both.
#[derive(Default)]
pub(crate) struct Leaving(Mutex<Under>);

#[derive(Default)]
struct Under {
    /// At most as many as may be in flight.
    delivered: BTreeSet<SendId>,
    /// At most one for each request.
    taken_back: BTreeSet<SendId>,
    /// Whoever delivers was dropped in the middle of it, with all tasks of this process's runtime.
    is_cut_off: bool,
}

impl Leaving {
    /// One is about to be delivered. `false`: somebody takes it back.
    fn deliver(&self, id: SendId) -> bool {
        let mut under = self.0.lock();
        !under.taken_back.contains(&id) && under.delivered.insert(id)
    }

    fn is_back(&self, id: SendId) {
        self.0.lock().delivered.remove(&id);
    }

    /// Nothing is delivered any more, although nobody has shut the runtime down.
    pub(super) fn cut_off(&self) {
        self.0.lock().is_cut_off = true;
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.0.lock().is_cut_off
    }

    /// Somebody takes one back: it is not delivered until what this gives is dropped. `None`: it is being delivered.
    fn take_back(self: &Arc<Self>, id: SendId) -> Option<TakingBack> {
        let mut under = self.0.lock();
        let is_free = !under.delivered.contains(&id) && under.taken_back.insert(id);
        is_free.then(|| TakingBack(Arc::clone(self), id))
    }
}

struct TakingBack(Arc<Leaving>, SendId);

impl Drop for TakingBack {
    fn drop(&mut self) {
        self.0.0.lock().taken_back.remove(&self.1);
    }
}

impl Alarms {
    /// Delivers sends that are due, as many as may be.
    pub(super) fn fire_sends(&mut self, store: &Store, wall: WallMs) {
        while self.sends_in_flight < SENDS_IN_FLIGHT_MAX {
            let pages = self.calendars.iter().enumerate();
            let pages = pages.filter(|(_, page)| page.kind == Kind::Send);
            let due = pages.filter_map(|(index, page)| Some((page.calendar.wakes_at()?, index)));
            let Some((_, index)) = due.min().filter(|(due, _)| *due <= wall) else { return };
            let page = &mut self.calendars[index];
            let Some(alarmed) = page.calendar.fire(wall) else { return };
            let shard = Arc::clone(&store.shards()[page.shard]);
            if let Err(fired) = self.dispatch(store, (index, &shard), alarmed) {
                let calendar = &mut self.calendars[index].calendar;
                calendar.on_fired(alarmed.place.object_no, fired, wall);
            }
        }
    }

    /// Delivers one, and those of its pair that wait behind it. `Err`: it is not on its way.
    fn dispatch(
        &mut self,
        store: &Store,
        (index, from): (usize, &Arc<Shard>),
        alarmed: Alarmed,
    ) -> Result<(), Fired> {
        let send_no = alarmed.place.object_no;
        let unreadable = |error: &str| {
            tracing::warn!(error, send = send_no, shard = from.index(), "a send cannot be read");
            Fired::Postponed
        };
        let room = SENDS_TRAIN_MAX.min(SENDS_IN_FLIGHT_MAX - self.sends_in_flight);
        let train = from.read_sends(send_no, (room, SENDS_TRAIN_BYTES_MAX));
        let train = train.map_err(|error| unreadable(error.message()))?;
        // It was taken back, or stands behind another again, and a notice says so, or will.
        let first = train.first().filter(|first| first.is_first).ok_or(Fired::Settled)?;
        let known = self.groups.get(&alarmed.class_no).expect("only known classes wait");
        // Without it the runtime is gone, and this task is about to be.
        let group = known.group.upgrade().ok_or(Fired::Postponed)?;
        if !group.owns(&first.target) {
            return Err(unreadable("its target is of another data directory"));
        }
        let way = Way { index, from, to: store.shard(&first.target), group: &group, alarmed };
        let shared = (train.len() > 1).then(Arc::<Mutex<Train>>::default);
        let mut train = train.into_iter();
        let first = train.next().expect("it was looked at");
        let call = decode_send(&first.body).map_err(|text| unreadable(&text))?;
        let id = way.id(&first);
        if !self.leaving.deliver(id) {
            return Err(Fired::Postponed);
        }
        self.host.report(|| Event::SendLeaves { send: id });
        let own = shared.as_ref().map(|train| InTrain { train: Arc::clone(train), leaves: None });
        self.deliver(&way, &first, (call, own));
        for behind in train {
            // What is wrong with it is said when it is the first.
            let Ok(call) = decode_send(&behind.body) else { break };
            let place = Place { due: AT_ONCE, object_no: behind.send_no };
            let set_by = behind.retries.into();
            if !self.calendars[index].calendar.fire_along(Alarmed { place, set_by, ..alarmed }) {
                break;
            }
            let leaves = self.leaves(from, way.id(&behind));
            let own = shared
                .as_ref()
                .map(|train| InTrain { train: Arc::clone(train), leaves: Some(Box::new(leaves)) });
            self.deliver(&way, &behind, (call, own));
        }
        Ok(())
    }

    /// Whether one that is not the first may leave, when its turn has come: it was taken back meanwhile, or is about to be.
    fn leaves(&self, from: &Arc<Shard>, id: SendId) -> impl FnOnce() -> bool + Send + 'static {
        let (leaving, from, host) =
            (Arc::clone(&self.leaving), Arc::downgrade(from), self.host.clone());
        move || {
            let waits = |from: Arc<Shard>| matches!(from.has_send(id), Ok(true));
            let leaves = leaving.deliver(id) && from.upgrade().is_some_and(waits);
            if leaves {
                host.report(|| Event::SendLeaves { send: id });
            }
            leaves
        }
    }

    fn deliver(
        &mut self,
        way: &Way<'_>,
        stored: &StoredSend,
        (call, train): (SentCall, Option<InTrain>),
    ) {
        self.sends_in_flight += 1;
        let id = way.id(stored);
        let known = (call.name.as_deref().map(Arc::from), call.placement());
        let lineage = call.lineage();
        let ends = (Arc::clone(&self.ends), Arc::clone(&self.leaving));
        let on_its_way = OnItsWay { id, index: way.index, object_no: stored.send_no, ends };
        let shards = (Arc::downgrade(way.from), Arc::downgrade(way.to));
        let told = move |rung: Rung| on_its_way.on_rung(&rung, shards);
        let due = if train.as_ref().is_some_and(|own| own.leaves.is_some()) {
            AT_ONCE
        } else {
            way.alarmed.place.due
        };
        let delivery = Delivery { id, retries: stored.retries, due, call, train };
        let firing = Firing::of_send(delivery, told);
        Arc::clone(way.group).receive(stored.target, (known, lineage), firing);
    }
}

/// From where to where sends are delivered.
struct Way<'a> {
    /// Of their calendar.
    index: usize,
    from: &'a Arc<Shard>,
    to: &'a Arc<Shard>,
    group: &'a Arc<dyn ClassGroup>,
    /// The first of them.
    alarmed: Alarmed,
}

impl Way<'_> {
    fn id(&self, StoredSend { epoch, number, .. }: &StoredSend) -> SendId {
        SendId { shard: self.from.index(), epoch: *epoch, number: *number }
    }
}

/// A send that is being delivered.
struct OnItsWay {
    id: SendId,
    /// Of its calendar.
    index: usize,
    object_no: i64,
    ends: (Arc<Ends>, Arc<Leaving>),
}

type WeakShard = std::sync::Weak<Shard>;

impl OnItsWay {
    /// It has come to this. `shards`: those of its source and of its target.
    fn on_rung(self, rung: &Rung, (from, to): (WeakShard, WeakShard)) {
        let delivered = match *rung {
            Rung::Done | Rung::Failed(_) => Delivered::Settled,
            Rung::Again { due, retries } => Delivered::Failed { due, retries },
            Rung::Void | Rung::Postponed(_) => Delivered::Unmet,
        };
        let id = self.id;
        let (chore, forgets) = match after_delivery(delivered) {
            Next::Over => (SendChore::Over(id), true),
            Next::Again { due, retries } => (SendChore::Again { id, due, retries }, false),
            Next::Hold => return self.end(Fired::Postponed),
        };
        let Some(from) = from.upgrade() else { return self.end(Fired::Postponed) };
        let answer = move |stored: Result<bool, Error>| {
            // What is of one shard was forgotten together with the send.
            let far = to.upgrade().filter(|to| forgets && stored.is_ok() && to.index() != id.shard);
            if let Some(to) = far {
                to.tend_send(SendChore::Forget(id), Box::new(|_| ()));
            }
            self.end(if stored.is_ok() { Fired::Settled } else { Fired::Postponed });
        };
        from.tend_send(chore, Box::new(answer));
    }

    fn end(self, fired: Fired) {
        let OnItsWay { id, index, object_no, ends: (ends, leaving) } = self;
        leaving.is_back(id);
        ends.push(End { index, object_no, fired });
    }
}

impl Runtime {
    /// Takes a send back. `true`: it never takes effect. `false`: it does not wait, because it has taken effect, is a dead
    /// letter, or was taken back; or there never was one. When this answers that is on the disk.
    ///
    /// # Errors
    /// `send.leaving` if it is being delivered at this moment; `storage.*` if it cannot be stored; `runtime.closed`.
    ///
    /// # Cancel safety
    /// If the future is dropped after it was polled, it is taken back, or not.
    pub async fn cancel_send(&self, id: SendId) -> Result<bool, Error> {
        let shared = self.registry().shared();
        if shared.is_closed_to(false) {
            return Err(gone());
        }
        let Some(shard) = shared.store.shards().get(usize::from(id.shard)) else {
            return Ok(false);
        };
        let Some(_taking_back) = shared.leaving.take_back(id) else {
            return Err(Code::SendLeaving.error(format!(
                "send {id} is being delivered, or taken back; ask again, it may wait after it has failed"
            )));
        };
        shared.host.report(|| Event::SendRecalled { send: id });
        // A crash may have come between its effect, which is its target's commit, and the end of its row: then it is delivered
        // once more, to end.
        for target in shared.store.shards() {
            if target.has_received(id)? {
                return Ok(false);
            }
        }
        shard.tended_send(SendChore::TakeBack(id)).await
    }
}
