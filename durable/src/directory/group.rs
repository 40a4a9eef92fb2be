//! A class group: one class in one runtime, with everything that a call to it needs.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::caller::{Request, Who, WhoKey, undecodable, unencodable};
use crate::client::Client;
use crate::cut::CutOff;
use crate::directory::failing::{OPEN, STOPPED};
use crate::directory::{Directory, LetOut, Residency, Wards};
use crate::error::{Code, Error, Outcome};
use crate::host::Host;
use crate::id::{Ancestor, ClassKey, Lineage, ObjectId, Placement, check_name};
use crate::kernel::activation::EndWish;
use crate::kernel::admission::{self, Refusal};
use crate::kernel::restart::Decision;
use crate::listing::Listed;
use crate::object::errand::Errand;
use crate::object::{
    BoxFuture, Firing, Incarnation, Kin, LetterDeed, Object, PendingCall, Permit, Refused, Rung,
    Slot, gone,
};
use crate::registry::{Registry, Shared};
use crate::state::{Fingerprint, Schemas};
use crate::storage::{After, ClassNo, Named, Shard};
use crate::stub::{Address, Origin, Sent};
use crate::supervise::{ClassStatus, Service, Supervision};
use crate::time::MonoNs;

/// One class in one runtime.
pub(crate) struct Group<O: Object> {
    shared: Arc<Shared>,
    registry: Weak<Registry>,
    key: ClassKey,
    class_no: ClassNo,
    fingerprint: Fingerprint,
    /// What stored states of the class were written with.
    schemas: Schemas,
    directory: Directory<O>,
    residency: Arc<Residency>,
    supervision: Supervision,
    /// Those of its objects that have failed lately.
    wards: Wards,
    /// Faults of its objects since the start.
    faults: AtomicU64,
    /// Whether it takes calls: [`OPEN`], [`STOPPED`], or until when it cools down.
    door: AtomicU64,
}

/// What a group is made of.
pub(crate) struct GroupSpec {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Weak<Registry>,
    pub(crate) named: Named,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) supervision: Supervision,
}

impl<O: Object> Group<O> {
    pub(crate) fn new(spec: GroupSpec) -> Arc<Self> {
        let GroupSpec { shared, registry, named, fingerprint, supervision } = spec;
        let Named { class_no, origin, schemas } = named;
        let key = ClassKey::new(shared.store.id_key(), &origin);
        let residency = shared.residents.add_class(O::CLASS.idle.unwrap_or(shared.config.idle));
        let directory = Directory::new();
        let stored = shared.store.take_quarantines(class_no);
        let rules = (O::CLASS.crash_budget(shared.config.crashes), shared.config.breaker);
        let wards = Wards::new(rules, stored, code_of::<O>(fingerprint));
        Arc::new(Group {
            shared,
            registry,
            key,
            class_no,
            fingerprint,
            schemas,
            directory,
            residency,
            supervision,
            wards,
            faults: AtomicU64::new(0),
            door: AtomicU64::new(OPEN),
        })
    }

    pub(crate) fn host(&self) -> &Host {
        &self.shared.host
    }

    pub(crate) fn class_no(&self) -> ClassNo {
        self.class_no
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// How long a handler of an alarm may run whose class does not say it.
    pub(crate) fn alarm_limit(&self) -> Duration {
        self.shared.config.alarm_limit
    }

    /// Whether the runtime takes no more calls from outside.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.is_closed_to(false)
    }

    pub(crate) fn inbox_calls_max(&self) -> usize {
        self.shared.config.inbox_calls_max
    }

    pub(crate) fn directory(&self) -> &Directory<O> {
        &self.directory
    }

    pub(crate) fn shard(&self, id: &ObjectId) -> &Arc<Shard> {
        self.shared.store.shard(id)
    }

    /// The way to an object, for stubs.
    pub(crate) fn address(
        self: &Arc<Self>,
        id: ObjectId,
        known: Known,
        lineage: Option<Lineage>,
    ) -> Address<O> {
        Address::new(Arc::clone(self), id, known, lineage)
    }

    /// The id of the child of `parent` that is called `name`.
    ///
    /// # Errors
    /// `name.too_long`.
    pub(crate) fn child_id(&self, parent: &ObjectId, name: &str) -> Result<ObjectId, Error> {
        check_name(O::CLASS.name, name)?;
        Ok(self.key.child(parent, name))
    }

    /// Whether the id is one of this class that says that its object has a parent.
    pub(crate) fn is_child(&self, id: &ObjectId) -> bool {
        self.key.owns_child(id)
    }

    /// An object as errors and logs call it.
    pub(crate) fn label_of(&self, Ancestor { id, name }: &Ancestor) -> String {
        let registry = self.registry.upgrade();
        let owner = registry.as_ref().and_then(|registry| registry.group_owning(id).ok());
        let class = owner.map_or("an unknown class", |group| group.name());
        match name {
            Some(name) => format!("{class}({})", name.escape_debug()),
            None => format!("{class}({id})"),
        }
    }

    /// The place of the parent of an object with this lineage.
    ///
    /// # Errors
    /// `id.foreign` if its class is not registered; `runtime.closed`.
    pub(crate) fn kin_above(
        &self,
        lineage: &Lineage,
        placement: Option<&Arc<Placement>>,
    ) -> Result<Arc<dyn Kin>, Error> {
        let registry = self.registry.upgrade().ok_or_else(gone)?;
        let Ancestor { id, name } = lineage.parent();
        let group = Arc::clone(registry.group_owning(id)?);
        Ok(group.kin(*id, (name.clone(), placement.cloned()), lineage.of_parent()))
    }

    /// Tells of a decision about the children of an object.
    pub(crate) fn tell_of_family(&self, path: &Arc<str>, decision: &Decision, is_loud: bool) {
        self.shared.service.tell_of_family(path, decision, is_loud);
    }

    /// What the class with this number is called.
    pub(crate) fn class_called(&self, class_no: ClassNo) -> Option<String> {
        self.shared.store.class_called(class_no)
    }

    /// The id of an object that somebody asks for.
    ///
    /// # Errors
    /// `name.too_long`; `id.foreign` if it is not an object of this class.
    pub(crate) fn id_of(&self, who: &Who) -> Result<ObjectId, Error> {
        match &who.key {
            WhoKey::Name(name) => {
                check_name(O::CLASS.name, name)?;
                let placement = who.placement.as_ref();
                let jurisdiction = placement.and_then(|wishes| wishes.jurisdiction.as_deref());
                Ok(self.key.named(name, jurisdiction))
            }
            WhoKey::Id(id) if self.key.owns(id) => Ok(*id),
            WhoKey::Id(id) => Err(Code::IdForeign.error(format!(
                "{id} is not the id of an object of class {}; use it with the class and data directory that it came from",
                O::CLASS.name
            ))),
        }
    }

    /// The id of a new object.
    pub(crate) fn unique(&self) -> ObjectId {
        let mut random = [0; 16];
        self.host().entropy.fill(&mut random);
        self.key.unique(random)
    }

    /// The way to an object that somebody asks for.
    pub(crate) fn address_of(self: &Arc<Self>, who: Who) -> Result<Address<O>, Error> {
        let id = self.id_of(&who)?;
        let name = match who.key {
            WhoKey::Name(name) => Some(name),
            WhoKey::Id(_) => None,
        };
        Ok(self.address(id, (name, who.placement), None))
    }

    /// Where a turn gets its stubs from.
    pub(crate) fn client(&self, origin: Option<Origin>) -> Client {
        Client::inside(self.registry.clone(), origin)
    }

    /// Takes a place among the calls in flight. `is_from_turn`: the caller is a turn, which a runtime that closes lets end.
    pub(crate) fn admit(&self, is_from_turn: bool) -> Result<Permit, Error> {
        let Shared { in_flight, config, .. } = &*self.shared;
        // The shared one itself is not a call.
        let count = Arc::strong_count(in_flight) - 1;
        let max = config.in_flight_calls_max;
        admission::enter_runtime(self.shared.is_closed_to(is_from_turn), count, max).map_err(|refusal| match refusal {
            Refusal::Closed => Code::RuntimeClosed.error("the runtime is shut down; start it again"),
            Refusal::RuntimeFull | Refusal::ObjectFull => Code::RuntimeOverloaded.error(format!(
                "{count} calls are in flight in this runtime, the limit is {max}; call again later"
            )),
        })?;
        Ok(Arc::clone(in_flight))
    }

    /// The place of an object.
    pub(crate) fn place(
        self: &Arc<Self>,
        id: ObjectId,
        name: Option<&Arc<str>>,
        placement: Option<&Arc<Placement>>,
    ) -> Arc<Slot<O>> {
        let slot = self.directory.place(id, || Slot::new(id, Arc::clone(self)));
        slot.learn(name, placement);
        slot
    }

    /// Queues a call at its object, or answers it with the refusal.
    pub(crate) fn deliver(&self, slot: &Arc<Slot<O>>, call: &Arc<PendingCall<O>>) {
        if let Some(error) = self.stopped() {
            return call.answer(Err(error.with_object(slot.label())));
        }
        let error = match slot.enqueue(call) {
            Ok(()) => return,
            Err(Refused::Abandoned) => {
                Code::RuntimeClosed.error("the runtime is shut down; start it again")
            }
            Err(Refused::Quarantined(error)) => error,
            Err(Refused::Full(waiting)) => Code::ObjectOverloaded.error(format!(
                "{waiting} calls wait at {}, the limit is {}; call again later",
                slot.label(),
                self.inbox_calls_max()
            )),
        };
        call.answer(Err(error.with_object(slot.label())));
    }

    /// All classes of the runtime. None: it is gone.
    pub(super) fn groups(&self) -> Vec<Arc<dyn ClassGroup>> {
        self.registry.upgrade().map(|registry| registry.groups().to_vec()).unwrap_or_default()
    }

    pub(super) fn door(&self) -> &AtomicU64 {
        &self.door
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.shared.service
    }

    pub(super) fn wards(&self) -> &Wards {
        &self.wards
    }

    /// Tells the code of the class apart from other code.
    pub(super) fn code(&self) -> u64 {
        code_of::<O>(self.fingerprint)
    }

    /// How many of its objects are in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.residency.count()
    }

    /// One of its objects has failed.
    pub(super) fn count_fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// An activation of `slot` is about to be there.
    pub(super) fn enter(&self, slot: &Arc<Slot<O>>) {
        self.residency.enter(slot, slot.incarnation(), self.host().clock.now());
    }

    /// Starts the activation.
    pub(super) fn spawn(&self, slot: &Arc<Slot<O>>) {
        if self.supervision.start(slot).is_err() {
            slot.on_abandon();
        }
    }

    /// Starts an activation when the time has come. Whoever waits for it is told if the runtime goes before.
    pub(super) fn rest(&self, slot: &Arc<Slot<O>>, until: MonoNs) {
        let Ok(number) = self.supervision.rest(Arc::clone(slot) as _) else {
            return slot.on_abandon();
        };
        let slot = Arc::clone(slot);
        let rest = self.host().clock.sleep_until(until);
        self.host().tasks.spawn(Box::pin(async move {
            rest.await;
            let group = slot.group();
            if group.supervision.is_rested(number) {
                group.spawn(&slot);
            }
        }));
    }

    /// One page of the class's stored objects.
    pub(crate) async fn list(
        &self,
        prefix: Arc<str>,
        after: Option<After>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let _permit = self.admit(false)?;
        let rows = self.shared.store.list(self.class_no, &prefix, after.as_ref(), limit).await?;
        Ok(rows.into_iter().map(|row| Listed::new(row.id, row.name)).collect())
    }

    /// An activation has left memory.
    pub(crate) fn left(&self) {
        self.residency.leave();
    }
}

/// Tells the code of a class apart from code that reads other states.
fn code_of<O: Object>(fingerprint: Fingerprint) -> u64 {
    let texts = O::CLASS.migrations.iter().flat_map(|migration| migration.sql.bytes());
    let text =
        texts.fold(0_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    fingerprint.0 ^ text ^ u64::from(O::CLASS.version).rotate_left(32)
}

/// What is known of an object beside its id.
pub(crate) type Known = (Option<Arc<str>>, Option<Arc<Placement>>);

/// Objects that leave memory one after the other: those of one parent, the last that came first.
fn families<O: Object>(places: Vec<Arc<Slot<O>>>) -> Vec<Vec<Arc<Slot<O>>>> {
    let mut families = Vec::new();
    let mut children = BTreeMap::<ObjectId, Vec<_>>::new();
    for slot in places {
        match slot.parent_run() {
            Some((parent, run)) => children.entry(parent).or_default().push((run, slot)),
            None => families.push(vec![slot]),
        }
    }
    for mut siblings in children.into_values() {
        siblings.sort_by_key(|(run, _)| std::cmp::Reverse(*run));
        families.push(siblings.into_iter().map(|(_, slot)| slot).collect());
    }
    families
}

/// A class group without its type, for what a runtime does to all of them.
pub(crate) trait ClassGroup: Send + Sync {
    /// The class's name.
    fn name(&self) -> &'static str;
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

    fn call(
        self: Arc<Self>,
        request: Request,
        number: u64,
    ) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        let Request { who, method, args, timeout, durability, stub, .. } = request;
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
        let mut made = call.into_future();
        match Pin::new(&mut made).poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Box::pin(ready(answer)),
            Poll::Pending => Box::pin(made),
        }
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
        self.retry_quarantined(id)
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
}
