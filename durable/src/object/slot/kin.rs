//! What ties an object to others: its parent, its children in memory, and whom it watches.
//!
//! A child comes into memory only when its parent has let it, and the parent stays until the last child has gone; so no
//! activation of a child outlives its parent's. Nobody holds the lock of one place while it takes that of another.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use super::work::{Severed, Works};
use super::{Slot, State, gone};
use crate::class::{ChildStrategy, ChildrenSpec};
use crate::error::{Code, Error};
use crate::host::Event;
use crate::id::{Ancestor, Lineage, ObjectId};
use crate::kernel::activation::EndWish;
use crate::kernel::family::{Deed, Family};
use crate::kernel::residency::Use;
use crate::kernel::restart::{Decision, Exit, Given, Strategy, SupervisorSpec, Timer};
use crate::limits::{CHILD_DEPTH_MAX, CHILD_HELD_BACK, NOTICES_MAX};
use crate::object::Object;
use crate::object::notice::{ChildExit, Down, Notice};
use crate::time::MonoNs;

/// An object as those see it that it is tied to, whatever its class.
pub(crate) trait Kin: Send + Sync {
    fn id(&self) -> ObjectId;
    /// The object as errors and logs call it.
    fn label(&self) -> String;
    fn class(&self) -> &'static str;
    /// Its name, as an owned text.
    fn own_name(&self) -> Option<Arc<str>>;
    /// A child wants to come into memory. It is told when it may, which may start the parent, or why it may not.
    fn want(self: Arc<Self>, child: Arc<dyn Kin>, answer: oneshot::Sender<Result<(), Error>>);
    /// The parent has let it in, as this run.
    fn joined(&self, parent: Arc<dyn Kin>, run: u64);
    /// A child has left memory. `exit`: how it has crashed. `None`: it has not.
    fn child_left(self: Arc<Self>, child: ObjectId, exit: Option<Exit>);
    /// It is to leave memory.
    fn send_away(&self, wish: EndWish);
    /// The object at the top of its tree is to leave memory, and with it all below.
    fn drain_tree(&self);
    /// It is to end at its next await, if it still is this run of its parent's.
    fn cut_off(&self, run: u64, cut: Cut);
    /// How it is used, its children included.
    fn used(&self) -> Use;
    /// Somebody wants to hear of its end.
    fn add_watcher(&self, watcher: Watcher);
    fn remove_watcher(&self, id: &ObjectId);
    /// An object has ended that activation number `incarnation` watches.
    fn hear(self: Arc<Self>, incarnation: u64, down: Down);
}

/// Why an activation is cut off at its next await.
#[derive(Clone, Debug, Default)]
pub(crate) enum Cut {
    /// Its parent ends, or restarts it.
    #[default]
    Parted,
    /// Its parent cannot start: whoever waits is told.
    Refused(Error),
    /// Its own children were restarted too often.
    Melted(Exit),
}

/// Whoever watches an object.
pub(crate) struct Watcher {
    pub(crate) id: ObjectId,
    pub(crate) who: Weak<dyn Kin>,
    pub(crate) incarnation: u64,
}

/// The bell that cuts an activation off.
#[derive(Default)]
pub(super) struct Bell {
    is_rung: AtomicBool,
    /// The object has, or may have, relatives in memory.
    has_kin: AtomicBool,
    waker: AtomicWaker,
}

/// What ties an object to others. Most have nothing of it.
#[derive(Default)]
pub(super) struct Ties {
    /// `None`: no child came since the activation began.
    family: Option<Family>,
    /// In memory, each with its run.
    pub(super) children: BTreeMap<ObjectId, (Arc<dyn Kin>, u64)>,
    /// Children that have crashed, until it is decided what follows: their classes and names.
    pub(super) crashed: BTreeMap<ObjectId, (&'static str, Option<Arc<str>>)>,
    /// Children that want to come into memory.
    pub(super) wanting: Vec<Wanting>,
    /// What children are told that are cut off.
    parting: Cut,
    /// How children leave memory that are sent away.
    wish: EndWish,
    /// `None`: it has no parent, or is not in memory.
    pub(super) parent: Option<(Arc<dyn Kin>, u64)>,
    /// What its hooks are to be told.
    pub(super) notices: VecDeque<Notice>,
    /// `None`: it is not to be cut off.
    cut: Option<Cut>,
    pub(super) watchers: Vec<Watcher>,
    pub(super) watched: BTreeMap<ObjectId, Arc<dyn Kin>>,
    /// What its turns have spawned.
    pub(super) works: Works,
}

pub(super) struct Wanting {
    pub(super) child: Arc<dyn Kin>,
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
    /// The family knows that it wants to come.
    pub(super) is_known: bool,
}

/// What is left of an activation's ties when it has ended.
#[derive(Default)]
pub(super) struct Untied {
    parent: Option<(Arc<dyn Kin>, u64)>,
    watched: BTreeMap<ObjectId, Arc<dyn Kin>>,
    watchers: Vec<Watcher>,
    works: Severed,
}

/// What is to be done when no lock is held, in order.
pub(super) enum Act {
    Grant(Arc<dyn Kin>, u64, oneshot::Sender<Result<(), Error>>),
    Refuse(oneshot::Sender<Result<(), Error>>, Error),
    Evict(Arc<dyn Kin>, EndWish),
    Cut(Arc<dyn Kin>, u64, Cut),
    Timer(MonoNs, Timer),
    /// `is_loud`: as a family says it.
    Tell(Decision, bool),
    /// The family begins.
    Began,
}

impl Ties {
    /// Whether children wait for an activation.
    pub(super) fn is_wanted(&self) -> bool {
        !self.wanting.is_empty()
    }

    /// Whether children are in memory.
    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }

    /// Adds what a hook is to be told.
    pub(super) fn push_notice(&mut self, notice: Notice, label: impl FnOnce() -> String) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push_back(notice);
        } else {
            let object = label();
            tracing::warn!(
                object,
                ?notice,
                limit = NOTICES_MAX,
                "an object hears too late, and is not told"
            );
        }
    }

    /// The activation has ended. `is_dead`: by a crash, or nothing is left of the object.
    pub(super) fn untie(&mut self, is_dead: bool) -> Untied {
        assert!(self.children.is_empty(), "no child outlives its parent");
        (self.family, self.cut) = (None, None);
        (self.parting, self.wish) = (Cut::Parted, EndWish::Soon);
        self.crashed.clear();
        self.notices.clear();
        self.wanting.iter_mut().for_each(|wanting| wanting.is_known = false);
        Untied {
            parent: self.parent.take(),
            watched: std::mem::take(&mut self.watched),
            watchers: if is_dead { std::mem::take(&mut self.watchers) } else { Vec::new() },
            works: self.works.sever(),
        }
    }
}

impl<O: Object> Slot<O> {
    /// Who is above the object, as far as is known.
    pub(crate) fn lineage(&self) -> Option<&Lineage> {
        self.lineage.get()
    }

    /// Remembers who is above it: what a stub or storage knows.
    pub(crate) fn learn_lineage(&self, lineage: Option<&Lineage>) {
        if let (Some(lineage), None) = (lineage, self.lineage.get()) {
            let _ = self.lineage.set(lineage.clone());
        }
    }

    /// The lineage of a child of this object. `child`: what it is called, with its class.
    ///
    /// # Errors
    /// `child.too_deep`.
    pub(crate) fn lineage_below(&self, child: &str) -> Result<Lineage, Error> {
        let own = Ancestor { id: self.id, name: self.stored_name() };
        let lineage = Lineage::below(own, self.lineage());
        let depth = lineage.depth();
        if depth <= CHILD_DEPTH_MAX {
            return Ok(lineage);
        }
        Err(Code::ChildTooDeep.error(format!(
            "{}/{child} is {depth} levels below the first object, the limit is {CHILD_DEPTH_MAX}; \
             make it the child of one further up, or an object without a parent",
            self.path()
        )))
    }

    /// The object from the top of its tree, for people.
    pub(crate) fn path(&self) -> String {
        let Some(lineage) = self.lineage() else { return self.label() };
        let above = lineage.ancestors().iter().rev().map(|ancestor| self.group.label_of(ancestor));
        above.chain([self.label()]).collect::<Vec<_>>().join("/")
    }

    /// Comes into memory below the object's parent, if it has one: waits until the parent is there and lets it in.
    ///
    /// # Errors
    /// What keeps the parent from starting.
    pub(crate) async fn join_parent(self: &Arc<Self>) -> Result<(), Error> {
        let Some(lineage) = self.lineage.get() else { return Ok(()) };
        self.bell.has_kin.store(true, Ordering::Relaxed);
        let parent = self.group.kin_above(lineage, self.placement())?;
        let (answer, answered) = oneshot::channel();
        parent.want(Arc::clone(self) as Arc<dyn Kin>, answer);
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Looks in storage for what is above the object, if it has a parent and nobody has said which. A name says nothing of that.
    ///
    /// # Errors
    /// `child.orphaned`; what fails to read it.
    pub(crate) async fn find_parent(&self) -> Result<(), Error> {
        if self.lineage.get().is_some() || !self.group.is_child(&self.id) {
            return Ok(());
        }
        let loaded = self.group.shard(&self.id).load(&self.id, self.group.class_no()).await;
        let stored = loaded.map_err(|error| error.with_object(self.label()))?.stored;
        if let Some(stored) = stored {
            self.learn(stored.name.as_ref(), Some(&Arc::new(stored.placement.clone())));
            self.learn_lineage(stored.lineage.as_ref());
            return Ok(());
        }
        Err(Code::ChildOrphaned.error(format!(
            "{} is a child that is not stored, and its id does not say of which object; \
             ask its parent for it, or pass a `StubRef` instead of an id",
            self.label()
        )))
    }

    /// The parent that it is in memory below, and as which run of that. `None`: it has none, or is not in memory.
    pub(crate) fn parent_run(&self) -> Option<(ObjectId, u64)> {
        let state = self.state.lock();
        let ties = state.ties.as_ref()?;
        ties.parent.as_ref().map(|(parent, run)| (parent.id(), *run))
    }

    /// The children that are in memory, with their classes and names.
    pub(crate) fn children_here(&self) -> Vec<(ObjectId, &'static str, Option<Arc<str>>)> {
        let children = children(&self.state.lock().ties);
        children.iter().map(|kin| (kin.id(), kin.class(), kin.own_name())).collect()
    }

    /// Leaves memory when no call waits. `is_closing`: with the whole tree that it is in.
    pub(crate) async fn drain(&self, is_closing: bool) {
        if is_closing && self.parent_run().is_some() {
            self.drain_tree();
            self.wait_until_gone().await;
        } else {
            self.evict(EndWish::Drained).await;
        }
    }

    /// The activation has loaded, so that children may come.
    pub(crate) fn rise(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.is_up = true;
        let acts = self.let_in(&mut state, false);
        drop(state);
        self.act(acts);
    }

    /// A child waits, and the activation is about to leave, with children that are still here. If they have not gone soon,
    /// their turns may be waiting for the one that waits.
    pub(super) fn hold_back(self: &Arc<Self>) {
        let (slot, incarnation) = (Arc::downgrade(self), self.incarnation());
        let clock = &self.host().clock;
        let sleep = clock.sleep_until(clock.now() + CHILD_HELD_BACK);
        self.host().tasks.spawn(Box::pin(async move {
            sleep.await;
            let Some(slot) = slot.upgrade() else { return };
            let mut state = slot.state.lock();
            let is_same = state.life.incarnation() == incarnation;
            if !is_same || !state.ties.as_ref().is_some_and(|ties| ties.has_children()) {
                return;
            }
            let acts = slot.let_in(&mut state, true);
            drop(state);
            slot.act(acts);
        }));
    }

    /// Whether the activation is to be cut off. `is_known`: the bell knows its task.
    pub(crate) fn poll_cut(&self, task: &TaskContext<'_>, is_known: &mut bool) -> Poll<Cut> {
        if !*is_known || self.bell.has_kin.load(Ordering::Relaxed) {
            *is_known = true;
            self.bell.waker.register(task.waker());
        }
        if !self.bell.is_rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let cut = self.state.lock().ties.as_ref().and_then(|ties| ties.cut.clone());
        cut.map_or(Poll::Pending, Poll::Ready)
    }

    /// Ends the children that are in memory, in reverse order, each at its next await, and waits until they are gone. None
    /// comes any more. `parting`: what they are told.
    pub(crate) async fn end_children(self: &Arc<Self>, parting: Cut) {
        let acts = {
            let mut state = self.state.lock();
            state.writing = None;
            state.is_up = false;
            let Some(ties) = state.ties.as_mut().filter(|ties| ties.family.is_some()) else {
                return;
            };
            ties.parting = parting;
            self.with_family(ties, Family::end)
        };
        self.act(acts);
        poll_fn(|task| {
            let mut state = self.state.lock();
            state.idle.begin(task);
            // They are taken away when the runtime is.
            let is_over = state.ties.as_ref().is_none_or(|ties| {
                ties.family.as_ref().is_none_or(Family::has_ended) && ties.children.is_empty()
            });
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The activation ends between two turns, and has no children in memory. Under the lock.
    pub(super) fn close_family(&self, state: &mut State<O>) -> Vec<Act> {
        state.is_up = false;
        match state.ties.as_mut().filter(|ties| ties.family.is_some()) {
            Some(ties) => self.with_family(ties, Family::end),
            None => Vec::new(),
        }
    }

    /// The activation is to leave memory and has children there: the one goes that came last.
    pub(super) fn send_last_away(&self, ties: &mut Ties, wish: EndWish) -> Vec<Act> {
        ties.wish = wish;
        self.with_family(ties, Family::send_last_away)
    }

    /// Lets those in who want to, and may. `is_needed`: also if it is about to leave.
    pub(super) fn let_in(&self, state: &mut State<O>, is_needed: bool) -> Vec<Act> {
        let is_open = state.is_up && state.life.is_live();
        let is_leaving = state.life.end_wish().is_some();
        let Some(ties) = &mut state.ties else { return Vec::new() };
        // One that is about to leave starts nothing that it would have to wait for, unless its own turn may need it, or it has
        // done nothing yet: those who wait would only bring it back, to leave again.
        let may_go = state.has_served && !state.is_in_turn && !is_needed;
        if !is_open || ties.wanting.is_empty() || (is_leaving && may_go) {
            return Vec::new();
        }
        state.has_served |= is_leaving && state.trial.is_none();
        let unknown = ties.wanting.iter_mut().filter(|wanting| !wanting.is_known);
        let unknown = unknown.map(|wanting| {
            wanting.is_known = true;
            (wanting.child.id(), wanting.child.label())
        });
        let unknown: Vec<_> = unknown.collect();
        self.bell.has_kin.store(true, Ordering::Relaxed);
        self.with_family(ties, |family, given, deeds| {
            for (id, name) in &unknown {
                family.want((*id, name), given, deeds);
            }
        })
    }

    /// Does something to the family, which begins if there is none, and gives what follows.
    pub(super) fn with_family(
        &self,
        ties: &mut Ties,
        deal: impl FnOnce(&mut Family, Given, &mut Vec<Deed>),
    ) -> Vec<Act> {
        let given = Given { now: self.host().clock.now(), chance: 0 };
        let (mut deeds, mut acts) = (Vec::new(), Vec::new());
        let family = match &mut ties.family {
            Some(family) => family,
            none => {
                acts.push(Act::Began);
                let spec = family_spec::<O>(self.label());
                none.insert(Family::new(&spec, &self.path(), given, &mut deeds))
            }
        };
        deal(family, given, &mut deeds);
        deeds.into_iter().for_each(|deed| self.note(ties, deed, &mut acts));
        acts
    }

    fn note(&self, ties: &mut Ties, deed: Deed, acts: &mut Vec<Act>) {
        let take = |ties: &mut Ties, id: ObjectId| {
            let place = ties.wanting.iter().position(|wanting| wanting.child.id() == id);
            ties.wanting.remove(place.expect("who waits has asked"))
        };
        match deed {
            Deed::Grant(id, run) => {
                let Wanting { child, answer, .. } = take(ties, id);
                ties.children.insert(id, (Arc::clone(&child), run));
                acts.push(Act::Grant(child, run, answer));
            }
            Deed::Refuse(id, error) => acts.push(Act::Refuse(take(ties, id).answer, error)),
            Deed::Evict(id) => {
                let (child, wish) = (ties.children.get(&id), ties.wish);
                acts.extend(child.map(|(kin, _)| Act::Evict(Arc::clone(kin), wish)));
            }
            Deed::Cut(id) => {
                let (child, parting) = (ties.children.get(&id), ties.parting.clone());
                acts.extend(child.map(|(kin, run)| Act::Cut(Arc::clone(kin), *run, parting)));
            }
            Deed::Timer { at, timer } => acts.push(Act::Timer(at, timer)),
            Deed::Tell { decision, is_loud } => acts.push(Act::Tell(decision, is_loud)),
            Deed::Exited(end) => {
                let Some(who) = ties.crashed.remove(&end.id) else { return };
                if O::CLASS.hears_child_exits {
                    let notice = Notice::ChildExit(ChildExit::new(end, who));
                    ties.push_notice(notice, || self.label());
                }
            }
            Deed::Melt(exit) => self.ring(ties, Cut::Melted(exit)),
        }
    }

    /// Cuts the activation off at its next await, or between two turns.
    pub(super) fn ring(&self, ties: &mut Ties, cut: Cut) {
        ties.cut.get_or_insert(cut);
        self.bell.is_rung.store(true, Ordering::Release);
        self.bell.waker.wake();
    }

    /// Does what must not be done under the lock.
    pub(super) fn act(self: &Arc<Self>, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Grant(child, run, answer) => {
                    child.joined(Arc::clone(self) as Arc<dyn Kin>, run);
                    let (object, parent) = (&child.id(), &self.id);
                    self.host().report(|| Event::Joined { object, parent, run });
                    // Its activation may have been killed since.
                    let _ = answer.send(Ok(()));
                }
                Act::Refuse(answer, error) => drop(answer.send(Err(error))),
                Act::Evict(child, wish) => child.send_away(wish),
                Act::Cut(child, run, cut) => child.cut_off(run, cut),
                Act::Timer(at, timer) => self.set_timer(at, timer),
                Act::Tell(decision, is_loud) => {
                    let path: Arc<str> = self.path().into();
                    self.group.tell_of_family(&path, &decision, is_loud);
                }
                Act::Began => {
                    let (supervisor, spec) = (&self.path()[..], &family_spec::<O>(self.label()));
                    self.host().report(|| Event::SupervisorBegan { supervisor, spec });
                }
            }
        }
    }

    fn set_timer(self: &Arc<Self>, at: MonoNs, timer: Timer) {
        let (slot, incarnation) = (Arc::downgrade(self), self.incarnation());
        let sleep = self.host().clock.sleep_until(at);
        self.host().tasks.spawn(Box::pin(async move {
            sleep.await;
            let Some(slot) = slot.upgrade() else { return };
            let mut state = slot.state.lock();
            if state.life.incarnation() != incarnation {
                return;
            }
            let Some(ties) = state.ties.as_mut().filter(|ties| ties.family.is_some()) else {
                return;
            };
            let acts = slot.with_family(ties, |family, given, deeds| {
                family.on_timer(timer, given, deeds);
            });
            drop(state);
            slot.act(acts);
        }));
    }

    /// The activation has ended, and with it what tied the object to others. Under the lock.
    pub(super) fn untie(&self, state: &mut State<O>, is_dead: bool) -> Untied {
        state.is_up = false;
        self.bell.is_rung.store(false, Ordering::Release);
        state.ties.as_mut().map(|ties| ties.untie(is_dead)).unwrap_or_default()
    }

    /// Tells the others that the activation has ended. `exit`: how it has crashed. `None`: it has not.
    pub(super) fn part(&self, untied: Untied, exit: Option<Exit>) {
        let Untied { parent, watched, watchers, works } = untied;
        drop(works);
        self.tell_watchers(watched, watchers, exit.as_ref());
        if let Some((parent, _)) = parent {
            parent.child_left(self.id, exit);
        }
    }

    /// Children that wanted to come into memory are told why they do not. Without the lock.
    pub(super) fn refuse_children(self: &Arc<Self>, wanting: Vec<Wanting>, error: &Error) {
        let refusals = wanting.into_iter();
        self.act(refusals.map(|wanting| Act::Refuse(wanting.answer, error.clone())).collect());
    }
}

/// How long the object has been idle, with all of its children. `own`: without them.
pub(super) fn use_with(own: Use, children: Vec<Arc<dyn Kin>>) -> Use {
    let Use::IdleSince(mut since) = own else { return own };
    for child in children {
        match child.used() {
            Use::Busy => return Use::Busy,
            Use::IdleSince(at) => since = since.max(at),
            Use::Gone => {}
        }
    }
    Use::IdleSince(since)
}

/// The children that are in memory.
pub(super) fn children(ties: &Option<Box<Ties>>) -> Vec<Arc<dyn Kin>> {
    let children = ties.iter().flat_map(|ties| ties.children.values());
    children.map(|(kin, _)| Arc::clone(kin)).collect()
}

/// What supervises the children of an object of the class.
fn family_spec<O: Object>(name: String) -> SupervisorSpec {
    let ChildrenSpec { strategy, intensity, period } = O::CLASS.children;
    let strategy = match strategy {
        ChildStrategy::OneForOne => Strategy::OneForOne,
        ChildStrategy::OneForAll => Strategy::OneForAll,
        ChildStrategy::RestForOne => Strategy::RestForOne,
    };
    let mut spec = SupervisorSpec::new(name, strategy);
    (spec.intensity, spec.period) = (intensity, period);
    spec
}
