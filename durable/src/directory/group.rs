//! A class group: one class in one runtime, with everything that a call to it needs.

mod admit;
mod class_group;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::caller::{Who, WhoKey};
use crate::client::Client;
use crate::directory::failing::OPEN;
use crate::directory::{Directory, Residency, Wards};
use crate::error::{Code, Error};
use crate::host::{Event, Host};
use crate::id::{Ancestor, ClassKey, Lineage, ObjectId, Placement, check_name};
use crate::interceptor::Interceptors;
use crate::kernel::restart::Decision;
use crate::kernel::waits::Link;
use crate::limits::CHAIN_NAMED_MAX;
use crate::listing::Listed;
use crate::object::inside::Waits;
use crate::object::{Arrived, Incarnation, Kin, Object, PendingCall, Places, Refused, Slot, gone};
use crate::registry::{Registry, Shared};
#[cfg(feature = "http")]
use crate::socket::Lobbies;
use crate::state::{Fingerprint, Schemas};
use crate::storage::{After, ClassNo, Named, Shard, Store};
use crate::stub::{Address, Origin};
use crate::supervise::{Service, Supervision};
use crate::time::MonoNs;

pub(crate) use self::class_group::ClassGroup;

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
    /// `None`: as many calls of the class may be in flight as of the runtime.
    in_flight: Option<Places>,
    /// Those of its objects that have failed lately.
    wards: Wards,
    /// Faults of its objects since the start.
    faults: AtomicU64,
    #[cfg(feature = "http")]
    lobbies: Arc<Lobbies>,
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
        let in_flight = admit::places::<O>(&shared.config, shared.host.parallelism);
        let residency = shared.residents.add_class(O::CLASS.idle.unwrap_or(shared.config.idle));
        let directory = Directory::new();
        let stored = shared.store.take_quarantines(class_no, |id| key.owns(id));
        let rules = (O::CLASS.crash_budget(shared.config.crashes), shared.config.breaker);
        let wards = Wards::new(rules, stored, code_of::<O>(fingerprint));
        #[cfg(feature = "http")]
        let lobbies = Arc::new(Lobbies::new(Arc::clone(&shared.sockets)));
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
            in_flight,
            wards,
            faults: AtomicU64::new(0),
            #[cfg(feature = "http")]
            lobbies,
            door: AtomicU64::new(OPEN),
        })
    }

    /// The sockets of its objects.
    #[cfg(feature = "http")]
    pub(crate) fn lobbies(&self) -> &Arc<Lobbies> {
        &self.lobbies
    }

    pub(crate) fn host(&self) -> &Host {
        &self.shared.host
    }

    /// All classes of the runtime, as long as there is one.
    pub(super) fn registry(&self) -> &Weak<Registry> {
        &self.registry
    }

    /// What all classes of the runtime share.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
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

    /// How long a turn of a call may run.
    pub(crate) fn turn_limit(&self) -> Duration {
        O::CLASS.turn_limit.unwrap_or(self.shared.config.turn_limit)
    }

    /// For how long results of calls with idempotency keys are kept.
    pub(crate) fn results_keep(&self) -> Duration {
        O::CLASS.keep_results.unwrap_or(self.shared.config.results_keep)
    }

    /// Whoever looks at calls that are made or run in this runtime.
    pub(crate) fn interceptors(&self) -> &Interceptors {
        &self.shared.config.interceptors
    }

    /// Who waits for whom in this runtime.
    pub(crate) fn waits(&self) -> &Arc<Waits> {
        &self.shared.waits
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

    /// Queues a call at its object, or answers it with the refusal. `time`: within which it is to begin. `None`: it is queued
    /// however long it will wait.
    pub(crate) fn deliver(
        &self,
        slot: &Arc<Slot<O>>,
        call: &Arc<PendingCall<O>>,
        time: Option<Duration>,
    ) -> Arrived {
        if let Some(error) = self.stopped() {
            call.answer(Err(error.with_object(slot.label())));
            return Arrived::Seen;
        }
        let error = match slot.enqueue(call, time) {
            Ok(arrived) => return arrived,
            Err(Refused::Abandoned) => {
                Code::RuntimeClosed.error("the runtime is shut down; start it again")
            }
            Err(Refused::Quarantined(error)) => error,
            Err(Refused::Circular(chain, is_held)) => {
                let (object, call) = (slot.id_ref(), call.number());
                self.host().report(|| Event::Circular { object, call, is_held });
                self.circular(&chain)
            }
            Err(Refused::Full(waiting)) => admit::inbox_full(slot, waiting),
            Err(Refused::Behind(waiting)) => admit::others_wait(slot, waiting),
            Err(Refused::TooLate(late)) => admit::too_late(slot, late),
            Err(Refused::TooSoon(until)) => admit::too_soon(slot, until),
        };
        call.answer(Err(error.with_object(slot.label())));
        Arrived::Seen
    }

    /// The error of a call that the turn which makes it would wait for in vain.
    fn circular(&self, chain: &[Link]) -> Error {
        let step = |Link { object, method, behind }: &Link| {
            let label = self.label_of(&Ancestor { id: *object, name: self.name_of(object) });
            match behind {
                Some(behind) => format!("{label}.{method}, behind its {behind}"),
                None => format!("{label}.{method}"),
            }
        };
        let named: Vec<_> = chain.iter().take(CHAIN_NAMED_MAX).map(step).collect();
        let more = match chain.len().saturating_sub(CHAIN_NAMED_MAX) {
            0 => String::new(),
            more => format!(" → … {more} more"),
        };
        Code::CallCycle.error(format!(
            "the call would wait for itself: {}{more}; call outside of the turn, \
             or put `#[rpc(reentrant)]` on a `&self` method that is called back from one",
            named.join(" → ")
        ))
    }

    /// What an object of the runtime is called, if that is known in memory.
    fn name_of(&self, id: &ObjectId) -> Option<Arc<str>> {
        let registry = self.registry.upgrade()?;
        registry.group_owning(id).ok()?.name_of(id)
    }

    /// All classes of the runtime. None: it is gone.
    pub(super) fn groups(&self) -> Vec<Arc<dyn ClassGroup>> {
        self.registry.upgrade().map(|registry| registry.groups().to_vec()).unwrap_or_default()
    }

    pub(super) fn store(&self) -> &Store {
        &self.shared.store
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

    /// Calls wait in line at an object. They are told if the runtime goes. Gives the number to say
    /// [when none do](Self::has_no_line) any more by.
    pub(crate) fn has_line(&self, slot: &Arc<Slot<O>>) -> Option<u64> {
        self.supervision.rest(Arc::clone(slot) as _).ok()
    }

    /// None do any more.
    pub(crate) fn has_no_line(&self, number: u64) {
        self.supervision.is_rested(number);
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
