//! A class of a runtime, whatever its type.

use std::future::{Future, IntoFuture, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Group, Known, families};
use crate::caller::{Kept, Request, Who, undecodable, unencodable};
use crate::cut::CutOff;
use crate::directory::LetOut;
use crate::directory::failing::{OPEN, STOPPED};
use crate::error::{Error, Outcome};
#[cfg(feature = "http")]
use crate::exposed::{Door, Open};
use crate::id::{Lineage, ObjectId, check_name};
use crate::kernel::activation::EndWish;
use crate::limits::RELIEF_OBJECTS_AT_ONCE;
use crate::object::errand::Errand;
use crate::object::{BoxFuture, Firing, Kin, LetterDeed, Object, Rung, Slot, gone};
#[cfg(feature = "http")]
use crate::socket::Close;
use crate::state::Schemas;
use crate::storage::{ClassNo, Shard};
use crate::stub::Sent;
use crate::supervise::ClassStatus;

/// A class group without its type, for what a runtime does to all of them.
pub(crate) trait ClassGroup: Send + Sync {
    /// The class's name.
    fn name(&self) -> &'static str;
    /// Takes the calls out that wait for its objects and whose time is over.
    fn shed(&self) -> BoxFuture<'_, ()>;
    /// The class for callers outside of Rust. `None`: it has not opted in.
    #[cfg(feature = "http")]
    fn exposed(self: Arc<Self>) -> Option<Arc<dyn Door>>;
    /// Keeps a call that nobody waits for. `delay`: how long it stays at least. `None`: not longer than those before it.
    fn keep(self: Arc<Self>, request: Request, delay: Option<Duration>) -> Kept;
    /// Delivers a send to one object, of which the sender knows so much.
    fn receive(self: Arc<Self>, id: ObjectId, known: (Known, Option<Lineage>), firing: Firing);
    /// Closes the sockets of its objects.
    #[cfg(feature = "http")]
    fn close_sockets(&self);
    /// A call that came over a wire, which is queued when this returns. `number`: a director's name for it.
    fn call(
        self: Arc<Self>,
        request: Request,
        number: u64,
    ) -> BoxFuture<'static, Result<Vec<u8>, Error>>;
    /// The id of an object that somebody asks for.
    fn id_of(&self, who: &Who) -> Result<ObjectId, Error>;
    /// The id of a new object.
    fn unique(&self) -> ObjectId;
    /// Whether the id is one of the class.
    fn owns(&self, id: &ObjectId) -> bool;
    /// The class's number, by which stored rows know it.
    fn class_no(&self) -> ClassNo;
    /// Whether its objects have alarms.
    fn has_alarms(&self) -> bool;
    /// Fires the alarm of one object.
    fn fire(self: Arc<Self>, id: ObjectId, firing: Firing);
    /// Ends the activation of one object; whether there was one.
    fn evict(&self, id: ObjectId) -> BoxFuture<'_, bool>;
    /// Erases one object; whether there was anything to erase.
    fn erase(self: Arc<Self>, id: ObjectId) -> BoxFuture<'static, Result<bool, Error>>;
    /// Whether its objects' past is kept.
    fn keeps_history(&self) -> bool;
    /// The shard that owns an object.
    fn shard_of(&self, id: &ObjectId) -> &Arc<Shard>;
    /// The id of the object of this name, in this jurisdiction.
    fn named(&self, name: &str, jurisdiction: Option<&str>) -> Result<ObjectId, Error>;
    /// What stored states of the class were written with.
    fn schemas(&self) -> &Schemas;
    /// The place of one object, as its relatives see it.
    fn kin(self: Arc<Self>, id: ObjectId, known: Known, lineage: Option<Lineage>) -> Arc<dyn Kin>;
    /// What an object is called, if that is known in memory.
    fn name_of(&self, id: &ObjectId) -> Option<Arc<str>>;
    /// Has something done to an object before it is loaded anew.
    fn send(self: Arc<Self>, id: ObjectId, known: Known, errand: Errand);
    /// Retries or drops a dead letter of one object.
    fn tend_letter(
        self: Arc<Self>,
        id: ObjectId,
        deed: LetterDeed,
    ) -> BoxFuture<'static, Result<bool, Error>>;
    /// Lets an object run again. Whether it was quarantined.
    fn release(self: Arc<Self>, id: ObjectId) -> BoxFuture<'static, Result<bool, Error>>;
    /// Nothing is left of an object, nor of those of this class that are below it: they have never failed.
    fn forget_below(&self, ancestor: &ObjectId);
    /// Lets the next call to a quarantined object through. Whether it is one.
    fn retry_quarantined(&self, id: &ObjectId) -> bool;
    /// Lets all activations serve the calls that wait and then end, and waits until they are gone.
    fn drain(&self) -> BoxFuture<'_, ()>;
    /// Takes no calls until it is opened, unless the runtime takes none from outside anyway: turns that run may end.
    fn close(&self);
    /// Takes calls.
    fn open(&self);
    /// Takes no more activations, and ends those that run, without waiting for their turns.
    fn abandon(&self);
    /// Ends all activations at once, mid-turn, and takes no more. Gives what they were at; [`is_empty`](Self::is_empty) says
    /// when nothing of them is left.
    fn cut(&self) -> Vec<CutOff>;
    /// Whether no activation is there, not even one that was cut off.
    fn is_empty(&self) -> bool;
    /// How its objects are.
    fn status(&self) -> ClassStatus;
    /// Objects that are in memory.
    fn resident(&self) -> usize;
}

impl<O: Object> ClassGroup for Group<O> {
    fn name(&self) -> &'static str {
        O::CLASS.name
    }

    #[cfg(feature = "http")]
    fn exposed(self: Arc<Self>) -> Option<Arc<dyn Door>> {
        O::expose(Open(self))
    }

    fn call(
        self: Arc<Self>,
        request: Request,
        number: u64,
    ) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        let Request {
            who, method, args, timeout, durability, key, metadata, is_patient, stub, ..
        } = request;
        let call = O::decode_call(method.name, &args)
            .map_err(|error| undecodable::<O>(&error, Outcome::NotStarted))
            .and_then(|call| self.address_of(who).map(|address| (call, address)));
        let (call, address) = match call {
            Ok(made) => made,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let unpack = |reply: O::Reply| {
            let bytes = O::encode_reply(&reply);
            Some(bytes.map_err(|error| unencodable::<O>(&error, Outcome::Committed)))
        };
        let call = address.call::<Result<Vec<u8>, Error>>(call, unpack);
        let call = call.sent(Sent { call: number, stub });
        let call = if let Some(timeout) = timeout { call.timeout(timeout) } else { call };
        let call = if let Some(durability) = durability { call.wants(durability) } else { call };
        let call = if let Some(key) = key { call.idempotency_key(key) } else { call };
        let call = call.carrying(metadata);
        let call = if is_patient { call.wait_for_capacity() } else { call };
        let mut made = call.into_future();
        match Pin::new(&mut made).poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Box::pin(ready(answer)),
            Poll::Pending => Box::pin(made),
        }
    }

    fn keep(self: Arc<Self>, request: Request, delay: Option<Duration>) -> Kept {
        let Request { who, method, args, key, metadata, stub, .. } = request;
        let call = O::decode_call(method.name, &args)
            .map_err(|error| undecodable::<O>(&error, Outcome::NotStarted))
            .and_then(|call| self.address_of(who).map(|address| (call, address)));
        match call {
            Ok((call, address)) => {
                let call = address.call::<Result<(), Error>>(call, |_| None);
                let call = if let Some(key) = key { call.idempotency_key(key) } else { call };
                // It was made elsewhere.
                let call = call.carrying(metadata).sent(Sent { call: 0, stub });
                Box::pin(call.put(delay))
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn receive(
        self: Arc<Self>,
        id: ObjectId,
        ((name, placement), lineage): (Known, Option<Lineage>),
        firing: Firing,
    ) {
        if let Some(error) = self.stopped() {
            return firing.end(Rung::Postponed(error));
        }
        let slot = self.place(id, name.as_ref(), placement.as_ref());
        slot.learn_lineage(lineage.as_ref());
        slot.fire(firing);
    }

    fn id_of(&self, who: &Who) -> Result<ObjectId, Error> {
        self.id_of(who)
    }

    fn unique(&self) -> ObjectId {
        self.unique()
    }

    fn owns(&self, id: &ObjectId) -> bool {
        self.key.owns(id)
    }

    fn class_no(&self) -> ClassNo {
        self.class_no
    }

    fn has_alarms(&self) -> bool {
        O::CLASS.alarm.is_some()
    }

    fn fire(self: Arc<Self>, id: ObjectId, firing: Firing) {
        match self.stopped() {
            Some(error) => firing.end(Rung::Postponed(error)),
            None => self.place(id, None, None).fire(firing),
        }
    }

    fn evict(&self, id: ObjectId) -> BoxFuture<'_, bool> {
        let slot = self.directory.find(&id);
        Box::pin(async move {
            match slot {
                Some(slot) => slot.evict(EndWish::Soon).await,
                None => false,
            }
        })
    }

    fn erase(self: Arc<Self>, id: ObjectId) -> BoxFuture<'static, Result<bool, Error>> {
        let (answer, answered) = oneshot::channel();
        self.place(id, None, None).send(Errand::Erase { answer });
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn tend_letter(
        self: Arc<Self>,
        id: ObjectId,
        deed: LetterDeed,
    ) -> BoxFuture<'static, Result<bool, Error>> {
        let (answer, answered) = oneshot::channel();
        self.place(id, None, None).send(Errand::Letter { deed, answer });
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn keeps_history(&self) -> bool {
        O::CLASS.keeps_history
    }

    fn shard_of(&self, id: &ObjectId) -> &Arc<Shard> {
        self.shard(id)
    }

    fn named(&self, name: &str, jurisdiction: Option<&str>) -> Result<ObjectId, Error> {
        check_name(O::CLASS.name, name)?;
        Ok(self.key.named(name, jurisdiction))
    }

    fn schemas(&self) -> &Schemas {
        self.schemas()
    }

    fn kin(
        self: Arc<Self>,
        id: ObjectId,
        (name, placement): Known,
        lineage: Option<Lineage>,
    ) -> Arc<dyn Kin> {
        let slot = self.place(id, name.as_ref(), placement.as_ref());
        slot.learn_lineage(lineage.as_ref());
        slot
    }

    fn name_of(&self, id: &ObjectId) -> Option<Arc<str>> {
        self.directory.find(id).and_then(|slot| slot.stored_name())
    }

    fn send(self: Arc<Self>, id: ObjectId, (name, placement): Known, errand: Errand) {
        self.place(id, name.as_ref(), placement.as_ref()).send(errand);
    }

    fn release(self: Arc<Self>, id: ObjectId) -> BoxFuture<'static, Result<bool, Error>> {
        let was_quarantined = self.forgive(&id);
        if let Some(slot) = self.directory.find(&id) {
            slot.accept_calls();
        }
        let why = if was_quarantined { LetOut::Release } else { LetOut::Stale };
        let let_out = self.let_out(id, why);
        Box::pin(async move { let_out.await.map(|()| was_quarantined) })
    }

    fn forget_below(&self, ancestor: &ObjectId) {
        self.forget_those_below(ancestor);
    }

    fn retry_quarantined(&self, id: &ObjectId) -> bool {
        let is_quarantined = self.retry_quarantined(id);
        if is_quarantined && let Some(slot) = self.directory.find(id) {
            slot.accept_for_the_next();
        }
        is_quarantined
    }

    fn shed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for slots in self.directory.residents().chunks(RELIEF_OBJECTS_AT_ONCE) {
                slots.iter().for_each(Slot::shed_all);
                tokio::task::yield_now().await;
            }
        })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let places = self.directory.residents();
                if places.is_empty() {
                    return;
                }
                let is_closing = self.is_closing();
                let leave = families(places).into_iter().map(|family| async move {
                    for slot in family {
                        slot.drain(is_closing).await;
                    }
                });
                futures_util::future::join_all(leave).await;
            }
        })
    }

    fn close(&self) {
        let door = if self.shared.is_closed_to(false) { OPEN } else { STOPPED };
        self.door.store(door, Ordering::Release);
    }

    fn open(&self) {
        self.door.store(OPEN, Ordering::Release);
    }

    fn abandon(&self) {
        self.supervision.stop();
    }

    fn cut(&self) -> Vec<CutOff> {
        let cut = self.directory.residents().iter().flat_map(|slot| slot.unfinished()).collect();
        self.supervision.cut();
        cut
    }

    fn is_empty(&self) -> bool {
        self.supervision.is_empty()
    }

    fn status(&self) -> ClassStatus {
        ClassStatus {
            live: self.residency.count(),
            waiting: self.directory.residents().iter().map(|slot| slot.waiting()).sum(),
            crashes: self.faults.load(Ordering::Relaxed),
            quarantined: self.wards.quarantined(),
        }
    }

    fn resident(&self) -> usize {
        self.residency.count()
    }

    #[cfg(feature = "http")]
    fn close_sockets(&self) {
        self.lobbies().close_all(&Close::new(1001, "the runtime is shut down"));
    }
}
